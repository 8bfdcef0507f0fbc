"""Driver: runs flows, commands and batches over a blocking socket.

It connects, reads, writes, starts TLS, closes and keeps deadlines. `session`, `flows` and `protocol`, which decide what
to send and how to read the replies, are shared with `AsyncDriver`.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from pymailbox.display import secret
from pymailbox.errors import CommandError, ConcurrentUse, ConnectionLost, MailboxError
from pymailbox.pop3 import flows
from pymailbox.pop3 import proxy as proxies
from pymailbox.pop3.abstract_connection import AbstractConnection, FirstSilence
from pymailbox.pop3.command import Chunk, Command
from pymailbox.pop3.deadlines import Left, ReplyTimeout, until
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.sinks import write_all
from pymailbox.pop3.transport import Transport, connect, is_loopback

__all__ = ["Driver"]

T = TypeVar("T")
V = TypeVar("V")


class Driver(AbstractConnection):
    """One session over one blocking socket; `Connection` adds a method for each command."""

    _transport: Transport | None = None
    _interrupted = False

    # --- connecting ---------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, and start implicit TLS. The greeting is not awaited: that is the first step of a flow."""
        seconds = self.timeout
        what = f"{self.host}:{self.port} did not accept the connection within {seconds} s"
        what += "; check host, port and security"
        left = until(seconds, what, self._clock)
        sock = self._settings.sock or self._dial(left)
        loopback = self._settings.proxy is None and is_loopback(sock)
        transport = self._transport = Transport(sock, self.host)
        if self._interrupted:  # while it connected; or this is a fresh connection after the one that was interrupted
            raise ConnectionLost("the connection was interrupted")
        if self.security == "tls":
            transport.start_tls(self._tls_context(), left)
        self.session.begin(secure=transport.secure, loopback=loopback, tls=transport.tls)

    def _dial(self, left: Left) -> socket.socket:
        settings = self._settings
        if settings.proxy is not None:
            return proxies.connect(settings.proxy, self.host, self.port, left, settings.source_address, connect)
        return connect(self.host, self.port, left, settings.source_address)

    def _expects_tls(self) -> bool:
        """Whether the port speaks TLS. Tried on a second connection, because the first may only be slow."""
        from pymailbox.pop3.tls import client_hello, is_tls

        left = self._probe_left()
        probe: Transport | None = None
        try:
            probe = Transport(self._dial(left), self.host)
            return is_tls(probe.exchange(client_hello(), left))
        except MailboxError:
            return False
        finally:
            if probe is not None:
                probe.close()

    def close(self) -> None:
        """Close the socket without QUIT: the server commits nothing. May be called again."""
        self.session.protocol.fail("the connection was closed")
        if self._transport is not None:
            self._transport.close()

    def interrupt(self) -> None:
        """End the connection, so that whoever waits for a reply gets an error; may be called from a signal handler.

        Nothing else is touched. A connection in the making ends once it is made.
        """
        self._interrupted = True
        if self._transport is not None:
            self._transport.interrupt()

    # --- flows, commands and batches ----------------------------------------------------------------------

    def run(self, flow: flows.Flow[T]) -> T:
        """Run a flow to its end and return its result (the contract is in `flows`).

        An interruption at any point (Ctrl-C) closes the connection, as nothing tells how far the flow got.
        """
        try:
            return self._run(flow)
        except BaseException as error:
            if self.session.protocol.failure is not None or not isinstance(error, Exception):
                self._fail(error)
            raise

    def _run(self, flow: flows.Flow[T]) -> T:
        result: Any = None
        failure: MailboxError | None = None
        while True:
            try:
                step = flow.send(result) if failure is None else flow.throw(failure)
            except StopIteration as end:
                value: T = end.value
                return value
            result = failure = None
            try:
                result = self._perform(step)
            except MailboxError as error:
                failure = error

    def _perform(self, step: flows.Step) -> Any:
        if isinstance(step, Command):
            return self.execute(step)
        if isinstance(step, flows.Pipeline):
            return list(self._results(Batch(iter(step.commands))))
        if isinstance(step, flows.Next):
            return self.next_result(step.batch)
        if isinstance(step, flows.Stream):
            return self.execute(step.command, step.sink)
        if isinstance(step, flows.StartTLS):
            return self._start_tls()
        if isinstance(step, flows.Callback):
            return secret(step.function())
        self.close()
        return self.connect()

    def execute(self, command: Command[T], sink: Callable[[bytes], object] | None = None) -> T:
        """Send one command and return its result; a refusal is raised as `CommandError`.

        Replies to earlier commands are read first. The chunks of a streamed body go to `sink`, which may take them in
        parts (see `sinks`).
        """
        self._transport_in_use()
        try:
            result = self._exclusively(self._ask, command, sink)
            if isinstance(result, CommandError):
                raise result
            value: T = result
            return value
        except Exception:
            raise
        except BaseException as error:  # interrupted, even after the last byte
            self._fail(error)
            raise

    def _ask(self, command: Command[T], sink: Callable[[bytes], object] | None) -> T | CommandError:
        batch = self.session.dispatcher.single(command, sink)
        self._advance(batch)
        return batch.results.popleft()

    def pipeline(self, wanted: Iterable[Command[T]]) -> Iterator[T | CommandError]:
        """Send commands while earlier ones are unanswered, and yield their results in order.

        A refusal is yielded as a `CommandError`, not raised. The window bounds what is in flight; without PIPELINING
        (RFC 2449 §6.6) one command is sent at a time. Commands are taken from `wanted` as the window has room; `wanted`
        may use this connection itself. If you stop early, the next command first reads the replies in flight, and
        closes the connection if they exceed `Limits.window`.
        """
        self._transport_in_use()
        if self.session.capabilities is None:
            self.run(flows.known_capabilities(self.session))
        yield from self._results(Batch(iter(wanted)))

    def _results(self, batch: Batch[T]) -> Iterator[T | CommandError]:
        try:
            while (result := self.next_result(batch)) is not None:
                yield result
        finally:
            batch.abandoned = True

    def next_result(self, batch: Batch[T]) -> T | CommandError | None:
        """Return the next result of a batch, a refusal as a value; None when there are no more.

        When the session fails, the results received before are returned first; then the failure is raised.
        """
        results = batch.results
        if not results:
            if batch.failure is None:
                batch.failure = self._refill(batch)
            if not results:
                if batch.failure is not None:
                    raise batch.failure
                return None
        return results.popleft()

    def _refill(self, batch: Batch[Any]) -> MailboxError | None:
        """Get at least one more result unless the batch is done; return the failure to raise after the results."""
        # Outside `_exclusively`: this runs the caller's iterator, which may use the session itself.
        self.session.dispatcher.take(batch)
        return self._exclusively(self._refilled, batch)

    def _refilled(self, batch: Batch[Any]) -> MailboxError | None:
        try:
            self.session.dispatcher.submit(batch)
            if not batch.complete:
                self._advance(batch)
        except MailboxError as error:
            self._fail(error)
            return error
        return None

    def _advance(self, batch: Batch[Any]) -> None:
        """Write and read until the batch has a result."""
        dispatcher = self.session.dispatcher
        protocol = dispatcher.protocol
        transport = self._transport_in_use()
        reply_timeout: ReplyTimeout | None = None
        answered = dispatcher.answered
        if transport.foreign:
            raise ConnectionLost("this session was opened in another process; open one in this process")
        while True:
            arrived = dispatcher.next_chunk(batch)
            if arrived is not None:
                self._hand_on(*arrived, reply_timeout)
                continue
            if batch.results:
                return
            if reply_timeout is None or answered != dispatcher.answered:
                answered = dispatcher.answered
                reply_timeout = ReplyTimeout(self.timeout, protocol.limits.minimum_rate, self._clock())
            # Read what has arrived before sending a command: it may be a server's last words (decision 5).
            data = transport.waiting() if protocol.idle else None
            if data is None:
                try:
                    data = transport.exchange(protocol.data_to_send(), self._left(reply_timeout))
                except FirstSilence:
                    expects_tls = self._expects_tls()
                    data = self._late_greeting(transport.waiting(), expects_tls=expects_tls)
                    if data is None:
                        continue
            reply_timeout.received(len(data), self._clock())
            self._receive(data)

    def _hand_on(self, batch: Batch[Any], chunk: Chunk, reply_timeout: ReplyTimeout | None) -> None:
        """Pass a chunk to the sink; that time does not count towards the timeout."""
        if batch.sink is None:
            return
        began = self._clock()
        write_all(batch.sink, chunk.data)
        if reply_timeout is not None:
            reply_timeout.pause(self._clock() - began)

    def _exclusively(self, work: Callable[..., V], *arguments: Any) -> V:
        """Call `work` as the only user of the session; whatever it raises ends the session.

        A second thread gets an error instead of waiting, and so does a sink that uses the session.
        """
        owner, mine = self._owner, object()
        try:
            try:
                if owner.setdefault("session", mine) is not mine:
                    raise ConcurrentUse(
                        "this session is in use by another thread, or by the transfer that is calling your sink;"
                        " open another session"
                    )
                return work(*arguments)
            finally:
                if owner.get("session") is mine:
                    del owner["session"]
                    mine = None
        except BaseException as error:
            if mine is None or not isinstance(error, ConcurrentUse):
                self._fail(error)
                owner.clear()  # an interruption may have come before `del` above
            raise

    def _fail(self, error: BaseException) -> None:
        """End the session and close the socket; nothing is sent."""
        self.session.dispatcher.end(error)
        if self._transport is not None:
            self._transport.close()

    def _transport_in_use(self) -> Transport:
        if self._transport is None:
            raise ValueError("the connection is not open; use `with` or call open()")
        return self._transport

    def _start_tls(self) -> None:
        transport = self._transport
        assert transport is not None
        seconds = self.timeout
        left = until(seconds, f"the TLS handshake did not finish within {seconds} s", self._clock)
        try:
            transport.start_tls(self._tls_context(), left)
        except BaseException as error:
            self._fail(error)
            raise
        self.session.tls = transport.tls
