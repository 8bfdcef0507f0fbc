"""The floor: a client in plain Python that does only what is absolutely necessary.

It pipelines everything in one write, reads replies into one fixed buffer, finds both the end of a reply and the lines
to unstuff with one scan for CRLF-dot, and slices the rest from a memoryview. It has no deadlines, limits or objects, an
error ends the program, and it relies on the server to read while it writes. No library in Python can be faster; the
benchmark shows how close each client gets.
"""

import re
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from email.header import decode_header, make_header
from email.utils import parseaddr, parsedate_to_datetime

from tests.benchmarks.case import Service

CRLF_DOT = re.compile(rb"\r\n\.")
PLUS, DOT, CR, LF = b"+.\r\n"
BUFFER = 256 * 1024


class Client:
    """A connection that is logged in, with replies in the order of the commands."""

    def __init__(self, service: Service) -> None:
        sock = socket.create_connection((service.host, service.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = service.context()
        self.sock = context.wrap_socket(sock, server_hostname=service.host) if context else sock
        self.buffer = bytearray(BUFFER)
        self.view = memoryview(self.buffer)
        self.start = self.end = 0
        self.status_line()
        self.ask(b"USER %s\r\n" % service.user.encode())
        self.ask(b"PASS %s\r\n" % service.password.encode())

    def ask(self, command: bytes) -> None:
        self.sock.sendall(command)
        self.status_line()

    def ask_ahead(self, command: bytes, service: Service) -> None:
        self.sock.sendall(b"".join([command % number for number in service.numbers]))

    def quit(self) -> None:
        with self.sock:
            self.ask(b"QUIT\r\n")

    def refill(self) -> None:
        """Move unread data to the front, and read as much as fits after it."""
        kept = self.end - self.start
        self.view[:kept] = bytes(self.view[self.start : self.end])
        received = self.sock.recv_into(self.view[kept:])
        if not received:
            raise EOFError("the server closed the connection")
        self.start, self.end = 0, kept + received

    def status_line(self) -> None:
        while (found := self.buffer.find(b"\r\n", self.start, self.end)) < 0:
            self.refill()
        if self.buffer[self.start] != PLUS:
            raise ValueError(bytes(self.view[self.start : found]))
        self.start = found + 2

    def replies(self, count: int) -> Iterator[bytes]:
        """Yield the bodies of `count` multi-line replies, dots unstuffed."""
        buffer, view, search, find = self.buffer, self.view, CRLF_DOT.search, self.buffer.find
        start, end = self.start, self.end
        for _ in range(count):
            if (scan := find(b"\r\n", start, end)) < 0 or buffer[start] != PLUS:
                self.start = start
                self.status_line()
                scan, end = self.start - 2, self.end
            begin = scan + 2
            pieces: list[memoryview] = []
            while (match := search(buffer, scan, end)) and (after := match.end() + 2) <= end:
                if buffer[after - 2] == CR and buffer[after - 1] == LF:
                    last = view[begin : after - 3]
                    yield b"".join([*pieces, last]) if pieces else bytes(last)
                    start = after
                    break
                pieces.append(view[begin : after - 3])
                begin = scan = after - 2
            else:  # the body continues beyond what has been read
                self.start, large = begin, [b"".join(pieces)]
                self.copy(lambda piece, keep=large.append: keep(bytes(piece)), within=bool(pieces))
                yield b"".join(large)
                start, end = self.start, self.end
        self.start = start

    def copy(self, write: Callable[[memoryview], object], *, within: bool = False) -> int:
        """Write the body that begins at `start` in pieces; return its size. `within`: `start` is inside a line."""
        buffer, view, search = self.buffer, self.view, CRLF_DOT.search
        size = 0
        if not within:
            while self.end - self.start < 3:
                self.refill()
            if view[self.start : self.start + 3] == b".\r\n":
                self.start += 3
                return 0
            self.start += buffer[self.start] == DOT
        while True:
            start, end = self.start, self.end
            match = search(buffer, start, end)
            if match is None:
                upto = max(start, end - 2)
            else:
                upto = match.end() - 1 if match.end() + 2 <= end else match.start()
            write(view[start:upto])
            size += upto - start
            if match is None or upto == match.start():
                self.start = upto
                self.refill()
            elif buffer[upto + 1] == CR and buffer[upto + 2] == LF:
                self.start = upto + 3
                return size
            else:
                self.start = upto + 1


def bodies(service: Service) -> Iterator[bytes | None]:
    client = Client(service)
    yield None
    client.ask_ahead(b"RETR %d\r\n", service)
    yield from client.replies(len(service.numbers))
    client.quit()


def stream(service: Service) -> Iterator[int | None]:
    client = Client(service)
    yield None
    with service.sink() as file:
        client.ask_ahead(b"RETR %d\r\n", service)
        for _ in service.numbers:
            client.status_line()
            yield client.copy(file.write)
    client.quit()


def headers(service: Service) -> Iterator[list[tuple[str, str, datetime]] | None]:
    """Send TOP n 0 for every message; decode subject, sender's address and date."""
    client = Client(service)
    yield None
    client.ask_ahead(b"TOP %d 0\r\n", service)
    yield [
        (
            decoded(field(raw, b"\r\nSubject: ")),
            parseaddr(field(raw, b"\r\nFrom: "))[1],
            parsedate_to_datetime(field(raw, b"\r\nDate: ")),
        )
        for raw in client.replies(len(service.numbers))
    ]
    client.quit()


def field(raw: bytes, name: bytes) -> str:
    """Return one field, which must exist and not be folded."""
    start = raw.index(name) + len(name)
    return raw[start : raw.index(b"\r\n", start)].decode("ascii")


def decoded(value: str) -> str:
    return str(make_header(decode_header(value))) if "=?" in value else value
