"""Run: what one run of an archive was asked to do, and what it knows; shared by the sessions of that run."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from attrs import define, evolve, field

from pymailbox.archive.identity import Index
from pymailbox.archive.keep import Keep
from pymailbox.archive.ledger import AccountRow, FailureRow, Ledger
from pymailbox.archive.maildir import Maildir
from pymailbox.archive.results import Collected
from pymailbox.archive.writing import Writer
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.progress import Progress

__all__ = ["Run", "RunOptions"]

_LONGEST_PAUSE = 400 * 86_400  # seconds between runs; a clock that says more is not believed


class RunOptions(NamedTuple):
    """What a run is asked to do."""

    keep: Keep
    dry_run: bool = False
    renumbered: bool = False
    #: Messages to archive at most.
    limit: int | None = None
    stop: threading.Event | None = None
    progress: Callable[[Progress], None] | None = None
    #: Delete only: what is new is left for another run. The largest part of the mailbox that it may delete.
    at_most: float | None = None


@define(eq=False, repr=False)
class Run:
    """One run of `collect` or `clean`, and what it knows so far."""

    ledger: Ledger
    layout: Maildir
    inbox: Mailbox
    account: AccountRow
    asked: RunOptions
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    #: When the run began, in whole seconds since 1970.
    began: int = field(init=False)
    writer: Writer = field(init=False)
    #: What is archived of the account.
    index: Index = field(factory=Index, init=False)
    failures: dict[str, FailureRow] = field(factory=dict, init=False)
    #: Messages that were archived, or would be, and their bytes.
    new: int = field(default=0, init=False)
    size: int = field(default=0, init=False)
    #: The rest of the result.
    done: Collected = field(factory=Collected, init=False)
    #: Messages on the server when the run began.
    there: int = field(default=0, init=False)
    may_delete: bool = field(default=True, init=False)
    #: Rows of messages that this run found under uids of others: a later run deletes them.
    spared: set[int] = field(factory=set, init=False)
    #: Uids of messages that this run could not fetch.
    failed: set[str] = field(factory=set, init=False)
    #: What was reported of the failures of the last session.
    told: list[str] = field(factory=list, init=False)
    #: Rows of messages that this run has deleted.
    deleted_rows: set[int] = field(factory=set, init=False)
    #: Uids under which this run archived something.
    archived_uids: set[str] = field(factory=set, init=False)
    #: Uids under which this run deleted something.
    deleted_uids: set[str] = field(factory=set, init=False)
    #: Whether files that the ledger lacks were looked for.
    adopted: bool = field(default=False, init=False)
    #: Seconds to wait before the next run, as a server said that refused a further session; None if it did not.
    retry_after: float | None = field(default=None, init=False)
    #: Whether this is not the first session of the run.
    further: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Read what the ledger has of the account, and begin to write."""
        self.began = int(self.now())
        self._check_clock()
        self.account.run += 1
        self.writer = Writer(self.ledger, self.layout, self.account, self.began, self.clock)
        self.failures = self.ledger.failures(self.account.id)
        for row in self.ledger.messages("+account = ? AND uid IS NOT NULL", (self.account.id,)):
            self.index.add(row)

    def _check_clock(self) -> None:
        ended = self.account.ended
        if ended is not None and not ended <= self.began <= ended + _LONGEST_PAUSE:
            self.may_delete = False
            self.note("the clock is before the end of the last run, or long after it: nothing was deleted")

    @property
    def handled(self) -> int:
        """How much was done; a session that adds nothing is the last. Without a uid each session does it again."""
        return len(self.archived_uids) + len(self.deleted_uids)

    @property
    def stopped(self) -> bool:
        """Whether the caller wants the run to end."""
        return self.asked.stop is not None and self.asked.stop.is_set()

    @property
    def left(self) -> int | None:
        """How many messages may still be archived; None: any number."""
        return None if self.asked.limit is None else max(0, self.asked.limit - self.new)

    @property
    def result(self) -> Collected:
        """What was done."""
        return evolve(self.done, new=self.new, bytes=self.size)

    def note(self, note: str) -> None:
        """Add something that the caller should know to the result."""
        if note not in self.done.notes:
            self.done = evolve(self.done, notes=(*self.done.notes, note))
