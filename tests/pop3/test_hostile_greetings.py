"""No hostile greeting or network does harm (docs/threats.md).

A mark names the threat. Attacks that are possible in any other state, too, are in `test_connection` and
`test_transport`.
"""

import socket
import time
from collections.abc import Callable
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
from tests import case
from tests.replay import End, Replay, WatchedClock, connected, drip, endless
from tests.timing import GENEROUS, Clock


def refused_at_the_greeting(
    greeting: Any, *, ending: End = "stay", timeout: float = GENEROUS, options: dict[str, Any] | None = None
) -> MailboxError:
    """Open a connection to a server with this greeting; return the error. Nothing is sent, and the socket is closed."""
    with Replay([(None, greeting)], ending=ending, tcp=True) as replay:
        pop = Connection("localhost", security="none", sock=replay.client, timeout=timeout, **(options or {}))
        with pytest.raises(MailboxError) as caught:
            pop.open()
        assert replay.client.fileno() == -1
    assert replay.received == b""
    assert not caught.value.usable
    return caught.value


@pytest.fixture
def watched(clock: Clock) -> WatchedClock:
    """A clock that only the scripted server moves."""
    return WatchedClock(clock.now)


def silence(watched: WatchedClock, begun: bytes = b"") -> Callable[[socket.socket], None]:
    """Return a step that begins a greeting, and lets 300 seconds pass while the client waits for the rest."""

    def send(sock: socket.socket) -> None:
        watched.seen(sock)  # once more than elsewhere: connecting reads the clock, too
        watched.silence(300, begun)(sock)

    return send


@pytest.mark.threat(1)
def test_silence_instead_of_a_greeting_is_a_timeout(watched: WatchedClock) -> None:
    """A server that accepts and stays silent is `Timeout` at the deadline, and not half a second before."""
    began = watched.now
    error = refused_at_the_greeting(silence(watched), timeout=300, options={"clock": watched})
    assert isinstance(error, Timeout)
    assert "silent for 300 s while the greeting was expected" in str(error)
    assert watched.now - began == 300


@pytest.mark.threat(2)
def test_an_endless_greeting_is_given_up() -> None:
    """A line without end is `LimitExceeded` after `Limits.status_line` bytes."""
    error = refused_at_the_greeting(endless(b"+OK ", b"x" * 1000))
    assert isinstance(error, LimitExceeded)
    assert error.field == "status_line"


@pytest.mark.threat(3)
def test_a_dripping_greeting_is_a_timeout(watched: WatchedClock) -> None:
    """One byte at a time does not extend the wait: the deadline is for the reply, not for each byte."""
    began = watched.now
    dripping = drip(b"+OK " + b"x" * 500, 4, watched)
    error = refused_at_the_greeting(dripping, timeout=300, options={"clock": watched})
    assert isinstance(error, Timeout)
    assert "minimum_rate" in str(error)
    assert 300 <= watched.now - began <= 308


@pytest.mark.threat(5)
def test_a_second_line_with_the_greeting_is_a_violation() -> None:
    """A stray line in the greeting's segment ends the session before anything is sent."""
    assert isinstance(refused_at_the_greeting(b"+OK ready\r\n+OK 7 7\r\n"), ProtocolError)


@pytest.mark.threat(6)
def test_no_password_is_sent_after_anything_but_ok() -> None:
    """Only the exact token +OK lets the login continue."""
    for line in (b"+", b"+ERROR", b"+OKAY", b"+O", b"OK"):
        with case(line):
            assert isinstance(refused_at_the_greeting(line + b" ready\r\n"), ProtocolError)
            with connected((b"USER me\r\n", line + b"\r\n")) as (pop, replay):
                with pytest.raises(ProtocolError):
                    pop.user("me")
                with pytest.raises(ConnectionLost):
                    pop.pass_("secret")
            assert b"secret" not in replay.received


@pytest.mark.threat(7)
def test_another_protocol_is_named_and_sent_nothing() -> None:
    """The error names the likely service, and no command is sent."""
    for greeting, name in (
        (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "HTTP"),
        (b"* OK IMAP4rev1 ready\r\n", "IMAP"),
        (b"220 mail ESMTP\r\n", "SMTP"),
        (b"* BYE too busy\r\n", "IMAP"),
        (b"<!DOCTYPE html>\r\n", "HTTP"),
        (b"SSH-2.0-OpenSSH_9\r\n", "SSH"),
        (b"\x16\x03\x01\x02\x00", "TLS"),
        (b"hello\r\n", "not a POP3 status"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "TLS"),
    ):
        with case(greeting):
            assert name in str(refused_at_the_greeting(greeting, ending="fin"))


@pytest.mark.threat(8)
def test_a_refusal_in_place_of_the_greeting_is_retryable() -> None:
    """A greeting of -ERR is a typed error with its code; nothing is sent."""
    for text, kind, code in (
        (b" [SYS/TEMP] too busy", TemporaryFailure, "SYS/TEMP"),
        (b" [IN-USE] locked", MailboxLocked, "IN-USE"),
        (b" too many connections", CommandError, None),
        (b"", CommandError, None),
    ):
        with case(text):
            error = refused_at_the_greeting(b"-ERR" + text + b"\r\n")
            assert isinstance(error, kind)
            assert error.code == code
            assert error.retryable


@pytest.mark.threat(9)
def test_control_characters_in_the_greeting_are_not_shown_raw() -> None:
    """NUL, ESC and 8-bit bytes in texts do no harm, and no error shows them raw."""
    script = (b"NOOP\r\n", b"-ERR \x1b]0;x\x07\0\x9b31m\xff\r\n")
    with connected(script, greeting=b"+OK \0\x1b[2J\xe9\r\n") as (pop, _):
        assert pop.greeting == "\0\x1b[2Jé"
        with pytest.raises(CommandError) as caught:
            pop.noop()
        for shown in (str(caught.value), repr(pop)):
            assert shown.isprintable(), shown


@pytest.mark.threat(10)
def test_lines_that_end_in_cr_alone_are_a_timeout(watched: WatchedClock) -> None:
    """CR alone does not end a line (a server that ends all lines in LF is supported: `test_quirks`)."""
    greeting = silence(watched, b"+OK ready\r")
    assert isinstance(refused_at_the_greeting(greeting, timeout=300, options={"clock": watched}), Timeout)


@pytest.mark.threat(11)
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_the_end_of_the_connection_is_connection_lost_in_any_state(how: End) -> None:
    """FIN and RST before the greeting, in a login and between commands are `ConnectionLost`; the descriptor is closed.

    In the middle of a reply: `test_connection`.
    """
    assert isinstance(refused_at_the_greeting(b"", ending=how), ConnectionLost)
    calls: list[tuple[Callable[[Connection], object], bytes, Callable[[Connection], object]]] = [
        (lambda pop: pop.user("me"), b"USER me\r\n", lambda pop: pop.pass_("x")),
        (lambda pop: pop.noop(), b"NOOP\r\n", lambda pop: pop.noop()),
    ]
    for first, line, second in calls:
        with case(line), connected((line, b"+OK\r\n"), ending=how, tcp=True) as (pop, replay):

            def both(pop: Connection = pop, first: Any = first, second: Any = second) -> None:
                first(pop)
                time.sleep(0.02)  # usually the end has arrived before the second command is sent; it need not
                second(pop)

            with pytest.raises(ConnectionLost):
                both()
            assert replay.client.fileno() == -1
