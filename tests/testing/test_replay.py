"""A replay answers what was recorded, and says what differs from it."""

import asyncio
from pathlib import Path

import pytest

from pymailbox import AsyncMailbox, Mailbox
from pymailbox.testing import Fault, Recorder, Server
from tests.testing.by_hand import LOGIN, MAILS, Hand, settle
from tests.timing import GENEROUS

RECORDED = """pymailbox-sessions 1

session
S: +OK ready
C: USER ***
S: +OK
C: PASS ***
S: +OK
C: LIST
S: +OK
S: 1 10
S: .
C: NOOP
S: +OK first
C: NOOP
S: +OK second
C: QUIT
S: +OK bye
end server
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A recording."""
    path = tmp_path / "session.pop3"
    path.write_text(RECORDED)
    return path


def test_a_difference_is_told_to_the_client_and_to_the_test(path: Path) -> None:
    """With the line of the file, what was expected and what was received, but never a secret."""
    difference = f"{path}, line 9: expected 'LIST', received 'NOOP'"
    with pytest.raises(AssertionError) as error, Server.replay(path) as server, Hand(server) as hand:
        assert hand.login().ask(b"NOOP") == f"-ERR replay: {difference}\r\n".encode()
        assert hand.rest() == b""
        settle(server)
    assert str(error.value) == difference
    assert server.sessions[0].ended == "not as recorded"
    assert server.sessions[0].commands == ("USER ***", "PASS ***", "NOOP")
    with (
        pytest.raises(AssertionError, match=r"expected 'USER \*\*\*', received 'PASS \*\*\*'"),
        Server.replay(path) as server,
        Hand(server) as hand,
    ):
        hand.until()
        assert b"hunter2" not in hand.ask(b"PASS hunter2")
    assert "hunter2" not in str(server.log)


def test_the_error_of_the_test_is_not_replaced(path: Path) -> None:
    """If the block fails, its own exception passes through."""
    with pytest.raises(ZeroDivisionError), Server.replay(path) as server, Hand(server) as hand:
        hand.login().ask(b"NOOP")
        _ = 1 / 0


def test_more_than_was_recorded(path: Path) -> None:
    """A command after the last, or one more session, is a difference; fewer are not."""
    path.write_text(RECORDED.replace("end server", "end client"))
    with (
        pytest.raises(AssertionError, match=r"ends after 'QUIT', received 'NOOP'"),
        Server.replay(path) as server,
        Hand(server) as hand,
    ):
        hand.send(*LOGIN, b"LIST", b"NOOP", b"NOOP", b"QUIT", b"NOOP")
        assert hand.rest().endswith(b"received 'NOOP'\r\n")
    with (
        pytest.raises(AssertionError, match="has only 1 session; this is one more"),
        Server.replay(path) as server,
        Hand(server) as first,
        Hand(server) as second,
    ):
        first.login()
        assert second.rest().startswith(b"-ERR replay: ")
    with Server.replay(path) as server, Hand(server) as hand:
        hand.login()


def test_any_order(path: Path) -> None:
    """With `strict=False` commands come in any order and again; one that was never recorded is a difference."""
    with Server.replay(path, strict=False) as server, Hand(server) as hand:
        hand.until()
        assert hand.ask(b"NOOP") == b"+OK first\r\n"
        assert hand.listing(b"LIST") == b"+OK\r\n1 10\r\n.\r\n"
        assert [hand.ask(b"NOOP") for _ in range(2)] == [b"+OK second\r\n"] * 2
        assert hand.listing(b"LIST") == b"+OK\r\n1 10\r\n.\r\n"
        assert hand.ask(b"QUIT") == b"+OK bye\r\n"
    with (
        pytest.raises(AssertionError, match=r"has no 'STAT' in session 1"),
        Server.replay(path, strict=False) as server,
        Hand(server) as hand,
    ):
        hand.until()
        hand.ask(b"STAT")


def test_faults_and_tls(path: Path) -> None:
    """A replay can go wrong like any server, and use TLS."""
    with Server.replay(path, faults=[Fault.refuse("LIST", text="[SYS/TEMP] later")]) as server, Hand(server) as hand:
        assert hand.login().ask(b"LIST") == b"-ERR [SYS/TEMP] later\r\n"
    with Server.replay(path, security="tls") as server, Hand(server, server.client_context()) as hand:
        assert hand.login().listing(b"LIST") == b"+OK\r\n1 10\r\n.\r\n"
    assert server.sessions[0].tls


@pytest.mark.parametrize(
    "auth", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "APOP", "USER", "XOAUTH2", "OAUTHBEARER"]
)
def test_every_login_can_be_replayed(tmp_path: Path, auth: str) -> None:
    """With any user and password; the server proves itself in SCRAM with the password of the replay."""
    path = tmp_path / "session.pop3"
    sasl = [auth] if auth not in ("APOP", "USER") else []
    with (
        Server(MAILS, sasl=sasl, apop=True, password="recorded-one", token="recorded-one") as server,
        Recorder(path, server.host, server.port, security="none") as recorder,
        Mailbox(recorder.host, "me", "recorded-one", port=recorder.port, security="none", auth=auth) as inbox,
    ):
        uids = inbox.uids
    assert "recorded-one" not in path.read_text()
    with (
        Server.replay(path, password="new") as server,
        Mailbox(server.host, "you", "new", port=server.port, security="none", auth=auth) as inbox,
    ):
        assert inbox.uids == uids
    if auth == "SCRAM-SHA-256":
        with (
            pytest.raises(AssertionError, match=r"log in with the password of Server.replay\(\)"),
            Server.replay(path, password="new") as server,
        ):
            inbox = Mailbox(server.host, "you", "old", port=server.port, security="none", auth=auth)
            with pytest.raises(Exception, match="SCRAM failed"):
                inbox.open()


@pytest.mark.parametrize(
    ("mechanism", "response", "difference"),
    [
        ("SCRAM-SHA-384", "eA==", "does not support the SASL mechanism SCRAM-SHA-384; record a session with another"),
        ("SCRAM-SHA-256-PLUS", "eA==", "does not support the SASL mechanism SCRAM-SHA-256-PLUS; record a session"),
        ("SCRAM-SHA-256", "x", "a response of SCRAM must be in base64"),
        ("SCRAM-SHA-256", "eA==", r"log in with the password of Server.replay\(\)"),
    ],
)
def test_scram_that_cannot_be_replayed_is_explained(path: Path, mechanism: str, response: str, difference: str) -> None:
    """A recording may have a mechanism that the test server lacks, and a client may send anything."""
    path.write_text(f"pymailbox-sessions 1\nsession\nS: +OK\nC: AUTH {mechanism} ***\nS: + x\nC: ***\nS: +OK\n")
    with (
        pytest.raises(AssertionError, match=difference),
        Server.replay(path) as server,
        Hand(server) as hand,
    ):
        hand.until()
        assert hand.ask(f"AUTH {mechanism} {response}".encode()).startswith(b"-ERR replay: ")
        assert hand.rest() == b""


@pytest.mark.parametrize("auth", ["PLAIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"])
def test_a_refused_login_is_replayed(tmp_path: Path, auth: str) -> None:
    """With the same words as recorded."""
    path = tmp_path / "session.pop3"
    with (
        Server(MAILS, sasl=[auth], token="x", password="right") as server,
        Recorder(path, server.host, server.port, security="none") as recorder,
        pytest.raises(Exception, match="wrong user or password") as recorded,
        Mailbox(recorder.host, "me", "mistaken", port=recorder.port, security="none", auth=auth),
    ):
        pass
    for password in ("mistaken", "other"):
        with (
            Server.replay(path, password="other") as server,
            pytest.raises(type(recorded.value)) as replayed,
            Mailbox(server.host, "me", password, port=server.port, security="none", auth=auth),
        ):
            pass
        assert str(replayed.value) == str(recorded.value)


def test_asyncio(path: Path, tmp_path: Path) -> None:
    """What the blocking mailbox recorded can be replayed to the asynchronous one."""
    path = tmp_path / "session.pop3"
    with (
        Server(MAILS) as server,
        Recorder(path, server.host, server.port, security="none") as recorder,
        Mailbox(recorder.host, "me", "secret", port=recorder.port, security="none") as inbox,
    ):
        sizes = [len(message.raw) for message in inbox]

    async def read(url: str) -> list[int]:
        async with AsyncMailbox.from_url(url, "any") as inbox:
            return [len(await message.raw()) async for message in inbox]

    with Server.replay(path) as server:
        assert asyncio.run(asyncio.wait_for(read(server.url), GENEROUS)) == sizes


def test_misuse(path: Path) -> None:
    """A replay has no mailbox and no STLS, and a file that is not a recording is refused at once."""
    with Server.replay(path, user="ada") as server:
        assert server.url.startswith("pop://ada@")
        for use in (lambda: server.messages, lambda: server.deliver(b"")):
            with pytest.raises(ValueError, match="a replayed session has no mailbox"):
                use()
    with pytest.raises(ValueError, match="must be none or tls, not 'starttls'"):
        Server.replay(path, security="starttls")  # type: ignore[arg-type] # misuse
    for content in (b"Subject: x\n", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"session\.pop3 is not a recording"):
            Server.replay(path)
