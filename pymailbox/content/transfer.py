"""Transfer: decodes Content-Transfer-Encoding (RFC 2045 §6): base64, quoted-printable and uuencode.

Each decoder takes one linear pass in C and returns whatever can be read, with a defect if it had to repair something.
None raises.
"""

import re
import sys
from binascii import Error, a2b_base64, a2b_qp, a2b_uu
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from .comments import without_comments

__all__ = [
    "UuFile",
    "choose_encoding",
    "decode_base64",
    "decode_quoted_printable",
    "decode_transfer",
    "encoding_name",
    "is_plain_message",
    "uu_files",
]

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_NOT_BASE64_BUT_LINE_ENDS = bytes(set(_NOT_BASE64) - set(b"\r\n"))
_NOT_IN_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")
_WORDS = re.compile(rb"\s*[^\s]+[ \t]+[^\s]")
_FOOTER = "text after the end of base64"
_LINE_ENDS_AND_PADDING = b"= \t\r\n"
# A soft line break with blanks added in transport (RFC 2045 §6.7, rule 3), or with more than one CR.
_SOFT_BREAK = re.compile(rb"=(?:[ \t]++\r*+(?:\n|\Z)|\r\r++\n)")
_STRAY = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n|\Z)[^\n]{0,2}")
_ESCAPE = re.compile(rb"=(?:[0-9A-Fa-f]{2}|[ \t]{0,3}\r?\n)")
_FIELD_LINE = re.compile(rb"\s{0,20}[!-9;-~]{1,100}[ \t]{0,20}:")
_EMPTY_LINE = re.compile(rb"\n\r*\n")
_QUOTED_FIELD = re.compile(rb"(?:\A|\n)content-transfer-encoding[ \t]{0,20}:[ \t]{0,20}quoted", re.IGNORECASE)
_ESCAPED_ESCAPE = re.compile(rb"=3D(?:[0-9A-F]{2}|\r?\n)")
_UU_BEGIN = re.compile(
    rb"^begin(-base64)?[ \t]{1,20}[0-7]{3,6}(?:[ \t]([^\r\n]{0,1000}))?\r*\n", re.IGNORECASE | re.MULTILINE
)
_UU_ODD_BEGIN = re.compile(rb"^begin(-base64)? ([^\r\n]{0,1000})\r*\n", re.MULTILINE)
_UU_END = re.compile(rb"^(?:end|====)[ \t]{0,100}\r*(?:\n|\Z)", re.IGNORECASE | re.MULTILINE)
_ENDLESS = "uuencoded file without its end"
_UU_CHARACTERS = bytes(range(32, 97))
_UU_MASK = bytes([((code - 32) & 63) + 32 for code in range(256)])  # any character, as decoders in C read it

# Base64 that continues after its padding (parts pasted together) is read, too; real mail has fewer pieces than this.
MAX_PIECES = 1000
MAX_STRAYS = 100_000
MAX_REPAIRED = 16_777_216  # bytes of quoted-printable that are searched for damage
MAX_SAMPLE = 65_536  # bytes examined to choose an encoding
MAX_UU_LINES = 1_200_000  # of 45 bytes: 54 MB
MAX_UU_FILES = 10_000

#: Names of encodings, as found in mail.
_NAMES = {
    "": "", "7bit": "", "8bit": "", "binary": "",
    "base64": "base64", "base-64": "base64", "b64": "base64", "b": "base64", "x-base64": "base64",
    "quoted-printable": "quoted-printable", "quotedprintable": "quoted-printable", "qp": "quoted-printable",
    "q": "quoted-printable", "quoted-printeable": "quoted-printable", "x-quoted-printable": "quoted-printable",
    "x-uuencode": "uuencode", "uuencode": "uuencode", "x-uue": "uuencode", "uue": "uuencode", "x-uu": "uuencode",
    "uu": "uuencode",
}  # fmt: skip
_ODD_NAMES = ("7-bit", "8-bit", "7bits", "8bits", "7", "8", "none", "identity", "ascii", "utf-8", "us-ascii")


def encoding_name(encoding: str) -> str:
    """Return "base64", "quoted-printable" or "uuencode", "" for no encoding, or an unknown name in lower case."""
    name = without_comments(encoding).strip(" \t\"';.").partition(";")[0].lower().replace(" ", "").replace("_", "-")
    return _NAMES.get(name, name)


def decode_transfer(data: bytes, encoding: str) -> tuple[bytes, str | None]:
    """Undo a transfer encoding, named as in the message; the second value is the defect, if any."""
    name = encoding_name(encoding)
    if not name:
        return data, None
    if name == "base64":
        decoded, defect = decode_base64(data)
        if defect is None and len(data) > sum([data.count(mark) for mark in b"= \t\r\n"], -(len(decoded) * -4 // 3)):
            defect = "base64 with characters that are not in its alphabet"
        if defect is not None and (end := _end_of_base64(data)) is not None:
            return (decode_base64(data[:end])[0], _FOOTER) if end else (data, "labelled base64 but not encoded")
        return decoded, defect
    if name == "quoted-printable":
        return decode_quoted_printable(data)
    if name == "uuencode":
        return _decode_uu(data)
    if name in _ODD_NAMES:
        return data, f"transfer encoding {name[:40]!r} read as 8bit"
    return data, f"unknown transfer encoding {name[:40]!a} read as 8bit"


def choose_encoding(data: bytes, encodings: Sequence[str]) -> str:
    """Return the encoding that fits the data; if none does, one that changes nothing, otherwise the first."""
    names = [encoding_name(encoding) for encoding in encodings]
    sample = data[:MAX_SAMPLE]
    letters = sample.translate(None, _LINE_ENDS_AND_PADDING)
    whole = len(sample) < len(data) or len(letters) % 4 == 0 or b"=" in sample
    if "base64" in names and letters and whole and not letters.translate(None, _BASE64):
        return "base64"
    if "uuencode" in names and _UU_BEGIN.search(sample):
        return "uuencode"
    if "quoted-printable" in names and _ESCAPE.search(sample) and not _STRAY.search(sample):
        return "quoted-printable"
    return next((name for name in names if name not in ("base64", "uuencode", "quoted-printable")), names[0])


def is_plain_message(data: bytes, encoding: str) -> bool:
    """Return whether an attached message that is labelled as encoded is not (RFC 2046 §5.2.1 forbids encoding one)."""
    name = encoding_name(encoding)
    if name not in ("base64", "uuencode", "quoted-printable") or _FIELD_LINE.match(data) is None:
        return False
    if name != "quoted-printable":  # base64 and uuencode have no colon that early
        return True
    data = data[:MAX_REPAIRED]
    empty = _EMPTY_LINE.search(data)
    header = data[: empty.start()] if empty is not None else data
    if b"=" in header:  # if encoded, it would be =3D
        return b"=3D" not in header and _STRAY.search(header) is not None
    if _QUOTED_FIELD.search(header) is not None:
        return _ESCAPED_ESCAPE.search(data) is None
    return b"=3D" not in data and _STRAY.search(data) is not None


def decode_base64(data: bytes) -> tuple[bytes, str | None]:
    """Decode base64, ignoring characters outside its alphabet; padding may be missing, wrong, or in the middle."""
    padding = data.find(b"=")
    if padding >= 0 and (rest := data[padding:].translate(None, _LINE_ENDS_AND_PADDING)):
        # Plain words after the end: the footer of a mailing list.
        if rest.translate(None, _BASE64) or b" " in data[padding:].strip(_LINE_ENDS_AND_PADDING):
            return _decode_piece(data[:padding]), _FOOTER
        pieces = data.split(b"=", MAX_PIECES)[:MAX_PIECES]
        return b"".join([_decode_piece(piece) for piece in pieces]), "base64 with padding in the middle"
    try:
        return a2b_base64(data), None
    except Error:
        return _decode_piece(data), "base64 cut short or badly padded"


def _end_of_base64(data: bytes) -> int | None:
    """Return where text follows base64, which need not end in padding: 0 if all of it is text, None if none is.

    A character that is not in the alphabet is ignored (RFC 2045 §6.8); text has many of them, and whole groups of four
    letters before it.
    """
    foreign = _NOT_IN_BASE64.search(data)
    if foreign is None:
        return None
    line = data.rfind(b"\n", 0, foreign.start()) + 1
    paragraph = max(data.rfind(b"\n\n", 0, line), data.rfind(b"\n\r\n", 0, line)) + 1
    for start in (paragraph, line):
        letters = len(data[:start].translate(None, b" \t\r\n"))
        others = len(data) - start - len(data[start:].translate(None, _NOT_BASE64_BUT_LINE_ENDS))
        if letters % 4 == 0 and others * 10 > len(data) - start and (letters or _WORDS.match(data)):
            return start
    return None


def _decode_piece(data: bytes) -> bytes:
    letters = data.translate(None, _NOT_BASE64)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return a2b_base64(letters + b"==")


def decode_quoted_printable(data: bytes) -> tuple[bytes, str | None]:
    """Decode quoted-printable; a `=` that escapes nothing is kept, and so are the two bytes after it."""
    if len(data) <= MAX_REPAIRED and (b"= " in data or b"=\t" in data or b"=\r\r" in data):
        data = _SOFT_BREAK.sub(b"=\n", data)
    defect = None
    if len(data) <= MAX_REPAIRED and _STRAY.search(data):
        defect = "quoted-printable with a stray ="
        data = _STRAY.sub(lambda match: match[0].replace(b"=", b"=3D"), data, count=MAX_STRAYS)
    return a2b_qp(data), defect


class UuFile(NamedTuple):
    """A uuencoded file: its position in the data, and what its begin line declares."""

    start: int  # of the begin line
    end: int  # after the end line
    lines: tuple[int, int]  # start and end of the encoded lines
    name: bytes
    base64: bool
    ended: bool  # whether there is an end line


def uu_files(data: bytes, start: int = 0, end: int = sys.maxsize) -> list[UuFile]:
    """Find the uuencoded files between two positions; one without an end line extends to the next file or `end`."""
    end = min(end, len(data))
    begins = list(islice(_UU_BEGIN.finditer(data, start, end), MAX_UU_FILES)) or list(
        islice(_UU_ODD_BEGIN.finditer(data, start, end), 1)
    )
    limits = [*[begin.start() for begin in begins[1:]], end]
    files: list[UuFile] = []
    for begin, limit in zip(begins, limits, strict=False):
        last = _UU_END.search(data, begin.end(), limit)
        lines = begin.end(), last.start() if last is not None else limit
        stop = last.end() if last is not None else limit
        name = (begin[2] or b"").strip()
        files.append(UuFile(begin.start(), stop, lines, name, begin[1] is not None, last is not None))
    return files


def _decode_uu(data: bytes) -> tuple[bytes, str | None]:
    files = uu_files(data)
    if not files:
        return data, "uuencoded part without a begin line"
    file = files[0]
    encoded = data[file.lines[0] : file.lines[1]]
    if file.base64:
        return decode_base64(encoded)
    decoded, defect = _decode_uu_lines(encoded, ended=file.ended)
    if defect is None and len(files) > 1:
        defect = "more than one uuencoded file in a part"
    return decoded, defect


def _decode_uu_lines(data: bytes, *, ended: bool) -> tuple[bytes, str | None]:
    """Decode lines that each begin with a character for the number of bytes in the line.

    Trailing blanks may be missing, a check character or anything else may follow, and characters may be out of range.
    Without an end line, the file ends before the first line that cannot belong to it.
    """
    decoded: list[bytes] = []
    defect = None
    lines = data.split(b"\n", MAX_UU_LINES)
    for number, whole in enumerate(lines[:MAX_UU_LINES], 1):
        line = whole.rstrip(b"\r")
        if not line:
            continue
        size = (line[0] - 32) & 63
        letters = (size * 4 + 2) // 3
        beyond = len(line) - 1 - (size + 2) // 3 * 4
        if not ended and (not size or beyond > 1 or (beyond < 0 and line.translate(None, _UU_CHARACTERS))):
            rest = size or any(following.strip() for following in lines[number:])
            return b"".join(decoded), "text after the end of a uuencoded file" if rest else defect or _ENDLESS
        if beyond or size % 3:
            if len(line) <= letters or beyond > 0:
                defect = "uuencoded line with the wrong length"
            line = line[: 1 + letters]
        try:
            decoded.append(a2b_uu(line))
        except Error:
            defect = "uuencoded line with characters out of range"
            decoded.append(a2b_uu(line.translate(_UU_MASK)))
    if len(lines) > MAX_UU_LINES:
        defect = f"more than {MAX_UU_LINES} uuencoded lines"
    return b"".join(decoded), defect or (None if ended else _ENDLESS)
