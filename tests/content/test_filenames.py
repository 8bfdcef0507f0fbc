"""File names for messages and attachments are one plain name on every system, and never change."""

import unicodedata
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pymailbox import Headers
from pymailbox.content.filenames import message_name, safe_name

DAY = datetime(2026, 6, 3, 23, 30, tzinfo=UTC)
HOSTILE = [
    "../../etc/passwd", "..\\..\\x", "C:\\x", "a\0b", "\u202egnp.exe", "x" * 10_000, "ж" * 5_000, "🎉" * 3_000, "CON", "nul.txt",
    "   ", "...", "-rf", "~root", ".hidden", "\ud800", "e\u0301", "a\u200bb", "\U000e0041", "a\r\nb", "name. ", "%2e%2e%2f", "",
]  # fmt: skip


def check(name: str) -> None:
    """Assert that a name is not a path, hidden, reserved or too long, is normalised, and has no special characters."""
    assert name
    assert Path(name).name == name
    assert PureWindowsPath(name).name == name
    assert PureWindowsPath(name).stem.partition(".")[0].strip().lower() not in {"con", "nul", "aux", "prn", "com1"}
    assert len(name.encode()) <= 200
    assert name == unicodedata.normalize("NFC", name)
    assert not name.startswith((".", "-", "~", " "))
    assert not name.endswith((".", " "))
    assert not set(name) & set('<>:"/\\|?*')
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)
    assert not set(name) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.threat(112)
def test_hostile_subjects_make_plain_names() -> None:
    """With any subject: first the date, last the hash and .eml, and at most 150 bytes."""
    for subject in HOSTILE:
        name = message_name(DAY, subject, b"uid:1")
        check(name)
        assert name.startswith("2026-06-03 ")
        assert name.endswith(message_name(None, "", b"uid:1").removeprefix("undated"))
        assert len(name.encode()) <= 150
        check(safe_name(subject))


@pytest.mark.threat(112)
@given(st.one_of(st.text(max_size=300), st.sampled_from(HOSTILE)), st.binary(max_size=20))
@example("e\u200b\u0301", b"")
def test_any_subject_makes_a_plain_name(subject: str, identity: bytes) -> None:
    """No subject makes a path or a hidden file, and the same subject makes the same name."""
    name = message_name(DAY, subject, identity)
    check(name)
    assert name == message_name(DAY, subject, identity)
    check(safe_name(subject))


def test_a_name_contains_date_and_subject() -> None:
    """The day is that of the sender; years with three digits sort, too."""
    assert message_name(DAY, "Re: Lunch", b"uid:1") == "2026-06-03 Re Lunch 8c7de7ba71fa.eml"
    assert message_name(datetime(800, 1, 2, tzinfo=UTC), "", b"uid:1") == "0800-01-02 8c7de7ba71fa.eml"
    assert message_name(None, "x", b"uid:1") == "undated x 8c7de7ba71fa.eml"
    assert message_name(DAY, "x", b"uid:1") != message_name(DAY, "x", b"uid:2")


def test_what_servers_change_does_not_change_the_identity() -> None:
    """Status fields, folds and line ends do not count; every other field does."""
    mail = b"From: a@example.com\r\nSubject: one\r\n two\r\nMessage-ID: <1@x>\r\n\r\n"
    identity = Headers.from_bytes(mail).lasting_fields()
    same = [
        mail.replace(b"\r\n", b"\n"),
        b"Status: RO\r\n" + mail,
        b"X-UIDL: 77\r\nx-status: A\r\nContent-Length: 5\r\n" + mail,
        mail.replace(b"one\r\n two", b"one two"),
        mail.replace(b"FROM", b"From"),
    ]
    for other in same:
        assert Headers.from_bytes(other).lasting_fields() == identity
    for other in (mail.replace(b"<1@x>", b"<2@x>"), b"Received: x\r\n" + mail, b""):
        assert Headers.from_bytes(other).lasting_fields() != identity
