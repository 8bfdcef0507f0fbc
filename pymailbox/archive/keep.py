"""Keep: which messages stay on the server. Pure arithmetic over a listing; what it lets go must be archived first."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from attrs import Attribute, field, frozen

__all__ = ["Keep", "Listed"]

_DAY = 86_400


def _check_days(_: object, attribute: "Attribute[float | None]", value: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{attribute.name} must be a number, not {value!r}")
    if not value >= 0:  # NaN, too
        raise ValueError(f"{attribute.name} must be 0 or more, not {value!r}")


def _check_count(_: object, attribute: "Attribute[int | None]", value: int | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{attribute.name} must be a whole number, not {value!r}")
    if value < 0:
        raise ValueError(f"{attribute.name} must be 0 or more, not {value!r}")


class Listed(NamedTuple):
    """One message of a listing, as far as `Keep` looks at it."""

    #: Bytes by LIST; None if the server gave no number.
    size: int | None
    #: When it was first seen, in seconds since 1970; None: it is not archived, so it stays.
    first_seen: float | None


@frozen
class Keep:
    """What stays on the server. A message that is not archived always stays.

    A message stays if any of the arguments keeps it: `Keep(days=30, latest=100)` keeps the newest 100, and also what
    was archived less than 30 days ago. `Keep()` without arguments raises ValueError; use `Keep.everything()` or
    `Keep.nothing()`.

    >>> from pymailbox import Keep
    >>> Keep(days=30, latest=100)
    Keep(days=30, latest=100, bytes=None)
    """

    #: Keep what was archived less than this many days ago.
    days: float | None = field(default=None, validator=_check_days)
    #: Keep this many of the newest messages, by their place in the mailbox.
    latest: int | None = field(default=None, validator=_check_count)
    #: Keep the newest messages that fit into this many bytes; those that are not archived are counted first.
    bytes: int | None = field(default=None, validator=_check_count)

    def __attrs_post_init__(self) -> None:
        if self.days is None and self.latest is None and self.bytes is None:
            raise ValueError("Keep() needs days, latest or bytes; or use Keep.everything() or Keep.nothing()")

    @classmethod
    def everything(cls) -> Self:
        """Return the default, which keeps everything: nothing is deleted."""
        return cls(days=float("inf"))

    @classmethod
    def nothing(cls) -> Self:
        """Return a `Keep` that keeps nothing: everything that is archived may be deleted."""
        return cls(latest=0)

    @property
    def keeps_everything(self) -> bool:
        """Whether nothing is ever deleted."""
        return self.days == float("inf")

    def released(self, listing: Sequence[Listed], now: float) -> set[int]:
        """Return the numbers, from 1, of the messages in `listing` that may be deleted at `now` (in seconds)."""
        if self.keeps_everything:
            return set()
        released = set(range(1, len(listing) + 1))
        if self.latest:
            released.difference_update(range(max(1, len(listing) - self.latest + 1), len(listing) + 1))
        if self.days is not None:
            oldest = now - self.days * _DAY
            released -= {n for n, one in enumerate(listing, 1) if one.first_seen is None or one.first_seen > oldest}
        if self.bytes is not None:
            released -= self._that_fit(listing)
        return released

    def _that_fit(self, listing: Sequence[Listed]) -> set[int]:
        """Return the newest messages that fit into `bytes`; one without a size ends the row: it may be of any size."""
        assert self.bytes is not None
        left = self.bytes - sum(one.size or 0 for one in listing if one.first_seen is None)
        fitting = set()
        for number in range(len(listing), 0, -1):
            one = listing[number - 1]
            if one.first_seen is None:
                continue
            if one.size is None or one.size > left:
                break
            left -= one.size
            fitting.add(number)
        return fitting
