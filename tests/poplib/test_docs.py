"""Both halves of each pair in docs/poplib.md do the same: they print, save and delete the same."""

import contextlib
import io
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from pymailbox.testing import Server
from tests import ROOT
from tests.timing import GENEROUS

PAGE = (ROOT / "docs" / "poplib.md").read_text("utf-8")
HOST = "pop.example.com"


def pairs() -> dict[str, list[str]]:
    """Return the code of each section under "From poplib to Mailbox", by title."""
    sections = re.split(r"^### ", PAGE.split("## From poplib to Mailbox")[1], flags=re.MULTILINE)[1:]
    found = {s.splitlines()[0]: re.findall(r"^```python\n(.*?)^```", s, re.MULTILINE | re.DOTALL) for s in sections}
    return {title: code for title, code in found.items() if code}


def mails() -> list[bytes]:
    """Return messages of today and of earlier dates, one of them with an attachment."""
    made = []
    for number, age in enumerate((0, 400, 10, 200, 91), 1):
        mail = EmailMessage()
        mail["From"] = "Ana <ana@example.org>"
        mail["Subject"] = f"Number {number}"
        mail["Date"] = format_datetime(datetime.now(UTC) - timedelta(days=age))
        mail.set_content(f"Line one of {number}\n.dotted\n..twice\n")
        if number == 3:
            mail.add_attachment(b"\0\1\2", "application", "octet-stream", filename="figures.bin")
        made.append(mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Serve as pop.example.com, port 995, with a certificate that the system trusts during the test."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    monkeypatch.setattr("getpass.getpass", lambda *_: "secret")
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        assert (host, port) == (HOST, 995)
        return look_up("127.0.0.1", running.port, *rest, **more)

    with Server(mails(), security="tls", ssl_context=context) as running:
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield running


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, bytes]]:
    """Run an example in a new folder; return what it printed and what it saved."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "docs/poplib.md", "exec"), {})
    return printed.getvalue(), {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("title", sorted(set(pairs()) - {"Remove old messages"}))
@pytest.mark.filterwarnings("ignore::pymailbox.poplib.UnverifiedTLSWarning")
def test_both_halves_do_the_same(title: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The poplib idiom and its Mailbox form print and save the same, send QUIT, and delete nothing."""
    before, after = pairs()[title]
    mail = server.messages
    theirs = run(before, tmp_path / "poplib", monkeypatch)
    ours = run(after, tmp_path / "mailbox", monkeypatch)
    assert theirs == ours
    assert theirs[0]
    server.wait(GENEROUS)
    assert server.messages == mail
    assert {record.ended for record in server.sessions} == {"QUIT"}


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.filterwarnings("ignore::pymailbox.poplib.UnverifiedTLSWarning")
def test_old_messages_are_removed(half: int, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each half of "Remove old messages" deletes and prints the messages older than 90 days."""
    printed, _ = run(pairs()["Remove old messages"][half], tmp_path / "half", monkeypatch)
    server.wait(GENEROUS)
    assert printed == "2\n4\n5\n"
    assert [mail.split(b"Number ")[1][:1] for mail in server.messages] == [b"1", b"3"]


def test_the_page_has_the_usual_idioms() -> None:
    """It has the minimal example, printing subjects, downloading an inbox, removing old messages, and monitoring."""
    assert {
        "The example of the standard library's documentation",
        "Print the subjects",
        "Save the whole inbox",
        "Remove old messages",
        "Monitor a mailbox",
    } <= set(pairs())
    assert all(len(code) == 2 for code in pairs().values())


def test_the_migrations_run_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both the one-line migration and replacing the standard library's module in `sys.modules` work."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.split("## From poplib to Mailbox")[0], re.MULTILINE | re.DOTALL)
    monkeypatch.setitem(sys.modules, "poplib", sys.modules["poplib"])
    monkeypatch.setattr("pymailbox.poplib.tls._verify", False)
    for code in blocks:
        exec(compile(code, "docs/poplib.md", "exec"), {})
    assert sys.modules["poplib"].__name__ == "pymailbox.poplib"
    assert len(blocks) == 3
