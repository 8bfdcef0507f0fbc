"""Owns addresses: what stands in From, To, Cc (RFC 5322 §3.4) as mail programs really write it.

`parse_addresses` knows the two commonest forms at sight; whatever else is read by `mailboxes`. Bounded in octets
and in addresses. It reads for display: a name can say anything, also another address. Never decide trust by it.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache

from attrs import frozen

from .words import clean, decode_raw, unfold

__all__ = ["MAX_ADDRESSES", "Address", "parse_addresses"]

MAX_OCTETS = 262_144  # of one field that are read: some 5,000 addresses
MAX_ADDRESSES = 10_000


@frozen
class Address:
    """Name one correspondent: the display name ("" if none), and the address as written ("" if none).

    >>> str(Address("Ann Lee", "ann@example.com")), str(Address("Lee, Ann", "ann@example.com"))
    ('Ann Lee <ann@example.com>', '"Lee, Ann" <ann@example.com>')
    """

    name: str
    email: str

    def __str__(self) -> str:
        """Write `Name <email>` as a mailbox of RFC 5322 §3.4, or the one that is there.

        What has a meaning in an address is quoted, in the name and before the `@`; control characters are left out.
        What cannot be written as an address (`ann@example com`) is quoted like a name.
        """
        name, email = clean(self.name), clean(self.email)
        address = _written(email)
        if address is None:
            return _phrase(f"{name} {email}".strip())
        return f"{_phrase(name)} <{address}>" if name else address


_ATOM = r"""[^\x00-\x20\x7f()<>\[\]:;@\\,."]+"""
_WORDS = re.compile(rf"{_ATOM}(?: {_ATOM})*\Z")
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_LITERAL = re.compile(r"\[[^\[\]\\\s]*\]\Z")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"\Z')
_SPECIAL = re.compile(r'(["\\])')


def _phrase(name: str) -> str:
    """Write a display name: as it is where it is words, else quoted; also what would read as an encoded word."""
    return name if not name or (_WORDS.match(name) and "=?" not in name) else _quoted(name)


def _quoted(text: str) -> str:
    return '"' + _SPECIAL.sub(r"\\\1", text) + '"'


def _written(email: str) -> str | None:
    """Write an address, its local part quoted where it has to be (RFC 5322 §3.4.1); None for what is not an address."""
    local, at, domain = email.rpartition("@")
    if not at:
        return email if _DOT_ATOM.match(email) else None
    domain = domain.removesuffix(".")
    if not local or not (_DOT_ATOM.match(domain) or _LITERAL.match(domain)):
        return None
    return f"{local if _DOT_ATOM.match(local) or _QUOTED.match(local) else _quoted(local)}@{domain}"


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
            name, email = " ".join(clean(match[1] or match[2] or "").split()), clean(match[3])
            return (Address("" if name.lower() == email.lower() else name, email),)
        if _BARE.match(text) is not None:
            return (Address("", clean(text)),)
    return tuple([Address(name, email) for name, email in _reader()(text, limit, names=names)])


@cache
def _reader() -> Callable[..., list[tuple[str, str]]]:
    """Import what reads the rarer forms when the first of them comes."""
    from .mailboxes import read_mailboxes

    return read_mailboxes
