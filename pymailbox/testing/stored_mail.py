"""One stored message, ready to send.

This module turns stored bytes into replies: the size in a listing, dot-stuffing, the lines that TOP returns. It knows
nothing about sessions. A message never changes, so frequent replies (to RETR, to TOP n 0) are built once and kept.
"""

import hashlib
import re
from pathlib import Path

from attrs import define, field

__all__ = ["StoredMail", "crlf", "fingerprint", "stuffed"]

_BARE_LF = re.compile(rb"(?<!\r)\n")
_SMALL = 65_536  # bytes up to which status line, body and end are joined into one piece
_NO_REPLY: tuple[bytes, ...] = ()


def crlf(stored: bytes) -> bytes:
    """Return the content of a file with CRLF line ends, as sent over the network."""
    return _BARE_LF.sub(b"\r\n", stored)


def stuffed(content: bytes, newline: bytes = b"\r\n") -> bytes:
    """Put a second dot before every line that begins with one (RFC 1939 §3).

    A line begins only after a CRLF (or another `newline`): a bare LF is ordinary data. Content without such a line is
    returned uncopied.
    """
    doubled = content.replace(newline + b".", newline + b"..")
    return b"." + doubled if doubled.startswith(b".") else doubled


def fingerprint(*parts: bytes) -> bytes:
    """Return a unique-id derived from some data: 32 hexadecimal digits (RFC 1939 §7 allows 70 characters)."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32].encode()


@define(eq=False)
class StoredMail:
    """One stored message.

    `content` is exactly what a client gets, including the final CRLF; `size` is its length in bytes. A message with a
    `path` and without content reads its file each time, which raises FileNotFoundError if the file was removed.
    """

    uid: bytes
    size: int
    path: Path | None = None
    gone: bool = False
    _content: bytes | None = None
    _reply: tuple[bytes, ...] = field(default=_NO_REPLY, init=False)
    _top: bytes = field(default=b"", init=False)

    @classmethod
    def verbatim(cls, uid: bytes, raw: bytes) -> "StoredMail":
        """Return a message to be sent unchanged, except that a final CRLF is added if it is missing."""
        content = raw if raw.endswith(b"\r\n") or not raw else raw + b"\r\n"
        return cls(uid, len(content), content=content)

    @property
    def content(self) -> bytes:
        """The bytes a client gets, without dot-stuffing."""
        if self._content is not None:
            return self._content
        assert self.path is not None
        return StoredMail.verbatim(self.uid, crlf(self.path.read_bytes())).content

    @property
    def reply(self) -> tuple[bytes, ...]:
        """The whole reply to RETR: in one piece or, if it is long, in three, to avoid copying the body."""
        if self._reply:
            return self._reply
        content = self.content
        pieces = (b"+OK %d octets\r\n" % len(content), stuffed(content), b".\r\n")
        reply = pieces if len(content) > _SMALL else (b"".join(pieces),)
        if self._content is not None:
            self._reply = reply
        return reply

    @property
    def headers_reply(self) -> bytes:
        """The whole reply to TOP n 0, kept even if the body is not."""
        if not self._top:
            self._top = b"+OK\r\n" + stuffed(self.top(0)) + b".\r\n"
        return self._top

    def top(self, lines: int) -> bytes:
        """Return the header, the blank line and that many body lines; without a blank line, everything is header."""
        content = self.content
        if content.startswith(b"\r\n"):
            end = 2
        else:
            blank = content.find(b"\r\n\r\n")
            if blank < 0:
                return content
            end = blank + 4
        if not lines:
            return content[:end]
        body = content[end:].split(b"\r\n", lines)
        return content if len(body) <= lines else content[: len(content) - len(body[-1])]
