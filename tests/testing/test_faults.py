"""Each fault happens in the requested session, at the requested byte or command, and the server itself stays correct."""

import ssl
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymailbox.testing import Fault, Server, client_socket
from tests import case
from tests.replay import WatchedClock
from tests.testing.by_hand import LOGIN, MAILS, Hand, Listening, settle, talk, threads_left, trust
from tests.timing import GENEROUS

WHOLE = (
    b"+OK pymailbox test server ready\r\n+OK send the password\r\n+OK 3 messages\r\n"
    b"+OK %d octets\r\nSubject: second\r\n\r\nbody\r\n.\r\n+OK bye\r\n" % len(MAILS[1])
)
LINES = (*LOGIN, b"RETR 2", b"QUIT")


def heard(
    server: Listening, *lines: bytes, context: ssl.SSLContext | None = None, stalls: int | None = None
) -> tuple[bytes, str]:
    """Send all this at once; return what arrived, and how it ended: "fin", "reset", "ragged" or "silence".

    `stalls`: after that many bytes silence is expected, so do not wait for long.
    """
    got = b""
    try:
        with Hand(server) as hand:
            if context is not None:
                hand.sock = context.wrap_socket(hand.sock, server_hostname="localhost", suppress_ragged_eofs=False)
            hand.send(*(lines or LINES))
            while True:
                if stalls is not None and len(got) >= stalls:
                    hand.sock.settimeout(0.3)
                data = hand.sock.recv(65536)
                if not data:
                    break
                got += data
    except ConnectionError:
        return got, "reset"
    except ssl.SSLEOFError:
        return got, "ragged"
    except TimeoutError:
        return got, "silence"
    return got, "fin"


def test_without_faults_everything_arrives() -> None:
    """This is what the other tests compare with."""
    with Server(MAILS) as server:
        assert heard(server) == (WHOLE, "fin")


@pytest.mark.parametrize("how", ["fin", "rst", "ragged"])
@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_cut_ends_the_connection_at_any_byte(security: str, how: str) -> None:
    """Exactly that many bytes arrive, then the connection ends in the requested way."""
    end = {"fin": "fin", "rst": "reset", "ragged": "ragged" if security == "tls" else "fin"}[how]
    marks = (0, 1, 33, 34, 100, len(WHOLE) - 1, len(WHOLE))
    faults = [Fault.cut(after, how=how, session=number) for number, after in enumerate(marks, 1)]
    with Server(MAILS, security=security, faults=faults, lock_wait=GENEROUS) as server:
        for number, after in enumerate(marks):
            got, ended = heard(server, context=trust(server))
            # ssl reports a reset during a write as an end of file.
            assert ended == end or (how == "rst" and security == "tls" and ended == "ragged"), after
            assert got == WHOLE[:after] or (how == "rst" and WHOLE[:after].startswith(got)), after
            settle(server)
            assert server.sessions[number].ended == "cut", after


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(1, 3))
def test_a_cut_can_count_the_bytes_of_a_reply(after: int, nth: int) -> None:
    """With a command, bytes are counted from the start of its nth reply."""
    reply = b"+OK %d octets\r\nSubject: second\r\n\r\nbody\r\n.\r\n" % len(MAILS[1])
    with Server(MAILS, faults=[Fault.cut(after, command="retr", nth=nth)]) as server:
        got = talk(server, b"RETR 2", b"RETR 2", b"RETR 2", b"NOOP", b"NOOP", b"NOOP")
        head = b"+OK pymailbox test server ready\r\n+OK send the password\r\n+OK 3 messages\r\n"
        everything = reply * 3 + b"+OK still here\r\n" * 3
        assert got == head + everything[: len(reply) * (nth - 1) + after]


def test_a_cut_towards_the_server_loses_the_rest() -> None:
    """The server gets that many bytes from the client and no more, so later commands never take effect."""
    commands = b"".join(line + b"\r\n" for line in (*LOGIN, b"DELE 1", b"QUIT"))
    with Server(MAILS, faults=[Fault.cut(len(commands) - 1, toward="server")]) as server:
        got, _ = heard(server, *LOGIN, b"DELE 1", b"QUIT")
        assert got.endswith(b"+OK marked\r\n") or b"marked" not in got
        settle(server)
        assert server.messages == MAILS


def test_a_stall_keeps_the_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is silent after that many bytes; the connection stays open even after QUIT; close() still works at once."""
    monkeypatch.setattr(client_socket, "_LINGER", 3600.0)  # close() must not wait for the client
    before = threading.enumerate()
    retr = WHOLE.index(b"+OK %d octets" % len(MAILS[1]))
    for fault, expected in ((Fault.stall(40), WHOLE[:40]), (Fault.stall(3, command="RETR"), WHOLE[: retr + 3])):
        with Server(MAILS, faults=[fault], lock_wait=GENEROUS) as server:
            assert heard(server, stalls=len(expected)) == (expected, "silence")
            with Hand(server) as stuck:
                stuck.until()
                stuck.send(*LINES)
                time.sleep(0.05)
                server.close()
                assert not threads_left(before)
    with Server(MAILS, faults=[Fault.stall(command="QUIT")]) as server:
        marked = WHOLE[:retr] + b"+OK marked\r\n"
        assert heard(server, *LOGIN, b"DELE 1", b"QUIT", stalls=len(marked)) == (marked, "silence")
        settle(server)
        assert server.messages == MAILS[1:]


def test_a_drip_pauses_between_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """That many bytes arrive at a time, with a pause in between."""
    clock = WatchedClock()
    monkeypatch.setattr(client_socket, "monotonic", clock)
    with Server(MAILS, faults=[Fault.drip(50, 0.02)]) as server, Hand(server) as hand:
        hand.send(*LINES)
        segments = hand.arrivals(clock, 0.02)
    assert b"".join(segments) == WHOLE
    assert 0 < max(map(len, segments)) <= 50


@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_split_sends_single_bytes(security: str) -> None:
    """Every byte is sent in a separate segment (inside TLS, a separate record), and all arrive."""
    with Server(MAILS, security=security, faults=[Fault.split()]) as server:
        assert heard(server, context=trust(server)) == (WHOLE, "fin")
        if security == "tls":
            with Hand(server, server.client_context()) as hand:
                assert [hand.sock.recv(100) for _ in range(6)] == [b"+", b"O", b"K", b" ", b"p", b"y"]


def test_a_duplicate_sends_the_reply_twice() -> None:
    """Only the nth reply is doubled."""
    with Server(MAILS, faults=[Fault.duplicate("NOOP", nth=2)]) as server:
        assert talk(server, b"NOOP", b"NOOP", b"NOOP", b"QUIT").count(b"+OK still here\r\n") == 4


@pytest.mark.parametrize("before", [True, False])
def test_a_stray_line_comes_with_the_nth_reply(before: bool) -> None:
    """An unsolicited line arrives before or after the nth reply, in the same segment."""
    for nth in range(1, 5):
        with case("reply", nth):
            see_stray(nth, before)


def see_stray(nth: int, before: bool) -> None:
    """Check for the stray line in one conversation."""
    fault = Fault.stray(b"+OK forged\r\n", nth=nth, before=before)
    with Server(MAILS, faults=[fault]) as server, Hand(server) as hand:
        hand.until()
        for number, line in enumerate(LINES, 1):
            end = b"\r\n.\r\n" if line.startswith(b"RETR") else b"\r\n"
            if number == nth and before:
                assert hand.ask(line) == b"+OK forged\r\n"
                assert hand.until(end).startswith(b"+OK")
                continue
            assert hand.ask(line, end).startswith(b"+OK")
            if number == nth:
                assert hand.data == b"+OK forged\r\n"
                hand.data = b""


def test_a_stray_line_can_follow_the_greeting() -> None:
    """The greeting does not count as a command; its name is GREETING."""
    with Server(MAILS, faults=[Fault.stray(command="GREETING")]) as server, Hand(server) as hand:
        assert hand.until() == WHOLE[: WHOLE.index(b"\n") + 1]
        assert hand.data == b"+OK stray\r\n"


def test_a_refused_command_has_no_effect() -> None:
    """The reply is -ERR with the text, and nothing is done."""
    with Server(
        MAILS, faults=[Fault.refuse("DELE", nth=2, text="[SYS/TEMP] later"), Fault.refuse("*", nth=5)]
    ) as server:
        got = talk(server, b"DELE 1", b"DELE 2", b"DELE 3", b"QUIT")
        assert got.endswith(b"+OK marked\r\n-ERR [SYS/TEMP] later\r\n-ERR refused\r\n+OK bye\r\n")
        assert server.messages == MAILS[1:]
    with Server(MAILS, faults=[Fault.refuse("PASS", text="[LOGIN-DELAY] wait", session=1)]) as server:
        assert b"-ERR [LOGIN-DELAY] wait\r\n" in talk(server, b"QUIT")
        assert server.log[1] == "PASS ***"
        assert b"+OK 3 messages\r\n" in talk(server, b"QUIT")


def test_a_drop_closes_instead_of_answering() -> None:
    """The command takes effect only if `takes_effect` is True."""
    for takes_effect, left in ((False, MAILS), (True, MAILS[1:])):
        for how, ended in (("fin", "fin"), ("rst", "reset")):
            fault = Fault.drop("QUIT", how=how, takes_effect=takes_effect)
            with Server(MAILS, faults=[fault]) as server:
                got = heard(server, *LOGIN, b"DELE 1", b"QUIT")
                assert got[1] == ended
                assert got[0].endswith(b"+OK marked\r\n") or how == "rst"
                settle(server)
                assert server.messages == left
                assert server.sessions[0].ended == "dropped"


def test_replace_sends_other_bytes() -> None:
    """Any bytes can replace the reply; the command takes effect unless `takes_effect` is False."""
    with Server(
        MAILS,
        faults=[Fault.replace("GREETING", reply=b"HTTP/1.0 400\r\n"), Fault.replace("DELE", None, reply=b"\0\xff\r\n")],
    ) as server:
        got = talk(server, b"DELE 1", b"DELE 2", b"QUIT")
        assert got.startswith(b"HTTP/1.0 400\r\n+OK send")
        assert got.endswith(b"\0\xff\r\n\0\xff\r\n+OK bye\r\n")
        assert server.messages == MAILS[2:]
    with Server(MAILS, faults=[Fault.replace("DELE", reply=b"+OK forged\r\n", takes_effect=False)]) as server:
        assert b"+OK forged\r\n" in talk(server, b"DELE 1", b"QUIT")
        assert server.messages == MAILS


def test_a_line_that_continues_auth_is_called_response() -> None:
    """Faults name these lines RESPONSE, and their secrets stay out of the log."""
    with Server(MAILS, faults=[Fault.refuse("RESPONSE", text="no")]) as server:
        got = talk(server, b"QUIT", login=(b"AUTH PLAIN", b"AG1lAHNlY3JldA=="))
        assert got.endswith(b"+ \r\n-ERR no\r\n+OK bye\r\n")
        assert server.log == ("AUTH PLAIN", "***", "QUIT")


ENDLESS = [
    ("RETR", b"+OK\r\n", b"line\r\n"),
    ("GREETING", b"+OK ", b"x"),
    ("CAPA", b"+OK\r\n", b"X\r\n"),
    ("NOOP", b"", b"+OK\r\n"),
]


@pytest.mark.parametrize("most", [1_000_000, pytest.param(20_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("security", ["none", "tls"])
def test_an_endless_reply_repeats_its_chunk(security: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sends the start, then the chunk at full speed until the client closes; the server can always close."""
    monkeypatch.setattr(client_socket, "_LINGER", 3600.0)  # close() must not wait for the client
    for command, start, chunk in ENDLESS:
        with case(command):
            take_endless(security, command, start, chunk, most)


def take_endless(security: str, command: str, start: bytes, chunk: bytes, most: int) -> None:
    """Read that many bytes of an endless reply and close; then leave one unread while the server closes."""
    before = threading.enumerate()
    fault = Fault.endless(command, start=start, chunk=chunk)
    with Server(MAILS, security=security, faults=[fault], lock_wait=GENEROUS) as server:
        with Hand(server, trust(server)) as hand:
            if command != "GREETING":
                hand.login()
                hand.send(f"{command} 1".encode())
            wanted = start + chunk * 1000
            while len(hand.data) < len(wanted):
                hand.data += hand.some()
            assert hand.data.startswith(wanted)
            total = 0
            while total < most:
                total += len(hand.some(1 << 20))
        settle(server)
        unread = Hand(server, trust(server))
        unread.send(*LOGIN, f"{command} 1".encode())
    assert not threads_left(before)
    unread.sock.close()


def test_new_uids_changes_the_uids_of_one_session() -> None:
    """One session shows unique-ids that no other session has."""
    uids = []
    with Server(MAILS, faults=[Fault.new_uids(session=2)]) as server:
        for _ in range(3):
            with Hand(server) as hand:
                listing = hand.login().listing(b"UIDL")
                uids.append([line.partition(b" ")[2] for line in listing.split(b"\r\n")[1:-2]])
                hand.ask(b"QUIT")
    assert uids[0] == uids[2]
    assert not set(uids[0]) & set(uids[1])


def test_a_fault_can_be_limited_to_one_session() -> None:
    """`session` counts the connections that the server accepts."""
    with Server(MAILS, faults=[Fault.cut(0, session=2)]) as server:
        assert [len(heard(server)[0]) for _ in range(3)] == [len(WHOLE), 0, len(WHOLE)]


def test_faults_are_values() -> None:
    """They can be compared and hashed; invalid arguments are ValueError at once."""
    assert Fault.cut(5) == Fault.cut(after=5)
    assert Fault.cut(5) != Fault.stall(5)
    assert hash(Fault.refuse("dele")) == hash(Fault.refuse("DELE"))
    for wrong in (
        lambda: Fault.cut(-1),
        lambda: Fault.refuse("DELE", nth=0),
        lambda: Fault.new_uids(session=0),
        lambda: Fault.cut(1, toward="server", command="RETR"),
        lambda: Fault.drip(0),
        lambda: Fault.split(0),
        lambda: Fault.endless(chunk=b""),
    ):
        with pytest.raises(ValueError):
            wrong()
