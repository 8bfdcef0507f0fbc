"""Message: one message of a session, downloaded as you read it.

A message has identity and is bound to one session; what has been read stays readable after the session has ended. Its
`OpenMailbox` knows what is cached and how to ask for the rest; this module asks over a blocking `Connection`.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pymailbox.content.reading_names import ContentNames
from pymailbox.errors import MailboxError
from pymailbox.mailbox import transaction
from pymailbox.mailbox.open_mailbox import AbstractMessage
from pymailbox.mailbox.showing import ask_for_card, card_of
from pymailbox.pop3.connection import Connection
from pymailbox.pop3.sinks import Writable, write_all, write_of
from pymailbox.progress import Meter, Progress

if TYPE_CHECKING:
    from pathlib import Path

    from pymailbox.content import Attachment, Content, Headers  # noqa: F401  # Attachment is named by a base class
    from pymailbox.notebook import Card

__all__ = ["Message", "metered"]


class Message(AbstractMessage[Connection], ContentNames["Attachment"]):
    """One message in the mailbox, downloaded as you read it.

    You get messages from a mailbox: `inbox[0]`, `for message in inbox`. Reading `subject` or another header downloads
    the headers (TOP); reading `text` or `attachments` downloads the whole message (RETR). Each is downloaded once. What
    has been read stays readable after the session has ended. Malformed mail raises no error.

    Reading raises `MessageUnavailable` if the server does not return the message or it is marked as deleted, and
    `ConnectionLost` if the session ended before it was downloaded.

    >>> from pymailbox import Mailbox
    >>> from pymailbox.testing import Server
    >>> mail = b"From: Ann <ann@example.com>\\r\\nSubject: Lunch\\r\\n\\r\\nAt noon?\\r\\n"
    >>> with Server([mail]) as server, Mailbox.from_url(server.url, "secret") as inbox:
    ...     message = inbox[0]
    ...     print(message.number, message.subject, message.from_, repr(message.text))
    1 Lunch Ann <ann@example.com> 'At noon?\\n'
    """

    __slots__ = ()

    # --- from the listings --------------------------------------------------------------------------------

    @property
    def size(self) -> int | None:
        """The size in bytes according to LIST; None if LIST does not give one.

        Treat it as a hint: many servers list inaccurate sizes. Costs one LIST for all messages, once per session.
        """
        mailbox = self._mailbox
        sizes = mailbox.state.sizes
        return sizes[self._number - 1] if sizes is not None else mailbox.connection.run(mailbox.ask_size(self))

    @property
    def uid(self) -> str | None:
        """The message's unique id, the same in every session (UIDL, RFC 1939 §7); None if the server sent an empty one.

        Costs one UIDL for all messages, once per session. Raises `NotSupported` if the server has no UIDL, and
        `TemporaryFailure` if it refuses UIDL temporarily.
        """
        mailbox = self._mailbox
        uids = mailbox.state.uids
        return uids[self._number - 1] if uids is not None else mailbox.connection.run(mailbox.ask_uid(self))

    # --- headers: TOP n 0 ---------------------------------------------------------------------------------

    @property
    def headers(self) -> "Headers":
        """All header fields.

        Costs one TOP, prefetched when you read messages in a regular order (such as forward or reversed), or one RETR
        if the server's TOP does not work. Once the whole message has been downloaded, the fields are taken from it,
        because some servers return other fields for TOP.
        """
        mailbox = self._mailbox
        headers = mailbox.cached_headers(self)
        return headers if headers is not None else mailbox.connection.run(mailbox.ask_headers(self))

    def _get_headers(self) -> "Headers":
        headers = self._headers
        return self.headers if headers is None else headers

    # --- the whole message: RETR --------------------------------------------------------------------------

    @property
    def raw(self) -> bytes:
        """The whole message as bytes, exactly as the server sent it, except that dot-stuffing is removed.

        Costs one RETR. The bytes are kept while you keep a reference to the message, up to `Limits.cache` bytes for all
        messages together. Raises `LimitExceeded` if the message is larger than `Limits.message`; to stream such a
        message, use `save` or `write_to`.
        """
        mailbox = self._mailbox
        raw = mailbox.cached_raw(self)
        return raw if raw is not None else mailbox.connection.run(mailbox.ask_raw(self))

    @property
    def content(self) -> "Content":
        """The whole message as a `Content`: a value that needs no session and can be pickled.

        Costs the same as `raw`, and raises the same errors.
        """
        return self._mailbox.content_of(self, self.raw)

    def _get_content(self) -> "Content":
        return self.content

    def preview(self, lines: int = 10) -> str:
        """Return the readable text of the first `lines` lines of the body.

        Costs one TOP, or one RETR if the server's TOP does not work; nothing if the message has been downloaded.
        """
        mailbox = self._mailbox
        return mailbox.connection.run(mailbox.ask_preview(self, lines))

    def show(self, *, remote: bool = False) -> "Card":
        """Return a card for a notebook: header, text, attachments, and each HTML part in a frame that runs nothing.

        The frames load nothing, either; inline images are shown from the message. With `remote=True` they load images
        and style sheets from the web, which tells the sender that the message was opened, and from where. Scripts,
        forms and links never work. A message that is the last value of a cell is shown like that.

        Costs the same as `raw`, and one LIST, once per session. It never raises: if the body cannot be read, or is
        larger than `Limits.window`, the card shows what is known, and says why the text is missing.
        """
        mailbox = self._mailbox
        try:
            note = mailbox.connection.run(ask_for_card(mailbox, self))
        except MailboxError as error:
            note = str(error)
        return card_of(mailbox, self, note, remote=remote)

    def _repr_html_(self) -> str:
        return self.show().html

    # --- to disk ------------------------------------------------------------------------------------------

    @property
    def filename(self) -> str:
        """A safe file name for a copy: the date, the subject, and a hash of the uid (or of the headers if it has none).

        It is the same in every session and on every system, and valid whatever the subject contains. Costs one UIDL for
        all messages, once per session, and the headers. Raises `TemporaryFailure` if the server refuses UIDL
        temporarily.
        """
        mailbox = self._mailbox
        return mailbox.connection.run(mailbox.ask_filename(self))

    def write_to(self, file: Writable, *, progress: Callable[[Progress], None] | None = None) -> int:
        """Write the raw message to a binary file; return the number of bytes.

        The message is streamed, one chunk in memory at a time. Either all of it is written, or an exception is raised:
        whatever the file raises, or OSError if a non-blocking file accepts no bytes. After a failure the file contains
        what was written so far, and the session has ended unless the message had arrived completely. `progress` is
        called with a `Progress` at most ten times a second and at the end; an exception that it raises is such a
        failure, too.
        """
        write = write_of(file)
        mailbox = self._mailbox
        meter, expected = mailbox.connection.run(mailbox.meter(self, progress))
        sink = metered(write, meter)
        raw = mailbox.cached_raw(self)
        if raw is not None:
            sink(raw)
            size = len(raw)
        else:
            size = mailbox.connection.run(mailbox.stream(self, sink))
        meter.finish(expected, size)
        meter.end()
        return size

    def save(
        self,
        where: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> "Path":
        """Save the raw message to disk; return the path of the file.

        If `where` is a directory (an existing one, or a string that ends in `/`, which is created), the file gets the
        name that the property `filename` returns, with a number added if a file of that name has other content.
        Otherwise `where` is the file itself. Raises FileExistsError if it exists with other content and `overwrite` is
        not set, and ValueError for `overwrite` with a directory. A file that already has the same content is left
        alone. A symbolic link is replaced, not followed; a device, a FIFO, or a link to one is never replaced
        (FileExistsError). `~` is not expanded.

        The message is streamed to a temporary file in the same directory, which only its owner can read (mode 0600),
        flushed to disk, and then renamed. A failure leaves nothing behind; once `save()` has returned, it is safe to
        delete the message. See `write_to` for `progress`.
        """
        from pymailbox.content.saving import SavedFile

        Meter.check(progress)
        mailbox = self._mailbox
        with SavedFile(where, overwrite=overwrite) as saved:
            uid = mailbox.connection.run(mailbox.ask_identity(self)) if saved.needs_name else None
            self.write_to(saved, progress=progress)
            return saved.publish(mailbox.filename_of(self, uid, saved.beginning) if saved.needs_name else "")

    # --- deleting -----------------------------------------------------------------------------------------

    def delete(self) -> None:
        """Mark the message as deleted (DELE); committing the session deletes it.

        Deleting it again does nothing. A marked message keeps its index, and what you have read of it stays readable;
        reading more raises `MessageUnavailable`. Raises `CommandError` if the server refuses, and ValueError if the
        mailbox is `read_only`. For many messages, `inbox.delete()` is faster.
        """
        mailbox = self._mailbox
        mailbox.connection.run(transaction.delete(mailbox.state, (self.number,)))

    def undelete(self) -> None:
        """Remove the deletion mark (RSET, then DELE again for all other marked messages).

        For many messages, `inbox.undelete()` is faster. Raises `CommandError` if RSET is refused; the session has then
        ended without deleting anything.
        """
        mailbox = self._mailbox
        mailbox.connection.run(transaction.undelete(mailbox.state, (self.number,)))


def metered(write: Callable[[bytes], object], meter: Meter) -> Callable[[bytes], object]:
    """Return a sink that passes all of its data to `write` and counts the bytes."""

    def sink(data: bytes) -> None:
        write_all(write, data)
        meter.add(len(data))

    return sink
