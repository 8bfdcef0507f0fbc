"""pymailbox's AsyncMailbox doing the same work.

A case is a generator, as in `floor`; what the coroutines return is added up inside, because handing every message out
of the event loop would cost more than reading it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pymailbox import AsyncMailbox
from tests.benchmarks.service import Service

__all__ = ["bodies", "collect", "stream", "triples"]


def mailbox(service: Service) -> AsyncMailbox:
    return AsyncMailbox(
        service.host,
        service.user,
        service.password,
        port=service.port,
        security="tls" if service.certificate else "none",
        ssl_context=service.context(),
    )


async def collect(inbox: AsyncMailbox, take: Callable[[bytes], object]) -> None:
    """Hand every body to `take`."""
    async for message in inbox.fetch():
        take(await message.raw())


def bodies(service: Service) -> Iterator[int | None]:
    """RETR every message with `fetch()`; yields the octets."""
    with asyncio.Runner() as runner:
        inbox = mailbox(service)
        runner.run(inbox.open())
        yield None
        sizes: list[int] = []
        runner.run(collect(inbox, lambda raw: sizes.append(len(raw))))
        yield sum(sizes)
        runner.run(inbox.close())


def stream(service: Service) -> Iterator[int | None]:
    """RETR every message into a file object with `write_to`."""

    async def write(file: BinaryIO) -> list[int]:
        return [await message.write_to(file) for message in inbox[: service.count]]

    with asyncio.Runner() as runner, service.sink() as file:
        inbox = mailbox(service)
        runner.run(inbox.open())
        yield None
        yield from runner.run(write(file))
        runner.run(inbox.close())


def triples(service: Service) -> Iterator[list[tuple[object, ...]] | None]:
    """The list of subject, sender and date."""

    async def read() -> list[tuple[object, ...]]:
        return [(await m.subject(), await m.from_(), await m.date()) async for m in inbox]

    with asyncio.Runner() as runner:
        inbox = mailbox(service)
        runner.run(inbox.open())
        yield None
        yield runner.run(read())
        runner.run(inbox.close())
