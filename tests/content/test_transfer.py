"""Transfer encodings and charsets are decoded to what the sender meant, even if the labels are wrong."""

import base64
import binascii
import codecs
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content import Content, charset
from pymailbox.content.transfer import decode_transfer

ENCODED = [
    (b"a=3Db", "7bit", b"a=3Db", True),
    (b"a=3Db", "", b"a=3Db", True),
    (b"a=3Db", "8-bit", b"a=3Db", False),
    (b"a=3Db", "x-unheard-of", b"a=3Db", False),
    (b"a=3Db=\r\nc", "Quoted-Printable", b"a=bc", True),
    (b"a=\nb", "quoted-printable", b"ab", True),
    (b"a= \r\nb", "quoted-printable", b"ab", True),
    (b"a= \t\r\nb=\t \t    \nc=\r\r\nd= ", "quoted-printable", b"abcd", True),
    (b"a= b = \t c", "quoted-printable", b"a= b = \t c", False),
    (b"100= =ZZ ==41", "quoted-printable", b"100= =ZZ ==41", False),
    (b"=====\r\na=3Db", "quoted-printable", b"=====\r\na=b", False),
    (b"a=4=41 =41", "quoted-printable", b"a=4=41 A", False),
    (b"a=20b", "quoted-printable (as usual)", b"a b", True),
    (b"YWJj", "base64 (of old)", b"abc", True),
    (b"YWJj", " BASE64 ", b"abc", True),
    (b"YW\r\nJj\r\n", "base64;", b"abc", True),
    (b"YWI", "base64", b"ab", False),
    (b"YWJjZ", "base64", b"abc", False),
    (b"Y*W-J(j", "base64", b"abc", False),
    (b"YQ==YQ==", "base64", b"aa", False),
    (b"YWI=\r\nA list's footer.\r\n", "base64", b"ab", False),
    (b"YWI=\r\nOnly plain words\r\n", "base64", b"ab", False),
    (b"YWJj\r\n\r\n_____\r\nA list's footer.\r\n", "base64", b"abc", False),
    (b"YWJj\nYWJj\n\nList\nhttp://example.com/?list=abc\n", "base64", b"abcabc", False),
    (b"YWJj\n" * 9 + b"YW*Jj\n" + b"YWJj\n" * 9, "base64", b"abc" * 19, False),
    (b"Dear Ann,\nall is well.\n", "base64", b"Dear Ann,\nall is well.\n", False),
    (b"<p>Dear Ann</p>\n\n<p>Yes</p>", "base64", b"<p>Dear Ann</p>\n\n<p>Yes</p>", False),
    (b"", "base64", b"", True),
    (b"begin 644 x\n#86)C\n`\nend\n", "x-uuencode", b"abc", True),
    (b"no such line", "uuencode", b"no such line", False),
]


def test_bytes_are_decoded_as_meant() -> None:
    """Encodings are undone as far as possible, and repairs are named."""
    for data, encoding, expected, whole in ENCODED:
        decoded, defect = decode_transfer(data, encoding)
        assert decoded == expected, (data, encoding)
        assert (defect is None) is whole, (data, encoding)


@given(st.binary(max_size=300))
def test_what_is_encoded_is_read_back(data: bytes) -> None:
    """Base64 and quoted-printable as other programs write them are decoded to the same bytes."""
    assert decode_transfer(base64.encodebytes(data), "base64") == (data, None)
    encoded = quopri.encodestring(data, quotetabs=True)
    if quopri.decodestring(encoded) == data:  # the standard library converts mixed line ends to one kind
        assert decode_transfer(encoded, "quoted-printable") == (data, None)
    rows = b"".join(codecs.encode(data[at : at + 45], "uu").split(b"\n")[1] + b"\n" for at in range(0, len(data), 45))
    assert decode_transfer(b"begin 644 x\n" + rows + b"`\nend\n", "x-uuencode") == (data, None)


@pytest.mark.threat(111)
@given(st.binary(max_size=300), st.sampled_from(["base64", "quoted-printable", "x-uuencode", "?"]))
def test_any_bytes_decode(data: bytes, encoding: str) -> None:
    """No bytes under any encoding raise."""
    decode_transfer(data, encoding)
    decode_transfer(b"begin 644 x\n" + data, encoding)


UU_DATA = bytes(range(101)) + bytes(30)  # its last line has fill characters and zeros
UU_ROWS = [binascii.b2a_uu(UU_DATA[at : at + 45], backtick=True)[:-1] for at in range(0, len(UU_DATA), 45)]
UU_BLANKS = [row.replace(b"`", b" ") for row in UU_ROWS]
UU_HEAD, UU_TAIL = b"begin 644 a.bin", [b"`", b"end", b""]
LENGTHS = "uuencoded line with the wrong length"
RANGE = "uuencoded line with characters out of range"
ENDLESS = "uuencoded file without its end"
BEYOND = "text after the end of a uuencoded file"


def filled(row: bytes, fill: bytes) -> bytes:
    """Replace the characters of a line that are not needed for its bytes."""
    letters = (((row[0] - 32) & 63) * 4 + 2) // 3
    return row[: 1 + letters] + fill * (len(row) - 1 - letters)


UUENCODED: list[tuple[list[bytes], str | None]] = [
    ([UU_HEAD, *UU_ROWS, *UU_TAIL], None),
    ([UU_HEAD, *UU_BLANKS, b" ", b"end"], None),
    ([UU_HEAD, *UU_ROWS[:-1], filled(UU_ROWS[-1], b"'"), *UU_TAIL], None),
    ([UU_HEAD, *UU_ROWS[:-1], filled(UU_ROWS[-1], b"z"), *UU_TAIL], None),
    ([UU_HEAD, *UU_ROWS[:-1], filled(UU_ROWS[-1], b""), *UU_TAIL], None),
    ([UU_HEAD, *[row.rstrip() for row in UU_BLANKS], b"", b"end"], LENGTHS),
    ([UU_HEAD, *[row + b"X" for row in UU_ROWS], *UU_TAIL], LENGTHS),
    ([UU_HEAD, *[row + b" and more" for row in UU_ROWS], *UU_TAIL], LENGTHS),
    ([UU_HEAD, *[row.replace(b"!", b"a") for row in UU_ROWS], *UU_TAIL], RANGE),
    ([UU_HEAD, *b"\n\n".join(UU_ROWS).split(b"\n"), *UU_TAIL], None),
    ([UU_HEAD.upper(), *UU_ROWS, b"`", b"END"], None),
    ([UU_HEAD, *UU_ROWS, b"`", b""], ENDLESS),
    ([UU_HEAD, *UU_ROWS], ENDLESS),
    ([UU_HEAD, *UU_ROWS, b"`", b"", b"Best regards"], BEYOND),
    ([UU_HEAD, *UU_ROWS, b"Best regards"], BEYOND),
    ([b"begin  0644   a.bin ", *UU_ROWS, *UU_TAIL], None),
    ([b"begin 644", *UU_ROWS, *UU_TAIL], None),
    ([b"begin a.bin", *UU_ROWS, *UU_TAIL], None),
    ([b"begin-base64 644 a.bin", base64.b64encode(UU_DATA), b"===="], None),
]


def test_uuencoded_files_in_every_form() -> None:
    """Fill and check characters, blanks or backticks as zeros, lines cut or too long, no end line, any line ends."""
    for lines, defect in UUENCODED:
        for end in (b"\n", b"\r\n", b"\r\r\n"):
            assert decode_transfer(end.join(lines), "x-uuencode") == (UU_DATA, defect), (lines, end)


def test_each_uuencoded_file_of_a_part_is_an_attachment() -> None:
    """Several files in one part are one attachment each, and the text around them is text."""
    head = b"Content-Type: %s\nContent-Transfer-Encoding: x-uuencode\n\n"
    file = b"\n".join([UU_HEAD, *UU_ROWS, *UU_TAIL])
    other = b"begin 600 b.bin\n#86)C\n`\nend\n"
    one = ("a.bin", UU_DATA)
    for kind, body, files, text in (
        (b"application/zip", file, [one], None),
        (b"application/zip; name=x", file, [("x", UU_DATA)], None),
        (b"application/zip", file + other, [one, ("b.bin", b"abc")], None),
        (b"text/plain", file + b"\n" + other, [one, ("b.bin", b"abc")], None),
        (b"text/plain", b"Hello\n" + file + other + b"Bye\n", [one, ("b.bin", b"abc")], "Hello\n\nBye"),
        (b"text/plain", other, [], "abc"),
    ):
        content = Content.from_bytes(head % kind + body)
        assert [(each.filename, each.payload) for each in content.attachments] == files, body
        assert content.text == text, body
        several = "several files, or text as well, in a uuencoded part"
        assert content.defects == ((several,) if body not in (file, other) else ()), body


LABELLED = [
    ("utf-8", b"Caf\xc3\xa9", "Café"),
    ("UTF8", b"\xef\xbb\xbfCaf\xc3\xa9", "Café"),
    ("iso-8859-1", b"\x93Caf\xe9\x94", "“Café”"),
    ("ISO_8859-1:1987", b"Caf\xe9", "Café"),
    ("iso-8859-1", b"Caf\xc3\xa9", "Café"),
    ("us-ascii", b"Caf\xc3\xa9", "Café"),
    ("us-ascii", b"Caf\xe9", "Café"),
    ("utf-8", b"Caf\xe9 cr\xe8me", "Café crème"),
    ("no-such-charset", b"Caf\xe9", "Café"),
    ("x-user-defined", b"Caf\xe9", "Café"),
    (None, b"Caf\xc3\xa9", "Café"),
    (None, b"Caf\xe9", "Café"),
    ("gb2312", "中国 €".encode("gb18030"), "中国 €"),
    ("ks_c_5601-1987", "한국 똠".encode("cp949"), "한국 똠"),
    ("shift_jis", "日本①".encode("cp932"), "日本①"),
    ("iso-2022-jp", b"\x1b$BF|K\\-!\x1b(B", "日本①"),
    ("iso-2022-jp", "日本".encode("cp932"), "日本"),
    ("big5", "中國".encode("big5"), "中國"),
    ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
    ("windows-1251", "Привет".encode("cp1251"), "Привет"),
    ("cp-1251", "Привет".encode("cp1251"), "Привет"),
    ("iso-8859-8-i", "שלום".encode("iso8859-8"), "שלום"),
    ("utf-7", b"Caf+AOk-", "Café"),
    ("utf-16", "Café".encode("utf-16"), "Café"),
    ("utf-16le", "Café".encode("utf-16-le"), "Café"),
    ("utf-32", b"plain", "plain"),
]


def test_text_is_decoded_as_meant() -> None:
    """A label means what mailers mean by it; a label that does not fit the bytes is not used."""
    for label, data, text in LABELLED:
        assert charset.decode(data, label)[0] == text, (label, data)


def test_text_without_a_label_uses_the_charsets_of_other_parts() -> None:
    """UTF-8, then the hints, then windows-1252."""
    assert charset.decode("Привет".encode("koi8-r"), None, ["us-ascii", "koi8-r"])[0] == "Привет"
    assert charset.decode("Привет".encode(), None, ["koi8-r"])[0] == "Привет"
    for declared in (
        b"multipart/mixed; boundary=b; charset=koi8-r\n\n",
        b"multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x; charset=koi8-r\n\n\n",
    ):
        raw = b"Content-Type: " + declared + b"--b\n\n" + "Привет".encode("koi8-r") + b"\n--b--\n"
        assert Content.from_bytes(raw).text == "Привет", declared


NO_CHARSETS = [
    "zlib",
    "bz2",
    "hex",
    "base64",
    "rot13",
    "idna",
    "punycode",
    "unicode_escape",
    "raw_unicode_escape",
    "undefined",
    "mbcs",
    "oem",
    "uu",
    "quopri",
    "palmos",
    "../x",
]


@pytest.mark.threat(111)
def test_only_charsets_are_looked_up() -> None:
    """A label never reaches a codec that is not a charset."""
    for label in NO_CHARSETS:
        assert charset.codec_for(label) is None, label


def test_every_codec_of_the_table_exists_and_never_raises() -> None:
    """Each codec decodes all bytes, in one way or another."""
    for codec, labels in charset._CODECS.items():
        assert codec in charset._OWN_CODECS or codecs.lookup(codec), codec
        assert isinstance(charset.decode(bytes(range(256)), labels.split()[0])[0], str), codec


def test_half_a_surrogate_pair_in_utf_7_is_replaced() -> None:
    """Text can always be encoded again, even from the only codec that lets surrogates through."""
    assert charset.decode(b"a+2os-b", "utf-7")[0] == "a\ufffdb"
    assert charset.decode("\U0001f4a2".encode("utf-7"), "utf-7") == ("\U0001f4a2", True)
    charset.decode(b"a+2os-b\xff", None, ["utf-7"])[0].encode()


@pytest.mark.threat(111)
@given(st.binary(max_size=100), st.one_of(st.none(), st.text(max_size=20), st.sampled_from(sorted(charset._BY_LABEL))))
def test_any_bytes_under_any_label_decode(data: bytes, label: str | None) -> None:
    """No bytes under any label raise."""
    assert isinstance(charset.decode(data, label, ["koi8-r"])[0], str)


VIETNAMESE = "ẲẴẪỶỸỴẠẮẰẶẤẦẨẬẼẸẾỀỂỄỆỐỒỔỖỘỢỚỜỞỊỎỌỈỦŨỤỲÕắằặấầẩậẽẹếềểễệốồổỗỠƠộờởịỰỨỪỬơớƯÀÁÂÃẢĂẳẵÈÉÊẺÌÍĨỳĐứÒÓÔạỷừửÙÚỹỵÝỡưàáâãảăữẫèéêẻìíĩỉđựòóôõỏọụùúũủýợỮ"


def test_vietnamese_in_viscii_reads() -> None:
    """Every letter of RFC 1456, including the six that replace control characters, and ASCII."""
    data = bytes([0x02, 0x05, 0x06, 0x14, 0x19, 0x1E, *range(0x80, 0x100)])
    assert charset.decode(data, "VISCII") == (VIETNAMESE, True)
    assert charset.decode(b"ASCII\r\n", "viscii") == ("ASCII\r\n", True)
    assert charset.decode("Việt Nam".encode(), "viscii") == ("Việt Nam", False)


@pytest.mark.parametrize("label", ["ISO-2022-CN", "iso-2022-cn-ext"])
def test_chinese_in_iso_2022_cn_reads(label: str) -> None:
    """GB 2312 is read; each character of CNS 11643 becomes U+FFFD, and that is a defect."""
    assert charset.decode(b"\x1b$)A\x0eDc:C\x0f hi\n\x1b$)A\x0eJ@=g\x0f", label) == ("你好 hi\n世界", True)
    assert charset.decode(b"\x1b$)A\x0e71\x1b$)G|UGs\x0f x\x1b$*H\x1bNaby", label) == ("繁\ufffd\ufffd x\ufffdy", False)
    assert charset.decode(b"\x0eDc\n\x1b$)A\x0eDc", label) == ("\ufffd\n你", False)
    assert charset.decode("你好".encode(), label) == ("你好", False)


def test_chinese_that_is_not_read_is_a_defect() -> None:
    """Text with U+FFFD is never returned silently."""
    head = b"Content-Type: text/plain; charset=iso-2022-cn\r\n\r\n"
    assert Content.from_bytes(head + b"\x1b$)A\x0eDc\x0f").defects == ()
    assert Content.from_bytes(head + b"\x1b$)G\x0eDc\x0f").defects == (
        "text read in spite of its charset, 'iso-2022-cn'",
    )
