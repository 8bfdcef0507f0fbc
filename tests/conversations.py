"""Conversations for the tests: commands, the replies on the wire, and the expected results.

Written from the RFCs line by line, and deliberately slow: nothing here is shared with the framing under test.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from pymailbox.errors import CommandError, MailboxError
from pymailbox.pop3 import commands
from pymailbox.pop3.command import Chunk, Command, Reply
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.protocol import Protocol

__all__ = ["Exchange", "awkward_body", "events", "ready", "results", "stuffed", "transcript"]


@frozen
class Exchange:
    """A command, the reply on the wire, and the result; for a refusal the text after -ERR."""

    command: Command[Any]
    wire: bytes
    result: Any
    refused: bool = False


def stuffed(body: bytes, newline: bytes = b"\r\n") -> bytes:
    """Return a body as it is sent, dot-stuffed and with the end mark (RFC 1939 §3); a missing last line end is added."""
    lines = body.split(newline)
    if lines[-1] == b"":
        lines.pop()
    return b"".join((b"." + line if line.startswith(b".") else line) + newline for line in lines) + b"." + newline


def awkward_body(rng: random.Random, most: int = 2000) -> bytes:
    """Return a body of CR, LF, dots, NUL, 8-bit bytes and text in any order, ended by CRLF, or an empty one."""
    parts = [b"\r\n", b".", b"\r", b"\n", b"\r\n.", b"\r\n..", b"\n.\n", b"\r.\r", b"\0", b"\xff\xfe", b"text", b" "]
    kind = rng.random()
    if kind < 0.05:
        return b""
    if kind < 0.2:
        return rng.randbytes(rng.randrange(most)) + b"\r\n"
    if kind < 0.25:
        return rng.choice([b"x", b".", b"\r", b"\n"]) * rng.randrange(most) + b"\r\n"
    return b"".join(rng.choice(parts) for _ in range(rng.randrange(most // 4))) + b"\r\n"


def exchange(rng: random.Random, number: int, *, mixed: bool = True) -> Exchange:
    """Return one exchange with message `number`; unless `mixed`, one that reads it."""
    kind = rng.randrange(10) if mixed else rng.randrange(6, 10)
    if kind == 0:
        return Exchange(commands.noop(), b"+OK\r\n", "")
    if kind == 1:
        return Exchange(commands.dele(number), b"+OK message %d marked\r\n" % number, f"message {number} marked")
    if kind == 2:
        return Exchange(commands.dele(number), b"-ERR no such message\r\n", "no such message", refused=True)
    if kind == 3:
        return Exchange(commands.stat(), b"+OK %d 320\r\n" % number, commands.Stat(number, 320))
    if kind == 4:
        sizes = {n: rng.randrange(10**6) for n in range(1, rng.randrange(1, 30))}
        body = b"".join(b"%d %d\r\n" % pair for pair in sizes.items())
        return Exchange(commands.list(), b"+OK\r\n" + stuffed(body), sizes)
    if kind == 5:
        uids = {n: f"uid.{rng.randrange(10**9)}" for n in range(1, rng.randrange(1, 30))}
        body = b"".join(b"%d %s\r\n" % (n, uid.encode()) for n, uid in uids.items())
        return Exchange(commands.uidl(), b"+OK unique-ids\r\n" + stuffed(body), uids)
    body = awkward_body(rng)
    status = rng.choice((b"+OK\r\n", b"+OK %d octets\r\n" % len(body), b"+OK %d octets\r\n" % len(body), b"+ok \r\n"))
    if kind == 6:
        return Exchange(commands.top(number, 0), status + stuffed(body), body)
    if kind == 7 and mixed:
        return Exchange(commands.stream(number), status + stuffed(body), len(body))
    return Exchange(commands.retr(number), status + stuffed(body), body)


def transcript(seed: int, count: int = 8) -> list[Exchange]:
    """Return the exchanges of one session, the greeting first."""
    rng = random.Random(seed)
    greeting = Exchange(commands.greeting(), b"+OK ready\r\n", "ready")
    mixed = rng.random() < 0.6
    return [greeting, *(exchange(rng, number, mixed=mixed) for number in range(1, count + 1))]


def ready(commands_owed: Sequence[Command[Any]], limits: Limits | None = None, **options: Any) -> Protocol:
    """Return a protocol that has sent all these commands and awaits their replies."""
    protocol = Protocol(limits or Limits(), pipelining=True, **options)
    for command in commands_owed:
        protocol.send(command)
        protocol._owed.extend(protocol._queued)  # regardless of the window
        protocol._queued.clear()
    return protocol


def events(protocol: Protocol, pieces: Iterable[bytes], *, eof: bool = False) -> list[Reply | Chunk]:
    """Feed the pieces one by one and return all events."""
    found: list[Reply | Chunk] = []
    for piece in pieces:
        protocol.receive_data(piece)
        while (event := protocol.next_event()) is not None:
            found.append(event)
    if eof:
        protocol.receive_eof()
        while (event := protocol.next_event()) is not None:
            found.append(event)
    return found


def results(protocol: Protocol, pieces: Iterable[bytes], *, eof: bool = False) -> list[Any]:
    """Feed the pieces and return the result of each reply, a refusal as its text; chunks are joined and checked."""
    found: list[Any] = []
    streamed = 0
    for event in events(protocol, pieces, eof=eof):
        if isinstance(event, Chunk):
            assert event.data
            streamed += len(event.data)
            continue
        value = event.command.read(event, protocol.note)
        if isinstance(value, CommandError):
            found.append(value.response)
        else:
            if event.command.verb.body.name == "STREAMED":
                assert streamed == value
            found.append(value)
        streamed = 0
    return found


def outcome(protocol: Protocol, pieces: Iterable[bytes], *, eof: bool = True) -> list[Any] | MailboxError:
    """Return the results, or the error that ended the conversation."""
    try:
        return results(protocol, pieces, eof=eof)
    except MailboxError as error:
        return error
