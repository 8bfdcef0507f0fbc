"""gather_accounts: a coroutine function over a session of each account, on the event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar, Unpack

from attrs import field, frozen

from pymailbox.account import Account
from pymailbox.display import type_name
from pymailbox.mailbox.async_mailbox import AsyncMailbox
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.many.arguments import check_number, checked_accounts, default_context, needs_context

__all__ = ["AccountResult", "gather_accounts"]

T = TypeVar("T")


@frozen
class AccountResult(Generic[T]):
    """The result for one account: the value that `work` returned, or the error that ended the session.

    >>> from pymailbox import Account, AccountResult
    >>> AccountResult(Account("pop.example.com", "me@example.com"), 5).value
    5
    """

    #: The account.
    account: Account
    #: What `work` returned; None if there was an error.
    value: T | None = None
    #: What was raised, by `work` or the mailbox; None on success.
    error: BaseException | None = field(default=None, eq=False)


async def gather_accounts(
    accounts: Iterable[Account],
    work: Callable[[AsyncMailbox], Awaitable[T]],
    *,
    limit: int = 50,
    **options: Unpack[MailboxOptions],
) -> list[AccountResult[T]]:
    """Open a session for each account, at most `limit` at a time, and await `work(inbox)` in it.

    Return the results in the order of `accounts`. A session is committed when `work` returns and rolled back when it
    raises. An error is the result of its account and does not affect the others; a cancellation stops all. `options`
    are those of `AsyncMailbox`, and override the accounts'. Without `ssl_context`, all accounts share one default
    context. Raises TypeError or ValueError for invalid arguments before anything is connected.

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
    if not callable(work):
        raise TypeError(f"work must be a coroutine function that takes an AsyncMailbox, not {type_name(work)}")
    check_number("limit", limit)
    wanted = checked_accounts(accounts, lambda account: AsyncMailbox.from_account(account, **options))
    if needs_context(wanted, options):
        options["ssl_context"] = default_context()
    results: list[AccountResult[T]] = [AccountResult(account) for account in wanted]
    todo = iter(range(len(wanted)))

    async def worker() -> None:
        for position in todo:
            results[position] = await _run_account(wanted[position], work, options)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, len(wanted))):
            group.create_task(worker())
    return results


async def _run_account(
    account: Account, work: Callable[[AsyncMailbox], Awaitable[T]], options: MailboxOptions
) -> AccountResult[T]:
    try:
        async with AsyncMailbox.from_account(account, **options) as inbox:
            return AccountResult(account, await work(inbox))
    except Exception as error:
        return AccountResult(account, error=error)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return AccountResult(account, error=error)  # we were not cancelled: `work` raised it
