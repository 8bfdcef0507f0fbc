"""AsyncMailbox: the mailbox over asyncio.

The names are those of `Mailbox` and `Message`. Methods that may ask the server are coroutines, and so are properties
that may, as methods without arguments. The flows, the state and the errors are the same; this module only awaits.

A cancellation (`asyncio.timeout` included) always closes the connection without QUIT: nothing is committed.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pymailbox.account import AsyncPassword
from pymailbox.errors import CommitError, ConcurrentUse, ConnectionLost, MailboxError
from pymailbox.mailbox import reading, transaction
from pymailbox.mailbox.abstract_mailbox import AbstractMailbox
from pymailbox.mailbox.async_message import AsyncMessage, metered
from pymailbox.mailbox.open_mailbox import OpenMailbox, warn_uncommitted
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3 import commands
from pymailbox.pop3.async_connection import AsyncConnection
from pymailbox.pop3.flows import Flow, ask
from pymailbox.pop3.sinks import Sink
from pymailbox.progress import Progress

if TYPE_CHECKING:
    from pymailbox.mailbox.fetching import Fetch

__all__ = ["AsyncMailbox"]

T = TypeVar("T")


class AsyncMailbox(AbstractMailbox[AsyncMessage, AsyncConnection, AsyncPassword]):
    """A POP3 account as a lazy sequence of messages, for asyncio; each session is a transaction.

    It has the names, arguments and errors of `Mailbox`. Whatever may ask the server is awaited, properties included:
    `await inbox.uids()`, `await message.subject()`. `len`, indexing and slicing need no `await`, and `async for`
    iterates. `async with` or `await inbox.open()` connects and logs in. A callable for the password or a token may be a
    coroutine function.

    A session is for one task at a time; a second task gets `ConcurrentUse`. A cancelled operation ends the session
    without deleting anything.

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

    # --- opening and ending -------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Connect, log in and ask for the number of messages (STAT); return the mailbox.

        Entering an `async with` block calls it. Raises `ConnectionLost`, `Timeout` or `TLSError` if connecting fails,
        `AuthenticationError`, `MailboxLocked`, `LoginDelay` or `TemporaryFailure` if the server refuses the login,
        `NotSupported` if it offers no way to log in safely, and ValueError if the mailbox is already open. After a
        failure the connection is closed.
        """
        if self._opened is not None:
            raise ValueError("the mailbox is already open")
        if self._connection.opened:
            self._connection = self._fresh_connection()
        connection = self._connection
        try:
            await connection.connect()
            state = await connection.run(self._begin())
            self._opened = OpenMailbox(connection, state, AsyncMessage, connection.abort, self.account)
        except MailboxError as error:
            await connection.close()
            error.usable = False
            raise
        except BaseException:
            connection.abort()
            raise
        self._in_doubt = None
        return self

    async def commit(self) -> None:
        """End the session with QUIT, which commits the deletions.

        An `async with` block that ends without an exception calls it. With deletions pending, it raises
        `ConnectionLost` if the session broke before QUIT was sent (nothing was deleted), and `CommitError` if QUIT was
        refused or not answered (some of the messages may be gone). With none pending, a broken session is not an error.
        Raises ValueError if the mailbox is not open.
        """
        self._require_open()
        await self._leave(transaction.commit)

    async def rollback(self) -> None:
        """Remove all deletion marks (RSET) and end the session, deleting nothing.

        An `async with` block that ends with an exception calls it. Calling it again does nothing. QUIT is sent only if
        no message was marked or downloaded, because some servers delete or hide downloaded messages on QUIT. Raises
        `CommandError` if RSET is refused; even then the session has ended, and nothing was deleted.
        """
        await self._leave(transaction.roll_back)

    async def close(self) -> None:
        """End the session without deleting anything, as `rollback()` does, but never raise.

        Calling it again does nothing. If deletions are pending, the warning `Uncommitted` says how many. If another
        task is using the session, the connection is closed at once.
        """
        opened = self._opened
        dropped = opened.settle() if opened is not None else 0
        try:
            await self._leave(transaction.roll_back)
        except Exception:  # whatever it was, the session has ended and nothing was committed
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
            self._opened = opened  # nothing was sent, and the other user of the session continues
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
        elif not isinstance(error, Exception):  # Ctrl-C, sys.exit(), a cancellation: send nothing, wait for nothing
            self._drop()
        else:
            try:
                await self._leave(transaction.roll_back)
            except Exception as failure:  # must not replace the first exception
                error.add_note(f"while leaving the mailbox: {failure}")

    async def keep_alive(self) -> None:
        """Send NOOP, so that the server does not close an idle session."""
        await self._require_open().connection.run(ask(commands.noop()))

    async def reopen(self) -> None:
        """Commit, then open a new session, which sees the mail that has arrived since.

        What you have read of a message of the old session stays readable; reading more raises `ConnectionLost`. Raises
        what `commit()` and `open()` raise, and may be called again after any of these errors. If the old session broke
        with deletions pending, the first call raises `ConnectionLost` (nothing was deleted) or `CommitError` (some
        messages may be gone), and the next call opens a new session. Raises ValueError if the mailbox was never opened,
        was ended by `commit()`, `rollback()` or `close()`, or was made with `sock=`.
        """
        self._check_reopen()
        await self._leave(transaction.commit, reopening=True)
        await self.open()

    # --- facts and listings -------------------------------------------------------------------------------

    async def size(self) -> int:
        """The total size of all messages in bytes, from the STAT that `open()` sends."""
        opened = self._require_open()
        return await opened.connection.run(reading.total(opened.state))

    async def uids(self) -> tuple[str | None, ...]:
        """The uid of every message, in order: `uids[i]` belongs to `inbox[i]`; None if the server sent an empty uid.

        Costs one UIDL, once per session. Raises `NotSupported` if the server has no UIDL, and `TemporaryFailure` if it
        refuses UIDL temporarily; the next use asks again.
        """
        opened = self._require_open()
        return await opened.connection.run(reading.uids(opened.state))

    async def sizes(self) -> tuple[int | None, ...]:
        """The size of every message in bytes, in order: `sizes[i]` belongs to `inbox[i]`; None if unknown.

        Treat sizes as hints: many servers list inaccurate ones. Costs one LIST, once per session. Raises
        `TemporaryFailure` if the server refuses LIST temporarily; the next use asks again.
        """
        opened = self._require_open()
        return await opened.connection.run(reading.sizes(opened.state))

    async def by_uid(self, uid: str) -> AsyncMessage:
        """Return the first message with this uid; raise KeyError if there is none.

        Costs the same as `uids`, and raises the same errors.
        """
        opened = self._require_open()
        return await opened.connection.run(opened.by_uid(uid))

    async def new(self, seen: Collection[str | None]) -> tuple[AsyncMessage, ...]:
        """Return the messages whose uid is not in `seen`, in order.

        `seen` is a collection of uids, ideally a set. Messages marked as deleted are skipped; messages without a uid
        count as new, even if `seen` contains None. Costs the same as `uids`, and raises the same errors.
        """
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
        """Iterate over messages, by default all, in the order given; they are downloaded ahead of the loop, in a
        pipeline.

        The fast way to read many messages: without `into`, each yielded message has already been downloaded. Messages
        marked as deleted are skipped. A message larger than `Limits.window` is yielded before it is downloaded, so that
        `save` can stream it. If the server refuses a message, reading that message raises the error. In the loop you
        may use the mailbox and delete messages; you may also leave the loop early (or call `aclose()`).

        With `into`, messages are written instead of kept: `into(message)` returns, or is awaited for, a binary file or
        a function that takes bytes; `write` and the function may be coroutine functions. The message is yielded once
        all of it has been written there and verified, so that it is safe to delete. Messages of any size are streamed.
        `fetch` does not close the files. A message that the server refuses is not yielded; after the last message, the
        first refusal is raised; its `refused` maps message numbers to all of them.

        `progress` is called with a `Progress` at most ten times a second and at the end.
        """
        from pymailbox.mailbox.fetching import Fetch

        return _Fetched(Fetch.of(self._require_open(), messages, into, progress, metered))

    async def to_records(self, messages: AsyncMessage | Iterable[AsyncMessage] | None = None) -> list[dict[str, Any]]:
        """Return messages, by default all, as plain dictionaries: what `pandas.DataFrame` takes.

        The keys are `number`, `uid`, `size`, `deleted`, `date` (aware, in UTC), `from` and `subject` (str), `to` (a
        list of str), `message_id` and `error`. What is missing is None. No body is downloaded: costs one UIDL and one
        LIST, once per session, and one TOP for each message, in a pipeline if they are in a regular order. If the
        server does not return the headers of a message, or it is marked as deleted and they were not read before, its
        `error` says why, and the names from its header are None. Raises what `uids` and `sizes` do, but for
        `NotSupported`: without UIDL, each `uid` is None.
        """
        opened = self._require_open()
        run = opened.connection.run
        numbers = range(1, opened.state.count + 1) if messages is None else opened.numbers(messages)
        return [await run(opened.ask_record(opened.message(number))) for number in numbers]

    # --- the transaction ----------------------------------------------------------------------------------

    async def delete(self, messages: AsyncMessage | Iterable[AsyncMessage]) -> None:
        """Mark messages as deleted (DELE, pipelined); committing the session deletes them.

        `messages` is one message or an iterable of them; those already marked are skipped. The first call sends UIDL
        and LIST beforehand, because servers omit marked messages from their replies. If the server refuses some of the
        messages, the others are marked, and the first `CommandError` is raised; its `refused` maps message numbers to
        all of them. Raises ValueError if the mailbox is `read_only` or a message belongs to another session.
        """
        opened = self._require_open()
        await opened.connection.run(transaction.delete(opened.state, opened.numbers(messages)))

    async def undelete(self, messages: AsyncMessage | Iterable[AsyncMessage] | None = None) -> None:
        """Remove the deletion marks of these messages, by default all (RSET, then DELE again for the rest).

        Raises `CommandError` if RSET is refused; the session has then ended without deleting anything.
        """
        opened = self._require_open()
        numbers = None if messages is None else opened.numbers(messages)
        await opened.connection.run(transaction.undelete(opened.state, numbers))


class _Each(AsyncIterator[AsyncMessage]):
    """The messages in order."""

    __slots__ = ("_messages",)

    def __init__(self, inbox: AsyncMailbox) -> None:
        self._messages = iter(inbox)

    async def __anext__(self) -> AsyncMessage:
        for message in self._messages:
            return message
        raise StopAsyncIteration


class _Fetched(AsyncGenerator[AsyncMessage, None]):
    """The messages of a `fetch()`: not a generator function, so that leaving early takes effect at once."""

    __slots__ = ("_fetch",)

    def __init__(self, fetch: "Fetch[AsyncMessage, AsyncConnection]") -> None:
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
        """Leave early; replies still in flight are dropped."""
        self._fetch.abandon()

    def __del__(self) -> None:
        self._fetch.abandon()
