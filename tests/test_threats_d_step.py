"""THREATS, section D: replies out of step, and time. One test for each row, by its number."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from pymailbox.errors import ConcurrentUse, ConnectionLost, MailboxError, ProtocolError, Timeout
from pymailbox.pop3 import Connection, Stat, commands, deadlines, driver, transport
from pymailbox.testing import Fault, Server
from tests.replay import connected

MAILS = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(5)]


def logged_in(server: Server, timeout: float = 5.0) -> Connection:
    pop = Connection(server.host, server.port, security="none", timeout=timeout).open()
    pop.user("me")
    pop.pass_("secret")
    return pop


def test_threat_58_late_reply() -> None:
    """A timeout ends the connection, so that the reply that comes too late answers nothing."""

    def late(sock: socket.socket) -> None:
        time.sleep(0.3)
        sock.sendall(b"+OK 5 500\r\n")

    with connected((b"STAT\r\n", late), timeout=0.15) as (pop, replay):
        with pytest.raises(Timeout):
            pop.stat()
        time.sleep(0.25)
        with pytest.raises(ConnectionLost):
            pop.dele(1)
    assert replay.received == b"STAT\r\n"


@pytest.mark.parametrize("stray", [b"+OK deleted\r\n", b"-ERR no\r\n", b"+", b"\r\n"])
def test_threat_59_forged_reply_to_dele(stray: bytes) -> None:
    """An extra line behind a reply is out of step; the DELE that follows is not even sent, and nothing is deleted."""
    with Server(MAILS, faults=[Fault.stray(stray, command="NOOP"), Fault.refuse("DELE")]) as server:
        pop = logged_in(server)

        def steps() -> None:
            pop.noop()
            time.sleep(0.05)
            pop.dele(1)

        with pytest.raises((ProtocolError, ConnectionLost)):
            steps()
        pop.close()
        server.wait()
        assert "DELE 1" not in server.log
        assert len(server.messages) == 5


def test_threat_59_forged_reply_in_a_batch() -> None:
    """A line too many behind a batch of DELEs: not one of them is believed, and none is committed."""
    with Server(
        MAILS, faults=[Fault.stray(b"+OK forged\r\n", command="DELE", nth=5), Fault.refuse("DELE", 2)]
    ) as server:
        pop = logged_in(server)
        pop.session.learn(pop.capa())
        with pytest.raises((ProtocolError, ConnectionLost)):
            list(pop.pipeline(map(commands.dele, range(1, 6))))
        with pytest.raises(ConnectionLost):
            pop.quit()
        server.wait()
        assert len(server.messages) == 5


def test_threat_60_many_lines_for_a_command_of_one() -> None:
    """A multi-line reply to a single-line command is out of step."""
    with connected((b"NOOP\r\n", b"+OK\r\nmessage of the day\r\n.\r\n")) as (pop, _), pytest.raises(ProtocolError):
        pop.noop()


@pytest.mark.parametrize("reply", [b"+\r\n", b"\r\n", b"+ \r\n", b" \r\n"])
def test_threat_61_empty_replies(reply: bytes) -> None:
    """`+` and an empty line are no replies."""
    for line in (b"STAT\r\n", b"RETR 1\r\n", b"DELE 1\r\n"):
        with connected((line, reply)) as (pop, _), pytest.raises(ProtocolError) as caught:
            {b"STAT\r\n": pop.stat, b"RETR 1\r\n": lambda: pop.retr(1), b"DELE 1\r\n": lambda: pop.dele(1)}[line]()
        assert caught.value.command == line.decode().strip()


def test_threat_62_autologout() -> None:
    """-ERR and FIN while we were idle is told as the server's closing, and the DELE that finds it was not sent."""
    with Server(MAILS, autologout=0.1) as server:
        pop = logged_in(server)
        pop.dele(1)
        time.sleep(0.3)
        with pytest.raises(ConnectionLost) as caught:
            pop.dele(2)
        assert "idle for too long" in str(caught.value)
        assert caught.value.command == "DELE 2"
        pop.close()
        server.wait()
        assert len(server.messages) == 5
        assert "DELE 2" not in server.log


def test_threat_63_two_threads() -> None:
    """A second thread gets `ConcurrentUse`; the first one's reply is its own."""
    with Server(MAILS, latency=0.1) as server:
        pop = logged_in(server)
        found: list[Stat] = []
        thread = threading.Thread(target=lambda: found.append(pop.stat()))
        thread.start()
        while not pop._owner:
            time.sleep(0.001)
        with pytest.raises(ConcurrentUse):
            pop.dele(1)
        thread.join(5)
        assert found == [Stat(5, sum(map(len, MAILS)))]
        pop.quit()
        assert len(server.messages) == 5


def test_threat_64_clock_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the monotonic clock is looked at: the wall clock may jump as it likes."""
    jumps = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    with Server(MAILS) as server:
        pop = logged_in(server)
        assert pop.stat().count == 5
        pop.quit()
    for name in (driver, deadlines, transport):
        source = Path(str(name.__file__)).read_text()
        assert "time.time(" not in source


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_threat_65_fork_after_connecting() -> None:
    """A child that leaves, closes or says quit() sends no QUIT: the parent's deletions are the parent's."""
    with Server(MAILS) as server:
        pop = logged_in(server)
        pop.dele(1)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                try:
                    pop.quit()
                except MailboxError:
                    code = 0
                pop.close()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert "QUIT" not in server.log
        pop.rset()
        pop.quit()
        assert len(server.messages) == 5


@pytest.mark.parametrize("leaving", ["exception", "close", "forgotten"])
def test_threat_66_no_quit_without_being_said(leaving: str) -> None:
    """Leaving by an exception, by `close()` or by being forgotten sends no QUIT."""
    with Server(MAILS) as server:
        pop = logged_in(server)
        pop.dele(1)
        if leaving == "exception":
            pop.__exit__(KeyError, KeyError(), None)
        elif leaving == "close":
            pop.close()
        else:
            alive = [pop]
            del pop
            with pytest.warns(ResourceWarning):
                alive.clear()
        server.wait()
        assert "QUIT" not in server.log
        assert len(server.messages) == 5
