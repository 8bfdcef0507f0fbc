"""AsyncTransport: an asyncio.Protocol with a buffer of its own, plain or TLS.

It connects, moves octets both ways, starts TLS and closes; it knows nothing of POP3 and keeps no clock. What the
operating system and OpenSSL raise is translated here and nowhere else. It uses transports only, no file descriptors,
so that every event loop can run it.

The buffer is our own for the sake of STLS: what arrived before TLS stays visible, so that it can be refused
(`asyncio.StreamWriter.start_tls` hands it on as if it had come through TLS).
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

_HIGH = 1 << 20  # octets received and not taken, from which on nothing more is read
_ROUNDS = 2  # of the event loop: it polls, and only then gives what it found
_TLS_ROUNDS = 4  # a broken connection is told to the TLS layer, and by that to us, in a round each
_DAY = 86400.0  # seconds; asyncio wants a bound for the handshake, but the deadline is ours


async def connect(host: str, port: int, left: Left, source_address: tuple[str, int] | None = None) -> socket.socket:
    """Connect to the first address of `host` that answers; one deadline covers them all.

    Name resolution runs in a thread; when the deadline ends the wait for it, the thread itself goes on.
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
        except OSError as error:  # an address family that this machine does not have
            failure = failure or error
            continue
        try:
            sock.setblocking(False)
            if source_address is not None:
                sock.bind(source_address)
            # An address that swallows everything may not use up the time of those after it.
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
    """A connection of the running event loop, for one waiter at a time."""

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
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take octets; a peer that sends faster than they are used is made to wait."""
        self._arrived.add(data)
        if self._arrived.octets > _HIGH and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Take the end of the stream; the transport closes itself then."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection."""
        self._ended = True
        self._failure = exc
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- what the driver calls ----------------------------------------------------------------------------

    async def start(self, sock: socket.socket, context: "ssl.SSLContext | None") -> None:
        """Take over a connected socket, with TLS from the first octet where there is a context."""
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
        """Do the TLS handshake; the certificate is checked against the host.

        Nothing may have arrived before it: until it runs there is no await in which anything could.
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
        """The TLS channel, None without TLS."""
        if self._transport is None:
            return None
        channel: Channel | None = self._transport.get_extra_info("ssl_object")
        return channel

    async def waiting(self) -> bytes | None:
        """Return what has arrived unasked: None for nothing, empty at the end of the stream."""
        for _ in range(_TLS_ROUNDS if self.tls is not None else _ROUNDS):
            await asyncio.sleep(0)
        return self.take()

    async def exchange(self, to_send: bytes, left: Left) -> bytes:
        """Send `to_send` while reading; return the first octets received, empty at the end of the stream."""
        if to_send and not self._ended and self._transport is not None:
            self._transport.write(to_send)
        del to_send  # it may be a password: a traceback that shows variables does not show it
        while (data := self.take()) is None:
            await self._wait(left())
        if not data and self._failure is not None:
            raise self._lost(self._failure) from self._failure
        return data

    def take(self) -> bytes | None:
        """Return all that has arrived: None for nothing, empty at the end of the stream."""
        if not self._arrived.octets:
            return b"" if self._ended else None
        data = self._arrived.take()
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something has arrived or the seconds are over."""
        waiter = self._waiter = self.loop.create_future()
        timer = None if seconds is None else self.loop.call_later(seconds, self._wake)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def abort(self) -> None:
        """Close at once; sends nothing more. In another process this leaves everything as it is."""
        if self._transport is None or self.foreign:
            return
        if self.loop.is_closed():  # nothing runs there any more that could close the transport
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
        """Whether the caller runs in the event loop of this connection."""
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
        said = error.strerror if isinstance(error, OSError) else None
        return ConnectionLost(f"the connection to {self.host} broke: {said or error}")

    def _explained(self, error: OSError) -> MailboxError:
        from pymailbox.pop3.tls import explain

        return explain(error, self.host)
