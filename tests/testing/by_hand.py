"""POP3 by hand over a plain socket, so that tests of the server depend on no protocol code except this module."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Collection, Sequence
from typing import Protocol, Self

from pymailbox.testing import Server
from tests.replay import WatchedClock
from tests.timing import GENEROUS, eventually

LOGIN = (b"USER me", b"PASS secret")
MAILS = (
    b"Subject: first\r\nMessage-ID: <1@x>\r\n\r\n.dotted\r\nline 2\r\nline 3\r\n",
    b"Subject: second\r\n\r\nbody\r\n",
    b"Subject: third\r\n\r\n",
)


class Listening(Protocol):
    """Anything with an address."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


class Hand:
    """One connection."""

    def __init__(self, server: Listening, context: ssl.SSLContext | None = None, timeout: float = GENEROUS) -> None:
        self.sock = socket.create_connection((server.host, server.port), timeout=timeout)
        self.data = b""
        if context is not None:
            self.start_tls(context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        except BaseException:
            self.sock.close()
            raise

    def send(self, *lines: bytes) -> None:
        self.sock.sendall(b"".join(line + b"\r\n" for line in lines))

    def some(self, most: int = 65536) -> bytes:
        """Read what has arrived; fail if the connection has ended."""
        data = self.sock.recv(most)
        assert data, "the connection has ended"
        return data

    def until(self, end: bytes = b"\r\n") -> bytes:
        """Read up to and including `end`, or everything if the connection ends first."""
        while end not in self.data:
            data = self.sock.recv(65536)
            if not data:
                end = self.data
                break
            self.data += data
        head, found, self.data = self.data.partition(end)
        return head + found

    def ask(self, line: bytes, end: bytes = b"\r\n") -> bytes:
        self.send(line)
        return self.until(end)

    def listing(self, line: bytes) -> bytes:
        """Send a command and return its multi-line reply."""
        return self.ask(line, b"\r\n.\r\n")

    def login(self) -> Self:
        self.until()
        assert self.ask(b"USER me").startswith(b"+OK")
        assert self.ask(b"PASS secret").startswith(b"+OK")
        return self

    def rest(self) -> bytes:
        """Read until the server closes."""
        pieces, self.data = [self.data], b""
        while data := self.sock.recv(1 << 20):
            pieces.append(data)
        return b"".join(pieces)

    def arrivals(self, clock: WatchedClock, seconds: float) -> list[bytes]:
        """Read until the server closes; return what arrived at each time of its clock, which this advances.

        The clock is advanced when the server has looked at it three times and sent nothing: by then it waits for it.
        """

        def readable() -> bool:
            return bool(select.select([self.sock], [], [], 0)[0])

        found = [b""]
        while True:
            seen = clock.readings
            eventually(lambda seen=seen: readable() or clock.readings >= seen + 3)  # type: ignore[misc]
            if not readable():
                clock.advance(seconds)
                found.append(b"")
            elif data := self.sock.recv(1 << 20):
                found[-1] += data
            else:
                return found

    def silent(self, seconds: float = 0.15) -> bool:
        """True if nothing arrives for a while."""
        if self.data:
            return False
        self.sock.settimeout(seconds)
        try:
            self.data = self.sock.recv(1)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(GENEROUS)
        return False


def trust(server: Server) -> ssl.SSLContext | None:
    """Return the context for a client of this server; None unless it has implicit TLS."""
    return server.client_context() if server.security == "tls" else None


def talk(server: Listening, *lines: bytes, login: Sequence[bytes] = LOGIN) -> bytes:
    """Send all this at once after the greeting, and return everything the server sends until it closes."""
    with Hand(server) as hand:
        greeting = hand.until()
        hand.send(*login, *lines)
        return greeting + hand.rest()


def threads_left(before: Collection[threading.Thread]) -> list[threading.Thread]:
    """Wait until no thread runs that did not run before; return those that never end."""
    deadline = time.monotonic() + GENEROUS
    while (
        left := [thread for thread in threading.enumerate() if thread not in before]
    ) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def settle(server: Server) -> None:
    """Wait until every session has ended and released what it held.

    This checks the records too, because `Server.wait` misses a session if its thread is not registered yet.
    """
    eventually(lambda: all(session.ended is not None for session in server.sessions))
    server.wait(GENEROUS)


def is_gone(server: Server) -> bool:
    """True if nothing listens at its address any more, or only a later owner of the port with another greeting."""
    try:
        with socket.create_connection((server.host, server.port), timeout=GENEROUS) as sock:
            return server.greeting.encode() not in sock.recv(1024)
    except ConnectionError:
        return True
