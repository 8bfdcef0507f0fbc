"""The header of a message: where it ends, what counts as a field, and that nothing in it raises."""

import pickle
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content import Address, Headers

MAIL = (
    b"Received: from a\r\n by b\r\nReceived: from c\r\nFrom: Ann Lee <ann@example.com>\r\nTO: bob@example.com,\r\n"
    b" Cy <cy@example.com>\r\nSubject: =?utf-8?q?Caf=C3=A9?= at\r\n\tnoon\r\nDate: Mon, 2 Jun 2025 10:00:00 +0200\r\n"
    b"Message-ID: <1@example.com>\r\n\r\nSubject: not a header\r\n"
)


def test_a_field_is_found_in_any_case_decoded_and_unfolded() -> None:
    """Names are case-insensitive; values are decoded, folds become one blank."""
    headers = Headers.from_bytes(MAIL)
    assert headers["subject"] == headers["SUBJECT"] == "Café at noon"
    assert "Subject" in headers
    assert "Cc" not in headers
    with pytest.raises(KeyError):
        headers["Cc"]
    assert headers.get("Cc") is None
    assert headers.get("Cc", "") == ""


def test_names_are_as_written_in_order_and_repeated() -> None:
    """Iteration and `len` count fields, not different names."""
    headers = Headers.from_bytes(MAIL)
    assert list(headers) == ["Received", "Received", "From", "TO", "Subject", "Date", "Message-ID"]
    assert len(headers) == 7
    assert headers.items()[0] == ("Received", "from a by b")
    assert headers.get_all("received") == ("from a by b", "from c")


def test_raw_is_as_received() -> None:
    """`raw` keeps folds, without the name and the final line end."""
    headers = Headers.from_bytes(MAIL)
    assert headers.raw("Received") == (b"from a\r\n by b", b"from c")
    assert headers.raw("subject") == (b"=?utf-8?q?Caf=C3=A9?= at\r\n\tnoon",)
    assert headers.raw("nothing") == ()


def test_the_reading_names() -> None:
    """Subject, addresses, date and message id are read from a header alone."""
    headers = Headers.from_bytes(MAIL.partition(b"\r\n\r\n")[0])
    assert headers.subject == "Café at noon"
    assert headers.from_ == Address("Ann Lee", "ann@example.com")
    assert headers.to == (Address("", "bob@example.com"), Address("Cy", "cy@example.com"))
    assert headers.cc == headers.bcc == headers.reply_to == ()
    assert headers.date == datetime(2025, 6, 2, 8, 0, tzinfo=UTC)
    assert headers.date_str == "Mon, 2 Jun 2025 10:00:00 +0200"
    assert headers.message_id == "<1@example.com>"


def test_absent_fields_read_as_empty() -> None:
    """A message without a header has an empty subject and no addresses, date or id."""
    for headers in (Headers.from_bytes(b""), Headers.from_bytes(b"\r\n\r\nbody")):
        assert (headers.subject, headers.from_, headers.to, headers.date, headers.date_str) == ("", None, (), None, "")
        assert headers.message_id is None
        assert len(headers) == 0
        assert not headers


@pytest.mark.parametrize(
    "junk",
    [
        b"\xef\xbb\xbf",
        b"From ann Mon Jun  2 10:00:00 2025\r\n",
        b">From ann\n",
        b"\r\n\r\n",
        b"+OK 123 octets\r\n",
        b"no field\r\n",
        b"  ",
        b"\t",
    ],
)
def test_junk_before_the_header_is_skipped(junk: bytes) -> None:
    """A byte order mark, an mbox line, empty lines, a status line (Q6), lines without a colon, blanks hide nothing."""
    headers = Headers.from_bytes(junk + b"Subject: here\r\nTo: a@b\r\n\r\nbody")
    assert headers.subject == "here"
    assert list(headers) == ["Subject", "To"]


def test_junk_lines_do_not_end_the_header() -> None:
    """Lines without a colon and 8-bit names are skipped; the fields after them are read (Q61)."""
    headers = Headers.from_bytes(b"Subject: a\r\nthis is no field\r\n\xff\xfe\r\nTo: b@c\r\nX Y: z\r\nCc : d@e\r\n\r\n")
    assert headers.to == (Address("", "b@c"),)
    assert headers.cc == (Address("", "d@e"),)
    assert list(headers) == ["Subject", "To", "Cc"]


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b"\r"])
def test_line_ends_of_every_kind(ending: bytes) -> None:
    """CRLF, LF and CR alone end lines."""
    headers = Headers.from_bytes(ending.join([b"Subject: a", b" b", b"To: c@d", b"", b"Cc: e@f"]))
    assert headers.subject == "a b"
    assert headers.to == (Address("", "c@d"),)
    assert headers.cc == ()


def test_a_line_of_blanks_ends_the_header_unless_fields_follow() -> None:
    """Some mailers write blanks into the empty line; folded blank lines stay folds."""
    assert list(Headers.from_bytes(b"A: b\n \n--x\nC: d\n\n")) == ["A"]
    assert list(Headers.from_bytes(b"A: b\n \nC: d\n\n")) == ["A", "C"]


def test_unlabelled_bytes_use_the_charset_of_content_type() -> None:
    """UTF-8 is tried first, then the charset of Content-Type, then windows-1252."""
    assert Headers.from_bytes("Subject: Café\n\n".encode()).subject == "Café"
    koi8 = "Subject: Привет\nContent-Type: text/plain; charset=koi8-r\n\n".encode("koi8-r")
    assert Headers.from_bytes(koi8).subject == "Привет"
    assert Headers.from_bytes(b"Subject: Caf\xe9\n\n").subject == "Café"


def test_the_body_is_neither_copied_nor_searched() -> None:
    """Reading the header of a 25 MB message costs kilobytes."""
    mail = MAIL + b"x" * 25_000_000
    tracemalloc.start()
    headers = Headers.from_bytes(mail)
    assert headers.subject
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_headers_compare_and_pickle_and_repr_shows_no_content() -> None:
    """Headers with the same bytes are equal; `repr` is short and contains nothing of the message."""
    headers = Headers.from_bytes(MAIL)
    assert headers == Headers.from_bytes(MAIL)
    assert pickle.loads(pickle.dumps(headers)) == headers
    assert repr(headers) == "<Headers: 7 fields>"


@given(st.binary(max_size=400), st.text(max_size=20))
def test_any_bytes_and_any_name_read(raw: bytes, name: str) -> None:
    """No header and no field name raises anything but KeyError."""
    headers = Headers.from_bytes(raw)
    headers.get(name)
    headers.raw(name)
    headers.addresses(name)
    assert len(headers) == len(list(headers)) == len(headers.items())
    for field in headers:
        assert headers[field] == headers.get_all(field)[0]


@given(
    st.lists(st.sampled_from([b"Subject", b" x", b":", b"\r\n", b"\n", b"\r", b"=?utf-8?q?", b"?=", b"\t", b"From "]))
)
def test_headers_built_of_their_own_marks_read(parts: list[bytes]) -> None:
    """Marks of the header syntax in any order are read."""
    headers = Headers.from_bytes(b"".join(parts))
    assert "\n" not in headers.subject
    assert "\r" not in headers.subject
