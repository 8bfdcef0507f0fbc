"""AsyncMailbox: the mailbox over asyncio.

The names are those of `Mailbox` and `Message`; what may have to ask the server is a coroutine, and a property that may
do so is a coroutine without arguments. The flows, the state and the errors are the same; this module only waits.

A cancellation, be it by `asyncio.timeout`, closes the connection without QUIT wherever it comes: nothing is committed.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from pymailbox.account import AsyncPassword
from pymailbox.errors import CommitError, ConcurrentUse, ConnectionLost, MailboxError
from pymailbox.mailbox import reading, transaction
from pymailbox.mailbox.abstract_mailbox import AbstractMailbox
from pymailbox.mailbox.async_message import AsyncMessage, metered
from pymailbox.mailbox.fetching import Fetch
from pymailbox.mailbox.open_mailbox import OpenMailbox, warn_uncommitted
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3 import commands
from pymailbox.pop3.async_connection import AsyncConnection
from pymailbox.pop3.flows import Flow, ask
from pymailbox.pop3.sinks import Sink
from pymailbox.progress import Progress

__all__ = ["AsyncMailbox"]

T = TypeVar("T")


class AsyncMailbox(AbstractMailbox[AsyncMessage, AsyncConnection, AsyncPassword]):
    """A POP3 account as a lazy sequence of messages, over asyncio.

    Nothing is connected until `async with` or `await open()`. Deleted messages keep their place and are counted; a
    session is a snapshot, and new mail needs `reopen()`. One session is for one task at a time; another one gets
    `ConcurrentUse`.

    Arguments and options are those of `Mailbox`; a callable for the password or a token may be a coroutine function.

    >>> import asyncio
    >>> from pymailbox import AsyncMailbox
    >>> from pymailbox.testing import Server
    >>> async def main():
    ...     with Server([b"Subject: one\\r\\n\\r\\n1\\r\\n", b"Subject: two\\r\\n\\r\\n2\\r\\n"]) as server:
    ...         async with AsyncMailbox(server.host, "me", "secret", port=server.port, security="none") as inbox:
    ...             print(len(inbox), [await message.subject() async for message in inbox])
    ...             await inbox[0].delete()
    ...         async with AsyncMailbox.from_url(server.url, "secret") as inbox:
    ...             print(len(inbox), await inbox[0].subject())
    >>> asyncio.run(main())
    2 ['one', 'two']
    1 two
    """

    _can_await: ClassVar[bool] = True

    def _new_connection(self) -> AsyncConnection:
        return AsyncConnection.from_settings(self._settings)

    # --- life ---------------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Connect, log in and ask how much there is; returns the mailbox.

        Raises `ConnectionLost`, `Timeout`, `TLSError`, `AuthenticationError`, `MailboxLocked`, `LoginDelay`,
        `TemporaryFailure`, `NotSupported`. Nothing stays open after a failure.
        """
        if self._opened is not None:
            raise ValueError("this mailbox is open already")
        if self._connection.opened:
            self._connection = self._fresh_connection()
        connection = self._connection
        try:
            await connection.connect()
            state = await connection.run(self._begin())
        except MailboxError as error:
            await connection.close()
            error.usable = False
            raise
        except BaseException:
            connection.abort()
            raise
        self._opened = OpenMailbox(connection, state, AsyncMessage, connection.abort)
        self._in_doubt = None
        return self

    async def commit(self) -> None:
        """End the session with QUIT, which commits the deletions; what the end of a `with` block does.

        Raises `CommitError` where deletions were pending and QUIT was refused or not answered; `ConnectionLost`
        where the session ended before QUIT was sent with deletions pending: then none of them happened. With none
        pending a lost session is no error. A mailbox that is not open is ValueError.
        """
        self._require_open()
        await self._leave(transaction.commit)

    async def rollback(self) -> None:
        """Take back all marks and end the session; what an exception in a `with` block does. May be called again.

        QUIT is said only where nothing was marked or downloaded: some servers hide what was downloaded after it.
        """
        await self._leave(transaction.roll_back)

    async def close(self) -> None:
        """End the session without deleting anything, as `rollback()` does, and never raise. May be called again.

        The warning `Uncommitted` says how many deletions that drops. In use by another task, the session is cut off.
        """
        opened = self._opened
        dropped = opened.settle() if opened is not None else 0
        try:
            await self._leave(transaction.roll_back)
        except Exception:  # whatever it was, the session is over, and nothing was committed
            self._drop()
        self._may_reopen = False
        if dropped:
            warn_uncommitted(dropped, "closed")

    async def _leave(
        self, ending: Callable[[MailboxState[AsyncMessage]], Flow[None]], *, reopening: bool = False
    ) -> None:
        opened, self._opened = self._opened, None
        if opened is None:
            return
        self._may_reopen = reopening
        try:
            await opened.connection.run(opened.leave(ending))
        except ConcurrentUse:
            self._opened = opened  # nothing was said: who uses the session goes on
            raise
        except (CommitError, ConnectionLost) as error:
            if not reopening:
                self._may_reopen, self._in_doubt = True, error if isinstance(error, CommitError) else None
            raise
        finally:
            if self._opened is None:
                opened.settle()
                await opened.connection.close()

    async def __aenter__(self) -> Self:
        return self if self._opened is not None else await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._leave(transaction.commit)
        elif not isinstance(error, Exception):  # Ctrl-C, sys.exit(), a cancellation: nothing is said or waited for
            self._drop()
        else:
            try:
                await self._leave(transaction.roll_back)
            except Exception as failure:  # never in place of the first one
                error.add_note(f"while leaving the mailbox: {failure}")

    async def keep_alive(self) -> None:
        """Say NOOP, so that the server does not end an idle session."""
        await self._require_open().connection.run(ask(commands.noop()))

    async def reopen(self) -> None:
        """Commit, and begin a fresh session with what has arrived since; messages of the old one stay readable.

        Raises what `open()` does, and may be repeated as often as it fails. Where deletions of a session that has died
        did not happen (`ConnectionLost`), or are in doubt (`CommitError`), it says so once; the next call opens.
        """
        self._check_reopen()
        await self._leave(transaction.commit, reopening=True)
        await self.open()

    # --- facts and listings -------------------------------------------------------------------------------

    async def size(self) -> int:
        """Bytes of all messages together, by STAT."""
        opened = self._require_open()
        return await opened.connection.run(reading.total(opened.state))

    async def uids(self) -> tuple[str | None, ...]:
        """The uids, aligned with the positions; None where one is blank. One UIDL, once.

        Raises `NotSupported` where the server has no UIDL, `TemporaryFailure` where it refuses it for the moment: then
        it is asked again next time.
        """
        opened = self._require_open()
        return await opened.connection.run(reading.uids(opened.state))

    async def sizes(self) -> tuple[int | None, ...]:
        """The sizes in bytes, aligned with the positions, hints; None where the server gave no number. One LIST, once.

        Raises `TemporaryFailure` where the server refuses LIST for the moment: then it is asked again next time.
        """
        opened = self._require_open()
        return await opened.connection.run(reading.sizes(opened.state))

    async def by_uid(self, uid: str) -> AsyncMessage:
        """Return the first message with that uid; KeyError if there is none."""
        opened = self._require_open()
        return await opened.connection.run(opened.by_uid(uid))

    async def new(self, seen: Collection[str | None]) -> tuple[AsyncMessage, ...]:
        """Return the messages whose uid is not in `seen`, in order, and those without a uid; not the deleted ones."""
        opened = self._require_open()
        return await opened.connection.run(opened.new(seen))

    # --- iteration ----------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[AsyncMessage]:
        return _Each(self)

    def fetch(
        self,
        messages: AsyncMessage | Iterable[AsyncMessage] | None = None,
        *,
        into: Callable[[AsyncMessage], Sink | Awaitable[Sink]] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> AsyncGenerator[AsyncMessage, None]:
        """Iterate over every message in order, bodies arriving in a pipeline; None: all. Deleted ones are left out.

        A refusal is raised when that message is read, not here. A message larger than `Limits.window` comes without its
        body, so that `save` can stream it. Leaving early, or `aclose()`, costs at most what is in flight. Of no
        messages nothing is asked.

        `into(message)` returns a sink (or an awaitable of one), a file or a function that takes bytes: the body goes
        there and is not kept, and the message is handed out when its body is there, whole and proven. Only then may it
        be deleted; closing the file is the caller's. Messages of any size go there. One that is refused is left out,
        and the first refusal is raised at the end, with `.refused` by message number.

        `progress` is called with a `Progress` at most ten times a second and at the end.
        """
        return _Fetched(Fetch.of(self._require_open(), messages, into, progress, metered))

    # --- the transaction ----------------------------------------------------------------------------------

    async def delete(self, messages: AsyncMessage | Iterable[AsyncMessage]) -> None:
        """Mark messages (DELE, pipelined); they go when the session is committed.

        All replies are read; then the first refusal is raised, with `.refused` by message number.
        """
        opened = self._require_open()
        await opened.connection.run(transaction.delete(opened.state, opened.numbers(messages)))

    async def undelete(self, messages: AsyncMessage | Iterable[AsyncMessage] | None = None) -> None:
        """Take back the marks of messages, or all: RSET, and DELE again for the others."""
        opened = self._require_open()
        numbers = None if messages is None else opened.numbers(messages)
        await opened.connection.run(transaction.undelete(opened.state, numbers))


class _Each(AsyncIterator[AsyncMessage]):
    """The messages in order; their headers are read ahead as they are asked for."""

    __slots__ = ("_messages",)

    def __init__(self, inbox: AsyncMailbox) -> None:
        self._messages = iter(inbox)

    async def __anext__(self) -> AsyncMessage:
        for message in self._messages:
            return message
        raise StopAsyncIteration


class _Fetched(AsyncGenerator[AsyncMessage, None]):
    """The messages of a `fetch()`; not made by `yield`, so that leaving early takes effect at once."""

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Fetch[AsyncMessage, AsyncConnection]) -> None:
        self._fetch = fetch

    async def __anext__(self) -> AsyncMessage:
        fetch = self._fetch
        try:
            message = fetch.ready() or await fetch.opened.connection.run(fetch.next())
        except BaseException:
            fetch.abandon()
            raise
        if message is None:
            raise StopAsyncIteration
        return message

    async def asend(self, _: None) -> AsyncMessage:
        return await self.__anext__()

    async def athrow(self, kind: Any, error: Any = None, _: Any = None, /) -> AsyncMessage:
        self._fetch.abandon()
        raise kind if error is None else error

    async def aclose(self) -> None:
        """Leave early: what is in flight is dropped."""
        self._fetch.abandon()

    def __del__(self) -> None:
        self._fetch.abandon()
