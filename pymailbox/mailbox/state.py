"""MailboxState: what is known about one session, without I/O; shared by both mailboxes.

It holds the server's answers (count, sizes, uids), the messages marked as deleted, the message objects in use and their
cached bodies, and the state of the header prefetch. The flows that fill it are in `reading` and `transaction`.
"""

import operator
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, SupportsIndex, TypeVar

from attrs import define, field

from pymailbox.errors import CommandError
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.session import Session

if TYPE_CHECKING:
    from pymailbox.content import Headers

__all__ = ["FIRST_AHEAD", "MailboxState", "MessageCache", "ReadAhead"]

M = TypeVar("M")

FIRST_AHEAD = 128  # headers prefetched once two reads in a row show a pattern; doubles as they are used
_ROOM = 1000  # references to messages, dead ones included, before a sweep; about 100 bytes each
_MARGIN = 1000  # lines a listing may have beyond the count of STAT, as mail may arrive in between (Q36)


class MessageCache(Generic[M]):
    """The messages in use, by number, and which of their bodies are cached.

    `inbox[3] is inbox[3]` as long as there is a reference to it. Only messages in use have cached bodies. Beyond the
    limit the least recently used ones are dropped, but never the last one read.

    Dead references are swept out now and then, not by callbacks: Python swallows a Ctrl-C that arrives while the
    callback of a weak reference runs.
    """

    __slots__ = ("_bodies", "_kept", "_limit", "_size", "last_body", "last_headers", "refs", "room")

    def __init__(self, limit: int) -> None:
        #: References to messages, dead ones included, by number; `OpenMailbox.messages` adds them.
        self.refs: dict[int, weakref.ref[M]] = {}
        #: How many references there may be before the next sweep.
        self.room = _ROOM
        self._bodies: OrderedDict[int, int] = OrderedDict()  # size by number, least recently used first
        self._size = 0
        self._kept = 0  # bodies since the last sweep
        self._limit = limit
        #: The message whose body was read last; referenced, so that reading more of it needs no second RETR.
        self.last_body: M | None = None
        #: The message whose headers were read last; referenced, so that `inbox[0].subject, inbox[0].date` is one TOP.
        self.last_headers: M | None = None

    def get(self, number: int) -> M | None:
        """Return the message with this number if it is in use."""
        ref = self.refs.get(number)
        return ref() if ref is not None else None

    def forget(self, number: int) -> None:
        """Drop the reference to a message that is not in use any more, and its body."""
        del self.refs[number]
        self._size -= self._bodies.pop(number, 0)

    def keep(self, number: int, size: int) -> Iterator[M]:
        """Count the body of a message as just used; yield the messages that must drop theirs."""
        bodies = self._bodies
        self._size += size - bodies.pop(number, 0)
        bodies[number] = size
        self._kept += 1
        if self._size > self._limit and 2 * self._kept >= len(bodies):
            self.sweep()
        while self._size > self._limit and len(bodies) > 1:
            oldest, dropped = bodies.popitem(last=False)
            self._size -= dropped
            message = self.get(oldest)
            if message is not None:
                yield message

    def sweep(self) -> None:
        """Drop the references to messages that are not in use any more, and their bodies."""
        refs = self.refs
        used = {number: ref for number, ref in refs.items() if ref() is not None}
        refs.clear()
        refs.update(used)
        for number in [number for number in self._bodies if number not in refs]:
            self._size -= self._bodies.pop(number)
        self.room = max(_ROOM, 2 * len(refs))
        self._kept = 0

    def __len__(self) -> int:
        self.sweep()
        return len(self.refs)


@define(eq=False, repr=False)
class ReadAhead:
    """The header prefetch: it guesses which headers will be read next from the last two reads.

    Any regular order works: forward, reversed, every third. A break in the pattern ends the prefetch.
    """

    #: The pipeline: results in flight or waiting, for `numbers`.
    batch: Batch[bytes] | None = None
    #: The numbers of the messages in the pipeline, in order.
    numbers: deque[int] = field(factory=deque)
    _last: int = 0
    _step: int = 0

    def asked(self, number: int) -> int:
        """Record that the headers of `number` are being read; return the step of the pattern, 0 for none."""
        step = number - self._last if self._last else 0
        steady = step != 0 and (step == self._step or (self._step == 0 and abs(step) == 1))
        self._last, self._step = number, step
        return step if steady else 0

    def used(self) -> None:
        """Prefetch one more for each result that was used, so that the depth doubles."""
        if self.batch is not None and self.batch.depth is not None:
            self.batch.depth += 1

    def take(self, number: int) -> bytes | None:
        """Return the header block of `number` if it is next in the pipeline and has arrived."""
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
        """End the prefetch; replies in flight are dropped as they arrive."""
        if self.batch is not None:
            self.batch.abandoned = True
            self.batch.exhausted = True
        self.batch = None
        self.numbers.clear()


@define(eq=False, repr=False)
class MailboxState(Generic[M]):
    """What is known about the mailbox of one session."""

    session: Session
    count: int
    #: Size of all messages in bytes, by STAT; None if that was not a number.
    total_size: int | None
    read_only: bool = False

    #: Sizes in bytes by index; None until LIST was asked.
    sizes: tuple[int | None, ...] | None = field(default=None, init=False)
    #: Uids by index; None until UIDL was asked.
    uids: tuple[str | None, ...] | None = field(default=None, init=False)
    #: The refusal of UIDL if the server does not have it.
    no_uids: CommandError | None = field(default=None, init=False)
    #: The numbers marked as deleted, in the order in which they were marked.
    deleted: dict[int, None] = field(factory=dict, init=False)
    #: The refusals that `fetch()` received, by number, until that message is read.
    refusals: dict[int, CommandError] = field(factory=dict, init=False)
    #: Whether TOP works; None until it was tried.
    top_works: bool | None = field(default=None, init=False)
    # Q55
    #: Whether TOP n 0 sends more than headers: then nothing is prefetched.
    top_sends_body: bool = field(default=False, init=False)
    #: The fields of the first and the last messages, once read, that a table in a notebook shows.
    outline: "dict[int, Headers]" = field(factory=dict, init=False)
    ahead: ReadAhead = field(factory=ReadAhead, init=False)
    cache: MessageCache[M] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.cache = MessageCache(self.session.limits.cache)

    @property
    def entries(self) -> int:
        """The most lines that a listing may have in this session."""
        return min(self.count + _MARGIN, self.session.limits.listing_entries)

    def position(self, index: SupportsIndex) -> int:
        """Return the number of the message at a sequence index; IndexError outside."""
        index = operator.index(index)
        number = index + 1 if index >= 0 else self.count + index + 1
        if not 1 <= number <= self.count:
            raise IndexError(f"index out of range: {index} (the mailbox has {self.count} messages)")
        return number

    def aligned(self, listing: dict[int, Any], what: str) -> list[Any]:
        """Return a listing by index, with None where it has no entry; skip and note numbers out of range."""
        if len(listing) == self.count and next(iter(listing), 1) == 1 and next(reversed(listing), 0) == self.count:
            return (
                list(listing.values())
                if list(listing) == list(range(1, self.count + 1))
                else self._by_position(listing)
            )
        unknown = sum(1 for number in listing if number > self.count)
        marked = sum(1 for number in self.deleted if number not in listing)  # correctly omitted (RFC 1939 §5)
        if unknown or len(listing) + marked != self.count:
            self.session.protocol.note(
                "COUNTS_DIFFER", f"STAT counts {self.count} messages, {what} has {len(listing)} lines"
            )
        return self._by_position(listing)

    def _by_position(self, listing: dict[int, Any]) -> list[Any]:
        return [listing.get(number) for number in range(1, self.count + 1)]

    def listed_size(self, number: int) -> int | None:
        """The size of a message in bytes by LIST; None if it is unknown or LIST was not asked."""
        return self.sizes[number - 1] if self.sizes is not None else None

    def size_hint(self, number: int) -> int:
        """The expected size of the reply to RETR in bytes, for the window."""
        size = self.listed_size(number)
        if size is not None:
            return size
        return max(2048, (self.total_size or 0) // max(1, self.count))

    def plan(self, number: int, step: int, skip: Callable[[int], bool]) -> Iterator[int]:
        """Yield the numbers to prefetch, from `number` on, without the deleted ones and those to skip."""
        while 1 <= number <= self.count:
            if number not in self.deleted and not skip(number):
                yield number
            number += step
