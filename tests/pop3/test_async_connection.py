"""AsyncConnection: tasks, cancellation, flow control and TLS over asyncio lose nothing and leave nothing open.

What is the same for both drivers is in the suites that run over both (`tests.over_asyncio`, `test_conformance`).
"""

import ast
import asyncio
import socket
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import scramp.core

import pymailbox.pop3
from pymailbox import AsyncMailbox, Limits, OAuth2
from pymailbox.errors import (
    AuthenticationError,
    ConcurrentUse,
    ConnectionLost,
    LimitExceeded,
    MailboxError,
    NotSupported,
    ProtocolError,
    Timeout,
    TLSError,
)
from pymailbox.pop3 import AsyncConnection, Stat, commands
from pymailbox.pop3 import async_transport as transport_module
from pymailbox.pop3.sasl import OAuthBearer, Plain
from pymailbox.testing import Fault, Server
from tests import case
from tests.conversations import stuffed
from tests.replay import Replay
from tests.servers import RealServer, jwt, trusting
from tests.timing import GENEROUS, Clock, eventually_async

CAPA = (b"CAPA\r\n", b"+OK\r\nPIPELINING\r\n.\r\n")
MAIL = b"Subject: x\r\n\r\n.\r\nbody\r\n"
RETR = (b"RETR 1\r\n", b"+OK\r\n" + stuffed(MAIL))


def played(*steps: Any, use: Callable[[AsyncConnection], Awaitable[Any]], **options: Any) -> Replay:
    """Use a connection to a scripted server; return the server's side."""
    script = {name: options.pop(name) for name in ("ending", "segment", "tcp") if name in options}

    async def run() -> None:
        settings = {"security": "none", "timeout": GENEROUS, "sock": replay.client} | options
        async with AsyncConnection("localhost", **settings) as pop:
            await use(pop)

    with Replay([(None, b"+OK ready\r\n"), *steps], **script) as replay:
        asyncio.run(run(), debug=True)
    assert not replay.problem, replay.problem
    return replay


async def dead(pop: AsyncConnection) -> None:
    """Assert that a session is plainly dead: the next use raises at once, and the transport is closed."""
    with pytest.raises(ConnectionLost):
        await pop.noop()
    assert pop._transport is not None
    assert pop._transport._transport is not None
    assert pop._transport._transport.is_closing()


# --- one session, one task --------------------------------------------------------------------------------------


def test_of_two_tasks_the_second_is_refused() -> None:
    """A second task gets an error at once, and the first gets its reply (decision 10)."""
    go = threading.Event()

    def later(sock: socket.socket) -> None:
        assert go.wait(GENEROUS)
        sock.sendall(b"+OK 2 320\r\n")

    async def use(pop: AsyncConnection) -> None:
        first = asyncio.create_task(pop.stat())
        await asyncio.sleep(0.02)
        for other in (pop.noop(), pop.capa(), anext(pop.pipeline([commands.noop()]))):
            with pytest.raises(ConcurrentUse) as caught:
                await other
            assert caught.value.usable
        go.set()
        assert await first == Stat(2, 320)
        await pop.noop()

    played((b"STAT\r\n", later), (b"NOOP\r\n", b"+OK\r\n"), use=use)


def test_a_task_during_the_handshake_is_refused() -> None:
    """While TLS starts no other task may write, because the handshake counts as a use of the session."""

    async def use() -> None:
        with Server(security="starttls") as server:
            context = server.client_context()
            async with AsyncConnection(server.host, server.port, security="none", ssl_context=context) as pop:
                first = asyncio.create_task(pop.stls())
                refused = 0
                await asyncio.sleep(0)
                while not first.done():
                    with pytest.raises(ConcurrentUse):
                        await pop.noop()
                    refused += 1
                    await asyncio.sleep(0)
                await first
                assert refused
                assert pop.session.secure
                await pop.login("me", "secret")

    asyncio.run(use())


def test_a_sink_that_uses_its_session_is_refused() -> None:
    """A sink that uses the connection calling it gets `ConcurrentUse`, which ends the session if it raises that."""

    async def use(pop: AsyncConnection) -> None:
        async def sink(_: bytes) -> None:
            await pop.noop()

        with pytest.raises(ConcurrentUse):
            await pop.retr(1, sink)
        await dead(pop)

    played(RETR, use=use)


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_sink_may_close_the_connection(how: str) -> None:
    """A sink may close the connection, which ends the download."""
    reply = b"+OK\r\n" + stuffed(b"x" * 1_000_000 + b"\r\n")

    async def use(pop: AsyncConnection) -> None:
        with pytest.raises(ConnectionLost):
            await pop.retr(1, lambda _: getattr(pop, how)())
        await dead(pop)

    played((b"RETR 1\r\n", reply), use=use)


def test_a_close_by_another_task_ends_the_wait() -> None:
    """A task that waits for a reply while another closes the connection gets `ConnectionLost` at once."""

    async def use(pop: AsyncConnection) -> None:
        waiting = asyncio.create_task(pop.stat())
        await asyncio.sleep(0.02)
        await pop.close()
        with pytest.raises(ConnectionLost, match="closed"):
            await waiting

    played((b"STAT\r\n", b""), ending="stay", use=use)


def test_in_another_event_loop_a_session_is_lost() -> None:
    """A session belongs to its event loop: in another one it raises `ConnectionLost`, and nothing is sent."""
    with Replay([(None, b"+OK\r\n"), (b"NOOP\r\n", b"+OK\r\n")]) as replay:
        pop = AsyncConnection("localhost", security="none", sock=replay.client)
        with asyncio.Runner() as first, asyncio.Runner() as second:
            first.run(pop.open())

            async def elsewhere() -> None:
                with pytest.raises(ConnectionLost, match="another event loop"):
                    await pop.noop()

            second.run(elsewhere())
            first.run(pop.close())
    assert replay.received == b""


def test_in_another_process_a_session_is_lost() -> None:
    """A copy in another process sends nothing and leaves this process's transport alone (decision 1)."""

    async def use(pop: AsyncConnection) -> None:
        await pop.dele(1)
        assert pop._transport is not None
        pop._transport._process -= 1
        with pytest.raises(ConnectionLost, match="another process"):
            await pop.quit()
        assert pop._transport._transport is not None
        assert not pop._transport._transport.is_closing()
        pop._transport._process += 1

    assert played((b"DELE 1\r\n", b"+OK\r\n"), use=use, ending="stay").received == b"DELE 1\r\n"


# --- cancellation and time ----------------------------------------------------------------------------------------


def test_the_callers_timeout_in_a_command_ends_the_session() -> None:
    """`asyncio.timeout` around a command ends the session at once, and nothing more is sent."""
    late: list[Callable[[], object]] = []

    def half(sock: socket.socket) -> None:
        sock.sendall(b"+OK\r\nhalf")
        late[0]()

    async def use(pop: AsyncConnection) -> None:
        await pop.dele(1)
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(None) as timer:
                late.append(lambda: loop.call_soon_threadsafe(timer.reschedule, loop.time() + 0.05))
                await pop.retr(1)
        assert not isinstance(caught.value, MailboxError)
        await dead(pop)
        with pytest.raises(ConnectionLost):
            await pop.quit()

    replay = played((b"DELE 1\r\n", b"+OK\r\n"), (b"RETR 1\r\n", half), ending="stay", timeout=None, use=use)
    assert replay.received == b"DELE 1\r\nRETR 1\r\n"


def test_the_callers_timeout_between_commands_costs_nothing() -> None:
    """A timeout while no reply is due leaves the session usable."""

    async def use(pop: AsyncConnection) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await asyncio.sleep(5)
        await pop.noop()

    played((b"NOOP\r\n", b"+OK\r\n"), use=use)


def test_time_in_a_sink_that_is_awaited_does_not_count(clock: Clock) -> None:
    """A sink may be slower than the timeout: the clock runs only while we wait for the server (decision 4)."""
    body = b"x" * 300_000 + b"\r\n"
    began, chunks = clock.now, 0

    async def slow(_: bytes) -> None:
        nonlocal chunks
        chunks += 1
        await asyncio.sleep(0.001)
        clock.advance(400)
        await asyncio.sleep(0.001)

    async def use(pop: AsyncConnection) -> None:
        size = await pop.retr(1, slow)
        assert size == len(body)

    played((b"RETR 1\r\n", b"+OK\r\n" + stuffed(body)), timeout=300, clock=clock, segment=60_000, use=use)
    assert chunks > 1
    assert clock.now - began == 400 * chunks


def test_a_busy_event_loop_is_not_silence() -> None:
    """Data that arrived while other tasks kept the event loop busy counts, however long that took."""
    loops: list[asyncio.AbstractEventLoop] = []
    passed = Clock(0.0)

    def now() -> float:
        """Return the time of both the event loop and the connection."""
        return time.monotonic() + passed.now

    async def use(pop: AsyncConnection) -> None:
        loops.append(asyncio.get_running_loop())
        loops[0].time = now  # type: ignore[method-assign]
        assert await pop.stat() == Stat(2, 320)

    def later(sock: socket.socket) -> None:
        done = threading.Event()

        def busy() -> None:
            sock.sendall(b"+OK 2 320\r\n")
            passed.advance(400)
            done.set()

        loops[0].call_soon_threadsafe(busy)
        assert done.wait(GENEROUS)

    played((b"STAT\r\n", later), timeout=300, clock=now, use=use)


@pytest.mark.threat(12)
def test_connecting_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """All addresses share one deadline: those that never answer leave time for the next ones."""
    asked: list[float | None] = []
    really = asyncio.timeout

    def noted(seconds: float | None) -> asyncio.Timeout:
        asked.append(seconds)
        # The wait for the address that never answers, of which there is one in the first attempt.
        return really(0.1 if seconds == pytest.approx(GENEROUS / 2, rel=0.3) else seconds)

    monkeypatch.setattr(asyncio, "timeout", noted)
    with socket.socket() as full, Server() as server:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        swallowing, refusing, good = full.getsockname(), ("127.0.0.1", 1), (server.host, server.port)

        async def use(addresses: list[tuple[str, int]], timeout: float) -> None:
            async def found(*_: object, **__: object) -> list[Any]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
            async with AsyncConnection("mail.example", 110, security="none", timeout=timeout):
                pass

        asyncio.run(use([refusing, swallowing, good], GENEROUS))
        total, resolving, first, second, third = map(float, filter(None, asked))
        assert total == GENEROUS
        assert resolving <= GENEROUS
        assert first <= GENEROUS / 3
        assert second <= GENEROUS / 2
        assert second < third <= GENEROUS
        asked.clear()
        with pytest.raises(Timeout):
            asyncio.run(use([swallowing, swallowing], 0.4))
        assert sum(map(float, filter(None, asked[2:]))) <= 0.4 + 0.01  # as the timers count
        with pytest.raises(ConnectionLost, match="cannot connect"):
            asyncio.run(use([refusing, refusing], GENEROUS))
        for filler in fillers:
            filler.close()


def test_an_unknown_host_is_named_in_the_error() -> None:
    """Connecting to an unknown host raises a `ConnectionLost` that names the cause."""

    async def use() -> None:
        await AsyncConnection("no-such-host.invalid", security="none").open()

    with pytest.raises(ConnectionLost, match="cannot find the host"):
        asyncio.run(use())


@pytest.mark.threat(20)
def test_a_handshake_that_stalls_is_a_timeout() -> None:
    """The deadline covers the handshake, both of implicit TLS and after STLS."""
    with Replay([(None, b"")], ending="stay") as replay, pytest.raises(Timeout):
        asyncio.run(AsyncConnection("localhost", sock=replay.client, timeout=0.2).open())

    def begin(sock: socket.socket) -> None:
        pop.timeout = 0.2  # only from here
        sock.sendall(b"+OK\r\n")

    with Replay([(None, b"+OK\r\n"), (b"STLS\r\n", begin)], ending="stay") as replay:
        pop = AsyncConnection("localhost", sock=replay.client, timeout=GENEROUS, security="starttls")
        with pytest.raises(Timeout, match="handshake"):
            asyncio.run(pop.open())


# --- TLS on an empty buffer -----------------------------------------------------------------------------------------


INJECTED = b"+OK injected\r\n"


def requiring_tls(server: Server) -> AsyncConnection:
    """Return a connection that requires STLS."""
    return AsyncConnection(
        server.host, server.port, security="starttls", ssl_context=server.client_context(), timeout=GENEROUS
    )


def test_data_in_the_segment_of_the_reply_to_stls_is_refused() -> None:
    """Data in the segment of the reply to STLS is refused, and nothing is sent inside or outside TLS (decision 8)."""
    with Server(security="starttls", faults=[Fault.stray(INJECTED, command="STLS")]) as server:
        with pytest.raises(ProtocolError):
            asyncio.run(requiring_tls(server).open())
        server.wait(GENEROUS)
        assert server.log == ("STLS",)


def test_data_after_the_reply_to_stls_is_refused() -> None:
    """Data in a later segment is refused whenever it arrives: before the handshake, or as part of it."""
    for rounds in (0, 1, 2, 3, 5):

        def inject(sock: socket.socket, rounds: int = rounds) -> None:
            sock.sendall(b"+OK begin\r\n")
            time.sleep(0.001 * rounds)
            sock.sendall(INJECTED)

        script = [(None, b"+OK ready\r\n"), (b"STLS\r\n", inject)]
        with case(rounds), Replay(script, ending="stay", tcp=True) as replay:
            pop = AsyncConnection("localhost", sock=replay.client, security="starttls", timeout=GENEROUS)
            with pytest.raises((ProtocolError, TLSError)):
                asyncio.run(pop.open())
        assert b"CAPA" not in replay.received, rounds
        assert pop.greeting == "ready", rounds


def test_data_buffered_before_tls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data in our buffer when TLS starts is refused, even if the protocol has not seen it yet."""

    async def use() -> None:
        with Server(security="starttls") as server:
            async with in_clear_text(server) as pop:
                start = pop._start_tls

                async def late() -> None:
                    assert pop._transport is not None
                    pop._transport.data_received(INJECTED)
                    await start()

                monkeypatch.setattr(pop, "_start_tls", late)
                with pytest.raises(ProtocolError, match="unencrypted"):
                    await pop.stls()
                await dead(pop)

    asyncio.run(use())


def in_clear_text(server: Server) -> AsyncConnection:
    """Return an unencrypted connection that may start TLS."""
    context = server.client_context()
    return AsyncConnection(server.host, server.port, security="none", ssl_context=context, timeout=GENEROUS)


def test_a_server_that_closes_instead_of_starting_tls_is_a_typed_error() -> None:
    """FIN after the reply to STLS raises a typed error at once."""
    with Replay([(None, b"+OK\r\n"), (b"STLS\r\n", b"+OK\r\n")], tcp=True) as replay:
        pop = AsyncConnection("localhost", sock=replay.client, security="starttls", timeout=GENEROUS)
        with pytest.raises((ConnectionLost, TLSError)):
            asyncio.run(pop.open())


def test_stls_secures_an_open_connection() -> None:
    """stls() secures a connection that began unencrypted; the capabilities are requested again."""

    async def use() -> None:
        with Server([MAIL], security="starttls", plaintext=False) as server:
            async with in_clear_text(server) as pop:
                assert "STLS" in await pop.capa()
                await pop.stls()
                assert pop.session.capabilities is None
                with pytest.raises(ValueError, match="already"):
                    await pop.stls()
                await pop.login("me", "secret")
                assert await pop.retr(1) == MAIL
                await pop.quit()
            server.wait(GENEROUS)
            assert server.sessions[0].tls

    asyncio.run(use())


# --- flow control -----------------------------------------------------------------------------------------------------


def slow_sink(lines: int, security: Any) -> None:
    """Stream a message of `lines` lines to a slow sink."""
    mail = b"Subject: x\r\n\r\n" + b"0123456789012345678901234567890123456789\r\n" * lines

    async def use() -> None:
        with Server([mail], security=security) as server:
            context = server.client_context() if security == "tls" else None
            async with AsyncConnection(
                server.host, server.port, security=security, ssl_context=context, timeout=GENEROUS
            ) as pop:
                await pop.login("me", "secret")
                transport = pop._transport
                assert transport is not None
                held, taken, paused = [], 0, 0

                async def sink(chunk: bytes) -> None:
                    nonlocal taken, paused
                    taken += len(chunk)
                    if not paused:
                        await eventually_async(lambda: transport._paused)
                    paused += transport._paused
                    await asyncio.sleep(0.005)
                    held.append(transport._arrived.size)

                assert await pop.retr(1, sink) == taken == len(mail)
                assert paused
                assert max(held) > transport_module._HIGH, "it read on meanwhile"
                assert max(held) < transport_module._HIGH + 600_000

    asyncio.run(use())


@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_slow_sink_makes_the_server_wait(security: Any) -> None:
    """A sink slower than the server needs bounded memory: reading pauses and resumes (4 MB through about 1 MB)."""
    slow_sink(96_000, security)


@pytest.mark.slow
@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_slow_sink_of_a_large_mail_makes_the_server_wait(security: Any) -> None:
    """The same for 20 MB."""
    slow_sink(480_000, security)


def test_data_waiting_for_a_slow_sink_costs_only_its_size() -> None:
    """Packets of two bytes cost no more memory than a few large ones: data received is joined."""

    async def use() -> None:
        transport = transport_module.AsyncTransport("pop.example.com")
        size = 300_000
        packet = b"ab"
        tracemalloc.start()
        for _ in range(size // 2):
            transport.data_received(packet[:1] + packet[1:])
        data = transport.take()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert data == packet * (size // 2)
        assert most < 2.5 * size

    asyncio.run(use())


def test_an_idle_session_buffers_little() -> None:
    """A server that sends unsolicited data fills a bounded buffer, and the next command raises `ProtocolError`."""
    go = threading.Event()

    def flood(sock: socket.socket) -> None:
        assert go.wait(GENEROUS)
        while True:  # until the client closes
            sock.sendall(b"+OK 1 1\r\n" * 10_000)

    async def use(pop: AsyncConnection) -> None:
        assert pop._transport is not None
        transport = pop._transport
        go.set()
        await eventually_async(lambda: transport._paused)
        await asyncio.sleep(0.05)
        assert transport._arrived.size < transport_module._HIGH + 600_000
        with pytest.raises(ProtocolError):
            await pop.dele(1)
        await dead(pop)

    assert played((None, flood), use=use).received == b""


# --- pipelines, steps, and what may be awaited --------------------------------------------------------------------------


def test_a_pipeline_left_early_is_dropped_at_once() -> None:
    """Leaving `async for` makes the replies in flight unwanted at once, not only when the event loop runs."""
    go = threading.Event()

    def later(sock: socket.socket) -> None:
        assert go.wait(GENEROUS)
        sock.sendall(b"+OK later\r\n")

    script = [CAPA, (b"NOOP\r\n", b"+OK first\r\n"), *[(b"NOOP\r\n", later)] * 2, (b"NOOP\r\n", b"+OK last\r\n")]

    async def use(pop: AsyncConnection) -> None:
        async for result in pop.pipeline([commands.noop()] * 3):
            assert result == "first"
            break
        batch = pop.session.dispatcher._current
        assert batch is not None
        assert (batch.abandoned, batch.pending) == (True, 2)
        go.set()
        assert await pop.noop() == "last"

    played(*script, use=use)


def test_leaving_the_block_closes_the_transport_at_once(recwarn: pytest.WarningsRecorder) -> None:
    """However the block is left, the transport is closed in the same round of the event loop."""
    with Server([MAIL]) as server:
        for error in (None, KeyError(), asyncio.CancelledError()):

            async def use(error: BaseException | None = error) -> None:
                async with AsyncConnection(server.host, server.port, security="none") as pop:
                    await pop.login("me", "secret")
                    await pop.dele(1)
                    if error is not None:
                        raise error

            if error is None:
                asyncio.run(use())
            else:
                with pytest.raises(type(error)):
                    asyncio.run(use())
        server.wait(GENEROUS)
        assert "QUIT" not in server.log
        assert server.messages == (MAIL,)
    assert not recwarn.list


def test_passwords_and_tokens_may_be_awaited() -> None:
    """A callable for a password or token may be a coroutine function; it is called only when needed."""
    asked = []

    async def password() -> str:
        await asyncio.sleep(0)
        asked.append("password")
        return "secret"

    async def token() -> str:
        await asyncio.sleep(0)
        asked.append("token")
        return "t0k3n"

    async def use() -> None:
        from pymailbox import OAuth2

        with Server([MAIL], sasl=["OAUTHBEARER", "PLAIN"], token="t0k3n") as server:
            for way in ({"password": password}, {"auth": OAuth2(token)}, {"password": lambda: "secret"}):
                async with AsyncConnection(server.host, server.port, security="none") as pop:
                    await pop.login("me", **way)
                    assert (await pop.stat()).count == 1
            for mechanism in (Plain("me", "secret"), OAuthBearer("me", "t0k3n")):
                async with AsyncConnection(server.host, server.port, security="none") as pop:
                    await pop.auth(mechanism)
                    await pop.quit()

    asyncio.run(use())
    assert asked == ["password", "token"]


def test_an_error_of_a_password_callable_is_passed_on() -> None:
    """If a coroutine fails to get the password, the login raises its error."""

    async def password() -> str:
        raise LookupError("no vault")

    async def use() -> None:
        with Server() as server:
            async with AsyncConnection(server.host, server.port, security="none") as pop:
                with pytest.raises(LookupError, match="no vault"):
                    await pop.login("me", password)

    asyncio.run(use())


def test_a_servers_last_words_are_in_the_error() -> None:
    """The server's last words before it closed are in the error, although no reply was due."""

    go = threading.Event()

    def leave(sock: socket.socket) -> None:
        assert go.wait(GENEROUS)
        sock.sendall(b"-ERR idle for too long\r\n")

    async def use(pop: AsyncConnection) -> None:
        go.set()
        assert pop._transport is not None
        transport = pop._transport
        await eventually_async(lambda: transport._ended)
        with pytest.raises(ConnectionLost) as caught:
            await pop.noop()
        assert "idle" in (caught.value.response or "")

    assert played((None, leave), use=use).received == b""


def test_plaintext_is_refused_without_tls() -> None:
    """Without TLS a password is sent only to this machine, unless `allow_plaintext` is true."""

    async def use(pop: AsyncConnection) -> None:
        pop.session.loopback = False
        with pytest.raises(NotSupported):
            await pop.login("me", "secret")

    replay = played((b"CAPA\r\n", b"+OK\r\nUSER\r\n.\r\n"), use=use)
    assert b"secret" not in replay.received


# --- the event loop ------------------------------------------------------------------------------------------------------


def sources() -> Iterator[Path]:
    """Every module of the asyncio half."""
    package = Path(pymailbox.pop3.__file__).parent.parent
    yield from package.rglob("async_*.py")


def test_any_event_loop_can_be_used() -> None:
    """Nothing is used that a Proactor loop lacks: no descriptors, no readers, no writers."""
    wanted = {"add_reader", "add_writer", "remove_reader", "remove_writer", "fileno", "sock_recv", "sock_sendall"}
    found = list(sources())
    assert len(found) >= 5
    for path in found:
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not names & wanted, path.name


# --- logging in ------------------------------------------------------------------------------------------------------


def test_a_token_may_be_awaited(dovecot: RealServer) -> None:
    """A coroutine function may return the token."""
    assert dovecot.ca is not None
    context = trusting(dovecot.ca)

    async def token() -> str:
        await asyncio.sleep(0)
        return jwt(dovecot.user)

    async def main() -> int:
        async with AsyncConnection(dovecot.host, dovecot.tls_port, ssl_context=context, timeout=GENEROUS) as pop:
            await pop.login(dovecot.user, None, OAuth2(token))
            return (await pop.stat()).count

    assert asyncio.run(main()) == len(dovecot.mails)


def test_a_password_may_be_awaited() -> None:
    """A coroutine function may return the password, and a wrong one is refused as usual."""

    async def password() -> str:
        await asyncio.sleep(0)
        return "secret"

    async def main(server: Server) -> None:
        async with AsyncConnection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
            await pop.login("me", password)
        async with AsyncConnection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
            with pytest.raises(AuthenticationError) as caught:
                await pop.login("me", "wrong-secret")
            assert "wrong-secret" not in f"{caught.value!r}"

    with Server(lock=False) as server:
        asyncio.run(main(server))


def test_scram_does_not_block_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop runs while the hash is computed, whatever its iterations, for connections and mailboxes."""
    hashed, rounds = scramp.core.hi, []

    def slow(*arguments: Any) -> bytes:
        gone_round = threading.Event()
        loops[0].call_soon_threadsafe(gone_round.set)
        rounds.append(gone_round.wait(GENEROUS))
        done: bytes = hashed(*arguments)
        return done

    async def main(server: Server) -> None:
        loops[:] = [asyncio.get_running_loop()]
        async with AsyncConnection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
            await pop.login("me", "secret")
            await pop.quit()
        async with AsyncMailbox(server.host, "me", "secret", port=server.port, security="none") as inbox:
            assert len(inbox) == 0

    loops: list[asyncio.AbstractEventLoop] = []
    with Server(sasl=("SCRAM-SHA-256",)) as server:
        monkeypatch.setattr(scramp.core, "hi", slow)
        asyncio.run(main(server))
    assert len(rounds) >= 2
    assert all(rounds)


def test_scram_beyond_the_limit_ends_the_login() -> None:
    """More iterations than allowed are `LimitExceeded`, and the session is over."""

    async def main(server: Server) -> None:
        limits = Limits(scram_iterations=4095)
        mailbox = AsyncMailbox(server.host, "me", "secret", port=server.port, security="none", limits=limits)
        with pytest.raises(LimitExceeded) as caught:
            await mailbox.open()
        assert (caught.value.field, caught.value.usable) == ("scram_iterations", False)

    with Server(sasl=("SCRAM-SHA-256",)) as server:
        asyncio.run(main(server))


def test_scram_refused_is_an_authentication_error_over_asyncio() -> None:
    """At its first line and at its proof (seen: the work in a thread cleared the frames of the waiting coroutine)."""

    async def main(server: Server, password: str, auth: str) -> Exception:
        mailbox = AsyncMailbox(server.host, "me", password, port=server.port, security="none", auth=auth)
        with pytest.raises(MailboxError) as caught:
            await mailbox.open()
        return caught.value

    with Server(sasl=("SCRAM-SHA-256",)) as server:
        assert type(asyncio.run(main(server, "wrong", "SCRAM-SHA-256"))) is AuthenticationError
        assert type(asyncio.run(main(server, "secret", "SCRAM-SHA-1"))) is NotSupported
