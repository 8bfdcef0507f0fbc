"""Choosing: which messages of a mailbox a command is about."""

import argparse
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from pymailbox.cli.account_options import chosen_account
from pymailbox.errors import CommandError

if TYPE_CHECKING:
    from pymailbox.mailbox.mailbox import Mailbox
    from pymailbox.mailbox.message import Message
    from pymailbox.seen import Seen

__all__ = ["Choice", "add_filters", "choice", "chosen", "comparison", "count", "file_name", "filtered"]

#: Returns the numbers of the messages of a mailbox that are new.
Comparison = Callable[["Mailbox"], Sequence[int]]

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


# --- by number or uid -----------------------------------------------------------------------------------------


@frozen
class Choice:
    """What one word on the command line stands for: a range of numbers, or a uid."""

    #: The first and the last number; negative ones count from the end.
    first: int = 1
    last: int = -1
    uid: str | None = None


def choice(word: str) -> Choice:
    """Read a word: 7, -1 (the last one), 3-7, `all`, or a uid; `uid:7` is always a uid."""
    if word == "all":
        return Choice()
    if word.startswith("uid:") and len(word) > 4:
        return Choice(uid=word[4:])
    numbers = re.fullmatch(r"(-?[0-9]{1,18})|([0-9]{1,18})-([0-9]{1,18})", word)
    if numbers is None:
        if not word or word.startswith("-") or re.fullmatch(r"[0-9]{19,}", word):
            raise argparse.ArgumentTypeError(f"invalid message: {word!r}; expected a number, a range or a uid")
        return Choice(uid=word)
    first, last = (int(numbers[group] or numbers[1]) for group in (2, 3))
    if 0 in (first, last):
        raise argparse.ArgumentTypeError(f"invalid message number: {word!r} (1 or more, or -1 for the last message)")
    if 0 < last < first:
        raise argparse.ArgumentTypeError(f"invalid range: {word!r}; expected the smaller number first")
    return Choice(first, last)


def chosen(inbox: "Mailbox", choices: Iterable[Choice]) -> list["Message"]:
    """Return the messages that the words stand for, each once; ValueError for one that is not there."""
    found: dict[int, Message] = {}
    for one in choices:
        if one.uid is None:
            first, last = (number if number > 0 else len(inbox) + 1 + number for number in (one.first, one.last))
            if one != Choice() and not 1 <= first <= last <= len(inbox):  # all of nothing is nothing
                held = "the mailbox is empty" if not len(inbox) else f"the last one is {len(inbox)}"
                missing = one.first if not 1 <= first <= len(inbox) else one.last
                raise ValueError(f"there is no message {missing}; {held}")
            messages = inbox[first - 1 : last]
        else:
            messages = (_by_uid(inbox, one.uid),)
        found |= {message.number: message for message in messages}
    return list(found.values())


def _by_uid(inbox: "Mailbox", uid: str) -> "Message":
    try:
        return inbox.by_uid(uid)
    except KeyError:
        raise ValueError(f"there is no message with the uid {uid!r}; `ls --uids` lists them") from None


# --- by what is known of them ---------------------------------------------------------------------------------


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that leave out messages."""
    parser.add_argument("--last", type=count, metavar="N", help="only the last N messages, by position")
    parser.add_argument(
        "--since",
        type=_date,
        metavar="DATE",
        help="only messages dated DATE or later: 2026-06-01, 2026-06-01T12:00, today, yesterday, 12h, 7d or 2w ago;"
        " messages without a valid date are included",
    )
    parser.add_argument(
        "--new",
        action="store_true",
        help="only messages that are not in the archive --to DIR, or not handled according to --state FILE",
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="the archive that --new compares with")
    parser.add_argument(
        "--state",
        type=file_name,
        metavar="FILE",
        help="the file of `pymailbox watch`, Watch or Seen that --new compares with; it is not changed",
    )


def file_name(value: str) -> Path:
    """Read the name of a file."""
    if not value:  # an unset variable of a script
        raise argparse.ArgumentTypeError("the name of the file must not be empty")
    return Path(value)


def count(value: str) -> int:
    """Read a number of messages."""
    if not (value.isascii() and value.isdigit() and len(value) < 19 and int(value)):
        raise argparse.ArgumentTypeError(f"invalid number of messages: {value!r} (1 or more)")
    return int(value)


def _date(value: str) -> datetime:
    """Read a date in the local time zone, unless it has an offset."""
    today = datetime.combine(datetime.now().date(), time.min)
    days = {"today": 0, "yesterday": 1}.get(value)
    try:
        if days is not None:
            return (today - timedelta(days)).astimezone()
        if (ago := re.fullmatch(r"([0-9]{1,5})([hdw])", value)) is not None:
            return datetime.now(UTC) - int(ago[1]) * _UNITS[ago[2]]
        return datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"invalid date: {value!r}; expected one such as 2026-06-01, 2026-06-01T12:00, yesterday or 7d"
        ) from None


@contextlib.contextmanager
def comparison(options: argparse.Namespace) -> Iterator[Comparison]:
    """Open what --new compares with, so that an error in it is raised before anything is asked of a server.

    Without --new, all messages are new.
    """
    if not options.new:
        yield lambda inbox: range(1, len(inbox) + 1)
    elif options.state is not None:
        from pymailbox.seen import Seen

        with Seen.unlocked(options.state) as seen:
            yield lambda inbox: _unhandled(seen, inbox)
    else:
        from pymailbox.archive import Archive

        with Archive(options.to) as archive:
            try:
                unarchived = archive.unarchived(chosen_account(options).account)
            except ValueError as error:
                raise ValueError(f"{error}; --new compares with one that `pymailbox archive` has made") from None
        yield lambda inbox: unarchived(*_listing(inbox))


def filtered(inbox: "Mailbox", compare: Comparison, options: argparse.Namespace) -> Iterator["Message"]:
    """Yield the messages that the options leave, in order, as headers arrive."""
    numbers: Sequence[int] = compare(inbox)
    if options.last is not None:
        numbers = numbers[-options.last :]
    for number in numbers:
        message = inbox[number - 1]
        if options.since is None or _is_since(message, options.since):
            yield message


def _is_since(message: "Message", since: datetime) -> bool:
    try:
        date = message.date
    except CommandError:  # its row says that it was refused
        return True
    return date is None or date >= since


def _listing(inbox: "Mailbox") -> tuple[Sequence[str | None], Sequence[int | None]]:
    """Return the uids and the sizes of the messages."""
    uids = inbox.uids
    with contextlib.suppress(CommandError):
        return uids, inbox.sizes
    return uids, (None,) * len(uids)  # an unknown size fits any


def _unhandled(seen: "Seen", inbox: "Mailbox") -> list[int]:
    """Return the numbers of the messages that are new according to the file of a watch or of `Seen`."""
    from pymailbox.errors import UidsChanged
    from pymailbox.watching.arrivals import listed

    messages, listing = seen.of(inbox.account), listed(*_listing(inbox))
    if messages.may_be_renumbered(listing):
        raise UidsChanged(
            "the server has given new uids to all messages, which seem to be those that it had before; so the state"
            " file does not show which are new"
        )
    return messages.unseen(listing)
