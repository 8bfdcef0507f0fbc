"""Owns the header of a mail: where it ends, and its fields.

A `Headers` keeps the octets of the header alone, and looks for a field when it is asked for. Lines that are no
fields are passed over wherever they stand. Bounded by `MAX_OCTETS`; never raises on what a mail contains.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Self, TypeVar, overload

from attrs import field, frozen

from .address import MAX_ADDRESSES, Address, parse_addresses
from .parameters import parse_parameters
from .reading_names import HeaderNames
from .words import decode_text

if TYPE_CHECKING:
    from .received import Hop

__all__ = ["MAX_OCTETS", "Headers", "find_end", "find_start"]

T = TypeVar("T")

MAX_OCTETS = 1_048_576  # of one header that are read: the longest seen in real mail are some 100 KB

_REST = rb"[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)"
_FIELD = re.compile(rb"\n([!-9;-~]+)" + _REST)
_FIELD_NAME = re.compile(rb"\n([!-9;-~]+)[ \t]*:")
_EMPTY_LINE = re.compile(rb"\n([ \t]*)\r?\n")
_FIELD_LINE = re.compile(rb"[!-9;-~]+[ \t]*:")
_INDENTED_FIELD_LINE = re.compile(rb"[ \t]+(?=[!-9;-~]+:[^\n]*\n[!-9;-~]+:)")  # and one after it that is not
_ODD_FIELD_LINE = re.compile(rb"[!-9;-~\x80-\xff]+[ \t]*:")
_JUNK_LINE = re.compile(rb">?From |\+OK")
_JUNK_LINES_END = re.compile(rb"\n(?!>?From |\+OK)")
_JUNK_START = (b"From ", b">From ", b"\xef\xbb\xbf", b"\n", b"\r", b"+OK")


def find_start(raw: bytes) -> int:
    """Find where the header begins, after a byte order mark, empty lines, an mbox line, a status line."""
    # A status line: from servers that answer TOP with two (Q6).
    start = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
    while raw.startswith(_JUNK_START, start):
        if _JUNK_LINE.match(raw, start):
            last = _JUNK_LINES_END.search(raw, start)
            if last is None:  # they go on to the end, the last one without a line end
                return max(start, raw.rfind(b"\n") + 1)
            start = last.end()
            continue
        position = start
        while raw.startswith((b"\n", b"\r"), position) and position < MAX_OCTETS:
            position += 1
        # Empty lines before a field are junk; before anything else they are an empty header.
        return position if _FIELD_LINE.match(raw, position, position + MAX_OCTETS) else start
    indent = _INDENTED_FIELD_LINE.match(raw, start, start + MAX_OCTETS)
    return indent.end() if indent is not None else start


def find_end(raw: bytes, start: int) -> tuple[int, int]:
    """Find where the header that begins at `start` ends and where its body begins.

    Without an empty line both are the end.
    """
    if raw.startswith((b"\n", b"\r\n"), start):
        return start, raw.index(b"\n", start) + 1
    for match in _EMPTY_LINE.finditer(raw, start, start + MAX_OCTETS):
        # A line of blanks ends a header, too, unless the header goes on after it.
        if not match[1] or (
            _FIELD_LINE.match(raw, match.end(), match.end() + MAX_OCTETS) is None
            and not raw.startswith((b" ", b"\t"), match.end())
        ):
            end, body = match.span()
            break
    else:
        end = body = len(raw)
    limit = start + MAX_OCTETS
    if _ODD_FIELD_LINE.match(raw, start, limit) is None and _FIELD.search(raw, start, min(end, limit)) is None:
        return start, start  # no field at all: this is a body without a header
    return end, body


#: What servers and mail programs write into a mail that stays where it is.
_CHANGING = frozenset(
    b"status x-status x-uid x-uidl x-keywords x-imap x-imapbase x-mozilla-status x-mozilla-status2 x-mozilla-keys"
    b" content-length lines x-evolution".split()
)


@lru_cache(maxsize=256)
def _finder(name: str) -> re.Pattern[bytes]:
    return re.compile(rb"\n" + re.escape(name.encode("utf-8", "surrogateescape")) + _REST, re.IGNORECASE)


@frozen(repr=False)
class Headers(HeaderNames):
    """Read the fields of a header: by name in any case, decoded or as received, the first or all.

    >>> headers = Headers.from_bytes(b"Subject: =?utf-8?q?Caf=C3=A9?=\\r\\nTo: ann@example.com\\r\\n\\r\\n")
    >>> headers["subject"], headers.raw("Subject"), list(headers)
    ('Café', (b'=?utf-8?q?Caf=C3=A9?=',), ['Subject', 'To'])
    """

    _block: bytes = field(alias="block")  # a newline before each field, none after the last

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Take the header of a mail, or a header alone; of a body nothing is copied and little is looked at."""
        if _FIELD_LINE.match(raw, 0, MAX_OCTETS) is not None and not raw.startswith(_JUNK_START):
            # A header as it should be, with an empty line after it; all others go the long way.
            empty = _EMPTY_LINE.search(raw, 0, MAX_OCTETS)
            if empty is not None and not empty[1]:
                return cls(b"\n" + raw[: empty.start()])
        if raw.find(b"\n", 0, MAX_OCTETS) < 0:
            raw = raw[:MAX_OCTETS].replace(b"\r", b"\n")
        start = find_start(raw)
        return cls.between(raw, start, find_end(raw, start)[0])

    @classmethod
    def between(cls, raw: bytes, start: int, end: int) -> Self:
        """Take the header that stands between two positions of a mail."""
        return cls(b"\n" + raw[start : min(end, start + MAX_OCTETS)])

    def __getitem__(self, name: str) -> str:
        """Give the first field of that name, decoded; KeyError when there is none."""
        match = _finder(name).search(self._block)
        if match is None:
            raise KeyError(name)
        return decode_text(match[1], self.charsets)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: T) -> str | T: ...
    def get(self, name: str, default: object = None) -> object:
        """Give the first field of that name, decoded, or `default`."""
        match = _finder(name).search(self._block)
        return default if match is None else decode_text(match[1], self.charsets)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Give every field of that name, decoded, in the order of the mail."""
        hints = cache(self.charsets)
        return tuple([decode_text(value, hints) for value in self._values(name)])

    def raw(self, name: str) -> tuple[bytes, ...]:
        """Give every field of that name as received, folds included, without the name and the final line end."""
        return tuple([value.removeprefix(b" ").removesuffix(b"\r") for value in self._values(name)])

    def addresses(self, name: str) -> tuple[Address, ...]:
        """Give the addresses of every field of that name, in the order of the mail."""
        found: list[Address] = []
        hints = cache(self.charsets)
        for value in self._values(name):
            found += parse_addresses(value, MAX_ADDRESSES - len(found), hints)
            if len(found) >= MAX_ADDRESSES:
                break
        return tuple(found)

    @property
    def hops(self) -> "tuple[Hop, ...]":
        """The servers that the message passed, according to its Received fields, the last one first."""
        from .received import parse_hop

        return tuple([parse_hop(value) for value in self.get_all("received")])

    def parameters(self, name: str) -> tuple[str, dict[str, str]]:
        """Read the last field of that name as a MIME field: its value in lower case, and its parameters.

        Of two Content-Type fields the last one rules, as with most mail programs.
        """
        values = self._values(name)
        return parse_parameters(values[-1], self.charsets) if values else ("", {})

    def items(self) -> tuple[tuple[str, str], ...]:
        """Give every field as name and decoded value, in the order of the mail."""
        hints = cache(self.charsets)
        return tuple([(name.decode("ascii"), decode_text(value, hints)) for name, value in _FIELD.findall(self._block)])

    def lasting_fields(self) -> bytes:
        """Give the fields without blanks and without those that servers change: an identity where there is no uid."""
        fields = [(name.lower(), value) for name, value in _FIELD.findall(self._block)]
        return b"\n".join([name + b":" + b"".join(value.split()) for name, value in fields if name not in _CHANGING])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _finder(name).search(self._block) is not None

    def __iter__(self) -> Iterator[str]:
        """Give the names as written, in the order of the mail, repeated where fields repeat."""
        names = b"\n".join(_FIELD_NAME.findall(self._block)).decode("ascii")
        return iter(names.split("\n") if names else ())

    def __len__(self) -> int:
        """Count the fields."""
        return len(_FIELD_NAME.findall(self._block))

    def __bool__(self) -> bool:
        return _FIELD_NAME.search(self._block) is not None

    def __repr__(self) -> str:
        return f"<Headers: {len(self)} fields>"

    def _get_headers(self) -> Self:
        return self

    def _first_address(self, name: str) -> Address | None:
        """Return the first address of the first field of that name, or the name there without an address."""
        match = _finder(name).search(self._block)
        found = parse_addresses(match[1], 1, self.charsets, names=True) if match is not None else ()
        return found[0] if found else None

    def charsets(self) -> tuple[str, ...]:
        """Name the charset that Content-Type declares, if it does: what unlabelled 8-bit fields are tried with."""
        match = _finder("content-type").search(self._block)
        if match is None:
            return ()
        label = parse_parameters(match[1])[1].get("charset")
        return (label,) if label else ()

    def _values(self, name: str) -> list[bytes]:
        """Give every field of that name with what stands around its value: the blank before, the CR of its line end."""
        return _finder(name).findall(self._block)
