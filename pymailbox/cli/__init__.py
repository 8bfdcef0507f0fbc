"""The `pymailbox` command: demo, ls, show, serve, doctor, and those of archives.

A password is never an argument, because every user of the machine can read those. It comes from a command
(`--password-command`), the environment variable PYMAILBOX_PASSWORD, or a prompt. Text from servers and messages is
printed with control characters escaped. `ls` and `show` change nothing on the server: they mark no message, and do not
send QUIT after reading one.

Exit status: 0 for success, 1 if the account or the server failed, 2 for a usage error, 130 if interrupted.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

from pymailbox import __version__
from pymailbox.cli.account_options import told
from pymailbox.cli.accounts_commands import add_accounts_commands
from pymailbox.cli.archive_commands import add_archive_commands
from pymailbox.cli.parser import Parser
from pymailbox.cli.reading_commands import add_reading_commands
from pymailbox.cli.server_commands import add_server_commands
from pymailbox.errors import MailboxError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the terminal may not be able to show every character
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has stopped reading; make sure that nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MailboxError, ValueError, OSError) as error:
        print(f"pymailbox: {told(error)}", file=sys.stderr)
        failed: int = options.status_of(error)
        return failed
    except KeyboardInterrupt:
        print(f"\npymailbox: interrupted; {options.interrupted}", file=sys.stderr)
        return 130
    return status


# --- arguments ------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pymailbox", description="Read and manage a POP3 account.")
    parser.add_argument("--version", action="version", version=f"pymailbox {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(run=run, status_of=lambda _: 1, interrupted="nothing was changed")
        return added

    add_reading_commands(command)
    add_archive_commands(command)
    add_accounts_commands(command, parser)
    add_server_commands(command)
    return parser
