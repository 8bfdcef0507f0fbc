"""Seen: which messages of which accounts were handled, in one file, for programs that need no archive.

A message is its uid and its size, because servers give one uid to two messages, or use it again. What is not certain
counts as not handled: a message may come twice, and is never passed over. `SeenMessages` knows one account, by listings
and plain values; `Seen` holds the file and its lock, and takes the messages of mailboxes.
"""

import contextlib
import os
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, overload
from weakref import WeakKeyDictionary

from attrs import define, field

from pymailbox.account import Account, account_name
from pymailbox.content.saving import sync_directory
from pymailbox.database import Database, readable
from pymailbox.disk import Disk, disk_errors
from pymailbox.display import type_name
from pymailbox.errors import CommandError, UidsChanged
from pymailbox.lock import locked
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.mailbox.message import Message
from pymailbox.mailbox.open_mailbox import AbstractMessage, mailbox_of
from pymailbox.mailbox.state import MailboxState

if TYPE_CHECKING:
    from pymailbox.mailbox.async_mailbox import AsyncMailbox
    from pymailbox.mailbox.async_message import AsyncMessage

__all__ = ["Listing", "Seen", "SeenMessages"]

#: The uid and the size of each message, by position; None where the server gives none.
Listing: TypeAlias = Sequence[tuple[str | None, int | None]]

_SMALLEST = 512  # bytes of a page of SQLite
_FORGOTTEN = 30 * 24 * 3600  # seconds
_TELLING = 3  # messages: fewer of the same sizes may well be others, such as mails with a code


@define(eq=False)
class _Row:
    """A message of the last listing, or one that was added and is not forgotten yet."""

    #: In the order of the last listing.
    id: int
    account: int
    #: Bytes by LIST.
    size: int | None
    added: int
    #: When a listing first lacked it, in seconds since 1970; None: the last listing had it.
    absent: int | None
    #: 1 if it says nothing about the next listing's uids: the program has deleted it, or added it before it was listed.
    uncounted: int
    uid: str

    @property
    def expected(self) -> bool:
        """Whether the next listing should have it, as the last one had."""
        return self.absent is None and not self.uncounted

    def fits(self, size: int | None) -> bool:
        """Whether it can be a message of that size."""
        return size is None or self.size is None or size == self.size


class _SeenFile(Database):
    """The rows of all accounts. There is no index, as a damaged one would hide rows."""

    _application: ClassVar[int] = 0x706D6273  # "pmbs"
    _name: ClassVar[str] = "the file of seen messages"
    _tables: ClassVar[str] = """
CREATE TABLE account (id INTEGER PRIMARY KEY, listed INTEGER NOT NULL, messages INTEGER NOT NULL, name TEXT NOT NULL,
    seal BLOB NOT NULL);
CREATE TABLE message (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, size INTEGER, added INTEGER NOT NULL,
    absent INTEGER, uncounted INTEGER NOT NULL, uid TEXT NOT NULL, seal BLOB NOT NULL);
"""
    _last_id: int | None = None

    def __init__(self, path: Path | None, *, new: bool = False) -> None:
        self._new = new
        self._numbers: dict[str, int] = {}  # of accounts that may not be in the file yet
        super().__init__(path)

    def _check_header(self, path: Path) -> None:
        super()._check_header(path)
        if not self._new and path.stat().st_size < _SMALLEST:  # SQLite would begin a new one
            self._damaged("it is empty or cut off")

    def _advice(self) -> str:
        return f"Move it away, and {f'{self.path}-journal'!r}, to begin a new one; every message then counts as new"

    def load(self, name: str) -> tuple[int, bool, list[_Row]]:
        """Return the id of an account, whether it was ever listed, and its rows in order."""
        with self._moment():
            accounts = [self._sealed("account", row) for row in self._database.execute("SELECT * FROM account")]
            by_name = {readable(row[3]): row for row in accounts}
            counts = dict(self._database.execute("SELECT account, count(*) FROM message GROUP BY account").fetchall())
            if len(by_name) < len(accounts) or counts != {row[0]: row[2] for row in accounts if row[2]}:
                self._damaged("some of its rows are missing")
            taken = [0, *self._numbers.values(), *(row[0] for row in accounts)]
            number, listed, *_ = by_name.get(name) or (self._numbers.get(name, max(taken) + 1), 0)
            self._numbers[name] = number
            found = self._database.execute("SELECT * FROM message WHERE account=? ORDER BY id", (number,))
            rows = [_Row(*self._sealed("message", row)) for row in found]
        for row in rows:
            row.uid = readable(row.uid)
        return number, bool(listed), rows

    def fresh_id(self) -> int:
        """Return an id after all others, and never the same again."""
        if self._last_id is None:
            with self._checked():
                self._last_id = int(self._value("SELECT coalesce(max(id), 0) FROM message"))
        self._last_id += 1
        return self._last_id

    def save(self, account: tuple[int, int, int, str] | None, changed: Iterable[_Row], dropped: Iterable[int]) -> None:
        """Write what is new of an account and its rows, in one commit."""
        with self.transaction():
            self._database.executemany("DELETE FROM message WHERE id=?", ((number,) for number in dropped))
            for row in changed:
                values = (row.id, row.account, row.size, row.added, row.absent, row.uncounted, row.uid)
                self._write("message", values, replace=True)
            if account is not None:
                self._write("account", account, replace=True)


class SeenMessages:
    """What was seen of one account. A listing is that of a whole session; nothing here asks a server."""

    def __init__(self, seen: "Seen", name: str) -> None:
        self._seen = seen
        self._name = name
        self._loaded: _SeenFile | None = None  # the file that has the rows in memory
        self._account = 0
        self._listed = False
        self._rows: dict[int, _Row] = {}  # in the order of their ids
        self._by_uid: dict[str, list[_Row]] = {}

    def is_known(self) -> bool:
        """Whether this account was ever listed in this file."""
        with self._ready():
            return self._listed

    def unseen(self, listing: Listing) -> list[int]:
        """Return the numbers of the messages that were not added, counted by uid and size; changes nothing."""
        with self._ready():
            return [number for number, row in enumerate(self._match(listing), 1) if row is None or not row.added]

    def all_new(self, listing: Listing) -> bool:
        """Whether none of the uids is known, although others are."""
        with self._ready():
            known = {row.uid for row in self._rows.values() if not row.uncounted}
            return bool(known) and not any(uid in known for uid, _ in listing)

    def renumbered(self, listing: Listing) -> bool:
        """Whether all uids have changed at once, although the messages are the same; changes nothing.

        They have if none of the uids is known, and at least two, and at least half, of the sizes that only one message
        of the last listing had recur once each and in the same order, among as many messages as that listing had, at
        the beginning or the end of this one. What the program itself marked as deleted then does not count.
        """
        with self._ready():
            if not self.all_new(listing):
                return False
            old = [row.size for row in self._present()]
            new = [size for uid, size in listing if uid is not None]
            return len(_recurring(old, new)) >= max(2, len(_unique(old)) / 2)

    def may_be_renumbered(self, listing: Listing) -> bool:
        """Whether `renumbered`, or all uids are new, and all sizes as before; changes nothing.

        Sizes may be as before by chance, if messages are much alike. Three or more, in the same order, at the beginning
        or the end of the listing, are taken for more than that.
        """
        with self._ready():
            if not self.all_new(listing):
                return False
            old = [row.size for row in self._present()]
            new = [size for uid, size in listing if uid is not None]
            same = len(old) >= _TELLING and None not in old and old in (new[: len(old)], new[-len(old) :])
            return same or self.renumbered(listing)

    def recognised(self, listing: Listing) -> dict[int, str]:
        """Return the old uids of the messages of a renumbered listing that were added, by position.

        Of messages that only their sizes could tell apart, any may have any of the old uids.
        """
        with self._ready():
            return {at: row.uid for at, row in self._carried(listing).items()}

    def returned(self, listing: Listing) -> list[int]:
        """Return the positions of messages that were added and that the last listing lacked.

        The last listing was incomplete, or the server has given their uids to others.
        """
        with self._ready():
            return [at for at, row in enumerate(self._match(listing)) if row and row.added and row.absent is not None]

    def uids(self) -> Collection[str]:
        """Return the uids that are remembered."""
        with self._ready():
            return self._by_uid.keys()

    def learn(self, listing: Listing, *, renumbered: bool = False) -> None:
        """Remember this listing, and forget what no listing of 30 days has had; durable when it returns.

        With `renumbered`, all uids have changed at once: what was added stays added under its new uid.
        """
        self.remember(listing, renumbered=renumbered)

    def remember(
        self, listing: Listing, *, renumbered: bool = False, doubtful: Collection[int] = ()
    ) -> list[int | None]:
        """Do what `learn` does; return the id that `mark` takes for each message, None for one without a uid.

        What is at a `doubtful` position counts as not added.
        """
        with self._ready() as file:
            found = self._match(listing)
            added = self._carried(listing).keys() - doubtful if renumbered else set()
            now = self._seen.now()
            ids: list[int | None] = []
            gone, last = self._rows.copy(), 0
            with self._changing() as (changed, dropped):
                for at, ((uid, size), row) in enumerate(zip(listing, found, strict=True)):
                    if uid is None:
                        ids.append(None)
                        continue
                    if row is not None and row.id > last:
                        del gone[row.id]
                        if not row.expected or size not in (None, row.size) or at in doubtful:
                            row.absent, row.uncounted, row.size = None, 0, row.size if size is None else size
                            row.added = row.added if at not in doubtful else 0
                            changed.append(row)
                    else:  # it is new or has moved: ids are in the order of the listing
                        fresh = _Row(file.fresh_id(), self._account, size, int(at in added), None, 0, uid)
                        if row is not None:
                            fresh.added = row.added if at not in doubtful else 0
                            fresh.size = row.size if size is None else size
                            dropped.append(gone.pop(row.id))
                        row = fresh
                        changed.append(row)
                    last = row.id
                    ids.append(last)
                for row in gone.values():
                    if not row.added or (row.absent is not None and now - row.absent >= _FORGOTTEN):
                        dropped.append(row)
                    elif row.absent is None or row.absent > now:  # in the future: the clock was wrong
                        row.absent = now
                        changed.append(row)
                self._listed = True
            return ids

    def waiting(self, ids: Sequence[int | None]) -> list[int]:
        """Return what `unseen` does for the listing that `remember` gave these ids to."""
        with self._ready():
            return [number for number, id in enumerate(ids, 1) if id is None or not self._rows[id].added]

    def add(self, listing: Iterable[tuple[str | None, int | None]]) -> None:
        """Remember that these messages were handled; durable when it returns. Without a uid nothing is remembered."""
        self.mark((None, uid, size) for uid, size in listing)

    def mark(self, handled: Iterable[tuple[int | None, str | None, int | None]]) -> None:
        """Do what `add` does; before uid and size comes the id from `remember`, if there is one."""
        with self._ready() as file, self._changing() as (changed, _):
            others: defaultdict[str, list[int | None]] = defaultdict(list)
            for number, uid, size in handled:
                row = self._rows.get(number or 0)
                if row is not None and not row.added:
                    row.added = 1
                    changed.append(row)
                elif row is None and uid is not None:
                    others[uid].append(size)
            now = self._seen.now()
            for uid, sizes in others.items():
                rows = self._by_uid.get(uid, [])
                by_size = {size: iter(same) for size, same in _by_size(rows).items()}
                every = iter(rows)
                for size in sizes:
                    fitting = [every] if size is None else [by_size[fit] for fit in (size, None) if fit in by_size]
                    row = next((row for some in fitting for row in some if not row.added), None)
                    if row is not None:
                        row.added = 1
                        changed.append(row)
                    elif not rows or not fitting:
                        changed.append(_Row(file.fresh_id(), self._account, size, 1, now, 1, uid))

    def depart(self, ids: Iterable[int | None]) -> None:
        """Remember that these messages were marked as deleted since they were listed."""
        with self._ready(), self._changing() as (changed, _):
            for number in ids:
                row = self._rows.get(number or 0)
                if row is not None and row.expected:
                    row.uncounted = 1
                    changed.append(row)

    # --- the rows -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _ready(self) -> Iterator[_SeenFile]:
        """Have the rows in memory during the block."""
        with self._seen.opened() as file:
            if self._loaded is not file:
                self._account, self._listed, rows = file.load(self._name)
                self._index(rows)
                self._loaded = file
            yield file

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[list[_Row], list[_Row]]]:
        """Save at the end the rows that the block has changed and those it drops; if that fails, load all again."""
        changed: list[_Row] = []
        dropped: list[_Row] = []
        listed, messages = self._listed, len(self._rows)
        with self._seen.opened() as file:
            self._loaded = None
            yield changed, dropped
            gone = {row.id for row in dropped}
            for row in changed:
                if row.id not in self._rows:
                    self._rows[row.id] = row
                    self._by_uid.setdefault(row.uid, []).append(row)
            if gone:
                self._index([row for row in self._rows.values() if row.id not in gone])
            account = None
            if (listed, messages) != (self._listed, len(self._rows)):
                account = (self._account, int(self._listed), len(self._rows), self._name)
            if changed or gone or account is not None:
                file.save(account, changed, gone)
            self._loaded = file

    def _index(self, rows: Iterable[_Row]) -> None:
        self._rows, self._by_uid = {}, {}
        for row in rows:
            self._rows[row.id] = row
            self._by_uid.setdefault(row.uid, []).append(row)

    def _present(self) -> list[_Row]:
        """Return the messages that the last listing had and that were not deleted then, in order."""
        return [row for row in self._rows.values() if row.expected]

    def _match(self, listing: Listing) -> list[_Row | None]:
        """Return the row of each message of a listing; None for one that is new, or may be."""
        found: list[_Row | None] = [None] * len(listing)
        times = Counter(uid for uid, _ in listing)
        places: defaultdict[str, list[int]] = defaultdict(list)
        for at, (uid, size) in enumerate(listing):
            if uid is None or uid not in self._by_uid:
                continue
            rows = self._by_uid[uid]
            if len(rows) > 1 or times[uid] > 1:
                places[uid].append(at)
            elif rows[0].fits(size):
                found[at] = rows[0]
        for uid, positions in places.items():
            rows = self._by_uid[uid]
            sizes = [listing[at][1] for at in positions]
            if None in sizes or any(row.size is None for row in rows):
                _pair(rows, positions, sizes, found)
                continue
            by_size = _by_size(rows)
            same: defaultdict[int | None, list[int]] = defaultdict(list)
            for at, size in zip(positions, sizes, strict=True):
                same[size].append(at)
            for size, group in same.items():
                _pair(by_size.get(size, []), group, [size] * len(group), found)
        return found

    def _carried(self, listing: Listing) -> dict[int, _Row]:
        """Return the positions of a renumbered listing whose messages were added under their old uids, and these."""
        old, places = self._present(), [at for at, (uid, _) in enumerate(listing) if uid is not None]
        old_sizes, sizes = [row.size for row in old], [listing[at][1] for at in places]
        anchors = [(-1, -1), *_recurring(old_sizes, sizes), (len(old), len(places))]
        added = {at: old[was] for was, at in anchors[1:-1] if old[was].added}
        for (was, at), (next_was, next_at) in pairwise(anchors):  # between two that are certain
            before, after = old[was + 1 : next_was], range(at + 1, next_at)
            if old_sizes[was + 1 : next_was] == sizes[at + 1 : at + 1 + len(before)]:
                same = zip(after, before, strict=False)
                added.update((at, row) for at, row in same if row.added and row.size is not None)
                continue
            by_size, times = _by_size(before), Counter(sizes[at + 1 : next_at])
            whole: dict[int | None, Iterator[_Row]] = {
                size: iter(rows)
                for size, rows in by_size.items()
                if size is not None and times[size] <= len(rows) and all(row.added for row in rows)
            }
            added.update((at, next(whole[sizes[at]])) for at in after if sizes[at] in whole)
        return {places[at]: row for at, row in added.items()}


def _by_size(rows: Iterable[_Row]) -> dict[int | None, list[_Row]]:
    result: dict[int | None, list[_Row]] = {}
    for row in rows:
        result.setdefault(row.size, []).append(row)
    return result


def _pair(rows: list[_Row], positions: list[int], sizes: list[int | None], found: list[_Row | None]) -> None:
    """Give each position its row, in order: all are of messages that only their order tells apart.

    If some of the messages are gone, nobody knows which: then none has a row, unless all were added.
    """
    certain = len(rows) <= len(positions) and all(row.expected for row in rows)
    if (certain or all(row.added for row in rows)) and all(map(_Row.fits, rows, sizes)):
        for at, row in zip(positions, rows, strict=False):
            found[at] = row


def _unique(sizes: Sequence[int | None]) -> dict[int, int]:
    """Return the position of each size that occurs once."""
    counts = Counter(sizes)
    return {size: at for at, size in enumerate(sizes) if size is not None and counts[size] == 1}


def _recurring(old: Sequence[int | None], new: Sequence[int | None]) -> list[tuple[int, int]]:
    """Return the positions, in both, of sizes that occur once in each and in the same order: as many as there can be.

    Only as many messages of `new` as `old` has are compared, the first or, for a server that lists the newest first,
    the last. Sizes that recur prove nothing, such as those of a daily report. Costs n log n.
    """
    where = _unique(old)
    start = max(0, len(new) - len(old))
    first, last = (
        _longest_rise([(where[size], at + begin) for size, at in _unique(part).items() if size in where])
        for begin, part in ((0, new[: len(old)]), (start, new[start:]))
    )
    return max(first, last, key=len)


def _longest_rise(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return as many of the pairs as possible, in their order, whose first values rise."""
    tops: list[int] = []  # the lowest first value in which a rise of each length can end
    ends: list[int] = []  # the pair that has it
    before: list[int] = []
    for at, (value, _) in enumerate(pairs):
        length = bisect_left(tops, value)
        before.append(ends[length - 1] if length else -1)
        tops[length : length + 1] = [value]
        ends[length : length + 1] = [at]
    rise, at = [], ends[-1] if ends else -1
    while at >= 0:
        rise.append(pairs[at])
        at = before[at]
    return rise[::-1]


@define(eq=False)
class _Session:
    """The messages of one session, as they were listed."""

    _account: SeenMessages
    #: The numbers of those that are marked as deleted now.
    _deleted: Collection[int]
    _listing: Listing
    #: The ids of their rows, by position.
    _ids: Sequence[int | None]
    #: The numbers of those without a uid that were added.
    added: set[int]
    _shared: set[tuple[str | None, int | None]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._shared = {one for one, times in Counter(self._listing).items() if times > 1}

    def handled(self, number: int) -> tuple[int | None, str | None, int | None]:
        """Return what `SeenMessages.mark` takes for a message."""
        row, (uid, size) = self._ids[number - 1], self._listing[number - 1]
        # Without its row, uid and size must not stand for the other message that has them.
        return row, None if (uid, size) in self._shared else uid, size

    def depart(self) -> None:
        """Remember which messages were marked as deleted."""
        self._account.depart(self._ids[number - 1] for number in tuple(self._deleted))

    def has_uid(self, number: int) -> bool:
        """Whether a message has a uid."""
        return self._listing[number - 1][0] is not None


class Seen:
    """A file that remembers which messages were handled, for programs that want each message once.

    `new` returns the messages that were not added, and `add` adds one when it has been handled. A message that was
    handed out and not added, because the program failed or was killed, is handed out again. One file serves any number
    of accounts. Use it in a `with` block, which holds a lock: meanwhile another one for the same file gets
    `ArchiveLocked`. Threads may share it.

    `path` may begin with `~`; the file and missing directories are made, for their owner only. Entering the block
    raises `LedgerDamaged` if the file is damaged, not such a file, or written by a newer version.

    >>> import tempfile
    >>> from pymailbox import Mailbox, Seen
    >>> from pymailbox.testing import Server
    >>> with tempfile.TemporaryDirectory() as directory, Server([b"Subject: one\\r\\n\\r\\n1\\r\\n"]) as server:
    ...     for run in ("first", "second"):
    ...         with Seen(f"{directory}/me.seen") as seen, Mailbox.from_url(server.url, "secret") as inbox:
    ...             for message in seen.new(inbox):
    ...                 print(run, message.subject)
    ...                 seen.add(message)
    first one
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not os.fspath(path):
            raise ValueError("path must not be empty; it is the name of a file, such as '~/.local/state/me.seen'")
        # A link is followed, so that two names of one file have one lock.
        self._path: Path | None = Path(os.fsdecode(path)).expanduser().resolve()
        self._locked = True
        self._clock: Callable[[], float] = time.time
        self._file: _SeenFile | None = None
        self._ending = contextlib.ExitStack()
        self._guard = threading.RLock()
        self._accounts: dict[str, SeenMessages] = {}
        self._sessions: WeakKeyDictionary[MailboxState[Any], _Session] = WeakKeyDictionary()
        self._latest: dict[SeenMessages, _Session] = {}

    @classmethod
    def in_memory(cls) -> Self:
        """Make one without a file and without a lock; for the package itself."""
        seen = cls("memory")
        seen._path = None
        return seen

    @classmethod
    def unlocked(cls, path: str | os.PathLike[str]) -> Self:
        """Make one that is only read, at once, whoever writes to the file; for the package itself."""
        seen = cls(path)
        seen._locked = False
        return seen

    def __repr__(self) -> str:
        return f"<Seen {'in memory' if self._path is None else repr(str(self._path))}>"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self._path is not None:
                stack.enter_context(disk_errors(self._path))
                if self._locked:
                    stack.enter_context(_prepared(self._path))
                elif not self._path.exists():
                    raise ValueError(f"there is no file of seen messages at {str(self._path)!r}")
            file = stack.enter_context(_SeenFile(self._path))
            self._ending = stack.pop_all()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            try:
                for session in self._latest.values() if error is None else ():
                    session.depart()
            finally:
                self._file = None
                for known in (self._accounts, self._sessions, self._latest):
                    known.clear()
                self._ending.close()

    @overload
    def new(self, inbox: Mailbox, *, renumbered: bool = False) -> tuple[Message, ...]: ...
    @overload
    def new(self, inbox: "AsyncMailbox", *, renumbered: bool = False) -> "Awaitable[tuple[AsyncMessage, ...]]": ...
    def new(
        self, inbox: "Mailbox | AsyncMailbox", *, renumbered: bool = False
    ) -> "tuple[Message, ...] | Awaitable[tuple[AsyncMessage, ...]]":
        """Return the messages of `inbox` that were not added, in order; await it for an `AsyncMailbox`.

        Messages marked as deleted are skipped, and messages without a uid are always returned, as in `Mailbox.new`. A
        uid counts for messages of one size: another message under the uid of one that was added is returned. The file
        remembers the listing; messages that were added are forgotten when listings have lacked them for 30 days.

        Raises `UidsChanged` if the server has given new uids to messages that it had listed before; nothing is then
        changed in the file. With `renumbered=True`, such messages stay added under their new uids, and those that
        cannot be recognised are returned. Costs one UIDL and one LIST, once per session. Raises `NotSupported` if the
        server has no UIDL, and `TemporaryFailure` if it refuses UIDL temporarily; a refused LIST only leaves the sizes
        unknown, and an unknown size fits any.
        """
        if not isinstance(renumbered, bool):
            raise TypeError(f"renumbered must be True or False, not {renumbered!r}")
        self._require_open()
        if isinstance(inbox, Mailbox):
            uids = inbox.uids
            sizes: tuple[int | None, ...] = (None,) * len(uids)
            with contextlib.suppress(CommandError):
                sizes = inbox.sizes
            deleted = {message.number for message in inbox.deleted}
            numbers = self._new(inbox, tuple(zip(uids, sizes, strict=True)), renumbered)
            return tuple(inbox[number - 1] for number in numbers if number not in deleted)
        from pymailbox.mailbox.async_mailbox import AsyncMailbox

        if not isinstance(inbox, AsyncMailbox):
            raise TypeError(f"inbox must be a Mailbox or an AsyncMailbox, not {type_name(inbox)}")
        return self._new_async(inbox, renumbered)

    async def _new_async(self, inbox: "AsyncMailbox", renumbered: bool) -> "tuple[AsyncMessage, ...]":
        import asyncio

        uids = await inbox.uids()
        sizes: tuple[int | None, ...] = (None,) * len(uids)
        with contextlib.suppress(CommandError):
            sizes = await inbox.sizes()
        deleted = {message.number for message in inbox.deleted}
        # The disk must not stop the event loop.
        numbers = await asyncio.to_thread(self._new, inbox, tuple(zip(uids, sizes, strict=True)), renumbered)
        return tuple(inbox[number - 1] for number in numbers if number not in deleted)

    def _new(self, inbox: "Mailbox | AsyncMailbox", listing: Listing, renumbered: bool) -> list[int]:
        with self._guard:
            messages = self.of(inbox.account)
            if messages in self._latest:
                self._latest.pop(messages).depart()
            changed = messages.may_be_renumbered(listing)
            if changed and not renumbered:
                raise UidsChanged(
                    f"the server has given new uids to all messages of {account_name(inbox.account)}, which seem to be"
                    " those that it had before; nothing was changed. To recognise them by their sizes, call"
                    " new(inbox, renumbered=True)"
                )
            ids = messages.remember(listing, renumbered=changed)
            numbers = messages.waiting(ids)
            if not listing:
                return numbers
            state = mailbox_of(inbox[0]).state
            earlier = self._sessions.get(state)
            session = _Session(messages, state.deleted, listing, ids, earlier.added if earlier else set())
            self._sessions[state] = self._latest[messages] = session
            return [number for number in numbers if number not in session.added]

    def add(self, messages: "Message | AsyncMessage | Iterable[Message | AsyncMessage]") -> None:
        """Remember that messages were handled: `new` does not return them any more. On disk when it returns.

        `messages` is one message or an iterable of them, which are added in one go; an iterable is much faster than
        one call for each. The session may have ended, and `new` need not have returned the message; then its uid must
        be known, or can be asked for (one UIDL). A message without a uid is remembered until its session ends, no
        longer. Nothing of a message is downloaded.
        """
        self._require_open()
        chosen = list(messages) if isinstance(messages, Iterable) else [messages]
        for message in chosen:
            if not isinstance(message, AbstractMessage):
                raise TypeError(f"expected a message or an iterable of messages, got {type_name(message)}")
        with self._guard:
            handled: defaultdict[SeenMessages, list[tuple[int | None, str | None, int | None]]] = defaultdict(list)
            without_uid: list[tuple[_Session, int]] = []
            for message in chosen:
                opened = mailbox_of(message)
                account = self.of(opened.account)
                session = self._sessions.get(opened.state) or self._listed(account, message)
                handled[account].append(session.handled(message.number))
                if not session.has_uid(message.number):
                    without_uid.append((session, message.number))
            for account, those in handled.items():
                account.mark(those)
            for session, number in without_uid:
                session.added.add(number)

    def _listed(self, account: SeenMessages, message: "Message | AsyncMessage") -> _Session:
        """Learn the session of a message that `new` has not listed."""
        state = mailbox_of(message).state
        if state.uids is None:
            if not isinstance(message, Message):
                raise ValueError("the uids of this session are not known; await seen.new(inbox) or inbox.uids() before")
            _ = message.uid  # one UIDL for all of them
        uids = state.uids or ()
        listing = tuple(zip(uids, state.sizes or (None,) * len(uids), strict=True))
        # Whether all uids have changed is for `new` to say, by what was listed before.
        ids = [None] * len(listing) if account.all_new(listing) else account.remember(listing)
        session = self._sessions[state] = _Session(account, state.deleted, listing, ids, set())
        return session

    # --- for the package itself ---------------------------------------------------------------------------

    def of(self, account: Account) -> SeenMessages:
        """Return what was seen of an account; for the package itself."""
        with self._guard:
            self._require_open()
            name = account_name(account)
            if name not in self._accounts:
                self._accounts[name] = SeenMessages(self, name)
            return self._accounts[name]

    @contextlib.contextmanager
    def opened(self) -> Iterator[_SeenFile]:
        """Have the file for one thread during the block; for `SeenMessages`."""
        with self._guard, contextlib.nullcontext() if self._path is None else disk_errors(self._path):
            yield self._require_open()

    def now(self) -> int:
        """Return the time in seconds since 1970; for `SeenMessages`."""
        return int(self._clock())

    def _require_open(self) -> _SeenFile:
        if self._file is None:
            raise ValueError("the file of seen messages is not open; use `with Seen(path) as seen:`")
        return self._file


@contextlib.contextmanager
def _prepared(path: Path) -> Iterator[None]:
    """Hold the lock of a file during the block; the file is made if there is none.

    It gets its name when it is whole, so a file of that name that is cut off or empty is damaged, not new.
    """
    disk = Disk()
    disk.make_directory(path.parent)
    with locked(path.with_name(f"{path.name}.lock"), repr(str(path))):
        if not path.exists():
            fresh = path.with_name(f"{path.name}.new")
            for left in (fresh, *(Path(f"{name}-journal") for name in (fresh, path))):
                disk.remove(left)  # of a run that was killed, or of a file that was moved away
            _SeenFile(fresh, new=True).close()
            disk.remove(Path(f"{fresh}-journal"))
            disk.rename(fresh, path)
            for directory in path.parents:  # a run that was killed may have made them and done no more
                if os.access(directory, os.W_OK):
                    sync_directory(directory)
        yield
