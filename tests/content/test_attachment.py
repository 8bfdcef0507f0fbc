"""Attachments are read as their parts declare, and saving one is safe."""

import os
import stat
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content import Attachment, Content
from pymailbox.content.filenames import safe_name

PART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%s\r\n\r\nYWJj\r\n--b--\r\n"


def attached(header: bytes) -> Attachment:
    """Return the attachment of a message with this header in its part."""
    (attachment,) = Content.from_bytes(PART % header).attachments
    return attachment


def test_an_attachment_is_read_from_its_part() -> None:
    """Name, type, payload, id and disposition come from the header and the body of the part."""
    attachment = attached(
        b"Content-Type: Image/PNG; name=old.png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <1@x>\r\n"
        b"Content-Disposition: inline; filename*=utf-8''Caf%C3%A9.png"
    )
    assert attachment == Attachment("Café.png", "image/png", b"abc", "1@x", inline=True)
    assert attachment.size == 3
    assert "abc" not in repr(attachment)


@pytest.mark.parametrize(
    ("header", "filename"),
    [
        (b"Content-Type: text/calendar; name=a.txt", "a.txt"),
        (b"Content-Disposition: attachment", ""),
        (b"Content-Disposition: attachment; filename=my summer.txt", "my summer.txt"),
        (b'Content-Disposition: attachment; filename="=?utf-8?b?Q2Fmw6kudHh0?="', "Café.txt"),
        (b'Content-Disposition: attachment; filename="a\xe2\x80\xaetxt.exe"', "atxt.exe"),
        (b'Content-Disposition: attachment; filename="a\x1b[31m.txt"', "a [31m.txt"),
        (b"Content-Type: text/calendar", ""),
    ],
)
def test_names_are_safe_to_show(header: bytes, filename: str) -> None:
    """Names are decoded, without control or bidirectional characters."""
    assert attached(header).filename == filename


@pytest.mark.parametrize(
    "header",
    [
        b'Content-Type: text/plain; name=a.txt\r\nContent-Disposition: inline; filename=""',
        b"Content-Type: text/plain\r\nContent-Disposition: inline; name=a.txt",
        b"Content-Type: text/plain; filename=a.txt",
    ],
)
def test_only_a_name_in_the_right_field_makes_text_an_attachment(header: bytes) -> None:
    """`filename` in Content-Disposition or `name` in Content-Type; an empty name, or one elsewhere, does not."""
    assert Content.from_bytes(PART % header).text == "YWJj"
    assert Content.from_bytes(PART % header).attachments == ()


@pytest.mark.parametrize(
    "header",
    [
        b'Content-Type: text/plain; name=a.bin\r\nContent-Disposition: attachment; filename=""',
        b"Content-Disposition: attachment; name=a.bin",
        b"Content-Type: image/png; filename=a.bin",
    ],
)
def test_the_name_of_an_attachment_may_be_in_the_wrong_field(header: bytes) -> None:
    """If a part is an attachment anyway, a name in the wrong field is better than none."""
    assert attached(header).filename == "a.bin"


NAMES = [
    "../../etc/passwd", "/etc/passwd", "..", ".", "", "...", "C:\\Windows\\win.ini", "\\\\host\\share\\x", "C:x", "a/b\\c",
    "CON", "con.txt", "NUL.tar.gz", "COM1", "lpt9.doc", "CON .txt", "CONIN$", ".bashrc", "-rf", "--help", "~", "~root",
    "a\x00b.txt", "a\nb", "a\x1b[31mb", "\u202egnp.exe", "x" * 400 + ".pdf", "ж" * 300 + ".txt", "a." + "y" * 300,
    "name.", "name ", "a:stream", 'a"b<c>d|e?f*g', "\ud800", "\ufeff", "e\u0301.txt", "   ", "____", "a\u200b.txt", "%2e%2e%2fx",
]  # fmt: skip


@pytest.mark.threat(101)
@pytest.mark.threat(112)
def test_names_do_no_harm(tmp_path: Path) -> None:
    """No name leaves the directory, is hidden, reserved, too long, or an option; each is one plain file."""
    for number, name in enumerate(NAMES):
        outside = tmp_path / str(number)
        inside = outside / "in"
        inside.mkdir(parents=True)
        path = Attachment(name, "application/pdf", b"x").save(inside)
        assert path.parent == inside, name
        assert path.read_bytes() == b"x", name
        assert list(outside.iterdir()) == [inside], name
        assert list(inside.iterdir()) == [path], name
        assert len(os.fsencode(path.name)) <= 200, name
        assert not path.name.startswith((".", "-", "~")), name
        assert not path.name.endswith((".", " ")), name
        assert path.stem.split(".")[0].strip().lower() not in {"con", "nul", "com1", "lpt9", "conin$"}, name
        assert not set(path.name) & set('/\\:<>"|?*\0'), name
        assert path.name == unicodedata.normalize("NFC", path.name), name
        if sys.platform != "win32":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, name
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(len(NAMES))))


@pytest.mark.threat(93)
@pytest.mark.threat(112)
def test_nothing_is_overwritten_or_followed(tmp_path: Path) -> None:
    """If the name is taken, even by a link, a number is added."""
    outside = tmp_path / "outside"
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.txt").symlink_to(outside)
    first = Attachment("a.txt", "text/plain", b"1").save(inside)
    second = Attachment("a.txt", "text/plain", b"2").save(str(inside))
    assert (first.name, second.name) == ("a (2).txt", "a (3).txt")
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    assert not outside.exists()


def test_a_nameless_attachment_is_named_after_its_type(tmp_path: Path) -> None:
    """The extension fits the type."""
    assert Attachment("", "image/png", b"").save(tmp_path).name == "attachment.png"
    assert Attachment("", "x/y", b"").save(tmp_path).name == "attachment.bin"


@pytest.mark.threat(94)
def test_a_failing_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full, the half-written file is removed and the error is raised."""

    class Full:
        def __init__(self, handle: int, mode: str) -> None:
            self.handle = handle

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *exc: object) -> None:
            os.close(self.handle)

        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", Full)
    with pytest.raises(OSError, match="No space"):
        Attachment("a.txt", "text/plain", b"1").save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_directory_of_a_file_must_exist(tmp_path: Path) -> None:
    """The error names the path that the caller passed, not the temporary file."""
    with pytest.raises(FileNotFoundError) as caught:
        Attachment("a.txt", "text/plain", b"1").save(tmp_path / "none" / "a.txt")
    assert caught.value.filename == str(tmp_path / "none" / "a.txt")
    assert Attachment("a.txt", "text/plain", b"1").save(f"{tmp_path}/none/") == tmp_path / "none" / "a.txt"


@pytest.mark.threat(112)
@given(st.text(max_size=300))
def test_any_name_is_one_plain_name(name: str) -> None:
    """No text makes a path, a hidden file or an empty name."""
    made = safe_name(name)
    assert made
    assert len(made.encode()) <= 200
    assert Path(made).name == made
    assert not made.startswith((".", "-", "~", " "))
    assert not made.endswith((".", " "))
    assert safe_name(made) == made
