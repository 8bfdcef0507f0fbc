"""Mail without its content: the same sizes, lines and parts, with x for every letter and 0 for every digit.

What remains is what a parser needs: the names of header fields, what Content-Type says of a part (not the names of
files), the transfer encoding, the boundaries of parts, and punctuation. The fields of an attached message are blanked
whole, because they are part of a body.
"""

import re
from collections.abc import Iterable, Iterator

__all__ = ["blank_mail"]

_LOWER = b"abcdefghijklmnopqrstuvwxyz"
_BLANK = bytes.maketrans(
    _LOWER + _LOWER.upper() + b"0123456789" + bytes(range(128, 256)), b"x" * 26 + b"X" * 26 + b"0" * 10 + b"x" * 128
)
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_KEPT = frozenset({b"mime-version", b"content-transfer-encoding"})
_PARTLY_KEPT = frozenset({b"content-type", b"content-disposition"})
_TYPE = re.compile(rb"[ \t]*[A-Za-z0-9.+-]+(?:/[A-Za-z0-9.+-]+)?(?=\s*(?:;|\Z))")
#: A parameter whose value says how to read the part, or the name of another.
_PARAMETER = re.compile(
    rb"(?i)(?:(?<=[;\s])|\A)(?:charset|boundary|format|delsp|type)[ \t]*=[ \t]*(?:\"[^\"\r\n]*\"|[^;\s\"]+)"
    rb"|(?:(?<=[;\s])|\A)(?:file)?name(?:\*[0-9]*\*?)?(?==)"
)
_BOUNDARY = re.compile(rb"(?i)boundary[ \t]*=[ \t]*(?:\"([^\"\r\n]*)\"|([^;\s\"]+))")


def blank_mail(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Return each line of a mail, dot-stuffed or not, without its content and with the same length."""
    boundaries: set[bytes] = set()
    heading, name = True, b""
    for line in lines:
        content = line.rstrip(b"\r\n")
        mark = content.rstrip(b" \t").removesuffix(b"--")
        if boundaries and content.startswith(b"--") and {mark[2:], content.rstrip(b" \t")[2:]} & boundaries:
            heading, name = True, b""
            yield line
        elif not heading:
            yield line.translate(_BLANK)
        elif not content:
            heading = False
            yield line
        else:
            start = 0
            if content[:1] not in b" \t":
                field = _FIELD.match(content)
                name, start = (field[1].lower(), field.end()) if field else (b"", 0)
            value = line[start:]
            if name == b"content-type":
                boundaries.update(quoted or plain for quoted, plain in _BOUNDARY.findall(value))
            if name in _PARTLY_KEPT:
                value = _partly_blank(value, first=start > 0)
            elif name not in _KEPT:
                value = value.translate(_BLANK)
            yield line[:start] + value


def _partly_blank(value: bytes, first: bool) -> bytes:
    """Blank one line of a field with parameters; its first line begins with a type."""
    type = _TYPE.match(value) if first else None
    pieces, end = ([type[0]], type.end()) if type else ([], 0)
    for kept in _PARAMETER.finditer(value, end):
        pieces += [value[end : kept.start()].translate(_BLANK), kept[0]]
        end = kept.end()
    return b"".join([*pieces, value[end:].translate(_BLANK)])
