"""Servers with many accounts, and processes that collect them."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from pymailbox import Account, PasswordEnv
from pymailbox.testing import Server

__all__ = ["MAILS", "PASSWORD", "USERS", "accounts_of", "hosts", "processes", "referring"]

MAILS = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(3)]

USERS = {f"user{number:02}": f"secret{number}" for number in range(20)}
PASSWORD = PasswordEnv("PYMAILBOX_TEST_PASSWORD")


def accounts_of(server: Server, *, passwords: dict[str, str] | None = None) -> list[Account]:
    """Return the accounts of a server; `passwords` replaces some of the correct ones."""
    assert server.users is not None
    wrong = passwords or {}
    return [
        Account(server.host, user, wrong.get(user, password), security="none", port=server.port)
        for user, password in server.users.items()
    ]


@contextmanager
def hosts(count: int, users: int, **options: Any) -> Iterator[list[Server]]:
    """Run a server on each of some addresses, with users of its own whose password is the test's."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                Server(
                    MAILS,
                    host=f"127.0.0.{host + 1}",
                    users={f"user{number}": "secret" for number in range(users)},
                    **options,
                )
            )
            for host in range(count)
        ]


def referring(*servers: Server) -> list[Account]:
    """Return the accounts of some servers, with a reference to the password, in turns."""
    return [
        Account(server.host, user, PASSWORD, security="none", port=server.port)
        for user in servers[0].users or {}
        for server in servers
    ]


def processes(**options: Any) -> Iterator[Executor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), **options) as pool:
        yield pool
