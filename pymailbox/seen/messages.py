"""SeenMessages: what was seen of one account, by listings and plain values; nothing here asks a server.

A message is its uid and its size. What is not certain counts as not handled.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

from pymailbox.seen import renumbering
from pymailbox.seen.file import Row, SeenFile, rows_by_size

__all__ = ["Listing", "SeenMessages"]

#: The uid and the size of each message, by position; None where the server gives none.
Listing: TypeAlias = Sequence[tuple[str | None, int | None]]

_FORGOTTEN = 30 * 24 * 3600  # seconds


class SeenMessages:
    """What was seen of one account. A listing is that of a whole session.

    `opened` has the file for one thread during a block, and `now` returns the seconds since 1970.
    """

    def __init__(
        self, name: str, opened: Callable[[], contextlib.AbstractContextManager[SeenFile]], now: Callable[[], int]
    ) -> None:
        self._name = name
        self._opened = opened
        self._now = now
        self._loaded: SeenFile | None = None  # the file that has the rows in memory
        self._account = 0
        self._listed = False
        self._rows: dict[int, Row] = {}  # in the order of their ids
        self._by_uid: dict[str, list[Row]] = {}

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

        What the program itself marked as deleted in that listing does not count.
        """
        with self._ready():
            return self.all_new(listing) and renumbering.is_renumbered(self._present_sizes(), _sizes(listing))

    def may_be_renumbered(self, listing: Listing) -> bool:
        """Whether `renumbered`, or all uids are new, and all sizes as before; changes nothing."""
        with self._ready():
            return self.all_new(listing) and renumbering.may_be_renumbered(self._present_sizes(), _sizes(listing))

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

    def remember(
        self, listing: Listing, *, renumbered: bool = False, doubtful: Collection[int] = ()
    ) -> list[int | None]:
        """Remember this listing, and forget what no listing of 30 days has had; durable when it returns.

        With `renumbered`, all uids have changed at once: what was added stays added under its new uid. What is at a
        `doubtful` position counts as not added. Returns the id that `mark` takes for each message, None for one without
        a uid.
        """
        with self._ready() as file:
            found = self._match(listing)
            carried = self._carried(listing).keys() if renumbered else ()
            ids: list[int | None] = []
            last = 0
            with self._changing() as (changed, dropped):
                self._miss(found, changed, dropped)
                for at, ((uid, size), row) in enumerate(zip(listing, found, strict=True)):
                    if uid is None:
                        ids.append(None)
                        continue
                    was_added = at in carried if row is None else row.added
                    added = int(bool(was_added) and at not in doubtful)
                    if row is not None and size is None:
                        size = row.size
                    if row is not None and row.id < last:  # it has moved: ids are in the order of the listing
                        dropped.append(row)
                        row = None
                    if row is None:
                        row = Row(file.fresh_id(), self._account, size, added, None, 0, uid)
                        changed.append(row)
                    elif not row.expected or (row.size, row.added) != (size, added):
                        row.size, row.added, row.absent, row.uncounted = size, added, None, 0
                        changed.append(row)
                    last = row.id
                    ids.append(last)
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
            for uid, sizes in others.items():
                changed += self._mark_by_uid(file, uid, sizes)

    def depart(self, ids: Iterable[int | None]) -> None:
        """Remember that these messages were marked as deleted since they were listed."""
        with self._ready(), self._changing() as (changed, _):
            for number in ids:
                row = self._rows.get(number or 0)
                if row is not None and row.expected:
                    row.uncounted = 1
                    changed.append(row)

    def _miss(self, found: Iterable[Row | None], changed: list[Row], dropped: list[Row]) -> None:
        """Remember since when the rows that are not among those found are missing; drop what need not be kept."""
        here, now = {row.id for row in found if row is not None}, self._now()
        for row in self._rows.values():
            if row.id in here:
                continue
            if not row.added or (row.absent is not None and now - row.absent >= _FORGOTTEN):
                dropped.append(row)
            elif row.absent is None or row.absent > now:  # in the future: the clock was wrong
                row.absent = now
                changed.append(row)

    def _mark_by_uid(self, file: SeenFile, uid: str, sizes: Iterable[int | None]) -> Iterator[Row]:
        """Mark a message with this uid for each of the sizes, or add it; yield the rows that this has changed."""
        rows, now = self._by_uid.get(uid, []), self._now()
        by_size = {size: iter(same) for size, same in rows_by_size(rows).items()}
        every = iter(rows)
        for size in sizes:
            fitting = [every] if size is None else [by_size[fit] for fit in (size, None) if fit in by_size]
            row = next((row for some in fitting for row in some if not row.added), None)
            if row is not None:
                row.added = 1
                yield row
            elif not rows or not fitting:
                yield Row(file.fresh_id(), self._account, size, 1, now, 1, uid)

    # --- the rows -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _ready(self) -> Iterator[SeenFile]:
        """Have the rows in memory during the block."""
        with self._opened() as file:
            if self._loaded is not file:
                self._account, self._listed, rows = file.load(self._name)
                self._index(rows)
                self._loaded = file
            yield file

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[list[Row], list[Row]]]:
        """Save at the end the rows that the block has changed and those it drops; if that fails, load all again."""
        changed: list[Row] = []
        dropped: list[Row] = []
        listed, messages = self._listed, len(self._rows)
        with self._opened() as file:
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

    def _index(self, rows: Iterable[Row]) -> None:
        self._rows, self._by_uid = {}, {}
        for row in rows:
            self._rows[row.id] = row
            self._by_uid.setdefault(row.uid, []).append(row)

    def _present(self) -> list[Row]:
        """Return the messages that the last listing had and that were not deleted then, in order."""
        return [row for row in self._rows.values() if row.expected]

    def _present_sizes(self) -> list[int | None]:
        return [row.size for row in self._present()]

    def _carried(self, listing: Listing) -> dict[int, Row]:
        """Return the positions of a renumbered listing whose messages were added under their old uids, and these."""
        places = [at for at, (uid, _) in enumerate(listing) if uid is not None]
        return {places[at]: row for at, row in renumbering.carried(self._present(), _sizes(listing)).items()}

    def _match(self, listing: Listing) -> list[Row | None]:
        """Return the row of each message of a listing; None for one that is new, or may be."""
        found: list[Row | None] = [None] * len(listing)
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
            by_size = rows_by_size(rows)
            same: defaultdict[int | None, list[int]] = defaultdict(list)
            for at, size in zip(positions, sizes, strict=True):
                same[size].append(at)
            for size, group in same.items():
                _pair(by_size.get(size, []), group, [size] * len(group), found)
        return found


def _pair(rows: list[Row], positions: list[int], sizes: list[int | None], found: list[Row | None]) -> None:
    """Give each position its row, in order: all are of messages that only their order tells apart.

    If some of the messages are gone, nobody knows which: then none has a row, unless all were added.
    """
    certain = len(rows) <= len(positions) and all(row.expected for row in rows)
    if (certain or all(row.added for row in rows)) and all(map(Row.fits, rows, sizes)):
        for at, row in zip(positions, rows, strict=False):
            found[at] = row


def _sizes(listing: Listing) -> list[int | None]:
    """Return the sizes of the messages that have a uid."""
    return [size for uid, size in listing if uid is not None]
