"""`python -m pymailbox.testing HOST FILE` records sessions of any client with the POP3 server of that name."""

import argparse
import contextlib
import signal
import ssl
import sys
import time

from pymailbox.testing.recorder import Recorder

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pymailbox.testing",
        description="Record sessions with a POP3 server. Connect a client without TLS to the address that is printed;"
        " Ctrl-C writes the file. See docs/testing.md for what it does not contain.",
    )
    parser.add_argument("host", metavar="HOST", help="the server to record")
    parser.add_argument("file", metavar="FILE", help="the file to write, over an earlier one")
    parser.add_argument("--port", type=int, metavar="N", help="port of the server (default 995, without TLS 110)")
    parser.add_argument(
        "--security", choices=("tls", "starttls", "none"), default="tls", help="how to connect to it (default tls)"
    )
    parser.add_argument("--ca", metavar="PEM", help="file of the authority that signed its certificate")
    parser.add_argument(
        "--bodies", choices=("blank", "keep"), default="blank", help="keep mails as they are (default blank)"
    )
    parser.add_argument("--keep-user", action="store_true", help="keep user names")
    parser.add_argument(
        "--redact", metavar="TEXT", action="append", default=[], help="replace this too; may be used several times"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Record until SIGINT or SIGTERM; return the exit status."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        context = ssl.create_default_context(cafile=given.ca) if given.ca else None
        recorder = Recorder(
            given.file,
            given.host,
            given.port,
            security=given.security,
            ssl_context=context,
            bodies=given.bodies,
            keep_user=given.keep_user,
            redact=given.redact,
        )
        with recorder, contextlib.suppress(KeyboardInterrupt):
            print(f"recording at {recorder.host}:{recorder.port}, without TLS; Ctrl-C ends", flush=True)
            while True:
                time.sleep(3600)  # until a signal
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{recorder.sessions} sessions in {given.file}" if recorder.sessions else "no session, nothing written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
