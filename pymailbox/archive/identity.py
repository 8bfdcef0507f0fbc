"""Identity: which messages of a listing are archived already.

A uid alone does not say: servers repeat, reuse, blank and renumber them. A message is its uid and its content, and
what a listing leaves open is fetched and compared.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from attrs import define, field

from pymailbox.archive.ledger import MessageRow

__all__ = ["Index", "Plan", "all_changed", "plan"]


@define(eq=False, repr=False)
class Index:
    """What is archived of an account, by uid; a hundred thousand messages fit into some 20 MB.

    What LIST gave for a message is compared with what it gives now; where it gave nothing, as after a rebuild, the size
    that the message has.
    """

    #: The ids of the rows.
    ids: "array[int]" = field(factory=lambda: array("q"))
    first_seen: "array[int]" = field(factory=lambda: array("q"))
    _listed: "array[int]" = field(factory=lambda: array("q"))
    _copies: "array[int]" = field(factory=lambda: array("q"))
    #: Whether the server confirmed the deletion: what has the uid now is another message until it is compared.
    _gone: bytearray = field(factory=bytearray)
    _at: dict[str, int] = field(factory=dict)
    _others: dict[str, list[int]] = field(factory=dict)  # of uids with several messages, all but the first

    @property
    def uids(self) -> Collection[str]:
        """The uids."""
        return self._at.keys()

    def add(self, row: MessageRow) -> None:
        """Add a row, or what has changed of it."""
        if row.uid is None:
            return
        new = len(self.ids)
        first = self._at.setdefault(row.uid, new)
        at = first if first == new else next((at for at in self._all(row.uid) if self.ids[at] == row.id), new)
        listed = row.size if row.listed is None else row.listed
        gone = row.server == "gone"
        if at < new:
            self._listed[at], self._copies[at], self._gone[at] = listed, row.copies, gone
            return
        if first != new:
            self._others.setdefault(row.uid, []).append(new)
        self.ids.append(row.id)
        self.first_seen.append(row.first_seen)
        self._listed.append(listed)
        self._copies.append(row.copies)
        self._gone.append(gone)

    def _all(self, uid: str) -> list[int]:
        first = self._at.get(uid)
        return [] if first is None else [first, *self._others.get(uid, ())]

    def covers(self, uid: str, sizes: Sequence[int | None]) -> bool:
        """Whether messages of these sizes that share a uid can be those that are archived under it."""
        archived: Counter[int] = Counter()
        for at in self._all(uid):
            if not self._gone[at]:
                archived[self._listed[at]] += self._copies[at]
        wanted = Counter(size for size in sizes if size is not None)
        return len(sizes) <= archived.total() and not wanted - archived

    def find(self, uid: str, size: int | None) -> int | None:
        """Return the position of the newest message of that uid and, where it is known, size; None if there is none."""
        first = self._at[uid]
        for at in (*reversed(self._others[uid]), first) if uid in self._others else (first,):
            if not self._gone[at] and (size is None or self._listed[at] == size):
                return at
        return None


@define
class Plan:
    """What to do with the messages of a listing, each by its number."""

    #: Archived under this uid, which no other message of the listing has.
    known: list[int] = field(factory=list)
    #: Archived under a uid that several messages share, so which is which is not known.
    shared: list[int] = field(factory=list)
    #: To be fetched, as nothing is archived under the uid.
    unknown: list[int] = field(factory=list)
    #: To be fetched and compared: there is no uid, or what is archived under it does not fit.
    doubtful: list[int] = field(factory=list)


def plan(uids: Sequence[str | None], sizes: Sequence[int | None], index: Index) -> Plan:
    """Sort the messages of a listing; if `sizes` is empty each is taken to have the size it had."""
    result = Plan()
    covered = _covered(uids, sizes, index) if len(set(uids)) < len(uids) else {}
    archived = index.uids
    for number, uid in enumerate(uids, 1):
        if uid is None:
            where = result.doubtful
        elif uid not in archived:
            where = result.unknown
        elif uid in covered:
            where = result.shared if covered[uid] else result.doubtful
        else:
            found = index.find(uid, sizes[number - 1] if sizes else None)
            where = result.doubtful if found is None else result.known
        where.append(number)
    return result


def _covered(uids: Sequence[str | None], sizes: Sequence[int | None], index: Index) -> dict[str, bool]:
    """Return, for each uid that several messages share, whether all of them are archived."""
    groups: defaultdict[str, list[int | None]] = defaultdict(list)
    for at, uid in enumerate(uids):
        if uid is not None:
            groups[uid].append(sizes[at] if sizes else None)
    return {uid: index.covers(uid, group) for uid, group in groups.items() if len(group) > 1}


def all_changed(matched: int, compared: int) -> bool:
    """Whether all uids have changed, if so many new ones are of messages archived under uids that are no longer listed.

    A single one is that message under a new uid; that much happens.
    """
    return matched > 1 and 2 * matched >= compared
