"""Message: one message of a session, fetched as it is read.

A thing with identity, bound to one session; what it gave once it still gives after the session has ended. What it has
and how to ask for the rest is its `OpenMailbox`'s; this module asks over a blocking `Connection`.
"""

import os
from typing import TYPE_CHECKING

from pymailbox.content.reading_names import ContentNames
from pymailbox.mailbox import reading, transaction
from pymailbox.mailbox.atomic import AtomicFile
from pymailbox.mailbox.open_mailbox import AbstractMessage
from pymailbox.pop3.connection import Connection
from pymailbox.pop3.sinks import write_all

if TYPE_CHECKING:
    from typing import BinaryIO

    from pymailbox.content import Content, Headers

__all__ = ["Message"]


class Message(AbstractMessage[Connection], ContentNames):
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

    __slots__ = ()

    # --- what the listings say ----------------------------------------------------------------------------

    @property
    def size(self) -> int | None:
        """Octets by LIST, a hint: many servers count otherwise. One LIST for the whole mailbox, once."""
        mailbox = self._mailbox
        sizes = mailbox.state.sizes
        if sizes is None:
            sizes = mailbox.connection.run(reading.sizes(mailbox.state))
        return sizes[self.number - 1]

    @property
    def uid(self) -> str | None:
        """The name that lasts beyond the session (RFC 1939 §7); None where it is blank. One UIDL, once."""
        mailbox = self._mailbox
        uids = mailbox.state.uids
        if uids is None:
            uids = mailbox.connection.run(reading.uids(mailbox.state))
        return uids[self.number - 1]

    # --- headers: TOP n 0 ---------------------------------------------------------------------------------

    @property
    def headers(self) -> "Headers":
        """All header fields; from the body once that is here, as some servers send others by TOP."""
        mailbox = self._mailbox
        headers = mailbox.cached_headers(self)
        return headers if headers is not None else mailbox.connection.run(mailbox.ask_headers(self))

    def _get_headers(self) -> "Headers":
        return self.headers

    # --- the whole message: RETR --------------------------------------------------------------------------

    @property
    def raw(self) -> bytes:
        """The message exactly as it was sent, dots unstuffed."""
        mailbox = self._mailbox
        raw = mailbox.cached_raw(self)
        return raw if raw is not None else mailbox.connection.run(mailbox.ask_raw(self))

    @property
    def content(self) -> "Content":
        """The whole message as a pure value, usable offline; pickles."""
        return self._mailbox.content_of(self, self.raw)

    def _get_content(self) -> "Content":
        return self.content

    def preview(self, lines: int = 10) -> str:
        """Return what a person would read of the first `lines` lines of the body; by TOP, where the server has it."""
        mailbox = self._mailbox
        return mailbox.connection.run(mailbox.ask_preview(self, lines))

    # --- to disk ------------------------------------------------------------------------------------------

    def write_to(self, file: "BinaryIO") -> int:
        """Write the raw message to a binary file; return the octets. Memory is bounded by one chunk.

        All of it is written, in parts where the file takes less at a time, or this raises: OSError where it takes
        nothing (a file that does not block), and what the file raises itself. A failure leaves what was written so
        far, and ends the session if the message was still arriving.
        """
        mailbox = self._mailbox
        raw = mailbox.cached_raw(self)
        if raw is not None:
            write_all(file.write, raw)
            return len(raw)
        return mailbox.connection.run(mailbox.stream(self, file.write))

    def save(self, path: str | os.PathLike[str]) -> int:
        """Save the raw message as a file; return the octets. An existing file is replaced.

        It is written beside its place, forced to disk and renamed: a failure leaves nothing, and a `delete()` that
        follows cannot outrun the copy.
        """
        file = AtomicFile(path)
        try:
            octets = self.write_to(file.file)
            file.commit()
        except BaseException:
            file.discard()
            raise
        return octets

    # --- deletion -----------------------------------------------------------------------------------------

    def delete(self) -> None:
        """Mark the message (DELE); doing it twice changes nothing."""
        mailbox = self._mailbox
        mailbox.connection.run(transaction.delete(mailbox.state, (self.number,)))

    def undelete(self) -> None:
        """Take back the mark: RSET, and DELE again for all others; prefer `inbox.undelete()` for many."""
        mailbox = self._mailbox
        mailbox.connection.run(transaction.undelete(mailbox.state, (self.number,)))
