"""AsyncMailbox: the mailbox over asyncio.

The names are those of `Mailbox` and `Message`; what may have to ask the server is a coroutine, and a property that may
do so is a coroutine without arguments. The flows, the state and the errors are the same; this module only waits.

A cancellation, be it by `asyncio.timeout`, closes the connection without QUIT wherever it comes: nothing is committed.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from types import TracebackType
from typing import ClassVar, Self, TypeVar

from pymailbox.account import AsyncPassword
from pymailbox.errors import CommitError, ConcurrentUse, ConnectionLost, MailboxError
from pymailbox.mailbox import reading, transaction
from pymailbox.mailbox.abstract_mailbox import AbstractMailbox
from pymailbox.mailbox.async_message import AsyncMessage
from pymailbox.mailbox.open_mailbox import OpenMailbox
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3 import commands
from pymailbox.pop3.async_connection import AsyncConnection
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.flows import Flow, ask

__all__ = ["AsyncMailbox"]

T = TypeVar("T")


class AsyncMailbox(AbstractMailbox[AsyncMessage, AsyncConnection, AsyncPassword]):
    """A POP3 account as a lazy sequence of messages, over asyncio.

    Nothing is connected until `async with` or `await open()`. Deleted messages keep their place and are counted; a
    session is a snapshot, and new mail needs `reopen()`. One session is for one task at a time; another one gets
    `ConcurrentUse`.

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
        self._opened = OpenMailbox(connection, state, AsyncMessage)
        self._in_doubt = None
        return self

    async def close(self) -> None:
        """Say QUIT, which commits the deletions, and close. May be called again.

        Raises `CommitError` where deletions were pending and QUIT was refused or not answered; `ConnectionLost`
        where the session ended before QUIT was sent with deletions pending: then none of them happened.
        """
        await self._leave(transaction.commit)

    async def rollback(self) -> None:
        """Take back all marks and close. May be called again."""
        await self._leave(transaction.roll_back)

    async def _leave(
        self, ending: Callable[[MailboxState[AsyncMessage]], Flow[None]], *, reopening: bool = False
    ) -> None:
        opened, self._opened = self._opened, None
        self._may_reopen = reopening
        if opened is None:
            return
        try:
            await opened.connection.run(opened.leave(ending))
        except ConcurrentUse:
            self._opened = opened  # nothing was said: who uses the session goes on
            raise
        except (CommitError, ConnectionLost) as error:
            if not reopening:
                self._may_reopen, self._in_doubt = True, error if isinstance(error, CommitError) else None
            await opened.connection.close()
            raise
        except BaseException:
            await opened.connection.close()
            raise
        await opened.connection.close()

    async def __aenter__(self) -> Self:
        return self if self._opened is not None else await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
            return
        if not isinstance(error, Exception):  # cancelled: nothing is said and nothing waited for any more
            self._connection.abort()
            self._opened = None
            return
        try:
            await self.rollback()
        except MailboxError as failure:
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
        """Octets of all messages together, by STAT."""
        opened = self._require_open()
        return await opened.connection.run(reading.total(opened.state))

    async def uids(self) -> tuple[str | None, ...]:
        """The uids, aligned with the positions; None where one is blank. One UIDL, once.

        Raises `NotSupported` where the server has no UIDL, `TemporaryFailure` where it refuses it for the moment: then
        it is asked again next time.
        """
        opened = self._require_open()
        return await opened.connection.run(reading.uids(opened.state))

    async def by_uid(self, uid: str) -> AsyncMessage:
        """Return the first message with that uid; KeyError if there is none."""
        opened = self._require_open()
        return await opened.connection.run(opened.by_uid(uid))

    async def new(self, seen: Collection[str | None]) -> tuple[AsyncMessage, ...]:
        """Return the messages whose uid is not in `seen`, in order; messages without a uid are always returned."""
        opened = self._require_open()
        return await opened.connection.run(opened.new(seen))

    # --- iteration ----------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[AsyncMessage]:
        return _Each(self)

    def fetch(self, messages: AsyncMessage | Iterable[AsyncMessage] | None = None) -> AsyncIterator[AsyncMessage]:
        """Iterate over every message in order, bodies arriving in a pipeline; None: all that are not deleted.

        A refusal is raised when that message is read, not here. A message larger than `Limits.window` comes without
        its body, so that `save` can stream it. Leaving early costs at most what is in flight.
        """
        opened = self._require_open()
        return _Fetched(opened, opened.plan(messages))

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


class _Fetched(AsyncIterator[AsyncMessage]):
    """The messages of a `fetch()`; no async generator, so that leaving early takes effect at once."""

    __slots__ = ("_batch", "_opened", "_plan", "_ready")

    def __init__(self, opened: OpenMailbox[AsyncMessage, AsyncConnection], plan: reading.FetchPlan) -> None:
        self._opened = opened
        self._plan = plan
        self._batch: Batch[bytes] | None = None
        self._ready: deque[AsyncMessage] = deque()

    async def __anext__(self) -> AsyncMessage:
        opened, ready = self._opened, self._ready
        if self._batch is None:
            await opened.connection.run(reading.size_hints(opened.state))
            self._batch = Batch(self._plan.commands())
        while not ready:
            result = await opened.connection.next_result(self._batch)
            if result is not None:
                ready.extend(opened.fetched(self._plan, result))
                continue
            ready.extend(opened.unfetched(self._plan))
            if not ready:
                raise StopAsyncIteration
        return ready.popleft()

    def __del__(self) -> None:
        if self._batch is not None:
            self._batch.abandoned = True
