"""Owns Content-Transfer-Encoding: what a body part says before it was wrapped for the wire (RFC 2045 §6).

Each decoder takes what is there, in one linear pass in C, and says whether it had to repair something. None raises.
"""

import re
from binascii import Error, a2b_base64, a2b_qp, a2b_uu

__all__ = ["decode_base64", "decode_quoted_printable", "decode_transfer"]

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_LINE_ENDS_AND_PADDING = b"= \t\r\n"
_BLANKS_ADDED = (b" ", b"  ", b"   ", b"\t")  # after a soft line break, on the way (RFC 2045 §6.7, rule 3)
_UU_BEGIN = re.compile(rb"(?:\A|\n)begin [^\n]{0,1000}\n")
_STRAY = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n|\Z)[^\n]{0,2}")
_COMMENT = re.compile(r"\([^()]*\)?")

# Base64 that goes on after its padding (parts pasted together) is read on; more pieces than this is no mail.
MAX_PIECES = 1000
MAX_STRAYS = 100_000
MAX_REPAIRED = 16_777_216  # octets of quoted-printable that are searched for damage
MAX_UU_LINES = 1_200_000  # of 45 octets: 54 MB


def decode_transfer(data: bytes, encoding: str) -> tuple[bytes, str | None]:
    """Undo a transfer encoding by its name as found; the second value says what was wrong, if anything."""
    name = _COMMENT.sub("", encoding) if "(" in encoding else encoding
    name = name.strip(" \t\"';.").partition(";")[0].lower().replace(" ", "").replace("_", "-")
    if name in ("", "7bit", "8bit", "binary"):
        return data, None
    if name in ("base64", "base-64", "b64", "b", "x-base64"):
        return decode_base64(data)
    if name in ("quoted-printable", "quotedprintable", "qp", "q", "quoted-printeable", "x-quoted-printable"):
        return decode_quoted_printable(data)
    if name in ("x-uuencode", "uuencode", "x-uue", "uue", "x-uu"):
        return _decode_uu(data)
    if name in ("7-bit", "8-bit", "7bits", "8bits", "7", "8", "none", "identity", "ascii", "utf-8", "us-ascii"):
        return data, f"transfer encoding {name[:40]!r} read as 8bit"
    return data, f"unknown transfer encoding {name[:40]!a} read as 8bit"


def decode_base64(data: bytes) -> tuple[bytes, str | None]:
    """Decode base64, skipping what is not of its alphabet, with padding missing, wrong, or in the middle."""
    padding = data.find(b"=")
    if padding >= 0 and (rest := data[padding:].translate(None, _LINE_ENDS_AND_PADDING)):
        # Plain words after the end: a mailing list's footer.
        if rest.translate(None, _BASE64) or b" " in data[padding:].strip(_LINE_ENDS_AND_PADDING):
            return _decode_piece(data[:padding]), "text after the end of base64"
        pieces = data.split(b"=", MAX_PIECES)[:MAX_PIECES]
        return b"".join([_decode_piece(piece) for piece in pieces]), "base64 with padding in the middle"
    try:
        return a2b_base64(data), None
    except Error:
        return _decode_piece(data), "base64 cut short or badly padded"


def _decode_piece(data: bytes) -> bytes:
    letters = data.translate(None, _NOT_BASE64)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return a2b_base64(letters + b"==")


def decode_quoted_printable(data: bytes) -> tuple[bytes, str | None]:
    """Decode quoted-printable; a `=` that escapes nothing stands for itself, and so do the two octets after it."""
    if len(data) <= MAX_REPAIRED and (b"= " in data or b"=\t" in data):
        for blanks in _BLANKS_ADDED:
            data = data.replace(b"=" + blanks + b"\r\n", b"=\r\n").replace(b"=" + blanks + b"\n", b"=\n")
    defect = None
    if len(data) <= MAX_REPAIRED and _STRAY.search(data):
        defect = "quoted-printable with a stray ="
        data = _STRAY.sub(lambda match: match[0].replace(b"=", b"=3D"), data, count=MAX_STRAYS)
    return a2b_qp(data), defect


def _decode_uu(data: bytes) -> tuple[bytes, str | None]:
    begin = _UU_BEGIN.search(data)
    if begin is None:
        return data, "uuencoded part without a begin line"
    decoded: list[bytes] = []
    broken = 0
    for line in data[begin.end() :].split(b"\n", MAX_UU_LINES)[:MAX_UU_LINES]:
        row = line.rstrip(b"\r")
        if not row or row == b"end":
            break
        try:
            decoded.append(a2b_uu(row))
        except Error:
            # Some encoders append a check character: as many octets as the first character says.
            length = ((row[0] - 32) & 63) * 4 // 3 + 3
            broken += 1
            try:
                decoded.append(a2b_uu(row[: 1 + length // 4 * 4]))
            except Error:
                break
        if broken > MAX_PIECES:
            break
    return b"".join(decoded), "broken uuencoding" if broken else None
