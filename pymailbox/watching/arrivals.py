"""Arrivals: what a watch knows of a mailbox: what is new, what was handed out and handled, what was set aside. Pure.

Messages are counted by uid and size. A message is handed out once by one watch; if there is a state file, a later watch
hands it out again until it is `done()`.
"""

import contextlib
import functools
import itertools
import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence

from attrs import define, field

from pymailbox.account import Account
from pymailbox.display import safe_text
from pymailbox.errors import MailboxError
from pymailbox.pop3.deadlines import Clock
from pymailbox.seen import Seen, SeenMessages
from pymailbox.watching.arrival import Arrival

__all__ = ["Arrivals", "Listed", "listed"]

#: What messages are counted by: uid and size, as listed.
Listed = tuple[str, int | None]

_TRIES = 3  # looks in which a message may fail before it is set aside
_DAY = 86400.0  # seconds; a listing that never changes is remembered again after so long
_NO_UID = " "  # for messages without a uid, which are so counted by size; no uid has a space


def listed(uids: Sequence[str | None], sizes: Sequence[int | None]) -> list[Listed]:
    """Return what the messages of a mailbox are counted by, in order."""
    return [(uid or _NO_UID, size) for uid, size in zip(uids, sizes, strict=True)]


@define(eq=False)
class Arrivals:
    """What arrived in one account."""

    account: Account
    state: Seen | None
    clock: Clock
    #: What is to be handed out, in order.
    queue: deque[Arrival] = field(factory=deque, init=False)
    #: The messages that were given up, by uid, each with its last error.
    set_aside: dict[str | None, MailboxError] = field(factory=dict, init=False)
    _known: SeenMessages | None = field(default=None, init=False)  # not to be handed out by this watch, or not again
    _handled: SeenMessages | None = field(default=None, init=False)  # the same for later watches, in the state file
    _files: contextlib.ExitStack = field(factory=contextlib.ExitStack, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)  # of all three; done() comes from any thread
    _listing: list[Listed] | None = field(default=None, init=False)  # learned last
    # The row of each message of that listing, in each of the two: it tells apart what is listed alike.
    _known_rows: Sequence[int | None] = field(default=(), init=False)
    _handled_rows: Sequence[int | None] = field(default=(), init=False)
    _learned: float = field(default=0.0, init=False)  # when that was
    _undone: dict[int, tuple[int | None, str, int | None]] = field(factory=dict, init=False)  # what `mark` takes
    _serial: Iterator[int] = field(factory=itertools.count, init=False)
    _failures: dict[Listed, int] = field(factory=dict, init=False)  # looks in which a message failed

    # --- the state file -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the state file and lock it; `ArchiveLocked` if another watch uses it."""
        with contextlib.ExitStack() as files:
            self._known = files.enter_context(Seen.in_memory()).of(self.account)
            if self.state is not None:
                self._handled = files.enter_context(self.state).of(self.account)
            self._files = files.pop_all()

    def close(self) -> None:
        """Close the state file. What is in the queue is dropped: another watch finds it again."""
        with self._lock:
            self._known = self._handled = None
            self._files.close()
        self.queue.clear()

    @property
    def opened(self) -> bool:
        """Whether the state file is open, or would be if there was one."""
        return self._known is not None

    # --- listings -----------------------------------------------------------------------------------------

    def take_baseline(self, listing: list[Listed]) -> None:
        """Take all messages as known; those that arrived since the last watch with this state file are new."""
        with self._lock:
            known, handled = self._required(), self._handled
            new: set[int] = set()
            if handled is not None:
                if handled.is_known():
                    self._handled_rows = handled.remember(listing, renumbered=handled.renumbered(listing))
                    new = set(handled.unseen(listing))
                else:
                    # In this order: if the program ends in between, the next watch takes the baseline.
                    handled.add([listing[number - 1] for number in handled.unseen(listing)])
                    self._handled_rows = handled.remember(listing)
            self._known_rows = known.remember(listing)
            known.mark((self._known_rows[at], *one) for at, one in enumerate(listing) if at + 1 not in new)
            self._listing, self._learned = listing, self.clock()

    def new(self, listing: list[Listed]) -> list[int]:
        """Return the numbers of the messages to hand out, those that have failed before last; learn the listing."""
        with self._lock:
            known, now = self._required(), self.clock()
            if listing != self._listing or now >= self._learned + _DAY:
                renumbered = known.renumbered(listing)
                if self._handled is not None:
                    self._handled_rows = self._handled.remember(listing, renumbered=renumbered)
                self._known_rows = known.remember(listing, renumbered=renumbered)
                self._listing, self._learned = listing, now
            numbers = known.unseen(listing)
        return sorted(numbers, key=lambda number: self._failures.get(listing[number - 1], 0))

    def _required(self) -> SeenMessages:
        if self._known is None:
            raise MailboxError("the watch was left while a look was running")
        return self._known

    # --- messages -----------------------------------------------------------------------------------------

    def add(self, number: int, message: Listed, raw: bytes) -> None:
        """Put a message of the last listing into the queue."""
        when_done = None
        if self.state is not None:
            serial = next(self._serial)
            self._undone[serial] = (self._handled_rows[number - 1], *message)
            when_done = functools.partial(self._done, serial)
        uid, _ = message
        # In this order: if the program is interrupted in between, the message is handed out twice, not lost.
        self.queue.append(Arrival(raw, None if uid == _NO_UID else uid, when_done))
        self._failures.pop(message, None)
        self._pass(number, message)

    def refuse(self, number: int, message: Listed, error: MailboxError) -> None:
        """Note that a message could not be downloaded; set it aside the third time, unless the server is busy."""
        times = self._failures[message] = self._failures.get(message, 0) + 1
        if times >= _TRIES and not (error.usable and error.retryable):
            uid, size = message
            self.set_aside[None if uid == _NO_UID else uid] = error
            logging.getLogger("pymailbox.watching").error(
                "%s: the message with uid %s and size %s could not be downloaded in %d looks and is set aside: %s",
                self.account.url,
                safe_text(uid),
                size,
                times,
                error,
            )
            self._pass(number, message)

    def _pass(self, number: int, message: Listed) -> None:
        with self._lock:
            self._required().mark([(self._known_rows[number - 1], *message)])

    def _done(self, serial: int) -> None:
        """Remember in the state file that a message was handled."""
        with self._lock:
            message = self._undone.get(serial)
            if message is None:
                return
            if self._handled is None:
                raise ValueError(
                    "the watch was left before done(), so this message will be handed out again by the next watch with"
                    " the same state; call done() inside the `with` block"
                )
            self._handled.mark([message])
            del self._undone[serial]
