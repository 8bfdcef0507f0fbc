"""Replies out of step and jumps of time do no harm; a mark names the entry in docs/threats.md.

`test_connection` has what needs only one connection: late replies, forged replies, two threads, fork, and
leaving without QUIT.
"""

import select
import socket
import threading
import time
from pathlib import Path

import pytest

from pymailbox.errors import ConnectionLost, ProtocolError
from pymailbox.pop3 import Connection, commands, deadlines, driver, transport
from pymailbox.testing import Fault, Server
from tests import case
from tests.replay import connected
from tests.timing import GENEROUS

MAILS = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(5)]


def logged_in(server: Server) -> Connection:
    """Return a connection to the embedded server, logged in."""
    pop = Connection(server.host, server.port, security="none", timeout=GENEROUS).open()
    pop.user("me")
    pop.pass_("secret")
    return pop


@pytest.mark.threat(59)
def test_no_dele_of_a_batch_with_a_forged_reply_is_committed() -> None:
    """If a surplus line follows a batch of DELEs, none of them succeeds, and none is committed."""
    faults = [Fault.stray(b"+OK forged\r\n", command="DELE", nth=5), Fault.refuse("DELE", 2)]
    with Server(MAILS, faults=faults) as server:
        pop = logged_in(server)
        pop.session.learn(pop.capa())
        with pytest.raises((ProtocolError, ConnectionLost)):
            list(pop.pipeline(map(commands.dele, range(1, 6))))
        with pytest.raises(ConnectionLost):
            pop.quit()
        server.wait(GENEROUS)
        assert len(server.messages) == 5


@pytest.mark.threat(61)
def test_an_empty_reply_is_a_protocol_error() -> None:
    """`+` and an empty line raise a `ProtocolError` that names the command."""
    for reply in (b"+\r\n", b"\r\n", b"+ \r\n", b" \r\n"):
        for name, ask in (
            ("STAT", lambda pop: pop.stat()),
            ("RETR 1", lambda pop: pop.retr(1)),
            ("DELE 1", lambda pop: pop.dele(1)),
        ):
            with case(reply, name):
                with (
                    connected((name.encode() + b"\r\n", reply)) as (pop, _),
                    pytest.raises(ProtocolError) as caught,
                ):
                    ask(pop)
                assert caught.value.command == name


@pytest.mark.threat(62)
def test_an_autologout_is_found_before_the_next_command_is_sent() -> None:
    """-ERR and FIN while we were idle raise `ConnectionLost` with the server's text, and the next DELE is not sent."""
    idle = threading.Event()

    def leave(sock: socket.socket) -> None:
        assert idle.wait(GENEROUS)
        sock.sendall(b"-ERR idle for too long\r\n")

    with connected((b"DELE 1\r\n", b"+OK\r\n"), (None, leave)) as (pop, replay):
        pop.dele(1)
        idle.set()
        assert select.select([replay.client], [], [], GENEROUS)[0]
        with pytest.raises(ConnectionLost) as caught:
            pop.dele(2)
        assert "idle for too long" in str(caught.value)
        assert caught.value.command == "DELE 2"
    assert replay.received == b"DELE 1\r\n"


@pytest.mark.threat(64)
def test_a_jump_of_the_wall_clock_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the monotonic clock is used, so the wall clock may jump."""
    jumps = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    with Server(MAILS) as server:
        pop = logged_in(server)
        assert pop.stat().count == 5
        pop.quit()
    for module in (driver, deadlines, transport):
        assert "time.time(" not in Path(str(module.__file__)).read_text(), module
