"""The commands around a server: demo, serve and doctor."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from pymailbox.cli.account_options import (
    VARIABLE,
    account_of,
    add_account,
    filled,
    in_other_words,
    mailbox_options,
)
from pymailbox.cli.exit_status import DONE, FAILED
from pymailbox.cli.output_options import add_json, add_verbose, print_json

if TYPE_CHECKING:
    from pymailbox.testing import Quirk, Server

__all__ = ["add_commands"]

#: The environment variable that may hold an OAuth2 access token.
TOKEN = "PYMAILBOX_TOKEN"  # noqa: S105 - its name


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands; `command` adds one with its name, what runs it, and its help."""
    command("demo", _demo, "show how pymailbox works, with a sample mailbox")

    serve = command("serve", _serve, "serve files as a POP3 account on this machine")
    serve.epilog = (
        f"Clients log in with the password in ${VARIABLE}, or 'secret' if that is not set; and with OAuth2 if ${TOKEN}"
        " has the token."
    )
    serve.add_argument("path", type=filled, nargs="?", metavar="PATH", help="the Maildir, the mbox file or the folder")
    serve.add_argument(
        "--sample", action="store_true", help="serve the sample mailbox of `pymailbox demo` instead of a PATH"
    )
    serve.add_argument("--user", type=filled, default="me", metavar="USER", help="accept this user name (default: me)")
    serve.add_argument(
        "--port", type=_port, default=0, metavar="PORT", help="listen on this port (default: any free port)"
    )
    serve.add_argument(
        "--tls", action="store_true", help="use TLS, with a certificate made for this run; clients need its --ca FILE"
    )
    serve.add_argument(
        "--commit", action="store_true", help="delete from the files what clients delete (default: change no files)"
    )
    serve.add_argument(
        "--quirk",
        action="append",
        type=_quirk,
        default=[],
        metavar="NAME",
        help="imitate an odd server, such as NO_CAPA or HIDES_READ; may be repeated",
    )
    serve.set_defaults(wrong_usage=serve.error)

    doctor = command("doctor", _doctor, "find out what a server really does", "Nothing changes on the server.")
    add_account(doctor)
    add_json(doctor)
    add_verbose(doctor)


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) < 65536):
        raise argparse.ArgumentTypeError(f"invalid port: {value!r} (0 to 65535)")
    return int(value)


def _quirk(value: str) -> "Quirk":
    from difflib import get_close_matches

    from pymailbox.testing import Quirk

    name = value.upper().replace("-", "_")
    found = Quirk.__members__.get(name)
    if found is None:
        similar = get_close_matches(name, Quirk.__members__, 1)
        hint = f"; did you mean {similar[0]}?" if similar else ", such as NO_CAPA"
        raise argparse.ArgumentTypeError(f"unknown quirk: {value!r}{hint}")
    return found


def _demo(_: argparse.Namespace) -> int:
    from pymailbox.cli.demo import demonstrate

    demonstrate()
    return DONE


def _serve(options: argparse.Namespace) -> int:
    import errno
    import time

    from pymailbox.testing import Server
    from pymailbox.testing.samples import SAMPLES

    if options.sample == (options.path is not None):
        options.wrong_usage("serve needs either PATH or --sample")
    if options.sample and options.commit:
        options.wrong_usage("--commit needs PATH: the sample mailbox has no files")
    given, token = os.environ.get(VARIABLE) or None, os.environ.get(TOKEN)
    server = Server(
        SAMPLES if options.sample else Path(options.path),
        user=options.user,
        password=given or "secret",
        port=options.port,
        commit=options.commit,
        security="tls" if options.tls else "none",
        sasl=("PLAIN", "XOAUTH2", "OAUTHBEARER") if token else ("PLAIN",),
        token=token,
        quirks=options.quirk,
    )
    try:
        server.open()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ValueError(f"port {options.port} is in use; pass another --port, or omit it") from error
    except RuntimeError as error:
        raise ValueError("--tls needs trustme: pip install 'pymailbox[testing]'") from error
    try:
        print("\n".join(_served(server, given, trusted=options.tls)), flush=True)
        while True:
            time.sleep(3600)  # other threads serve; an unlimited wait would block Ctrl-C on Windows
    except KeyboardInterrupt:  # SIGTERM and SIGHUP too: the usual ends of a server
        with contextlib.suppress(OSError):  # the terminal was closed
            print("\nstopped", file=sys.stderr, flush=True)
    finally:
        server.close()
    return DONE


def _served(server: "Server", password: str | None, *, trusted: bool) -> list[str]:
    """Return the lines that say where the mailbox is; the last one can be copied into a POSIX shell."""
    import shlex

    count = len(server.messages)
    shown = "'secret'" if password is None else f"${VARIABLE}"
    where = f"{count} {'message' if count == 1 else 'messages'} at {server.url} (password: {shown})"
    trust = [f"clients trust it with --ca {server.ca}"] if trusted else []
    known = f" {VARIABLE}=secret" if password is None else ""  # the secret of the user is not shown
    return [f"{where}; press Ctrl-C to stop", *trust, f"export PYMAILBOX_URL={shlex.quote(server.url)}{known}"]


def _doctor(options: argparse.Namespace) -> int:
    from pymailbox.diagnosis import diagnose
    from pymailbox.display import window
    from pymailbox.mailbox.mailbox import Mailbox

    report = diagnose(Mailbox.from_account(account_of(options), **mailbox_options(options, read_only=True)))
    report = evolve(
        report,
        problems=tuple(map(in_other_words, report.problems)),
        advice=tuple(map(in_other_words, report.advice)),
    )
    if options.json:
        print_json(report.as_dict())
    else:
        print(report.text(min(window() or 79, 100)))
    return DONE if report.opened else FAILED
