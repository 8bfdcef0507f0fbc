"""show, save and attachments give what was asked for, safely, and leave no trace on the server."""

import json
from pathlib import Path

import pytest

from pymailbox import Mailbox
from pymailbox.cli import main
from pymailbox.testing import Fault, Quirk, Server
from pymailbox.testing.samples import SAMPLES
from tests import case
from tests.testing.by_hand import settle

Captured = pytest.CaptureFixture[str]


def test_show_as_json(sample: Server, capsys: Captured) -> None:
    """It has the whole message as a person would read it; with --headers all header fields, without a download."""
    assert main(["show", sample.url, "3", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert list(value) == [
        "number", "uid", "size", "date", "from", "to", "cc", "reply_to", "subject", "message_id", "body", "attachments",
    ]  # fmt: skip
    assert value["body"].startswith("Please find the invoice")
    assert value["attachments"][0] == {"filename": "figures €.csv", "content_type": "text/csv", "size": 36}
    settle(sample)
    before = len([line for line in sample.log if line.startswith("RETR")])
    assert main(["show", sample.url, "-1", "--headers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["headers"] == []
    assert main(["show", sample.url, "1", "--headers", "--json"]) == 0
    headers = json.loads(capsys.readouterr().out)["headers"]
    assert ["Subject", "Lunch on Thursday?"] in headers
    settle(sample)
    assert len([line for line in sample.log if line.startswith("RETR")]) == before
    with pytest.raises(SystemExit):
        main(["show", sample.url, "1", "--raw", "--json"])


def test_show_takes_one_message(sample: Server, capsys: Captured) -> None:
    """A range of several is an error; options may stand before the message."""
    assert main(["show", sample.url, "1-2"]) == 1
    assert "show takes one message, not 2" in capsys.readouterr().err
    assert main(["show", sample.url, "--headers", "-2"]) == 0
    assert "everything is in the subject" in capsys.readouterr().out


def test_save_writes_each_message_once_under_its_own_name(sample: Server, capsys: Captured, tmp_path: Path) -> None:
    """It prints the path of each; a second run changes nothing and prints the same."""
    to = tmp_path / "new" / "mail"
    assert main(["save", sample.url, "1", "3-4", "-1", "--to", str(to)]) == 0
    out = capsys.readouterr().out
    paths = [Path(line) for line in out.splitlines()]
    assert [path.read_bytes() for path in paths] == [SAMPLES[index] for index in (0, 2, 3, 9)]
    assert sorted(paths) == sorted(to.iterdir())
    assert main(["save", sample.url, "1", "3-4", "-1", "--to", str(to)]) == 0
    assert capsys.readouterr().out == out
    assert main(["save", sample.url, "all", "--to", str(to), "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert len(list(to.iterdir())) == 10
    assert main(["save", sample.url, "2", "--to", str(to), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert list(value) == ["number", "uid", "size", "path"]
    assert Path(value["path"]).read_bytes() == SAMPLES[1]


def test_attachments_are_saved_under_harmless_names(capsys: Captured, tmp_path: Path, sample: Server) -> None:
    """It prints each path; a message without attachments saves nothing and is no error."""
    assert main(["attachments", sample.url, "all", "--to", str(tmp_path / "files")]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names == ["dot.gif", "figures €.csv", "invoice.pdf"]
    assert (tmp_path / "files" / "invoice.pdf").read_bytes() == b"%PDF-1.1\n%%EOF\n"
    assert main(["attachments", sample.url, "3", "--to", str(tmp_path / "files"), "--json"]) == 0
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert list(values[0]) == ["number", "filename", "content_type", "size", "path"]
    assert len(list((tmp_path / "files").iterdir())) == 3
    evil = b'Content-Type: a/b; name="../../.bashrc"\r\nContent-Disposition: attachment\r\n\r\nx\r\n'
    with Server([evil]) as server:
        assert main(["attachments", server.url, "1", "--to", str(tmp_path / "evil")]) == 0
    (path,) = (tmp_path / "evil").iterdir()
    assert not path.name.startswith(".")


def test_a_refused_message_does_not_stop_the_others(capsys: Captured, tmp_path: Path) -> None:
    """It is named on standard error, and the status is 3; if all are refused it is that of the refusal."""
    with pytest.MonkeyPatch.context() as patch, Server(SAMPLES[:4], quirks=Quirk.ONE_UNREADABLE) as server:
        patch.setenv("PYMAILBOX_PASSWORD", "secret")
        for command in ("save", "attachments"):
            with case(command):
                assert main([command, server.url, "all", "--to", str(tmp_path / command)]) == 3
                err = capsys.readouterr().err
                assert err.startswith("pymailbox: message ")
                assert err.count("\n") == 1
    assert len(list((tmp_path / "save").iterdir())) == 3
    with (
        pytest.MonkeyPatch.context() as patch,
        Server(SAMPLES[:1], faults=[Fault.replace("RETR", None, reply=b"-ERR [SYS/TEMP] busy\r\n")]) as server,
    ):
        patch.setenv("PYMAILBOX_PASSWORD", "secret")
        assert main(["save", server.url, "1", "--to", str(tmp_path / "none")]) == 75


@pytest.mark.threat(89)
def test_they_leave_no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No DELE, and no QUIT after a download: the server has all that it had."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    with Server(SAMPLES, quirks=Quirk.DELETES_READ) as server:
        for command in (["show", server.url, "1"], ["save", server.url, "all", "--to", str(tmp_path)]):
            assert main(command) == 0
        assert main(["attachments", server.url, "all", "--to", str(tmp_path)]) == 0
        settle(server)
        assert not {"QUIT", "DELE"} & {line.split()[0] for line in server.log}
        with Mailbox.from_url(server.url, "secret") as inbox:
            assert len(inbox) == len(SAMPLES)
