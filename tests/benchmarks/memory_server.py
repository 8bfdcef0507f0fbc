"""A POP3 server that answers from memory as fast as Python can, so that the client is what is measured.

    python -m tests.benchmarks.memory_server [--quick] [--certificate FILE] a b

Every reply to RETR, TOP n 0 and DELE is made before the first client comes. Commands are split out of whatever one
read brings, looked up in one dictionary and answered by as few writes as the socket takes; the server goes on reading
while it writes, and a queued reply is only a reference, so no number of commands in flight can block it.

It prints one line of JSON with its ports (`pipelining`, `plain` without PIPELINING, `tls`) and ends when its standard
input does. The user's name is the name of the mailbag. `XCPU`, allowed before the login, answers the CPU seconds the
process has used. It remembers no deletions: `DELE` is answered, that is all.
"""

from __future__ import annotations

import argparse
import base64
import json
import select
import socket
import ssl
import sys
import threading
import time
from collections import deque

from tests.benchmarks.mailbags import Mailbag, fill

__all__ = ["PASSWORD", "main"]

PASSWORD = "benchmark"
READ = 256 * 1024
WRITE = 1024 * 1024  # joined small replies, or a slice of a large one, handed to one write
WRITE_TLS = 256 * 1024
CAPABILITIES = (b"TOP", b"UIDL", b"USER", b"SASL PLAIN", b"RESP-CODES")
OK = b"+OK\r\n"


class Mailbox:
    """The replies of one mailbag, ready to be sent."""

    def __init__(self, mailbag: Mailbag) -> None:
        self.mailbag = mailbag
        numbers = range(1, len(mailbag) + 1)
        sizes = [mailbag.size(number) for number in numbers]
        self.stat = b"+OK %d %d\r\n" % (len(mailbag), sum(sizes))
        self.table: dict[bytes, bytes] = {b"STAT": self.stat, b"NOOP": OK, b"RSET": OK}
        listing = b"".join(b"%d %d\r\n" % pair for pair in zip(numbers, sizes, strict=True))
        self.table[b"LIST"] = b"+OK %d messages\r\n%s.\r\n" % (len(mailbag), listing)
        uids = b"".join(b"%d %s\r\n" % (number, mailbag.uid(number).encode()) for number in numbers)
        self.table[b"UIDL"] = b"+OK\r\n" + uids + b".\r\n"
        bodies = [stuffed(body) for body in mailbag.bodies]
        for number, size, header in zip(numbers, sizes, mailbag.headers, strict=True):
            body = bodies[(number - 1) % len(bodies)]
            self.table[b"RETR %d" % number] = b"".join((b"+OK %d octets\r\n" % size, header, body, b".\r\n"))
            self.table[b"TOP %d 0" % number] = b"".join((b"+OK\r\n", header, b".\r\n"))
            self.table[b"DELE %d" % number] = OK

    def answer(self, line: bytes) -> bytes:
        """Answer what is not in the table: single listings, a TOP with lines, other spellings."""
        words = line.upper().split()
        if b" ".join(words) in self.table:
            return self.table[b" ".join(words)]
        try:
            verb, number, *rest = words
            index = int(number)
            raw = self.mailbag.raw(index) if index > 0 else None
        except (ValueError, IndexError):
            raw = None
        if raw is None:
            return b"-ERR no such command or message\r\n"
        if verb == b"LIST":
            return b"+OK %d %d\r\n" % (index, len(raw))
        if verb == b"UIDL":
            return b"+OK %d %s\r\n" % (index, self.mailbag.uid(index).encode())
        if verb == b"TOP" and rest and rest[0].isdigit():
            head, blank, body = raw.partition(b"\r\n\r\n")
            lines = body.splitlines(keepends=True)[: int(rest[0])]
            return b"+OK\r\n" + head + blank + stuffed(b"".join(lines)) + b".\r\n"
        return b"-ERR no such command\r\n"


def stuffed(text: bytes) -> bytes:
    """Double every dot at the beginning of a line (RFC 1939 §3)."""
    doubled = text.replace(b"\r\n.", b"\r\n..")
    return b"." + doubled if doubled.startswith(b".") else doubled


class Session:
    """One client: `run` returns when it has said QUIT or is gone."""

    def __init__(self, sock: socket.socket, mailboxes: dict[str, Mailbox], *, pipelining: bool) -> None:
        self.sock = sock
        self.mailboxes = mailboxes
        self.capabilities = CAPABILITIES + ((b"PIPELINING",) if pipelining else ())
        self.user = ""
        self.mailbox: Mailbox | None = None
        self.expecting_plain = False
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
        if self.mailbox is not None:
            replies = list(map(self.mailbox.table.get, lines))
            if None not in replies:
                self.pending.extend(replies)  # type: ignore[arg-type]  # no None among them
                return
        for line in lines:
            self.pending.append(self.answer(line))

    def answer(self, line: bytes) -> bytes:
        """Answer one command, in whichever state the session is."""
        if self.expecting_plain:
            self.expecting_plain = False
            return self.plain(line)
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        if verb == b"QUIT":
            self.finished = True
            return b"+OK bye\r\n"
        if verb == b"CAPA":
            return b"+OK\r\n" + b"\r\n".join(self.capabilities) + b"\r\n.\r\n"
        if verb == b"XCPU":
            return b"+OK %.6f\r\n" % time.process_time()
        if self.mailbox is not None:
            return self.mailbox.answer(line)
        if verb == b"USER":
            self.user = argument.decode()
            return OK
        if verb == b"PASS":
            return self.login(self.user, argument.decode())
        if verb == b"AUTH" and argument.upper().startswith(b"PLAIN"):
            response = argument[len(b"PLAIN ") :]
            if response:
                return self.plain(response)
            self.expecting_plain = True
            return b"+ \r\n"
        return b"-ERR log in first\r\n"

    def plain(self, response: bytes) -> bytes:
        """Check the one message of SASL PLAIN (RFC 4616)."""
        _, user, password = base64.b64decode(response).split(b"\0")
        return self.login(user.decode(), password.decode())

    def login(self, user: str, password: str) -> bytes:
        if user not in self.mailboxes or password != PASSWORD:
            return b"-ERR [AUTH] no\r\n"
        self.mailbox = self.mailboxes[user]
        return b"+OK logged in\r\n"


def serve(
    sock: socket.socket, mailboxes: dict[str, Mailbox], context: ssl.SSLContext | None, *, pipelining: bool
) -> None:
    """Serve one client in this thread; a client that hangs up is nobody's fault."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(sock, server_side=True) if context else sock as stream:
            Session(stream, mailboxes, pipelining=pipelining).run()
    except (ConnectionError, ssl.SSLError):
        sock.close()


def accept(
    listener: socket.socket, mailboxes: dict[str, Mailbox], context: ssl.SSLContext | None, *, pipelining: bool
) -> None:
    while True:
        sock, _ = listener.accept()
        threading.Thread(
            target=serve, args=(sock, mailboxes, context), kwargs={"pipelining": pipelining}, daemon=True
        ).start()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--certificate")
    parser.add_argument("mailbags", nargs="+")
    options = parser.parse_args()
    mailboxes = {name: Mailbox(fill(name, quick=options.quick)) for name in options.mailbags}
    contexts: dict[str, ssl.SSLContext | None] = {"pipelining": None, "plain": None}
    if options.certificate:
        contexts["tls"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        contexts["tls"].load_cert_chain(options.certificate)
    ports = {}
    for kind, context in contexts.items():
        listener = socket.create_server(("127.0.0.1", 0))
        ports[kind] = listener.getsockname()[1]
        threading.Thread(
            target=accept,
            args=(listener, mailboxes, context),
            kwargs={"pipelining": kind != "plain"},
            daemon=True,
        ).start()
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
