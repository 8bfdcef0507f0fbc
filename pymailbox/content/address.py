"""Owns addresses: what stands in From, To, Cc (RFC 5322 §3.4) as mail programs really write it.

`parse_addresses` knows the two commonest forms at sight; whatever else is read by `mailboxes`. Bounded in octets
and in addresses. It reads for display: a name can say anything, also another address. Never decide trust by it.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache

from attrs import frozen

from pymailbox.display import without_controls

from .words import decode_raw, unfold

__all__ = ["MAX_ADDRESSES", "Address", "parse_addresses"]

MAX_OCTETS = 262_144  # of one field that are read: some 5,000 addresses
MAX_ADDRESSES = 10_000


@frozen
class Address:
    """Name one correspondent: the display name ("" if none), and the address as written ("" if none).

    >>> str(Address("Ann Lee", "ann@example.com"))
    'Ann Lee <ann@example.com>'
    """

    name: str
    email: str

    def __str__(self) -> str:
        """Write `Name <email>`, or the one that is there."""
        if not self.name:
            return self.email
        return f"{self.name} <{self.email}>" if self.email else self.name


_PLAIN = re.compile(r"""(?:"([^"\\<>]*)"[ \t]*|([^"(<>,;:\\@=]*))<([^<>()\[\]",;:\\\s@]+@[^<>()\[\]",;:\\\s@]+)>\Z""")
_BARE = re.compile(r"[^<>()\[\]\",;:\\\s@=]+@[^<>()\[\]\",;:\\\s@=]+\Z")


def parse_addresses(
    raw: bytes,
    limit: int = MAX_ADDRESSES,
    hints: Callable[[], Iterable[str]] | None = None,
    *,
    names: bool = False,
) -> tuple[Address, ...]:
    """Read the addresses of one field's value: the members of groups, names from comments, odd separators.

    One word without an `@` is taken as an address; several are none, and with `names` a name without an address.
    """
    text = decode_raw(unfold(raw[:MAX_OCTETS]), hints)
    if not text:
        return ()
    if "=?" not in text:
        if (match := _PLAIN.match(text)) is not None:
            # Blanks as in a list of several, which is read word by word.
            name, email = " ".join(without_controls(match[1] or match[2] or "").split()), without_controls(match[3])
            return (Address("" if name.lower() == email.lower() else name, email),)
        if _BARE.match(text) is not None:
            return (Address("", without_controls(text)),)
    return tuple([Address(name, email) for name, email in _reader()(text, limit, names=names)])


@cache
def _reader() -> Callable[..., list[tuple[str, str]]]:
    """Import what reads the rarer forms when the first of them comes."""
    from .mailboxes import read_mailboxes

    return read_mailboxes
