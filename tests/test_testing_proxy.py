"""The proxy: any server behind it is reached through it, with a line as bad as ordered."""

import socket
import threading
import time

import pytest

from pymailbox.testing import Fault, Proxy, Server
from tests.test_testing_faults import LINES, WHOLE, heard
from tests.testing_by_hand import LOGIN, MAILS, Hand, talk


def through(server: Server, **options: object) -> Proxy:
    return Proxy(server.host, server.port, **options)


def test_it_changes_nothing() -> None:
    """Without faults every octet arrives, in both directions, half-closed connections too, and TLS passes through."""
    mails = [bytes(range(256)) * 4000 + b"\r\n"]
    with Server(mails) as server, through(server) as proxy:
        direct, relayed = talk(server, *[b"RETR 1"] * 20, b"QUIT"), talk(proxy, *[b"RETR 1"] * 20, b"QUIT")
        assert direct == relayed
        assert proxy.connections == 1
        with Hand(proxy) as hand:
            hand.send(*LOGIN, b"NOOP")
            hand.sock.shutdown(socket.SHUT_WR)
            assert hand.rest().endswith(b"+OK still here\r\n")
    with Server(MAILS, security="tls") as server, through(server) as proxy:
        with Hand(proxy, server.client_context()) as hand:
            hand.login().ask(b"DELE 1")
            assert hand.ask(b"QUIT") == b"+OK bye\r\n"
        assert server.messages == MAILS[1:]


def test_faults_of_the_wire() -> None:
    """Cuts, stalls, drips and splits happen at the octet ordered, in the connection ordered."""
    faults = [
        Fault.cut(50, session=1),
        Fault.cut(60, how="rst", session=2),
        Fault.stall(70, session=3),
        Fault.drip(50, 0.03, session=4),
        Fault.split(session=5),
        Fault.cut(20, toward="server", session=6),
        Fault.stall(20, toward="server", session=7),
    ]
    with Server(MAILS) as server, through(server, faults=faults) as proxy:
        assert heard(proxy) == (WHOLE[:50], "fin")
        got, ended = heard(proxy)
        assert ended == "reset"
        assert WHOLE[:60].startswith(got)
        assert heard(proxy) == (WHOLE[:70], "silence")
        started = time.monotonic()
        assert heard(proxy) == (WHOLE, "fin")
        assert time.monotonic() - started > 0.03 * (len(WHOLE) // 50)
        assert heard(proxy) == (WHOLE, "fin")
        assert heard(proxy)[1] == "fin"
        assert heard(proxy)[1] == "silence"
        assert heard(proxy) == (WHOLE, "fin")
        server.wait()
        assert server.sessions[6].commands in (("USER me",), ())


def test_latency_delays_without_slowing() -> None:
    """Each octet is late both ways, the first of them too, and a long answer takes no longer than a short one."""
    mails = [b"x" * 998 + b"\r\n"] * 2000
    with Server(mails) as server, through(server, latency=0.05) as proxy, Hand(proxy) as hand:
        hand.login()
        started = time.monotonic()
        hand.ask(b"NOOP")
        assert 0.1 <= time.monotonic() - started < 0.25
        started = time.monotonic()
        hand.send(*(b"RETR %d" % n for n in range(1, 2001)), b"QUIT")
        assert len(hand.rest()) > 2_000_000
        assert 0.1 <= time.monotonic() - started < 0.8


def test_it_closes_whatever_happens() -> None:
    """Stuck clients, a server that is not there: close() is quick and leaves no thread."""
    before = threading.active_count()
    started = time.monotonic()
    with Server(MAILS, faults=[Fault.stall(0)]) as server, through(server) as proxy, Hand(proxy) as hand:
        hand.send(*LINES)
        time.sleep(0.05)
        proxy.close()
        proxy.close()
    with Proxy("127.0.0.1", server.port) as proxy, Hand(proxy) as hand:
        assert heard(proxy)[0] == b""
    assert time.monotonic() - started < 3
    assert threading.active_count() == before


def test_misuse_is_told() -> None:
    """A proxy knows no commands, and has a port only while it is open."""
    for fault in (Fault.refuse("DELE"), Fault.cut(1, command="RETR")):
        with pytest.raises(ValueError, match="only octets"):
            Proxy("127.0.0.1", 1, faults=[fault])
    with pytest.raises(ValueError, match="not open"):
        _ = Proxy("127.0.0.1", 1).port
