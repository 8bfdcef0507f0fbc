"""pymailbox doing the same work, written as its users write it. A case is a generator, as in `floor`.

What the coroutines read is added up inside them: handing every message out of the event loop would cost more than
reading it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from pymailbox import AsyncMailbox, Headers, Mailbox
from pymailbox.pop3 import Connection, commands
from tests.benchmarks.service import Service

T = TypeVar("T")
Triples = list[tuple[object, ...]]


def options(service: Service) -> dict[str, Any]:
    return {
        "port": service.port,
        "security": "tls" if service.certificate else "none",
        "ssl_context": service.context(),
    }


def mailbox(service: Service) -> Mailbox:
    return Mailbox(service.host, service.user, service.password, **options(service))


def mailbox_bodies(service: Service) -> Iterator[bytes | None]:
    with mailbox(service) as inbox:
        yield None
        for message in inbox.fetch():
            yield message.raw


def mailbox_stream(service: Service) -> Iterator[int | None]:
    with mailbox(service) as inbox:
        yield None
        with service.sink() as file:
            for message in inbox:
                yield message.write_to(file)


def mailbox_headers(service: Service) -> Iterator[Triples | None]:
    with mailbox(service) as inbox:
        yield None
        yield [(m.subject, m.from_, m.date) for m in inbox]


def over_asyncio(service: Service, work: Callable[[AsyncMailbox], Awaitable[T]]) -> Iterator[T | None]:
    with asyncio.Runner() as runner:
        inbox = AsyncMailbox(service.host, service.user, service.password, **options(service))
        runner.run(inbox.open())
        yield None
        yield runner.run(work(inbox))  # type: ignore[arg-type]  # every work is a coroutine
        runner.run(inbox.close())


def async_bodies(service: Service) -> Iterator[int | None]:
    async def work(inbox: AsyncMailbox) -> int:
        size = 0
        async for message in inbox.fetch():
            size += len(await message.raw())
        return size

    return over_asyncio(service, work)


def async_stream(service: Service) -> Iterator[int | None]:
    async def work(inbox: AsyncMailbox) -> int:
        with service.sink() as file:
            return sum([await message.write_to(file) async for message in inbox])

    return over_asyncio(service, work)


def async_headers(service: Service) -> Iterator[Triples | None]:
    async def work(inbox: AsyncMailbox) -> Triples:
        return [(await m.subject(), await m.from_(), await m.date()) async for m in inbox]

    return over_asyncio(service, work)


@contextlib.contextmanager
def connection(service: Service) -> Iterator[Connection]:
    with Connection(service.host, **options(service)) as pop:
        pop.login(service.user, service.password)
        yield pop
        pop.quit()


def connection_bodies(service: Service) -> Iterator[bytes | None]:
    with connection(service) as pop:
        yield None
        for raw in pop.pipeline(commands.retr(number) for number in service.numbers):
            assert isinstance(raw, bytes)
            yield raw


def connection_stream(service: Service) -> Iterator[int | None]:
    with connection(service) as pop:
        yield None
        with service.sink() as file:
            for number in service.numbers:
                yield pop.retr(number, sink=file.write)


def connection_headers(service: Service) -> Iterator[Triples | None]:
    with connection(service) as pop:
        yield None
        triples: Triples = []
        for raw in pop.pipeline(commands.top(number, 0) for number in service.numbers):
            assert isinstance(raw, bytes)
            headers = Headers.from_bytes(raw)
            triples.append((headers.subject, headers.from_, headers.date))
        yield triples
