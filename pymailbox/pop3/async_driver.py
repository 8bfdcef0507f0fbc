"""AsyncDriver: runs flows, commands and batches over asyncio.

It connects, reads, writes, starts TLS, closes and keeps deadlines. `session`, `flows` and `protocol`, which decide what
to send and how to read the replies, are shared with `Driver`. A cancellation while it waits closes the transport at
once and sends nothing: the session is over, and nothing is committed.
"""

import asyncio
import inspect
import socket
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar

from pymailbox.display import secret
from pymailbox.errors import CommandError, ConcurrentUse, ConnectionLost, MailboxError, Timeout
from pymailbox.pop3 import flows
from pymailbox.pop3 import proxy as proxies
from pymailbox.pop3.abstract_connection import AbstractConnection, FirstSilence
from pymailbox.pop3.async_transport import AsyncTransport, connect
from pymailbox.pop3.command import Chunk, Command
from pymailbox.pop3.deadlines import Left, ReplyTimeout, until
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.sinks import write_all_async
from pymailbox.pop3.transport import is_loopback

__all__ = ["AsyncDriver", "Results"]

T = TypeVar("T")


class AsyncDriver(AbstractConnection):
    """One session over one asyncio transport; `AsyncConnection` adds a method for each command."""

    _transport: AsyncTransport | None = None

    # --- connecting ---------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect, and start implicit TLS. The greeting is not awaited: that is the first step of a flow."""
        with _Turn(self):
            settings, seconds = self._settings, self.timeout
            what = f"{self.host}:{self.port} did not accept the connection within {seconds} s"
            what += "; check host, port and security"
            left = until(seconds, what, self._clock)
            context = self._tls_context() if self.security == "tls" else None
            try:
                async with asyncio.timeout(seconds):
                    sock = settings.sock or await self._dial(left)
                    loopback = settings.proxy is None and is_loopback(sock)
                    self._transport = AsyncTransport(self.host)
                    await self._transport.start(sock, context)
            except MailboxError:
                raise
            except TimeoutError as error:
                raise Timeout(what) from error
            channel = self._transport.tls
            self.session.begin(secure=channel is not None, loopback=loopback, tls=channel)

    async def _dial(self, left: Left) -> socket.socket:
        where = self.host, self.port, left, self._settings.source_address
        if self._settings.proxy is not None:
            return await proxies.connect_async(self._settings.proxy, *where, connect)
        return await connect(*where)

    async def _expects_tls(self) -> bool:
        """Whether the port speaks TLS. Tried on a second connection, because the first may only be slow."""
        from pymailbox.pop3.tls import client_hello, is_tls

        left = self._probe_left()
        probe = AsyncTransport(self.host)
        try:
            await probe.start(await self._dial(left), None)
            return is_tls(await probe.exchange(client_hello(), left))
        except MailboxError:
            return False
        finally:
            probe.abort()

    async def _start_tls(self) -> None:
        transport, seconds = self._in_use(), self.timeout
        with _Turn(self):
            early = transport.take()
            if early is not None:
                self._receive(early)
                self.session.protocol.reset_for_tls()  # raises: unencrypted data arrived after the reply to STLS
            try:
                async with asyncio.timeout(seconds):
                    await transport.start_tls(self._tls_context())
            except MailboxError:
                raise
            except TimeoutError as error:
                raise Timeout(f"the TLS handshake did not finish within {seconds} s") from error
            self.session.tls = transport.tls

    def abort(self) -> None:
        """Close at once, without QUIT and without waiting: the server commits nothing. May be called again."""
        self.session.protocol.fail("the connection was closed")
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Close the connection without QUIT: the server commits nothing. May be called again."""
        self.abort()
        await asyncio.sleep(0)  # the event loop closes the socket in its next round

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        transport = self._transport
        if transport is not None and self.session.protocol.failure is None and not transport.foreign:
            self.abort()  # otherwise the event loop keeps the transport open, and the server the mailbox locked
            _warn(f"unclosed {self!r}", ResourceWarning, source=self)

    # --- flows --------------------------------------------------------------------------------------------

    async def run(self, flow: flows.Flow[T]) -> T:
        """Run a flow to its end and return its result (the contract is in `flows`).

        A cancellation at any point closes the connection, as nothing tells how far the flow got.
        """
        try:
            return await self._run(flow)
        except BaseException as error:
            if self.session.protocol.failure is not None or not isinstance(error, Exception):
                self._fail(error)
            raise

    async def _run(self, flow: flows.Flow[T]) -> T:
        result: Any = None
        failure: MailboxError | None = None
        while True:
            if self.session.slow and failure is None:  # a failure stays here: its traceback has this coroutine's frames
                step, ended = await asyncio.to_thread(_next_step, flow, result, failure)
            else:
                step, ended = _next_step(flow, result, failure)
            if ended is not None:
                return ended[0]
            result = failure = None
            try:
                result = await self._perform(step)
            except MailboxError as error:
                failure = error

    async def _perform(self, step: flows.Step) -> Any:
        if isinstance(step, Command):
            return await self.execute(step)
        if isinstance(step, flows.Pipeline):
            return await self._all(Batch(iter(step.commands)))
        if isinstance(step, flows.Next):
            return await self.next_result(step.batch)
        if isinstance(step, flows.Stream):
            return await self.execute(step.command, step.sink)
        if isinstance(step, flows.StartTLS):
            return await self._start_tls()
        if isinstance(step, flows.Callback):
            result = await asyncio.to_thread(step.function) if step.in_thread else step.function()
            return secret(await result if inspect.isawaitable(result) else result)
        self.abort()
        return await self.connect()

    # --- commands and batches -----------------------------------------------------------------------------

    async def execute(self, command: Command[T], sink: Callable[[bytes], object] | None = None) -> T:
        """Send one command and return its result; a refusal is raised as `CommandError`.

        Replies to earlier commands are read first. The chunks of a streamed body go to `sink`, which may take them in
        parts (see `sinks`); an awaitable that it returns is awaited before more is read.
        """
        self._in_use()
        with _Turn(self):
            batch = self.session.dispatcher.single(command, sink)
            await self._advance(batch)
        result = batch.results.popleft()
        if isinstance(result, CommandError):
            raise result
        return result

    def pipeline(self, wanted: Iterable[Command[T]]) -> "Results[T]":
        """Send commands while earlier ones are unanswered, and iterate over their results in order.

        A refusal is yielded as a `CommandError`, not raised. The window bounds what is in flight; without PIPELINING
        (RFC 2449 §6.6) one command is sent at a time. Commands are taken from `wanted` as the window has room. If you
        stop early, the next command first reads the replies in flight, and closes the connection if they exceed
        `Limits.window`.
        """
        self._in_use()
        return Results(self, Batch(iter(wanted)))

    async def _all(self, batch: Batch[T]) -> list[T | CommandError]:
        results = []
        while (result := await self.next_result(batch)) is not None:
            results.append(result)
        return results

    async def next_result(self, batch: Batch[T]) -> T | CommandError | None:
        """Return the next result of a batch, a refusal as a value; None when there are no more.

        When the session fails, the results received before are returned first; then the failure is raised.
        """
        results = batch.results
        if not results:
            if batch.failure is None:
                batch.failure = await self._refill(batch)
            if not results:
                if batch.failure is not None:
                    raise batch.failure
                return None
        return results.popleft()

    async def _refill(self, batch: Batch[Any]) -> MailboxError | None:
        """Get at least one more result unless the batch is done; return the failure to raise after the results."""
        self.session.dispatcher.take(batch)
        with _Turn(self):
            try:
                self.session.dispatcher.submit(batch)
                if not batch.complete:
                    await self._advance(batch)
            except MailboxError as error:
                self._fail(error)
                return error
        return None

    async def _advance(self, batch: Batch[Any]) -> None:
        """Write and read until the batch has a result."""
        dispatcher = self.session.dispatcher
        protocol, transport = dispatcher.protocol, self._in_use()
        reply_timeout: ReplyTimeout | None = None
        answered = dispatcher.answered
        if transport.foreign:
            raise ConnectionLost("this session was opened in another process; open one in this process")
        if not transport.here:
            raise ConnectionLost("this session was opened in another event loop; open one in this loop")
        while True:
            arrived = dispatcher.next_chunk(batch)
            if arrived is not None:
                await self._hand_on(*arrived, reply_timeout)
                continue
            if batch.results:
                return
            if reply_timeout is None or answered != dispatcher.answered:
                answered = dispatcher.answered
                reply_timeout = ReplyTimeout(self.timeout, protocol.limits.minimum_rate, self._clock())
            # Read what has arrived before sending a command: it may be a server's last words (decision 5).
            data = await transport.waiting() if protocol.idle else None
            if data is None:
                try:
                    data = await transport.exchange(protocol.data_to_send(), self._left(reply_timeout))
                except FirstSilence:
                    expects_tls = await self._expects_tls()
                    data = self._late_greeting(transport.take(), expects_tls=expects_tls)
                    if data is None:
                        continue
            reply_timeout.received(len(data), self._clock())
            self._receive(data)

    async def _hand_on(self, batch: Batch[Any], chunk: Chunk, reply_timeout: ReplyTimeout | None) -> None:
        """Pass a chunk to the sink; that time does not count towards the timeout."""
        if batch.sink is None:
            return
        began = self._clock()
        await write_all_async(batch.sink, chunk.data)
        if reply_timeout is not None:
            reply_timeout.pause(self._clock() - began)

    def _fail(self, error: BaseException) -> None:
        """End the session and close the transport; nothing is sent."""
        self.session.dispatcher.end(error)
        if self._transport is not None:
            self._transport.abort()

    def _in_use(self) -> AsyncTransport:
        if self._transport is None:
            raise ValueError("the connection is not open; use `async with` or call open()")
        return self._transport


def _next_step(flow: flows.Flow[T], result: Any, failure: MailboxError | None) -> tuple[Any, tuple[T] | None]:
    """Run a flow to its next step; return the step and None, or None and its result in a tuple."""
    try:
        return (flow.send(result) if failure is None else flow.throw(failure)), None
    except StopIteration as end:  # which a future cannot carry out of a thread
        return None, (end.value,)


class _Turn:
    """Exclusive use of a session by one task; another gets an error instead of waiting.

    Whatever is raised inside ends the session.
    """

    __slots__ = ("_driver",)

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    def __enter__(self) -> None:
        if self._driver._owner.setdefault("session", self) is not self:
            raise ConcurrentUse(
                "this session is in use by another task, or by the transfer that is calling your sink;"
                " open another session"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver._owner.clear()
        if error is not None:
            self._driver._fail(error)


class Results(AsyncIterator[T | CommandError], Generic[T]):
    """The results of a pipeline, in order.

    Not an async generator, because the event loop would close that only some time after the caller stopped early.
    """

    __slots__ = ("_batch", "_driver")

    def __init__(self, driver: AsyncDriver, batch: Batch[T]) -> None:
        self._driver = driver
        self._batch = batch

    async def __anext__(self) -> T | CommandError:
        driver = self._driver
        if driver.session.capabilities is None:
            await driver.run(flows.known_capabilities(driver.session))
        result = await driver.next_result(self._batch)
        if result is None:
            raise StopAsyncIteration
        return result

    def __del__(self) -> None:
        self._batch.abandoned = True
