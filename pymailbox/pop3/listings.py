"""Listings: the bodies of LIST and UIDL as dictionaries.

Pure. Regular listings are read fast: a slab of several thousand lines is checked and split at C speed, and only a slab
with an odd line is read line by line. An odd line is noted once and never affects the others. The memory needed is
that of the result and one slab.
"""

# Decision 9.

from collections.abc import Callable, Iterator
from typing import TypeVar

from pymailbox.pop3.command import Note

__all__ = ["number_of", "read_sizes", "read_uids"]

V = TypeVar("V", int, str)

_SLAB = 1 << 18  # bytes; about 16,000 lines
_NO_BLANKS = bytes(byte for byte in range(256) if byte not in b" \t\n\v\f\r")


def number_of(token: bytes) -> int | None:
    """Return the number that `token` has in at most 18 ASCII digits, or None."""
    return int(token) if token.isdigit() and len(token) <= 18 else None


def read_sizes(body: bytes, note: Note) -> dict[int, int | None]:
    """Read a LIST body: size in octets by message number, None if the server sent no valid size (RFC 1939 §5)."""
    return _read(body, note, _regular_sizes, _odd_size)


def read_uids(body: bytes, note: Note) -> dict[int, str | None]:
    """Read a UIDL body: uid by message number, None if it is blank (RFC 1939 §7)."""
    return _read(body, note, _regular_uids, _odd_uid)


def _read(
    body: bytes,
    note: Note,
    regular: Callable[[list[bytes]], list[V] | None],
    odd: Callable[[bytes, Note], V | None],
) -> dict[int, V | None]:
    result: dict[int, V | None] = {}
    highest = 0
    for slab in _slabs(body):
        numbers, values = _columns(slab, regular)
        if values is not None and numbers[0] > highest:
            result.update(zip(numbers, values, strict=True))
            highest = numbers[-1]
        else:
            highest = max(highest, _read_lines(slab, note, odd, result))
    return result


def _slabs(body: bytes) -> Iterator[bytes]:
    if len(body) <= _SLAB:
        if body:
            yield body
        return
    start = 0
    while start < len(body):
        end = body.find(b"\n", start + _SLAB) + 1 or len(body)
        yield body[start:end]
        start = end


def _columns(slab: bytes, regular: Callable[[list[bytes]], list[V] | None]) -> tuple[list[int], list[V] | None]:
    """Split a slab into numbers and values; no values unless each line is `number SP value CRLF`, numbers in order."""
    lines = slab.count(b"\n")
    cells = slab.split()
    # What is left of each line without its cells proves that it has two of them.
    if slab.translate(None, _NO_BLANKS) != b" \r\n" * lines or len(cells) != 2 * lines:
        return [], None
    digits = cells[::2]
    if not b"".join(digits).isdigit() or max(map(len, digits)) > 18:
        return [], None
    numbers = list(map(int, digits))
    first = numbers[0]
    if first < 1 or numbers != list(range(first, first + lines)):
        return [], None
    return numbers, regular(cells[1::2])


def _regular_sizes(cells: list[bytes]) -> list[int] | None:
    if not b"".join(cells).isdigit() or max(map(len, cells)) > 18:
        return None
    return list(map(int, cells))


def _regular_uids(cells: list[bytes]) -> list[str] | None:
    # Leave white space other than ASCII blanks to `_read_lines`.
    uids = b" ".join(cells).decode("utf-8", "surrogateescape")
    return uids.split(" ") if uids.isprintable() else None


def _read_lines(slab: bytes, note: Note, odd: Callable[[bytes, Note], V | None], result: dict[int, V | None]) -> int:
    """Add the lines of a slab one by one; return the highest number among them."""
    last, highest = next(reversed(result), 0), 0
    lines = slab.split(b"\n")
    if not lines[-1]:
        lines.pop()  # the empty rest after the last line end
    for line in lines:
        words = line.split(None, 1)
        if words and words[0].upper() == b"+OK":
            note("OK_PREFIX_ON_UIDL", _shown(line))  # Q41
            words = words[1].split(None, 1) if len(words) > 1 else []
        if not words:
            note("BLANK_LINE_IN_LISTING", _shown(line))  # Q46
            continue
        number = number_of(words[0])
        if not number:
            note("UNKNOWN_NUMBER_IN_UIDL" if odd is _odd_uid else "UNKNOWN_NUMBER_IN_LIST", _shown(line))  # Q36
            continue
        if number < last:
            note("UNORDERED_UIDL" if odd is _odd_uid else "UNORDERED_LIST", _shown(line))  # Q47
        last, highest = number, max(highest, number)
        value = odd(words[1].rstrip(b"\r") if len(words) > 1 else b"", note)
        if len(words) > 1 and words[0] + b" " + words[1] not in line:
            note("SPACES_BEFORE_UID" if odd is _odd_uid else "LIST_EXTRA_SPACES", _shown(line))  # Q34, Q40
        if number in result and result[number] != value:
            note("NUMBER_TWICE_IN_LISTING", _shown(line))
            value = None
        result[number] = value
    return highest


def _odd_size(rest: bytes, note: Note) -> int | None:
    words = rest.split(None, 1)
    size = number_of(words[0]) if words else None
    if size is None:
        note("LIST_JUNK_SIZE" if words else "LIST_WITHOUT_SIZE", _shown(rest))
    elif len(words) > 1:
        note("LIST_EXTRA_FIELDS", _shown(rest))
    return size


def _odd_uid(rest: bytes, note: Note) -> str | None:
    uid = rest.rstrip(b" \t")
    if not uid:
        note("BLANK_UID", _shown(rest))
        return None
    return uid.decode("utf-8", "surrogateescape")


def _shown(line: bytes) -> str:
    return line[:80].decode("ascii", "backslashreplace")
