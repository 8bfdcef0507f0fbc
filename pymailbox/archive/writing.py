"""Writing: messages on their way into an archive, in groups, and what a crash in between leaves to be finished.

Of each group the files are forced to disk, then one commit of the ledger names them, then they get their names and the
directory is forced to disk. The ledger learns that with its next commit. While the files of a group are forced to disk,
the messages of the next one are downloaded; groups are stored one after the other, in the order they came.
"""

import functools
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from io import FileIO
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


class _Sync:
    """Some files that are being forced to disk."""

    __slots__ = ("error", "files", "over")

    def __init__(self, files: list[FileIO]) -> None:
        self.files = files
        #: Why that failed.
        self.error: BaseException | None = None
        #: Held until it is over.
        self.over = threading.Lock()
        self.over.acquire()

    def run(self, sync: Callable[[FileIO], None]) -> None:
        """Force the files to disk."""
        try:
            for file in self.files:
                sync(file)
        except BaseException as error:
            self.error = error
        finally:
            self.over.release()

    def wait(self) -> None:
        """Wait until it is over; raise what went wrong."""
        with self.over:
            if self.error is not None:
                raise self.error


class _Syncing:
    """Threads that force files to disk while others are written; they start with the first file."""

    def __init__(self, sync: Callable[[FileIO], None]) -> None:
        self._sync = sync
        self._queue: queue.SimpleQueue[_Sync | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def begin(self, files: list[FileIO]) -> list[_Sync]:
        """Have files forced to disk, each thread some of them."""
        while len(self._threads) < _SYNCING:
            thread = threading.Thread(target=self._work, name="pymailbox fsync", daemon=True)
            thread.start()
            self._threads.append(thread)
        begun = [_Sync(part) for at in range(_SYNCING) if (part := files[at::_SYNCING])]
        for one in begun:
            self._queue.put(one)
        return begun

    def _work(self) -> None:
        while (one := self._queue.get()) is not None:
            one.run(self._sync)

    def end(self) -> None:
        """Force no more files to disk, and wait for those that are."""
        try:
            while True:
                self._queue.get_nowait()
        except queue.Empty:
            pass
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()


@define(eq=False, repr=False)
class _Group:
    """Messages that are stored together."""

    #: By the id of the row.
    messages: dict[int, tuple[StagedFile, MessageRow]] = field(factory=dict)
    hashes: set[str] = field(factory=set)
    bytes: int = 0
    #: When it began.
    since: float = 0.0
    #: Copies of messages that were taken before it is stored.
    copies: int = 0
    syncs: list[_Sync] = field(factory=list)
    #: Files that the disk was not asked to write yet, and their bytes.
    unsynced: list[FileIO] = field(factory=list)
    unsynced_bytes: int = 0

    @property
    def synced(self) -> bool:
        """Whether all of its files are on disk, or one of them failed."""
        return not self.unsynced and not any(sync.over.locked() for sync in self.syncs)

    def wait(self) -> None:
        """Wait until all files are on disk; then close them."""
        for sync in self.syncs:
            sync.wait()
        for staged, _ in self.messages.values():
            staged.file.close()


@define(eq=False, repr=False)
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
    _positions: Iterator[int] | None = field(default=None, init=False)  # None until something is staged
    _group: _Group = field(factory=_Group, init=False)
    _full: _Group | None = field(default=None, init=False)  # the one before, while its files are forced to disk
    _syncing: _Syncing = field(init=False)
    _published: list[MessageRow] = field(factory=list, init=False)  # the ledger does not know yet
    _changed: dict[int, MessageRow] = field(factory=dict, init=False)
    _met: dict[int, int] = field(factory=dict, init=False)  # how often a row was recognised in this session
    # Parts of the hashes of all that is archived, each its place; None if that was not an empty archive.
    _hashes: bytearray | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.first = self.ledger.next_id()
        self._ids = itertools.count(self.first)
        self._syncing = _Syncing(self.layout.disk.sync_file)
        self._hashes = bytearray(1 << 20) if self.first == 1 else None

    def begin_session(self) -> None:
        """Count copies, and what is safe, from the start."""
        self._met.clear()
        self.safe = 0
        for group in self._groups():
            group.copies = 0

    def _groups(self) -> list[_Group]:
        return [self._group] if self._full is None else [self._full, self._group]

    def stage(self, uid: str | None) -> StagedFile:
        """Return a temporary file for a message; give it to `take`, or discard it."""
        if self._positions is None:
            self._positions = itertools.count(self.layout.last_position(self.began) + 1)
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
        rows: list[MessageRow] = []
        if self._hashes is None or self._hashes[_place(sha256)]:
            if self.ledger.has_content(sha256):
                condition = "sha256 = ? AND (account = ? OR account IS NULL)"
                stored = self.ledger.messages(condition, (sha256, self.account.id))
                rows += [self._changed.get(row.id, row) for row in stored]
            for group in self._groups():
                if sha256 in group.hashes:
                    rows += [row for _, row in group.messages.values() if row.sha256 == sha256]
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
            group = next((group for group in self._groups() if same.id in group.messages), None)
            if group is None:
                self.safe += 1
            else:
                group.copies += 1
            return self.meet(same, uid, size)
        row = MessageRow(
            id=next(self._ids),
            account=self.account.id,
            sha256=staged.sha256,
            size=staged.size,
            listed=size,
            form=staged.form,
            name=self.layout.name_of(staged),
            uid_hash=staged.name.rpartition("U")[2],
            state="pending",
            server="there",
            first_seen=self.began,
            copies=1,
            uid=uid,
        )
        self._met[row.id] = 1
        if self._hashes is not None:
            self._hashes[_place(row.sha256)] = 1
        group = self._group
        if not group.messages:
            group.since = self.clock()
        group.messages[row.id] = staged, row
        group.hashes.add(row.sha256)
        group.bytes += staged.stored_size
        group.unsynced.append(staged.file)
        group.unsynced_bytes += staged.stored_size
        if len(group.unsynced) >= _TOGETHER or group.unsynced_bytes >= _BYTES_TOGETHER:
            self._begin_syncs()
        return row

    def _begin_syncs(self) -> None:
        """Have the disk write what was staged since the last call, while the next messages are downloaded."""
        group = self._group
        if group.unsynced:
            group.syncs += self._syncing.begin(group.unsynced)
            group.unsynced, group.unsynced_bytes = [], 0

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
            group = next((group for group in self._groups() if row.id in group.messages), None)
            if group is None:
                self._changed[row.id] = seen
            else:
                group.messages[row.id] = group.messages[row.id][0], seen
        return seen

    def adopt(self, file: StoredFile) -> MessageRow | None:
        """Return a row for a message of the archive that the ledger does not have; None if its file is not whole."""
        self._hashes = None
        return row_of(self.layout, file, next(self._ids))

    def forget_failure(self, uid: str) -> None:
        """Note that a message that failed before was fetched."""
        with self.ledger.transaction():
            self.ledger.forget_failure(self.account.id, uid)

    def advance(self) -> None:
        """Store a group whose files are on disk, and begin another if one is full; wait only if two are full."""
        if self._full is not None and self._full.synced:
            self._store_full()
        group = self._group
        if group.messages and (
            len(group.messages) >= _MESSAGES or group.bytes >= _BYTES or self.clock() >= group.since + _SECONDS
        ):
            self._close_group()

    def _close_group(self) -> None:
        """Store the group before; then have the rest of this one forced to disk, and begin another."""
        self._store_full()
        self._begin_syncs()
        self._full, self._group = self._group, _Group()

    def flush(self) -> None:
        """Store all groups: when this returns their messages survive a power cut."""
        self._store_full()
        if self._group.messages:
            self._close_group()
            self._store_full()

    def _store_full(self) -> None:
        """Store the group before this one."""
        group = self._full
        if group is None:
            return
        group.wait()
        rows = [row for _, row in group.messages.values()]
        with self.ledger.transaction():
            self._write_known()
            self.ledger.put_account(self.account)  # the rows refer to it
            self.ledger.put_all(rows)
        self._published, self._changed, self._full = rows, {}, None
        self.layout.publish((staged.path, row.name) for staged, row in group.messages.values())
        for row in rows:
            row.state = "stored"
        self.safe += len(rows) + group.copies

    def settle(self) -> None:
        """Store all groups and let the ledger know that they are; with the row of the account."""
        self.flush()
        with self.ledger.transaction():
            self._write_known()
            self.ledger.put_account(self.account)
        self._published, self._changed = [], {}

    def _write_known(self) -> None:
        for row in self._published:
            if row.id in self._changed:
                self._changed[row.id].state = row.state
        self.ledger.put_states(row for row in self._published if row.id not in self._changed)
        self.ledger.put_all(self._changed.values())

    def close(self) -> None:
        """Remove what was staged and not stored."""
        self._syncing.end()
        for group in self._groups():
            for staged, _ in group.messages.values():
                staged.discard()
        self._full, self._group = None, _Group()


def _place(sha256: str) -> int:
    return int(sha256[:5], 16)


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
