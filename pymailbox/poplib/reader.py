"""Reader: one buffer that replies, lines and a file are read from.

What the drop-in `pymailbox.poplib` reads with. Its callers ask line by line or for a whole body, in any order, and may
read its `file` themselves. A `LineProtocol` has the buffer, the limits and the failed state; the `Reader` feeds it from
a blocking socket or from a binary file that the caller brought. It sends nothing. What is wrong with the octets is
raised as the standard library's `error_proto`; what the socket raises passes through. From then on the session is over,
and every use raises `OSError` where the line broke or stalled, and `SessionOver` otherwise.
"""

import contextlib
import io
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from poplib import error_proto
from typing import BinaryIO, TypeVar

from attrs import define, field

from pymailbox.errors import ConnectionLost, MailboxError, Timeout
from pymailbox.pop3.deadlines import Clock, ReplyTimeout
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.pieces import Pieces
from pymailbox.pop3.receive_buffer import ReceiveBuffer
from pymailbox.pop3.violations import data_before_tls, mixed_line_ends, unsolicited

__all__ = ["LineProtocol", "Reader", "SessionOver", "lines_by"]

T = TypeVar("T")

_FIRST_READ = 1 << 14  # octets; most replies, and one TLS record (RFC 8446 §5.1)
_NEXT_READ = 1 << 18
_LINE = 56  # octets of memory that a line in a list takes beside its own: object, rounding and pointer


class SessionOver(error_proto, OSError):
    """Any use of a session that the server has ended or brought into doubt.

    The standard library raises one or the other there, by what the operating system has heard of the other end.
    """


SessionOver.__name__ = error_proto.__name__  # what programs show and log as the kind of error


@define(eq=False)
class LineProtocol:
    """A conversation whose caller knows the shape of each reply, and says so when it reads.

    It counts the replies owed, and fails like `Protocol`: then every use raises `ConnectionLost`.
    """

    limits: Limits
    #: Why the conversation is over, or None while it is not.
    failure: str | None = field(default=None, init=False)
    _buffer: ReceiveBuffer = field(factory=ReceiveBuffer, init=False)
    _owed: deque[bytes] = field(factory=deque, init=False)  # the verbs of the commands that are not answered
    _verb: bytes = field(default=b"", init=False)  # of the command answered last
    _begun: Pieces = field(factory=Pieces, init=False)  # of the line that is being read
    _first_line: bool = field(default=False, init=False)  # of a body, which tells how its lines end

    # --- what arrives, and what is owed -------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server; none at the end of the stream."""
        if not data:
            self._buffer.feed_eof()
        elif self.failure is None:
            self._buffer.feed(data)

    def expect(self, command: bytes = b"") -> None:
        """Take note that a command is about to be sent: one more reply is owed.

        Raises `ProtocolError`, or `ConnectionLost`, where anything has arrived that nobody asked for.
        """
        if self.failure is not None:
            raise ConnectionLost(self.failure)
        buffer = self._buffer
        if not self._owed:
            if not buffer.empty:
                raise unsolicited(buffer.rest, None)
            if buffer.ended:
                raise _eof()
        self._owed.append(command[:4].upper())

    @property
    def quiet(self) -> bool:
        """Whether all is well, nothing is owed and nothing is there."""
        return self.failure is None and not self._owed and self._buffer.empty

    @property
    def at_status(self) -> bool:
        """Whether a status line is due: a reply is owed, or the greeting, which nobody asks for."""
        return bool(self._owed) or self._buffer.framing is None

    # --- what is taken ------------------------------------------------------------------------------------

    def next_line(self, longest: int) -> bytes | None:
        """Take one line with its end, cut at `longest` octets; at the end of the stream what is left.

        None when more octets are needed. The first status line fixes the line ends, and one that ends in a bare LF
        where they are CRLF is a `ProtocolError`.
        """
        if self.failure is not None:
            raise ConnectionLost(self.failure)
        buffer = self._buffer
        begun = self._begun
        line = buffer.take_line(longest - begun.octets)
        if line is None:
            line = buffer.take(longest)  # it is less
            if not buffer.ended:
                begun.add(line)
                return None
        if begun.octets:
            begun.add(line)
            line = begun.take()
        if (self._owed or buffer.framing is None) and line[-1:] == b"\n":
            if not buffer.fix_line_ends(line):
                raise mixed_line_ends(line, None)
            if self._owed:
                self._verb = self._owed.popleft()
        return line

    def begin_body(self) -> None:
        """Have what follows the status line just taken be the body of that reply.

        That of TOP ends its lines as its first line does: some servers send the lines that they have stored, with bare
        LFs, and end them by LF . CRLF. In a message to be kept nothing but the end of RFC 1939 is one.
        """
        if self.failure is not None:
            raise ConnectionLost(self.failure)
        buffer = self._buffer
        buffer.supply_line_end()
        buffer.begin_body()
        self._first_line = self._verb == b"TOP "

    def next_piece(self) -> tuple[bytes, bool] | None:
        """Take what has arrived of the body, dots unstuffed, and whether that was the end of it; None for nothing."""
        if self.failure is not None:
            raise ConnectionLost(self.failure)
        buffer = self._buffer
        if self._first_line:
            self._first_line = not buffer.adopt_line_ends()
        piece, complete = buffer.take_body()
        if complete and not self._owed and not buffer.empty:
            raise unsolicited(buffer.rest, None, after="a command")
        if piece or complete:
            return piece, complete
        if buffer.ended:
            raise _eof()
        return None

    def take(self, size: int) -> bytes | None:
        """Take up to `size` octets as they are, none at the end of the stream; None when nothing is there yet."""
        if self.failure is not None:
            raise ConnectionLost(self.failure)
        buffer = self._buffer
        return None if buffer.empty and not buffer.ended else buffer.take(size)

    # --- state --------------------------------------------------------------------------------------------

    def fail(self, reason: str) -> None:
        """Give up: from now on every use raises `ConnectionLost` with the first reason given."""
        if self.failure is None:
            self.failure = reason
        self._owed.clear()
        self._begun.clear()
        self._buffer.clear()

    def reset_for_tls(self) -> None:
        """Make sure that nothing has arrived before TLS starts; line ends are fixed again by the next status line."""
        if self._owed or not self._buffer.empty:
            raise data_before_tls()
        self._buffer.framing = None


def _eof() -> ConnectionLost:
    return ConnectionLost("EOF")  # the standard library's word for it


class Reader(io.BufferedIOBase):
    """A binary file over the octets of a server, which also gives whole bodies."""

    def __init__(self, source: socket.socket | BinaryIO, limits: Limits, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self.protocol = LineProtocol(limits)
        self._file: BinaryIO | None = None
        self._clock = clock
        self._reply_timeout: ReplyTimeout | None = None
        self._waited_until = 0.0
        self._over: type[Exception] = SessionOver
        self._receive = _receiver(source)
        self._socket = source if isinstance(source, socket.socket) else None
        if not hasattr(source, "recv"):
            self._file = source
        # SSLSocket.recv gives one record at most, whatever is asked for.
        self._next_read = _FIRST_READ if hasattr(source, "pending") else _NEXT_READ
        self._readable = _readiness(self._socket)

    # --- for the drop-in ----------------------------------------------------------------------------------

    def ready(self, command: bytes) -> None:
        """Make sure that a command may be sent, and that a reply to it is awaited.

        Octets that nobody asked for, such as a server's parting words, or the end of the stream, are found before the
        command goes out.
        """
        protocol = self.protocol
        if protocol.quiet and self._readable():
            self._receive_now()
        try:
            protocol.expect(command)
        except MailboxError as error:
            raise self._broken(error) from error
        self._reply_timeout = None

    def lines(self) -> tuple[list[bytes], int]:
        """Return the lines of the body that follows the status line just read, and its octets (RFC 1939 §3).

        Lines are split at each LF, a CR before it is not part of them, and dots are unstuffed. Memory is that of the
        lines and a chunk (see `bound`).
        """
        protocol = self.protocol
        try:
            protocol.begin_body()
        except MailboxError as error:
            raise self._broken(error) from error
        lines: list[bytes] = []
        begun = Pieces()  # of a line whose end has not arrived
        octets, complete = 0, False
        while not complete:
            piece, complete = self._until(protocol.next_piece)
            octets += len(piece)
            self.bound(octets, len(lines), piece)
            end = piece.rfind(b"\n") + 1
            if end:
                begun.add(piece[:end])
                lines += _parted(begun.take())
            begun.add(piece[end:])
        return lines, octets

    def bound(self, octets: int, lines: int, more: bytes = b"") -> None:
        """End the session if a body of so many octets and lines, and those in `more`, is beyond `limits.message`.

        A list of lines may take four times that limit, which mail of 19 octets a line or more cannot, and `_LINE`
        is what a line costs beside its octets.
        """
        most = self.protocol.limits.message
        room = 4 * most - octets - _LINE * lines
        if octets > most or (room < _LINE * len(more) and room < _LINE * more.count(b"\n")):
            self.give_up("the server sent a message or listing beyond POP3.limits.message")
            raise error_proto("-ERR the server sent a message or listing beyond POP3.limits.message")

    def reset_for_tls(self) -> None:
        """Make sure that nothing was sent in clear text after the response to STLS."""
        try:
            self.protocol.reset_for_tls()
        except MailboxError as error:
            raise self._broken(error) from error

    def give_up(self, reason: str, over: type[Exception] = SessionOver) -> None:
        """End the session: whatever is asked from now on raises `over` with the first reason given."""
        if not self.failed:
            self._over = over
        self.protocol.fail(reason)

    def break_off(self, error: BaseException) -> None:
        """End the session because of an error that passes through: the socket's own, or an interruption."""
        over: type[Exception] = OSError if isinstance(error, OSError) else SessionOver
        self.give_up(
            f"the session broke off: {error!r}", BrokenPipeError if isinstance(error, ConnectionError) else over
        )

    @property
    def failed(self) -> bool:
        """Whether the session is over."""
        return self.protocol.failure is not None

    @property
    def timeout(self) -> float | None:
        """Seconds that a read may block, as the socket has it now."""
        return (self._socket.gettimeout() or None) if self._socket is not None else None

    def _until(self, step: Callable[..., T | None], *arguments: object) -> T:
        """Read until `step` gives something; whatever else ends the reading ends the session."""
        try:
            result = step(*arguments)
            if result is not None:
                return result
            reply_timeout, size = self._resumed(), _FIRST_READ
            while result is None:
                reply_timeout.left(self._clock(), None)
                octets = self._feed(size)
                self._waited_until = self._clock()
                reply_timeout.received(octets, self._waited_until)
                result, size = step(*arguments), self._next_read
        except Timeout:  # a TimeoutError, as the socket's own
            self.give_up("the server was too slow", OSError)
            raise
        except MailboxError as error:
            raise self._broken(error) from error
        except BaseException as error:
            self.break_off(error)
            raise
        return result

    def _resumed(self) -> ReplyTimeout:
        """Return the wait for the reply that is being read; it stood still since the last octets came."""
        now, timeout = self._clock(), self.timeout
        waiting = self._reply_timeout
        if waiting is None or waiting.timeout != timeout:
            waiting = self._reply_timeout = ReplyTimeout(timeout, self.protocol.limits.minimum_rate, now)
        else:
            waiting.pause(now - self._waited_until)
        self._waited_until = now
        return waiting

    def _feed(self, size: int) -> int:
        data = self._receive(size)
        self.protocol.receive_data(data)
        return len(data)

    def _broken(self, error: MailboxError) -> Exception:
        """End the session; return what the server said last, as octets, or else our words after `-ERR`."""
        if self.failed:
            return self._over(f"-ERR {error.problem}" if self._over is SessionOver else error.problem)
        self.give_up(error.problem)
        if isinstance(error, ConnectionLost) and error.response:
            return error_proto(error.response.encode("latin-1"))
        return error_proto(f"-ERR {error.problem}")

    def _receive_now(self) -> None:
        sock = self._socket
        assert sock is not None
        timeout = sock.gettimeout()
        sock.settimeout(0.0)  # what TLS has to read may be a session ticket, and no octets for us
        try:
            # An error will be met again, and raised, by the command that is about to be sent.
            with contextlib.suppress(OSError):
                self._feed(_FIRST_READ)
        finally:
            sock.settimeout(timeout)

    # --- a file -------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Whether this file can be read: always."""
        return True

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line with its end as the server sent it, cut at `size` octets; empty at the end."""
        longest = self.protocol.limits.message if size is None or size < 0 else size
        return self._until(self.protocol.next_line, longest)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` octets as the server sent them, fewer at the end of the stream only; all by default."""
        pieces, most = Pieces(), sys.maxsize if size is None or size < 0 else size
        while pieces.octets < most:
            data = self.read1(most - pieces.octets)
            if not data:
                break
            pieces.add(data)
        return pieces.take()

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` octets with one read of the socket at most; empty at the end of the stream."""
        return self._until(self.protocol.take, _NEXT_READ if size < 0 else size)

    def close(self) -> None:
        """Close this file, and the one that the caller brought; a socket stays open."""
        if not self.closed:
            self.give_up("the connection is closed")
            if self._file is not None:
                self._file.close()
        super().close()


def _receiver(source: socket.socket | BinaryIO) -> Callable[[int], bytes]:
    """Return what reads some octets; a file's `readline` will do where it has nothing better."""
    for name in ("recv", "read1", "readline"):
        method: Callable[[int], bytes] | None = getattr(source, name, None)
        if method is not None:
            return method
    raise TypeError(f"neither a socket nor a binary file: {source!r}")


def _readiness(sock: socket.socket | None) -> Callable[[], bool]:
    """Return what says whether a read would not block: there are octets, or the end of the stream."""
    if sock is None or sock.fileno() < 0:
        return lambda: False
    if sys.platform == "win32":
        return lambda: bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    pending: Callable[[], int] | None = getattr(sock, "pending", None)  # octets that TLS has decrypted
    if pending is None:
        return lambda: bool(poll.poll(0))
    return lambda: bool(pending() or poll.poll(0))


def lines_by(getline: Callable[[], tuple[bytes, int]], bound: Callable[[int, int], None]) -> tuple[list[bytes], int]:
    """Return the lines of a body, and its octets, from what gives one line at a time without its end.

    `bound` is told of octets and lines, and raises when they are too many.
    """
    lines: list[bytes] = []
    octets = 0
    line, size = getline()
    while line != b".":
        if line[:1] == b".":
            line, size = line[1:], size - 1
        octets += size
        lines.append(line)
        bound(octets, len(lines))
        line, size = getline()
    return lines, octets


def _parted(body: bytes) -> list[bytes]:
    """Split whole lines at each LF, without the CR before it."""
    lines = body.splitlines()
    # Did every line end in CRLF? A CR alone ends none. Joining is the fastest way to add up their lengths.
    if len(body) - len(b"".join(lines)) != 2 * len(lines):
        lines = [line.removesuffix(b"\r") for line in body.split(b"\n")]
        lines.pop()
    return lines
