"""The recipes of docs/reading.md work, and survive damage."""

import base64
import re
from collections.abc import Iterator
from struct import pack
from typing import Any

import pytest

from pymailbox.content import Content
from tests import ROOT, SHARED

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "reading.md").read_text("utf-8"), re.DOTALL)


def recipe(name: str) -> Any:
    """Return a function from the page."""
    (block,) = [block for block in BLOCKS if f"def {name}(" in block]
    names: dict[str, Any] = {}
    exec(block, names)
    return names[name]


def attached(content_type: bytes, payload: bytes) -> Content:
    """Return a message with one attachment, in base64 so that its bytes are kept."""
    return Content.from_bytes(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee below.\r\n--b\r\nContent-Type: %s\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n" % (content_type, base64.encodebytes(payload))
    )


BOUNCE = (
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"
    b"Final-Recipient: rfc822; ann@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1\r\n no such user\r\n \r\n"
    b"final-recipient: RFC822;bob@example.com\r\nACTION: delayed\r\n\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Lunch\r\n\r\nNoon?\r\n--b--\r\n"
)


def test_the_recipients_of_a_bounce(capsys: pytest.CaptureFixture[str]) -> None:
    """Each recipient has its fields, named as in RFC 3464; the message that bounced is an attachment."""
    content = Content.from_bytes(BOUNCE)
    recipe("report")(content)
    assert capsys.readouterr().out.splitlines() == [
        "ann@example.com failed 5.1.1 smtp; 550 5.1.1 no such user",
        "bob@example.com delayed  ",
    ]
    assert [part.content.subject for part in content.attachments if part.content] == ["Lunch"]
    assert list(recipe("recipients")(Content.from_bytes(b"Subject: no bounce\r\n\r\nHi"))) == []


@pytest.mark.skipif(not (SHARED / "corpus").is_dir(), reason="no corpus")
@pytest.mark.parametrize("name", ["enmime__simple_dsn.raw.eml", "enmime__delayed_dsn.raw.eml"])
def test_the_recipients_of_real_bounces(name: str) -> None:
    """The recipients in test messages of other projects have an action and a status, too."""
    found = list(recipe("recipients")(Content.from_bytes((SHARED / "corpus" / name).read_bytes())))
    assert found
    assert all(fields["Action"].lower() in ("failed", "delayed") and fields["Status"] for fields in found)


def test_the_message_inside_a_signature() -> None:
    """The inner message reads like any other; an attachment that is not a signature has none."""
    cms = pytest.importorskip("asn1crypto.cms", reason="asn1crypto is not installed; pip install 'pymailbox[test]'")
    inner = b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nSigned.\r\n--c\r\nContent-Type: image/png\r\n\r\nPNG\r\n--c--\r\n"
    signed = {
        "version": "v1",
        "digest_algorithms": [],
        "encap_content_info": {"content_type": "data", "content": inner},
        "signer_infos": [],
    }
    data = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)}).dump()
    for content_type in (
        b"application/pkcs7-mime; smime-type=signed-data; name=smime.p7m",
        b"application/x-pkcs7-mime",
    ):
        content = recipe("inside")(attached(content_type, data))
        assert content.body == "Signed."
        assert [part.content_type for part in content.attachments] == ["image/png"]
    other = cms.ContentInfo({"content_type": "data", "content": b"x"}).dump()
    assert recipe("inside")(attached(b"application/pkcs7-mime", other)) is None
    assert recipe("inside")(attached(b"image/png", b"x")) is None


def tnef(*attributes: tuple[int, int, bytes]) -> bytes:
    """Return a winmail.dat with attributes, each a level, a tag and a value, with their checksums."""
    pieces = [b"\x78\x9f\x3e\x22\x01\x00"]
    for level, tag, value in attributes:
        pieces.append(pack("<BII", level, tag, len(value)) + value + pack("<H", sum(value) & 0xFFFF))
    return b"".join(pieces)


def properties(tag: bytes, value: bytes) -> bytes:
    """Return the properties of an attachment: a number, and its long name."""
    padding = b"\0" * (-len(value) % 4)
    return (
        pack("<I", 2)
        + b"\x03\x00\x05\x37"
        + pack("<I", 1)
        + tag
        + b"\x07\x37"
        + pack("<II", 1, len(value))
        + value
        + padding
    )


def containers() -> Iterator[tuple[bytes, list[tuple[str, bytes]]]]:
    """Yield winmail.dat files, each with the files in it."""
    first = (2, 0x69002, b"\x01\x00" + b"\xff" * 12)
    title, data = (2, 0x18010, b"REPORT~1.PDF\0"), (2, 0x6800F, b"%PDF")
    wide = properties(b"\x1f\x00", "Übersicht.pdf\0".encode("utf-16-le"))
    narrow = properties(b"\x1e\x00", b"\xdcbersicht.pdf\0")
    version = (1, 0x89006, b"\x00\x00\x01\x00")
    yield tnef(version), []
    yield tnef(version, first, title, data), [("REPORT~1.PDF", b"%PDF")]
    yield tnef(version, first, data, title, (2, 0x69005, wide)), [("Übersicht.pdf", b"%PDF")]
    data_of = properties(b"\x02\x01", b"new").replace(b"\x07\x37", b"\x01\x37")
    object_of = properties(b"\x0d\x00", b"G" * 16 + b"object").replace(b"\x07\x37", b"\x01\x37")
    yield tnef(first, title, data, (2, 0x69005, data_of)), [("REPORT~1.PDF", b"new")]
    yield tnef(first, title, (2, 0x69005, object_of), data), [("REPORT~1.PDF", b"object")]
    yield tnef(first, (2, 0x69005, narrow), title, data, first, data), [("Übersicht.pdf", b"%PDF"), ("", b"%PDF")]


def test_the_files_in_a_winmail_dat() -> None:
    """Each file has its bytes and its long name, or its short one; cut-off files do not raise."""
    read = recipe("outlook_files")
    for container, files in containers():
        found = read(attached(b"application/ms-tnef; name=winmail.dat", container))
        assert [(file.filename, file.payload) for file in found] == files
        for end in range(len(container)):
            read(attached(b"application/ms-tnef", container[:end]))
    assert read(attached(b"application/ms-tnef", b"not a container")) == []
