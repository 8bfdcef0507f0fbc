"""The proxy passes everything on to a server, with exactly the latency and faults that were requested."""

import socket
import threading
import time

import pytest

from pymailbox.testing import Fault, Proxy, Server, client_socket
from pymailbox.testing import proxy as relays
from tests.replay import WatchedClock
from tests.testing.by_hand import LOGIN, MAILS, Hand, settle, talk, threads_left
from tests.testing.test_faults import LINES, WHOLE, heard
from tests.timing import GENEROUS


def through(server: Server, **options: object) -> Proxy:
    return Proxy(server.host, server.port, **options)


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_it_changes_nothing(times: int) -> None:
    """Without faults every byte arrives, in both directions, also over half-closed connections and with TLS."""
    mails = [bytes(range(256)) * 4000 + b"\r\n"]
    with Server(mails) as server, through(server) as proxy:
        commands = [*[b"RETR 1"] * times, b"QUIT"]
        direct, relayed = talk(server, *commands), talk(proxy, *commands)
        assert direct == relayed
        assert len(direct) > times * len(mails[0])
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


def test_a_client_that_reads_late_gets_everything() -> None:
    """A client that does not read for a while blocks the proxy, but loses no bytes, and its own commands still pass."""
    mails = [bytes(range(256)) * 100_000 + b"\r\n"]  # more than the proxy and the system buffer
    with Server(mails) as server, through(server) as proxy, Hand(proxy) as hand:
        hand.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        hand.login()
        hand.send(b"RETR 1", b"QUIT")
        time.sleep(0.3)
        assert len(hand.rest()) > len(mails[0])
        settle(server)
        assert server.sessions[0].commands[-1] == "QUIT"


def test_it_carries_out_wire_faults() -> None:
    """Cuts, stalls, drips and splits happen at the requested byte, in the requested connection."""
    faults = [
        Fault.cut(50, session=1),
        Fault.cut(60, how="rst", session=2),
        Fault.stall(70, session=3),
        Fault.drip(50, 0.03, session=4),
        Fault.split(session=5),
        Fault.cut(20, toward="server", session=6),
        Fault.stall(20, toward="server", session=7),
    ]
    with Server(MAILS, lock_wait=GENEROUS) as server, through(server, faults=faults) as proxy:
        assert heard(proxy) == (WHOLE[:50], "fin")
        got, ended = heard(proxy)
        assert ended == "reset"
        assert WHOLE[:60].startswith(got)
        assert heard(proxy, stalls=70) == (WHOLE[:70], "silence")
        assert heard(proxy) == (WHOLE, "fin")
        assert heard(proxy) == (WHOLE, "fin")
        assert heard(proxy)[1] == "fin"
        asked = WHOLE[: WHOLE.index(b"+OK 3")]  # 20 bytes of commands contain the whole USER
        assert heard(proxy, stalls=len(asked)) == (asked, "silence")
        assert heard(proxy) == (WHOLE, "fin")
        settle(server)
        assert server.sessions[6].commands in (("USER me",), ())


def test_a_drip_pauses_between_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """That many bytes arrive at a time, with a pause in between."""
    clock = WatchedClock()
    monkeypatch.setattr(relays, "monotonic", clock)
    with Server(MAILS) as server, through(server, faults=[Fault.drip(50, 0.02)]) as proxy, Hand(proxy) as hand:
        hand.send(*LINES)
        segments = hand.arrivals(clock, 0.02)
    assert b"".join(segments) == WHOLE
    assert 0 < max(map(len, segments)) <= 50


def test_latency_delays_but_does_not_limit_throughput(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte is delayed both ways, even the first, and a long reply takes no longer than a short one."""
    mails = [b"x" * 998 + b"\r\n"] * 2000
    clock = WatchedClock()
    monkeypatch.setattr(relays, "monotonic", clock)
    with Server(mails) as server, through(server, latency=0.05) as proxy, Hand(proxy) as hand:
        hand.send(*LOGIN, *(b"RETR %d" % n for n in range(1, 2001)), b"QUIT")
        found = hand.arrivals(clock, 0.05)
    assert found[0] == b""
    assert found[1] in (b"", b"+OK pymailbox test server ready\r\n")  # the commands have only now arrived there
    assert sum(map(len, found)) > 2_000_000
    assert len(found) < 100


def test_close_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """close() does not wait for stuck clients or an unreachable server, and leaves no thread."""
    monkeypatch.setattr(client_socket, "_LINGER", 3600.0)
    before = threading.enumerate()
    with Server(MAILS, faults=[Fault.stall(0)]) as server, through(server) as proxy, Hand(proxy) as hand:
        hand.send(*LINES)
        time.sleep(0.05)
        proxy.close()
        proxy.close()
    assert not threads_left(before)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nothing listens there, and nothing else can
        with Proxy("127.0.0.1", taken.getsockname()[1]) as proxy, Hand(proxy):
            assert heard(proxy)[0] == b""
    assert not threads_left(before)


def test_misuse_is_a_value_error() -> None:
    """A proxy does not understand commands, has a port only while it is open, and cannot be opened twice."""
    for fault in (Fault.refuse("DELE"), Fault.cut(1, command="RETR")):
        with pytest.raises(ValueError, match="a proxy sees only bytes"):
            Proxy("127.0.0.1", 1, faults=[fault])
    with pytest.raises(ValueError, match="not open"):
        _ = Proxy("127.0.0.1", 1).port
    with Proxy("127.0.0.1", 1) as proxy, pytest.raises(ValueError, match="already open"):
        proxy.open()
