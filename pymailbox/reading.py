"""Reading: the flows by which sizes, uids, headers and bodies are had. Pure, shared by both mailboxes.

Headers come by TOP n 0, which leaves no trace on the server, read ahead in a pipeline while messages are asked for
in a steady order; by RETR only where TOP does not work. Bodies come by RETR, and ahead only for `fetch()`
(DESIGN.md, decision 11).
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from attrs import define, field

from pymailbox.errors import CommandError, MessageUnavailable, NotSupported, TemporaryFailure
from pymailbox.pop3 import commands
from pymailbox.pop3.command import Command
from pymailbox.pop3.flows import Flow, Next, Stream, ask
from pymailbox.snapshot import FIRST_AHEAD, Snapshot

__all__ = ["Fetch", "body", "first_lines", "headers", "learn_uids", "sizes", "stream", "top", "total", "uids"]

M = TypeVar("M")

_BLANK_LINE = re.compile(rb"(?:\A|\n)\r?\n")


def sizes(snapshot: Snapshot[M]) -> Flow[list[int | None]]:
    """Octets by index: one LIST for the whole mailbox, once; all None where LIST is refused."""
    if snapshot.sizes is None:
        listing: dict[int, int | None] = {}
        if snapshot.count:  # some servers refuse LIST on an empty mailbox (Q33)
            try:
                listing = yield from ask(commands.list(entries=snapshot.entries))
            except CommandError as refused:
                snapshot.session.protocol.note("NO_LIST", str(refused))
        snapshot.sizes = snapshot.column(listing, "LIST")
    return snapshot.sizes


def total(snapshot: Snapshot[M]) -> Flow[int]:
    """Octets of the whole mailbox: by STAT, or the sum of LIST where STAT gave no number (Q31)."""
    if snapshot.octets is None:
        listed = yield from sizes(snapshot)
        snapshot.octets = sum(size or 0 for size in listed)
    return snapshot.octets


def uids(snapshot: Snapshot[M]) -> Flow[tuple[str | None, ...]]:
    """Uids by index: one UIDL for the whole mailbox, once; `NotSupported` where it is refused for good."""
    if snapshot.uids is None and snapshot.no_uids is None:
        result: dict[int, str | None] | CommandError = {}
        if snapshot.count:
            try:
                result = yield from ask(commands.uidl(entries=snapshot.entries))
            except TemporaryFailure:
                raise
            except CommandError as refused:
                result = refused
        learn_uids(snapshot, result)
    if snapshot.uids is None:
        raise NotSupported(
            "the server has no UIDL, so messages have no names that last beyond the session",
            command="UIDL",
            response=snapshot.no_uids.response if snapshot.no_uids else None,
        )
    return snapshot.uids


def learn_uids(snapshot: Snapshot[M], result: dict[int, str | None] | CommandError) -> None:
    """Take what UIDL gave; a temporary failure teaches nothing."""
    if isinstance(result, CommandError):
        snapshot.no_uids = None if isinstance(result, TemporaryFailure) else result
    else:
        snapshot.uids = tuple(snapshot.column(result, "UIDL"))


# --- headers --------------------------------------------------------------------------------------------------


def headers(snapshot: Snapshot[M], number: int, skip: Callable[[int], bool]) -> Flow[tuple[bytes, bool]]:
    """Return the header block of a message; `skip` says whose headers are at hand and need not be read ahead.

    Where TOP does not work this is the whole message, by RETR, and the second value True.
    """
    if snapshot.top_works is False:
        return (yield from body(snapshot, number)), True
    ahead = snapshot.ahead
    step = ahead.asked(number)
    if number in snapshot.marks:
        raise _deleted(number)
    result = yield from _ahead(snapshot, number, step, skip)
    if result is None:
        try:
            result = yield from ask(commands.top(number, 0))
        except CommandError as refused:
            result = refused
    if isinstance(result, CommandError):
        return (yield from _instead_of_top(snapshot, number, result)), True
    snapshot.top_works = True
    if not snapshot.top_sends_body and _has_body(result):
        snapshot.session.protocol.note("TOP_IGNORES_COUNT", f"TOP {number} 0 gave {len(result)} octets")  # Q55
        snapshot.top_sends_body = True
        ahead.stop()
    return result, False


def _ahead(
    snapshot: Snapshot[M], number: int, step: int, skip: Callable[[int], bool]
) -> Flow[bytes | CommandError | None]:
    """Return the result for `number` from the pipeline of the read-ahead, None where there is none."""
    ahead = snapshot.ahead
    while ahead.batch is not None and ahead.numbers and ahead.numbers[0] in snapshot.marks:
        yield Next(ahead.batch)  # marked since it was sent: nobody will ask for it
        ahead.numbers.popleft()
    if ahead.batch is not None and ahead.numbers and ahead.numbers[0] != number:
        ahead.stop()
    if ahead.batch is None:
        if not step or not snapshot.top_works or snapshot.top_sends_body or not snapshot.session.protocol.pipelining:
            return None
        ahead.batch = snapshot.session.batch(_tops(snapshot, number, step, skip), depth=FIRST_AHEAD)
    result: bytes | CommandError | None = yield Next(ahead.batch)
    if result is None or ahead.numbers.popleft() != number:
        ahead.stop()
        return None
    ahead.used()
    return result


def _tops(snapshot: Snapshot[M], number: int, step: int, skip: Callable[[int], bool]) -> Iterator[Command[bytes]]:
    for planned in snapshot.plan(number, step, skip):
        snapshot.ahead.numbers.append(planned)
        yield commands.top(planned, 0)


def _instead_of_top(snapshot: Snapshot[M], number: int, refused: CommandError) -> Flow[bytes]:
    """RETR where TOP was refused; what it says tells whether TOP or only this message is not to be had (Q16)."""
    if snapshot.top_works:
        raise refused
    raw = yield from body(snapshot, number)
    snapshot.top_works = False
    snapshot.ahead.stop()
    snapshot.session.protocol.note("TOP_REFUSED", str(refused))
    return raw


def _body_begins(block: bytes) -> int:
    blank = _BLANK_LINE.search(block)
    return blank.end() if blank is not None else len(block)


def _has_body(block: bytes) -> bool:
    return _body_begins(block) < len(block) - 2


def first_lines(raw: bytes, lines: int) -> bytes:
    """Return the headers and the first lines of the body of a message, as TOP does."""
    end = _body_begins(raw)
    while lines and end < len(raw):
        end = raw.find(b"\n", end) + 1 or len(raw)
        lines -= 1
    return raw[:end]


def top(snapshot: Snapshot[M], number: int, lines: int) -> Flow[tuple[bytes, bool]]:
    """Return the headers and the first lines of the body, and False; the whole message and True without TOP."""
    if number in snapshot.marks:
        raise _deleted(number)
    if snapshot.top_works is False:
        return (yield from body(snapshot, number)), True
    try:
        block = yield from ask(commands.top(number, lines))
    except CommandError as refused:
        return (yield from _instead_of_top(snapshot, number, refused)), True
    snapshot.top_works = True
    return block, False


# --- bodies ---------------------------------------------------------------------------------------------------


def body(snapshot: Snapshot[M], number: int) -> Flow[bytes]:
    """Return the whole message."""
    if number in snapshot.marks:
        raise _deleted(number)
    snapshot.retrieved = True
    return (yield from ask(commands.retr(number, expected=snapshot.size_hint(number))))


def stream(snapshot: Snapshot[M], number: int, sink: Callable[[bytes], object]) -> Flow[int]:
    """Hand the whole message to `sink` in chunks; return its octets."""
    if number in snapshot.marks:
        raise _deleted(number)
    snapshot.retrieved = True
    octets: int = yield Stream(commands.stream(number, expected=snapshot.size_hint(number)), sink)
    return octets


def _deleted(number: int) -> MessageUnavailable:
    return MessageUnavailable(f"message {number} is marked as deleted; undelete() it to read it again")


@define(eq=False)
class Fetch:
    """The plan of `fetch()`: which bodies to ask for, and which messages come without.

    `commands()` feeds the pipeline and keeps the order, in which `Desk` hands out the results. Messages whose
    body is at hand, and those larger than the window, are passed without a command (DESIGN.md, decision 11).
    """

    snapshot: Snapshot[Any]
    numbers: Iterable[int]
    #: Says whose body is at hand.
    skip: Callable[[int], bool]
    #: The messages in order; True where a result belongs to it.
    order: deque[tuple[int, bool]] = field(factory=deque, init=False)

    def commands(self) -> Iterator[Command[bytes]]:
        """Yield the RETRs as the window has room."""
        snapshot, order = self.snapshot, self.order
        window = snapshot.session.limits.window
        for number in self.numbers:
            expected = snapshot.size_hint(number)
            if number in snapshot.marks or expected > window or self.skip(number):
                order.append((number, False))
            else:
                order.append((number, True))
                snapshot.retrieved = True
                yield commands.retr(number, expected=expected)
