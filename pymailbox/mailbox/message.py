"""Message: one message of a session, fetched as it is read.

A thing with identity, bound to one session; what it gave once it still gives after the session has ended. What it has
and how to ask for the rest is its `OpenMailbox`'s; this module asks over a blocking `Connection`.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pymailbox.content.reading_names import ContentNames
from pymailbox.mailbox import transaction
from pymailbox.mailbox.open_mailbox import AbstractMessage
from pymailbox.pop3.connection import Connection
from pymailbox.pop3.sinks import Writable, write_all, write_of
from pymailbox.progress import Meter, Progress

if TYPE_CHECKING:
    from pathlib import Path

    from pymailbox.content import Attachment, Content, Headers  # noqa: F401  # Attachment is named by a base class

__all__ = ["Message", "metered"]


class Message(AbstractMessage[Connection], ContentNames["Attachment"]):
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
        """Bytes by LIST, a hint: many servers count otherwise; None where it gave no number. One LIST for all, once."""
        mailbox = self._mailbox
        sizes = mailbox.state.sizes
        return sizes[self.number - 1] if sizes is not None else mailbox.connection.run(mailbox.ask_size(self))

    @property
    def uid(self) -> str | None:
        """The name that lasts beyond the session (RFC 1939 §7); None where it is blank. One UIDL, once."""
        mailbox = self._mailbox
        uids = mailbox.state.uids
        return uids[self.number - 1] if uids is not None else mailbox.connection.run(mailbox.ask_uid(self))

    # --- headers: TOP n 0 ---------------------------------------------------------------------------------

    @property
    def headers(self) -> "Headers":
        """All header fields; those of the body once that is here, as some servers' TOP differs."""
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
        """Return what a person would read of the first `lines` lines of the body. By TOP where the server has it."""
        mailbox = self._mailbox
        return mailbox.connection.run(mailbox.ask_preview(self, lines))

    # --- to disk ------------------------------------------------------------------------------------------

    @property
    def filename(self) -> str:
        """A safe, lasting name for a copy: date, subject, and a hash of the uid, or of the header where there is none.

        The same each day, on every system, whatever the subject says. Costs one UIDL for the mailbox, and the headers.
        Raises `TemporaryFailure` where the server refuses UIDL for the moment.
        """
        mailbox = self._mailbox
        return mailbox.connection.run(mailbox.ask_filename(self))

    def write_to(self, file: Writable, *, progress: Callable[[Progress], None] | None = None) -> int:
        """Write the raw message to a binary file; return the bytes. Memory is bounded by one chunk.

        All of it is written, in parts where the file takes less at a time, or this raises: OSError where it takes
        nothing (a file that does not block), and what the file raises itself. A failure leaves what was written so
        far, and ends the session if the message was still arriving. `progress` is called with a `Progress` at most ten
        times a second and at the end; what it raises counts as what the file raises.
        """
        write = write_of(file)
        mailbox = self._mailbox
        meter, size = mailbox.connection.run(mailbox.meter(self, progress))
        sink = metered(write, meter)
        raw = mailbox.cached_raw(self)
        if raw is not None:
            sink(raw)
            octets = len(raw)
        else:
            octets = mailbox.connection.run(mailbox.stream(self, sink))
        meter.finish(size, octets)
        meter.end()
        return octets

    def save(
        self,
        where: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> "Path":
        """Save the raw message as a file; return its path.

        `where` is a directory (one that exists, or a string that ends in `/`, which is made): the file is named
        `filename`, with a number added where that name holds other content. Else it is a file: FileExistsError where
        that exists with other content, unless `overwrite`. The same content is left as it is. ValueError for
        `overwrite` with a directory. A link is replaced, not followed, and what is not a regular file (a device, a
        FIFO), or a link to such, is never replaced: FileExistsError. A `~` is not expanded.

        The copy, readable by its owner alone (mode 0600), is streamed beside its place, forced to disk and only then
        put there, never over another file: a failure leaves nothing, and a `delete()` that follows cannot outrun the
        copy. See `write_to` for `progress`.
        """
        from pymailbox.content.saving import SavedFile

        Meter.check(progress)
        mailbox = self._mailbox
        saved = SavedFile(where, overwrite=overwrite)
        try:
            uid = mailbox.connection.run(mailbox.ask_identity(self)) if saved.needs_name else None
            self.write_to(saved, progress=progress)
            return saved.publish(mailbox.filename_of(self, uid, saved.beginning) if saved.needs_name else "")
        except BaseException:
            saved.discard()
            raise

    # --- deletion -----------------------------------------------------------------------------------------

    def delete(self) -> None:
        """Mark the message (DELE); doing it twice changes nothing."""
        mailbox = self._mailbox
        mailbox.connection.run(transaction.delete(mailbox.state, (self.number,)))

    def undelete(self) -> None:
        """Take back the mark: RSET, and DELE again for all others; prefer `inbox.undelete()` for many."""
        mailbox = self._mailbox
        mailbox.connection.run(transaction.undelete(mailbox.state, (self.number,)))


def metered(write: Callable[[bytes], object], meter: Meter) -> Callable[[bytes], object]:
    """Return a sink that has `write` take all it is given, and counts it."""

    def sink(data: bytes) -> None:
        write_all(write, data)
        meter.add(len(data))

    return sink
