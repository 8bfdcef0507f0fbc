"""The `pymailbox` command.

A password is never an argument, because every user of the machine can read those. Text from servers and messages is
printed with control characters escaped. Whatever happens ends with one line and a status of `exit_status`, never with a
traceback: a failure of the account, the server or the disk, Ctrl-C, a reader that stops reading.

Modules are imported when they are needed: `pymailbox --help` is run more often than anything else.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from io import RawIOBase

    from _typeshed import ReadableBuffer

__all__ = ["main", "make_parser", "program"]


def program() -> NoReturn:
    """Run the command of this process, and end it."""
    import gc

    gc.set_threshold(50_000)  # what the imports make is not garbage: looking for it takes a tenth of a short command
    try:
        status = main()
    except KeyboardInterrupt as signal:  # before anything has begun, or the second one, while one was being reported
        status = _status_of(signal)
    from pymailbox.cli.interruption import ignore_signals

    ignore_signals()
    gc.freeze()  # nor at the end of the process
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    from pymailbox.cli.interruption import terminable  # inside, as Ctrl-C may arrive meanwhile
    from pymailbox.cli.output_options import silence

    with terminable():
        interrupted = "nothing was changed"
        try:
            _prepare_output()
            try:
                arguments = sys.argv[1:] if arguments is None else arguments
                options = make_parser(arguments[0] if arguments else "").parse_args(arguments)
                interrupted = options.interrupted
                return _run(options)
            except KeyboardInterrupt:
                silence(sys.stdout)  # that it cannot be written, such as to a terminal that was closed, comes second
                raise
            finally:
                sys.stdout.flush()  # while its failure can still be reported
        except BrokenPipeError:  # the reader of the output has stopped reading
            silence(sys.stdout)
            return 1
        except KeyboardInterrupt as signal:
            _complain(f"interrupted; {interrupted}", new_line=sys.stderr.isatty())
            return _status_of(signal)
        except (ValueError, OSError) as error:  # of the output; those of a command are handled below
            from pymailbox.cli.account_options import error_text

            _complain(f"the output cannot be written: {error_text(error)}")
            silence(sys.stdout)
            return 1


def _status_of(signal: KeyboardInterrupt) -> int:
    return 128 + getattr(signal, "number", 2)  # as a shell has it; `Terminated` has a number, Ctrl-C none


def _run(options: "argparse.Namespace") -> int:
    from pymailbox.cli.account_options import error_text
    from pymailbox.cli.exit_status import of_output, status_of
    from pymailbox.cli.output_options import conversation_shown, silence
    from pymailbox.errors import MailboxError

    try:
        with conversation_shown(options):
            status: int = options.run(options)
    except (MailboxError, ValueError, OSError) as error:
        if of_output(error):
            raise
        _complain(error_text(error))
        silence(sys.stdout)  # if it was the output that failed, it would fail again
        return status_of(error)
    return status


# --- the streams ----------------------------------------------------------------------------------------------


def _prepare_output() -> None:
    import io

    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the caller closed it
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(_nowhere()), encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the terminal may not be able to show every character


def _nowhere() -> "RawIOBase":
    """Return a file that accepts everything and keeps nothing."""
    import io

    class Nowhere(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: "ReadableBuffer", /) -> int:
            return memoryview(data).nbytes

    return Nowhere()


def _complain(text: str, *, new_line: bool = False) -> None:
    """Print one line on standard error, if that can be written to."""
    from pymailbox.cli.output_options import silence
    from pymailbox.display import styled

    try:
        start = "\n" if new_line else ""  # after the ^C of the terminal
        print(f"{start}{styled('pymailbox:', 'red', sys.stderr)} {text}", file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


# --- arguments ------------------------------------------------------------------------------------------------


#: The modules of the commands. A parser for one of the commands named here needs the others of its module alone; a
#: command that is not named, such as the one that completes all others, needs the whole parser.
_MODULES = {
    "reading_commands": {"ls", "show", "save", "attachments"},
    "archive_commands": {"archive", "clean", "verify", "rebuild"},
    "watching_commands": {"watch", "wait"},
    "accounts_commands": {"accounts"},
    "server_commands": {"demo", "serve", "doctor"},
}


def make_parser(wanted: str = "") -> "argparse.ArgumentParser":
    """Return the parser of all commands, or a smaller one that parses the command `wanted` in the same way.

    The tables of options in `docs/cli.md` are made from it.
    """
    from pymailbox import __version__
    from pymailbox.cli.parser import Parser

    parser = Parser(
        prog="pymailbox",
        description="Read and manage a POP3 account, and keep its mail.",
        epilog="`pymailbox COMMAND --help` describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"pymailbox {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: "Callable[[argparse.Namespace], int]", text: str, more: str = "") -> Parser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}. {more}".rstrip())
        added.set_defaults(run=run, interrupted="nothing was changed")
        return added

    for module in [name for name in _MODULES if wanted in _MODULES[name]] or _MODULES:
        importlib.import_module(f"pymailbox.cli.{module}").add_commands(command)
    return parser
