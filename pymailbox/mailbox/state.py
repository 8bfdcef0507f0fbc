"""MailboxState: what is known of one session, without I/O; shared by both mailboxes.

What the server said (count, sizes, uids), what was marked, which messages exist and whose bodies are cached, and
the plan of the read-ahead. The flows that fill it are in `reading` and `transaction`.
"""

import operator
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, SupportsIndex, TypeVar

from attrs import define, field

from pymailbox.errors import CommandError
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.session import Session

__all__ = ["FIRST_AHEAD", "MailboxState", "MessageCache", "ReadAhead"]

M = TypeVar("M")

FIRST_AHEAD = 128  # headers read ahead once two reads in a row show a pattern; doubles as they are used
_ROOM = 1000  # references to messages that may be dead, some 100 octets each
_MARGIN = 1000  # lines a listing may have beyond the count of STAT: mail may arrive in between (Q36)


class MessageCache(Generic[M]):
    """The messages somebody holds, by number, and which of their bodies are kept.

    `inbox[3] is inbox[3]` while anyone holds it. Bodies belong to messages that somebody holds, are dropped least
    recently used first beyond the limit, and the last one read is kept in any case.

    The dead are swept out now and then. They do not report themselves: Python swallows a Ctrl-C that comes while the
    callback of a weak reference runs.
    """

    __slots__ = ("_bodies", "_kept", "_limit", "_octets", "_refs", "_room", "last_body", "last_headers")

    def __init__(self, limit: int) -> None:
        self._refs: dict[int, weakref.ref[M]] = {}
        self._room = _ROOM  # references, dead ones too, at which the dead are swept out
        self._bodies: OrderedDict[int, int] = OrderedDict()  # octets by number, least recently used first
        self._octets = 0
        self._kept = 0  # bodies since the last sweep
        self._limit = limit
        #: The message whose body was read last: held, so that reading on in it needs no second RETR.
        self.last_body: M | None = None
        #: The message whose headers were asked for last: held, so that `inbox[0].subject, inbox[0].date` is one TOP.
        self.last_headers: M | None = None

    def get(self, number: int) -> M | None:
        """Return the message of that number if anybody holds it."""
        ref = self._refs.get(number)
        return ref() if ref is not None else None

    def add(self, number: int, message: M) -> None:
        """Register a message that was just made."""
        if len(self._refs) >= self._room:
            self._sweep()
        self._octets -= self._bodies.pop(number, 0)  # of its forerunner, which is dead
        self._refs[number] = weakref.ref(message)

    def keep(self, number: int, octets: int) -> Iterator[M]:
        """Count the body of a message as just used; yield the messages that must drop theirs."""
        bodies = self._bodies
        self._octets += octets - bodies.pop(number, 0)
        bodies[number] = octets
        self._kept += 1
        if self._octets > self._limit and 2 * self._kept >= len(bodies):
            self._sweep()
        while self._octets > self._limit and len(bodies) > 1:
            oldest, dropped = bodies.popitem(last=False)
            self._octets -= dropped
            message = self.get(oldest)
            if message is not None:
                yield message

    def _sweep(self) -> None:
        refs = self._refs = {number: ref for number, ref in self._refs.items() if ref() is not None}
        for number in [number for number in self._bodies if number not in refs]:
            self._octets -= self._bodies.pop(number)
        self._room = max(_ROOM, 2 * len(refs))
        self._kept = 0

    def __len__(self) -> int:
        self._sweep()
        return len(self._refs)


@define(eq=False)
class ReadAhead:
    """Guesses which headers will be asked for next, from the last two that were.

    Any steady order will do: forward, reversed, every third. A break in the pattern ends it.
    """

    #: Results in flight or waiting, for `expected` and those after it.
    batch: Batch[bytes] | None = None
    #: The numbers of the commands sent, in order.
    numbers: deque[int] = field(factory=deque)
    _last: int = 0
    _step: int = 0

    def asked(self, number: int) -> int:
        """Take note that the headers of `number` are wanted; return the step of the pattern, 0 for none."""
        step = number - self._last if self._last else 0
        steady = step != 0 and (step == self._step or (self._step == 0 and abs(step) == 1))
        self._last, self._step = number, step
        return step if steady else 0

    def used(self) -> None:
        """Read further ahead: one more for each result that was of use, so that the depth doubles."""
        if self.batch is not None and self.batch.depth is not None:
            self.batch.depth += 1

    def take(self, number: int) -> bytes | None:
        """Return the header block of `number` if it is the next and has arrived: the short way of a steady order."""
        batch = self.batch
        if batch is None or not batch.results or self.numbers[0] != number:
            return None
        block = batch.results[0]
        if isinstance(block, CommandError):
            return None
        batch.results.popleft()
        self.numbers.popleft()
        self._last = number
        self.used()
        return block

    def stop(self) -> None:
        """Give up what is in flight; it is dropped as it arrives."""
        if self.batch is not None:
            self.batch.abandoned = True
            self.batch.exhausted = True
        self.batch = None
        self.numbers.clear()


@define(eq=False)
class MailboxState(Generic[M]):
    """What is known of one session's mailbox."""

    session: Session
    count: int
    #: Octets by STAT; None where that was no number.
    octets: int | None
    read_only: bool = False

    #: Octets by index; None until LIST was asked.
    sizes: tuple[int | None, ...] | None = field(default=None, init=False)
    #: Uids by index; None until UIDL was asked.
    uids: tuple[str | None, ...] | None = field(default=None, init=False)
    #: Why there are no uids, where UIDL was refused.
    no_uids: CommandError | None = field(default=None, init=False)
    #: The numbers marked for deletion, in the order of their marking.
    deleted: dict[int, None] = field(factory=dict, init=False)
    #: What `fetch()` was refused, by number, until that message is read.
    refusals: dict[int, CommandError] = field(factory=dict, init=False)
    #: Whether TOP works: None until it was tried.
    top_works: bool | None = field(default=None, init=False)
    # Q55
    #: Whether TOP n 0 sends more than headers: then nothing is read ahead.
    top_sends_body: bool = field(default=False, init=False)
    ahead: ReadAhead = field(factory=ReadAhead, init=False)
    cache: MessageCache[M] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.cache = MessageCache(self.session.limits.cache)

    @property
    def entries(self) -> int:
        """How many lines a listing may have in this session."""
        return min(self.count + _MARGIN, self.session.limits.listing_entries)

    def position(self, index: SupportsIndex) -> int:
        """Return the number of the message at a sequence index; IndexError outside."""
        index = operator.index(index)
        number = index + 1 if index >= 0 else self.count + index + 1
        if not 1 <= number <= self.count:
            raise IndexError(f"the mailbox has {self.count} messages; there is none at index {index}")
        return number

    def aligned(self, listing: dict[int, Any], what: str) -> list[Any]:
        """Return a listing by index, None where it has nothing; numbers out of range are noted and skipped."""
        if len(listing) == self.count and next(iter(listing), 1) == 1 and next(reversed(listing), 0) == self.count:
            return (
                list(listing.values())
                if list(listing) == list(range(1, self.count + 1))
                else self._by_position(listing)
            )
        unknown = sum(1 for number in listing if number > self.count)
        marked = sum(1 for number in self.deleted if number not in listing)  # left out rightly (RFC 1939 §5)
        if unknown or len(listing) + marked != self.count:
            self.session.protocol.note(
                "COUNTS_DIFFER", f"STAT counts {self.count} messages, {what} has {len(listing)} lines"
            )
        return self._by_position(listing)

    def _by_position(self, listing: dict[int, Any]) -> list[Any]:
        return [listing.get(number) for number in range(1, self.count + 1)]

    def listed_size(self, number: int) -> int | None:
        """How many octets a message has by LIST, where that was asked."""
        return self.sizes[number - 1] if self.sizes is not None else None

    def size_hint(self, number: int) -> int:
        """How many octets the reply to RETR is expected to have, for the window."""
        size = self.listed_size(number)
        if size is not None:
            return size
        return max(2048, (self.octets or 0) // max(1, self.count))

    def plan(self, number: int, step: int, skip: Callable[[int], bool]) -> Iterator[int]:
        """Yield the numbers to read ahead, from `number` on, without the deleted ones and those to skip."""
        while 1 <= number <= self.count:
            if number not in self.deleted and not skip(number):
                yield number
            number += step

    def unmarked(self) -> Iterable[int]:
        """Yield the numbers of all messages that are not marked."""
        return (number for number in range(1, self.count + 1) if number not in self.deleted)
