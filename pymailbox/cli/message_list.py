"""The list of messages that `ls` prints: a table for people, JSON for programs."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from pymailbox.cli.output_options import print_json
from pymailbox.display import cells, format_size, local_time, safe_text, table, window
from pymailbox.errors import CommandError, NotSupported

if TYPE_CHECKING:
    from pymailbox.content import Address
    from pymailbox.mailbox.mailbox import Mailbox
    from pymailbox.mailbox.message import Message

__all__ = ["address_values", "identity", "list_messages", "list_messages_as_json", "time_value"]

_SIZE = 8  # columns: "999.9 KB"
_NARROW, _WIDE = 72, 100  # columns; narrower windows get no time of day, wider ones names with addresses
_SUBJECT = 12  # columns that are left for it at least
_HEADINGS = ("No.", "Uid", "Size", "Date", "From", "Subject")
_STYLES = ("cyan", "dim", "", "dim", "", "")


# --- for people -----------------------------------------------------------------------------------------------


def list_messages(inbox: "Mailbox", messages: Iterable["Message"], *, uids: bool) -> int:
    """Print a table, row by row as headers arrive, and return the number of rows; no message is downloaded.

    Of no messages nothing is printed. If the server refuses a message, its row says so, and the other rows follow.
    Where there is too little room, the sender, the size and the date are left out, in that order; a uid is never cut.
    """
    some = iter(messages)
    first = next(some, None)
    if first is None:
        return 0
    widths, wide, date = _layout(len(inbox), inbox.uids if uids else None)
    columns = [index for index, width in enumerate(widths) if width]
    rows = 0

    def cells_of_rows() -> Iterator[Sequence[str]]:
        nonlocal rows
        for message in chain([first], some):
            rows += 1
            moment, sender, subject = _headers(message, addresses=wide)
            uid = message.uid or "" if uids else ""
            row = (str(message.number), uid, format_size(message.size), moment[:date], sender, subject)
            yield [row[index] for index in columns]

    table(
        [_HEADINGS[index] for index in columns],
        cells_of_rows(),
        widths=[widths[index] for index in columns[:-1]],
        right=[at for at, index in enumerate(columns) if index in (0, 2)],
        styles=[_STYLES[index] for index in columns],
    )
    return rows


def _layout(count: int, uids: Sequence[str | None] | None) -> tuple[list[int], bool, int]:
    """Return the width of each column, 0 for those that have no room, whether it is wide, and the columns of a date."""
    room = window()
    number = max(3, len(str(count)))
    uid = 0 if uids is None else max([3, *(cells(safe_text(one or "", limit=None)) for one in uids)])
    left = None if room is None else room - (uid and uid + 2)
    wide = left is None or left >= _WIDE
    date = 10 if left is not None and left < _NARROW else 16
    sender = 28 if left is None or wide else max(6, (left - number - _SIZE - date - 8) * 2 // 5)
    widths = [number, uid, _SIZE, date, sender, _SUBJECT]
    for index in (4, 2, 3):
        if room is not None and sum(width + 2 for width in widths if width) - 2 > room:
            widths[index] = 0
    return widths, wide, date


def _headers(message: "Message", *, addresses: bool) -> tuple[str, str, str]:
    try:
        sender = message.from_
    except CommandError as refused:
        return "", "", f"(refused: {refused.response or refused.problem})"
    shown = "" if sender is None else str(sender) if addresses else sender.name or sender.email
    return local_time(message.date), shown, message.subject


# --- for programs ---------------------------------------------------------------------------------------------


def list_messages_as_json(messages: Iterable["Message"]) -> None:
    """Print each message as an object on one line, as headers arrive."""
    for message in messages:
        value = identity(message)
        try:
            value |= {
                "date": time_value(message.date),
                "from": next(iter(address_values(filter(None, [message.from_]))), None),
                "to": address_values(message.to),
                "subject": message.subject,
                "message_id": message.message_id,
            }
        except CommandError as refused:
            value |= {"error": refused.response or refused.problem}
        print_json(value)


def identity(message: "Message") -> dict[str, object]:
    """Return what says which message this is; the uid is None if the server has none."""
    try:
        uid = message.uid
    except NotSupported:
        uid = None
    return {"number": message.number, "uid": uid, "size": message.size}


def address_values(addresses: Iterable["Address"]) -> list[dict[str, str]]:
    """Return addresses for JSON."""
    return [{"name": address.name, "email": address.email} for address in addresses]


def time_value(moment: datetime | None) -> str | None:
    """Return a date for JSON: ISO 8601 with the offset that the message has."""
    return None if moment is None else moment.isoformat()
