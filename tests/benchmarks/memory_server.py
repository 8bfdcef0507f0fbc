"""A POP3 server that answers from memory as fast as Python can, so that the benchmark measures the client.

    python -m tests.benchmarks.memory_server full|quick CERTIFICATE MAILBAG...

Every reply is built before the first client connects, and looked up in one dictionary. The server reads while it
writes, and a queued reply is only a reference, so no number of commands in flight can block it.

It prints one line of JSON with its ports (`plain`, `tls`, and `far`, which delays all incoming data by one round trip),
and ends when its standard input ends. The user name is the name of the mailbag.
"""

import json
import select
import socket
import ssl
import sys
import threading
import time
from collections import deque

from tests.benchmarks.mailbags import Mailbag, fill

PASSWORD = "benchmark"
ROUND_TRIP = 0.05  # seconds, on the port `far`
READ = 256 * 1024
WRITE = 1024 * 1024  # most bytes for one write: small replies joined, or a slice of a large one
WRITE_TLS = 256 * 1024
CAPABILITIES = b"+OK\r\nTOP\r\nUIDL\r\nUSER\r\nRESP-CODES\r\nPIPELINING\r\n.\r\n"
Replies = dict[bytes, bytes]  # by command


def uid(number: int) -> bytes:
    return b"%08x.%08x" % (number, number * 2654435761 % 2**32)


def replies(mailbag: Mailbag) -> Replies:
    """Return the reply to every command of a session that is logged in."""
    count, bodies = len(mailbag.headers), mailbag.bodies
    sizes = [len(header) + len(bodies[index % len(bodies)]) for index, header in enumerate(mailbag.headers)]
    listing = b"".join(b"%d %d\r\n" % pair for pair in enumerate(sizes, 1))
    uids = b"".join(b"%d %s\r\n" % (n, uid(n)) for n in range(1, count + 1))
    table = {
        b"CAPA": CAPABILITIES,
        b"STAT": b"+OK %d %d\r\n" % (count, sum(sizes)),
        b"LIST": b"+OK\r\n" + listing + b".\r\n",
        b"UIDL": b"+OK\r\n" + uids + b".\r\n",
    }
    # No text begins with a dot, so all dots to double are after a line end (RFC 1939 §3).
    bodies = [body.replace(b"\r\n.", b"\r\n..") for body in bodies]
    for number, (size, header) in enumerate(zip(sizes, mailbag.headers, strict=True), 1):
        body = bodies[(number - 1) % len(bodies)]
        table[b"RETR %d" % number] = b"".join((b"+OK %d octets\r\n" % size, header, body, b".\r\n"))
        table[b"LIST %d" % number] = b"+OK %d %d\r\n" % (number, size)
        table[b"TOP %d 0" % number] = b"".join((b"+OK\r\n", header, b".\r\n"))
    return table


class Session:
    """The session of one client; `run` returns after QUIT, or when the client is gone."""

    def __init__(self, sock: socket.socket, mailboxes: dict[bytes, Replies], delay: float) -> None:
        self.sock = sock
        self.mailboxes = mailboxes
        self.delay = delay
        self.user = b""
        self.table: Replies | None = None
        self.finished = False
        self.pending = deque([b"+OK ready\r\n"])
        self.rest = b""

    def run(self) -> None:
        sock, pending, delay = self.sock, self.pending, self.delay
        limit = WRITE_TLS if isinstance(sock, ssl.SSLSocket) else WRITE
        sock.setblocking(False)
        poller = select.poll()
        block = memoryview(b"")
        arrived: deque[tuple[float, bytes]] = deque()  # delayed data, with the time when it is due
        while not self.finished or pending or block:
            wait = None
            if arrived:
                if (left := arrived[0][0] - time.monotonic()) <= 0:
                    self.receive(arrived.popleft()[1])
                    continue
                wait = int(1000 * left)  # poll() takes whole milliseconds; this loop spends the rest
            try:
                data = sock.recv(READ)
            except (BlockingIOError, ssl.SSLWantReadError):
                if not pending and not block:
                    poller.register(sock, select.POLLIN)
                    poller.poll(wait)
                    continue
            else:
                if not data:
                    return
                if delay:
                    arrived.append((time.monotonic() + delay, data))
                    continue
                self.receive(data)
            block = block or self.next_block(limit)
            try:
                block = block[sock.send(block[:limit]) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                poller.register(sock, select.POLLIN | select.POLLOUT)
                poller.poll(wait)

    def next_block(self, limit: int) -> memoryview:
        """Join small replies up to `limit` bytes; return a large one uncopied."""
        parts, size = [], 0
        while self.pending and size < limit:
            parts.append(self.pending.popleft())
            size += len(parts[-1])
        return memoryview(parts[0] if len(parts) == 1 else b"".join(parts))

    def receive(self, data: bytes) -> None:
        """Queue the replies to all complete commands."""
        lines = (self.rest + data).split(b"\r\n")
        self.rest = lines.pop()
        if self.table is not None:
            replies = list(map(self.table.get, lines))
            if None not in replies:
                self.pending.extend(replies)  # type: ignore[arg-type]  # no None among them
                return
        self.pending.extend(map(self.answer, lines))

    def answer(self, line: bytes) -> bytes:
        """Return the reply to one command, in any state of the session."""
        if line == b"QUIT":
            self.finished = True
        elif line.startswith(b"USER "):
            self.user = line[5:]
        elif line == b"PASS " + PASSWORD.encode():
            self.table = self.mailboxes[self.user]
        else:
            return (self.table or {b"CAPA": CAPABILITIES}).get(line, b"-ERR no such command or message\r\n")
        return b"+OK\r\n"


def listen(mailboxes: dict[bytes, Replies], context: ssl.SSLContext | None = None, delay: float = 0.0) -> int:
    """Serve clients on a new port, with a thread for each; it is not an error if a client hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with context.wrap_socket(sock, server_side=True) if context else sock as stream:
                Session(stream, mailboxes, delay).run()
        except (ConnectionError, ssl.SSLError):
            sock.close()

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def main() -> None:
    """Serve until standard input ends."""
    size, certificate, *mailbags = sys.argv[1:]
    mailboxes = {name.encode(): replies(fill(name, quick=size == "quick")) for name in mailbags}
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    ports = {"plain": listen(mailboxes), "tls": listen(mailboxes, tls), "far": listen(mailboxes, delay=ROUND_TRIP)}
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
