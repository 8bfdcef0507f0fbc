"""Message: one message of a session, fetched as it is read.

A thing with identity, bound to one session; what it gave once it still gives after the session has ended. It knows
its mailbox only as a `Source`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from pymailbox.content import Address, Attachment, Content, Headers
from pymailbox.errors import CommandError

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage
    from typing import BinaryIO

__all__ = ["Message", "Source"]


class Source(Protocol):
    """What a message needs of its session; each costs what DESIGN.md says."""

    def headers_of(self, message: "Message") -> Headers:
        """Return the headers, by TOP, or from the body where that is here."""

    def raw_of(self, message: "Message") -> bytes:
        """Return the whole message by RETR, and count it as used."""

    def stream_of(self, message: "Message", sink: Callable[[bytes], object]) -> int:
        """Hand the whole message to `sink`; return the octets."""

    def top_of(self, message: "Message", lines: int) -> bytes:
        """Return headers and the first lines of the body."""

    def size_of(self, message: "Message") -> int | None:
        """Return the octets by LIST."""

    def uid_of(self, message: "Message") -> str | None:
        """Return the uid by UIDL."""

    def is_deleted(self, message: "Message") -> bool:
        """Whether the message is marked."""

    def delete(self, messages: "Message") -> None:
        """Mark the message."""

    def undelete(self, messages: "Message") -> None:
        """Take back the mark."""


class Message:
    """One message, fetched as it is read: headers by TOP, the rest by RETR.

    Messages come from a mailbox: `inbox[0]`, `for message in inbox`. Reading never raises on a strange mail; what it
    can raise is `MessageUnavailable` (the server does not give it, or it is marked) and `ConnectionLost`.

    >>> from pymailbox import Mailbox
    >>> from pymailbox.testing import Server
    >>> mail = b"From: Ann <ann@example.com>\\r\\nSubject: Lunch\\r\\n\\r\\nAt noon?\\r\\n"
    >>> with Server([mail]) as server, Mailbox.from_url(server.url, "secret") as inbox:
    ...     message = inbox[0]
    ...     print(message.number, message.subject, message.from_, repr(message.text))
    1 Lunch Ann <ann@example.com> 'At noon?\\n'
    """

    __slots__ = ("__weakref__", "_content", "_headers", "_raw", "_refusal", "_source", "number")

    def __init__(self, source: Source, number: int) -> None:
        self._source = source
        #: The server's number in this session, from 1.
        self.number = number
        self._headers: Headers | None = None
        self._raw: bytes | None = None
        self._content: Content | None = None
        self._refusal: CommandError | None = None

    # --- what the listings say ----------------------------------------------------------------------------

    @property
    def size(self) -> int | None:
        """Octets by LIST, a hint: many servers count otherwise. One LIST for the whole mailbox, once."""
        return self._source.size_of(self)

    @property
    def uid(self) -> str | None:
        """The name that lasts beyond the session (RFC 1939 §7); None where it is blank. One UIDL, once."""
        return self._source.uid_of(self)

    # --- headers: TOP n 0 ---------------------------------------------------------------------------------

    @property
    def headers(self) -> Headers:
        """All header fields; from the body once that is here (Q56)."""
        headers = self._headers
        if headers is None:
            headers = self._headers = self._source.headers_of(self)
        return headers

    @property
    def subject(self) -> str:
        """The subject, decoded; "" if absent."""
        return self.headers.subject

    @property
    def from_(self) -> Address | None:
        """The first address of From."""
        return self.headers.from_

    @property
    def to(self) -> tuple[Address, ...]:
        """The addresses of To."""
        return self.headers.to

    @property
    def cc(self) -> tuple[Address, ...]:
        """The addresses of Cc."""
        return self.headers.cc

    @property
    def bcc(self) -> tuple[Address, ...]:
        """The addresses of Bcc."""
        return self.headers.bcc

    @property
    def reply_to(self) -> tuple[Address, ...]:
        """The addresses of Reply-To."""
        return self.headers.reply_to

    @property
    def date(self) -> "datetime | None":
        """The Date as an aware datetime; None if absent or unreadable."""
        return self.headers.date

    @property
    def date_str(self) -> str:
        """The Date as it was written; "" if absent."""
        return self.headers.date_str

    @property
    def message_id(self) -> str | None:
        """The Message-ID with its angle brackets; None if absent."""
        return self.headers.message_id

    # --- the whole message: RETR --------------------------------------------------------------------------

    @property
    def raw(self) -> bytes:
        """The message exactly as it was sent, dots unstuffed."""
        raw = self._source.raw_of(self)
        if self._headers is not None and self._content is None:
            self._headers = Headers.from_bytes(raw)
        return raw

    @property
    def content(self) -> Content:
        """The whole message as a pure value, usable offline; pickles."""
        raw = self.raw
        content = self._content
        if content is None:
            content = self._content = Content.from_bytes(raw)
            self._headers = content.headers
        return content

    @property
    def body(self) -> str:
        """What a person would read: the text, or the HTML as text."""
        return self.content.body

    @property
    def text(self) -> str | None:
        """The inline text/plain parts; None if there is none."""
        return self.content.text

    @property
    def html(self) -> str | None:
        """The inline text/html parts; None if there is none."""
        return self.content.html

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Every other part."""
        return self.content.attachments

    @property
    def email(self) -> "EmailMessage":
        """The message in the standard library's form; may raise on mail that the standard library cannot parse."""
        return self.content.email

    def preview(self, lines: int = 10) -> str:
        """Return what a person would read of the first `lines` lines of the body, by TOP; no RETR."""
        if isinstance(lines, bool) or not isinstance(lines, int):
            raise TypeError(f"lines must be a whole number, not {lines!r}")
        if lines < 0:
            raise ValueError(f"lines must be 0 or more, not {lines}")
        return Content.from_bytes(self._source.top_of(self, lines)).body

    # --- to disk ------------------------------------------------------------------------------------------

    def write_to(self, file: "BinaryIO") -> int:
        """Write the raw message to a binary file; return the octets. Memory is bounded by one chunk.

        A failure leaves what was written so far; what the file raises passes through and ends the session.
        """
        if self._raw is not None:
            raw = self.raw
            _write_all(file, raw)
            return len(raw)
        return self._source.stream_of(self, lambda chunk: _write_all(file, chunk))

    def save(self, path: str | os.PathLike[str]) -> int:
        """Save the raw message as a file; return the octets. An existing file is replaced.

        It is written beside its place, forced to disk and renamed: a failure leaves nothing, and a `delete()` that
        follows cannot outrun the copy.
        """
        import tempfile

        path = Path(path)
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                octets = self.write_to(file)
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _force_directory(path.parent)
        return octets

    # --- deletion -----------------------------------------------------------------------------------------

    @property
    def deleted(self) -> bool:
        """Whether the message is marked; it goes when the session is committed."""
        return self._source.is_deleted(self)

    def delete(self) -> None:
        """Mark the message (DELE); doing it twice changes nothing."""
        self._source.delete(self)

    def undelete(self) -> None:
        """Take back the mark: RSET, and DELE again for all others; prefer `inbox.undelete()` for many."""
        self._source.undelete(self)

    def __repr__(self) -> str:
        return f"<Message {self.number}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Message cannot be pickled or copied: it is bound to a session; use its .content")


def _write_all(file: Any, data: bytes) -> None:
    """Write all of `data`: an unbuffered file may take less at a time."""
    written = file.write(data)
    while isinstance(written, int) and written < len(data):
        data = data[written:]
        written = file.write(data)


def _force_directory(directory: Path) -> None:
    """Force a directory entry to disk where the system can."""
    if os.name == "nt":
        return  # Windows opens no directories
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
