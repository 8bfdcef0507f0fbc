"""Identity: which messages of a listing are archived already.

A uid alone does not say: servers repeat, reuse, blank and renumber them. A message is its uid and its content, and
what a listing leaves open is fetched and compared.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from pymailbox.archive.ledger import MessageRow

__all__ = ["Archived", "Plan", "all_changed", "plan"]


@frozen
class Archived:
    """What is needed of an archived message to recognise it in a listing."""

    id: int
    #: Bytes by LIST.
    listed: int | None
    first_seen: int
    #: Identical messages under its uid.
    copies: int
    #: Whether the server confirmed its deletion: whatever has its uid now is another message until it is compared.
    gone: bool

    @classmethod
    def of(cls, row: MessageRow) -> "Archived":
        """Return it for a row of the ledger."""
        return cls(row.id, row.listed, row.first_seen, row.copies, row.server == "gone")


@define
class Plan:
    """What to do with the messages of a listing, each by its number."""

    #: Archived under this uid, which no other message of the listing has.
    known: dict[int, Archived] = field(factory=dict)
    #: Archived under a uid that several messages share, so which is which is not known.
    shared: set[int] = field(factory=set)
    #: To be fetched, as nothing is archived under the uid.
    unknown: list[int] = field(factory=list)
    #: To be fetched and compared: there is no uid, or what is archived under it does not fit.
    doubtful: list[int] = field(factory=list)


def plan(
    uids: Sequence[str | None], sizes: Sequence[int | None] | None, archived: Mapping[str, Sequence[Archived]]
) -> Plan:
    """Sort the messages of a listing; without `sizes` each is taken to have the size it had."""
    result = Plan()
    counts = Counter(uids) if len(set(uids)) < len(uids) else None
    for number, uid in enumerate(uids, 1):
        rows = () if uid is None else archived.get(uid, ())
        if uid is None:
            result.doubtful.append(number)
        elif not rows:
            result.unknown.append(number)
        elif counts is not None and counts[uid] > 1:
            if sum(row.copies for row in rows if not row.gone) >= counts[uid]:
                result.shared.add(number)
            else:
                result.doubtful.append(number)
        else:
            size = None if sizes is None else sizes[number - 1]
            for row in rows:
                if not row.gone and (size is None or row.listed is None or row.listed == size):
                    result.known[number] = row
                    break
            else:
                result.doubtful.append(number)
    return result


def all_changed(matched: int, compared: int) -> bool:
    """Whether all uids have changed, if so many new ones are of messages archived under uids that are no longer listed.

    A single one is that message under a new uid; that much happens.
    """
    return matched > 1 and 2 * matched >= compared
