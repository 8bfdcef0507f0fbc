"""A whole message: every name reads, contents compare and pickle, and no more is imported than needed."""

import email.message
import pickle
import subprocess
import sys

import pytest

from pymailbox.content import Address, Attachment, Content, Headers

MAIL = (
    b"From: Ann <ann@example.com>\r\nTo: bob@example.com\r\nCc: c@d\r\nBcc: e@f\r\nReply-To: g@h\r\nSubject: Hi\x1b[2J\r\n"
    b"Date: Mon, 2 Jun 2025 10:00:00 +0200\r\nMessage-ID: <1@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\n\r\nHello\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Hello\r\n"
    b"--b\r\nContent-Type: image/png; name=a.png\r\n\r\nPNG\r\n--b--\r\n"
)


def test_every_name_reads() -> None:
    """Content has all reading names of Message, offline."""
    content = Content.from_bytes(MAIL)
    assert content.raw == MAIL
    assert content.subject == "Hi [2J"
    assert content.from_ == Address("Ann", "ann@example.com")
    assert [a.email for a in (*content.to, *content.cc, *content.bcc, *content.reply_to)] == [
        "bob@example.com",
        "c@d",
        "e@f",
        "g@h",
    ]
    assert content.date is not None
    assert content.date.isoformat() == "2025-06-02T10:00:00+02:00"
    assert content.date_str == "Mon, 2 Jun 2025 10:00:00 +0200"
    assert content.message_id == "<1@x>"
    assert content.text == "Hello"
    assert content.html == "<p>Hello"
    assert content.body == "Hello\n\nHello"
    assert content.attachments == (Attachment("a.png", "image/png", b"PNG"),)
    assert content.headers == Headers.from_bytes(MAIL)
    assert isinstance(content.email, email.message.EmailMessage)
    assert content.defects == ()


def test_absent_text_is_none() -> None:
    """`text` and `html` are None if the message has none; `body` is always a str."""
    content = Content.from_bytes(b"Content-Type: image/png\r\n\r\nPNG")
    assert content.text is None
    assert content.html is None
    assert content.body == ""


@pytest.mark.parametrize("kind", [Content, Headers])
def test_only_bytes_are_read(kind: type[Content] | type[Headers]) -> None:
    """What is like bytes reads as they do; anything else is a TypeError that says what to do."""
    assert kind.from_bytes(bytearray(b"Subject: x\n\n")).subject == "x"
    assert kind.from_bytes(memoryview(b"Subject: x\n\n")).subject == "x"  # type: ignore[arg-type]
    for value in ("Subject: x", None, 5, [1]):
        with pytest.raises(TypeError, match="takes the bytes of a message"):
            kind.from_bytes(value)  # type: ignore[arg-type]


def test_contents_compare_and_pickle_by_their_bytes() -> None:
    """Contents with the same bytes are equal; a pickle contains the bytes and nothing else."""
    content = Content.from_bytes(MAIL)
    assert content.attachments
    assert content == Content.from_bytes(MAIL)
    assert content != Content.from_bytes(b"")
    assert content != MAIL
    assert hash(content) == hash(Content.from_bytes(MAIL))
    copy = pickle.loads(pickle.dumps(content))
    assert copy == content
    assert copy.text == "Hello"
    assert len(pickle.dumps(content)) < len(MAIL) + 200


@pytest.mark.threat(113)
def test_repr_is_short_and_safe_to_show() -> None:
    """No control character of a message reaches a log or a terminal through `repr`."""
    shown = repr(Content.from_bytes(b"Subject: " + b"\x1b]52;c;x\x07\xe2\x80\xae" + b"a" * 500 + b"\r\n\r\n"))
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) < 200


def test_reading_changes_nothing() -> None:
    """`raw` stays the same, and a second reading gives the same values."""
    content = Content.from_bytes(bytearray(MAIL))
    first = (content.subject, content.text, content.attachments, content.defects)
    assert first == (content.subject, content.text, content.attachments, content.defects)
    assert content.raw == MAIL


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (
            "from pymailbox.content import Content, Headers, Address, Attachment",
            {"email", "html", "ssl", "pathlib", "datetime"},
        ),
        (
            "from pymailbox.content import Headers; h = Headers.from_bytes(b'Subject: a\\nFrom: b@c\\nDate: 1 Jan 2025 1:00\\n'); h.subject, h.from_, h.date",
            {"email", "html", "ssl", "pathlib"},
        ),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str, unwanted: set[str]) -> None:
    """A list of subjects loads neither `email` nor `html` nor `ssl`."""
    script = f"import sys; before = set(sys.modules); {code}; print(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; import attrs; {script}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert not unwanted & set(done.stdout.split())
