"""Writing: messages on their way into an archive, in groups, and what a crash in between leaves to be finished.

Of each group the files are forced to disk, then one commit of the ledger names them, then they get their names and the
directory is forced to disk. The ledger learns that with its next commit.
"""

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from attrs import define, evolve, field

from pymailbox.archive.ledger import AccountRow, Ledger, MessageRow
from pymailbox.archive.maildir import Label, Maildir, StoredFile, uid_hash
from pymailbox.archive.stored_form import StagedFile, digest_of

__all__ = ["Writer", "recover", "row_of"]

_MESSAGES = 128  # in a group
_BYTES = 32 << 20
_SECONDS = 2.0
_TOGETHER = 32  # files that the disk is asked to write at once: one by one, their commits would hold up new files
_BYTES_TOGETHER = 2 << 20
_SYNCING = 8  # threads that wait for fsync: the disk merges what is asked for together


@define
class Writer:
    """Stores the messages of one account, each once."""

    ledger: Ledger
    layout: Maildir
    account: AccountRow
    #: When the run began, in seconds since 1970: what it archives was first seen then.
    began: int
    clock: Callable[[], float] = time.monotonic
    #: The id of the first row that this run adds.
    first: int = field(init=False)
    #: Messages taken in this session that survive a power cut by now.
    safe: int = field(default=0, init=False)
    _ids: Iterator[int] = field(init=False)
    _positions: Iterator[int] = field(init=False)
    _group: list[tuple[StagedFile, MessageRow]] = field(factory=list, init=False)
    _bytes: int = field(default=0, init=False)  # of the group
    _pool: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(_SYNCING), init=False)
    _syncs: list[Future[None]] = field(factory=list, init=False)  # of the group's files
    _unsynced: int = field(default=0, init=False)  # bytes of the group that the disk was not asked to write yet
    _since: float = field(default=0.0, init=False)  # when the group began
    _copies: int = field(default=0, init=False)  # taken since, of messages in the group
    _published: list[MessageRow] = field(factory=list, init=False)  # the ledger does not know yet
    _changed: dict[int, MessageRow] = field(factory=dict, init=False)
    _met: dict[int, int] = field(factory=dict, init=False)  # how often a row was recognised in this session

    def __attrs_post_init__(self) -> None:
        self.first = self.ledger.next_id()
        self._ids = itertools.count(self.first)
        self._positions = itertools.count(self.layout.last_position(self.began) + 1)

    def begin_session(self) -> None:
        """Count copies, and what is safe, from the start."""
        self._met.clear()
        self.safe = self._copies = 0

    def stage(self, uid: str | None) -> StagedFile:
        """Return a temporary file for a message; give it to `take`, or discard it."""
        label = Label(self.began, self.account.run, next(self._positions), uid_hash(self.account.name, uid or ""))
        return self.layout.stage(label)

    def recognise(
        self, staged: StagedFile, uid: str | None, listed: set[str | None], *, gone: bool
    ) -> MessageRow | None:
        """Return the row of the same message; None if it is not archived. `listed` are the uids of the listing.

        Archived under another uid it is the same only if that uid is not listed any more and, without `gone`, if it was
        not deleted: a copy of a deleted message is another message. One without a uid may be any that is not listed.
        """
        sha256 = staged.sha256
        stored = self.ledger.messages("sha256 = ? AND (account = ? OR account IS NULL)", (sha256, self.account.id))
        rows = [self._changed.get(row.id, row) for row in stored]
        rows += [row for _, row in self._group if row.sha256 == sha256]
        for row in rows:
            if row.uid == uid:
                return row
        for row in rows:
            there = gone or uid is None or row.server != "gone"
            if row.id not in self._met and (row.uid is None or (row.uid not in listed and there)):
                return row
        return None

    def take(self, staged: StagedFile, uid: str | None, size: int | None, same: MessageRow | None) -> MessageRow:
        """Store a message, unless it is the `same` as one that is archived: then only what is known of it changes."""
        if same is not None:
            staged.discard()
            if any(row.id == same.id for _, row in self._group):
                self._copies += 1
            else:
                self.safe += 1
            return self.meet(same, uid, size)
        row = MessageRow(
            id=next(self._ids),
            account=self.account.id,
            sha256=staged.sha256,
            size=staged.size,
            listed=size,
            form=staged.form,
            name=self.layout.name_of(staged),
            uid_hash=uid_hash(self.account.name, uid or ""),
            state="pending",
            server="there",
            first_seen=self.began,
            copies=1,
            uid=uid,
        )
        self._met[row.id] = 1
        if not self._group:
            self._since = self.clock()
        self._group.append((staged, row))
        self._bytes += staged.stored_size
        self._unsynced += staged.stored_size
        if len(self._group) - len(self._syncs) >= _TOGETHER or self._unsynced >= _BYTES_TOGETHER:
            self._begin_syncs()
        return row

    def _begin_syncs(self) -> None:
        """Have the disk write what was staged since the last call, while the next messages are downloaded."""
        for staged, _ in self._group[len(self._syncs) :]:
            self._syncs.append(self._pool.submit(self.layout.disk.sync_file, staged.file))
        self._unsynced = 0

    def meet(self, row: MessageRow, uid: str | None, size: int | None) -> MessageRow:
        """Note that an archived message was seen again, under this uid and size by LIST."""
        self._met[row.id] = met = self._met.get(row.id, 0) + 1
        uid = row.uid if uid is None else uid
        seen = evolve(
            row,
            account=self.account.id,
            uid=uid,
            uid_hash=uid_hash(self.account.name, uid or ""),
            listed=size,
            server="there" if row.server == "gone" else row.server,
            copies=max(row.copies, met),
        )
        if seen != row:
            in_group = next((at for at, (_, other) in enumerate(self._group) if other.id == row.id), None)
            if in_group is None:
                self._changed[row.id] = seen
            else:
                self._group[in_group] = (self._group[in_group][0], seen)
        return seen

    def adopt(self, file: StoredFile) -> MessageRow | None:
        """Return a row for a message of the archive that the ledger does not have; None if its file is not whole."""
        return row_of(self.layout, file, next(self._ids))

    def forget_failure(self, uid: str) -> None:
        """Note that a message that failed before was fetched."""
        with self.ledger.transaction():
            self.ledger.forget_failure(self.account.id, uid)

    @property
    def due(self) -> bool:
        """Whether the group is to be stored now."""
        return bool(self._group) and (
            len(self._group) >= _MESSAGES or self._bytes >= _BYTES or self.clock() >= self._since + _SECONDS
        )

    def flush(self) -> None:
        """Store the group: when this returns its messages survive a power cut."""
        if not self._group:
            return
        self._begin_syncs()
        for sync in self._syncs:
            sync.result()
        for staged, _ in self._group:
            staged.file.close()
        with self.ledger.transaction():
            self._write_known()
            self.ledger.put_account(self.account)  # the rows refer to it
            for _, row in self._group:
                self.ledger.put(row)
        self._published, self._changed = [row for _, row in self._group], {}
        group, self._group, self._bytes, self._syncs = self._group, [], 0, []
        self.layout.publish((staged.path, row.name) for staged, row in group)
        self.safe += len(group) + self._copies
        self._copies = 0

    def settle(self) -> None:
        """Store the group and let the ledger know that it is; with the row of the account."""
        self.flush()
        with self.ledger.transaction():
            self._write_known()
            self.ledger.put_account(self.account)
        self._published, self._changed = [], {}

    def _write_known(self) -> None:
        for row in self._published:
            row = self._changed.pop(row.id, row)
            self.ledger.put(evolve(row, state="stored"))
        for row in self._changed.values():
            self.ledger.put(row)

    def close(self) -> None:
        """Remove what was staged and not stored."""
        self._pool.shutdown(cancel_futures=True)
        for staged, _ in self._group:
            staged.discard()
        self._group, self._bytes = [], 0


def row_of(layout: Maildir, file: StoredFile, number: int) -> MessageRow | None:
    """Return a row for a stored message of which only the file is known; None if it is not whole, or gone."""

    def whole(path: Path) -> tuple[str, int] | Literal["unreadable"] | None:
        return digest_of(path, file.form) if path.stat().st_size == file.stored_size else None

    digest = layout.read(file.name, whole)
    if digest is None or digest == "unreadable":
        return None
    sha256, size = digest
    return MessageRow(
        id=number,
        account=None,
        sha256=sha256,
        size=size,
        listed=None,
        form=file.form,
        name=file.name,
        uid_hash=file.label.uid_hash,
        state="stored",
        server="there",
        first_seen=file.label.first_seen,
        copies=1,
        uid=None,
    )


def recover(ledger: Ledger, layout: Maildir) -> None:
    """Finish what a run left half done, and remove what it had only begun."""
    stored, whole, lost = [], [], []
    for row in ledger.messages("state = 'pending'"):
        staged, found = layout.staged(row.name), layout.read(row.name, functools.partial(digest_of, form=row.form))
        if found == (row.sha256, row.size):
            stored.append(row)
        elif staged is not None and digest_of(staged, row.form) == (row.sha256, row.size):
            stored.append(row)
            whole.append((staged, row.name))
        else:
            lost.append(row)
    if whole:
        layout.publish(whole)
    if stored:
        layout.sync()  # the run that renamed them may have been killed before it did this
    if stored or lost:
        with ledger.transaction():
            for row in stored:
                ledger.put(evolve(row, state="stored"))
            for row in lost:
                ledger.forget(row)
    layout.sweep()
