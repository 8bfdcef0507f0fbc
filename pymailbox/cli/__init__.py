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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from attrs import evolve

from pymailbox import __version__
from pymailbox.cli.account_options import (
    VARIABLE,
    account_of,
    add_account,
    in_other_words,
    mailbox_options,
    told,
    without_password,
)
from pymailbox.cli.archive_commands import add_archive_commands
from pymailbox.display import safe_text
from pymailbox.errors import MailboxError
from pymailbox.mailbox.mailbox import Mailbox

if TYPE_CHECKING:
    from pymailbox.mailbox.message import Message

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


class _Parser(argparse.ArgumentParser):
    """A parser that removes passwords and control characters from its error messages."""

    def error(self, message: str) -> NoReturn:
        super().error(without_password(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pymailbox", description="Read and manage a POP3 account.")
    parser.add_argument("--version", action="version", version=f"pymailbox {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(run=run, status_of=lambda _: 1, interrupted="nothing was changed")
        return added

    command("demo", _demo, "demonstrate pymailbox with a sample mailbox on this machine")

    add_account(command("ls", _ls, "list the messages in an account, without changing anything"))

    show = command("show", _show, "show or save one message, without changing anything on the server")
    add_account(show)
    show.add_argument("number", type=_number, metavar="N", help="the number of the message in the listing")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--headers", action="store_true", help="show all header fields, without downloading the message")
    form.add_argument(
        "--raw", action="store_true", help="write the bytes exactly as sent, including control characters"
    )
    form.add_argument("--save", metavar="WHERE", help="save the message as the file WHERE, or in the directory WHERE")

    add_archive_commands(command)

    serve = command("serve", _serve, "serve a Maildir, an mbox file or a folder of .eml files on this machine")
    serve.epilog = f"Clients log in with the password in ${VARIABLE}, or 'secret' if that is not set."
    serve.add_argument("path", type=Path, metavar="PATH", help="the Maildir, the mbox file or the folder")
    serve.add_argument("--user", default="me", help="accept this user name (default: me)")
    serve.add_argument("--port", type=_port, default=0, help="listen on this port (default: any free port)")
    serve.add_argument(
        "--commit", action="store_true", help="delete from the files what clients delete (default: change no files)"
    )

    doctor = command("doctor", _doctor, "find out what a server really does, without changing anything")
    add_account(doctor)
    doctor.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _number(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19 and int(value) > 0):
        raise argparse.ArgumentTypeError(f"invalid message number: {value!r} (1 or more)")
    return int(value)


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) < 65536):
        raise argparse.ArgumentTypeError(f"invalid port: {value!r} (0 to 65535)")
    return int(value)


def _mailbox(options: argparse.Namespace) -> Mailbox:
    """Return a read-only mailbox for the options, not open yet."""
    return Mailbox.from_account(account_of(options), **mailbox_options(options, read_only=True))


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[Mailbox]:
    """Open the mailbox and leave no trace: no QUIT after a message was read, because some servers then hide it."""
    with _mailbox(options) as inbox:
        yield inbox
        inbox.rollback()


# --- the commands ---------------------------------------------------------------------------------------------


def _demo(_: argparse.Namespace) -> int:
    from pymailbox.cli.demo import demonstrate

    demonstrate()
    return 0


def _ls(options: argparse.Namespace) -> int:
    from pymailbox.cli.demo import list_mailbox
    from pymailbox.display import format_size

    with _opened(options) as inbox:
        total = f"{len(inbox)} {'message' if len(inbox) == 1 else 'messages'}, {format_size(inbox.size)}"
        if len(inbox):
            list_mailbox(inbox)
            print()
    print(total)
    return 0


def _show(options: argparse.Namespace) -> int:
    from pymailbox.display import format_size

    with _opened(options) as inbox:
        if options.number > len(inbox):
            held = "the mailbox is empty" if not len(inbox) else f"the last one is {len(inbox)}"
            raise ValueError(f"there is no message {options.number}; {held}")
        message = inbox[options.number - 1]
        if options.raw:
            sys.stdout.flush()
            message.write_to(sys.stdout.buffer)
            sys.stdout.buffer.flush()
        elif options.save is not None:
            path = _saved(message, options.save)
            print(f"{format_size(path.stat().st_size)} written to {safe_text(str(path), limit=None)}")
        elif options.headers:
            for name, value in message.headers.items():
                print(f"{safe_text(name, limit=None)}: {safe_text(value, limit=None)}")
        else:
            _print_message(message)
    return 0


def _saved(message: "Message", where: str) -> Path:
    try:
        return message.save(where)
    except MailboxError:
        raise
    except FileExistsError as error:
        raise ValueError(f"{where} already exists with other content; remove it or choose another name") from error
    except OSError as error:
        raise ValueError(f"{where}: {error.strerror}") from error


def _print_message(message: "Message") -> None:
    from pymailbox.display import format_size, local_time

    for name, value in (
        ("From", message.content.from_),
        ("To", ", ".join(map(str, message.to))),
        ("Cc", ", ".join(map(str, message.cc))),
        ("Date", local_time(message.date)),
        ("Subject", message.subject),
    ):
        if value:
            print(f"{name + ':':9}{safe_text(str(value), limit=None)}")
    print("\n" + safe_text(message.body, multiline=True, limit=None).rstrip("\n"))
    for part in message.attachments:
        name, kind = safe_text(part.filename, limit=None), safe_text(part.content_type, limit=None)
        print(f"[{name}: {kind}, {format_size(part.size)}]")


def _serve(options: argparse.Namespace) -> int:
    import errno
    import time

    from pymailbox.testing import Server

    given = os.environ.get(VARIABLE)
    server = Server(
        options.path, user=options.user, password=given or "secret", port=options.port, commit=options.commit
    )
    try:
        server.open()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ValueError(f"port {options.port} is in use; pass another --port, or omit it") from error
    try:
        count = len(server.messages)
        password = f"${VARIABLE}" if given else "'secret'"
        print(
            f"{count} {'message' if count == 1 else 'messages'} at {server.url} (password: {password});"
            " press Ctrl-C to stop",
            flush=True,
        )
        while True:
            time.sleep(3600)  # other threads serve; an unlimited wait would block Ctrl-C on Windows
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
    finally:
        server.close()
    return 0


def _doctor(options: argparse.Namespace) -> int:
    import json

    from pymailbox.diagnosis import diagnose
    from pymailbox.display import window

    report = diagnose(_mailbox(options))
    report = evolve(
        report,
        problems=tuple(map(in_other_words, report.problems)),
        advice=tuple(map(in_other_words, report.advice)),
    )
    print(json.dumps(report.as_dict(), indent=2) if options.json else report.text(min(window() or 79, 100)))
    return 0 if report.opened else 1
