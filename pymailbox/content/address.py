"""Addresses: the mailboxes in From, To and Cc (RFC 5322 §3.4) as mail programs really write them.

`parse_addresses` recognizes the most common forms; `mailboxes` reads all others. Bounded in bytes and in addresses.
The result is for display: a name can be anything, even another address. Never base trust on it.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache

from attrs import frozen

from .words import clean, decode_raw, decode_words, unfold

__all__ = ["MAX_ADDRESSES", "Address", "parse_addresses"]

MAX_FIELD_BYTES = 262_144  # read of one field: some 5,000 addresses
MAX_ADDRESSES = 10_000


@frozen
class Address:
    """A correspondent: the display name and the address as written, each "" if there is none.

    >>> str(Address("Ann Lee", "ann@example.com")), str(Address("Lee, Ann", "ann@example.com"))
    ('Ann Lee <ann@example.com>', '"Lee, Ann" <ann@example.com>')
    """

    #: The display name, decoded.
    name: str
    #: The address, such as ann@example.com.
    email: str

    def __str__(self) -> str:
        """Write `Name <email>` as RFC 5322 §3.4 requires, or only the name or the email if the other is empty.

        Characters with a meaning in addresses are quoted, in the name and before the `@`; control characters are
        dropped. Parsing the result gives the same mailbox again: its name, and its address in the form that was
        written. An `email` that cannot be an address (`ann@example com`) is quoted like a name, and may read
        differently afterwards.
        """
        name, email = clean(self.name).strip(), " ".join(clean(self.email).split())
        address = _written(email)
        if address is None:
            return _phrase(f"{name} {email}".strip())
        return f"{_phrase(name)} <{address}>" if name else address


_ATOM = r"""[^\x00-\x20\x7f()<>\[\]:;@\\,."]+"""
_WORDS = re.compile(rf"{_ATOM}(?: {_ATOM})*\Z")
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_LITERAL = re.compile(r"\[[^\[\]\\\s]*\]\Z")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"\Z')
_QUOTED_WORD = rf"""(?:{_ATOM}|"(?:[^"\\]|\\.)*")"""
_QUOTED_WORDS = re.compile(rf"{_QUOTED_WORD}(?:\.{_QUOTED_WORD})+\Z")
_QUOTE_OR_ESCAPED = re.compile(r'"|\\(.)')
_SPECIAL = re.compile(r'(["\\])')


def _phrase(name: str) -> str:
    """Write a display name: plain words unchanged, anything else quoted; what looks like an encoded word is encoded."""
    if "=?" in name and decode_words(name) != name:
        pieces = [name[at : at + 5].encode() for at in range(0, len(name), 5)]  # a word has at most 75 characters
        return " ".join([f"=?utf-8?q?{''.join([f'={byte:02X}' for byte in piece])}?=" for piece in pieces])
    return name if not name or _WORDS.match(name) else _quoted(name)


def _quoted(text: str) -> str:
    return '"' + _SPECIAL.sub(r"\\\1", text) + '"'


def _written(email: str) -> str | None:
    """Write an address, with its local part quoted if needed (RFC 5322 §3.4.1); None if it is not an address."""
    local, at, domain = email.rpartition("@")
    if not at:
        return email if _DOT_ATOM.match(email) else None
    domain = domain.removesuffix(".")
    if not local or not (_DOT_ATOM.match(domain) or _LITERAL.match(domain)):
        return None
    if _DOT_ATOM.match(local) or _QUOTED.match(local):
        return f"{local}@{domain}"
    if _QUOTED_WORDS.match(local):  # of which some are quoted (RFC 5322 §4.4): the same address, as one string
        local = _QUOTE_OR_ESCAPED.sub(lambda match: match[1] or "", local)
    return f"{_quoted(local)}@{domain}"


_PLAIN = re.compile(r"""(?:"([^"\\<>]*)"[ \t]*|([^"(<>,;:\\@=]*))<([^<>()\[\]",;:\\\s@]+@[^<>()\[\]",;:\\\s@]+)>\Z""")
_FOLDED_DOMAIN = re.compile(rb'(<[^\s<>@,;"]+@[^\s<>@,;"]+)(?:\r?\n[ \t]*)+([^\s<>@,;"]+>)')
_ENCODED = re.compile(
    r"((?:=\?[A-Za-z0-9_-]{1,40}\?[bBqQ]\?[A-Za-z0-9+/=_.!*-]*\?=[ \t]*)+)"
    r"""<([^<>()\[\]",;:\\\s@]+@[^<>()\[\]",;:\\\s@]+)>\Z"""
)
_BARE = re.compile(r"[^<>()\[\]\",;:\\\s@=]+@[^<>()\[\]\",;:\\\s@=]+\Z")


def parse_addresses(
    raw: bytes,
    limit: int = MAX_ADDRESSES,
    hints: Callable[[], Iterable[str]] | None = None,
    *,
    names: bool = False,
) -> tuple[Address, ...]:
    """Read the addresses in the value of one field, with the members of groups, names from comments, odd separators.

    A single word without an `@` is an address; several words are not, but with `names` they are a name without one.
    """
    raw = raw[:MAX_FIELD_BYTES]
    if b"\n" in raw:
        raw = _FOLDED_DOMAIN.sub(rb"\1\2", raw)
    text = decode_raw(unfold(raw), hints)
    if not text:
        return ()
    if "=?" not in text:
        if (match := _PLAIN.match(text)) is not None:
            return (_one(match[1] or match[2] or "", match[3]),)
        if _BARE.match(text) is not None:
            return (Address("", clean(text)),)
    elif (match := _ENCODED.match(text)) is not None:
        return (_one(decode_words(match[1]), match[2]),)
    return tuple([Address(name, email) for name, email in _reader()(text, limit, names=names)])


def _one(name: str, email: str) -> Address:
    name, email = " ".join(clean(name).split()), clean(email)  # blanks as the reader of longer lists has them
    return Address("" if name.lower() == email.lower() else name, email)


@cache
def _reader() -> Callable[..., list[tuple[str, str]]]:
    """Import the reader of the rarer forms when the first of them occurs."""
    from .mailboxes import read_mailboxes

    return read_mailboxes
