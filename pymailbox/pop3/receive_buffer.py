"""ReceiveBuffer: received bytes that are not taken yet, and how their lines end.

Pure. `feed` and `feed_eof` add what arrives. Lines, bodies and plain bytes are taken in any order; a result of None
means that more bytes are needed. The first status line fixes the line ends. The buffer knows neither commands nor
limits: `Protocol` and the `LineProtocol` of `pymailbox.poplib` each have one and decide what the bytes mean.
"""

from attrs import define, field

from pymailbox.pop3.framing import CRLF, LF, Framing

__all__ = ["ReceiveBuffer"]

_TAIL = 5  # octets: CRLF . CRLF


@define(eq=False, repr=False)
class ReceiveBuffer:
    """Bytes from a server, in the order they arrived."""

    #: The bytes received; those before `position` are taken.
    data: bytes = field(default=b"", init=False)
    position: int = field(default=0, init=False)
    #: Whether the stream has ended, so that nothing more will arrive.
    ended: bool = field(default=False, init=False)
    #: How lines end; None until the first status line.
    framing: Framing | None = field(default=None, init=False)

    _taken: bytes = field(default=b"", init=False)  # the bytes just before `data`, kept while little arrives at a time
    _body: Framing = field(default=CRLF, init=False)  # how lines end in the body that is being taken
    _searched: int = field(default=0, init=False)  # no line end between `position` and here
    _overlap: int = field(default=0, init=False)  # bytes between `position` and the body's next piece

    def feed(self, data: bytes) -> None:
        """Add bytes, and drop those already taken."""
        position = self.position
        if len(data) < _TAIL:
            self._taken = (self._taken + self.data[max(0, position - _TAIL) : position])[-_TAIL:]
        if position < len(self.data):
            self.data = self.data[position:] + data
            self._searched = max(0, self._searched - position)
        else:
            self.data, self._searched = data, 0
        self.position = 0

    def feed_eof(self) -> None:
        """Record that the stream has ended."""
        self.ended = True

    def clear(self) -> None:
        """Drop everything not taken yet."""
        self.data, self.position, self._searched, self._overlap = b"", 0, 0, 0

    @property
    def empty(self) -> bool:
        """Whether everything received is taken."""
        return self.position >= len(self.data)

    @property
    def rest(self) -> bytes:
        """The bytes not taken yet; they stay in the buffer."""
        return self.data[self.position :]

    @property
    def tail(self) -> bytes:
        """The last few bytes received, taken or not."""
        return (self._taken + self.data[-_TAIL:])[-_TAIL:]

    def take(self, size: int) -> bytes:
        """Take up to `size` bytes unchanged."""
        data = self.data[self.position : self.position + size]
        self.position += len(data)
        return data

    def take_line(self, longest: int) -> bytes | None:
        """Take one line with its end, cut at `longest` bytes; None if more bytes are needed."""
        data, position = self.data, self.position
        end = data.find(b"\n", max(position, self._searched), position + longest) + 1
        if not end:
            if len(data) - position < longest:
                self._searched = len(data)
                return None
            end = position + longest
        self.position = end
        return data[position:end]

    def fix_line_ends(self, line: bytes) -> bool:
        """Let the first status line, given with its end, fix how lines end.

        Return False for a later one that ends in a bare LF although lines end in CRLF; after LF, CRLF is fine.
        """
        framing = CRLF if line.endswith(b"\r\n") else LF
        if self.framing is None:
            self.framing = framing
        return framing is self.framing or framing is CRLF

    def supply_line_end(self) -> None:
        """Make sure that a line end precedes `position`: `feed` may have dropped that of the last line taken."""
        framing = self.framing = self.framing or CRLF
        newline = framing.newline
        if not self.data.endswith(newline, 0, self.position):
            self.data, self.position, self._searched = newline + self.rest, len(newline), 0

    def begin_body(self) -> None:
        """Begin a body here, right after a line end, which may also be the first bytes of the body's end."""
        assert self.framing is not None
        self._body = self.framing
        self._overlap = len(self.framing.newline)
        self.position -= self._overlap

    def adopt_line_ends(self) -> bool:
        """Let the body's first line, not the status line, fix how its lines end; False until that line is complete."""
        end = self.data.find(b"\n", self.position + self._overlap)
        if end >= 0 and self.data[max(0, end - 1) : end] != b"\r":
            self._body = LF
        return end >= 0

    def take_body(self) -> tuple[bytes, bool]:
        """Take what is certainly part of the body, with dots unstuffed; also return whether the body is complete."""
        overlap = self._overlap
        start = self.position + overlap
        piece, self.position, complete = self._body.take(self.data, start, overlap)
        self._overlap = start - self.position if self.position < start else 0
        return piece, complete
