"""The floor: the least a client in plain Python can do, and nothing else.

Everything is pipelined in one write, replies are read into one fixed buffer, one scan for CRLF-dot finds both the end
of a reply and the lines to unstuff, and what lies between is sliced from a memoryview. There are no deadlines, no
limits and no objects, an error ends the program, and the server is trusted to read while it writes. A library cannot
be faster than this in its own language; the benchmark says how close it stays.

A case is a generator: it yields None once it is logged in, then its results, and ends after QUIT was answered.
"""

import re
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from email.header import decode_header, make_header
from email.utils import parseaddr, parsedate_to_datetime

from tests.benchmarks.service import Service

__all__ = ["bodies", "headers", "stream"]

CRLF_DOT = re.compile(rb"\r\n\.")
BUFFER = 256 * 1024
BUFFER_TLS = 64 * 1024  # a read returns one record of 16 KB at most


class Client:
    """A connection that is logged in; replies are read in the order of the commands."""

    def __init__(self, service: Service) -> None:
        sock = socket.create_connection((service.host, service.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = service.context()
        self.sock = context.wrap_socket(sock, server_hostname=service.host) if context else sock
        self.buffer = bytearray(BUFFER_TLS if context else BUFFER)
        self.view = memoryview(self.buffer)
        self.start = self.end = 0
        self.lines(1)
        self.ask(b"USER %s\r\n" % service.user.encode())
        self.ask(b"PASS %s\r\n" % service.password.encode())

    def ask(self, command: bytes) -> None:
        self.sock.sendall(command)
        self.lines(1)

    def quit(self) -> None:
        self.ask(b"QUIT\r\n")
        self.sock.close()

    def refill(self) -> None:
        """Read more after what is kept, moved to the front when the buffer is full."""
        if self.start == self.end:
            self.start = self.end = 0
        elif self.end == len(self.buffer):
            kept = self.end - self.start
            self.view[:kept] = bytes(self.view[self.start : self.end])
            self.start, self.end = 0, kept
        received = self.sock.recv_into(self.view[self.end :])
        if not received:
            raise EOFError("the server closed the connection")
        self.end += received

    def lines(self, count: int) -> None:
        """Read `count` replies of one line."""
        buffer = self.buffer
        for _ in range(count):
            while (found := buffer.find(b"\r\n", self.start, self.end)) < 0:
                self.refill()
            if buffer[self.start] != 43:
                raise ValueError(bytes(buffer[self.start : found]))
            self.start = found + 2

    def replies(self, count: int) -> Iterator[bytes]:
        """Yield the bodies of `count` multi-line replies, dots unstuffed."""
        buffer, view, search = self.buffer, self.view, CRLF_DOT.search
        find = buffer.find
        start, end = self.start, self.end
        for _ in range(count):
            while (status := find(b"\r\n", start, end)) < 0:
                self.start, self.end = start, end
                self.refill()
                start, end = self.start, self.end
            if buffer[start] != 43:
                raise ValueError(bytes(buffer[start:status]))
            begin = status + 2
            pieces: list[memoryview] = []
            scan = status
            while match := search(buffer, scan, end):
                dot = match.start()
                after = dot + 5
                if after > end:
                    break
                if buffer[dot + 3] == 13 and buffer[dot + 4] == 10:
                    if pieces:
                        pieces.append(view[begin : dot + 2])
                        yield b"".join(pieces)
                    else:
                        yield bytes(view[begin : dot + 2])
                    start = after
                    break
                pieces.append(view[begin : dot + 2])
                begin = scan = dot + 3
            else:
                after = end + 1
            if after > end:  # it goes on after what has been read
                keep = match.start() if match else max(end - 2, scan)
                if keep > begin:
                    pieces.append(view[begin:keep])
                    begin = keep
                self.start, self.end = begin, end
                large = [b"".join(pieces)]
                self.copy(lambda piece, keep=large.append: keep(bytes(piece)))
                yield b"".join(large)
                start, end = self.start, self.end
        self.start, self.end = start, end

    def copy(self, write: Callable[[memoryview], object]) -> int:
        """Hand the body that begins at `start` on in pieces; give its octets.

        The CRLF before `start`, of the status line when nothing of the body was handed on, is still in the buffer:
        an empty body ends at once.
        """
        buffer, view, search = self.buffer, self.view, CRLF_DOT.search
        size = 0
        begin = self.start  # of what is to be handed on
        scan = begin - 2  # of what is to be searched
        while True:
            end = self.end
            match = search(buffer, scan, end)
            if match is not None:
                dot = match.start()
                if dot + 5 <= end:
                    if dot + 2 > begin:
                        size += dot + 2 - begin
                        write(view[begin : dot + 2])
                    if buffer[dot + 3] == 13 and buffer[dot + 4] == 10:
                        self.start = dot + 5
                        return size
                    begin = scan = dot + 3
                    continue
                keep = dot
            else:
                keep = max(end - 2, scan)
            if keep > begin:
                size += keep - begin
                write(view[begin:keep])
                begin = keep
            # `begin` may stand two octets after `keep`, when those are a CRLF handed on before
            ahead = begin - keep
            self.start = keep
            self.refill_from_front()
            begin, scan = self.start + ahead, self.start

    def refill_from_front(self) -> None:
        """Move the few octets that are kept to the front and read as much as fits."""
        kept = self.end - self.start
        self.view[:kept] = bytes(self.view[self.start : self.end])
        received = self.sock.recv_into(self.view[kept:])
        if not received:
            raise EOFError("the server closed the connection")
        self.start, self.end = 0, kept + received


def bodies(service: Service) -> Iterator[bytes | None]:
    """RETR every message."""
    client = Client(service)
    yield None
    client.sock.sendall(b"".join([b"RETR %d\r\n" % number for number in service.numbers]))
    yield from client.replies(len(service.numbers))
    client.quit()


def stream(service: Service) -> Iterator[int | None]:
    """RETR every message into a file object."""
    client = Client(service)
    yield None
    with service.sink() as file:
        client.sock.sendall(b"".join([b"RETR %d\r\n" % number for number in service.numbers]))
        for _ in service.numbers:
            client.lines(1)
            yield client.copy(file.write)
    client.quit()


def headers(service: Service) -> Iterator[list[tuple[str, str, datetime]] | None]:
    """TOP n 0 of every message; subject, address of the sender and date decoded."""
    client = Client(service)
    yield None
    client.sock.sendall(b"".join([b"TOP %d 0\r\n" % number for number in service.numbers]))
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
    """Find and slice one field, known to be there and not folded."""
    start = raw.index(name) + len(name)
    return raw[start : raw.index(b"\r\n", start)].decode("ascii")


def decoded(value: str) -> str:
    return str(make_header(decode_header(value))) if "=?" in value else value
