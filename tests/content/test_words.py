"""The text of header fields: RFC 2047 as really sent, 8-bit text, and nothing that could harm a terminal."""

import base64
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content.words import clean, decode_text, decode_words

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


FIELDS = [
    (b"plain", "plain"),
    (b"=?utf-8?q?Caf=C3=A9_noir?=", "Café noir"),
    (b"=?UTF-8?B?Q2Fmw6k=?=", "Café"),
    (b"=?iso-8859-1?Q?a?= =?iso-8859-1?Q?b?=", "ab"),
    (b"=?iso-8859-1?Q?a?=\r\n =?iso-8859-1?Q?b?= c", "ab c"),
    (b"a =?us-ascii?Q?b?= c", "a b c"),
    (b"a=?us-ascii?Q?b?=c", "abc"),
    (b"=?us-ascii?Q?a?==?us-ascii?Q?b?=", "ab"),
    (b"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
    (b"=?utf-8?b?w6?= =?utf-8?b?k=?=", "é"),
    (b"=?utf-8?q?=C3?= =?utf-8?b?qQ==?=", "é"),
    (b"=?utf-8?b?w6k?=", "é"),
    (b"=?utf-8?b?w6k====?=", "é"),
    (b"=?utf-8?B?w6 k=?=", "é"),
    (b"=?utf-8?Q?two words?=", "two words"),
    (b'"=?utf-8?q?Caf=C3=A9?="', '"Café"'),
    (b"=?utf-8*fr?q?Caf=C3=A9?=", "Café"),
    (b"=?utf-8?q?100=_sure=3?=", "100= sure=3"),
    (b"=?utf-8?q?Caf=C3=A9", "Café"),
    (b"=?us-ascii?Q?Caf=C3=A9?=", "Café"),
    (b"=?unknown-8bit?Q?Caf=E9?=", "Café"),
    (b"=?iso-8859-1?Q?Caf=C3=A9?=", "Café"),
    (b"=?gb2312?B?1tC5+g==?=", "中国"),
    (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
    (b"\x1b$BF|K\\\x1b(B", "日本"),
    (b"=?utf-8?b?w6k?= =?utf-8?b?w6k?=", "éé"),
    (b"=?utf-8?b?Q2Fm?= =?utf-8?b?w6k?= =?utf-8?b?IQ==?=", "Café!"),
    (b'=?"utf-8"?Q?a?=', "a"),
    (b"=?'utf-8'?Q?a?=", "a"),
    (b"=? utf-8 ?Q?a?=", "a"),
    (b"=?", "=?"),
    (b"a =?b c?= d", "a =?b c?= d"),
    (b"=?x?y?z?=", "=?x?y?z?="),
    ("Смотри".encode(), "Смотри"),
    (b"a\r\n\tb\r\n  c", "a b c"),
    (b"=?utf-8?q?a =?utf-8?q?b =?utf-8?q?c?= d", "a b c d"),
    (b"=?utf-8?q?a =?utf-8?q?b", "a b"),
    (b"=?utf-8?q?a=?=", "a="),
    (b"=?utf-8?q?=?=", "="),
    (b"=?utf-8?q?a==?= =?utf-8?q?b=\r=41=?=", "a==b= =41="),
    (b"=?utf-8?q?", "=?utf-8?q?"),
    (b"a =?utf-8?b?  ", "a =?utf-8?b?"),
    (b"=?utf-8?q?a?= =?utf-8?q?", "a =?utf-8?q?"),
    (b"=?utf-8?q?=?utf-8?q?b?= c", "=?utf-8?q?b c"),
    (b"a =?utf-8?q??= b", "a  b"),
    (b"=?UTF-8?b?w6=?=", "\ufffd"),
    (b"=?UTF-8?b?Q2Fm4oI?=", "Caf\ufffd"),
    (b"=?UTF-8?q?=C3=A9t=C3?=", "ét\ufffd"),
    (b"=?UTF-8?q?=C3=A9t=C3?= x", "ét\ufffd x"),
    (b"=?UTF-8?q?=C3=A9t=E9?= x", "ét\ufffd x"),
    (b"=?UTF-8?q?Caf=E9?=", "Café"),
    (b"=?UTF-8?q?MEN=DC?=", "MENÜ"),
]


def test_words_read_as_meant() -> None:
    """Encoded words are read anywhere, joined as bytes, with padding, ends and labels missing or wrong."""
    for raw, text in FIELDS:
        assert decode_text(raw) == text, raw


@pytest.mark.threat(110)
def test_encoded_line_breaks_stay_on_one_line() -> None:
    """An encoded word cannot bring a line break into a value."""
    assert decode_text(b"=?utf-8?q?a=0D=0ABcc:_x@y?=") == "a Bcc: x@y"


@pytest.mark.threat(113)
def test_no_control_or_bidi_character_is_shown() -> None:
    """No value has C0, DEL, C1, line separator or bidirectional control characters, encoded or not."""
    for code in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, *map(ord, BIDI)):
        raw = f"a{chr(code)}b".encode()
        for value in (raw, b"=?utf-8?b?" + base64.b64encode(raw) + b"?="):
            assert chr(code) not in decode_text(value), value


@given(st.text(max_size=60), st.sampled_from(["utf-8", "utf-16", "utf-7", "gb18030"]), st.booleans())
def test_what_a_mailer_encodes_is_read_back(text: str, charset: str, quoted: bool) -> None:
    """Text encoded as one word is read as the same text, except for characters that must not be shown."""
    data = text.encode(charset, "replace")
    word = (
        b"=?%s?Q?%s?=" % (charset.encode(), b"".join(b"=%02X" % byte for byte in data))
        if quoted
        else b"=?%s?B?%s?=" % (charset.encode(), base64.b64encode(data))
    )
    assert decode_text(word) == clean(data.decode(charset, "replace").removeprefix("\ufeff"))


@given(st.binary(max_size=200))
def test_any_bytes_give_text_that_is_safe_to_show(raw: bytes) -> None:
    """Whatever a field contains, its text has no control characters and can be encoded."""
    text = decode_text(raw)
    text.encode("utf-8")
    assert not any(unicodedata.category(character) in ("Cc", "Cs") or character in BIDI for character in text)


@given(st.lists(st.sampled_from(["=?", "?=", "?", "=", "utf-8", "q", "b", "Q", "B", "YQ", "==", " ", "_", "=41", "*"])))
def test_words_built_of_their_own_marks_read(parts: list[str]) -> None:
    """Marks of encoded words in any order are read."""
    decode_words("".join(parts))
