"""Framing: how lines and bodies end.

Pure. There are two modes, and the first status line decides: CRLF, in which only CRLF . CRLF ends a body, and LF, for
servers that end lines in a bare LF, in which a CR before the LF is optional.
"""

# Decision 6.

import re
from typing import NamedTuple

__all__ = ["CRLF", "LF", "Framing", "longest_line"]

_FEW = 64  # stuffed dots that are removed one by one; more in one chunk are removed together


class Framing(NamedTuple):
    """One kind of line end, as the patterns to search for."""

    newline: bytes
    #: A line end and a dot at the start of the next line: the end of the body, or a stuffed dot.
    dot: "re.Pattern[bytes]"
    #: The end of a body.
    end: "re.Pattern[bytes]"
    #: The incomplete ends of a body that a chunk may end with, longest first.
    partial: tuple[bytes, ...]

    def take(self, data: bytes, at: int, back: int = 0) -> tuple[bytes, int, bool]:
        """Take the body that begins or continues at `at`.

        Return its bytes with dots unstuffed, the position to continue from, and whether the body is complete. The
        `back` bytes before `at` are the end of the previous line, so a dot at `at` starts a line. If the body may end
        right there but its end has not arrived in full, the position to continue from is before `at`.

        One scan finds the end and the stuffed dots, which are few in most messages. If there are many, two more scans
        remove the rest, so no input makes Python run code for each line.
        """
        first = self.dot.search(data, at - back)
        if first is not None:
            after = first.end()
            if data[after : after + 2] == b"\r\n":  # in most messages no line begins with a dot
                return data[at : after - 1], after + 2, True
        pieces: list[bytes | memoryview] = []
        begun, view = at, memoryview(data)
        for found in self.dot.finditer(data, len(data) if first is None else first.start()):
            after = found.end()
            tail = data[after : after + 2]
            if tail == b"\r\n" or (tail[:1] == b"\n" and self.newline == b"\n"):
                pieces.append(view[begun : after - 1])
                return b"".join(pieces), after + (1 if tail[:1] == b"\n" else 2), True
            if tail in (b"", b"\r"):
                break
            pieces.append(view[begun : after - 1])
            begun = after
            if len(pieces) == _FEW:
                end = self.end.search(data, begun)
                cut = end.start() + len(self.newline) if end is not None else self._decided(data, begun)
                pieces.extend(
                    (self.newline if n else b"") + line for n, line in enumerate(self.dot.split(data[begun:cut]))
                )
                return b"".join(pieces), end.end() if end is not None else cut, end is not None
        cut = self._decided(data, begun if pieces else at - back)
        if not pieces:
            return data[begun:cut], cut, False
        pieces.append(view[begun:cut])
        return b"".join(pieces), cut, False

    def _decided(self, data: bytes, least: int) -> int:
        """Return the position, `least` or later, up to which the bytes certainly are not part of an incomplete end."""
        if data[-1:] in (b"\r", b"\n", b"."):
            tail = data[max(least, len(data) - 4) :]
            for prefix in self.partial:
                if tail.endswith(prefix):
                    return len(data) - len(prefix)
        return len(data)


CRLF = Framing(b"\r\n", re.compile(rb"\r\n\."), re.compile(rb"\r\n\.\r\n"), (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r"))
LF = Framing(b"\n", re.compile(rb"\n\."), re.compile(rb"\n\.\r?\n"), (b"\n.\r", b"\n.", b"\n"))


def longest_line(piece: bytes, begun: int, most: int) -> int:
    """Return the length of the unfinished line at the end of `piece`, or more than `most` if any line is longer.

    `begun` bytes of the first line came before `piece`. The cost is one short search for every `most` bytes.
    """
    at, room = 0, most - begun
    while at + room < len(piece):
        end = piece.rfind(b"\n", at, at + room + 1)
        if end < 0:
            return most + 1
        at, room, begun = end + 1, most, 0
    end = piece.rfind(b"\n", at)
    return len(piece) - end - 1 if end >= 0 else begun + len(piece) - at
