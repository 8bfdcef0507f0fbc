"""AsyncWatch: the messages that arrive in an account, one session after another, over asyncio.

It waits and runs sessions; `abstract_watch` decides what to do. State files are read and written in a thread.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from pymailbox.account import Account
from pymailbox.errors import CommandError, LimitExceeded, MailboxError
from pymailbox.mailbox.async_mailbox import AsyncMailbox
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.watching.abstract_watch import AbstractWatch, Steps, check_wait
from pymailbox.watching.arrival import Arrival
from pymailbox.watching.look import Look

__all__ = ["AsyncWatch"]

T = TypeVar("T")


class AsyncWatch(AbstractWatch[AsyncMailbox], AsyncIterator[Arrival]):
    """Wait for messages to arrive in an account, for asyncio: an asynchronous iterator of `Arrival`s.

    It has the arguments, methods, guarantees and errors of `Watch`: `async with`, `async for`, `await watch.wait(...)`.
    A cancelled wait loses nothing: what has arrived is handed out by the next one. `done()` is not awaited, so that a
    cancellation cannot hit it; with `state=` it takes the time of one commit, usually some milliseconds. If that is too
    long for your event loop, use `await asyncio.to_thread(arrival.done)`.

    >>> import asyncio
    >>> from pymailbox import Account, AsyncWatch
    >>> from pymailbox.testing import Server
    >>> async def main():
    ...     with Server([b"Subject: old\\r\\n\\r\\n"]) as server:
    ...         account = Account(server.host, "me", "secret", port=server.port, security="none")
    ...         async with AsyncWatch(account, every=60) as watch:
    ...             server.deliver(b"Subject: Your code\\r\\n\\r\\n4711\\r\\n")
    ...             print((await watch.wait(timeout=120)).subject)
    >>> asyncio.run(main())
    Your code
    """

    def __init__(
        self,
        account: Account,
        every: float = 60.0,
        state: str | os.PathLike[str] | None = None,
        **options: Unpack[MailboxOptions],
    ) -> None:
        super().__init__(AsyncMailbox, account, every, state, options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None  # the wait or the look in progress

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            await self._run(self._enter())
        except BaseException:
            self._arrivals.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arrivals.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Arrival:
        arrival = await self._run(self._search(None, None))
        if arrival is None:
            raise StopAsyncIteration
        return arrival

    async def wait(
        self, predicate: Callable[[Arrival], object] | None = None, *, timeout: float | None = None
    ) -> Arrival:
        """Return the first message that arrived and for which `predicate` is true, by default the first of all.

        Messages that do not match are kept in memory, in order, for the next `wait()` or loop. Raises TimeoutError
        after `timeout` seconds; a look that has begun is finished first. If looks are failing, the last error is its
        `__cause__`. Raises `MailboxError` after `stop()`. What `predicate` raises passes through, and the message is
        kept.
        """
        check_wait(predicate, timeout)
        arrival = await self._run(self._search(predicate, timeout))
        if arrival is None:
            raise self._stop_error()
        return arrival

    def stop(self) -> None:
        """End the watch: a loop ends normally, `wait()` and entering raise `MailboxError`.

        May be called from another thread or a signal handler, and again. Takes effect at once, during a look too. The
        loop body is not interrupted. Messages that were not handed out are dropped; with `state=` the next watch has
        them.
        """
        self._stopped = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing waits any more
                self._loop.call_soon_threadsafe(self._end_task)

    def _end_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # --- the driver ---------------------------------------------------------------------------------------

    async def _run(self, steps: Steps[T]) -> T:
        failure: MailboxError | None = None
        try:
            while True:
                try:
                    step = next(steps) if failure is None else steps.throw(failure)
                except StopIteration as end:
                    value: T = end.value
                    return value
                failure = None
                try:
                    if isinstance(step, Look):
                        await self._until_stopped(self._look(step))
                    else:
                        with contextlib.suppress(MailboxError):  # stopped
                            await self._until_stopped(self._pause(step))
                except MailboxError as error:
                    failure = error
        finally:
            steps.close()

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Await a wait or a look; after `stop()` cancel it and raise `MailboxError`."""
        task = self._task = asyncio.create_task(work)
        try:
            if self._stopped:  # just now, in another thread
                task.cancel()
            await task
        except asyncio.CancelledError:
            outer = asyncio.current_task()
            if not self._stopped or outer is None or outer.cancelling():
                raise
            raise self._stop_error() from None
        finally:
            self._task = None

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _look(self, look: Look) -> None:
        async with self._inbox as inbox:
            if look.opened(len(inbox), inbox.capabilities):
                try:
                    await inbox.connection.uidl()
                except CommandError as refused:
                    look.refused_uidl(refused)
            uids = await inbox.uids()
            sizes: tuple[int | None, ...] = (None,) * len(uids)
            with contextlib.suppress(CommandError):
                sizes = await inbox.sizes()
            numbers = await asyncio.to_thread(look.plan, uids, sizes)
            async for message in inbox.fetch([inbox[number - 1] for number in numbers]):
                try:
                    raw = await message.raw()
                except (CommandError, LimitExceeded) as refused:
                    look.refuse(refused)
                else:
                    if look.take(raw):
                        break
