"""Framing: where a line and a body end.

Pure. Two modes, fixed by the first status line (DESIGN.md, decision 6): CRLF, where nothing but CRLF . CRLF ends a
body, and LF for servers that end their lines so, where a CR before the LF may be there or not.
"""

import re

from attrs import frozen

__all__ = ["CRLF", "LF", "Framing", "longest_line"]


@frozen
class Framing:
    """How lines end on a connection, as the searches that need it."""

    newline: bytes
    #: A line end and the dot of the next line: either the end of the body or a stuffed dot.
    dot: "re.Pattern[bytes]"
    end: "re.Pattern[bytes]"
    #: What the end of a chunk may be the beginning of `end`, longest first.
    partial: tuple[bytes, ...]

    def unstuff(self, data: bytes) -> bytes:
        """Return `data` without the dot behind each line end (RFC 1939 §3)."""
        return self.newline.join(self.dot.split(data))  # three times as fast as replace()

    def undecided(self, tail: bytes) -> int:
        """Return how many octets at the end of `tail` may belong to an end of body that is not all there."""
        if tail[-1:] in (b"\r", b"\n", b"."):
            for prefix in self.partial:
                if tail.endswith(prefix):
                    return len(prefix)
        return 0


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
