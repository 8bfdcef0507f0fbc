"""A connection with one client: command lines in, replies out, plaintext or TLS.

The socket never blocks. Commands are still read while replies wait for a client that does not read, and replies are
still sent while a client sends thousands of commands, so two full buffers cannot deadlock. The server's stop signal
ends everything at once. `Hangup` carries how a connection ends.
"""

import contextlib
import selectors
import socket
import ssl
import struct
from collections.abc import Iterable
from time import monotonic

from attrs import Factory, define

from pymailbox.testing.delay_line import DelayLine
from pymailbox.testing.fault import End, Fault

__all__ = ["ClientSocket", "Hangup", "Idle"]

_CHUNK = 262_144  # bytes per recv
_UNREAD = 16 * 1024 * 1024  # most bytes of commands to read while replies wait
_HIGH, _LOW = 1_048_576, 65_536  # bytes of waiting replies at which answering pauses and resumes
_LONGEST = 65_536  # most bytes of an unfinished command line
_LINGER = 2.0  # seconds to wait for the client to close too, so that a reset does not discard what it has not yet read
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Hangup(Exception):
    """The connection is over: `reason` is for the record, `how` tells the socket how to close."""

    def __init__(self, reason: str, how: End = "fin") -> None:
        super().__init__(reason)
        self.reason = reason
        self.how: End = how


class Idle(Hangup):
    """The client was silent for too long."""


@define(eq=False)
class ClientSocket:
    """One connection. `stop` is a socket that becomes readable when the server closes."""

    sock: socket.socket
    stop: socket.socket
    out: DelayLine
    into: DelayLine | None
    autologout: float | None = None  # seconds of silence after which the server logs the client out
    reads_while_writing: bool = True
    strict: bool = False  # only CRLF ends a line
    partial: bool = False  # the lines just returned arrived in pieces
    endless: bytes = b""
    replies: list[bytes] = Factory(list)  # collected here, then queued together by `send`
    _selector: selectors.BaseSelector = Factory(selectors.DefaultSelector)
    _buffer: bytearray = Factory(bytearray)
    _watched: int = selectors.EVENT_READ
    _blocked: int = 0
    _eof: bool = False
    _heard: float = 0.0

    @classmethod
    def over(
        cls,
        sock: socket.socket,
        stop: socket.socket,
        *,
        latency: float = 0.0,
        faults: tuple[Fault, ...] = (),
        autologout: float | None = None,
    ) -> "ClientSocket":
        """Take over a connected socket; `latency` is seconds each way."""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        out, into = DelayLine(latency), DelayLine(latency)
        for fault in faults:
            (out if fault.toward == "client" else into).arm(fault)
        delayed = latency or any(fault.toward == "server" for fault in faults)
        client = cls(sock, stop, out, into if delayed else None, autologout)
        client._selector.register(sock, selectors.EVENT_READ)
        client._selector.register(stop, selectors.EVENT_READ)
        client._heard = monotonic()
        return client

    # --- replies ---

    def send(self, reply: Iterable[bytes] = ()) -> None:
        """Queue the collected replies and this one; wait only while too much is already queued."""
        pieces, now = self.replies, monotonic()
        pieces += reply
        if len(pieces) > 1 and sum(map(len, pieces)) <= _HIGH:
            self.out.push(b"".join(pieces), now)
        else:
            for piece in pieces:
                self.out.push(piece, now)
        pieces.clear()
        if self.out.backlog > _HIGH:
            while self.out.backlog > _LOW:
                self._turn()

    def arm(self, fault: Fault) -> None:
        """Start a wire fault `fault.after` bytes after the replies collected so far."""
        self.send()
        self.out.arm(fault)

    def flush(self) -> None:
        """Wait until everything queued has been sent."""
        self._write()
        while self.out.backlog:
            self._turn()
        self._write()  # a cut may be due after the last byte

    def pour(self, chunk: bytes) -> None:
        """Send this repeatedly until the client closes. Always ends in `Hangup` or OSError."""
        self.endless = chunk * max(1, _LOW // len(chunk))
        while True:
            self._turn()

    def hang(self) -> None:
        """Send nothing more, and wait until the client closes."""
        self.flush()
        self.out.stalled = True
        while self.lines():
            pass

    def rest(self, seconds: float) -> None:
        """Ignore the client for some seconds, or until the server closes."""
        with contextlib.suppress(Hangup):
            self._wait(0, monotonic() + seconds)

    # --- commands ---

    def lines(self) -> list[bytes]:
        """Wait for whole lines and return all that have arrived, without line ends; none if the client is done.

        A line ends at LF, with or without CR before it, as on most servers, unless `strict`. Replies are sent
        meanwhile.
        """
        self._write()
        mark = b"\r\n" if self.strict else b"\n"
        self.partial = False
        while True:
            end = self._buffer.rfind(mark)
            if end >= 0:
                end += len(mark)
                whole = bytes(self._buffer[:end])
                del self._buffer[:end]
                lines = (whole if self.strict else whole.replace(b"\r\n", b"\n")).split(mark)
                lines.pop()
                return lines
            self.partial = self.partial or bool(self._buffer)
            if self._eof and (self.into is None or not self.into.backlog):
                return []
            if len(self._buffer) > _LONGEST:
                raise Hangup("command line too long")
            self._turn()

    def discard(self) -> None:
        """Discard what the client sent and was not yet returned by `lines`."""
        self._buffer.clear()

    # --- TLS ---

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Send everything queued, then do the TLS handshake. ssl.SSLError if the client fails it."""
        if self.out.backlog:
            self.flush()
        self._watch(0)
        self.sock.getpeername()  # OSError if the client is gone; wrap_socket would leave the descriptor open
        self.sock = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        while True:
            try:
                self.sock.do_handshake()
                return
            except ssl.SSLWantReadError:
                self._wait(selectors.EVENT_READ, None)
            except ssl.SSLWantWriteError:
                self._wait(selectors.EVENT_WRITE, None)

    # --- the end ---

    def close(self, how: End) -> None:
        """Close the connection: orderly, with a reset, or ragged (no close_notify). May be called again."""
        try:
            if how == "rst":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                if how == "fin" and isinstance(self.sock, ssl.SSLSocket):
                    with contextlib.suppress(
                        OSError, ValueError
                    ):  # the peer may be gone, or never finished shaking hands
                        self.sock.unwrap()
                self.sock.shutdown(socket.SHUT_WR)
                self._linger()
        except (OSError, Hangup):
            pass  # the client closed first, or the server is closing
        finally:
            self._selector.close()
            self.sock.close()

    def _linger(self) -> None:
        deadline = monotonic() + _LINGER
        while monotonic() < deadline:
            self._wait(selectors.EVENT_READ, deadline)
            if self._receive() == b"":
                return

    # --- turning ---

    def _turn(self) -> None:
        """Write or read what is possible now, or wait until something is. `Hangup` if the connection is over."""
        if self._write() and not self.endless:
            return
        if self.into is not None and self._arrive():
            return
        room = not self._eof and len(self._buffer) + (self.into.backlog if self.into else 0) < _UNREAD
        if self._blocked and not self.reads_while_writing:
            room = False
        if room and isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            self._take(self._receive())
            return
        deadline = self._deadline()
        events = self._wait((selectors.EVENT_READ if room else 0) | self._blocked, deadline)
        if events:
            self._blocked = 0
        if room and events & selectors.EVENT_READ:
            self._take(self._receive())
        elif self.autologout is not None and not events and monotonic() >= self._heard + self.autologout:
            raise Idle("idle")

    def _write(self) -> bool:
        """Send what is due. True if anything was sent."""
        if self._blocked:
            return False
        sent = False
        now = monotonic()
        for _ in range(64):
            if self.endless and not self.out.backlog:
                self.out.push(self.endless, now)
            data = self.out.head(now)
            if self.out.ended:
                raise Hangup("cut", self.out.ended)
            if not data:
                break
            try:
                size = self.sock.send(data)
            except ssl.SSLWantReadError:
                self._blocked = selectors.EVENT_READ
                break
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._blocked = selectors.EVENT_WRITE
                break
            self.out.advance(size, now)
            sent = True
        return sent

    def _receive(self) -> bytes | None:
        """Read once: data, b"" at the end, None if nothing has arrived yet."""
        try:
            return self.sock.recv(_CHUNK)
        except _LATER:
            return None

    def _take(self, data: bytes | None) -> None:
        now = monotonic()
        if data:
            self._heard = now
            if self.into is None:
                self._buffer += data
            else:
                self.into.push(data, now)
        elif data is not None:
            self._eof = True
            if self.out.stalled or self.endless:
                raise Hangup("EOF")

    def _arrive(self) -> bool:
        """Move what is due from the delay line into the buffer. True if anything was moved."""
        assert self.into is not None
        now = monotonic()
        came = False
        while data := self.into.head(now):
            self._buffer += data
            self.into.advance(len(data), now)
            came = True
        if self.into.ended:
            raise Hangup("cut", self.into.ended)
        return came

    def _deadline(self) -> float | None:
        times = [self.out.due() if not self._blocked else None, self.into.due() if self.into else None]
        if self.autologout is not None:
            times.append(self._heard + self.autologout)
        if self.endless and not self._blocked:
            times.append(0.0)
        return min((time for time in times if time is not None), default=None)

    def _wait(self, events: int, deadline: float | None) -> int:
        """Wait for the socket, the stop signal or the deadline; return the socket's events."""
        self._watch(events)
        timeout = None if deadline is None else max(0.0, deadline - monotonic())
        happened = 0
        for key, mask in self._selector.select(timeout):
            if key.fileobj is self.stop:
                raise Hangup("the server closed")
            happened |= mask
        return happened

    def _watch(self, events: int) -> None:
        if events == self._watched:
            return
        if self._watched and events:
            self._selector.modify(self.sock, events)
        elif events:
            self._selector.register(self.sock, events)
        else:
            self._selector.unregister(self.sock)
        self._watched = events
