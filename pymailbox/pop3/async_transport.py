"""AsyncTransport: an asyncio.Protocol with its own buffer, plain or TLS.

It connects, moves bytes in both directions, starts TLS and closes; it knows nothing of POP3 and keeps no clock. Errors
of the operating system and OpenSSL are translated here and nowhere else. It uses transports only, no file descriptors,
and so runs on every event loop.

STLS is the reason for the buffer: data that arrived before TLS stays visible and can be refused
(`asyncio.StreamWriter.start_tls` passes it on as if it had come through TLS).
"""

import asyncio
import os
import socket
from typing import TYPE_CHECKING, cast

from pymailbox.errors import ConnectionLost, MailboxError, Timeout
from pymailbox.pop3.deadlines import Left
from pymailbox.pop3.pieces import Pieces

if TYPE_CHECKING:
    import ssl

    from pymailbox.account import Channel

__all__ = ["AsyncTransport", "connect"]

_HIGH = 1 << 20  # bytes received and not yet taken, above which reading pauses
_ROUNDS = 2  # of the event loop: one to poll, one to deliver what it found
_TLS_ROUNDS = 4  # a broken connection is reported to the TLS layer, then to us, in one more round each
_DAY = 86400.0  # seconds; asyncio requires a limit for the handshake, but the driver keeps the deadline


async def connect(host: str, port: int, left: Left, source_address: tuple[str, int] | None = None) -> socket.socket:
    """Connect to the first address of `host` that answers; one deadline covers them all.

    Name resolution runs in a thread, which keeps running after the deadline has ended the wait for it.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(left()):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise Timeout(f"the name {host!r} was not resolved in time; check your network") from error
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(f"cannot find the host {host!r} ({error}); check its name and your network") from error
    failure: OSError | None = None
    for position, (family, kind, number, _, address) in enumerate(found):
        seconds = left()
        try:
            sock = socket.socket(family, kind, number)
        except OSError as error:  # an address family that this machine lacks
            failure = failure or error
            continue
        try:
            sock.setblocking(False)
            if source_address is not None:
                sock.bind(source_address)
            # An address that never answers must leave time for those after it.
            async with asyncio.timeout(None if seconds is None else seconds / (len(found) - position)):
                await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = failure or error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    left()
    if isinstance(failure, TimeoutError):
        raise Timeout(f"no answer from {host}:{port}; check host, port and firewall") from failure
    raise ConnectionLost(f"cannot connect to {host}:{port} ({failure}); check host, port and security") from failure


class AsyncTransport(asyncio.Protocol):
    """A connection on the running event loop, for one waiter at a time."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._sock: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._arrived = Pieces()
        self._paused = False
        self._ended = False
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    # --- what the event loop calls ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Add received data to the buffer; pause a peer that sends faster than it is read."""
        self._arrived.add(data)
        if self._arrived.size > _HIGH and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note the end of the stream; the transport then closes itself."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection."""
        self._ended = True
        self._failure = exc
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- what the driver calls ----------------------------------------------------------------------------

    async def start(self, sock: socket.socket, context: "ssl.SSLContext | None") -> None:
        """Take over a connected socket, with TLS from the first byte if there is a context."""
        self._sock = sock
        try:
            await self.loop.create_connection(
                lambda: self,
                sock=sock,
                ssl=context,
                server_hostname=self.host.rstrip(".") if context else None,
                ssl_handshake_timeout=_DAY if context else None,
            )
        except OSError as error:
            raise self._explained(error) if context else self._lost(error) from error

    async def start_tls(self, context: "ssl.SSLContext") -> None:
        """Do the TLS handshake, verifying the certificate for the host.

        The buffer must be empty: nothing can arrive before the handshake begins, as there is no await until then.
        """
        assert self._transport is not None
        if self._ended:
            raise ConnectionLost("the server closed the connection instead of starting TLS")
        try:
            self._transport = await self.loop.start_tls(
                self._transport, self, context, server_hostname=self.host.rstrip("."), ssl_handshake_timeout=_DAY
            )
        except OSError as error:
            raise self._explained(error) from error

    @property
    def tls(self) -> "Channel | None":
        """The TLS channel, or None without TLS."""
        if self._transport is None:
            return None
        channel: Channel | None = self._transport.get_extra_info("ssl_object")
        return channel

    async def waiting(self) -> bytes | None:
        """Return what has already arrived: None for nothing, empty at the end of the stream."""
        for _ in range(_TLS_ROUNDS if self.tls is not None else _ROUNDS):
            await asyncio.sleep(0)
        return self.take()

    async def exchange(self, to_send: bytes, left: Left) -> bytes:
        """Send `to_send` while reading; return the first bytes received, empty at the end of the stream."""
        if to_send and not self._ended and self._transport is not None:
            self._transport.write(to_send)
        del to_send  # it may be a password, which a traceback with variables would show
        while (data := self.take()) is None:
            await self._wait(left())
        if not data and self._failure is not None:
            raise self._lost(self._failure) from self._failure
        return data

    def take(self) -> bytes | None:
        """Take everything out of the buffer: None for nothing, empty at the end of the stream."""
        if not self._arrived.size:
            return b"" if self._ended else None
        data = self._arrived.take()
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something arrives or the time is up."""
        waiter = self._waiter = self.loop.create_future()
        timer = None if seconds is None else self.loop.call_later(seconds, self._wake)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def abort(self) -> None:
        """Close at once without sending anything; in a forked process, do nothing."""
        if self._transport is None or self.foreign:
            return
        if self.loop.is_closed():  # it can no longer close the transport
            self._ended = True
            if self._sock is not None:
                self._sock.close()
        elif self.loop.is_running() and not self.here:
            self.loop.call_soon_threadsafe(self.abort)
        else:
            self._transport.abort()
            self._ended = True
            self._wake()

    @property
    def here(self) -> bool:
        """Whether the caller runs on this connection's event loop."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    @property
    def foreign(self) -> bool:
        """Whether this is a copy in a forked process."""
        return os.getpid() != self._process

    def _lost(self, error: Exception) -> MailboxError:
        import ssl

        if isinstance(error, ssl.SSLError):
            return self._explained(error)
        reason = error.strerror if isinstance(error, OSError) else None
        return ConnectionLost(f"the connection to {self.host} broke: {reason or error}")

    def _explained(self, error: OSError) -> MailboxError:
        from pymailbox.pop3.tls import explain

        return explain(error, self.host)
