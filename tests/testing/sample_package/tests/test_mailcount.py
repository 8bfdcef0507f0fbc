"""Tests of mailcount, with the fixtures that pymailbox brings along."""

import pytest
from mailcount import count, forget, main

from pymailbox import Mailbox
from pymailbox.testing import Fault, Quirk, Server

MAILS = [
    b"From: ada@example.org\r\nSubject: one\r\n\r\n1\r\n",
    b"From: bob@example.org\r\nSubject: two\r\n\r\n2\r\n",
    b"From: Ada <ada@example.org>\r\nSubject: three\r\n\r\n3\r\n",
]


def test_count(mailbox: Mailbox) -> None:
    assert count(mailbox)["ada@example.org"] == 1  # there are ten sample mails


@pytest.mark.pop3(MAILS, quirks=Quirk.LF_LINES)
def test_count_with_a_quirk(mailbox: Mailbox) -> None:
    assert count(mailbox) == {"ada@example.org": 2, "bob@example.org": 1}


@pytest.mark.pop3(MAILS)
def test_forget(mailbox: Mailbox, pop3_server: Server) -> None:
    assert forget(mailbox, "ada@example.org") == 2
    assert pop3_server.messages == (MAILS[1],)
    assert pop3_server.sessions[0].deleted == (1, 3)


@pytest.mark.pop3(MAILS, security="tls")
def test_program(pop3_server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILCOUNT_PASSWORD", pop3_server.password)
    assert main([pop3_server.url], pop3_server.client_context()) == 0
    assert capsys.readouterr().out == "2 ada@example.org\n1 bob@example.org\n"


@pytest.mark.pop3(MAILS, faults=[Fault.refuse("STAT", text="[SYS/TEMP] try later")])
def test_program_when_the_server_has_a_problem(
    pop3_server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILCOUNT_PASSWORD", pop3_server.password)
    assert main([pop3_server.url]) == 1
    assert "try later" in capsys.readouterr().err


@pytest.mark.pop3(replay="session.pop3")
def test_count_as_recorded(mailbox: Mailbox) -> None:
    assert count(mailbox).total() == 3
    mailbox.commit()
