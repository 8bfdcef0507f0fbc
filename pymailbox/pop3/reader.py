"""Reader: one buffer behind replies, lines and a file.

What the drop-in `pymailbox.poplib` reads with. Its callers ask line by line or for a whole body, in any order, and may
read its `file` themselves; the framing, the limits and the poisoned state are those of `Protocol`, which is fed from a
blocking socket or from a binary file that the caller brought. It sends nothing. What is wrong with the octets is raised
as the standard library's `error_proto`; what the socket raises passes through.
"""

import contextlib
import io
import select
import socket
import sys
import time
from collections.abc import Callable
from poplib import error_proto
from typing import BinaryIO, TypeVar

from attrs import define

from pymailbox.errors import ConnectionLost, MailboxError, Timeout
from pymailbox.pop3.command import Body, Command, Note, Reply, Verb
from pymailbox.pop3.framing import CRLF, LF
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.patience import Patience
from pymailbox.pop3.protocol import Protocol

__all__ = ["LineProtocol", "Reader"]

T = TypeVar("T")

_FIRST_READ = 1 << 14  # octets; most replies, and one TLS record (RFC 8446 §5.1)
_NEXT_READ = 1 << 18


def _body(reply: Reply, _: Note) -> bytes:
    return reply.body or b""


#: Stands in the queue for a command of which only this is known: that one reply is owed for it.
_ANY = Command(Verb(b"a command", _body, Body.KEPT), expected=0)


@define(eq=False)
class LineProtocol(Protocol):
    """A conversation whose caller knows the shape of each reply, and says so when it reads."""

    def expect(self) -> None:
        """Take note that a command was sent: one more reply is owed."""
        self._alive()
        self._owed.append(_ANY)

    def check_idle(self) -> None:
        """Raise `ProtocolError`, or `ConnectionLost`, where anything has arrived that nobody asked for."""
        self._alive()
        if not self._owed and (self.pending or self._ended):
            error = self._unasked() if self.pending else self._truncated()
            self.poison(error.problem)
            raise error

    def next_line(self, longest: int) -> bytes | None:
        """Take one line with its end, cut at `longest` octets; at the end of the stream what is left.

        None when more octets are needed. If a reply is owed this is its status line: the first one fixes the line ends,
        and a bare LF where they are CRLF is a `ProtocolError`.
        """
        self._alive()
        data, at = self._data, self._at
        end = data.find(b"\n", max(at, self._searched), at + longest) + 1
        if not end:
            if len(data) - at < longest and not self._ended:
                self._searched = len(data)
                return None
            end = min(len(data), at + longest)
        line = data[at:end]
        if self._owed and line[-1:] == b"\n":
            self._fix_line_ends(line)
            self._owed.popleft()
        self._at = end
        return line

    def _fix_line_ends(self, line: bytes) -> None:
        found = CRLF if line[-2:] == b"\r\n" else LF
        if self._framing is None:
            self._framing = found
        elif found is LF and self._framing is CRLF:
            error = self._strange("a status line ends in a bare LF, unlike those before", line[:-1])
            self.poison(error.problem)
            raise error

    def next_body(self) -> bytes | None:
        """Take what follows the status line just taken as the body of that reply; None when more octets are needed."""
        if self._text is None:
            self._alive()
            self._begin_body()
        event = self.next_event()
        return event.body if isinstance(event, Reply) else None

    def _begin_body(self) -> None:
        framing = self._framing or CRLF
        newline, at = framing.newline, self._at
        # A body may begin with its end: the framing looks for it from the status line's own end.
        if self._data.endswith(newline, 0, at):
            at -= len(newline)
        else:
            self._data, at, self._searched = newline + self._data[at:], 0, 0
        self._framing, self._text, self._at, self._skip = framing, b"", at, len(newline)
        self._owed.appendleft(_ANY)

    def take(self, size: int) -> bytes | None:
        """Take up to `size` octets as they are, none at the end of the stream; None when nothing is there yet."""
        self._alive()
        if not self.pending:
            return b"" if self._ended else None
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        return data

    def _alive(self) -> None:
        if self._failure is not None:
            raise ConnectionLost(self._failure)

    def _truncated(self) -> ConnectionLost:
        return ConnectionLost("EOF")  # the standard library's word for it


class Reader(io.BufferedIOBase):
    """A binary file over the octets of a server, which also gives whole bodies."""

    def __init__(self, source: socket.socket | BinaryIO, limits: Limits) -> None:
        super().__init__()
        self.protocol = LineProtocol(limits)
        self._file = None if hasattr(source, "recv") else source
        self._socket = source if isinstance(source, socket.socket) else None
        self._receive = _receiver(source)
        # SSLSocket.recv gives one record at most, whatever is asked for.
        self._next_read = _FIRST_READ if hasattr(source, "pending") else _NEXT_READ
        self._poll: select.poll | None = None

    # --- for the drop-in ----------------------------------------------------------------------------------

    def ready(self) -> None:
        """Make sure that a command may be sent, and that a reply to it is awaited.

        Octets that nobody asked for, such as a server's parting words, or the end of the stream, are found before the
        command goes out.
        """
        protocol = self.protocol
        if protocol.idle and not protocol.pending and protocol.failure is None and self._readable():
            self._receive_now()
        try:
            protocol.check_idle()
            protocol.expect()
        except MailboxError as error:
            raise _as_error_proto(error) from error

    def body(self) -> bytes:
        """Return the body that follows the status line just read, dots unstuffed (RFC 1939 §3)."""
        return self._until(self.protocol.next_body)

    def restart(self) -> None:
        """Make sure that nothing was sent in clear text behind the response to STLS."""
        try:
            self.protocol.restart()
        except MailboxError as error:
            raise _as_error_proto(error) from error

    def give_up(self, reason: str) -> None:
        """End the session: whatever is asked from now on is `error_proto` with the first reason given."""
        self.protocol.poison(reason)

    @property
    def failed(self) -> bool:
        """Whether the session is over."""
        return self.protocol.failure is not None

    @property
    def idle(self) -> bool:
        """Whether a status line was read for every command sent."""
        return self.protocol.idle

    @property
    def timeout(self) -> float | None:
        """Seconds that a read may block, as the socket has it now."""
        return (self._socket.gettimeout() or None) if self._socket is not None else None

    def _until(self, step: Callable[[], T | None]) -> T:
        """Read until `step` gives something; whatever else ends the reading ends the session."""
        try:
            result = step()
            return self._wait(step) if result is None else result
        except Timeout:  # a TimeoutError, as the socket's own
            self.give_up("the server was too slow")
            raise
        except MailboxError as error:
            self.give_up(error.problem)
            raise _as_error_proto(error) from error
        except BaseException as error:
            self.give_up(f"the session broke off: {error!r}")
            raise

    def _wait(self, step: Callable[[], T | None]) -> T:
        protocol, size = self.protocol, _FIRST_READ
        patience = Patience(self.timeout, protocol.limits.minimum_rate, time.monotonic())
        result = None
        while result is None:
            patience.left(time.monotonic(), None)
            data = self._receive(size)
            if data:
                protocol.receive_data(data)
                patience.received(len(data), time.monotonic())
            else:
                protocol.receive_eof()
            size = self._next_read
            result = step()
        return result

    def _readable(self) -> bool:
        """Whether a read would not block: octets, or the end of the stream."""
        sock = self._socket
        if sock is None or sock.fileno() < 0:
            return False
        pending = getattr(sock, "pending", None)
        if pending is not None and pending():
            return True
        if sys.platform == "win32":
            return bool(select.select([sock], [], [], 0)[0])
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)
        return bool(self._poll.poll(0))

    def _receive_now(self) -> None:
        sock = self._socket
        assert sock is not None
        timeout = sock.gettimeout()
        sock.settimeout(0.0)  # what TLS has to read may be a session ticket, and no octets for us
        try:
            # An error will be met again, and raised, by the command that is about to be sent.
            with contextlib.suppress(OSError):
                data = sock.recv(_FIRST_READ)
                if data:
                    self.protocol.receive_data(data)
                else:
                    self.protocol.receive_eof()
        finally:
            sock.settimeout(timeout)

    # --- a file -------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Whether this file can be read: always."""
        return True

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line with its end as the server sent it, cut at `size` octets; empty at the end."""
        longest = self.protocol.limits.message if size is None or size < 0 else size
        return self._until(lambda: self.protocol.next_line(longest))

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` octets as the server sent them, fewer at the end of the stream only; all by default."""
        pieces, left = [], sys.maxsize if size is None or size < 0 else size
        while left:
            data = self.read1(left)
            if not data:
                break
            pieces.append(data)
            left -= len(data)
        return b"".join(pieces)

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` octets with one read of the socket at most; empty at the end of the stream."""
        return self._until(lambda: self.protocol.take(_NEXT_READ if size < 0 else size))

    def close(self) -> None:
        """Close this file, and the one that the caller brought; a socket stays open."""
        if not self.closed:
            self.protocol.poison("the connection was closed")
            if self._file is not None:
                self._file.close()
        super().close()


def _receiver(source: socket.socket | BinaryIO) -> Callable[[int], bytes]:
    """Return what reads some octets: a file's `readline` will do where it has nothing better."""
    for name in ("recv", "read1", "readline"):
        method: Callable[[int], bytes] | None = getattr(source, name, None)
        if method is not None:
            return method
    raise TypeError(f"neither a socket nor a binary file: {source!r}")


def _as_error_proto(error: MailboxError) -> error_proto:
    """Return it with what the server said last, as octets, or else with our words behind `-ERR`."""
    if isinstance(error, ConnectionLost) and error.response:
        return error_proto(error.response.encode("latin-1"))
    return error_proto(f"-ERR {error.problem}")
