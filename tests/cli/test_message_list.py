"""The list of messages fits any terminal, and its JSON has the documented fields whatever a message contains."""

import json

import pytest

from pymailbox import Mailbox
from pymailbox.cli import main
from pymailbox.display import cells
from pymailbox.testing import Fault, Server
from pymailbox.testing.samples import SAMPLES
from tests import case

Captured = pytest.CaptureFixture[str]
FIELDS = ["number", "uid", "size", "date", "from", "to", "subject", "message_id"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_uids_are_never_cut(columns: int, sample: Server, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row has the whole uid, the number and a part of the subject, and fits the terminal."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with Mailbox.from_url(sample.url, "secret") as inbox:
        uids = inbox.uids
    assert main(["ls", sample.url, "--uids"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(cells(line) <= columns for line in lines)
    for line, uid in zip(lines[1:], uids, strict=False):
        assert line.split()[1] == uid
    assert "Lunch on Th" in lines[1]
    assert ("2026-06-01" in lines[1]) == (columns > 60)
    assert ("Ada" in lines[1]) == (columns > 80)


def test_long_uids_leave_nothing_but_themselves(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a narrow terminal, the line is longer rather than the uid cut."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    monkeypatch.setenv("COLUMNS", "40")
    uid = "x" * 70
    replies = f"+OK\r\n1 {uid}\r\n.\r\n".encode()
    with Server(SAMPLES[:1], faults=[Fault.replace("UIDL", nth=None, reply=replies)]) as server:
        assert main(["ls", server.url, "--uids"]) == 0
    assert uid in capsys.readouterr().out.splitlines()[1]


def test_json_has_one_object_a_line_with_the_documented_fields(sample: Server, capsys: Captured) -> None:
    """It is ASCII; dates have an offset, sizes are bytes, what is missing is null."""
    assert main(["ls", sample.url, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    values = [json.loads(line) for line in out.splitlines()]
    assert [value["number"] for value in values] == list(range(1, 11))
    assert all(list(value) == FIELDS for value in values)
    assert values[3]["from"] == {"name": "Jürgen Schäfer", "email": "juergen@example.de"}
    assert values[3]["date"] == "2026-06-04T10:30:00+02:00"
    assert values[3]["size"] == len(SAMPLES[3])
    assert values[9]["from"] is values[9]["date"] is values[9]["message_id"] is None
    assert len({value["uid"] for value in values}) == 10


def test_json_does_not_need_uids_and_names_refusals(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without UIDL the uid is null; a message that is refused has `error` instead of its headers."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    faults = [Fault.refuse("TOP", nth=2, text="gone"), Fault.refuse("RETR", nth=None, text="gone")]
    with Server(SAMPLES[:3], uidl=False, faults=faults) as server:
        assert main(["ls", server.url, "--json"]) == 0
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [value["uid"] for value in values] == [None] * 3
    assert list(values[1]) == ["number", "uid", "size", "error"]
    assert values[1]["error"] == "gone"


@pytest.mark.threat(113)
def test_json_escapes_every_control_character(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also DEL, C1 and bidirectional ones, in headers, bodies, file names and uids."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    evil = "".join(map(chr, (*range(1, 10), 11, 12, *range(14, 32), 0x7F, 0x85, 0x9B, 0x202E, 0x2066)))
    encoded = "=?utf-8?q?" + "".join(f"={byte:02X}" for byte in evil.encode()) + "?="
    mail = (
        f"From: {encoded} <a@example.org>\r\nSubject: {encoded}\r\nX-A: {evil}\r\nContent-Type: multipart/mixed;"
        f" boundary=b\r\n\r\n--b\r\n\r\n{evil}\r\n--b\r\nContent-Type: a/b; name*=utf-8''%7F%1b{evil}\r\n\r\nx\r\n--b--\r\n"
    ).encode()
    with Server([mail]) as server:
        for command in (["ls"], ["show"], ["show", "--headers"], ["doctor"]):
            with case(*command):
                assert main([*command, server.url, *(["1"] if "show" in command else []), "--json"]) == 0
                out = capsys.readouterr().out
                assert all(" " <= character <= "~" for character in out[:-1])
                assert out.count("\n") == 1
                json.loads(out)
