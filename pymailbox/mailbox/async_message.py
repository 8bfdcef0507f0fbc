"""AsyncMessage: one message of a session over asyncio, downloaded as you read it.

The twin of `Message`: properties that may ask the server are coroutine methods without arguments.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pymailbox.errors import MailboxError
from pymailbox.mailbox import transaction
from pymailbox.mailbox.open_mailbox import AbstractMessage
from pymailbox.mailbox.showing import ask_for_card, card_of
from pymailbox.pop3.async_connection import AsyncConnection
from pymailbox.pop3.sinks import Writable, write_all_async, write_of
from pymailbox.progress import Meter, Progress

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage
    from pathlib import Path

    from pymailbox.content import Address, Attachment, Content, Headers
    from pymailbox.notebook import Card

__all__ = ["AsyncMessage", "metered"]

T = TypeVar("T")


class AsyncMessage(AbstractMessage[AsyncConnection]):
    """One message in the mailbox, downloaded as you read it, over asyncio.

    You get messages from a mailbox: `inbox[0]`, `async for message in inbox`. They have the names, arguments and errors
    of `Message`; whatever may ask the server is awaited, properties included: `await message.subject()`.

    >>> import asyncio
    >>> from pymailbox import AsyncMailbox
    >>> from pymailbox.testing import Server
    >>> async def main():
    ...     with Server([b"From: Ann <ann@example.com>\\r\\nSubject: Lunch\\r\\n\\r\\nAt noon?\\r\\n"]) as server:
    ...         async with AsyncMailbox.from_url(server.url, "secret") as inbox:
    ...             message = inbox[0]
    ...             print(message.number, await message.subject(), await message.from_(), repr(await message.text()))
    >>> asyncio.run(main())
    1 Lunch Ann <ann@example.com> 'At noon?\\n'
    """

    __slots__ = ()

    # --- from the listings --------------------------------------------------------------------------------

    async def size(self) -> int | None:
        """The size in bytes according to LIST; None if LIST does not give one.

        Treat it as a hint: many servers list inaccurate sizes. Costs one LIST for all messages, once per session.
        """
        mailbox = self._mailbox
        sizes = mailbox.state.sizes
        return sizes[self._number - 1] if sizes is not None else await mailbox.connection.run(mailbox.ask_size(self))

    async def uid(self) -> str | None:
        """The message's unique id, the same in every session (UIDL, RFC 1939 §7); None if the server sent an empty one.

        Costs one UIDL for all messages, once per session. Raises `NotSupported` if the server has no UIDL, and
        `TemporaryFailure` if it refuses UIDL temporarily.
        """
        mailbox = self._mailbox
        uids = mailbox.state.uids
        return uids[self._number - 1] if uids is not None else await mailbox.connection.run(mailbox.ask_uid(self))

    # --- headers: TOP n 0 ---------------------------------------------------------------------------------

    async def headers(self) -> "Headers":
        """All header fields.

        Costs one TOP, prefetched when you read messages in a regular order (such as forward or reversed), or one RETR
        if the server's TOP does not work. Once the whole message has been downloaded, the fields are taken from it,
        because some servers return other fields for TOP.
        """
        mailbox = self._mailbox
        headers = mailbox.cached_headers(self)
        return headers if headers is not None else await mailbox.connection.run(mailbox.ask_headers(self))

    async def subject(self) -> str:
        """The Subject, decoded; "" when there is none."""
        return (await self.headers()).subject

    async def from_(self) -> "Address | None":
        """The first address of From, or the name there without an address; None when there is none."""
        return (await self.headers()).from_

    async def sender(self) -> "Address | None":
        """The address of Sender, who sent the message for the author in From; None when there is none."""
        return (await self.headers()).sender

    async def to(self) -> "tuple[Address, ...]":
        """The addresses of To."""
        return (await self.headers()).to

    async def cc(self) -> "tuple[Address, ...]":
        """The addresses of Cc."""
        return (await self.headers()).cc

    async def bcc(self) -> "tuple[Address, ...]":
        """The addresses of Bcc."""
        return (await self.headers()).bcc

    async def reply_to(self) -> "tuple[Address, ...]":
        """The addresses of Reply-To."""
        return (await self.headers()).reply_to

    async def date(self) -> "datetime | None":
        """The Date, always aware; None when there is none or it is not a date."""
        return (await self.headers()).date

    async def date_str(self) -> str:
        """The Date as written; "" when there is none."""
        return (await self.headers()).date_str

    async def received(self) -> "datetime | None":
        """When the last server received it, always aware: the date of the topmost Received; None if it has none."""
        return (await self.headers()).received

    async def message_id(self) -> str | None:
        """The identifier in Message-ID, as `<id>`; None when there is none."""
        return (await self.headers()).message_id

    async def in_reply_to(self) -> tuple[str, ...]:
        """The identifiers in In-Reply-To, each as `<id>`: the messages this one answers."""
        return (await self.headers()).in_reply_to

    async def references(self) -> tuple[str, ...]:
        """The identifiers in References, each as `<id>`: the thread up to this message, the oldest first."""
        return (await self.headers()).references

    # --- the whole message: RETR --------------------------------------------------------------------------

    async def raw(self) -> bytes:
        """The whole message as bytes, exactly as the server sent it, except that dot-stuffing is removed.

        Costs one RETR. The bytes are kept while you keep a reference to the message, up to `Limits.cache` bytes for all
        messages together. Raises `LimitExceeded` if the message is larger than `Limits.message`; to stream such a
        message, use `save` or `write_to`.
        """
        mailbox = self._mailbox
        raw = mailbox.cached_raw(self)
        return raw if raw is not None else await mailbox.connection.run(mailbox.ask_raw(self))

    async def content(self) -> "Content":
        """The whole message as a `Content`: a value that needs no session and can be pickled.

        Costs the same as `raw`, and raises the same errors.
        """
        return self._mailbox.content_of(self, await self.raw())

    async def body(self) -> str:
        """The text a person would read: the best of each alternative, HTML as text, flowed lines joined."""
        return (await self.content()).body

    async def text(self) -> str | None:
        """The inline text/plain parts in order, joined by a blank line; None when there is none."""
        return (await self.content()).text

    async def html(self) -> str | None:
        """The inline text/html parts in order, joined by a blank line; None when there is none."""
        return (await self.content()).html

    async def links(self) -> tuple[str, ...]:
        """The URLs in the text and the targets of the links in the HTML, in order, each once."""
        return (await self.content()).links

    async def attachments(self) -> "tuple[Attachment, ...]":
        """All parts that are not the message's own text, decoded, in order; an attached message is one of them."""
        return (await self.content()).attachments

    async def email(self) -> "EmailMessage":
        """The message as parsed by the standard library, on each access; its methods may raise for a damaged message.

        If the standard library cannot parse it, for example thousands of nested multiparts, or its MIME fields are so
        long that this would take seconds, the body is one string.
        """
        return (await self.content()).email

    async def preview(self, lines: int = 10) -> str:
        """Return the readable text of the first `lines` lines of the body.

        Costs one TOP, or one RETR if the server's TOP does not work; nothing if the message has been downloaded.
        """
        mailbox = self._mailbox
        return await mailbox.connection.run(mailbox.ask_preview(self, lines))

    async def show(self, *, remote: bool = False) -> "Card":
        """Return a card for a notebook: header, text, attachments, and each HTML part in a frame that runs nothing.

        The frames load nothing, either; inline images are shown from the message. With `remote=True` they load images
        and style sheets from the web, which tells the sender that the message was opened, and from where. Scripts,
        forms and links never work. A message that is the last value of a cell is shown with what is known of it.

        Costs the same as `raw`, and one LIST, once per session. It never raises: if the body cannot be read, or is
        larger than `Limits.window`, the card shows what is known, and says why the text is missing.
        """
        mailbox = self._mailbox
        try:
            note = await mailbox.connection.run(ask_for_card(mailbox, self))
        except MailboxError as error:
            note = str(error)
        return card_of(mailbox, self, note, remote=remote)

    def _repr_html_(self) -> str:
        mailbox = self._mailbox
        known = mailbox.raw_of(self) is not None
        return card_of(
            mailbox, self, "" if known else "it was not read yet; `await message.show()` reads and shows it"
        ).html

    # --- to disk ------------------------------------------------------------------------------------------

    async def filename(self) -> str:
        """A safe file name for a copy: the date, the subject, and a hash of the uid (or of the headers if it has none).

        It is the same in every session and on every system, and valid whatever the subject contains. Costs one UIDL for
        all messages, once per session, and the headers. Raises `TemporaryFailure` if the server refuses UIDL
        temporarily.
        """
        mailbox = self._mailbox
        return await mailbox.connection.run(mailbox.ask_filename(self))

    async def write_to(self, file: Writable, *, progress: Callable[[Progress], None] | None = None) -> int:
        """Write the raw message to a binary file; return the number of bytes.

        The message is streamed, a few chunks in memory at a time. The file's `write` may be a coroutine function; an
        ordinary one blocks the event loop while it writes. Either all of the message is written, or an exception is
        raised: whatever the file raises, or OSError if a non-blocking file accepts no bytes. After a failure the file
        contains what was written so far, and the session has ended unless the message had arrived completely.
        `progress`, an ordinary function, is called with a `Progress` at most ten times a second and at the end; an
        exception that it raises is such a failure, too.
        """
        write = write_of(file)
        mailbox = self._mailbox
        meter, expected = await mailbox.connection.run(mailbox.meter(self, progress))
        sink = metered(write, meter)
        raw = mailbox.cached_raw(self)
        if raw is not None:
            await sink(raw)
            size = len(raw)
        else:
            size = await mailbox.connection.run(mailbox.stream(self, sink))
        meter.finish(expected, size)
        meter.end()
        return size

    async def save(
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
        delete the message. Flushing runs in a thread; a cancellation waits for it, and leaves the whole file or
        nothing. See `write_to` for `progress`.
        """
        from pymailbox.content.saving import SavedFile

        Meter.check(progress)
        mailbox = self._mailbox
        with SavedFile(where, overwrite=overwrite) as saved:
            uid = await mailbox.connection.run(mailbox.ask_identity(self)) if saved.needs_name else None
            await self.write_to(saved, progress=progress)
            name = mailbox.filename_of(self, uid, saved.beginning) if saved.needs_name else ""
            return await _in_thread(lambda: saved.publish(name))

    # --- deleting -----------------------------------------------------------------------------------------

    async def delete(self) -> None:
        """Mark the message as deleted (DELE); committing the session deletes it.

        Deleting it again does nothing. A marked message keeps its index, and what you have read of it stays readable;
        reading more raises `MessageUnavailable`. Raises `CommandError` if the server refuses, and ValueError if the
        mailbox is `read_only`. For many messages, `inbox.delete()` is faster.
        """
        mailbox = self._mailbox
        await mailbox.connection.run(transaction.delete(mailbox.state, (self.number,)))

    async def undelete(self) -> None:
        """Remove the deletion mark (RSET, then DELE again for all other marked messages).

        For many messages, `inbox.undelete()` is faster. Raises `CommandError` if RSET is refused; the session has then
        ended without deleting anything.
        """
        mailbox = self._mailbox
        await mailbox.connection.run(transaction.undelete(mailbox.state, (self.number,)))


def metered(write: Callable[[bytes], object], meter: Meter) -> Callable[[bytes], Awaitable[None]]:
    """Return a sink that passes all of its data to `write`, which may be a coroutine function, and counts the bytes."""

    async def sink(data: bytes) -> None:
        await write_all_async(write, data)
        meter.add(len(data))

    return sink


async def _in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread to its end; a cancellation is raised afterwards, as a thread cannot be stopped."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    failure = task.exception()
    if cancelled is not None:
        raise cancelled
    if failure is not None:
        raise failure
    return task.result()
