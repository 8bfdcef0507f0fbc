"""Many accounts at once: the same work over a session of its own for each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar, Unpack

from attrs import field, frozen

from pymailbox.account import Account
from pymailbox.mailbox.async_mailbox import AsyncMailbox
from pymailbox.mailbox.options import MailboxOptions

__all__ = ["AccountResult", "gather_accounts"]

T = TypeVar("T")


@frozen
class AccountResult(Generic[T]):
    """What came of one account: a value, or the error that ended its session.

    >>> from pymailbox import Account, AccountResult
    >>> AccountResult(Account("pop.example.com", "me@example.com"), 5).value
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
) -> list[AccountResult[T]]:
    """Run `work` over a session of its own for each account, at most `limit` at once; results in the given order.

    `work` is called with the open mailbox; when it returns the session is committed, when it raises rolled back. The
    failure of one account is its result and stops no other; a cancellation stops all. `options` are those of
    `AsyncMailbox`; one that is unknown or not valid is TypeError or ValueError before anything is connected. Where no
    `ssl_context` is given, one is made for all.

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
    wanted = list(accounts)
    for account in wanted or [Account("localhost", "nobody", "")]:
        AsyncMailbox.from_account(account, **options)  # a wrong option is a mistake of the caller, not of one account
    if options.get("ssl_context") is None and any(account.security != "none" for account in wanted):
        from pymailbox.pop3.tls import verified

        options["ssl_context"] = verified()  # reading the system's authorities takes longer than a login
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
        return AccountResult(account, error=error)  # nobody cancelled us: the work itself ended so
