"""Against hostile servers a message is read byte for byte or is an error, and no reply reaches another command.

A mark names the threat. The number of rounds is small here; `-m slow` runs more: 10,000 random bodies through a
socket, every byte of 50 replies plain and inside TLS, 2 GB to a sink.
"""

import contextlib
import random
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pymailbox import Mailbox
from pymailbox.errors import CommandError, ConnectionLost, MailboxError, Timeout
from pymailbox.pop3 import Connection, commands
from pymailbox.pop3.limits import Limits
from pymailbox.testing import Fault, Quirk, Server
from pymailbox.testing.certificates import Certificates
from tests import ROOT, case
from tests.conversations import Exchange, awkward_body, stuffed, transcript
from tests.replay import Replay, connected, reset
from tests.timing import GENEROUS, ended, hurry

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and a limit on address space")


def often(few: int, many: int) -> pytest.MarkDecorator:
    """Run a test with few rounds, or with many as a slow test."""
    return pytest.mark.parametrize("rounds", [few, pytest.param(many, marks=pytest.mark.slow)])


@contextlib.contextmanager
def logged_in(server: Server, **options: Any) -> Iterator[Connection]:
    """Open a connection to the embedded server and log in."""
    with Connection(server.host, server.port, **({"security": "none", "timeout": GENEROUS} | options)) as pop:
        pop.user("me")
        pop.pass_("secret")
        yield pop


def both(wire: bytes) -> bytes:
    """Return message 1 from `wire`, the reply to RETR; it must be the same kept and streamed."""
    with connected((b"RETR 1\r\n", wire), (b"RETR 1\r\n", wire)) as (pop, _):
        kept = pop.retr(1)
        chunks = bytearray()
        assert pop.retr(1, chunks.extend) == len(chunks)
        assert chunks == kept
        return kept


@pytest.mark.threat(38)
def test_lines_of_any_length_are_kept() -> None:
    """A line of any length within the limit of a message is kept byte for byte."""
    for length in (2_047, 2_048, 2_049, 100_000, 1_000_000):
        body = b"Subject: x\r\n\r\n" + b"x" * length + b"\r\n"
        assert both(b"+OK\r\n" + stuffed(body)) == body, length


@pytest.mark.threat(39)
@pytest.mark.threat(40)
@pytest.mark.threat(41)
@pytest.mark.threat(49)
@pytest.mark.threat(50)
def test_dots_line_ends_and_bytes_are_kept() -> None:
    """Only CRLF . CRLF ends a body, a line that begins with a dot loses exactly one, and the rest is content."""
    data = bytes(range(256)) * 3 + b"\r\n"
    for wire, body in (
        (b"a\n.\nb\n.\r\nc\r\n.\r\n", b"a\n.\nb\n.\r\nc\r\n"),
        (b"\rleading\r.\n\r\r\n\r.\r\n.\r\n", b"\rleading\r.\n\r\r\n\r.\r\n"),
        (b"..one\r\n...two\r\n.hidden\r\nx.\r\n..\r\n.\r\n", b".one\r\n..two\r\nhidden\r\nx.\r\n.\r\n"),
        (stuffed(data), data),
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
    ):
        assert both(b"+OK\r\n" + wire) == body, wire


@pytest.mark.threat(42)
def test_a_body_that_ends_at_the_edge_of_a_buffer_is_whole() -> None:
    """A body that ends around the edge of a buffer is whole (for segments of any size see below)."""
    for border in (16_384, 65_536, 262_144):
        for length in range(border - 12, border + 4):
            body = b"x" * length + b"\r\n"
            assert both(b"+OK\r\n" + stuffed(body)) == body, length


@pytest.mark.threat(43)
@pytest.mark.threat(44)
def test_the_end_of_the_stream_before_that_of_a_body_is_connection_lost() -> None:
    """FIN before CRLF . CRLF is `ConnectionLost`, even after `.h` or `.` CR, and no message."""
    for rest in (b"", b"\r", b"\r\n", b"\r\n.", b"\r\n.\r", b"\r\n.h", b"\r\n.\n", b"\n.\n"):
        with (
            case(rest),
            connected((b"RETR 1\r\n", b"+OK\r\nSubject: x" + rest)) as (pop, _),
            pytest.raises(ConnectionLost, match="middle of a message"),
        ):
            pop.retr(1)


@pytest.mark.threat(45)
@pytest.mark.threat(46)
@pytest.mark.parametrize("how", ["fin", "rst", "ragged"])
def test_a_truncated_message_is_an_error(how: Any) -> None:
    """FIN, RST and a TLS stream without its end are typed errors; a sink never gets the whole message."""
    mails = [b"Subject: x\r\n\r\n" + b"line\r\n" * 1000]
    for security in ("tls", "none"):
        with case(security), contextlib.ExitStack() as stack:
            server = Server(mails, security=security, faults=[Fault.cut(3000, command="RETR", how=how)])  # type: ignore[arg-type]
            stack.enter_context(server)
            context = server.client_context() if security == "tls" else None
            pop = Connection("localhost", server.port, security=security, ssl_context=context, timeout=GENEROUS)  # type: ignore[arg-type]
            stack.enter_context(pop)
            pop.user("me")
            pop.pass_("secret")
            chunks = bytearray()
            with pytest.raises(MailboxError):
                pop.retr(1, chunks.extend)
            assert len(chunks) < len(mails[0])
            with pytest.raises(ConnectionLost):
                pop.retr(1)


def child(*arguments: object) -> list[str]:
    """Run `tests.endless` in another process; return the lines it printed."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.endless", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=5 * GENEROUS,
        check=False,
    )
    assert not run.stderr, run.stderr
    return run.stdout.splitlines()


ENDLESS: list[tuple[str, Callable[[int], Fault | None], str]] = [
    ("GREETING", lambda n: Fault.endless("GREETING", start=b"+OK ", chunk=b"x" * 1000, session=n), "status_line"),
    ("LINE", lambda n: Fault.endless("NOOP", start=b"+OK ", chunk=b"x" * 1000, session=n), "status_line"),
    ("RETR", lambda n: Fault.endless("RETR", session=n), "message"),
    ("RETR", lambda n: Fault.endless("RETR", chunk=b"x" * 1000, session=n), "message"),
    ("RETR", lambda n: Fault.endless("RETR", chunk=b"..\r\n", session=n), "message"),
    ("TOP", lambda n: Fault.endless("TOP", session=n), "message"),
    ("LIST", lambda n: Fault.endless("LIST", chunk=b"1 1\r\n", session=n), "message"),
    ("LIST", lambda n: Fault.endless("LIST", chunk=b"1" * 1000, session=n), "status_line"),
    ("UIDL", lambda n: Fault.endless("UIDL", chunk=b"1 abcdefgh\r\n", session=n), "message"),
    ("CAPA", lambda n: Fault.endless("CAPA", chunk=b"X-MORE\r\n", session=n), "header"),
    ("LANG", lambda n: Fault.endless("LANG", chunk=b"de Deutsch\r\n", session=n), "header"),
    ("PIPELINE", lambda n: Fault.endless("RETR", 11, session=n), "ConnectionLost"),
    ("AUTH", lambda _: None, "ProtocolError"),  # a quirk of the server: endless challenges
]


@LINUX
@pytest.mark.threat(47)
@pytest.mark.parametrize(("message", "room"), [(3, 24), pytest.param(64, 448, marks=pytest.mark.slow)])
def test_endless_replies_are_errors_in_little_memory(message: int, room: int) -> None:
    """Within a few times the address space of the message limit, the result is a typed error, not MemoryError."""
    faults = [fault for number, (_, made, _) in enumerate(ENDLESS, 1) if (fault := made(number)) is not None]
    with Server([b"Subject: x\r\n\r\n"] * 12, faults=faults, quirks=Quirk.ENDLESS_CHALLENGES, lock=False) as server:
        printed = child("endless", server.host, server.port, message, room, *(name for name, _, _ in ENDLESS))
    assert printed == [
        f"{name}: {end} None" if end[0].isupper() else f"{name}: LimitExceeded {end}" for name, _, end in ENDLESS
    ]


@LINUX
@pytest.mark.threat(47)
@often(320, 32_768)
def test_streaming_needs_the_memory_of_one_chunk(rounds: int) -> None:
    """Streaming a message of 20 MB (2 GB as a slow test) to a sink grows the process by less than 8 MB."""
    block = (b"x" * 998 + b"\r\n" + b".." + b"y" * 996 + b"\r\n") * 32
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(GENEROUS)

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            sock.settimeout(GENEROUS)
            sock.sendall(b"+OK\r\n")
            for line in sock.makefile("rb"):
                if not line.startswith(b"RETR"):
                    sock.sendall(b"+OK\r\n")
                    continue
                sock.sendall(b"+OK\r\n")
                for _ in range(rounds if line == b"RETR 1\r\n" else 100):
                    sock.sendall(block)
                sock.sendall(b".\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    (printed,) = child("stream", "127.0.0.1", listener.getsockname()[1])
    ended(thread)
    size, growth = map(int, printed.split())
    assert size == (len(block) - 32) * rounds
    assert growth < 8 * 1024 * 1024, growth


@pytest.mark.threat(48)
def test_a_declared_size_is_a_hint() -> None:
    """Sizes in STAT, LIST and the status line neither allocate memory nor end a body."""
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


@pytest.mark.threat(54)
def test_a_refusal_in_a_pipeline_fails_only_its_command() -> None:
    """The nth reply belongs to the nth command; only the refused ones fail."""
    mails = [b"Subject: %d\r\n\r\n" % number for number in range(1, 301)]
    refusals = [Fault.refuse("RETR", nth) for nth in (1, 65, 300)]
    with Server(mails, faults=refusals) as server, logged_in(server) as pop:
        results = list(pop.pipeline(map(commands.retr, range(1, 301))))
    assert len(results) == 300
    for number, result in enumerate(results, 1):
        if number in (1, 65, 300):
            assert isinstance(result, CommandError), number
        else:
            assert result == mails[number - 1]


@pytest.mark.threat(55)
def test_the_session_after_a_stalled_pipeline_does_not_pipeline() -> None:
    """If the server stalls pipelines, the next session of the mailbox works, one command at a time (decision 7)."""
    mails = [b"Subject: x\r\n\r\n"] * 9
    with (
        Server(mails, quirks=Quirk.DROPS_PIPELINED, latency=0.01, lock=False) as server,
        Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox,
    ):
        hurry(inbox.connection)  # from here the server answers nothing
        with pytest.raises(Timeout):
            list(inbox.fetch())
        inbox.reopen()
        assert [message.raw for message in inbox.fetch()] == mails
        inbox.reopen()
        assert [message.subject for message in inbox] == ["x"] * 9


@pytest.mark.threat(56)
@often(20, 400)
def test_full_buffers_are_not_a_deadlock(rounds: int) -> None:
    """A server that reads nothing while its replies wait is no deadlock, because we read while we write."""
    mails = [b"x" * 200_000 + b"\r\n"] * rounds
    size = 0
    with (
        Server(mails, quirks=Quirk.STOPS_READING) as server,
        logged_in(server, limits=Limits(window=1 << 30)) as pop,
    ):
        for body in pop.pipeline(map(commands.retr, range(1, rounds + 1))):
            assert isinstance(body, bytes)
            size += len(body)
    assert size == rounds * 200_002


# --- byte for byte, or an error ---------------------------------------------------------------------------------------


@pytest.mark.threat(42)
@often(400, 10_000)
def test_random_bodies_in_random_segments_are_kept(rounds: int) -> None:
    """Random bodies through a real socket in random segments come back byte for byte, kept, streamed and pipelined."""
    rng = random.Random(1939)
    bodies = [awkward_body(rng, 1_000_000 if number % 500 == 0 else 3000) for number in range(rounds)]
    chunks = random.Random(2449)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GENEROUS)

        def serve() -> None:
            with listener.accept()[0] as sock:
                sock.settimeout(GENEROUS)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.sendall(b"+OK\r\n")
                for line in sock.makefile("rb"):
                    if line == b"CAPA\r\n":
                        sock.sendall(b"+OK\r\nPIPELINING\r\n.\r\n")
                        continue
                    if line.startswith(b"LIST"):
                        sock.sendall(b"+OK %d 1\r\n" % int(line.split()[1]))
                        continue
                    wire = b"+OK\r\n" + stuffed(bodies[int(line.split()[1]) - 1])
                    at = 0
                    while at < len(wire):
                        size = chunks.choice((1, 2, 3, 10, 100, 1000, 50_000))
                        sock.sendall(wire[at : at + size])
                        at += size

        thread = threading.Thread(target=serve)
        thread.start()
        with Connection("127.0.0.1", listener.getsockname()[1], security="none", timeout=GENEROUS) as pop:
            half = rounds // 2
            for number in range(1, half + 1):
                if number % 2:
                    assert pop.retr(number) == bodies[number - 1], number
                else:
                    got = bytearray()
                    pop.retr(number, got.extend)
                    assert got == bodies[number - 1], number
            for number, body in enumerate(pop.pipeline(map(commands.retr, range(half + 1, rounds + 1))), half + 1):
                assert body == bodies[number - 1], number
        ended(thread)
    assert number == rounds


@pytest.fixture(scope="module")
def certificates() -> Iterator[Certificates]:
    """Certificates for tests inside TLS, which run with a verifying context."""
    made = Certificates.make("localhost")
    assert made.client_context().verify_mode is ssl.CERT_REQUIRED
    yield made
    made.close()


def play(exchanges: list[Exchange], pop: Connection) -> list[Any]:
    """Execute everything except the greeting, one at a time; return the results, a refusal as its text."""
    found: list[Any] = []
    for exchange in exchanges[1:]:
        try:
            found.append(pop.execute(exchange.command))
        except CommandError as refused:
            found.append(refused.response)
    return found


@pytest.mark.parametrize(
    ("tls", "seeds"),
    [
        pytest.param(False, 4, id="plain"),
        pytest.param(True, 2, id="TLS"),
        pytest.param(False, 13, id="plain, often", marks=pytest.mark.slow),
        pytest.param(True, 13, id="TLS, often", marks=pytest.mark.slow),
    ],
)
def test_a_session_truncated_at_every_byte_is_a_typed_error(tls: bool, seeds: int, certificates: Certificates) -> None:
    """The end of the stream at every byte of a transcript is a typed error, plain and inside TLS, by FIN and RST."""
    client_context = certificates.client_context() if tls else None
    ends: list[Callable[[socket.socket], object]] = [lambda sock: sock.shutdown(socket.SHUT_WR), reset]
    played = 0
    for seed in range(seeds):
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
            with (
                case(seed, cut),
                Replay(steps, context=certificates.context if tls else None, tcp=True) as replay,
            ):
                pop = Connection(
                    "localhost",
                    security="tls" if tls else "none",
                    ssl_context=client_context,
                    sock=replay.client,
                    timeout=GENEROUS,
                )
                found: list[Any] = []
                with pytest.raises(MailboxError) as caught:
                    found = play(exchanges, pop.open())
                assert not isinstance(caught.value, CommandError | Timeout)
                assert not found
                pop.close()
            assert not replay.problem
            played += 1
    assert played > 100


def short(seed: int) -> list[Exchange]:
    """Return a transcript of about two hundred bytes."""
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


# --- a reply never reaches another command ------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False], ids=["with the last reply owed", "when nothing is owed"])
@often(30, 100)
def test_a_stray_line_anywhere_in_a_session_is_never_a_reply(together: bool, rounds: int) -> None:
    """A stray line at any position of many transcripts causes no wrong value, and no DELE after it succeeds."""
    strays = [b"+OK\r\n", b"-ERR no\r\n", b"+OK 9 999\r\n", b".\r\n", b"\r\n", b"+OK\r\n.\r\n"]
    for seed in range(rounds):
        exchanges = transcript(seed, 5)
        stray = strays[seed % len(strays)]
        for position in range(len(exchanges)):
            steps: list[Any] = []
            for index, exchange in enumerate(exchanges):
                reply = exchange.wire + (stray if together and index == position else b"")
                steps.append((exchange.command.line or None, reply))
                if not together and index == position:
                    steps.append((None, lambda sock, stray=stray: (time.sleep(0.001), sock.sendall(stray))))
            with case(seed, position):
                with Replay(steps) as replay:
                    pop = Connection("localhost", security="none", sock=replay.client, timeout=GENEROUS)
                    values: list[Any] = []
                    with pytest.raises(MailboxError) as caught:
                        pop.open()
                        for index, exchange in enumerate(exchanges[1:], 1):
                            if not together and index == position + 1:
                                assert select.select([replay.client], [], [], GENEROUS)[0]
                            try:
                                values.append(pop.execute(exchange.command))
                            except CommandError as refused:
                                values.append(refused.response)
                        if not together and position == len(exchanges) - 1:
                            assert select.select([replay.client], [], [], GENEROUS)[0]
                        pop.dele(99)
                    pop.close()
                assert not caught.value.usable
                assert b"DELE 99" not in replay.received
                assert values == [exchange.result for exchange in exchanges[1 : len(values) + 1]]
                assert len(values) <= position
