"""THREATS, section C: the framing of messages. One test for each row, by its number; promises 1, 6 and 8.

The numbers of rounds are small here. `PYMAILBOX_THOROUGH=1` plays them as often as the promises say: 10,000 random
bodies through a socket, every octet of 50 transcripts plain and inside TLS, 2 GB to a sink.
"""

import contextlib
import os
import random
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pymailbox import Mailbox
from pymailbox.errors import CommandError, ConnectionLost, MailboxError, ProtocolError, Timeout
from pymailbox.pop3 import Connection, commands
from pymailbox.pop3.limits import Limits
from pymailbox.testing import Fault, Quirk, Server
from pymailbox.testing.certificates import Certificates
from tests.conversations import Exchange, awkward_body, stuffed, transcript
from tests.endless import TIMEOUT
from tests.replay import Replay, connected, reset

THOROUGH = os.environ.get("PYMAILBOX_THOROUGH") == "1"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and a limit on address space")


def retrieved(wire: bytes, *, segment: int | None = None, stream: bool = False) -> bytes:
    """Return message 1, as it comes when `wire` is the reply to RETR."""
    with connected((b"RETR 1\r\n", wire), segment=segment) as (pop, _):
        if not stream:
            return pop.retr(1)
        chunks = bytearray()
        assert pop.retr(1, chunks.extend) == len(chunks)
        return bytes(chunks)


@contextlib.contextmanager
def logged_in(server: Server, **options: Any) -> Iterator[Connection]:
    """Open a connection to the embedded server and log in."""
    with Connection(server.host, server.port, **({"security": "none", "timeout": 5.0} | options)) as pop:
        pop.user("me")
        pop.pass_("secret")
        yield pop


def both(wire: bytes) -> bytes:
    """Return message 1, which has to be the same kept and streamed."""
    kept = retrieved(wire)
    assert retrieved(wire, stream=True) == kept
    return kept


def test_threat_38_long_lines() -> None:
    """A line of a message may have any length within the message limit, byte for byte."""
    for length in (2_047, 2_048, 2_049, 100_000, 1_000_000):
        body = b"Subject: x\r\n\r\n" + b"x" * length + b"\r\n"
        assert both(b"+OK\r\n" + stuffed(body)) == body


def test_threat_39_bare_lf_dot_lf() -> None:
    """LF . LF inside a body ends nothing in CRLF mode."""
    body = b"a\n.\nb\n.\r\nc\r\n"
    assert both(b"+OK\r\n" + body + b".\r\n") == body


def test_threat_40_cr_dot_lf() -> None:
    """CR . LF and a leading CR are content, byte for byte."""
    body = b"\rleading\r.\n\r\r\n\r.\r\n"
    assert both(b"+OK\r\n" + body + b".\r\n") == body


def test_threat_41_one_dot_is_stripped() -> None:
    """Exactly one dot is stripped from each line that begins with one."""
    assert both(b"+OK\r\n..one\r\n...two\r\n.hidden\r\nx.\r\n..\r\n.\r\n") == b".one\r\n..two\r\nhidden\r\nx.\r\n.\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_threat_42_end_mark_in_segments(size: int) -> None:
    """The end mark is found in whatever segments it comes, and at every border of our buffers."""
    body = b"..\r\n.x\r\n\r\n"
    assert retrieved(b"+OK\r\n" + stuffed(body), segment=size) == body


@pytest.mark.parametrize("border", [16_384, 65_536, 262_144])
def test_threat_42_end_mark_at_buffer_borders(border: int) -> None:
    """A body whose end falls around the border of a buffer is whole."""
    for length in range(border - 12, border + 4):
        body = b"x" * length + b"\r\n"
        assert retrieved(b"+OK\r\n" + stuffed(body), stream=length % 2 == 0) == body


@pytest.mark.parametrize("rest", [b"", b"\r", b"\r\n", b"\r\n.", b"\r\n.\r", b"\r\n.h", b"\r\n.\n", b"\n.\n"])
def test_threat_43_44_end_of_stream_before_the_end_mark(rest: bytes) -> None:
    """FIN before CRLF . CRLF is `ConnectionLost`, also behind `.h` or `.` CR: nothing is a message."""
    with (
        connected((b"RETR 1\r\n", b"+OK\r\nSubject: x" + rest)) as (pop, _),
        pytest.raises(ConnectionLost, match="middle of a message"),
    ):
        pop.retr(1)


@pytest.mark.parametrize("how", ["fin", "rst", "ragged"])
def test_threat_45_46_cut_in_a_message(how: Any) -> None:
    """A cut inside TLS, polite or ragged, and a reset, are typed errors; what a sink got is not a message."""
    mails = [b"Subject: x\r\n\r\n" + b"line\r\n" * 1000]
    for security in ("tls", "none"):
        with Server(mails, security=security, faults=[Fault.cut(3000, command="RETR", how=how)]) as server:
            context = server.client_context() if security == "tls" else None
            with Connection("localhost", server.port, security=security, ssl_context=context, timeout=5) as pop:  # type: ignore[arg-type]
                pop.user("me")
                pop.pass_("secret")
                chunks = bytearray()
                with pytest.raises(MailboxError):
                    pop.retr(1, chunks.extend)
                assert len(chunks) < len(mails[0])
                with pytest.raises(ConnectionLost):
                    pop.retr(1)


def test_threat_46_stall_in_a_message() -> None:
    """A stall in the middle is `Timeout`, and says that the end of a body was due."""
    with (
        connected((b"RETR 1\r\n", b"+OK\r\nSubject: x\r\n\r\nhalf\r\n."), ending="stay", timeout=0.2) as (pop, _),
        pytest.raises(Timeout, match="the end of a body"),
    ):
        pop.retr(1)


def child(case: str, server: Server) -> str:
    """Run one case of `tests.endless`; return what it printed."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.endless", case, server.host, str(server.port)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not run.stderr, run.stderr
    return run.stdout.strip()


@LINUX
@pytest.mark.parametrize(
    ("case", "fault", "error"),
    [
        ("GREETING", Fault.endless("GREETING", start=b"+OK ", chunk=b"x" * 1000), "LimitExceeded status_line"),
        ("LINE", Fault.endless("NOOP", start=b"+OK ", chunk=b"x" * 1000), "LimitExceeded status_line"),
        ("RETR", Fault.endless("RETR"), "LimitExceeded message"),
        ("RETR", Fault.endless("RETR", chunk=b"x" * 1000), "LimitExceeded message"),
        ("RETR", Fault.endless("RETR", chunk=b"..\r\n"), "LimitExceeded message"),
        ("TOP", Fault.endless("TOP"), "LimitExceeded message"),
        ("LIST", Fault.endless("LIST", chunk=b"1 1\r\n"), "LimitExceeded message"),
        ("LIST", Fault.endless("LIST", chunk=b"1" * 1000), "LimitExceeded status_line"),
        ("UIDL", Fault.endless("UIDL", chunk=b"1 abcdefgh\r\n"), "LimitExceeded message"),
        ("CAPA", Fault.endless("CAPA", chunk=b"X-MORE\r\n"), "LimitExceeded header"),
        ("LANG", Fault.endless("LANG", chunk=b"de Deutsch\r\n"), "LimitExceeded header"),
        ("PIPELINE", Fault.endless("RETR", 2), "ConnectionLost None"),
    ],
)
def test_threat_47_endless_in_little_memory(case: str, fault: Fault, error: str) -> None:
    """Under 512 MiB of address space, with a message limit of 64 MiB: a typed error in time, never MemoryError."""
    with Server([b"Subject: x\r\n\r\n"] * 3, faults=[fault]) as server:
        printed = child(case, server)
    kind, _, seconds = printed.rpartition(" ")
    assert kind == error, printed
    assert float(seconds) < TIMEOUT + 0.5


@LINUX
def test_threat_47_endless_challenges() -> None:
    """Challenges without end are given up after `Limits.sasl_rounds`."""
    with Server([b"x\r\n"], quirks=Quirk.ENDLESS_CHALLENGES) as server:
        printed = child("AUTH", server)
    assert printed.split()[0] in {"LimitExceeded", "ProtocolError", "AuthenticationError", "CommandError"}, printed
    assert float(printed.split()[-1]) < TIMEOUT + 0.5


@LINUX
def test_threat_47_streaming_takes_one_chunk() -> None:
    """A message of 200 MB (2 GB when thorough) streamed to a sink leaves the process where it was, within 8 MB."""
    count = 32_768 if THOROUGH else 3_200
    block = (b"x" * 998 + b"\r\n" + b".." + b"y" * 996 + b"\r\n") * 32
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            sock.sendall(b"+OK\r\n")
            for line in sock.makefile("rb"):
                if not line.startswith(b"RETR"):
                    sock.sendall(b"+OK\r\n")
                    continue
                sock.sendall(b"+OK\r\n")
                for _ in range(count if line == b"RETR 1\r\n" else 100):
                    sock.sendall(block)
                sock.sendall(b".\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    run = subprocess.run(
        [sys.executable, "-m", "tests.endless", "STREAM", "127.0.0.1", str(listener.getsockname()[1])],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    thread.join(10)
    assert not run.stderr
    octets, growth = map(int, run.stdout.split())
    assert octets == (len(block) - 32) * count
    assert growth < 8 * 1024 * 1024, growth


def test_threat_48_declared_size() -> None:
    """Sizes in STAT, LIST and the status line are hints: nothing is allocated by them, nothing ends by them."""
    script = [
        (b"STAT\r\n", b"+OK 1 99999999999999\r\n"),
        (b"LIST\r\n", b"+OK\r\n1 999999999999999999\r\n.\r\n"),
        (b"RETR 1\r\n", b"+OK 99999999999999 octets\r\nx\r\n.\r\n"),
        (b"RETR 1\r\n", b"+OK 0 octets\r\nx\r\n.\r\n"),
        (b"RETR 1\r\n", b"+OK -5 octets\r\nx\r\n.\r\n"),
    ]
    with connected(*script) as (pop, _):
        assert pop.stat().size == 99_999_999_999_999
        assert pop.list() == {1: 999_999_999_999_999_999}
        assert [pop.retr(1) for _ in range(3)] == [b"x\r\n"] * 3


def test_threat_49_every_octet() -> None:
    """8-bit, NUL, lone CR and lone LF come through as they are."""
    body = bytes(range(256)) * 3 + b"\r\n"
    assert both(b"+OK\r\n" + stuffed(body)) == body


def test_threat_50_empty_message() -> None:
    """An empty message is b"", not an error."""
    assert both(b"+OK\r\n.\r\n") == b""
    assert both(b"+OK\r\n\r\n.\r\n") == b"\r\n"


def test_threat_51_err_with_more_lines() -> None:
    """-ERR with more lines behind it ends the session, now or with the next command."""
    with connected((b"RETR 1\r\n", b"-ERR no\r\nsuch message\r\n")) as (pop, _), pytest.raises(ProtocolError):
        pop.retr(1)


@pytest.mark.parametrize(
    ("quirk", "check"),
    [
        (Quirk.TOP_REFUSED, lambda got: isinstance(got, CommandError)),
        (Quirk.TOP_IGNORES_COUNT, lambda got: got == b"Subject: x\r\n\r\nbody\r\n"),
        (Quirk.TOP_ONE_LINE, lambda got: got == b"Subject: x\r\n"),
    ],
)
def test_threat_52_odd_top(quirk: Quirk, check: Callable[[object], bool]) -> None:
    """TOP that is refused, or gives more or less than asked, is what it is: nothing hangs, nothing is mended."""
    with Server([b"Subject: x\r\n\r\nbody\r\n"], quirks=quirk) as server, logged_in(server) as pop:
        assert check(next(pop.pipeline([commands.top(1, 0)])))


def test_threat_53_abandoned_stream() -> None:
    """After a stream that was left, the body's rest is never read as replies."""

    class Enough(Exception):
        pass

    def sink(_: bytes) -> None:
        raise Enough

    body = b"+OK 7 7\r\n" * 100_000
    with connected((b"RETR 1\r\n", b"+OK\r\n" + stuffed(body))) as (pop, replay):
        with pytest.raises(Enough):
            pop.retr(1, sink)
        with pytest.raises(ConnectionLost):
            pop.stat()
    assert replay.received == b"RETR 1\r\n"


def test_threat_54_err_in_a_pipeline() -> None:
    """The k-th reply belongs to the k-th command; only the refused one fails."""
    mails = [b"Subject: %d\r\n\r\n" % number for number in range(1, 301)]
    refusals = [Fault.refuse("RETR", nth) for nth in (1, 65, 300)]
    with Server(mails, faults=refusals) as server, logged_in(server) as pop:
        results = list(pop.pipeline(map(commands.retr, range(1, 301))))
    for number, result in enumerate(results, 1):
        assert isinstance(result, CommandError) if number in (1, 65, 300) else result == mails[number - 1]


def test_threat_55_pipelining_that_loses_commands() -> None:
    """A server that lists PIPELINING and drops what is pipelined is `Timeout`, and remembered."""
    with Server([b"x\r\n"] * 9, quirks=Quirk.DROPS_PIPELINED) as server:
        with logged_in(server, timeout=0.3) as pop:
            with pytest.raises(Timeout):
                list(pop.pipeline(map(commands.retr, range(1, 10))))
            assert "DROPS_PIPELINED" in pop.quirks
            remembered = pop.session.may_pipeline
        with logged_in(server, pipelining=remembered) as pop:
            assert list(pop.pipeline(map(commands.retr, range(1, 10)))) == [b"x\r\n"] * 9


def test_threat_55_the_next_session_goes_one_by_one() -> None:
    """A mailbox whose server stalls pipelines works in the next session, one command after the other (decision 7)."""
    with (
        Server([b"Subject: x\r\n\r\n"] * 9, quirks=Quirk.DROPS_PIPELINED, latency=0.01) as server,
        Mailbox.from_url(server.url, "secret", timeout=0.3) as inbox,
    ):
        with pytest.raises(Timeout):
            list(inbox.fetch())
        inbox.reopen()
        assert [message.raw for message in inbox.fetch()] == [b"Subject: x\r\n\r\n"] * 9
        inbox.reopen()
        assert [message.subject for message in inbox] == ["x"] * 9


def test_threat_56_deadlock_of_full_buffers() -> None:
    """A server that reads no commands while its replies wait is no deadlock: we read while we write."""
    mails = [b"x" * 200_000 + b"\r\n"] * 400
    octets = 0
    with (
        Server(mails, quirks=Quirk.STOPS_READING) as server,
        logged_in(server, timeout=20, limits=Limits(window=1 << 30)) as pop,
    ):
        for body in pop.pipeline(map(commands.retr, range(1, 401))):
            assert isinstance(body, bytes)
            octets += len(body)
    assert octets == 400 * 200_002


def test_threat_57_closed_in_a_pipeline() -> None:
    """What was answered before the end is handed out; the rest is told as lost."""
    mails = [b"Subject: %d\r\n\r\n" % number for number in range(1, 51)]
    with Server(mails, faults=[Fault.cut(5, command="RETR", nth=20)]) as server, logged_in(server) as pop:
        pipeline = pop.pipeline(map(commands.retr, range(1, 51)))
        assert [next(pipeline) for _ in range(19)] == mails[:19]
        with pytest.raises(ConnectionLost):
            next(pipeline)


# --- promise 1: byte for byte, or an error ----------------------------------------------------------------------------


def test_promise_1_random_bodies_in_random_segments() -> None:
    """Random bodies through a real socket in random segments come back byte for byte, kept, streamed and pipelined."""
    rounds = 10_000 if THOROUGH else 400
    rng = random.Random(1939)
    bodies = [awkward_body(rng, 1_000_000 if number % 500 == 0 else 3000) for number in range(rounds)]
    chunks = random.Random(2449)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.sendall(b"+OK\r\n")
                for line in sock.makefile("rb"):
                    if line == b"CAPA\r\n":
                        sock.sendall(b"+OK\r\nPIPELINING\r\n.\r\n")
                        continue
                    wire = b"+OK\r\n" + stuffed(bodies[int(line.split()[1]) - 1])
                    at = 0
                    while at < len(wire):
                        size = chunks.choice((1, 2, 3, 10, 100, 1000, 50_000))
                        sock.sendall(wire[at : at + size])
                        at += size

        thread = threading.Thread(target=serve)
        thread.start()
        differences = 0
        with Connection("127.0.0.1", listener.getsockname()[1], security="none", timeout=20) as pop:
            half = rounds // 2
            for number in range(1, half + 1):
                if number % 2:
                    differences += pop.retr(number) != bodies[number - 1]
                else:
                    got = bytearray()
                    pop.retr(number, got.extend)
                    differences += got != bodies[number - 1]
            for number, body in enumerate(pop.pipeline(map(commands.retr, range(half + 1, rounds + 1))), half + 1):
                differences += body != bodies[number - 1]
        thread.join(10)
    assert number == rounds
    assert differences == 0


@pytest.fixture(scope="module")
def certificates() -> Iterator[Certificates]:
    made = Certificates.make("localhost")
    yield made
    made.close()


def play(exchanges: list[Exchange], pop: Connection) -> list[Any]:
    """Ask everything but the greeting, one by one; return the results, a refusal as its text."""
    found: list[Any] = []
    for exchange in exchanges[1:]:
        try:
            found.append(pop.execute(exchange.command))
        except CommandError as refused:
            found.append(refused.response)
    return found


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_promise_1_truncated_at_every_octet(tls: bool, certificates: Certificates) -> None:
    """The end of the stream at every octet of a transcript is a typed error, plain and inside TLS, polite and ragged."""
    seeds = range(50) if THOROUGH else range(2 if tls else 4)
    client_context = certificates.client_context() if tls else None
    ends: list[Callable[[socket.socket], object]] = [lambda sock: sock.shutdown(socket.SHUT_WR), reset]
    played = 0
    for seed in seeds:
        exchanges = short(seed)
        wire = b"".join(exchange.wire for exchange in exchanges)
        lines = [exchange.command.line for exchange in exchanges]
        for cut in range(len(wire)):
            steps: list[Any] = []
            at = 0
            for line, exchange in zip(lines, exchanges, strict=True):
                steps.append((line or None, exchange.wire[: max(0, cut - at)]))
                at += len(exchange.wire)
                if at > cut:
                    break
            steps.append((None, ends[cut % 2]))
            with Replay(steps, context=certificates.context if tls else None, tcp=True) as replay:
                pop = Connection(
                    "localhost",
                    security="tls" if tls else "none",
                    ssl_context=client_context,
                    sock=replay.client,
                    timeout=10,
                )
                found: list[Any] = []
                with pytest.raises(MailboxError) as caught:
                    found = play(exchanges, pop.open())
                assert not isinstance(caught.value, CommandError)
                assert not found
                pop.close()
            assert not replay.problem
            played += 1
    assert played > 100


def short(seed: int) -> list[Exchange]:
    """Return a transcript of some two hundred octets."""
    rng = random.Random(seed)
    body = b"".join(
        rng.choice([b".\r\n", b"..x\r\n", b"\r\n", b"\n.\n\r\n", b"text\r\n", b"\r.\r\n"]) for _ in range(6)
    )
    return [
        Exchange(commands.greeting(), b"+OK\r\n", ""),
        Exchange(commands.stat(), b"+OK 2 320\r\n", commands.Stat(2, 320)),
        Exchange(commands.uidl(), b"+OK\r\n1 a\r\n2 b\r\n.\r\n", {1: "a", 2: "b"}),
        Exchange(commands.retr(1), b"+OK\r\n" + stuffed(body), body),
        Exchange(commands.dele(1), b"+OK\r\n", ""),
    ]


# --- promise 8: a reply is never paired with another command ------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False], ids=["with the last reply owed", "when nothing is owed"])
def test_promise_8_one_stray_line(together: bool) -> None:
    """A stray line at each position of many transcripts: no wrong value, and no DELE believed behind it."""
    strays = [b"+OK\r\n", b"-ERR no\r\n", b"+OK 9 999\r\n", b".\r\n", b"\r\n", b"+OK\r\n.\r\n"]
    wrong = believed = 0
    for seed in range(100 if THOROUGH else 30):
        exchanges = transcript(seed, 5)
        stray = strays[seed % len(strays)]
        for position in range(len(exchanges)):
            steps: list[Any] = []
            for index, exchange in enumerate(exchanges):
                reply = exchange.wire + (stray if together and index == position else b"")
                steps.append((exchange.command.line or None, reply))
                if not together and index == position:
                    steps.append((None, lambda sock, stray=stray: (time.sleep(0.001), sock.sendall(stray))))
            with Replay(steps) as replay:
                pop = Connection("localhost", security="none", sock=replay.client, timeout=5)
                values: list[Any] = []
                try:
                    pop.open()
                    for index, exchange in enumerate(exchanges[1:], 1):
                        if not together and index == position + 1:
                            assert select.select([replay.client], [], [], 5)[0]
                        try:
                            values.append(pop.execute(exchange.command))
                        except CommandError as refused:
                            values.append(refused.response)
                    if not together and position == len(exchanges) - 1:
                        assert select.select([replay.client], [], [], 5)[0]
                    pop.dele(99)
                    believed += 1
                except MailboxError as error:
                    wrong += error.usable
                pop.close()
            assert b"DELE 99" not in replay.received
            wrong += values != [exchange.result for exchange in exchanges[1 : len(values) + 1]]
            wrong += len(values) > position
    assert wrong == 0
    assert believed == 0


def test_tls_context_is_a_servers(certificates: Certificates) -> None:
    """The certificates used here verify: the tests inside TLS run with a verifying context."""
    assert certificates.client_context().verify_mode is ssl.CERT_REQUIRED
