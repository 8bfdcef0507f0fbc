"""The commands around a server: demo, serve and doctor."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from pymailbox.cli.account_options import VARIABLE, account_of, add_account, in_other_words, mailbox_options
from pymailbox.mailbox.mailbox import Mailbox

__all__ = ["add_server_commands"]


def add_server_commands(
    command: Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser],
) -> None:
    """Add the commands; `command` adds one with its name, what runs it, and its help."""
    command("demo", _demo, "demonstrate pymailbox with a sample mailbox on this machine")

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


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) < 65536):
        raise argparse.ArgumentTypeError(f"invalid port: {value!r} (0 to 65535)")
    return int(value)


def _demo(_: argparse.Namespace) -> int:
    from pymailbox.cli.demo import demonstrate

    demonstrate()
    return 0


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

    report = diagnose(Mailbox.from_account(account_of(options), **mailbox_options(options, read_only=True)))
    report = evolve(
        report,
        problems=tuple(map(in_other_words, report.problems)),
        advice=tuple(map(in_other_words, report.advice)),
    )
    print(json.dumps(report.as_dict(), indent=2) if options.json else report.text(min(window() or 79, 100)))
    return 0 if report.opened else 1
