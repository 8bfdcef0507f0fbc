"""AsyncMessage: one message of a session over asyncio, fetched as it is read.

The twin of `Message`: what may have to ask the server is a coroutine of the same name without arguments.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pymailbox.mailbox import transaction
from pymailbox.mailbox.open_mailbox import AbstractMessage
from pymailbox.pop3.async_connection import AsyncConnection
from pymailbox.pop3.sinks import Writable, write_all_async, write_of
from pymailbox.progress import Meter, Progress

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage
    from pathlib import Path

    from pymailbox.content import Address, Attachment, Content, Headers

__all__ = ["AsyncMessage", "metered"]

T = TypeVar("T")


class AsyncMessage(AbstractMessage[AsyncConnection]):
    """One message, fetched as it is read: headers by TOP, the rest by RETR.

    Messages come from a mailbox: `inbox[0]`, `async for message in inbox`. Reading never raises on a strange mail;
    what it can raise is `MessageUnavailable` (the server does not give it, or it is marked) and `ConnectionLost`.

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

    # --- what the listings say ----------------------------------------------------------------------------

    async def size(self) -> int | None:
        """Bytes by LIST, a hint: many servers count otherwise; None where it gave no number. One LIST for all, once."""
        mailbox = self._mailbox
        sizes = mailbox.state.sizes
        return sizes[self.number - 1] if sizes is not None else await mailbox.connection.run(mailbox.ask_size(self))

    async def uid(self) -> str | None:
        """The name that lasts beyond the session (RFC 1939 §7); None where it is blank. One UIDL, once."""
        mailbox = self._mailbox
        uids = mailbox.state.uids
        return uids[self.number - 1] if uids is not None else await mailbox.connection.run(mailbox.ask_uid(self))

    # --- headers: TOP n 0 ---------------------------------------------------------------------------------

    async def headers(self) -> "Headers":
        """All header fields; those of the body once that is here, as some servers' TOP differs."""
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
        """The message exactly as it was sent, dots unstuffed."""
        mailbox = self._mailbox
        raw = mailbox.cached_raw(self)
        return raw if raw is not None else await mailbox.connection.run(mailbox.ask_raw(self))

    async def content(self) -> "Content":
        """The whole message as a pure value, usable offline; pickles."""
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
        """The URLs in the text and behind the links of the HTML, in order, each once."""
        return (await self.content()).links

    async def attachments(self) -> "tuple[Attachment, ...]":
        """All parts that are not the message's own text, decoded, in order; an attached message is one of them."""
        return (await self.content()).attachments

    async def email(self) -> "EmailMessage":
        """The message as the standard library parses it, anew each time; its own methods may raise on a damaged one.

        A message that the standard library cannot parse, such as thousands of multiparts in each other, has its body as
        one string.
        """
        return (await self.content()).email

    async def preview(self, lines: int = 10) -> str:
        """Return what a person would read of the first `lines` lines of the body. By TOP where the server has it."""
        mailbox = self._mailbox
        return await mailbox.connection.run(mailbox.ask_preview(self, lines))

    # --- to disk ------------------------------------------------------------------------------------------

    async def filename(self) -> str:
        """A safe, lasting name for a copy: date, subject, and a hash of the uid, or of the header where there is none.

        The same each day, on every system, whatever the subject says. Costs one UIDL for the mailbox, and the headers.
        Raises `TemporaryFailure` where the server refuses UIDL for the moment.
        """
        mailbox = self._mailbox
        return await mailbox.connection.run(mailbox.ask_filename(self))

    async def write_to(self, file: Writable, *, progress: Callable[[Progress], None] | None = None) -> int:
        """Write the raw message to a binary file; return the bytes. Memory is bounded by some chunks.

        `write` may be a coroutine function. All is written, in parts where the file takes less at a time, or this
        raises: OSError where it takes nothing (a file that does not block), and what the file raises itself. A failure
        leaves what was written so far, and ends the session if the message was still arriving. A file of the system's
        blocks the event loop for as long as a write takes. `progress`, an ordinary function, is called with a
        `Progress` at most ten times a second and at the end; what it raises counts as what the file raises.
        """
        write = write_of(file)
        mailbox = self._mailbox
        meter, size = await mailbox.connection.run(mailbox.meter(self, progress))
        sink = metered(write, meter)
        raw = mailbox.cached_raw(self)
        if raw is not None:
            await sink(raw)
            octets = len(raw)
        else:
            octets = await mailbox.connection.run(mailbox.stream(self, sink))
        meter.finish(size, octets)
        meter.end()
        return octets

    async def save(
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
        copy. The disk is waited for in a thread; a cancellation meanwhile waits for it, and then there is the whole
        file or nothing. See `write_to` for `progress`.
        """
        from pymailbox.content.saving import SavedFile

        Meter.check(progress)
        mailbox = self._mailbox
        saved = SavedFile(where, overwrite=overwrite)
        try:
            uid = await mailbox.connection.run(mailbox.ask_identity(self)) if saved.needs_name else None
            await self.write_to(saved, progress=progress)
            name = mailbox.filename_of(self, uid, saved.beginning) if saved.needs_name else ""
            return await _in_thread(lambda: saved.publish(name))
        except BaseException:
            saved.discard()
            raise

    # --- deletion -----------------------------------------------------------------------------------------

    async def delete(self) -> None:
        """Mark the message (DELE); doing it twice changes nothing."""
        mailbox = self._mailbox
        await mailbox.connection.run(transaction.delete(mailbox.state, (self.number,)))

    async def undelete(self) -> None:
        """Take back the mark: RSET, and DELE again for all others; prefer `inbox.undelete()` for many."""
        mailbox = self._mailbox
        await mailbox.connection.run(transaction.undelete(mailbox.state, (self.number,)))


def metered(write: Callable[[bytes], object], meter: Meter) -> Callable[[bytes], Awaitable[None]]:
    """Return a sink that has `write`, be it a coroutine function, take all it is given, and counts it."""

    async def sink(data: bytes) -> None:
        await write_all_async(write, data)
        meter.add(len(data))

    return sink


async def _in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread to its end; a cancellation is raised after it, as a thread cannot be stopped."""
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
