"""The `pymailbox` command: a demonstration, a listing, one message, a server, a diagnosis.

A password never comes from the command line, where every user of the machine can read it: it comes from a command
(`--password-command`), from the environment variable PYMAILBOX_PASSWORD, or from a prompt. Whatever a server or a mail
says is shown with control characters escaped.

Exit status: 0 done, 1 the account or the server failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import getpass
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pymailbox import __version__
from pymailbox.account import Account
from pymailbox.errors import MailboxError, printable
from pymailbox.mailbox import Mailbox

__all__ = ["main"]

_VARIABLE = "PYMAILBOX_PASSWORD"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing is left to be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MailboxError, ValueError, OSError) as error:
        print(f"pymailbox: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("pymailbox: interrupted; nothing was committed", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pymailbox", description="Read and tend a POP3 account.")
    parser.add_argument("--version", action="version", version=f"pymailbox {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="show what pymailbox does, on a sample mailbox on this machine")
    demo.set_defaults(run=_demo)

    ls = commands.add_parser("ls", help="list the messages of an account; downloads and changes nothing")
    _add_account(ls)
    ls.set_defaults(run=_ls)

    show = commands.add_parser("show", help="show one message")
    _add_account(show)
    show.add_argument("number", type=_number, metavar="N", help="its number in the listing")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--headers", action="store_true", help="all headers, by TOP: leaves no trace on the server")
    form.add_argument("--raw", action="store_true", help="the octets as sent, control characters included")
    form.add_argument("--save", type=Path, metavar="FILE", help="write the octets to a file")
    show.set_defaults(run=_show)

    serve = commands.add_parser("serve", help="serve a Maildir, an mbox or a folder of .eml files on loopback")
    serve.add_argument("path", type=Path, metavar="PATH")
    serve.add_argument("--user", default="me", help="the user name (me)")
    serve.add_argument("--port", type=int, default=0, help="a port (one that the system chooses)")
    serve.add_argument("--commit", action="store_true", help="really delete what a session deletes")
    serve.set_defaults(run=_serve)

    doctor = commands.add_parser("doctor", help="find out what a server really does; marks and deletes nothing")
    _add_account(doctor)
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.set_defaults(run=_doctor)
    return parser


def _add_account(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", type=_url, help="pops://user@host, pop+starttls:// or pop://")
    parser.add_argument("--user", help="the user, where the URL names none")
    parser.add_argument(
        "--password-command",
        metavar="COMMAND",
        help=f"a command whose first line of output is the password (else ${_VARIABLE}, else a prompt)",
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="a private authority's certificate, as PEM")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="of silence (30)")
    parser.add_argument(
        "--allow-plaintext", action="store_true", help="send the password without TLS beyond this machine"
    )


def _url(value: str) -> Account:
    if urlsplit(value).password is not None:
        raise argparse.ArgumentTypeError("a password on the command line can be read by others; leave it out")
    try:
        return Account.from_url(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _number(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise argparse.ArgumentTypeError(f"{value!r} is no message number (1 or more)")
    return int(value)


def _mailbox(options: argparse.Namespace) -> Mailbox:
    """Return the read-only mailbox that the options describe."""
    account: Account = options.url
    user = options.user or account.user or input("User: ")
    settings: dict[str, Any] = {}
    if options.ca is not None:
        from pymailbox.pop3 import tls

        settings["ssl_context"] = tls.private_ca(options.ca)
    return Mailbox(
        account.host,
        user,
        _password(options, f"Password of {user} at {account.host}: "),
        port=account.port,
        security=account.security,
        auth=account.auth,
        timeout=options.timeout,
        allow_plaintext=options.allow_plaintext,
        read_only=True,
        **settings,
    )


def _password(options: argparse.Namespace, prompt: str) -> Callable[[], str]:
    def ask() -> str:
        if options.password_command:
            words = shlex.split(options.password_command)
            try:
                done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603 - the user's own
            except subprocess.CalledProcessError as error:
                raise ValueError(f"the password command ended with status {error.returncode}") from None
            return done.stdout.split("\n", 1)[0]
        from_environment = os.environ.get(_VARIABLE)
        return from_environment if from_environment is not None else getpass.getpass(prompt)

    return ask


def _demo(_: argparse.Namespace) -> None:
    from pymailbox.demo import demonstrate

    demonstrate()


def _ls(options: argparse.Namespace) -> None:
    from pymailbox.demo import list_mailbox
    from pymailbox.terminal import octets

    with _mailbox(options) as inbox:
        list_mailbox(inbox)
        print(f"\n{len(inbox)} messages, {octets(inbox.size)}")


def _show(options: argparse.Namespace) -> None:
    from pymailbox.terminal import inert, local_time, octets

    with _mailbox(options) as inbox:
        if options.number > len(inbox):
            raise ValueError(f"there is no message {options.number}: the mailbox has {len(inbox)}")
        message = inbox[options.number - 1]
        if options.raw:
            sys.stdout.flush()
            message.write_to(sys.stdout.buffer)
        elif options.save is not None:
            print(f"{octets(message.save(options.save))} written to {printable(str(options.save))}")
        elif options.headers:
            for name, value in message.headers.items():
                print(f"{printable(name)}: {inert(value)}")
        else:
            fields = (
                ("From", message.from_),
                ("To", ", ".join(map(str, message.to))),
                ("Cc", ", ".join(map(str, message.cc))),
                ("Date", local_time(message.date)),
                ("Subject", message.subject),
            )
            for name, value in fields:
                if value:
                    print(f"{name + ':':9}{inert(str(value))}")
            print("\n" + inert(message.body).rstrip("\n"))
            for attachment in message.attachments:
                print(f"[{inert(attachment.filename)}: {attachment.content_type}, {octets(attachment.size)}]")


def _serve(options: argparse.Namespace) -> None:
    import threading

    from pymailbox.testing import Server

    password = os.environ.get(_VARIABLE) or "secret"
    with Server(
        options.path, user=options.user, password=password, port=options.port, read_only=not options.commit
    ) as server:
        told = f"${_VARIABLE}" if os.environ.get(_VARIABLE) else repr(password)
        print(f"{len(server.messages)} messages at {server.url} (password: {told}); Ctrl-C ends it", flush=True)
        threading.Event().wait()


def _doctor(options: argparse.Namespace) -> None:
    import json

    from pymailbox.diagnose import diagnose

    report = diagnose(_mailbox(options))
    print(json.dumps(report.as_dict(), indent=2) if options.json else report)
