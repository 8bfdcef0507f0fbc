"""Headers: the header of a message, its fields, and where it ends.

`Headers` keeps only the bytes of the header and searches for a field when you ask for it. Lines that are not fields are
skipped anywhere in it. Bounded by `MAX_HEADER_BYTES`; never raises, whatever a message contains.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from attrs import field, frozen

from .reading_names import HeaderNames
from .words import decode_text

if TYPE_CHECKING:
    from .address import Address
    from .received import Hop

__all__ = [
    "MAX_HEADER_BYTES",
    "Headers",
    "boundaries",
    "find_end",
    "find_start",
    "has_stray_lines",
    "header_record",
    "settle",
    "with_line_ends",
]

T = TypeVar("T")

MAX_HEADER_BYTES = 1_048_576  # read of one header: the longest in real mail have about 100 KB
MAX_EXCERPT_BYTES = 4096  # of one field in an excerpt

_REST = rb"[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)"
_FIELD = re.compile(rb"\n([!-9;-~]+)" + _REST)
_FIELD_NAME = re.compile(rb"\n([!-9;-~]+)[ \t]*:")
_EMPTY_LINE = re.compile(rb"\n([ \t]*)\r*\n")
_EMPTY_LINE_OR_DELIMITER = re.compile(rb"\n(?:([ \t]*)\r*\n|--)")
_CR_CR = re.compile(rb"\r\r")  # takes two thirds of the time of `in`
_FIELD_LINE = re.compile(rb"[!-9;-~]+[ \t]*:")
_INDENTED_FIELD_LINE = re.compile(rb"[ \t]+(?=[!-9;-~]+:[^\n]*\n[!-9;-~]+:)")  # followed by one that is not indented
_ODD_FIELD_LINE = re.compile(rb"[!-9;-~\x80-\xff]+[ \t]*:")
_STRAY_FIRST_LINE = re.compile(rb"(?![ \t\r]*(?:\n|\Z)|[!-9;-~]+[ \t]*:)")
_STRAY_LINE = re.compile(rb"\n(?![ \t]|\r*(?:\n|\Z)|[!-9;-~]+[ \t]*:)")
# `From :` is a field (RFC 5322 §4.5.1).
_JUNK_LINE = re.compile(rb">?From (?![ \t]*:)|\+OK")
_JUNK_LINES_END = re.compile(rb"\n(?!>?From (?![ \t]*:)|\+OK)")
_JUNK_START = (b"From ", b">From ", b"\xef\xbb\xbf", b"\n", b"\r", b"+OK")
_UNUSUAL_START = (*_JUNK_START, b"--")
_HEADER_LINE = re.compile(rb"[ \t]|[!-9;-~\x80-\xff]+[ \t]*:|>?From |\+OK|\r*\Z")
_START_OF_A_NAME = re.compile(rb"[!-9;-~]+\Z")
_BOUNDARY = re.compile(rb"boundary[ \t]*=[ \t\r\n]*\"?([^\";\r\n]{1,200})", re.IGNORECASE)
_DELIMITER = re.compile(rb"\n--([^\n]{1,200})")
_CONTENT_FIELD = re.compile(rb"\ncontent-[a-z0-9-]+[ \t]*:", re.IGNORECASE)
_CR_LINES = re.compile(rb"(?:\A|\r)[^\r\n]+\r\r(?!\n)")


def with_line_ends(raw: bytes) -> tuple[bytes, str | None]:
    """Return the message with line ends that can be read, and a defect if they had to be changed.

    CR alone is a line end in a header that has no other (old Macintoshes), and CR CR LF in a message that a gateway
    converted twice. The line ends of the body are changed as well.
    """
    if raw.find(b"\r", 0, MAX_HEADER_BYTES) < 0:
        return raw, None
    first = raw.find(b"\n", 0, MAX_HEADER_BYTES)
    empty = _EMPTY_LINE.search(raw, 0, MAX_HEADER_BYTES)
    end = empty.end() if empty is not None else min(len(raw), MAX_HEADER_BYTES)
    if empty is not None and raw.find(b"\n", end) in (-1, len(raw) - 1) and raw.find(b"\r--", end) >= 0:
        return raw[:end] + raw[end:].replace(b"\r\n", b"\n").replace(b"\r", b"\n"), "lines that end in CR alone"
    if first >= 0 and raw.find(b"\r\r", 0, end) < 0:
        return raw, None
    lines = _CR_LINES.search(raw, 0, end)
    alone = raw.count(b"\r", 0, end) > raw.count(b"\r\n", 0, end)
    if alone and (lines is not None or first < 0 or first == len(raw) - 1):
        # If the body has line ends of another kind, a CR in it is data.
        end = lines.end() if lines is not None else len(raw)
        if raw.count(b"\r", end) > 2 * raw.count(b"\n", end):
            end = len(raw)
        changed = raw[:end].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return changed + raw[end:], "lines that end in CR alone"
    if raw.endswith(b"\r\r\n\r\r\n" if empty is not None else b"\r\r\n", 0, end):
        return raw.replace(b"\r\r\n", b"\r\n"), "lines that end in CR CR LF"
    return raw, None


def find_start(raw: bytes) -> int:
    """Find where the header begins: after a byte order mark, empty lines, an mbox line or a status line."""
    # Some servers answer TOP with two status lines (Q6).
    start = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
    while raw.startswith(_JUNK_START, start):
        if _JUNK_LINE.match(raw, start):
            last = _JUNK_LINES_END.search(raw, start)
            if last is None:  # nothing but such lines; the last one may lack its line end
                return max(start, raw.rfind(b"\n") + 1)
            start = last.end()
            continue
        position = start
        while raw.startswith((b"\n", b"\r"), position) and position < MAX_HEADER_BYTES:
            position += 1
        # Empty lines before a field are junk; before anything else they are an empty header.
        return position if _FIELD_LINE.match(raw, position, position + MAX_HEADER_BYTES) else start
    indent = _INDENTED_FIELD_LINE.match(raw, start, start + MAX_HEADER_BYTES)
    return indent.end() if indent is not None else start


def find_end(raw: bytes, start: int) -> tuple[int, int]:
    """Find where the header that begins at `start` ends, and where the body begins.

    Without an empty line between them, both are at the same position; see `settle`.
    """
    if raw.startswith((b"\n", b"\r\n"), start):
        return start, raw.index(b"\n", start) + 1
    for match in _EMPTY_LINE.finditer(raw, start, start + MAX_HEADER_BYTES):
        # A line of blanks also ends a header, unless the header continues after it.
        if not match[1] or (
            _FIELD_LINE.match(raw, match.end(), match.end() + MAX_HEADER_BYTES) is None
            and not raw.startswith((b" ", b"\t"), match.end())
        ):
            return settle(raw, start, *match.span())
    return settle(raw, start, len(raw), len(raw))


def boundaries(raw: bytes, start: int, end: int) -> set[bytes]:
    """Return the boundaries that a header declares between two positions, with and without a comment after them."""
    found = [match[1] for match in _BOUNDARY.finditer(raw, start, end)]
    return {value.rstrip() for boundary in found for value in (boundary, boundary.partition(b"(")[0])}


def settle(raw: bytes, start: int, end: int, body: int, *, part: bool = False) -> tuple[int, int]:
    """Correct the end of a header that may lack the empty line after it; return its end and where the body begins.

    A header ends before the first delimiter that it declares, and before the lines after its last field. Text without
    any field is a body without a header, and so is a `part` with neither a Content field nor an empty line. The
    caller has ended that of a `part` before its first delimiter already.
    """
    limit = min(end, start + MAX_HEADER_BYTES)
    if not part and raw.find(b"\n--", start, limit) >= 0:
        declared: set[bytes] = set()
        read = start
        for match in _DELIMITER.finditer(raw, start, limit):
            declared |= boundaries(raw, read, match.start())
            read = match.start()
            if match[1].rstrip() in declared:
                end, body = match.start(), match.start() + 1
                limit = end
                break
    if _ODD_FIELD_LINE.match(raw, start, limit) is None and _FIELD.search(raw, start, limit) is None:
        # A part may be the start of a field name, cut off at the end of the message.
        cut = part and end == len(raw) and _START_OF_A_NAME.match(raw, start, limit) is not None
        return (end, body) if cut else (start, start)
    if part and body <= end + 1 and end < len(raw) and _CONTENT_FIELD.search(raw, start - 1, limit) is None:
        return start, start
    if end > limit:
        return end, body
    text = end
    line_end = end - raw.endswith(b"\n", start, end)
    while text > start:
        line = raw.rfind(b"\n", start, line_end) + 1 or start
        if _HEADER_LINE.match(raw, line, line_end) or (end == len(raw) and _START_OF_A_NAME.match(raw, line, end)):
            break
        text, line_end = line, line - 1
    return (text - 1, text) if text < end else (end, body)


def has_stray_lines(raw: bytes, start: int, end: int) -> bool:
    """Return whether a header has lines that neither are fields nor continue one."""
    end = min(end, start + MAX_HEADER_BYTES)
    if start >= end:
        return False
    return _STRAY_FIRST_LINE.match(raw, start, end) is not None or _STRAY_LINE.search(raw, start, end) is not None


#: Fields that servers and mail programs add to or change in a message while it is in the mailbox.
_CHANGING = frozenset(
    b"status x-status x-uid x-uidl x-keywords x-imap x-imapbase x-mozilla-status x-mozilla-status2 x-mozilla-keys"
    b" content-length lines x-evolution".split()
)


@cache
def _address_parser() -> "Callable[..., tuple[Address, ...]]":
    """Import the parser of addresses with the first address; an import statement takes a microsecond each time."""
    from .address import parse_addresses

    return parse_addresses


@lru_cache(maxsize=256)
def _finder(name: str) -> re.Pattern[bytes]:
    return re.compile(rb"\n" + re.escape(name.encode("utf-8", "surrogateescape")) + _REST, re.IGNORECASE)


def checked_bytes(raw: bytes) -> bytes:
    """Return a message as bytes; raises TypeError for anything that is neither bytes nor like them."""
    if isinstance(raw, bytes):
        return raw
    if isinstance(raw, bytearray | memoryview):
        return bytes(raw)
    raise TypeError(f"from_bytes() takes the bytes of a message, not {type(raw).__name__}; encode text first")


def header_record(headers: "Headers | None") -> dict[str, Any]:
    """Return the names of a header that `to_records` has, as plain data; all are None for None."""
    if headers is None:
        return dict.fromkeys(("date", "from", "to", "subject", "message_id"))
    from datetime import UTC

    date, sender = headers.date, headers.from_
    if date is not None:
        with suppress(OverflowError):  # in the first or the last hours that there are
            date = date.astimezone(UTC)
    return {
        "date": date,
        "from": None if sender is None else str(sender),
        "to": [str(address) for address in headers.to],
        "subject": headers.subject,
        "message_id": headers.message_id,
    }


@frozen(repr=False)
class Headers(HeaderNames):
    """The fields of a header: by name in any case, decoded or as received, the first or all.

    >>> headers = Headers.from_bytes(b"Subject: =?utf-8?q?Caf=C3=A9?=\\r\\nTo: ann@example.com\\r\\n\\r\\n")
    >>> headers["subject"], headers.raw("Subject"), list(headers)
    ('Café', (b'=?utf-8?q?Caf=C3=A9?=',), ['Subject', 'To'])
    """

    _block: bytes = field(alias="block")  # a newline before each field, none after the last

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read the header of a message, or a header alone, from `raw`; a body is not copied and hardly read."""
        raw = checked_bytes(raw)
        if _FIELD_LINE.match(raw, 0, MAX_HEADER_BYTES) is not None and not raw.startswith(_UNUSUAL_START):
            # Fast path: a well-formed header with an empty line after it.
            end = _EMPTY_LINE_OR_DELIMITER.search(raw, 0, MAX_HEADER_BYTES)
            if end is not None and end[1] == b"" and _CR_CR.search(raw, 0, end.start()) is None:
                return cls(b"\n" + raw[: end.start()])
        raw = with_line_ends(raw)[0]
        start = find_start(raw)
        return cls.between(raw, start, find_end(raw, start)[0])

    @classmethod
    def between(cls, raw: bytes, start: int, end: int) -> Self:
        """Return the header between the positions `start` and `end` of the message `raw`."""
        return cls(b"\n" + raw[start : min(end, start + MAX_HEADER_BYTES)])

    def __getitem__(self, name: str) -> str:
        """Return the first field of that name, decoded. Raises KeyError if there is none."""
        match = _finder(name).search(self._block)
        if match is None:
            raise KeyError(name)
        return decode_text(match[1], self.charsets)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: T) -> str | T: ...
    def get(self, name: str, default: object = None) -> object:
        """Return the first field of that name, decoded, or `default`."""
        match = _finder(name).search(self._block)
        return default if match is None else decode_text(match[1], self.charsets)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every field of that name, decoded, in the order of the message."""
        hints = cache(self.charsets)
        return tuple([decode_text(value, hints) for value in self._values(name)])

    def raw(self, name: str) -> tuple[bytes, ...]:
        """Return every field of that name as received, folds included, without the name and the final line end."""
        return tuple([value.removeprefix(b" ").removesuffix(b"\r") for value in self._values(name)])

    def addresses(self, name: str) -> "tuple[Address, ...]":
        """Return the addresses of every field of that name, in the order of the message."""
        from .address import MAX_ADDRESSES

        parse_addresses = _address_parser()
        found: list[Address] = []
        hints = cache(self.charsets)
        for value in self._values(name):
            found += parse_addresses(value, MAX_ADDRESSES - len(found), hints)
            if len(found) >= MAX_ADDRESSES:
                break
        return tuple(found)

    @property
    def hops(self) -> "tuple[Hop, ...]":
        """The servers that the message passed, according to its Received fields; the last server comes first."""
        from .received import parse_hop

        return tuple([parse_hop(value) for value in self.get_all("received")])

    def parameters(self, name: str) -> tuple[str, dict[str, str]]:
        """Read the last field of that name as a MIME field: its value in lower case, and its parameters.

        Most mail programs also use the last of several fields.
        """
        from .parameters import parse_parameters

        values = self._values(name)
        return parse_parameters(values[-1], self.charsets) if values else ("", {})

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return every field as name and decoded value, in the order of the message."""
        hints = cache(self.charsets)
        return tuple([(name.decode("ascii"), decode_text(value, hints)) for name, value in _FIELD.findall(self._block)])

    def excerpt(self, *names: str) -> "Headers":
        """Return the first field of each of these names as a header of its own, each cut to `MAX_EXCERPT_BYTES`."""
        found = [match[0] for name in names if (match := _finder(name).search(self._block)) is not None]
        return Headers(b"".join([field[:MAX_EXCERPT_BYTES] for field in found]))

    def lasting_fields(self) -> bytes:
        """Return the fields that servers do not change, without blanks: they identify a message that has no uid."""
        fields = [(name.lower(), value) for name, value in _FIELD.findall(self._block)]
        return b"\n".join([name + b":" + b"".join(value.split()) for name, value in fields if name not in _CHANGING])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _finder(name).search(self._block) is not None

    def __iter__(self) -> Iterator[str]:
        """Yield the names as written, in the order of the message, repeated if fields repeat."""
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

    def _first_address(self, name: str) -> "Address | None":
        """Return the first address in the first field of that name; its email is "" if there is only a name."""
        match = _finder(name).search(self._block)
        found = _address_parser()(match[1], 1, self.charsets, names=True) if match is not None else ()
        return found[0] if found else None

    def charsets(self) -> tuple[str, ...]:
        """Return the charset that Content-Type declares, if any, to try on unlabelled 8-bit fields."""
        match = _finder("content-type").search(self._block)
        if match is None:
            return ()
        from .parameters import parse_parameters

        label = parse_parameters(match[1])[1].get("charset")
        return (label,) if label else ()

    def _values(self, name: str) -> list[bytes]:
        """Return the value of every field of that name, with the blank before it and the CR of its line end."""
        return _finder(name).findall(self._block)
