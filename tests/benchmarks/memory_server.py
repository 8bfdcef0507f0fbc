"""A POP3 server that answers from memory as fast as Python can, so that the client is what is measured.

    python -m tests.benchmarks.memory_server full|quick CERTIFICATE MAILBAG...

Every reply is made before the first client comes. Commands are split out of whatever one read brings, looked up in one
dictionary and answered by as few writes as the socket takes; the server goes on reading while it writes, and a queued
reply is only a reference, so no number of commands in flight can block it.

It prints one line of JSON with its ports (`plain`, `tls`) and ends when its standard input does. The user's name is the
name of the mailbag.
"""

import json
import select
import socket
import ssl
import sys
import threading
from collections import deque

from tests.benchmarks.mailbags import Mailbag, fill

__all__ = ["PASSWORD", "main"]

PASSWORD = "benchmark"
READ = 256 * 1024
WRITE = 1024 * 1024  # joined small replies, or a slice of a large one, handed to one write
WRITE_TLS = 256 * 1024
CAPABILITIES = b"+OK\r\nTOP\r\nUIDL\r\nUSER\r\nRESP-CODES\r\nPIPELINING\r\n.\r\n"
OK = b"+OK\r\n"
Tables = dict[bytes, dict[bytes, bytes]]  # by user, then by command


def replies(mailbag: Mailbag) -> dict[bytes, bytes]:
    """Make the reply to every command of a session that is logged in."""
    numbers = range(1, len(mailbag) + 1)
    sizes = [mailbag.size(number) for number in numbers]
    listing = b"".join(b"%d %d\r\n" % pair for pair in zip(numbers, sizes, strict=True))
    uids = b"".join(b"%d %08x.%08x\r\n" % (number, number, number * 2654435761 % 2**32) for number in numbers)
    table = {
        b"CAPA": CAPABILITIES,
        b"STAT": b"+OK %d %d\r\n" % (len(mailbag), sum(sizes)),
        b"LIST": b"+OK\r\n" + listing + b".\r\n",
        b"UIDL": b"+OK\r\n" + uids + b".\r\n",
    }
    bodies = [stuffed(body) for body in mailbag.bodies]
    for number, size, header in zip(numbers, sizes, mailbag.headers, strict=True):
        body = bodies[(number - 1) % len(bodies)]
        table[b"LIST %d" % number] = b"+OK %d %d\r\n" % (number, size)
        table[b"RETR %d" % number] = b"".join((b"+OK %d octets\r\n" % size, header, body, b".\r\n"))
        table[b"TOP %d 0" % number] = b"".join((b"+OK\r\n", header, b".\r\n"))
    return table


def stuffed(text: bytes) -> bytes:
    """Double every dot at the beginning of a line (RFC 1939 §3)."""
    doubled = text.replace(b"\r\n.", b"\r\n..")
    return b"." + doubled if doubled.startswith(b".") else doubled


class Session:
    """One client: `run` returns when it has said QUIT or is gone."""

    def __init__(self, sock: socket.socket, tables: Tables) -> None:
        self.sock = sock
        self.tables = tables
        self.user = b""
        self.table: dict[bytes, bytes] | None = None
        self.finished = False
        self.pending: deque[bytes] = deque()
        self.block = memoryview(b"")
        self.rest = b""

    def run(self) -> None:
        sock, pending = self.sock, self.pending
        tls = isinstance(sock, ssl.SSLSocket)
        limit = WRITE_TLS if tls else WRITE
        sock.setblocking(False)
        reading = select.poll()
        reading.register(sock, select.POLLIN)
        both = select.poll()
        both.register(sock, select.POLLIN | select.POLLOUT)
        pending.append(b"+OK ready\r\n")
        while not self.finished or pending or self.block:
            try:
                data = sock.recv(READ)
            except (BlockingIOError, ssl.SSLWantReadError):
                if not pending and not self.block:
                    reading.poll()
                    continue
            else:
                if not data:
                    return
                self.receive(data)
            if not self.block:
                self.block = self.next_block(limit)
            try:
                sent = sock.send(self.block[:limit])
            except (BlockingIOError, ssl.SSLWantWriteError):
                both.poll()
            else:
                self.block = self.block[sent:]

    def next_block(self, limit: int) -> memoryview:
        """Join as many small replies as make `limit` octets; a large one goes as it is."""
        pending = self.pending
        parts = []
        size = 0
        while pending and size < limit:
            part = pending.popleft()
            parts.append(part)
            size += len(part)
        return memoryview(parts[0] if len(parts) == 1 else b"".join(parts))

    def receive(self, data: bytes) -> None:
        """Queue the replies to every command that is complete."""
        lines = (self.rest + data).split(b"\r\n")
        self.rest = lines.pop()
        if self.table is not None:
            replies = list(map(self.table.get, lines))
            if None not in replies:
                self.pending.extend(replies)  # type: ignore[arg-type]  # no None among them
                return
        for line in lines:
            self.pending.append(self.answer(line))

    def answer(self, line: bytes) -> bytes:
        """Answer one command, in whichever state the session is."""
        verb, _, argument = line.partition(b" ")
        if verb == b"QUIT":
            self.finished = True
            return OK
        if verb == b"CAPA":
            return CAPABILITIES
        if self.table is not None:
            return self.table.get(line, b"-ERR no such command or message\r\n")
        if verb == b"USER":
            self.user = argument
            return OK
        if verb == b"PASS" and argument == PASSWORD.encode() and self.user in self.tables:
            self.table = self.tables[self.user]
            return OK
        return b"-ERR log in first\r\n"


def serve(sock: socket.socket, tables: Tables, context: ssl.SSLContext | None) -> None:
    """Serve one client in this thread; a client that hangs up is nobody's fault."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(sock, server_side=True) if context else sock as stream:
            Session(stream, tables).run()
    except (ConnectionError, ssl.SSLError):
        sock.close()


def accept(listener: socket.socket, tables: Tables, context: ssl.SSLContext | None) -> None:
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, tables, context), daemon=True).start()


def main() -> None:
    """Serve until standard input ends."""
    size, certificate, *mailbags = sys.argv[1:]
    tables = {name.encode(): replies(fill(name, quick=size == "quick")) for name in mailbags}
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    ports = {}
    for kind, context in {"plain": None, "tls": tls}.items():
        listener = socket.create_server(("127.0.0.1", 0))
        ports[kind] = listener.getsockname()[1]
        threading.Thread(target=accept, args=(listener, tables, context), daemon=True).start()
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
