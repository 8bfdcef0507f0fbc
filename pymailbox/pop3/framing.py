"""Framing: where a line and a body end.

Pure. Two modes, fixed by the first status line: CRLF, where nothing but CRLF . CRLF ends a body, and LF for servers
that end their lines so, where a CR before the LF may be there or not.
"""

# Decision 6.

import re

from attrs import frozen

__all__ = ["CRLF", "LF", "Framing", "longest_line"]

_FEW = 64  # stuffed dots in one chunk that are dealt with one by one


@frozen
class Framing:
    """How lines end on a connection, as the searches that need it."""

    newline: bytes
    #: A line end and the dot of the next line: either the end of the body or a stuffed dot.
    dot: "re.Pattern[bytes]"
    end: "re.Pattern[bytes]"
    #: What the end of a chunk may be the beginning of `end`, longest first.
    partial: tuple[bytes, ...]

    def take(self, data: bytes, at: int, back: int = 0) -> tuple[bytes, int, bool]:
        """Take the body that begins, or goes on, at `at`: its octets unstuffed, where to go on, and whether it ended.

        The `back` octets before `at` end the line before, so that a dot at `at` comes after a line end; where the body
        may end right there, but not all of its end is here, the place to go on is before `at`.

        One scan finds the end and the stuffed dots. Mail has few of them; where there are many, the rest is done by
        two scans more, so that no input costs Python code for each line.
        """
        first = self.dot.search(data, at - back)
        if first is not None:
            after = first.end()
            if data[after : after + 2] == b"\r\n":  # most mails have no line that begins with a dot
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
        """Return where the octets begin, at `least` or after it, that may be part of an end that is not all here."""
        if data[-1:] in (b"\r", b"\n", b"."):
            tail = data[max(least, len(data) - 4) :]
            for prefix in self.partial:
                if tail.endswith(prefix):
                    return len(data) - len(prefix)
        return len(data)


CRLF = Framing(b"\r\n", re.compile(rb"\r\n\."), re.compile(rb"\r\n\.\r\n"), (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r"))
LF = Framing(b"\n", re.compile(rb"\n\."), re.compile(rb"\n\.\r?\n"), (b"\n.\r", b"\n.", b"\n"))


def longest_line(piece: bytes, begun: int, most: int) -> int:
    """Return the octets of the unfinished line at the end of `piece`, or more than `most` if any line has more.

    `begun` octets of the first line came before. The cost is one short search for each `most` octets.
    """
    at, room = 0, most - begun
    while at + room < len(piece):
        end = piece.rfind(b"\n", at, at + room + 1)
        if end < 0:
            return most + 1
        at, room, begun = end + 1, most, 0
    end = piece.rfind(b"\n", at)
    return len(piece) - end - 1 if end >= 0 else begun + len(piece) - at
