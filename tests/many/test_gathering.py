"""`gather_accounts`: a result for each account, a bound on sessions, arguments checked first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pymailbox import Account, AsyncMailbox, gather_accounts
from pymailbox.many import AccountResult
from pymailbox.testing import Server
from tests import case
from tests.many.servers import MAILS, USERS, accounts_of
from tests.timing import GENEROUS, eventually_async


def test_results_in_the_order_of_the_accounts() -> None:
    """Each account has one result, a failure is one, too, and deletions are committed if `work` did not fail."""

    async def work(inbox: AsyncMailbox) -> tuple[str | None, int]:
        user = inbox.account.user
        await asyncio.sleep(0.02 if user == "user00" else 0)
        await inbox[0].delete()
        if user == "user07":
            raise LookupError(user)
        return user, len(inbox)

    with Server(MAILS, users=USERS) as server:
        accounts = accounts_of(server, passwords={"user03": "wrong"})
        results = asyncio.run(gather_accounts(accounts, work, limit=4))
        server.wait(GENEROUS)
        assert [result.account for result in results] == accounts
        for number, result in enumerate(results):
            user = f"user{number:02}"
            if number == 3:
                assert type(result.error).__name__ == "AuthenticationError"
            elif number == 7:
                assert isinstance(result.error, LookupError)
            else:
                assert result == AccountResult(accounts[number], (user, 3))
                assert result.error is None
            kept = 3 if number in (3, 7) else 2
            assert len(server.mailbox(user)) == kept


@asynccontextmanager
async def counting(counts: list[int]) -> AsyncIterator[None]:
    counts[0] += 1
    counts[1] = max(counts)
    try:
        yield
    finally:
        counts[0] -= 1


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_never_more_than_the_limit(limit: int) -> None:
    """At most `limit` sessions are open at once, and with enough accounts exactly as many."""
    counts = [0, 0]

    async def work(inbox: AsyncMailbox) -> None:
        async with counting(counts):
            await eventually_async(lambda: counts[1] >= min(limit, 20))
            await inbox.keep_alive()

    with Server(MAILS[:1], users=USERS) as server:
        results = asyncio.run(gather_accounts(accounts_of(server), work, limit=limit))
        assert all(result.error is None for result in results)
        assert counts == [0, min(limit, 20)]


def test_a_cancellation_stops_all() -> None:
    """After a cancellation no session continues and none commits."""
    deleted = []

    async def work(inbox: AsyncMailbox) -> None:
        await inbox[0].delete()
        deleted.append(inbox)
        await asyncio.sleep(600)

    async def run() -> None:
        async with asyncio.timeout(None) as timer:
            gathering = asyncio.create_task(gather_accounts(accounts_of(server), work, limit=5))
            await eventually_async(lambda: len(deleted) == 5)
            timer.reschedule(asyncio.get_running_loop().time() + 0.1)
            await gathering

    with Server(MAILS[:1], users=USERS) as server:
        with pytest.raises(TimeoutError):
            asyncio.run(run())
        server.wait(GENEROUS)
        assert len(server.sessions) == 5
        assert "QUIT" not in server.log
        assert all(len(server.mailbox(user)) == 1 for user in USERS)


def test_a_cancelled_error_raised_by_work_is_a_result() -> None:
    """Unless the task was cancelled, CancelledError is a result like any other error."""

    async def work(inbox: AsyncMailbox) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    with Server(MAILS[:1], users=USERS) as server:
        results = asyncio.run(gather_accounts(accounts_of(server)[:3], work))
        assert [type(result.error) for result in results] == [asyncio.CancelledError] * 3


def test_gathering_nothing_and_misuse() -> None:
    """Without accounts there are no results; an invalid limit or function is refused, and nothing is connected."""

    async def work(inbox: AsyncMailbox) -> None:
        raise AssertionError

    assert asyncio.run(gather_accounts([], work)) == []
    for limit, error in ((0, ValueError), (True, TypeError), ("5", TypeError)):
        with pytest.raises(error):
            asyncio.run(gather_accounts([], work, limit=limit))  # type: ignore[arg-type]
    with Server(MAILS, users=USERS) as server:
        with pytest.raises(TypeError, match="work must be a coroutine function"):
            asyncio.run(gather_accounts(accounts_of(server), None))  # type: ignore[arg-type]
        assert server.sessions == ()


def test_an_invalid_option_is_refused_before_anything_is_connected() -> None:
    """TypeError or ValueError from the call itself, even without accounts."""

    async def work(inbox: AsyncMailbox) -> None:
        raise AssertionError

    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"tiemout": 3}, TypeError),
        ({"timeout": "3"}, TypeError),
        ({"timeout": -1}, ValueError),
        ({"limits": "none"}, TypeError),
        ({"auth": 42}, TypeError),
        ({"ssl_context": True}, TypeError),
        ({"security": "ssl"}, ValueError),
        ({"port": 70_000}, ValueError),
        ({"source_address": "127.0.0.1"}, TypeError),
        ({"proxy": "ftp://localhost"}, ValueError),
    ]
    with Server(MAILS, users=USERS) as server:
        for accounts in (accounts_of(server), []):
            for options, error in wrong:
                with case(options), pytest.raises(error):
                    asyncio.run(gather_accounts(accounts, work, **options))
        assert server.sessions == ()


def test_one_context_for_all() -> None:
    """Options reach every mailbox, `ssl_context` included."""

    async def work(inbox: AsyncMailbox) -> bool:
        assert inbox.connection.session.secure
        with pytest.raises(ValueError, match="read_only"):
            await inbox[0].delete()
        return True

    with Server(MAILS[:1], users=USERS, security="tls") as server:
        accounts = [Account(server.host, user, password, port=server.port) for user, password in USERS.items()]
        context = server.client_context()
        results = asyncio.run(gather_accounts(accounts, work, ssl_context=context, read_only=True))
        assert all(result.value for result in results), results
        failed = asyncio.run(gather_accounts(accounts[:2], work))
        assert {type(result.error).__name__ for result in failed} == {"TLSError"}
