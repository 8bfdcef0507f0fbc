"""The MIME structure: which parts a message has, even if it is broken, and which bounds hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content import Content

HEAD = b'Subject: x\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'


def test_parts_in_order_without_preamble_and_epilogue() -> None:
    """Text before the first delimiter and after the last is dropped; the line end before a delimiter belongs to it."""
    content = Content.from_bytes(HEAD + b"pre\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n\r\n--b--\r\npost\r\n")
    assert content.text == "one\n\ntwo"
    assert content.defects == ()
    single = Content.from_bytes(HEAD + b"--b\r\n\r\none\r\n\r\n--b--\r\n")
    assert single.text == "one\n"


def test_nested_multiparts_end_with_the_one_around_them() -> None:
    """A delimiter of an outer multipart ends an inner one that lacks its end."""
    content = Content.from_bytes(
        HEAD
        + b"--b\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n--inner\r\n\r\none\r\n"
        + b"--b\r\n\r\ntwo\r\n--b--\r\n"
    )
    assert content.text == "one\n\ntwo"
    assert "multipart without its end" in content.defects


@pytest.mark.parametrize("line", [b"--b \r\n", b"--b\t\r\n", b"--b\n"])
def test_blanks_after_a_delimiter(line: bytes) -> None:
    """Blanks that were added after a delimiter in transport do not hide it (RFC 2046 §5.1.1)."""
    assert Content.from_bytes(HEAD + line + b"\r\none\r\n" + b"--b--\r\n").text == "one"


@pytest.mark.parametrize("line", [b"--bb\r\n", b"--b-\r\n", b" --b\r\n", b"-- b\r\n", b"x--b\r\n", b"--B\r\n"])
def test_lines_that_are_not_delimiters(line: bytes) -> None:
    """Only the whole boundary at the start of a line is a delimiter; case counts."""
    text = Content.from_bytes(HEAD + b"--b\r\n\r\none\r\n" + line + b"two\r\n--b--\r\n").text
    assert text == "one\n" + line.decode().replace("\r\n", "\n") + "two"


def test_a_message_cut_off_anywhere_is_read_up_to_there() -> None:
    """TOP n returns the start of a message; no cut raises, and the text has what arrived."""
    mail = (
        HEAD
        + b"--b\r\nContent-Type: text/plain\r\n\r\nfirst line\r\nsecond line\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x\r\n--b--\r\n"
    )
    for end in range(len(mail)):
        content = Content.from_bytes(mail[:end])
        assert isinstance(content.body, str)
        assert end < len(HEAD) or "".join((content.text or "").split()).rstrip("-b") in "firstlinesecondline"
    assert Content.from_bytes(mail[: mail.index(b"second")]).body == "first line"


def test_a_header_cut_off_by_the_next_delimiter() -> None:
    """A part without an empty line has a header and no body."""
    content = Content.from_bytes(HEAD + b"--b\r\nContent-Type: image/png\r\n--b\r\n\r\none\r\n--b--\r\n")
    assert content.text == "one"
    assert [attachment.size for attachment in content.attachments] == [0]


def test_a_multipart_without_parts_is_read_as_text() -> None:
    """If no delimiter is found, there are no parts and no attachments; `body` shows the text."""
    content = Content.from_bytes(HEAD + b"--c\r\n\r\nhello\r\n--c--\r\n")
    assert content.text is None
    assert content.attachments == ()
    assert "hello" in content.body
    assert "multipart without parts" in content.defects


def test_a_digest_contains_messages() -> None:
    """Parts of multipart/digest are messages unless they declare another type (RFC 2046 §5.1.5)."""
    head = b"Content-Type: multipart/digest; boundary=b\r\n\r\n"
    content = Content.from_bytes(head + b"--b\r\n\r\nSubject: a\r\n\r\nbody\r\n--b--\r\n")
    assert content.text is None
    assert [(a.content_type, a.payload) for a in content.attachments] == [("message/rfc822", b"Subject: a\r\n\r\nbody")]


def test_an_attached_message_is_one_attachment() -> None:
    """Text inside message/rfc822 belongs to the attached message."""
    inner = b'Subject: in\r\nContent-Type: multipart/mixed; boundary="c"\r\n\r\n--c\r\n\r\ninside\r\n--c--\r\n'
    content = Content.from_bytes(
        HEAD + b"--b\r\n\r\noutside\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--b--\r\n"
    )
    assert content.text == "outside"
    (attached,) = content.attachments
    assert attached.content_type == "message/rfc822"
    assert Content.from_bytes(attached.payload).text == "inside"


@pytest.mark.parametrize("value", [b"text", b"", b"; charset=utf-8", b"charset=utf-8", b"text/html=; x=y"])
def test_an_invalid_type_is_an_attachment(value: bytes) -> None:
    """`Content-Type: text` is an attachment of unknown type, which `body` shows if there is nothing else."""
    content = Content.from_bytes(b"Content-Type: " + value + b"\r\n\r\nhello\r\n")
    assert [attachment.payload for attachment in content.attachments] == [b"hello\r\n"]
    assert content.body == "hello"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Content-Type: text/plain (of the plainest kind)\r\n",
        b'Content-Type: "text/plain"\r\n',
        b"Content-Type: image/png\r\nContent-Type: text/plain\r\n",
    ],
)
def test_types_missing_or_repaired(header: bytes) -> None:
    """No type means text/plain; of two Content-Type fields the last one counts."""
    assert Content.from_bytes(b"Subject: x\r\n" + header + b"\r\nhello").text == "hello"


@pytest.mark.parametrize("value", [b"multipart/mixed?=", b"multipart/mixed>", b"multipart/", b"Multipart / Mixed"])
def test_a_multipart_with_a_damaged_type_still_has_parts(value: bytes) -> None:
    """The parts are found whatever follows `multipart/`."""
    content = Content.from_bytes(b"Content-Type: " + value + b"; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n")
    assert content.text == "hello"


def test_a_header_of_one_field_with_an_8_bit_name() -> None:
    """A first line with a colon is a field, so the message has a header, though the field cannot be looked up."""
    content = Content.from_bytes("Betréff: Lunch\r\n\r\nAt noon?\r\n".encode())
    assert content.text == "At noon?\n"
    assert len(content.headers) == 0


def test_a_message_without_a_header_is_a_body() -> None:
    """If no line is a field, no text is lost to a header that does not exist."""
    assert Content.from_bytes(b"Hello there\r\n\r\nbye\r\n").text == "Hello there\n\nbye\n"


def test_cr_alone_ends_lines() -> None:
    """A message with the line ends of old Macintoshes has parts, too."""
    mail = (HEAD + b"--b\r\n\r\none\r\n--b--\r\n").replace(b"\r\n", b"\r")
    assert Content.from_bytes(mail).text == "one"
    assert Content.from_bytes(mail).raw == mail


@given(
    st.lists(
        st.sampled_from(
            [
                b"--b",
                b"--c",
                b"--",
                b"\r\n",
                b"\n",
                b"Content-Type: ",
                b"multipart/mixed; boundary=c",
                b"multipart/mixed; boundary=b",
                b"text/html",
                b"x",
                b" ",
                b":",
            ]
        ),
        max_size=40,
    )
)
def test_structures_built_of_their_own_marks_read(parts: list[bytes]) -> None:
    """Marks of the MIME structure in any order are read."""
    content = Content.from_bytes(HEAD + b"".join(parts))
    assert isinstance(content.body, str)
    assert content.text is None or isinstance(content.text, str)
    assert isinstance(content.attachments, tuple)
    assert isinstance(content.defects, tuple)
