"""The work done by pymailbox, written as its users would write it.

Coroutines add up what they read, because passing every message out of the event loop would cost more than reading it.
"""

import asyncio
import contextlib
import io
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from pymailbox import Account, Archive, AsyncMailbox, Headers, Mailbox, Message, Seen, cli
from pymailbox.pop3 import Connection, commands
from tests.benchmarks.case import Service
from tests.benchmarks.memory_server import uid

T = TypeVar("T")
Triples = list[tuple[object, ...]]
Case = Callable[[Service], Iterator[T | None]]


def options(service: Service) -> dict[str, Any]:
    security = "tls" if service.certificate else "none"
    return {"host": service.host, "port": service.port, "security": security, "ssl_context": service.context()}


def known(service: Service) -> int:
    """How many messages are known to `inbox.new`, `Seen.new` and `ls --new`: all but 1,000, or a tenth of a few."""
    return service.count - min(1_000, service.count // 10)


def mailbox(service: Service) -> Mailbox:
    return Mailbox(user=service.user, password=service.password, **options(service))


def mailbox_bodies(service: Service) -> Iterator[bytes | None]:
    with mailbox(service) as inbox:
        yield None
        for message in inbox.fetch():
            yield message.raw


def mailbox_stream(service: Service) -> Iterator[int | None]:
    with mailbox(service) as inbox, service.sink() as file:
        yield None
        for message in inbox:
            yield message.write_to(file)


def mailbox_headers(service: Service) -> Iterator[Triples | None]:
    with mailbox(service) as inbox:
        yield None
        yield [(m.subject, m.from_, m.date) for m in inbox]


def mailbox_messages(service: Service) -> Iterator[list[Message] | None]:
    """Make the messages when both listings are there."""
    with mailbox(service) as inbox:
        assert len(inbox.sizes) == len(inbox.uids)
        yield None
        yield list(inbox)


def mailbox_one_by_one(service: Service) -> Iterator[int | None]:
    """Make the messages when both listings are there, and keep none."""
    with mailbox(service) as inbox:
        assert len(inbox.sizes) == len(inbox.uids)
        yield None
        yield sum(1 for _ in inbox)


def mailbox_sizes(service: Service) -> Iterator[list[int | None] | None]:
    with mailbox(service) as inbox:
        yield None
        yield [m.size for m in inbox]


def mailbox_listings(service: Service) -> Iterator[tuple[object, ...] | None]:
    with mailbox(service) as inbox:
        yield None
        yield inbox.sizes
        yield inbox.uids


def mailbox_new(service: Service) -> Iterator[tuple[Message, ...] | None]:
    seen = {uid(number).decode() for number in service.numbers[: known(service)]}
    with mailbox(service) as inbox:
        yield None
        yield inbox.new(seen)


def seen_add(service: Service) -> Iterator[tuple[Message, ...] | None]:
    with mailbox(service) as inbox, Seen(f"{service.directory}/seen") as seen:
        yield None
        messages = seen.new(inbox)[: known(service)]
        seen.add(messages)
        yield messages


def seen_new(service: Service) -> Iterator[tuple[Message, ...] | None]:
    with mailbox(service) as inbox, Seen(f"{service.directory}/seen") as seen:
        yield None
        yield seen.new(inbox)


def archive_collect(service: Service, limit: int | None = None) -> Iterator[int | None]:
    account = Account(service.host, service.user, service.password, port=service.port, security="none")
    with Archive(f"{service.directory}/mail") as archive:
        yield None
        yield archive.collect(account, limit=limit).new


def archive_known(service: Service) -> Iterator[int | None]:
    yield from archive_collect(service, known(service))


def archive_verify(service: Service) -> Iterator[int | None]:
    with Archive(f"{service.directory}/mail") as archive:
        yield None
        verified = archive.verify()
        assert verified
        yield verified.read


def ls_new(service: Service) -> Iterator[list[str] | None]:
    """`pymailbox ls --new` without the start of Python."""
    os.environ["PYMAILBOX_PASSWORD"] = service.password
    url, printed = f"pop://{service.user}@{service.host}:{service.port}", io.StringIO()
    yield None
    with contextlib.redirect_stdout(printed):
        assert cli.main(["ls", "--new", "--to", f"{service.directory}/mail", url]) == 0
    yield printed.getvalue().splitlines()


def over_asyncio(work: Callable[[Service, AsyncMailbox], Awaitable[T]]) -> Case[T]:
    def case(service: Service) -> Iterator[T | None]:
        with asyncio.Runner() as runner:
            inbox = AsyncMailbox(user=service.user, password=service.password, **options(service))
            runner.run(inbox.open())
            yield None
            yield runner.run(work(service, inbox))  # type: ignore[arg-type]  # every work is a coroutine
            runner.run(inbox.close())

    return case


@over_asyncio
async def async_bodies(service: Service, inbox: AsyncMailbox) -> int:
    return sum([len(await message.raw()) async for message in inbox.fetch()])


@over_asyncio
async def async_stream(service: Service, inbox: AsyncMailbox) -> int:
    with service.sink() as file:
        return sum([await message.write_to(file) async for message in inbox])


@over_asyncio
async def async_headers(service: Service, inbox: AsyncMailbox) -> Triples:
    return [(await m.subject(), await m.from_(), await m.date()) async for m in inbox]


@contextlib.contextmanager
def connection(service: Service) -> Iterator[Connection]:
    with Connection(**options(service)) as pop:
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
    with connection(service) as pop, service.sink() as file:
        yield None
        for number in service.numbers:
            yield pop.retr(number, sink=file.write)


def connection_headers(service: Service) -> Iterator[Triples | None]:
    with connection(service) as pop:
        yield None
        raws = pop.pipeline(commands.top(number, 0) for number in service.numbers)
        parsed = (Headers.from_bytes(raw) for raw in raws if isinstance(raw, bytes))
        yield [(headers.subject, headers.from_, headers.date) for headers in parsed]
