"""A scripted server at the other end of a socket: for each expected command, the bytes to send.

It does not know POP3, and does exactly what its script says.
"""

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Self

from attrs import define, field

from pymailbox.pop3 import Connection
from tests.timing import GENEROUS, Clock, ended

__all__ = ["Replay", "WatchedClock", "connected", "reset"]

End = Literal["fin", "rst", "stay"]

#: The expected command line (None to send without waiting) and the reply: bytes, or a function that gets the socket.
Step = tuple[bytes | None, "bytes | Callable[[socket.socket], object]"]


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def pair(tcp: bool) -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets."""
    if not tcp:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        return client, server


@define(eq=False)
class WatchedClock(Clock):
    """A clock that counts how often it was read, so that a scripted server can advance it in step with its client.

    It needs the fixture `clock`, which makes a waiting client read its clock every few milliseconds.
    """

    readings: int = 0

    def __call__(self) -> float:
        now = self.now
        self.readings += 1  # last, so that a reading is counted only once it is complete
        return now

    def seen(self, sock: socket.socket | None = None, since: int | None = None) -> bool:
        """Wait until the client has read the clock twice (since a given reading); False if it closed the connection.

        The client reads the clock before it waits and after data has arrived: after two readings it has what was sent.
        """
        wanted, deadline = (self.readings if since is None else since) + 2, time.monotonic() + GENEROUS
        while self.readings < wanted:
            time.sleep(0.001)
            if sock is not None and select.select([sock], [], [], 0)[0] and not sock.recv(1, socket.MSG_PEEK):
                return False
            assert time.monotonic() < deadline, "the client did not read its clock"
        return True

    def silence(self, seconds: float, begun: bytes = b"") -> Callable[[socket.socket], None]:
        """Return a step that sends the beginning of a reply and is then silent for so many seconds.

        The client reads its clock half a second before their end, and again at their end.
        """

        def send(sock: socket.socket) -> None:
            sock.sendall(begun)
            for pause in (seconds - 0.5, 0.5):
                if self.seen(sock):
                    self.advance(pause)

        return send


@define(eq=False)
class Replay:
    """One conversation, played by a thread; `received` is what the client sent, `problem` an unexpected command.

    After the last step `ending` decides: the end of the stream, a reset, or silence until the client closes. `segment`
    is the most bytes sent at once. With a `context`, the connection begins with TLS.
    """

    steps: Iterable[Step]
    ending: End = field(default="fin", kw_only=True)
    segment: int | None = field(default=None, kw_only=True)
    context: ssl.SSLContext | None = field(default=None, kw_only=True)
    tcp: bool = field(default=False, kw_only=True)
    received: bytes = field(default=b"", init=False)
    problem: str = field(default="", init=False)
    #: The client's end.
    client: socket.socket = field(init=False)
    _server: socket.socket = field(init=False)
    _thread: threading.Thread = field(init=False)
    _buffer: bytes = field(default=b"", init=False)

    def __enter__(self) -> Self:
        self.client, self._server = pair(self.tcp)
        self._thread = threading.Thread(target=self._play, name="replay", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        try:
            ended(self._thread)
        finally:
            self._server.close()
            self.client.close()

    def _play(self) -> None:
        sock = self._server
        try:
            if self.context is not None:
                sock = self._server = self.context.wrap_socket(sock, server_side=True)
            for line, reply in self.steps:
                if line is not None and not self._expect(sock, line):
                    return
                if callable(reply):
                    reply(sock)
                else:
                    self._send(sock, reply)
            self._end(sock)
        except OSError:
            return  # the client has closed the connection; the test decides whether that is right

    def _expect(self, sock: socket.socket, line: bytes) -> bool:
        while b"\n" not in self._buffer:
            data = sock.recv(65536)
            self.received += data
            self._buffer += data
            if not data:
                return False
        got, _, self._buffer = self._buffer.partition(b"\n")
        if got + b"\n" != line:
            self.problem = f"expected {line!r}, got {got!r}"
            return False
        return True

    def _send(self, sock: socket.socket, data: bytes) -> None:
        size = self.segment or len(data) or 1
        for at in range(0, len(data), size):
            sock.sendall(data[at : at + size])

    def _end(self, sock: socket.socket) -> None:
        if self.ending == "rst":
            reset(sock)
        elif self.ending == "fin":
            sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):  # until the client closes
            self.received += data


@contextlib.contextmanager
def connected(*steps: Step, greeting: bytes = b"+OK ready\r\n", **options: Any) -> Iterator[tuple[Connection, Replay]]:
    """Open a connection to a scripted server; the options are those of `Replay` and of `Connection`."""
    played = {name: options.pop(name) for name in ("ending", "segment", "context", "tcp") if name in options}
    options = {"security": "none", "timeout": GENEROUS} | options
    with Replay([(None, greeting), *steps], **played) as replay:
        with Connection("localhost", sock=replay.client, **options) as connection:
            yield connection, replay
        assert not replay.problem, replay.problem


def drip(data: bytes, delay: float, clock: WatchedClock | None = None) -> Callable[[socket.socket], None]:
    """Return a step that sends one byte at a time, with a pause after each; by the clock, if there is one."""

    def send(sock: socket.socket) -> None:
        for at in range(len(data)):
            sock.sendall(data[at : at + 1])
            if clock is None:
                time.sleep(delay)
            elif clock.seen(sock):
                clock.advance(delay)
            else:
                return

    return send


def endless(start: bytes, chunk: bytes) -> Callable[[socket.socket], None]:
    """Return a step that sends `start`, then `chunk` repeatedly until the client closes."""

    def send(sock: socket.socket) -> None:
        sock.sendall(start)
        block = chunk * (65536 // len(chunk) + 1)
        while True:
            sock.sendall(block)

    return send
