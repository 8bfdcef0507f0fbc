"""One stored mail, ready to be sent.

Owns how octets become a reply: the size a listing gives, dot-stuffing, TOP's cut. It knows no session, and
never changes: what is asked for often (the reply to RETR, to TOP n 0) is built once and kept.
"""

import hashlib
import re
from pathlib import Path

from attrs import define, field

__all__ = ["StoredMail", "crlf", "fingerprint", "stuffed"]

_BARE_LF = re.compile(rb"(?<!\r)\n")
_SMALL = 65_536  # octets up to which status line, body and end are joined in one piece
_NO_REPLY: tuple[bytes, ...] = ()


def crlf(stored: bytes) -> bytes:
    """Give what was stored in a file with CRLF line ends, as it travels."""
    return _BARE_LF.sub(b"\r\n", stored)


def stuffed(content: bytes, newline: bytes = b"\r\n") -> bytes:
    """Put a second dot before every line that begins with one (RFC 1939 §3).

    A line begins after a CRLF (or another `newline`) and nowhere else: a bare LF is an octet like others. Content
    without such a line is returned as it is, uncopied.
    """
    doubled = content.replace(newline + b".", newline + b"..")
    return b"." + doubled if doubled.startswith(b".") else doubled


def fingerprint(*parts: bytes) -> bytes:
    """Give a unique-id made from octets: 32 hexadecimal digits, within the 70 characters of RFC 1939 §7."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32].encode()


@define(eq=False)
class StoredMail:
    """One stored mail.

    `content` is exactly what a client gets, final CRLF included; `size` its octets. One made with a `path` and
    without content reads its file each time it is asked, which may raise FileNotFoundError when somebody else
    removed it.
    """

    uid: bytes
    size: int
    path: Path | None = None
    gone: bool = False
    _content: bytes | None = None
    _reply: tuple[bytes, ...] = field(default=_NO_REPLY, init=False)
    _top: bytes = field(default=b"", init=False)

    @classmethod
    def verbatim(cls, uid: bytes, octets: bytes) -> "StoredMail":
        """Make one of octets to be sent as they are, with a final CRLF supplied where it is missing."""
        content = octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n"
        return cls(uid, len(content), content=content)

    @property
    def content(self) -> bytes:
        """The octets a client gets, dots not doubled."""
        if self._content is not None:
            return self._content
        assert self.path is not None
        return StoredMail.verbatim(self.uid, crlf(self.path.read_bytes())).content

    @property
    def reply(self) -> tuple[bytes, ...]:
        """The whole reply to RETR, in one piece or, when it is long, in three, so that no body is copied."""
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
        """The whole reply to TOP n 0, kept also when the body is not."""
        if not self._top:
            self._top = b"+OK\r\n" + stuffed(self.top(0)) + b".\r\n"
        return self._top

    def top(self, lines: int) -> bytes:
        """Cut the headers, the blank line and that many lines of the body; mail without a blank line is all headers."""
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
