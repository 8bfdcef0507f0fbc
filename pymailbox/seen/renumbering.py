"""Renumbering: whether a server has given all its messages new uids, and which are which, by their sizes alone.

Sizes that only one message has tell for certain; what lies between two of them is taken for what lay there before.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pymailbox.seen.file import Row, rows_by_size

__all__ = ["carried", "is_renumbered", "longest_rise", "may_be_renumbered"]

_TELLING = 3  # messages: fewer of the same sizes may well be others, such as mails with a code


def is_renumbered(old: list[int | None], new: list[int | None]) -> bool:
    """Return whether the sizes of a listing whose uids are all new are those of the listing before.

    They are if at least two, and at least half, of the sizes that only one message of the last listing had recur once
    each and in the same order, among as many messages as that listing had, at the beginning or the end of this one.
    """
    return len(_recurring(old, new)) >= max(2, len(_unique(old)) / 2)


def may_be_renumbered(old: list[int | None], new: list[int | None]) -> bool:
    """Return whether `is_renumbered`, or all sizes are as before.

    Sizes may be as before by chance, if messages are much alike. Three or more, in the same order, at the beginning or
    the end of the listing, are taken for more than that.
    """
    same = len(old) >= _TELLING and None not in old and old in (new[: len(old)], new[-len(old) :])
    return same or is_renumbered(old, new)


def carried(old: Sequence[Row], sizes: Sequence[int | None]) -> dict[int, Row]:
    """Return the positions of the messages that were added under their old uids, and their old rows."""
    old_sizes = [row.size for row in old]
    anchors = [(-1, -1), *_recurring(old_sizes, sizes), (len(old), len(sizes))]
    added = {at: old[was] for was, at in anchors[1:-1] if old[was].added}
    for (was, at), (next_was, next_at) in pairwise(anchors):  # between two that are certain
        before, after = old[was + 1 : next_was], range(at + 1, next_at)
        if old_sizes[was + 1 : next_was] == sizes[at + 1 : at + 1 + len(before)]:
            same = zip(after, before, strict=False)
            added.update((at, row) for at, row in same if row.added and row.size is not None)
            continue
        times = Counter(sizes[at + 1 : next_at])
        whole: dict[int | None, Iterator[Row]] = {
            size: iter(rows)
            for size, rows in rows_by_size(before).items()
            if size is not None and times[size] <= len(rows) and all(row.added for row in rows)
        }
        added.update((at, next(whole[sizes[at]])) for at in after if sizes[at] in whole)
    return added


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
        longest_rise([(where[size], at + begin) for size, at in _unique(part).items() if size in where])
        for begin, part in ((0, new[: len(old)]), (start, new[start:]))
    )
    return max(first, last, key=len)


def longest_rise(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
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
