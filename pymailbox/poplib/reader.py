"""The reader of the drop-in `pymailbox.poplib`: replies, lines and a file share one buffer.

Programs read line by line or whole bodies, in any order, and may read the `file` themselves. A `LineProtocol` has the
buffer, the limits and the failed state; the `Reader` feeds it from a blocking socket, or from a binary file that the
program assigned. It sends nothing. Invalid data raises the standard library's `error_proto`; the socket's errors pass
through. After either the session is over, and every use raises `OSError` if the connection broke or stalled, otherwise
`SessionOver`.
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

_FIRST_READ = 1 << 14  # bytes; enough for most replies, and one TLS record (RFC 8446 §5.1)
_NEXT_READ = 1 << 18
_LINE = 56  # bytes of memory that a line in a list takes in addition to its data: object, rounding and pointer


class SessionOver(error_proto, OSError):
    """The session was used after the server ended it or made it untrustworthy.

    The standard library raises one or the other base class, depending on what the operating system has noticed.
    """


SessionOver.__name__ = error_proto.__name__  # the name that programs show and log


@define(eq=False)
class LineProtocol:
    """The receiving half of a session, for a caller that knows the shape of each reply and reads it accordingly.

    It counts the replies that are due. Like `Protocol` it can fail, after which every use raises `ConnectionLost`.
    """

    limits: Limits
    #: Why the session is over, or None if it is not.
    failure: str | None = field(default=None, init=False)
    _buffer: ReceiveBuffer = field(factory=ReceiveBuffer, init=False)
    _owed: deque[bytes] = field(factory=deque, init=False)  # the verbs of unanswered commands
    _verb: bytes = field(default=b"", init=False)  # of the last answered command
    _begun: Pieces = field(factory=Pieces, init=False)  # of the line that is being read
    _first_line: bool = field(default=False, init=False)  # of a body is due, which shows how its lines end

    # --- incoming data, and replies that are due ----------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take data from the server; empty at the end of the stream."""
        if not data:
            self._buffer.feed_eof()
        elif self.failure is None:
            self._buffer.feed(data)

    def expect(self, command: bytes = b"") -> None:
        """Note that a command is about to be sent, and one more reply is due.

        Raises `ProtocolError` if unsolicited data has arrived, `ConnectionLost` if the stream has ended.
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
        """Whether the session is intact, no reply is due, and the buffer is empty."""
        return self.failure is None and not self._owed and self._buffer.empty

    @property
    def at_status(self) -> bool:
        """Whether a status line is due, either of a reply or of the greeting."""
        return bool(self._owed) or self._buffer.framing is None

    # --- reading ------------------------------------------------------------------------------------------

    def next_line(self, longest: int) -> bytes | None:
        """Take one line with its end, cut at `longest` bytes; at the end of the stream, take the rest.

        None if more data is needed. The first status line fixes the line ends; if they are CRLF, a later status line
        that ends in a bare LF is a `ProtocolError`.
        """
        if self.failure is not None:
            raise ConnectionLost(self.failure)
        buffer = self._buffer
        begun = self._begun
        line = buffer.take_line(longest - begun.size)
        if line is None:
            line = buffer.take(longest)  # there is less in the buffer
            if not buffer.ended:
                begun.add(line)
                return None
        if begun.size:
            begun.add(line)
            line = begun.take()
        if (self._owed or buffer.framing is None) and line[-1:] == b"\n":
            if not buffer.fix_line_ends(line):
                raise mixed_line_ends(line, None)
            if self._owed:
                self._verb = self._owed.popleft()
        return line

    def begin_body(self) -> None:
        """Read what follows the status line just taken as the body of that reply.

        The first line of a body of TOP decides the line ends of the rest, because some servers send stored lines with
        bare LFs, and then LF . CRLF. A message to keep can end only as RFC 1939 requires.
        """
        if self.failure is not None:
            raise ConnectionLost(self.failure)
        buffer = self._buffer
        buffer.supply_line_end()
        buffer.begin_body()
        self._first_line = self._verb == b"TOP "

    def next_piece(self) -> tuple[bytes, bool] | None:
        """Take the part of the body that has arrived, dots unstuffed, and whether it is complete; None for nothing."""
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
        """Take up to `size` bytes as sent, none at the end of the stream; None if nothing has arrived."""
        if self.failure is not None:
            raise ConnectionLost(self.failure)
        buffer = self._buffer
        return None if buffer.empty and not buffer.ended else buffer.take(size)

    # --- state --------------------------------------------------------------------------------------------

    def fail(self, reason: str) -> None:
        """Fail: from now on, every use raises `ConnectionLost` with the first reason given."""
        if self.failure is None:
            self.failure = reason
        self._owed.clear()
        self._begun.clear()
        self._buffer.clear()

    def reset_for_tls(self) -> None:
        """Check that nothing has arrived before TLS starts; the next status line fixes the line ends again."""
        if self._owed or not self._buffer.empty:
            raise data_before_tls()
        self._buffer.framing = None


def _eof() -> ConnectionLost:
    return ConnectionLost("EOF")  # as in the standard library


class Reader(io.BufferedIOBase):
    """A binary file over the data from a server that can also return whole bodies."""

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
        # SSLSocket.recv returns at most one record, whatever the size.
        self._next_read = _FIRST_READ if hasattr(source, "pending") else _NEXT_READ
        self._readable = _readiness(self._socket)

    # --- for the drop-in ----------------------------------------------------------------------------------

    def ready(self, command: bytes) -> None:
        """Check that a command may be sent, and expect its reply.

        Unsolicited data, such as a server's parting words, or the end of the stream is found before the command goes
        out.
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
        """Return the lines of the body after the status line just read, and its size in bytes (RFC 1939 §3).

        Lines are split at each LF, without a CR before it, and dots are unstuffed. This takes memory for the lines and
        one chunk (see `bound`).
        """
        protocol = self.protocol
        try:
            protocol.begin_body()
        except MailboxError as error:
            raise self._broken(error) from error
        lines: list[bytes] = []
        begun = Pieces()  # of an incomplete line
        size, complete = 0, False
        while not complete:
            piece, complete = self._until(protocol.next_piece)
            size += len(piece)
            self.bound(size, len(lines), piece)
            end = piece.rfind(b"\n") + 1
            if end:
                begun.add(piece[:end])
                lines += _parted(begun.take())
            begun.add(piece[end:])
        return lines, size

    def bound(self, size: int, lines: int, more: bytes = b"") -> None:
        """End the session if a body of that size (including `more`) and that many lines exceeds `limits.message`.

        The list of lines may take four times that limit in memory, where each line costs `_LINE` in addition to its
        data. With 19 bytes or more per line, a message within the limit never reaches that.
        """
        most = self.protocol.limits.message
        room = 4 * most - size - _LINE * lines
        if size > most or (room < _LINE * len(more) and room < _LINE * more.count(b"\n")):
            self.give_up("the server sent a message or listing larger than POP3.limits.message")
            raise error_proto("-ERR the server sent a message or listing larger than POP3.limits.message")

    def reset_for_tls(self) -> None:
        """Check that no plaintext was sent after the response to STLS."""
        try:
            self.protocol.reset_for_tls()
        except MailboxError as error:
            raise self._broken(error) from error

    def give_up(self, reason: str, over: type[Exception] = SessionOver) -> None:
        """End the session: from now on, every use raises `over` with the first reason given."""
        if not self.failed:
            self._over = over
        self.protocol.fail(reason)

    def break_off(self, error: BaseException) -> None:
        """End the session because of an error that passes through, from the socket or an interruption."""
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
        """Seconds that a read may block, according to the socket."""
        return (self._socket.gettimeout() or None) if self._socket is not None else None

    def _until(self, step: Callable[..., T | None], *arguments: object) -> T:
        """Read until `step` returns something; anything else that ends the reading ends the session."""
        try:
            result = step(*arguments)
            if result is not None:
                return result
            reply_timeout, size = self._resumed(), _FIRST_READ
            while result is None:
                reply_timeout.left(self._clock(), None)
                received = self._feed(size)
                self._waited_until = self._clock()
                reply_timeout.received(received, self._waited_until)
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
        """Return the timeout of the present reply, which did not run since the last data arrived."""
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
        """End the session; return an error with the server's last words as bytes, or else ours after `-ERR`."""
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
        sock.settimeout(0.0)  # what has arrived may be just a TLS session ticket, without data
        try:
            # An error will occur again, and be raised, when the command is sent.
            with contextlib.suppress(OSError):
                self._feed(_FIRST_READ)
        finally:
            sock.settimeout(timeout)

    # --- a file -------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Return True, because this file can always be read."""
        return True

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line with its end as the server sent it, cut at `size` bytes; empty at the end."""
        longest = self.protocol.limits.message if size is None or size < 0 else size
        return self._until(self.protocol.next_line, longest)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes as the server sent them, fewer only at the end of the stream; all by default."""
        pieces, most = Pieces(), sys.maxsize if size is None or size < 0 else size
        while pieces.size < most:
            data = self.read1(most - pieces.size)
            if not data:
                break
            pieces.add(data)
        return pieces.take()

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes with at most one read from the socket; empty at the end of the stream."""
        return self._until(self.protocol.take, _NEXT_READ if size < 0 else size)

    def close(self) -> None:
        """Close this file, and an assigned file too; a socket stays open."""
        if not self.closed:
            self.give_up("the connection is closed")
            if self._file is not None:
                self._file.close()
        super().close()


def _receiver(source: socket.socket | BinaryIO) -> Callable[[int], bytes]:
    """Return a function that reads some bytes; if a file has nothing better, use its `readline`."""
    for name in ("recv", "read1", "readline"):
        method: Callable[[int], bytes] | None = getattr(source, name, None)
        if method is not None:
            return method
    raise TypeError(f"expected a socket or a binary file, not {source!r}")


def _readiness(sock: socket.socket | None) -> Callable[[], bool]:
    """Return a function that says whether data or the end of the stream can be read without blocking."""
    if sock is None or sock.fileno() < 0:
        return lambda: False
    if sys.platform == "win32":
        return lambda: bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    pending: Callable[[], int] | None = getattr(sock, "pending", None)  # bytes that TLS has decrypted
    if pending is None:
        return lambda: bool(poll.poll(0))
    return lambda: bool(pending() or poll.poll(0))


def lines_by(getline: Callable[[], tuple[bytes, int]], bound: Callable[[int, int], None]) -> tuple[list[bytes], int]:
    """Return the lines of a body, and its size, using a function that returns one line at a time without its end.

    `bound` gets the size and the number of lines so far, and raises if they are too large.
    """
    lines: list[bytes] = []
    total = 0
    line, size = getline()
    while line != b".":
        if line[:1] == b".":
            line, size = line[1:], size - 1
        total += size
        lines.append(line)
        bound(total, len(lines))
        line, size = getline()
    return lines, total


def _parted(body: bytes) -> list[bytes]:
    """Split whole lines at each LF, without the CR before it."""
    lines = body.splitlines()
    # Did every line end in CRLF? A lone CR does not end one. Joining is the fastest way to sum up the lengths.
    if len(body) - len(b"".join(lines)) != 2 * len(lines):
        lines = [line.removesuffix(b"\r") for line in body.split(b"\n")]
        lines.pop()
    return lines
