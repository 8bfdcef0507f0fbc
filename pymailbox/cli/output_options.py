"""The options that say what a command prints, `-v`, `--quiet`, `--json` and `--progress`, and how JSON is printed."""

import argparse
import contextlib
import sys
from collections.abc import Iterator

__all__ = ["add_json", "add_quiet", "add_verbose", "conversation_shown", "print_json"]


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add `-v` to a command that talks to a server."""
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="show the commands and replies on standard error, without secrets and mail",
    )


def add_json(parser: argparse.ArgumentParser, *, progress: bool = False) -> None:
    """Add `--json`, and for a command that shows progress `--progress`."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs, one object on each line")
    if progress:
        parser.add_argument(
            "--progress", action="store_true", help="with --json, print progress as well, some ten objects a second"
        )


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add `--quiet`."""
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing unless something went wrong")


def print_json(value: object) -> None:
    """Print a value as one line of JSON in ASCII, whatever the locale, with every control character escaped."""
    import json

    print(json.dumps(value).replace("\x7f", "\\u007f"))  # the only one that json leaves as it is


@contextlib.contextmanager
def conversation_shown(options: argparse.Namespace) -> Iterator[None]:
    """Show the log of the conversation with the server in this block, if `-v` was given."""
    if not getattr(options, "verbose", False):
        yield
        return
    import logging

    logger, handler = logging.getLogger("pymailbox.wire"), logging.StreamHandler(sys.stderr)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
