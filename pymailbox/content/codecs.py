"""Codecs for charsets that Python lacks: VISCII (RFC 1456) and ISO-2022-CN (RFC 1922).

Both are linear and never raise. The second value they return is False if something could not be decoded.
"""

import re
from codecs import charmap_decode

__all__ = ["decode_iso2022_cn", "decode_viscii"]

# ASCII, except that six control characters are letters; the upper half is letters, too.
_VISCII = (
    "".join(map(chr, range(128))).translate({0x02: "Ẳ", 0x05: "Ẵ", 0x06: "Ẫ", 0x14: "Ỷ", 0x19: "Ỹ", 0x1E: "Ỵ"})
    + "ẠẮẰẶẤẦẨẬẼẸẾỀỂỄỆỐỒỔỖỘỢỚỜỞỊỎỌỈỦŨỤỲÕắằặấầẩậẽẹếềểễệốồổỗỠƠộờởịỰỨỪỬơớƯ"
    + "ÀÁÂÃẢĂẳẵÈÉÊẺÌÍĨỳĐứÒÓÔạỷừửÙÚỹỵÝỡưàáâãảăữẫèéêẻìíĩỉđựòóôõỏọụùúũủýợỮ"
)

_SHIFT = re.compile(rb"\x1b\$([)*+])([A-Z])|\x1bN(..?)|[\x0e\x0f\n]", re.DOTALL)
_TO_EUC = bytes(byte | 0x80 for byte in range(256))


def decode_viscii(data: bytes) -> tuple[str, bool]:
    """Decode VISCII (Vietnamese), in which every byte is a character."""
    return charmap_decode(data, "replace", _VISCII)[0], True


def decode_iso2022_cn(data: bytes) -> tuple[str, bool]:
    """Decode ISO-2022-CN (Chinese): GB 2312, with U+FFFD for each character of CNS 11643, which Python lacks."""
    pieces: list[str] = []
    position = 0
    charset = b""  # what SO shifts to
    shifted = False
    for match in _SHIFT.finditer(data):
        pieces.append(_segment(data[position : match.start()], charset if shifted else None))
        position = match.end()
        if match[0] == b"\x0e":
            shifted = True
        elif match[0] == b"\x0f":
            shifted = False
        elif match[0] == b"\n":  # each line begins in ASCII
            shifted = False
            pieces.append("\n")
        elif match[3] is not None:
            pieces.append("\ufffd")
        elif match[1] == b")":
            charset = match[2]
    pieces.append(_segment(data[position:], charset if shifted else None))
    text = "".join(pieces)
    return text, "\ufffd" not in text


def _segment(data: bytes, charset: bytes | None) -> str:
    if charset is None:
        return data.decode("ascii", "replace")
    if charset == b"A":
        return data.translate(_TO_EUC).decode("gb2312", "replace")
    return "\ufffd" * ((len(data) + 1) // 2)
