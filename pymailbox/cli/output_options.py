"""The options that say what is printed, `-v`, `--quiet`, `--json` and `--progress`; how JSON and logs are printed."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import logging

__all__ = ["add_json", "add_quiet", "add_verbose", "conversation_shown", "log_shown", "print_json", "silence"]


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


def silence(stream: TextIO) -> None:
    """Make sure that nothing is left to flush at exit: it would fail again, and change the exit status."""
    try:
        stream.flush()
    except (OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def conversation_shown(options: argparse.Namespace) -> Iterator[None]:
    """Show the log of the conversation with the server in this block, if `-v` was given."""
    if not getattr(options, "verbose", False):
        yield
        return
    import logging

    with log_shown("pymailbox.wire", logging.DEBUG, logging.Formatter()):
        yield


@contextlib.contextmanager
def log_shown(name: str, level: int, formatter: "logging.Formatter") -> Iterator[None]:
    """Show a log on standard error in this block."""
    import logging

    logger, handler = logging.getLogger(name), logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
