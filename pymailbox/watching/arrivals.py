"""Arrivals: what a watch knows of a mailbox: what is new, what was handed out and handled, what was set aside. Pure.

Messages are counted by uid and size, and where these may deceive, those that were handed out are compared by content. A
message is handed out once by one watch; if there is a state file, a later watch hands it out again until it is
`done()`.
"""

import contextlib
import functools
import hashlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence

from attrs import define, field, frozen

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
_DIGEST = 16  # bytes; enough to tell messages apart
_NO_UID = " "  # for messages without a uid, which are so counted by size; no uid is just a space


def listed(uids: Sequence[str | None], sizes: Sequence[int | None]) -> list[Listed]:
    """Return what the messages of a mailbox are counted by, in order."""
    return [(uid or _NO_UID, size) for uid, size in zip(uids, sizes, strict=True)]


@frozen
class NewMessage:
    """A message of a listing that is to be handed out."""

    number: int
    listed: Listed
    # Its row in each of the two sets, which tells it apart from others that are listed alike.
    known_row: int | None
    handled_row: int | None
    renumbered: bool = field(kw_only=True)  # it seems to be one that was handed out before all uids have changed

    @property
    def uid(self) -> str | None:
        """The uid; None if it has none."""
        return None if self.listed[0] == _NO_UID else self.listed[0]


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
    # The row of each message of that listing, in each of the two sets.
    _known_rows: Sequence[int | None] = field(default=(), init=False)
    _handled_rows: Sequence[int | None] = field(default=(), init=False)
    _learned: float = field(default=0.0, init=False)  # when that was
    _undone: dict[int, tuple[int | None, str, int | None]] = field(factory=dict, init=False)  # what `mark` takes
    _serial: Iterator[int] = field(factory=itertools.count, init=False)
    _failures: dict[Listed, int] = field(factory=dict, init=False)  # looks in which a message failed
    _digests: dict[str, set[bytes]] = field(factory=dict, init=False)  # of what was handed out, by uid
    # What seems to be a message that was handed out, and whether that was done: under a uid that is listed again, and,
    # if all uids seem to have changed, under another one; then the digests of those before.
    _returned: dict[Listed, bool] = field(factory=dict, init=False)
    _renumbered: dict[Listed, bool] = field(factory=dict, init=False)
    _earlier: set[bytes] = field(factory=set, init=False)
    # How many others of those were not recognised by their sizes, whether all are done, and what may be one of them.
    _unrecognised: int = field(default=0, init=False)
    _all_done: bool = field(default=False, init=False)
    _others: set[Listed] = field(factory=set, init=False)

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
                    changed = self._warned(handled.renumbered(listing))
                    self._handled_rows = handled.remember(listing, renumbered=changed)
                    new = set(handled.unseen(listing))
                else:
                    # In this order: if the program ends in between, the next watch takes the baseline.
                    handled.add([listing[number - 1] for number in handled.unseen(listing)])
                    self._handled_rows = handled.remember(listing)
            self._known_rows = known.remember(listing)
            known.mark((self._known_rows[at], *one) for at, one in enumerate(listing) if at + 1 not in new)
            self._listing, self._learned = listing, self.clock()

    def new(self, listing: list[Listed]) -> list[NewMessage]:
        """Return the messages to hand out, those that have failed before last; learn the listing.

        Among them is what seems to be a message that was handed out, and may be another one: `add` compares it. If all
        uids seem to have changed, that comes after all others.
        """
        with self._lock:
            known, now = self._required(), self.clock()
            if listing != self._listing or now >= self._learned + _DAY:
                renumbered = self._warned(known.may_be_renumbered(listing))  # a look ago they were others
                doubtful = self._doubt(listing, renumbered)
                if self._handled is not None:
                    self._handled_rows = self._handled.remember(listing, renumbered=renumbered, doubtful=doubtful)
                self._known_rows = known.remember(listing, renumbered=renumbered, doubtful=doubtful)
                self._listing, self._learned = listing, now
                remembered = known.uids()
                self._digests = {uid: digests for uid, digests in self._digests.items() if uid in remembered}
            rows = self._known_rows, self._handled_rows or (None,) * len(listing)
            new = [
                NewMessage(number, one, *(row[number - 1] for row in rows), renumbered=one in self._renumbered)
                for number in known.waiting(self._known_rows)
                for one in (listing[number - 1],)
            ]
        return sorted(new, key=lambda message: (message.renumbered, self._failures.get(message.listed, 0)))

    def _doubt(self, listing: list[Listed], renumbered: bool) -> set[int]:
        """Return the positions of what seem to be messages that this watch has handed out, but may be others.

        Those that were handed out may have been deleted since, and others of the same sizes may have arrived, under new
        uids, or under theirs. The content will tell.
        """
        known, handled = self._required(), self._handled
        if renumbered:
            positions = {at for at, uid in known.recognised(listing).items() if uid in self._digests}
            added = set() if handled is None else handled.recognised(listing).keys() & positions
            self._renumbered = {listing[at]: at in added for at in positions}
            self._earlier = set().union(*{id(digests): digests for digests in self._digests.values()}.values())
            # Some servers list them in another order, too.
            self._unrecognised = sum(uid in self._digests for uid, _ in self._listing or ()) - len(positions)
            self._all_done = not self._undone
            self._others = set(listing)
            return positions
        positions = {at for at in known.returned(listing) if listing[at][0] in self._digests}
        if self._returned:
            present = set(listing)
            self._returned = {one: done for one, done in self._returned.items() if one in present}
        if positions:
            undone = set(range(1, len(listing) + 1) if handled is None else handled.unseen(listing))
            for at in positions:
                done = at + 1 not in undone
                self._returned[listing[at]] = done and self._returned.get(listing[at], True)
        return positions

    def _warned(self, renumbered: bool) -> bool:
        if renumbered:
            logging.getLogger("pymailbox.watching").warning(
                "%s: all uids have changed at once; messages whose sizes recur in the same order are taken for those"
                " that were there before, and are not handed out again",
                self.account.url,
            )
        return renumbered

    def _required(self) -> SeenMessages:
        if self._known is None:
            raise MailboxError("the watch was left while a look was running")
        return self._known

    # --- messages -----------------------------------------------------------------------------------------

    def add(self, message: NewMessage, raw: bytes) -> bool:
        """Put a message into the queue; return False for one that was handed out before.

        If it was under another uid, all uids have changed indeed, and all that seem to be messages handed out before
        are those.
        """
        digest = hashlib.blake2b(raw, digest_size=_DIGEST).digest()
        if message.renumbered and digest in self._earlier:
            self._believe()
            return False
        self._renumbered.pop(message.listed, None)
        done = self._done_before(message.listed, digest)
        if done is not None:
            self._pass(message)
            if done and self._handled is not None:
                with self._lock:
                    self._handled.mark([(message.handled_row, *message.listed)])
            return False
        when_done = None
        if self.state is not None:
            serial = next(self._serial)
            self._undone[serial] = (message.handled_row, *message.listed)
            when_done = functools.partial(self._done, serial)
        # In this order: if the program is interrupted in between, the message is handed out twice, not lost.
        self.queue.append(Arrival(raw, message.uid, when_done))
        self._digests.setdefault(message.listed[0], set()).add(digest)
        self._failures.pop(message.listed, None)
        self._pass(message)
        return True

    def _done_before(self, one: Listed, digest: bytes) -> bool | None:
        """Return whether a message that was handed out before, under any uid, is done; None for one that is new."""
        uid, _ = one
        if self._unrecognised > 0 and one in self._others and digest in self._earlier:
            self._unrecognised -= 1
            self._digests.setdefault(uid, set()).add(digest)
            return self._all_done  # which of them it is, nobody knows
        return self._returned.get(one) if digest in self._digests.get(uid, ()) else None

    def _believe(self) -> None:
        """Take what seems to be messages that were handed out before for those."""
        with self._lock:
            self._required().mark((None, *one) for one in self._renumbered)
            if self._handled is not None:
                self._handled.mark((None, *one) for one, done in self._renumbered.items() if done)
            self._digests.update((uid, self._earlier) for uid, _ in self._renumbered)  # nobody knows which has which
            self._renumbered.clear()

    def refuse(self, message: NewMessage, error: MailboxError) -> None:
        """Note that a message could not be downloaded; set it aside the third time, unless the server is busy."""
        times = self._failures[message.listed] = self._failures.get(message.listed, 0) + 1
        if times >= _TRIES and not (error.usable and error.retryable):
            self.set_aside[message.uid] = error
            logging.getLogger("pymailbox.watching").error(
                "%s: the message with uid %s and size %s could not be downloaded in %d looks and is set aside: %s",
                self.account.url,
                None if message.uid is None else safe_text(message.uid),
                message.listed[1],
                times,
                error,
            )
            self._pass(message)

    def _pass(self, message: NewMessage) -> None:
        with self._lock:
            self._required().mark([(message.known_row, *message.listed)])

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
