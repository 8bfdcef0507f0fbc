"""The `pymailbox` command: demo, ls, show, serve and doctor.

A password is never an argument, because every user of the machine can read those. It comes from a command
(`--password-command`), the environment variable PYMAILBOX_PASSWORD, or a prompt. Text from servers and messages is
printed with control characters escaped. `ls` and `show` change nothing on the server: they mark no message, and do not
send QUIT after reading one.

Exit status: 0 for success, 1 if the account or the server failed, 2 for a usage error, 130 if interrupted.
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

#: Parts of error messages that name Python arguments, and the options of the command line that replace them.
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


# --- arguments ------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser that removes passwords and control characters from its error messages."""

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

    command("demo", _demo, "demonstrate pymailbox with a sample mailbox on this machine")

    _add_account(command("ls", _ls, "list the messages in an account, without changing anything"))

    show = command("show", _show, "show or save one message, without changing anything on the server")
    _add_account(show)
    show.add_argument("number", type=_number, metavar="N", help="the number of the message in the listing")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--headers", action="store_true", help="show all header fields, without downloading the message")
    form.add_argument(
        "--raw", action="store_true", help="write the bytes exactly as sent, including control characters"
    )
    form.add_argument("--save", metavar="WHERE", help="save the message as the file WHERE, or in the directory WHERE")

    serve = command("serve", _serve, "serve a Maildir, an mbox file or a folder of .eml files on this machine")
    serve.epilog = f"Clients log in with the password in ${_VARIABLE}, or 'secret' if that is not set."
    serve.add_argument("path", type=Path, metavar="PATH", help="the Maildir, the mbox file or the folder")
    serve.add_argument("--user", default="me", help="accept this user name (default: me)")
    serve.add_argument("--port", type=_port, default=0, help="listen on this port (default: any free port)")
    serve.add_argument(
        "--commit", action="store_true", help="delete from the files what clients delete (default: change no files)"
    )

    doctor = command("doctor", _doctor, "find out what a server really does, without changing anything")
    _add_account(doctor)
    doctor.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _add_account(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url", metavar="URL", type=_url, help="the account, as pops://user@host (or pop+starttls://, pop://)"
    )
    parser.add_argument("--user", help="log in as USER, if the URL has no user name")
    parser.add_argument(
        "--password-command",
        metavar="COMMAND",
        type=_words,
        help=f"run COMMAND to get the password from its first line of output (default: ${_VARIABLE}, or else a prompt)",
    )
    parser.add_argument("--oauth2", action="store_true", help="use the password as an OAuth2 access token")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca", type=_authority, metavar="FILE", help="trust the private certificate authority in FILE (PEM)"
    )
    trust.add_argument("--pin", type=_pin, metavar="SHA256", help="trust only the certificate with this fingerprint")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="give up after SECONDS of silence (default: 60)",
    )
    parser.add_argument(
        "--allow-plaintext", action="store_true", help="allow sending the password unencrypted to another machine"
    )


def _misused(error: Exception) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(_told(error))


def _url(value: str) -> Account:
    if _SECRET_IN_URL.search(value):
        raise argparse.ArgumentTypeError(
            f"a password on the command line can be read by others; set {_VARIABLE} or use --password-command"
        )
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
        raise argparse.ArgumentTypeError(f"invalid port: {value!r} (0 to 65535)")
    return int(value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"invalid number of seconds: {value!r} (more than 0)")
    return seconds


def _words(value: str) -> PasswordCommand:
    import shlex

    try:
        return PasswordCommand(shlex.split(value))
    except ValueError as error:
        raise _misused(error) from None
    except TypeError:
        raise argparse.ArgumentTypeError("the command must not be empty") from None


def _authority(value: str) -> "ssl.SSLContext":
    from pymailbox.pop3 import tls

    try:
        return tls.private_ca(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value} contains no PEM certificate") from None
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{value}: {error.strerror}") from None


def _pin(value: str) -> "ssl.SSLContext":
    from pymailbox.pop3 import tls

    try:
        return tls.pinned(value)
    except ValueError as error:
        raise _misused(error) from None


def _mailbox(options: argparse.Namespace) -> Mailbox:
    """Return a read-only mailbox for the options, not open yet."""
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
    """Ask on the terminal, even if the output is redirected; ValueError if there is no terminal."""
    import getpass
    import warnings

    try:
        if hidden:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)  # it cannot hide what is typed
                return getpass.getpass(safe_text(prompt))
        print(safe_text(prompt), end="", file=sys.stderr, flush=True)
        return input()
    except (EOFError, getpass.GetPassWarning):
        print(file=sys.stderr)
    if hidden:
        raise ValueError(f"no terminal to ask for the password; set {_VARIABLE} or use --password-command")
    raise ValueError("the URL has no user name; use pops://user@host or --user")


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
            held = "the mailbox is empty" if not len(inbox) else f"the last one is {len(inbox)}"
            raise ValueError(f"there is no message {options.number}; {held}")
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
        raise ValueError(f"{where} already exists with other content; remove it or choose another name") from error
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
    import errno
    import time

    from pymailbox.testing import Server

    given = os.environ.get(_VARIABLE)
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
        password = f"${_VARIABLE}" if given else "'secret'"
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
