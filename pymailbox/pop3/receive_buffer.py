"""ReceiveBuffer: the octets that have arrived and are not taken yet, and how their lines end.

Pure. `feed` and `feed_eof` put in what arrives; lines, bodies and plain octets are taken in any order, None where more
is needed. Line ends are fixed by the first status line. It knows neither commands nor limits: `Protocol` and the
drop-in's `LineProtocol` each have one, and decide what its octets mean.
"""

from attrs import define, field

from pymailbox.pop3.framing import CRLF, LF, Framing

__all__ = ["ReceiveBuffer"]

_TAIL = 5  # octets: CRLF . CRLF


@define(eq=False)
class ReceiveBuffer:
    """Octets from a server, in the order they came."""

    #: What has arrived; what is before `position` has been taken.
    data: bytes = field(default=b"", init=False)
    position: int = field(default=0, init=False)
    #: Whether the stream has ended: nothing more will come.
    ended: bool = field(default=False, init=False)
    #: How lines end; None until the first status line has told.
    framing: Framing | None = field(default=None, init=False)

    _taken: bytes = field(default=b"", init=False)  # what came right before `data`, where little arrives at a time
    _body: Framing = field(default=CRLF, init=False)  # how the lines of the body that is being taken end
    _searched: int = field(default=0, init=False)  # no line end between `position` and here
    _overlap: int = field(default=0, init=False)  # octets after `position` that come before the body's next piece

    def feed(self, data: bytes) -> None:
        """Add octets, and drop those that were taken."""
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
        """Take note that the stream has ended."""
        self.ended = True

    def clear(self) -> None:
        """Drop everything that is not taken."""
        self.data, self.position, self._searched, self._overlap = b"", 0, 0, 0

    @property
    def empty(self) -> bool:
        """Whether everything that has arrived is taken."""
        return self.position >= len(self.data)

    @property
    def rest(self) -> bytes:
        """What is not taken yet; it stays here."""
        return self.data[self.position :]

    @property
    def tail(self) -> bytes:
        """The last few octets that arrived, taken or not."""
        return (self._taken + self.data[-_TAIL:])[-_TAIL:]

    def take(self, size: int) -> bytes:
        """Take up to `size` octets as they are."""
        data = self.data[self.position : self.position + size]
        self.position += len(data)
        return data

    def take_line(self, longest: int) -> bytes | None:
        """Take one line with its end, cut at `longest` octets; None when more octets are needed."""
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
        """Take a status line with its end as the measure of line ends, if it is the first.

        Return False for one that ends in a bare LF where lines end in CRLF; where they end in LF a CR does no harm.
        """
        framing = CRLF if line.endswith(b"\r\n") else LF
        if self.framing is None:
            self.framing = framing
        return framing is self.framing or framing is CRLF

    def supply_line_end(self) -> None:
        """Have a line end right before `position`: that of the line taken last may have been dropped by `feed`."""
        framing = self.framing = self.framing or CRLF
        newline = framing.newline
        if not self.data.endswith(newline, 0, self.position):
            self.data, self.position, self._searched = newline + self.rest, len(newline), 0

    def begin_body(self) -> None:
        """Have a body begin here, right after a line end, which may be the first octets of the body's own end."""
        assert self.framing is not None
        self._body = self.framing
        self._overlap = len(self.framing.newline)
        self.position -= self._overlap

    def adopt_line_ends(self) -> bool:
        """Have the lines of the body end as its first one does, unlike status lines; False until that has ended."""
        end = self.data.find(b"\n", self.position + self._overlap)
        if end >= 0 and self.data[max(0, end - 1) : end] != b"\r":
            self._body = LF
        return end >= 0

    def take_body(self) -> tuple[bytes, bool]:
        """Take what is certainly part of the body, dots unstuffed, and say whether that was the end of it."""
        overlap = self._overlap
        start = self.position + overlap
        piece, self.position, complete = self._body.take(self.data, start, overlap)
        self._overlap = start - self.position if self.position < start else 0
        return piece, complete
