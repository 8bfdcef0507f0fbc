"""AsyncMailbox: the mailbox over asyncio, and many accounts at once.

The names are those of `Mailbox` and `Message`; what may have to ask the server is a coroutine, and a property that may
do so is a coroutine without arguments. The flows, the snapshot and the errors are the same; this module only waits.

A cancellation, be it by `asyncio.timeout`, closes the connection without QUIT wherever it comes: nothing is committed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeVar, Unpack

from attrs import field, frozen

from pymailbox import reading, transaction
from pymailbox.account import Account, AsyncPassword
from pymailbox.aio_message import AsyncMessage
from pymailbox.desk import Desk
from pymailbox.errors import ConcurrentUse, MailboxError
from pymailbox.pop3 import commands
from pymailbox.pop3.aio import AsyncConnection
from pymailbox.pop3.flows import Flow, ask
from pymailbox.pop3.session import Batch
from pymailbox.sequence import MailboxOptions, MessageSequence
from pymailbox.snapshot import Snapshot

__all__ = ["AsyncMailbox", "Result", "gather_accounts"]

T = TypeVar("T")


class AsyncMailbox(MessageSequence[AsyncMessage, AsyncConnection, AsyncPassword]):
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
        if self._desk is not None:
            raise ValueError("this mailbox is open already")
        if self._connection.opened:
            self._connection = self._fresh_connection()
        connection = self._connection
        try:
            await connection.connect()
            snapshot = await connection.run(self._begin())
        except MailboxError as error:
            await connection.close()
            error.usable = False
            raise
        except BaseException:
            connection.abort()
            raise
        self._desk = Desk(connection, snapshot, AsyncMessage)
        return self

    async def close(self) -> None:
        """Say QUIT, which commits the deletions, and close. May be called again.

        Raises `CommitError` where deletions were pending and QUIT was refused or not answered; `ConnectionLost`
        where the session had died before with deletions pending: then none of them happened.
        """
        await self._leave(transaction.commit)

    async def rollback(self) -> None:
        """Take back all marks and close. May be called again."""
        await self._leave(transaction.roll_back)

    async def _leave(self, ending: Callable[[Snapshot[AsyncMessage]], Flow[None]]) -> None:
        desk, self._desk = self._desk, None
        if desk is None:
            return
        try:
            await desk.connection.run(desk.leave(ending))
        except ConcurrentUse:
            self._desk = desk  # nothing was said: who uses the session goes on
            raise
        except BaseException:
            await desk.connection.close()
            raise
        await desk.connection.close()

    async def __aenter__(self) -> Self:
        return self if self._desk is not None else await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
            return
        if not isinstance(error, Exception):  # cancelled: nothing is said and nothing waited for any more
            self._connection.abort()
            self._desk = None
            return
        try:
            await self.rollback()
        except MailboxError as failure:
            error.add_note(f"while leaving the mailbox: {failure}")

    async def keep_alive(self) -> None:
        """Say NOOP, so that the server does not end an idle session."""
        await self._open_desk().connection.run(ask(commands.noop()))

    async def reopen(self) -> None:
        """Commit, and begin a fresh session with what has arrived since; messages of the old one stay readable.

        After the session has died this just begins a fresh one: deletions that were pending did not happen.
        """
        desk = self._open_desk()
        self._check_fresh()
        if desk.alive:
            await self.close()
        self._desk = None
        await self.open()

    # --- facts and listings -------------------------------------------------------------------------------

    async def size(self) -> int:
        """Octets of all messages together, by STAT."""
        desk = self._open_desk()
        return await desk.connection.run(reading.total(desk.snapshot))

    async def uids(self) -> tuple[str | None, ...]:
        """The uids, aligned with the positions; None where one is blank. One UIDL, once.

        Raises `NotSupported` where the server has no UIDL.
        """
        desk = self._open_desk()
        return await desk.connection.run(reading.uids(desk.snapshot))

    async def by_uid(self, uid: str) -> AsyncMessage:
        """Return the first message with that uid; KeyError if there is none."""
        desk = self._open_desk()
        return await desk.connection.run(desk.by_uid(uid))

    async def new(self, seen: Collection[str | None]) -> tuple[AsyncMessage, ...]:
        """Return the messages whose uid is not in `seen`, in order; a blank uid is never seen."""
        desk = self._open_desk()
        return await desk.connection.run(desk.new(seen))

    # --- iteration ----------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[AsyncMessage]:
        return _Each(self)

    def fetch(self, messages: AsyncMessage | Iterable[AsyncMessage] | None = None) -> AsyncIterator[AsyncMessage]:
        """Iterate over every message in order, bodies arriving in a pipeline; None: all that are not deleted.

        A refusal is raised when that message is read, not here. A message larger than `Limits.window` comes without
        its body, so that `save` can stream it. Leaving early costs at most what is in flight.
        """
        desk = self._open_desk()
        return _Fetched(desk, desk.plan(messages))

    # --- the transaction ----------------------------------------------------------------------------------

    async def delete(self, messages: AsyncMessage | Iterable[AsyncMessage]) -> None:
        """Mark messages (DELE, pipelined); they go when the session is committed.

        All replies are read; then the first refusal is raised, with `.refused` by message number.
        """
        desk = self._open_desk()
        await desk.connection.run(transaction.delete(desk.snapshot, desk.numbers(messages)))

    async def undelete(self, messages: AsyncMessage | Iterable[AsyncMessage] | None = None) -> None:
        """Take back the marks of messages, or all: RSET, and DELE again for the others."""
        desk = self._open_desk()
        numbers = None if messages is None else desk.numbers(messages)
        await desk.connection.run(transaction.undelete(desk.snapshot, numbers))


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

    __slots__ = ("_batch", "_desk", "_plan", "_ready")

    def __init__(self, desk: Desk[AsyncMessage, AsyncConnection], plan: reading.Fetch) -> None:
        self._desk = desk
        self._plan = plan
        self._batch: Batch[bytes] | None = None
        self._ready: deque[AsyncMessage] = deque()

    async def __anext__(self) -> AsyncMessage:
        desk, ready = self._desk, self._ready
        if self._batch is None:
            await desk.connection.run(reading.sizes(desk.snapshot))
            self._batch = desk.snapshot.session.batch(self._plan.commands())
        if not ready:
            result = await desk.connection.next_result(self._batch)
            ready.extend(desk.fetched(self._plan, result) if result is not None else desk.unfetched(self._plan))
        if not ready:
            raise StopAsyncIteration
        return ready.popleft()

    def __del__(self) -> None:
        if self._batch is not None:
            self._batch.abandoned = True


# --- many accounts --------------------------------------------------------------------------------------------


@frozen
class Result(Generic[T]):
    """What came of one account: a value, or the error that ended its session.

    >>> from pymailbox import Account, Result
    >>> Result(Account("pop.example.com", "me@example.com"), 5).value
    5
    """

    account: Account
    value: T | None = None
    error: BaseException | None = field(default=None, eq=False)


async def gather_accounts(
    accounts: Iterable[Account],
    work: Callable[[AsyncMailbox], Awaitable[T]],
    *,
    limit: int = 50,
    **options: Unpack[MailboxOptions],
) -> list[Result[T]]:
    """Run `work` over a session of its own for each account, at most `limit` at once; results in the given order.

    `work` is called with the open mailbox; when it returns the session is committed, when it raises rolled back. The
    failure of one account is its result and stops no other; a cancellation stops all. `options` are those of
    `AsyncMailbox`. Where no `ssl_context` is given, one is made for all.

    >>> import asyncio
    >>> from pymailbox import Account, gather_accounts
    >>> from pymailbox.testing import Server
    >>> async def count(inbox):
    ...     return len(inbox)
    >>> with Server([b"Subject: one\\r\\n\\r\\n1\\r\\n"], users={"ann": "1", "bob": "2"}) as server:
    ...     accounts = [Account(server.host, name, "1", security="none", port=server.port) for name in ("ann", "bob")]
    ...     results = asyncio.run(gather_accounts(accounts, count))
    >>> [(result.account.user, result.value, type(result.error).__name__) for result in results]
    [('ann', 1, 'NoneType'), ('bob', None, 'AuthenticationError')]
    """
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit must be a whole number, not {limit!r}")
    if limit < 1:
        raise ValueError(f"limit must be 1 or more, not {limit}")
    unknown = options.keys() - MailboxOptions.__annotations__.keys()
    if unknown:  # a mistake of the caller, not of one account
        raise TypeError(f"AsyncMailbox has no option {', '.join(map(repr, sorted(unknown)))}")
    wanted = list(accounts)
    if options.get("ssl_context") is None and any(account.security != "none" for account in wanted):
        from pymailbox.pop3.tls import verified

        options["ssl_context"] = verified()  # reading the system's authorities takes longer than a login
    results: list[Result[T]] = [Result(account) for account in wanted]
    todo = iter(range(len(wanted)))

    async def take_turns() -> None:
        for position in todo:
            results[position] = await _one(wanted[position], work, options)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, len(wanted))):
            group.create_task(take_turns())
    return results


async def _one(account: Account, work: Callable[[AsyncMailbox], Awaitable[T]], options: MailboxOptions) -> Result[T]:
    try:
        async with AsyncMailbox.from_account(account, **options) as inbox:
            return Result(account, await work(inbox))
    except Exception as error:
        return Result(account, error=error)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return Result(account, error=error)  # nobody cancelled us: the work itself ended so
