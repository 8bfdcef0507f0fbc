"""Charset: decodes bytes to text by a charset label that may be wrong or missing.

`decode` never raises, and looks up only the codecs in the table below, whatever the label (no `zlib`, `idna`,
`unicode_escape`). As in the WHATWG Encoding Standard, a label means the superset that real mail uses under that name:
`gb2312` is read as gb18030, `latin-1` as windows-1252. Nothing here guesses a language from statistics.
"""

import re
from codecs import utf_8_decode
from collections.abc import Iterable
from functools import lru_cache

from .codecs import decode_iso2022_cn, decode_viscii

__all__ = ["codec_for", "decode", "guess", "guess_beyond_utf8", "useful_codecs"]

_CODECS = {
    "ascii": "ascii usascii ansix341968 ansix341986 iso646us us cp367 ibm367 646 csascii ansi",
    "utf-8": "utf8 unicode11utf8 xunicode20utf8 utf8mb4 cp65001 utf unicode",
    "utf-7": "utf7 unicode11utf7 csunicode11utf7 xunicode20utf7",
    "utf-16": "utf16 ucs2 iso10646ucs2 csunicode",
    "utf-16-le": "utf16le unicodefffe",
    "utf-16-be": "utf16be unicodefeff",
    "utf-32": "utf32 ucs4 iso10646ucs4",
    "utf-32-le": "utf32le",
    "utf-32-be": "utf32be",
    "cp1252": "iso88591 latin1 l1 cp819 ibm819 windows1252 cp1252 xcp1252 iso885911987 isoir100 csisolatin1"
    " iso88591windows31latin1 8859 88591 iso8859 1252 win1252 xansi iso88591i latin xunknown",
    "iso8859-2": "iso88592 latin2 l2 iso885921987 isoir101 csisolatin2 88592",
    "iso8859-3": "iso88593 latin3 l3 iso885931988 isoir109 csisolatin3 88593",
    "iso8859-4": "iso88594 latin4 l4 iso885941988 isoir110 csisolatin4 88594",
    "iso8859-5": "iso88595 cyrillic iso885951988 isoir144 csisolatincyrillic 88595",
    "iso8859-6": "iso88596 arabic iso885961987 isoir127 csisolatinarabic iso88596e iso88596i ecma114 asmo708 88596",
    "iso8859-7": "iso88597 greek greek8 iso885971987 isoir126 csisolatingreek ecma118 elot928 suneugreek 88597",
    "iso8859-8": "iso88598 hebrew iso885981988 isoir138 csisolatinhebrew iso88598i iso88598e visual logical 88598",
    "cp1254": "iso88599 latin5 l5 iso885991989 isoir148 csisolatin5 windows1254 cp1254 xcp1254 88599 1254",
    "iso8859-10": "iso885910 latin6 l6 iso8859101992 isoir157 csisolatin6",
    "cp874": "iso885911 tis620 tis6202533 windows874 dos874 cp874 tis62025331 tis620252",
    "iso8859-13": "iso885913 latin7 l7",
    "iso8859-14": "iso885914 latin8 l8 isoceltic isoir199",
    "iso8859-15": "iso885915 latin9 l9 latin0 csisolatin9 885915",
    "iso8859-16": "iso885916 latin10 l10 isoir226",
    "cp1250": "windows1250 cp1250 xcp1250 win1250 1250",
    "cp1251": "windows1251 cp1251 xcp1251 win1251 1251 win",
    "cp1253": "windows1253 cp1253 xcp1253 1253",
    "cp1255": "windows1255 cp1255 xcp1255 1255",
    "cp1256": "windows1256 cp1256 xcp1256 1256",
    "cp1257": "windows1257 cp1257 xcp1257 1257",
    "cp1258": "windows1258 cp1258 xcp1258 1258",
    "koi8-r": "koi8r koi8 koi cskoi8r",
    "koi8-u": "koi8u koi8ru",
    "cp437": "cp437 ibm437 437 cspc8codepage437",
    "cp850": "cp850 ibm850 850",
    "cp852": "cp852 ibm852 852",
    "cp855": "cp855 ibm855",
    "cp857": "cp857 ibm857",
    "cp858": "cp858 ibm858 ibm00858",
    "cp862": "cp862 ibm862 dos862",
    "cp866": "cp866 ibm866 866 csibm866",
    "mac_roman": "macintosh mac macroman xmacroman csmacintosh",
    "mac_cyrillic": "xmaccyrillic maccyrillic xmacukrainian",
    "mac_latin2": "xmaccentraleurroman maccentraleurope xmacce maclatin2",
    "mac_greek": "xmacgreek macgreek",
    "mac_turkish": "xmacturkish macturkish",
    "gb18030": "gb18030 gb2312 gbk chinese csgb2312 csiso58gb231280 gb231280 isoir58 xgbk cp936 936 euccn xeuccn"
    " windows936 ms936 gb gb23121980 gb180302000",
    "hz": "hzgb2312 hz",
    "big5hkscs": "big5 big5hkscs cnbig5 csbig5 xxbig5 cp950 950 big5eten windows950 xbig5",
    "cp949": "euckr ksc56011987 ksc56011989 ksc5601 korean isoir149 cseuckr csksc56011987 windows949 cp949 949"
    " uhc ms949 ksx1001 ksc5861 5601",
    "johab": "johab",
    "iso2022_kr": "iso2022kr csiso2022kr",
    "cp932": "shiftjis sjis xsjis mskanji csshiftjis windows31j ms932 cp932 932 xmscp932 shiftjisx0213 windows932",
    "euc_jp": "eucjp xeucjp xeuc cseucpkdfmtjapanese eucjpms ujis cp51932",
    "iso2022_jp": "iso2022jp csiso2022jp iso2022jp1 iso2022jp2 iso2022jp3 iso2022jpms cp50220 cp50221 cp50222 jis",
    "viscii": "viscii viscii11 viscii111 csviscii",
    "iso2022_cn": "iso2022cn csiso2022cn iso2022cnext csiso2022cnext",
    "ptcp154": "ptcp154 csptcp154 pt154 cp154",
}
_BY_LABEL = {label: codec for codec, labels in _CODECS.items() for label in labels.split()}

MAX_REPAIRED = 1_048_576  # bytes of ISO-2022-JP, UTF-7 and UTF-32 that are repaired character by character
MAX_SAMPLE = 65_536  # bytes examined before all of them are tried as broken UTF-8
MAX_HINTS = 8  # codecs tried on unlabelled bytes
MAX_BROKEN = 16  # broken characters tolerated in unlabelled UTF-8

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_SHIFT = re.compile(rb"\x1b(\$[@ABC]|\$\([A-Z]|\([A-Z]|&@)|[\x0e\x0f]")

# Wider codecs, tried if a message uses characters that its charset does not have.
_WIDER = {"euc_jp": "euc_jisx0213", "big5hkscs": "cp950", "cp949": "johab"}
_SINGLE_BYTE_LATIN = frozenset({"cp1252", "iso8859-15", "cp1254", "iso8859-2", "cp1250", "viscii"})
_OWN_CODECS = {"viscii": decode_viscii, "iso2022_cn": decode_iso2022_cn}
_USELESS_HINTS = frozenset({"ascii", "utf-8", *_OWN_CODECS})


def codec_for(label: str) -> str | None:
    """Return the codec for a charset label; None if the label is unknown or not allowed."""
    return _codec_for(label[:64])


@lru_cache(maxsize=256)
def _codec_for(label: str) -> str | None:
    key = _NOT_IN_A_NAME.sub("", label.lower())
    codec = _BY_LABEL.get(key)
    if codec is None and key.startswith(("x", "cs")):
        codec = _BY_LABEL.get(key.removeprefix("x").removeprefix("cs"))
    return codec


def useful_codecs(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the codecs of these labels that are worth trying on unlabelled bytes: each once, `MAX_HINTS` at most."""
    codecs = dict.fromkeys(filter(None, map(codec_for, labels)))
    return tuple([codec for codec in codecs if codec not in _USELESS_HINTS][:MAX_HINTS])


def decode(data: bytes, label: str | None = None, hints: Iterable[str] = ()) -> tuple[str, bool]:
    """Decode bytes labelled `label`; the flag is False if the label was missing, unknown or wrong.

    A label is used if the bytes fit it. If they do not, they are read as UTF-8 if they are valid UTF-8, otherwise by
    the label with U+FFFD for what does not fit, or, if too much does not fit, as bytes without a label.
    """
    codec = codec_for(label) if label else None
    if codec is None:
        return guess(data, hints), label is None and data.isascii()
    if codec == "ascii":
        return guess(data, hints), data.isascii() and b"\x1b" not in data
    if codec == "iso2022_jp":
        return _decode_jis(data)
    if codec == "utf-7":
        return _decode_utf7(data)
    if codec == "utf-8":
        if data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
    elif codec in _SINGLE_BYTE_LATIN and not data.isascii():
        text = _as_utf8(data)
        if text is not None:
            return text, False
    if codec in _OWN_CODECS:
        return _OWN_CODECS[codec](data) if codec == "viscii" or data.isascii() else (guess(data, hints), False)
    try:
        return data.decode(codec), True
    except ValueError:  # UnicodeDecodeError, or what codecs such as utf-16 raise for an odd length
        return _repair(data, codec, hints), False


def guess(data: bytes, hints: Iterable[str] = ()) -> str:
    """Decode bytes without a usable label: as UTF-8, ISO-2022-JP, each of `hints` in order, or windows-1252."""
    if data.isascii():
        return _decode_jis(data)[0] if b"\x1b$" in data else data.decode("ascii")
    text = _as_utf8(data.removeprefix(b"\xef\xbb\xbf"))
    return guess_beyond_utf8(data, hints) if text is None else text


def guess_beyond_utf8(data: bytes, hints: Iterable[str] = ()) -> str:
    """Decode bytes without a usable label that are known not to be UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) and len(data) > 3:
        return data.decode("utf-16", "replace")
    codecs = useful_codecs(hints) if hints else ()
    for codec in codecs[: 1 if len(data) > MAX_REPAIRED else None]:
        try:
            return data.decode(codec) if codec != "utf-7" else _decode_utf7(data)[0]
        except ValueError:
            continue
    sample = data[:MAX_SAMPLE].decode("utf-8", "replace")
    if sample.count("\ufffd") <= MAX_BROKEN + 1:  # one more: the end of the sample may cut a character
        # Mostly UTF-8 with a character cut in two (a header folded between bytes): better than mojibake throughout.
        text = sample if len(data) <= MAX_SAMPLE else data.decode("utf-8", "replace")
        broken = text.count("\ufffd")
        start = text[:4096]
        if broken <= MAX_BROKEN and broken * 5 <= len(start) - len(start.encode("ascii", "ignore")):
            return text
    return data.decode("cp1252", "replace")


def _as_utf8(data: bytes) -> str | None:
    # Text in windows-1252 with more than one accent is almost never valid UTF-8.
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _without_end(data: bytes) -> str | None:
    """Read UTF-8 that ends inside a character, with U+FFFD for that; None for anything else.

    The last byte of windows-1252 may look like that, too, but not with other UTF-8 before it, or another byte like it.
    On its own it counts if it begins characters of UTF-8 that are frequent (é, я), and ends no word (Ã, Ð).
    """
    try:
        text, end = utf_8_decode(data, "strict", False)
    except UnicodeDecodeError:
        return None
    cut_off = not text.isascii() or len(data) - end > 1 or data.endswith((b"\xc2", b"\xc3", b"\xd0", b"\xd1"))
    return text + "\ufffd" if cut_off else None


def _repair(data: bytes, codec: str, hints: Iterable[str]) -> str:
    if codec == "utf-8" and (text := _without_end(data)) is not None:
        return text
    if codec == "utf-8":
        if len(data) > MAX_SAMPLE and _repair_utf8(data[:MAX_SAMPLE], 4) is None:
            return guess(data, hints)
        text = _repair_utf8(data, 0)
        return guess(data, hints) if text is None else text
    if codec.startswith("utf-32") and len(data) > MAX_REPAIRED:
        return guess(data, hints)
    if data.isascii() and codec.startswith("utf-"):  # utf-16 or utf-32 by its label, but plain ASCII
        return data.decode("ascii")
    as_utf8 = None if data.isascii() else _as_utf8(data)
    if as_utf8 is not None:
        return as_utf8
    wider = _WIDER.get(codec)
    if wider is not None:
        try:
            return data.decode(wider)
        except ValueError:
            pass
    if len(data) > MAX_REPAIRED:
        sample = data[:MAX_SAMPLE].decode(codec, "replace")
        if sample.count("\ufffd") * 8 > len(sample):
            return guess(data, hints)
    return data.decode(codec, "replace")


def _repair_utf8(data: bytes, slack: int) -> str | None:
    """Decode bytes that are mostly UTF-8, with U+FFFD for the others; None if they are mostly not UTF-8."""
    text = data.decode("utf-8", "replace")
    return text if text.count("\ufffd") * 4 <= len(data) - len(text) + slack else None


def _decode_utf7(data: bytes) -> tuple[str, bool]:
    if len(data) > MAX_REPAIRED:
        try:
            data.decode("utf-7")
        except UnicodeDecodeError:
            return guess(data), False
    # UTF-7 is the only codec here that lets half of a surrogate pair through, which no codec could encode again.
    text = data.decode("utf-7", "replace")
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole, "\ufffd" not in whole


def _decode_jis(data: bytes) -> tuple[str, bool]:
    """Decode ISO-2022-JP as sent, including the vendor characters (row 13 and beyond) that Python's codec lacks."""
    try:
        return data.decode("iso2022_jp_2"), True
    except UnicodeDecodeError:
        pass
    if not data.isascii():
        return _guess_japanese(data), False
    if len(data) > MAX_REPAIRED:
        return data.decode("iso2022_jp_2", "replace"), False
    pieces: list[str] = []
    position = 0
    kanji = kana = False
    for match in _SHIFT.finditer(data):
        pieces.append(_jis_segment(data[position : match.start()], kanji, kana))
        position = match.end()
        shift = match[1] or match[0]
        kanji = shift.startswith(b"$")
        kana = shift in (b"(I", b"\x0e")
    pieces.append(_jis_segment(data[position:], kanji, kana))
    return "".join(pieces), False


def _guess_japanese(data: bytes) -> str:
    """Decode 8-bit text that is labelled ISO-2022-JP: as UTF-8, otherwise as Shift_JIS, the common confusion."""
    text = _as_utf8(data)
    if text is not None:
        return text
    return data.decode("cp932", "replace")


def _jis_segment(data: bytes, kanji: bool, kana: bool) -> str:
    if kana:
        return bytes(byte | 0x80 for byte in data).decode("cp932", "replace")
    if not kanji:
        return data.decode("ascii", "replace")
    shifted = bytearray()
    for row, cell in zip(data[::2], data[1::2], strict=False):
        if not (0x21 <= row <= 0x7E and 0x21 <= cell <= 0x7E):
            shifted += b"?"
            continue
        shifted.append((row + 1) // 2 + (0x70 if row < 0x5F else 0xB0))
        shifted.append(cell + (0x7E if row % 2 == 0 else 0x20 if cell > 0x5F else 0x1F))
    return shifted.decode("cp932", "replace")
