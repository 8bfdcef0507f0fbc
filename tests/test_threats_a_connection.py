"""THREATS, section A: connection and greeting. One test for each row, by its number.

Most run against a scripted server; what is timed has to end within its deadline and half a second.
"""

import socket
import time
from typing import Any

import pytest

from pymailbox.errors import (
    CommandError,
    ConnectionLost,
    LimitExceeded,
    MailboxError,
    MailboxLocked,
    ProtocolError,
    TemporaryFailure,
    Timeout,
)
from pymailbox.pop3 import Connection
from pymailbox.testing import Fault, Quirk, Server
from tests.replay import End, Replay, connected, drip, endless


def refused_at_the_greeting(
    greeting: Any, *, ending: End = "stay", timeout: float = 5.0, options: dict[str, Any] | None = None
) -> MailboxError:
    """Open a connection to a server that greets so; return the error. Nothing may be sent, the socket is closed."""
    with Replay([(None, greeting)], ending=ending, tcp=True) as replay:
        pop = Connection("localhost", security="none", sock=replay.client, timeout=timeout, **(options or {}))
        with pytest.raises(MailboxError) as caught:
            pop.open()
        assert replay.client.fileno() == -1
    assert replay.received == b""
    assert not caught.value.usable
    return caught.value


def test_threat_01_silence_instead_of_a_greeting() -> None:
    """A server that accepts and says nothing is `Timeout` within the timeout."""
    began = time.monotonic()
    error = refused_at_the_greeting(b"", timeout=0.3)
    assert isinstance(error, Timeout)
    assert time.monotonic() - began < 0.8


def test_threat_02_endless_line() -> None:
    """A line without end is `LimitExceeded` after `Limits.status_line` octets."""
    error = refused_at_the_greeting(endless(b"+OK ", b"x" * 1000))
    assert isinstance(error, LimitExceeded)
    assert error.field == "status_line"


def test_threat_03_slow_loris() -> None:
    """One octet at a time does not keep us: the deadline is for the reply, not for each octet."""
    began = time.monotonic()
    error = refused_at_the_greeting(drip(b"+OK " + b"x" * 1000, 0.02), timeout=0.4)
    assert isinstance(error, Timeout)
    assert time.monotonic() - began < 0.9


def test_threat_04_endless_lines_after_the_greeting() -> None:
    """Valid lines that nobody asked for are never taken as replies: the first command finds them."""
    with Replay([(None, b"+OK\r\n"), (None, b"+OK 7 7\r\n" * 1000)], ending="stay") as replay:

        def ask() -> None:
            with Connection("localhost", security="none", sock=replay.client) as pop:
                time.sleep(0.1)
                pop.stat()

        with pytest.raises(ProtocolError):
            ask()
    assert replay.received == b""


def test_threat_05_stray_line_in_the_segment_of_the_greeting() -> None:
    """A second line in the greeting's segment is out of step, and the connection is dead."""
    assert isinstance(refused_at_the_greeting(b"+OK ready\r\n+OK 7 7\r\n"), ProtocolError)


@pytest.mark.parametrize("line", [b"+", b"+ERROR", b"+OKAY", b"+O", b"OK"])
def test_threat_06_what_is_no_ok(line: bytes) -> None:
    """Only the token +OK lets us go on: a password is never sent after anything else."""
    assert isinstance(refused_at_the_greeting(line + b" ready\r\n"), ProtocolError)
    with connected((b"USER me\r\n", line + b"\r\n")) as (pop, replay):
        with pytest.raises(ProtocolError):
            pop.user("me")
        with pytest.raises(ConnectionLost):
            pop.pass_("secret")
    assert b"secret" not in replay.received


@pytest.mark.parametrize(
    ("greeting", "name"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "HTTP"),
        (b"* OK IMAP4rev1 ready\r\n", "IMAP"),
        (b"220 mail ESMTP\r\n", "SMTP"),
        (b"SSH-2.0-OpenSSH_9\r\n", "SSH"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "TLS"),
    ],
)
def test_threat_07_another_protocol(greeting: bytes, name: str) -> None:
    """Another service is a typed error that names it, and no command is sent."""
    assert name in str(refused_at_the_greeting(greeting, ending="fin"))


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        (b" [SYS/TEMP] too busy", TemporaryFailure, "SYS/TEMP"),
        (b" [IN-USE] locked", MailboxLocked, "IN-USE"),
        (b" too many connections", CommandError, None),
        (b"", CommandError, None),
    ],
)
def test_threat_08_refused_at_the_greeting(said: bytes, kind: type[MailboxError], code: str | None) -> None:
    """A greeting of -ERR is a typed error with its code; nothing is sent."""
    error = refused_at_the_greeting(b"-ERR" + said + b"\r\n")
    assert isinstance(error, kind)
    assert error.code == code
    assert error.retryable


def test_threat_09_control_characters_in_the_greeting() -> None:
    """NUL, ESC and 8-bit octets in texts do no harm, and no error shows them raw."""
    with connected((b"NOOP\r\n", b"-ERR \x1b]0;x\x07\x00\x9b31m\xff\r\n"), greeting=b"+OK \0\x1b[2J\xe9\r\n") as (
        pop,
        _,
    ):
        assert pop.greeting == "\0\x1b[2Jé"
        with pytest.raises(CommandError) as caught:
            pop.noop()
        for shown in (str(caught.value), repr(pop)):
            assert shown.isprintable(), shown


@pytest.mark.parametrize("quirk", [True, False])
def test_threat_10_line_ends(quirk: bool) -> None:
    """A server whose lines all end in LF is served; one whose lines end in CR alone is a `Timeout`."""
    if quirk:
        with (
            Server([b"Subject: x\r\n\r\n.\r\nbody\r\n"], quirks=Quirk.LF_LINES) as server,
            Connection(server.host, server.port, security="none") as pop,
        ):
            pop.user("me")
            pop.pass_("secret")
            assert pop.retr(1) == b"Subject: x\n\n.\nbody\n"
            assert "LF_LINES" in pop.quirks
    else:
        assert isinstance(refused_at_the_greeting(b"+OK ready\r", timeout=0.2), Timeout)


@pytest.mark.parametrize("state", ["greeting", "login", "reply", "idle"])
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_threat_11_the_end_in_any_state(state: str, how: End) -> None:
    """FIN and RST in any state are `ConnectionLost`, and the descriptor is closed."""
    if state == "greeting":
        assert isinstance(refused_at_the_greeting(b"", ending=how), ConnectionLost)
        return
    begun = {
        "login": (b"USER me\r\n", b"+OK\r\n"),
        "reply": (b"RETR 1\r\n", b"+OK\r\nhalf"),
        "idle": (b"NOOP\r\n", b"+OK\r\n"),
    }
    with connected(begun[state], ending=how, tcp=True) as (pop, replay):
        calls = {
            "login": [lambda: pop.user("me"), lambda: pop.pass_("x")],
            "reply": [lambda: pop.retr(1)],
            "idle": [pop.noop, pop.noop],
        }

        def all_calls() -> None:
            for call in calls[state]:
                call()
                time.sleep(0.02)

        with pytest.raises(ConnectionLost):
            all_calls()
        assert replay.client.fileno() == -1


def test_threat_12_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that refuses is passed over; one deadline is for all of them (see `test_transport`)."""
    with Server([b""]) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number)) for number in (port, server.port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with Connection("pop.example.com", 110, security="none") as pop:
            assert pop.greeting


def test_threat_13_interrupted_in_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during a read leaves a connection that is dead and says so at once (every line of it: `test_connection`)."""
    with Server([b"x\r\n"], faults=[Fault.stall(2, command="RETR")]) as server:
        with Connection(server.host, server.port, security="none") as pop:
            pop.user("me")
            pop.pass_("secret")
            pop.dele(1)

            def interrupted(*_: object) -> None:
                raise KeyboardInterrupt

            assert pop._transport is not None
            monkeypatch.setattr(type(pop._transport), "_wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                pop.retr(1)
            began = time.monotonic()
            with pytest.raises(ConnectionLost):
                pop.noop()
            assert time.monotonic() - began < 0.1
        server.wait()
        assert len(server.messages) == 1
        assert server.sessions[0].ended != "QUIT"
