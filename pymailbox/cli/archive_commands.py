"""The commands of archives: archive, clean, verify and rebuild."""

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pymailbox.cli.account_options import (
    ChosenAccount,
    add_account,
    add_config,
    chosen_account,
    chosen_accounts,
    error_text,
    in_other_words,
    named_archive,
    wrong_usage,
)
from pymailbox.cli.exit_status import DAMAGED, DONE, PARTLY, most_serious, of_output, status_of
from pymailbox.cli.interruption import stoppable
from pymailbox.cli.output_options import add_json, add_quiet, add_verbose, print_json
from pymailbox.cli.progress_display import shown
from pymailbox.display import format_size, safe_text, styled
from pymailbox.errors import MailboxError
from pymailbox.progress import Progress

if TYPE_CHECKING:
    from attrs import AttrsInstance

    from pymailbox.archive import Keep

__all__ = ["add_commands"]

_UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands; `command` adds one with its name, what runs it, and its help."""
    archive = command("archive", _archive, "keep every message of an account for good, each once")
    add_account(archive, several=True)
    archive.add_argument(
        "--to",
        type=_directory,
        metavar="DIR",
        help="the archive; it is made on first use (default: that of the accounts file)",
    )
    _add_keep(archive, "delete from the server what is archived, except ")
    archive.add_argument("--limit", type=_count, metavar="N", help="archive at most N messages")
    archive.add_argument(
        "--renumbered",
        action="store_true",
        help="accept that the server has given all messages new uids; delete nothing",
    )
    _add_dry_run(archive)

    clean = command("clean", _clean, "delete archived messages from the server")
    add_account(clean)
    clean.add_argument("--to", type=_directory, metavar="DIR", help="the archive (default: that of the accounts file)")
    _add_keep(clean, "do not delete ")
    clean.add_argument(
        "--at-most",
        type=_part,
        default=0.5,
        metavar="PART",
        help="delete at most this PART of the mailbox (default 0.5)",
    )
    _add_dry_run(clean)

    verify = command("verify", _verify, "compare every message of an archive with its hash")
    _add_archive(verify)
    verify.add_argument(
        "--sample", type=_part, default=1.0, metavar="PART", help="read only a random PART of it, such as 0.1"
    )

    rebuild = command("rebuild", _rebuild, "make a new ledger for an archive from its files", "The old one is kept.")
    _add_archive(rebuild)

    for added in (archive, clean, verify, rebuild):
        add_json(added, progress=added is not clean)
        add_quiet(added)
    for added in (archive, clean):
        add_verbose(added)
    archive.set_defaults(interrupted="what was archived is safe; run it again for the rest")
    clean.set_defaults(interrupted="what is archived is safe; run it again for the rest")


def _add_archive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "archive",
        type=_directory,
        metavar="NAME_OR_DIR",
        help="the archive: the name of an account in the accounts file, or a directory",
    )
    add_config(parser)
    parser.set_defaults(wrong_usage=parser.error)


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


def _directory(value: str) -> str:
    if not value:  # an unset variable of a script
        raise argparse.ArgumentTypeError("the directory must not be empty; the current one is .")
    return value


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


def _keep(options: argparse.Namespace, one: ChosenAccount) -> "Keep":
    """Return what stays on the server: by the options, or else by the accounts file."""
    from pymailbox.archive import Keep

    given = options.keep_days, options.keep_latest, options.keep_bytes
    if given != (None, None, None):
        return Keep(*given)
    return Keep(**one.keep) if one.keep else Keep.everything()


def _archive_of(options: argparse.Namespace, one: ChosenAccount) -> Path:
    """Return the archive of an account: by the option, or else by the accounts file."""
    path = one.archive if options.to is None else Path(options.to)
    if path is None:
        wrong_usage(options, f"{one.label} has no archive in the accounts file; pass --to DIR")
    return path


# --- the commands ---------------------------------------------------------------------------------------------


def _archive(options: argparse.Namespace) -> int:
    accounts = chosen_accounts(options)
    if options.to is not None and len(accounts) > 1:
        wrong_usage(options, "--to is for one account only; several have their archives in the accounts file")
    places = [_archive_of(options, one) for one in accounts]
    if len(accounts) == 1:
        return _archive_one(options, accounts[0], places[0])
    width = max(len(one.label) for one in accounts) + 2
    statuses = []
    for one, place in zip(accounts, places, strict=True):
        try:
            if one.problem is not None:
                raise one.problem
            statuses.append(_archive_one(options, one, place, one.label.ljust(width)))
        except (MailboxError, ValueError, OSError) as error:
            if of_output(error):
                raise
            print(f"{styled('pymailbox:', 'red', sys.stderr)} {one.label}: {error_text(error)}", file=sys.stderr)
            statuses.append(status_of(error))
    return most_serious(statuses)


def _archive_one(options: argparse.Namespace, one: ChosenAccount, place: Path, name: str = "") -> int:
    from pymailbox.archive import Archive

    _check_place(Archive(place).path)
    heading = f"{one.name or one.account.user or ''}  {one.account.host}"
    with stoppable() as stop:
        with Archive(place) as archive, shown("new", options, heading=heading, stop=stop) as progress:

            def report(state: Progress) -> None:
                stop.begun = True
                if progress is not None:
                    progress(state)

            done = archive.collect(
                one.account,
                keep=_keep(options, one),
                dry_run=options.dry_run,
                renumbered=options.renumbered,
                limit=options.limit,
                stop=stop.event,
                progress=report,
                **one.options,
            )
        status = PARTLY if done.failed or done.set_aside else DONE
        _print_result(options, done, str(done), status, name)
        stop.check()
    return status


def _check_place(path: Path) -> None:
    """Raise ValueError for a directory that has other things in it and no archive, such as the one above archives."""
    if not path.is_dir() or any((path / name).is_dir() for name in (".pymailbox", "new", "cur")):
        return
    if any(not one.name.startswith(".") and one.name != "lost+found" for one in path.iterdir()):
        raise ValueError(
            f"{path} has other files in it and is not an archive; name a directory of its own, such as {path / 'mail'}"
        )


def _clean(options: argparse.Namespace) -> int:
    from pymailbox.archive import Archive

    one = chosen_account(options)
    keep = _keep(options, one)
    if keep.keeps_everything:
        wrong_usage(options, "clean needs --keep-days, --keep-latest or --keep-bytes; --keep-latest 0 keeps nothing")
    with Archive(_archive_of(options, one)) as archive:
        done = archive.clean(one.account, keep, dry_run=options.dry_run, at_most=options.at_most, **one.options)
    _print_result(options, done, str(done), DONE)
    return DONE


def _verify(options: argparse.Namespace) -> int:
    from pymailbox.archive import Archive

    path = named_archive(options, options.archive)
    if path.is_dir() and not any(path.iterdir()):
        raise FileNotFoundError(f"there is no archive at {str(path)!r}: the directory is empty; is its disk mounted?")
    began = time.monotonic()
    with Archive(path) as archive, shown("read", options) as progress:
        found = archive.verify(sample=options.sample, progress=progress)
    read, rest = str(found).split("; ", 1)
    status = DONE if found else DAMAGED
    _print_result(options, found, f"{read}{_speed(found.bytes, time.monotonic() - began)}; {rest}", status)
    if not options.json:
        _print_paths("damaged", found.damaged)
        _print_paths("missing", found.missing)
    return status


def _rebuild(options: argparse.Namespace) -> int:
    from pymailbox.archive import Archive

    path = named_archive(options, options.archive)
    with shown("read", options) as progress:
        done = Archive.rebuild(path, progress=progress)
    status = DAMAGED if done.damaged else DONE
    _print_result(options, done, str(done), status)
    if not options.json:
        _print_paths("damaged", done.damaged)
    return status


# --- what is printed ------------------------------------------------------------------------------------------


def _print_result(
    options: argparse.Namespace, result: "AttrsInstance", line: str, status: int, account: str = ""
) -> None:
    """Print a result, with the name of the account where there are several."""
    if options.json:
        from attrs import asdict

        name = {"account": account.rstrip()} if account else {}
        print_json({"type": "result", **name, **asdict(result, value_serializer=_plain)})
    elif status != DONE or not options.quiet:
        line = in_other_words(safe_text(line, limit=None))
        tried = "dry run: " if getattr(options, "dry_run", False) else ""
        print(account + styled(tried + line, "bold" if status == DONE else "red"))


def _plain(_: object, __: object, value: object) -> object:
    """Return a value of a result for JSON."""
    if isinstance(value, str):
        return in_other_words(value)
    return str(value) if isinstance(value, Path) else value


def _speed(size: int, seconds: float) -> str:
    """Return how long it took and how fast that was, if it took long enough to say so."""
    return f" in {seconds:,.0f} s ({format_size(round(size / seconds))}/s)" if seconds >= 1 else ""


def _print_paths(what: str, paths: "Iterable[Path | str]") -> None:
    for path in paths:
        print(f"{styled(what, 'red')}  {safe_text(str(path), limit=None)}")
