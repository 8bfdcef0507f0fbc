"""The `pymailbox` command: a demonstration, a listing, one message, a server, a diagnosis.

A password never comes from the command line, where every user of the machine can read it: it comes from a command
(`--password-command`), from the environment variable PYMAILBOX_PASSWORD, or from a prompt. Whatever a server or a mail
says is shown with control characters escaped. `ls` and `show` leave nothing behind: they mark nothing, and say no QUIT
after a message was read.

Exit status: 0 done, 1 the account or the server failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pymailbox import __version__
from pymailbox.account import Account, OAuth2
from pymailbox.display import safe_text
from pymailbox.errors import MailboxError
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.passwords import PasswordCommand, PasswordEnv

if TYPE_CHECKING:
    import ssl

    from pymailbox.mailbox.message import Message

__all__ = ["main"]

_VARIABLE = "PYMAILBOX_PASSWORD"

_SECRET_IN_URL = re.compile(r"(://[^/\s:@]*):[^\s@]*@")

#: What errors say to programmers, and what that is here.
_IN_OTHER_WORDS = (
    ('security="tls" or "starttls", or pass allow_plaintext=True', "pops:// or pop+starttls://, or --allow-plaintext"),
    ('security="starttls"', "pop+starttls://"),
    ('security="tls"', "pops://"),
    ("tls.private_ca(path)", "--ca FILE"),
    ("tls.pinned(fingerprint) with ", "--pin "),
    ("tls.pinned(fingerprint)", "--pin SHA256"),
    ("auth=OAuth2(token)", "--oauth2"),
    ('auth="PLAIN"', "a URL like pops://user;auth=PLAIN@host"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # mail has characters that a terminal may not
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing is left to be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MailboxError, ValueError, OSError) as error:
        print(f"pymailbox: {_told(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\npymailbox: interrupted; nothing was changed", file=sys.stderr)
        return 130
    return status


def _told(error: Exception) -> str:
    return _in_other_words(safe_text(_SECRET_IN_URL.sub(r"\1:***@", str(error))))


def _in_other_words(text: str) -> str:
    for python, here in _IN_OTHER_WORDS:
        text = text.replace(python, here)
    return text


# --- what is asked for ----------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints show no password of a URL, and nothing that a terminal would obey."""

    def error(self, message: str) -> NoReturn:
        super().error(safe_text(_SECRET_IN_URL.sub(r"\1:***@", message)))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pymailbox", description="Read and manage a POP3 account.")
    parser.add_argument("--version", action="version", version=f"pymailbox {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(run=run)
        return added

    command("demo", _demo, "show what pymailbox does, on a sample mailbox on this machine")

    _add_account(command("ls", _ls, "list the messages of an account; changes nothing there"))

    show = command("show", _show, "show one message; changes nothing on the server")
    _add_account(show)
    show.add_argument("number", type=_number, metavar="N", help="its number in the listing")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--headers", action="store_true", help="all headers, without downloading the message")
    form.add_argument("--raw", action="store_true", help="the bytes as sent, control characters included")
    form.add_argument("--save", metavar="WHERE", help="save the message as a file, or in a directory")

    serve = command("serve", _serve, "serve a Maildir, an mbox or a folder of .eml files on loopback")
    serve.add_argument("path", type=Path, metavar="PATH")
    serve.add_argument("--user", default="me", help="the user name (me)")
    serve.add_argument("--port", type=_port, default=0, help="a port (one that the system chooses)")
    serve.add_argument(
        "--commit", action="store_true", help="delete from the files what a session deletes (default: leave them alone)"
    )

    doctor = command("doctor", _doctor, "find out what a server really does; marks and deletes nothing")
    _add_account(doctor)
    doctor.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _add_account(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", type=_url, help="pops://user@host, pop+starttls:// or pop://")
    parser.add_argument("--user", help="the user, where the URL names none")
    parser.add_argument(
        "--password-command",
        metavar="COMMAND",
        type=_words,
        help=f"a command whose first line of output is the password (else ${_VARIABLE}, else a prompt)",
    )
    parser.add_argument("--oauth2", action="store_true", help="the password is an OAuth2 access token")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--ca", type=_authority, metavar="FILE", help="a private authority's certificate, as PEM")
    trust.add_argument("--pin", type=_pin, metavar="SHA256", help="the fingerprint of the server's certificate")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="give up after SECONDS of silence (default 60)",
    )
    parser.add_argument(
        "--allow-plaintext", action="store_true", help="send the password without TLS beyond this machine"
    )


def _misused(error: Exception) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(_told(error))


def _url(value: str) -> Account:
    try:
        return Account.from_url(value, refuse_password=True)
    except (ValueError, TypeError) as error:
        raise _misused(error) from None


def _number(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19 and int(value) > 0):
        raise argparse.ArgumentTypeError(f"invalid message number: {value!r} (1 or more)")
    return int(value)


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) < 65536):
        raise argparse.ArgumentTypeError(f"{value!r} is no port (0 to 65535)")
    return int(value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{value!r} is no number of seconds")
    return seconds


def _words(value: str) -> PasswordCommand:
    import shlex

    try:
        return PasswordCommand(shlex.split(value))
    except ValueError as error:
        raise _misused(error) from None
    except TypeError:
        raise argparse.ArgumentTypeError("the command is empty") from None


def _authority(value: str) -> "ssl.SSLContext":
    from pymailbox.pop3 import tls

    try:
        return tls.private_ca(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value} holds no certificate in PEM form") from None
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{value}: {error.strerror}") from None


def _pin(value: str) -> "ssl.SSLContext":
    from pymailbox.pop3 import tls

    try:
        return tls.pinned(value)
    except ValueError as error:
        raise _misused(error) from None


def _mailbox(options: argparse.Namespace) -> Mailbox:
    """Return the read-only mailbox that the options describe, not open yet."""
    account: Account = options.url
    user = options.user or account.user or _asked("User: ")
    secret = _password(options, f"{'Token' if options.oauth2 else 'Password'} of {user} at {account.host}: ")
    return Mailbox(
        account.host,
        user,
        None if options.oauth2 else secret,
        port=account.port,
        security=account.security,
        auth=OAuth2(secret) if options.oauth2 else account.auth,
        ssl_context=options.ca or options.pin,
        timeout=options.timeout,
        allow_plaintext=options.allow_plaintext,
        read_only=True,
    )


def _password(options: argparse.Namespace, prompt: str) -> PasswordCommand | PasswordEnv | Callable[[], str]:
    if options.password_command is not None:
        command: PasswordCommand = options.password_command
        return command
    return PasswordEnv(_VARIABLE) if os.environ.get(_VARIABLE) else lambda: _asked(prompt, hidden=True)


def _asked(prompt: str, *, hidden: bool = False) -> str:
    """Ask at the terminal, whatever the output is; ValueError where there is none."""
    import getpass
    import warnings

    try:
        if hidden:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)  # it could not hide what is typed
                return getpass.getpass(safe_text(prompt))
        print(safe_text(prompt), end="", file=sys.stderr, flush=True)
        return input()
    except (EOFError, getpass.GetPassWarning):
        print(file=sys.stderr)
    if hidden:
        raise ValueError(f"there is no terminal to ask for a password at: set {_VARIABLE} or use --password-command")
    raise ValueError("the URL names no user: pops://user@host, or --user")


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[Mailbox]:
    """Open the mailbox, and leave no trace: no QUIT where a message was read, as some servers hide it then."""
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
    from pymailbox.display import octets

    with _opened(options) as inbox:
        total = f"{len(inbox)} {'message' if len(inbox) == 1 else 'messages'}, {octets(inbox.size)}"
        if len(inbox):
            list_mailbox(inbox)
            print()
    print(total)
    return 0


def _show(options: argparse.Namespace) -> int:
    from pymailbox.display import octets, safe_text

    with _opened(options) as inbox:
        if options.number > len(inbox):
            raise ValueError(f"there is no message {options.number}: the mailbox has {len(inbox)}")
        message = inbox[options.number - 1]
        if options.raw:
            sys.stdout.flush()
            message.write_to(sys.stdout.buffer)
            sys.stdout.buffer.flush()
        elif options.save is not None:
            path = _saved(message, options.save)
            print(f"{octets(path.stat().st_size)} written to {safe_text(str(path), limit=None)}")
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
        raise ValueError(f"{where} exists with other content; remove it, or name another file") from error
    except OSError as error:
        raise ValueError(f"{where}: {error.strerror}") from error


def _print_message(message: "Message") -> None:
    from pymailbox.display import local_time, octets, safe_text

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
        print(f"[{name}: {kind}, {octets(part.size)}]")


def _serve(options: argparse.Namespace) -> int:
    import time

    from pymailbox.testing import Server

    given = os.environ.get(_VARIABLE)
    with Server(
        options.path, user=options.user, password=given or "secret", port=options.port, commit=options.commit
    ) as server:
        count = len(server.messages)
        told = f"${_VARIABLE}" if given else "'secret'"
        print(
            f"{count} {'message' if count == 1 else 'messages'} at {server.url} (password: {told}); Ctrl-C ends it",
            flush=True,
        )
        try:
            while True:
                time.sleep(3600)  # in the other threads it serves; a wait without end would hold Ctrl-C on Windows
        except KeyboardInterrupt:
            print("\nended", file=sys.stderr)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    import json

    from attrs import evolve

    from pymailbox.diagnosis import diagnose
    from pymailbox.display import window

    report = diagnose(_mailbox(options))
    report = evolve(
        report,
        problems=tuple(map(_in_other_words, report.problems)),
        advice=tuple(map(_in_other_words, report.advice)),
    )
    print(json.dumps(report.as_dict(), indent=2) if options.json else report.text(min(window() or 79, 100)))
    return 0 if report.opened else 1
