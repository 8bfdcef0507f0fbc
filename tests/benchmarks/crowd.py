"""Many accounts at a round trip of 50 ms: one session each, so many at a time, in one process.

    python -m tests.benchmarks.crowd 0.025 200

runs the embedded server with that delay each way and that many users, prints its port as JSON and ends when its
standard input does. The cases read the subjects and the newest body of every account: with `gather_accounts`, and with
as many threads that each open a `Mailbox`. A user is the service's with a number behind it, from 1.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pymailbox import Account, AsyncMailbox, Mailbox, gather_accounts
from pymailbox.testing import Server
from tests.benchmarks.memory_server import PASSWORD
from tests.benchmarks.service import Service

__all__ = ["AT_ONCE", "MAILS", "USER", "gathered", "main", "threads"]

AT_ONCE = 50
USER = "fresh"  # what tests.servers calls the users that it makes
MAILS = [
    b"Subject: mail %d\r\nFrom: ann@example.com\r\n\r\n" % number
    + b"A line of some sixty octets of text, as mails have them.\r\n" * 36
    for number in range(20)
]


def accounts(service: Service) -> list[Account]:
    return [
        Account(service.host, f"{service.user}{number}", service.password, security="none", port=service.port)
        for number in service.numbers
    ]


def gathered(service: Service) -> Iterator[int | None]:
    """`gather_accounts` over asyncio; yields how many subjects were read."""

    async def work(inbox: AsyncMailbox) -> int:
        subjects = [await message.subject() async for message in inbox]
        assert await inbox[-1].raw()
        return len(subjects)

    yield None
    for result in asyncio.run(gather_accounts(accounts(service), work, limit=AT_ONCE)):
        if result.error is not None:
            raise result.error
        assert result.value is not None
        yield result.value


def threads(service: Service) -> Iterator[int | None]:
    """The same with threads."""

    def work(account: Account) -> int:
        with Mailbox.from_account(account) as inbox:
            subjects = [message.subject for message in inbox]
            assert inbox[-1].raw
            return len(subjects)

    yield None
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(work, accounts(service))


def main() -> None:
    """Serve until standard input ends."""
    delay, count = float(sys.argv[1]), int(sys.argv[2])
    users = {f"{USER}{number}": PASSWORD for number in range(1, count + 1)}
    with Server(MAILS, users=users, latency=delay) as server:
        print(json.dumps({"port": server.port}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
