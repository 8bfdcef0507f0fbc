"""The commands of archives: archive, clean, verify and rebuild.

Exit status, beside those of all commands: 3 if some messages could not be archived (the others are safe), 4 if
`verify` found damage, 5 if another run is writing to the archive, 6 if the server has given its messages new uids, 75
if trying again later may help, 77 if the login was refused.
"""

import argparse
import re
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pymailbox.cli.account_options import account_of, add_account, mailbox_options
from pymailbox.display import format_size, safe_text
from pymailbox.errors import ArchiveLocked, AuthenticationError, MailboxError, UidsChanged
from pymailbox.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymailbox.archive import Keep

__all__ = ["add_archive_commands"]

PARTLY, DAMAGED, LOCKED, RENUMBERED, LATER, REFUSED = 3, 4, 5, 6, 75, 77

_UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def add_archive_commands(
    command: Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser],
) -> None:
    """Add the commands; `command` adds one with its name, what runs it, and its help."""
    archive = command("archive", _archive, "archive every new message of an account, each once, whatever happens")
    add_account(archive)
    archive.add_argument(
        "--to", required=True, type=_directory, metavar="DIR", help="the archive; it is made on first use"
    )
    _add_keep(archive, "delete from the server what is archived, except ")
    archive.add_argument("--limit", type=_count, metavar="N", help="archive N messages at most")
    archive.add_argument(
        "--renumbered",
        action="store_true",
        help="accept that the server has given all messages new uids; delete nothing",
    )
    _add_dry_run(archive)

    clean = command("clean", _clean, "delete archived messages from the server, and archive nothing")
    add_account(clean)
    clean.add_argument("--to", required=True, type=_directory, metavar="DIR", help="the archive")
    _add_keep(clean, "do not delete ")
    clean.add_argument(
        "--at-most", type=_part, default=0.5, metavar="PART", help="delete PART of the mailbox at most (default 0.5)"
    )
    _add_dry_run(clean)

    verify = command("verify", _verify, "read an archive and compare every message with its hash")
    verify.add_argument("archive", type=_directory, metavar="DIR", help="the archive")
    verify.add_argument(
        "--sample", type=_part, default=1.0, metavar="PART", help="read only a random PART of it, such as 0.1"
    )

    rebuild = command("rebuild", _rebuild, "make a new ledger for an archive from its files; the old one is kept")
    rebuild.add_argument("archive", type=_directory, metavar="DIR", help="the archive")

    for added in (archive, clean, verify, rebuild):
        added.set_defaults(status_of=_status_of)
    archive.set_defaults(interrupted="what was archived is safe; run it again for the rest")
    clean.set_defaults(wrong_usage=clean.error, interrupted="what is archived is safe; run it again for the rest")


def _status_of(error: Exception) -> int:
    """Return the exit status for an error."""
    if isinstance(error, ArchiveLocked):
        return LOCKED
    if isinstance(error, UidsChanged):
        return RENUMBERED
    if isinstance(error, AuthenticationError):
        return REFUSED
    return LATER if isinstance(error, MailboxError) and error.retryable else 1


def _add_keep(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--keep-days", type=_days, metavar="N", help=f"{what}the messages archived less than N days ago"
    )
    parser.add_argument("--keep-latest", type=_count_or_none, metavar="N", help=f"{what}the newest N messages")
    parser.add_argument(
        "--keep-bytes", type=_size, metavar="SIZE", help=f"{what}the newest that fit into SIZE, such as 500M"
    )


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")


# --- arguments ------------------------------------------------------------------------------------------------


def _directory(value: str) -> Path:
    if not value:  # an unset variable of a script
        raise argparse.ArgumentTypeError("the directory must not be empty; the current one is .")
    return Path(value)


def _count_or_none(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise argparse.ArgumentTypeError(f"invalid number of messages: {value!r}")
    return int(value)


def _count(value: str) -> int:
    count = _count_or_none(value)
    if not count:
        raise argparse.ArgumentTypeError(f"invalid number of messages: {value!r} (1 or more)")
    return count


def _days(value: str) -> float:
    days = _number(value)
    if not 0 <= days < 1e6:
        raise argparse.ArgumentTypeError(f"invalid number of days: {value!r}")
    return days


def _part(value: str) -> float:
    part = _number(value)
    if not 0 < part <= 1:
        raise argparse.ArgumentTypeError(f"invalid part: {value!r} (more than 0, and 1 at most)")
    return part


def _number(value: str) -> float:
    """Return a number, or -1 for what is not one."""
    try:
        return float(value)
    except ValueError:
        return -1.0


def _size(value: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})([BKMGT]?)B?", value.upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"invalid size: {value!r}; expected bytes, or a number with K, M, G or T")
    return int(match[1]) * _UNITS[match[2]]


def _keep(options: argparse.Namespace) -> "Keep":
    from pymailbox.archive import Keep

    given = options.keep_days, options.keep_latest, options.keep_bytes
    return Keep.everything() if given == (None, None, None) else Keep(*given)


# --- the commands ---------------------------------------------------------------------------------------------


def _archive(options: argparse.Namespace) -> int:
    from pymailbox.archive import Archive

    account = account_of(options)
    with Archive(options.to) as archive, _shown() as progress:
        done = archive.collect(
            account,
            keep=_keep(options),
            dry_run=options.dry_run,
            renumbered=options.renumbered,
            limit=options.limit,
            progress=progress,
            **mailbox_options(options),
        )
    print(safe_text(str(done), limit=None))
    return PARTLY if done.failed or done.set_aside else 0


def _clean(options: argparse.Namespace) -> int:
    from pymailbox.archive import Archive

    keep = _keep(options)
    if keep.keeps_everything:
        options.wrong_usage("clean needs --keep-days, --keep-latest or --keep-bytes; --keep-latest 0 keeps nothing")
    account = account_of(options)
    with Archive(options.to) as archive:
        done = archive.clean(
            account, keep, dry_run=options.dry_run, at_most=options.at_most, **mailbox_options(options)
        )
    print(safe_text(str(done), limit=None))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from pymailbox.archive import Archive

    with Archive(options.archive) as archive, _shown() as progress:
        found = archive.verify(sample=options.sample, progress=progress)
    print(found)
    for path in found.damaged:
        print(f"damaged  {safe_text(str(path), limit=None)}")
    for name in found.missing:
        print(f"missing  {safe_text(name, limit=None)}")
    return 0 if found else DAMAGED


def _rebuild(options: argparse.Namespace) -> int:
    from pymailbox.archive import Archive

    with _shown() as progress:
        done = Archive.rebuild(options.archive, progress=progress)
    print(done)
    for path in done.damaged:
        print(f"damaged  {safe_text(str(path), limit=None)}")
    return DAMAGED if done.damaged else 0


@contextmanager
def _shown() -> "Iterator[Callable[[Progress], None] | None]":
    """Show progress on one line of the terminal; nothing if the errors go elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(progress: Progress) -> None:
        total = "" if progress.total_messages is None else f"/{progress.total_messages:,}"
        size = "" if progress.total_bytes is None else f" of {format_size(progress.total_bytes)}"
        print(
            f"\r\033[K{progress.messages:,}{total} messages, {format_size(progress.bytes)}{size}",
            end="",
            file=sys.stderr,
        )

    try:
        yield show
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
