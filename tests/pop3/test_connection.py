"""Connection: every failure is a typed error and leaves a session that is plainly dead, whatever a scripted server does.

The rules are decisions 1, 4, 5, 7, 10 and 11. Every error is a `MailboxError` or misuse, and after anything that goes
wrong between two bytes the socket is closed.
"""

import functools
import gc
import itertools
import os
import pickle
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import pymailbox.pop3
from pymailbox.errors import (
    CommandError,
    ConcurrentUse,
    ConnectionLost,
    LimitExceeded,
    MailboxError,
    MessageUnavailable,
    NotSupported,
    ProtocolError,
    TemporaryFailure,
    Timeout,
)
from pymailbox.pop3 import Capabilities, Connection, Stat, commands
from pymailbox.pop3.command import Command
from pymailbox.pop3.limits import Limits
from pymailbox.testing import Fault, Server
from tests import case
from tests.conversations import stuffed
from tests.replay import Replay, WatchedClock, connected, drip
from tests.timing import GENEROUS, Clock, ended, eventually

CAPA = (b"CAPA\r\n", b"+OK\r\nPIPELINING\r\nUIDL\r\nTOP\r\n.\r\n")
MAIL = b"Subject: x\r\n\r\n.\r\nbody\r\n"
RETR = (b"RETR 1\r\n", b"+OK\r\n" + stuffed(MAIL))


@pytest.fixture
def watched(clock: Clock) -> WatchedClock:
    """A clock that only the scripted server advances."""
    return WatchedClock(clock.now)


def dead(connection: Connection) -> bool:
    """Whether the session is plainly dead: the next use raises at once, and the socket is closed."""
    with pytest.raises(ConnectionLost):
        connection.noop()
    assert connection._transport is not None
    return connection._transport.sock.fileno() == -1


# --- each command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segment", [None, 1], ids=["whole", "byte by byte"])
def test_each_command_sends_its_line_and_returns_its_value(segment: int | None) -> None:
    """One method per command sends the command's line and returns the value of the reply."""
    script = [
        CAPA,
        (b"USER me\r\n", b"+OK\r\n"),
        (b"PASS two  words\r\n", b"+OK in\r\n"),
        (b"STAT\r\n", b"+OK 2 320\r\n"),
        (b"LIST\r\n", b"+OK\r\n1 120\r\n2 200\r\n.\r\n"),
        (b"LIST 2\r\n", b"+OK 2 200\r\n"),
        (b"UIDL\r\n", b"+OK\r\n1 a\r\n2 b\r\n.\r\n"),
        (b"UIDL 2\r\n", b"+OK 2 b\r\n"),
        RETR,
        RETR,
        (b"TOP 1 0\r\n", b"+OK\r\nSubject: x\r\n\r\n.\r\n"),
        (b"DELE 1\r\n", b"+OK marked\r\n"),
        (b"RSET\r\n", b"+OK none\r\n"),
        (b"NOOP\r\n", b"+OK\r\n"),
        (b"UTF8\r\n", b"+OK utf8\r\n"),
        (b"LANG\r\n", b"+OK\r\nde Deutsch\r\n.\r\n"),
        (b"LANG de\r\n", b"+OK de jetzt\r\n"),
        (b"RPOP me\r\n", b"+OK\r\n"),
        (b"QUIT\r\n", b"+OK bye\r\n"),
    ]
    with connected(*script, segment=segment) as (pop, replay):
        assert pop.greeting == "ready"
        assert "UIDL" in pop.capa()
        assert pop.user("me") == ""
        assert pop.pass_("two  words") == "in"
        assert pop.stat() == Stat(2, 320)
        assert pop.list() == {1: 120, 2: 200}
        assert pop.list(2) == 200
        assert pop.uidl() == {1: "a", 2: "b"}
        assert pop.uidl(2) == "b"
        assert pop.retr(1) == MAIL
        chunks: list[bytes] = []
        assert pop.retr(1, sink=chunks.append) == len(MAIL)
        assert b"".join(chunks) == MAIL
        assert pop.top(1, 0) == b"Subject: x\r\n\r\n"
        assert pop.dele(1) == "marked"
        assert pop.rset() == "none"
        assert pop.noop() == ""
        assert pop.utf8() == "utf8"
        assert pop.lang() == {"de": "Deutsch"}
        assert pop.lang("de") == "de jetzt"
        assert pop.rpop("me") == ""
        assert pop.quit() == "bye"
        assert dead(pop)
    assert replay.received.endswith(b"QUIT\r\n")


def test_refusals_leave_the_session_usable() -> None:
    """-ERR fails only its own command; if CAPA is refused, `capa()` raises `NotSupported`."""
    script = [(b"RETR 9\r\n", b"-ERR no such message\r\n"), (b"CAPA\r\n", b"-ERR what?\r\n"), (b"NOOP\r\n", b"+OK\r\n")]
    with connected(*script) as (pop, _):
        with pytest.raises(MessageUnavailable) as caught:
            pop.retr(9)
        assert caught.value.usable
        assert caught.value.response == "no such message"
        with pytest.raises(NotSupported):
            pop.capa()
        pop.noop()


def test_misuse_raises_before_anything_is_sent() -> None:
    """ValueError and TypeError are raised at once, and the session stays usable."""
    with connected((b"NOOP\r\n", b"+OK\r\n")) as (pop, replay):
        misuses: list[Callable[[], object]] = [
            lambda: pop.retr(0),
            lambda: pop.dele(-1),
            lambda: pop.top(1, -1),
            lambda: pop.user("a\r\nDELE 1"),
            lambda: pop.retr("1"),  # type: ignore[call-overload]
            lambda: pop.lang("two words"),
        ]
        for misuse in misuses:
            with pytest.raises((ValueError, TypeError)):
                misuse()
        assert replay.received == b""
        pop.noop()


def test_bad_options_raise_before_connecting() -> None:
    """An invalid option is ValueError when the connection is made, before it is opened."""
    bad: list[dict[str, Any]] = [
        {"port": 0},
        {"port": 65536},
        {"timeout": 0},
        {"timeout": -1},
        {"security": "ssl"},
        {"host": ""},
        {"host": "a b"},
        {"host": "a\n"},
    ]
    for options in bad:
        with case(options), pytest.raises(ValueError):
            Connection(**({"host": "localhost"} | options))


# --- opening and closing --------------------------------------------------------------------------------------------


def test_use_before_open_and_after_close_raises() -> None:
    """The constructor does not connect; use before `open()` is ValueError, after `close()` `ConnectionLost`."""
    pop = Connection("localhost", security="none")
    with pytest.raises(ValueError, match="not open"):
        pop.noop()
    with pytest.raises(ValueError, match="not open"):
        next(pop.pipeline([commands.noop()]))
    assert "not open" in repr(pop)
    pop.close()
    with connected() as (pop, replay):
        with pytest.raises(ValueError, match="already opened"):
            pop.open()
        pop.close()
        pop.close()
        assert dead(pop)
    assert replay.received == b""


@pytest.mark.threat(66)
def test_leaving_the_block_sends_no_quit() -> None:
    """Leaving the block without `quit()` closes the socket and commits nothing, with or without an exception."""
    with connected((b"DELE 1\r\n", b"+OK\r\n")) as (pop, replay):
        pop.dele(1)
    assert replay.received == b"DELE 1\r\n"
    with connected((b"DELE 1\r\n", b"+OK\r\n")) as (pop, replay):
        pop.dele(1)
        pop.__exit__(KeyError, KeyError(), None)
        assert dead(pop)
    assert replay.received == b"DELE 1\r\n"


def test_quit_closes_whatever_the_reply() -> None:
    """After QUIT the session is over, whether the reply is +OK, -ERR or missing."""
    for reply, kind in ((b"-ERR some messages were not removed\r\n", CommandError), (b"", ConnectionLost)):
        with connected((b"QUIT\r\n", reply)) as (pop, _):
            with pytest.raises(kind) as caught:
                pop.quit()
            assert not caught.value.usable
            assert dead(pop)


@pytest.mark.threat(8)
def test_a_refusing_greeting_is_a_command_error() -> None:
    """A greeting of -ERR is a `CommandError` with its code; nothing is sent, and the session is not usable."""
    with Replay([(None, b"-ERR [SYS/TEMP] too busy\r\n")]) as replay:
        pop = Connection("localhost", security="none", sock=replay.client)
        with pytest.raises(TemporaryFailure) as caught:
            pop.open()
        assert caught.value.code == "SYS/TEMP"
        assert caught.value.retryable
        assert not caught.value.usable
        assert dead(pop)
    assert replay.received == b""


def test_a_connection_cannot_be_pickled_or_copied() -> None:
    """A connection is bound to its socket, so pickling and copying raise TypeError."""
    with pytest.raises(TypeError):
        pickle.dumps(Connection("localhost"))


@pytest.mark.threat(66)
def test_garbage_collection_sends_nothing() -> None:
    """A connection that is garbage-collected sends no QUIT; the socket's ResourceWarning reports it."""
    with Replay([(None, b"+OK\r\n"), (b"DELE 1\r\n", b"+OK\r\n")]) as replay:
        pop = Connection("localhost", security="none", sock=replay.client).open()
        pop.dele(1)
        replay.client = socket.socket()
        alive = [pop]
        del pop
        with pytest.warns(ResourceWarning):
            alive.clear()
        ended(replay._thread)
    assert replay.received == b"DELE 1\r\n"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.threat(65)
def test_a_fork_leaves_the_session_to_its_parent() -> None:
    """A copy in another process sends nothing, raises `ConnectionLost`, and closes only its own descriptor."""
    with connected((b"DELE 1\r\n", b"+OK\r\n"), (b"NOOP\r\n", b"+OK\r\n")) as (pop, replay):
        pop.dele(1)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                try:
                    pop.quit()
                except ConnectionLost:
                    code = 0
                pop.close()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert pop.noop() == ""
    assert replay.received == b"DELE 1\r\nNOOP\r\n"


# --- one session, one thread ------------------------------------------------------------------------------------------


@pytest.mark.threat(63)
def test_of_two_threads_the_second_is_refused() -> None:
    """A second thread gets an error at once, and the first gets its reply: replies are never mixed up."""
    go = threading.Event()

    def later(sock: socket.socket) -> None:
        assert go.wait(GENEROUS)
        sock.sendall(b"+OK 2 320\r\n")

    with connected((b"STAT\r\n", later), (b"NOOP\r\n", b"+OK\r\n")) as (pop, _):
        found: list[Stat] = []
        thread = threading.Thread(target=lambda: found.append(pop.stat()))
        thread.start()
        eventually(lambda: pop._owner)
        for use in (
            pop.noop,
            pop.rset,
            lambda: list(pop.pipeline([commands.noop()])),
        ):
            with pytest.raises(ConcurrentUse) as caught:
                use()
            assert caught.value.usable
        go.set()
        ended(thread)
        assert found == [Stat(2, 320)]
        pop.session.learn(None)
        pop.noop()


def test_many_threads_at_once_get_their_own_replies() -> None:
    """However many threads try, each call returns its own reply or raises `ConcurrentUse`, and none hangs."""

    def echo(sock: socket.socket) -> None:
        file = sock.makefile("rb")
        while line := file.readline():
            number = line.split()[1]
            sock.sendall(b"+OK %s %s\r\n" % (number, number))

    with connected((None, echo)) as (pop, _):
        outcomes: list[bool] = []

        def use(number: int) -> None:
            for _ in range(50):
                try:
                    outcomes.append(pop.list(number) == number)
                except ConcurrentUse:
                    outcomes.append(True)

        threads = [threading.Thread(target=use, args=(number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        ended(*threads)
        assert len(outcomes) == 400
        assert all(outcomes)
        assert pop.list(7) == 7


# --- sinks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.threat(53)
def test_a_sink_that_raises_ends_the_session() -> None:
    """An error from a sink is passed on and ends the session, so the rest of the body is not read as replies."""

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with connected(RETR) as (pop, _):
        with pytest.raises(OSError, match="No space left") as caught:
            pop.retr(1, full)
        assert not isinstance(caught.value, MailboxError)
        assert dead(pop)


def test_a_sink_that_uses_its_session_is_refused() -> None:
    """A sink that uses the connection calling it gets `ConcurrentUse`, which ends the session if it raises that."""
    with connected(RETR) as (pop, _):
        with pytest.raises(ConcurrentUse):
            pop.retr(1, lambda _: pop.noop())
        assert dead(pop)


@pytest.mark.parametrize("security", ["none", "tls"])
def test_an_interrupted_connection_ends(security: Any) -> None:
    """Interrupted while a reply is awaited, by another thread, or before it was made: the user gets a `MailboxError`."""
    with Server(security=security, faults=[Fault.stall(command="STAT", nth=None)]) as server:
        context = server.client_context() if security == "tls" else None
        pop = Connection(server.host, server.port, security=security, ssl_context=context, timeout=GENEROUS * 2)
        with pop:
            pop.login("me", "secret")

            def interrupt() -> None:
                eventually(lambda: "STAT" in server.log)
                pop.interrupt()

            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(MailboxError):
                pop.stat()
            ended(thread)
            assert dead(pop)
        pop = Connection(server.host, server.port, security=security, ssl_context=context, timeout=GENEROUS * 2)
        pop.interrupt()
        with pytest.raises(MailboxError):
            pop.open()


def test_a_sink_may_close_the_connection() -> None:
    """A sink may close the connection, which ends the download."""
    body = b"x" * 1_000_000 + b"\r\n"
    with connected((b"RETR 1\r\n", b"+OK\r\n" + stuffed(body))) as (pop, _):
        with pytest.raises(ConnectionLost):
            pop.retr(1, lambda _: pop.close())
        assert dead(pop)


def test_time_in_the_sink_does_not_count(watched: WatchedClock) -> None:
    """A sink may be slower than the timeout: the clock runs only while we wait for the server (decision 4)."""
    called, started = threading.Event(), watched.now

    def in_two(sock: socket.socket) -> None:
        sock.sendall(b"+OK\r\nfirst\r\n")
        assert called.wait(GENEROUS)
        assert watched.seen(sock)
        watched.advance(200)
        assert watched.seen(sock)
        sock.sendall(b"second\r\n.\r\n")

    def slow(_: bytes) -> None:
        if not called.is_set():
            watched.advance(400)
            called.set()

    with connected((b"RETR 1\r\n", in_two), timeout=300, clock=watched) as (pop, _):
        assert pop.retr(1, slow) == len(b"first\r\nsecond\r\n")
    assert watched.now - started == 600


# --- time ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"+OK", b"+OK\r\n", b"+OK\r\nhalf a mail\r\n"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.threat(46)
def test_silence_is_a_timeout_at_the_deadline(begun: bytes, stream: bool, watched: WatchedClock) -> None:
    """Silence at any point of a reply is `Timeout` at the deadline, not half a second earlier."""
    silent = watched.silence(300, begun)
    with connected((b"RETR 1\r\n", silent), ending="stay", timeout=300, clock=watched) as (pop, _):
        started = watched.now
        with pytest.raises(Timeout, match="silent for 300 s") as caught:
            pop.retr(1, sink=bytearray().extend) if stream else pop.retr(1)
        assert watched.now - started == 300
        assert caught.value.command == "RETR 1"
        assert dead(pop)


@pytest.mark.parametrize("reply", [b"x" * 500, b"+OK\r\n" + b"line\r\n" * 100], ids=["line", "body"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.threat(3)
def test_dripping_is_a_timeout_at_the_deadline(reply: bytes, stream: bool, watched: WatchedClock) -> None:
    """A byte now and then is `Timeout` at the deadline, whether the body is kept or streamed."""
    with connected((b"RETR 1\r\n", drip(reply, 2, watched)), timeout=300, clock=watched) as (pop, _):
        started = watched.now
        with pytest.raises(Timeout, match="minimum_rate"):
            pop.retr(1, sink=bytearray().extend) if stream else pop.retr(1)
        assert 300 <= watched.now - started <= 304
        assert dead(pop)


def test_each_reply_has_its_own_time(watched: WatchedClock) -> None:
    """Many small replies in time are no dripping, although together they are slower than the minimum rate."""

    def slowly(sock: socket.socket) -> None:
        assert watched.seen(sock)
        watched.advance(60)
        assert watched.seen(sock)
        sock.sendall(b"+OK\r\n")

    ten = [(b"NOOP\r\n", slowly)] * 10
    started = watched.now
    with connected(CAPA, *ten, timeout=300, clock=watched) as (pop, _):
        assert list(pop.pipeline(commands.noop() for _ in range(10))) == [""] * 10
    with connected(CAPA, *ten, timeout=300, clock=watched) as (pop, _):
        abandoned = pop.pipeline(commands.noop() for _ in range(9))
        next(abandoned)
        abandoned.close()
        assert pop.noop() == ""
    assert watched.now - started == 2 * 10 * 60


def test_without_a_timeout_the_wait_is_unlimited(watched: WatchedClock) -> None:
    """`timeout=None` waits for as long as the server takes."""

    def slowly(sock: socket.socket) -> None:
        watched.advance(1e9)
        time.sleep(0.1)
        sock.sendall(b"+OK\r\n")

    with connected((b"NOOP\r\n", slowly), timeout=None, clock=watched) as (pop, _):
        assert pop.noop() == ""


# --- the end of the stream ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["fin", "rst"])
@pytest.mark.threat(11)
@pytest.mark.threat(43)
@pytest.mark.threat(46)
@pytest.mark.threat(44)
def test_the_end_of_the_stream_in_a_reply_is_connection_lost(ending: Any) -> None:
    """FIN and RST at any point of a reply are `ConnectionLost`, and the socket is closed."""
    for begun in (b"", b"+OK", b"+OK\r\n", b"+OK\r\nhalf a mail\r\n.", b"+OK\r\nhalf a mail\r\n.\r"):
        with case(begun), connected((b"RETR 1\r\n", begun), ending=ending, tcp=True) as (pop, _):
            with pytest.raises(ConnectionLost) as caught:
                pop.retr(1)
            assert caught.value.command == "RETR 1" or ending == "rst"
            assert dead(pop)


@pytest.mark.threat(58)
def test_a_late_reply_answers_nothing(watched: WatchedClock) -> None:
    """Data that arrives after a timeout is never read: the session is over."""
    over, sent = threading.Event(), threading.Event()

    def late(sock: socket.socket) -> None:
        watched.silence(300)(sock)
        try:
            assert over.wait(GENEROUS)
            sock.sendall(b"+OK 2 320\r\n")
        finally:
            sent.set()

    with connected((b"STAT\r\n", late), timeout=300, clock=watched) as (pop, _):
        with pytest.raises(Timeout):
            pop.stat()
        over.set()
        assert sent.wait(GENEROUS)
        with pytest.raises(ConnectionLost):
            pop.dele(1)


@pytest.mark.parametrize("stray", [b"+OK deleted\r\n", b"-ERR no\r\n", b"x", b"+OK\r\n"])
@pytest.mark.threat(4)
@pytest.mark.threat(59)
def test_data_between_two_commands_ends_the_session(stray: bytes) -> None:
    """Data that arrived while no reply was due is found before the next command is sent."""
    go = threading.Event()
    with connected((b"NOOP\r\n", b"+OK\r\n"), (None, lambda sock: (go.wait(GENEROUS), sock.sendall(stray)))) as (
        pop,
        replay,
    ):
        pop.noop()
        go.set()
        select.select([replay.client], [], [], GENEROUS)
        with pytest.raises((ProtocolError, ConnectionLost)):
            pop.dele(1)
        assert dead(pop)
    assert replay.received == b"NOOP\r\n"


# --- pipelines --------------------------------------------------------------------------------------------------------------


def test_a_pipeline_returns_results_in_order() -> None:
    """Commands are sent together, results come in order, and a refusal is a value that ends nothing."""
    script = [
        CAPA,
        (b"RETR 1\r\n", b"+OK\r\none\r\n.\r\n"),
        (b"RETR 2\r\n", b"-ERR no\r\n"),
        (b"RETR 3\r\n", b"+OK\r\n.\r\n"),
        (b"LIST 1\r\n", b"+OK 1 5\r\n"),
    ]
    with connected(*script) as (pop, replay):
        first, second, third = pop.pipeline(commands.retr(n) for n in (1, 2, 3))
        assert (first, third) == (b"one\r\n", b"")
        assert isinstance(second, MessageUnavailable)
    assert replay.received == b"CAPA\r\nRETR 1\r\nRETR 2\r\nRETR 3\r\nLIST 1\r\n"


def test_without_pipelining_one_command_is_sent_at_a_time() -> None:
    """If PIPELINING is not advertised, each command waits for the previous reply."""
    gaps: list[bool] = []

    def answer(sock: socket.socket) -> None:
        gaps.append(not select.select([sock], [], [], 0.02)[0])
        sock.sendall(b"-ERR\r\n")

    script = [(b"CAPA\r\n", b"+OK\r\nTOP\r\n.\r\n"), *((b"RETR %d\r\n" % n, answer) for n in (1, 2, 3))]
    with connected(*script) as (pop, _):
        assert len(list(pop.pipeline(commands.retr(n) for n in (1, 2, 3)))) == 3
    assert gaps == [True] * 3


@pytest.mark.threat(57)
def test_results_before_a_failure_are_returned() -> None:
    """When the connection breaks in a pipeline, verified results are returned first; then the failure is raised."""
    bodies = [(b"RETR %d\r\n" % n, b"+OK\r\n%d\r\n.\r\n" % n) for n in range(1, 9)]
    script = [CAPA, *bodies, (b"LIST 1\r\n", b"+OK 1 3\r\n"), (b"RETR 9\r\n", b"+OK\r\nni")]
    with connected(*script) as (pop, _):
        results = pop.pipeline(commands.retr(n) for n in range(1, 12))
        assert [next(results) for _ in bodies] == [b"%d\r\n" % n for n in range(1, 9)]
        with pytest.raises(ConnectionLost):
            next(results)
        assert dead(pop)


def test_the_callers_iterator_may_use_the_connection() -> None:
    """A generator of commands may use the connection itself, as in `if pop.list(n) < 1000`."""
    script = [
        CAPA,
        (b"LIST 1\r\n", b"+OK 1 10\r\n"),
        (b"LIST 2\r\n", b"+OK 2 99999\r\n"),
        (b"LIST 3\r\n", b"+OK 3 30\r\n"),
        (b"RETR 1\r\n", b"+OK\r\none\r\n.\r\n"),
        (b"RETR 3\r\n", b"+OK\r\nthree\r\n.\r\n"),
        (b"LIST 1\r\n", b"+OK 1 10\r\n"),
    ]
    with connected(*script) as (pop, _):
        small = (commands.retr(n) for n in (1, 2, 3) if (pop.list(n) or 0) < 1000)
        assert list(pop.pipeline(small)) == [b"one\r\n", b"three\r\n"]


@pytest.mark.threat(53)
def test_replies_of_a_pipeline_left_early_are_dropped() -> None:
    """The next command reads the replies in flight and drops them (decision 11)."""
    script = [
        CAPA,
        *((b"RETR %d\r\n" % n, b"+OK\r\nbody %d\r\n.\r\n" % n) for n in range(1, 6)),
        (b"LIST 1\r\n", b"+OK 1 8\r\n"),
        (b"STAT\r\n", b"+OK 5 50\r\n"),
    ]
    with connected(*script) as (pop, _):
        for body in pop.pipeline(commands.retr(n) for n in range(1, 6)):
            assert body == b"body 1\r\n"
            break
        assert pop.stat() == Stat(5, 50)


def test_too_much_in_flight_of_a_pipeline_left_early_ends_the_session() -> None:
    """Replies beyond the window are not read: the connection is closed, and memory stays small."""
    bodies = [(b"RETR %d\r\n" % n, b"+OK\r\n.\r\n") for n in range(1, 9)]
    first = [*bodies, (b"LIST 1\r\n", b"+OK 1 0\r\n")]
    second = [(b"RETR 9\r\n", b"+OK\r\n.\r\n"), (b"LIST 8\r\n", b"+OK 8 0\r\n")]
    script = [CAPA, *first, *second, (b"RETR 10\r\n", b"+OK\r\n" + b"x" * 1_000_000)]
    with connected(*script, limits=Limits(window=100_000)) as (pop, _):
        results = pop.pipeline(commands.retr(n, expected=26_000 if n == 9 else 100) for n in range(1, 20))
        assert [next(results) for _ in range(9)] == [b""] * 9
        results.close()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionLost, match=r"Limits\.window"):
            pop.stat()
        assert dead(pop)


def test_a_pipeline_that_is_never_read_sends_nothing() -> None:
    """Commands are sent only when results are requested."""
    with connected((b"NOOP\r\n", b"+OK\r\n")) as (pop, replay):
        pop.pipeline([commands.dele(1)])
        pop.noop()
    assert replay.received == b"NOOP\r\n"


@pytest.mark.threat(55)
def test_a_stalled_pipeline_is_remembered(watched: WatchedClock) -> None:
    """A server that advertises PIPELINING and loses commands is a `Timeout`, with a quirk for the next session."""
    go = threading.Event()

    def stall(sock: socket.socket) -> None:
        assert go.wait(GENEROUS)
        watched.silence(300)(sock)

    script = [CAPA, (b"RETR 1\r\n", b"+OK\r\n.\r\n"), (b"RETR 2\r\n", stall)]
    with connected(*script, ending="stay", timeout=300, clock=watched) as (pop, _):
        results = pop.pipeline(commands.retr(n) for n in (1, 2, 3))
        go.set()
        with pytest.raises(Timeout):
            next(results)
        assert "DROPS_PIPELINED" in pop.quirks
        assert not pop.session.may_pipeline
        assert dead(pop)


def test_two_pipelines_in_turn_get_their_own_results() -> None:
    """Two pipelines that are read alternately each get their own results."""

    def echo(sock: socket.socket) -> None:
        file = sock.makefile("rb")
        while line := file.readline():
            verb, number = line.split()
            sock.sendall((b"+OK %s 9\r\n" if verb == b"LIST" else b"+OK\r\n%s\r\n.\r\n") % number)

    with connected(CAPA, (None, echo)) as (pop, _):
        low, high = (pop.pipeline(map(commands.retr, numbers)) for numbers in (range(1, 301), range(1001, 1301)))
        for number, (one, other) in enumerate(zip(low, high, strict=True), 1):
            assert (one, other) == (b"%d\r\n" % number, b"%d\r\n" % (1000 + number))
        assert number == 300


# --- interrupted --------------------------------------------------------------------------------------------------------------

PACKAGE = str(Path(pymailbox.pop3.__file__).parent)


def apart(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a separate thread, and raise its errors here.

    If a tracer raises inside an except clause, CPython 3.11 believes for the rest of the thread that the exception
    is still being handled: it would become the context of what later tests raise.
    """

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        with ThreadPoolExecutor(1) as threads:
            threads.submit(test, *args, **named).result()

    return run


class Interrupt:
    """Raises KeyboardInterrupt at the nth line that this thread runs in `pymailbox.pop3`."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __enter__(self) -> "Interrupt":
        self._kept = sys.gettrace()
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._kept)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and self.left:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
        return self._line


USES: dict[str, tuple[Callable[[Connection], object], bytes, bytes]] = {
    "DELE": (lambda pop: pop.dele(1), b"DELE 1\r\n", b"+OK\r\n"),
    "RETR": (lambda pop: pop.retr(1), b"RETR 1\r\n", RETR[1]),
    "streamed": (lambda pop: pop.retr(1, sink=bytearray().extend), b"RETR 1\r\n", RETR[1]),
    "STAT": (lambda pop: pop.stat(), b"STAT\r\n", b"+OK 2 320\r\n"),
    "flow": (lambda pop: pop.capa(), b"CAPA\r\n", CAPA[1]),
}


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces this run")
@pytest.mark.parametrize("use", list(USES))
@apart
def test_interrupted_at_every_line_the_session_is_dead_or_unused(use: str) -> None:
    """Ctrl-C at any line, inside or around a command, leaves a dead session, or one in which nothing was sent."""
    call, line, reply = USES[use]
    number, finished, died = 0, False, 0
    while not finished:
        number += 1
        with connected((line, reply), (b"NOOP\r\n", b"+OK\r\n")) as (pop, replay):
            interrupt = Interrupt(number)
            try:
                with interrupt:
                    call(pop)
                finished = True
            except KeyboardInterrupt:
                if pop.session.protocol.failure is not None:
                    assert dead(pop)
                    died += 1
                else:
                    assert replay.received == b""
                    replay.steps = ()
                    assert pop.session.protocol.owed == 0
                    assert not pop._owner
                    pop.close()
            replay.problem = ""
    assert number > 30
    assert died > 25


def test_an_interruption_leaves_nothing_behind_in_this_thread() -> None:
    """No exception of a traced test is still being handled later (seen: as the context of another test's error)."""
    test_interrupted_at_every_line_the_session_is_dead_or_unused("DELE")
    assert sys.exc_info() == (None, None, None)


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces this run")
@apart
def test_a_pipeline_interrupted_at_every_line_never_shifts_replies() -> None:
    """Ctrl-C at any line of a pipeline leaves a dead session, or one whose next command gets its own reply."""
    number, finished, died, lived = 0, False, 0, 0

    def echo(sock: socket.socket) -> None:
        for line in sock.makefile("rb"):
            tag = line.strip()
            status = tag[5:] + b" 9" if tag.startswith(b"LIST") else tag
            sock.sendall(b"+OK %s\r\n" % status + (b"..%s\r\n.\r\n" % tag if tag.startswith(b"RETR") else b""))

    while not finished:
        number += 1
        with connected((None, echo)) as (pop, _):
            pop.session.learn(Capabilities({"PIPELINING": ()}))
            results: list[object] = []
            try:
                with Interrupt(number):
                    for result in pop.pipeline(map(commands.retr, (1, 2, 3))):
                        results.append(result)
                finished = True
            except KeyboardInterrupt:
                assert results == [b".RETR 1\r\n", b".RETR 2\r\n", b".RETR 3\r\n"][: len(results)]
                if pop.session.protocol.failure is not None:
                    assert dead(pop)
                    died += 1
                else:
                    assert pop.noop() == "NOOP"
                    lived += 1
    assert died > 40
    assert lived > 5


@pytest.mark.threat(13)
def test_interrupted_inside_the_wait_nothing_more_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while we wait for the server is passed on; nothing more is sent, and the socket is closed."""
    with connected((b"DELE 1\r\n", b""), ending="stay") as (pop, replay):
        assert pop._transport is not None

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(type(pop._transport), "_wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pop.dele(1)
        assert dead(pop)
        with pytest.raises(ConnectionLost):
            pop.quit()
    assert replay.received in (b"DELE 1\r\n", b"")


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads")
@pytest.mark.threat(13)
def test_a_signal_during_the_wait_ends_the_session_at_once() -> None:
    """A signal handler that raises while we wait for data ends the session at once, not at the timeout."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    waiting = threading.get_ident()

    def half(sock: socket.socket) -> None:
        sock.sendall(b"+OK\r\nhalf")
        time.sleep(0.1)
        signal.pthread_kill(waiting, signal.SIGALRM)

    kept = signal.signal(signal.SIGALRM, interrupted)
    try:
        # No timeout, so that only the signal can end the wait.
        with connected((b"RETR 1\r\n", half), ending="stay", timeout=None) as (pop, _):
            with pytest.raises(KeyboardInterrupt):
                pop.retr(1)
            assert dead(pop)
    finally:
        signal.signal(signal.SIGALRM, kept)


def test_an_abandoned_pipeline_leaves_a_usable_session() -> None:
    """A pipeline whose generator is collected in the middle leaves a usable session."""
    noops = [(b"NOOP\r\n", b"+OK %d\r\n" % n) for n in range(1, 5)]

    def look(pop: Connection) -> None:
        assert next(pop.pipeline([commands.noop()] * 3)) == "1"

    with connected(CAPA, *noops) as (pop, _):
        look(pop)
        gc.collect()
        assert pop.noop() == "4"


# --- nothing leaks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open descriptors cannot be counted here")
def test_two_hundred_failing_sessions_leave_no_descriptor(watched: WatchedClock) -> None:
    """Sessions that fail in every way leave no file descriptor open."""
    ways: list[tuple[Any, Any]] = [
        (b"", "fin"),
        (b"", "rst"),
        (b"+OK\r\nhalf", "fin"),
        (b"* IMAP\r\n", "fin"),
        (watched.silence(300, b"+OK\r\n1 1\r\n"), "stay"),
        (b"x" * 9000, "fin"),
        (b"+OK\r\n.\r\n+OK\r\n", "fin"),
    ]
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for reply, ending in itertools.islice(itertools.cycle(ways), 200):
        with connected((b"LIST\r\n", reply), ending=ending, timeout=300, clock=watched) as (pop, _replay):
            with pytest.raises(MailboxError):
                pop.list()
            assert dead(pop)
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_stat_beyond_the_limit_is_refused() -> None:
    """A STAT count beyond `Limits.listing_entries` is refused before anything is allocated for it."""
    with connected((b"STAT\r\n", b"+OK 99999999999 1\r\n")) as (pop, _):
        with pytest.raises(LimitExceeded):
            pop.stat()
        assert dead(pop)


def test_a_command_can_be_sent_twice() -> None:
    """A command is a value, so the same one may be sent twice."""
    noop: Command[str] = commands.noop()
    with connected((b"NOOP\r\n", b"+OK a\r\n"), (b"NOOP\r\n", b"+OK b\r\n")) as (pop, _):
        assert (pop.execute(noop), pop.execute(noop)) == ("a", "b")
