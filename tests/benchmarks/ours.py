"""pymailbox doing the same work, written as its users write it. A case is a generator, as in `floor`."""

from __future__ import annotations

from collections.abc import Iterator

from pymailbox import Mailbox
from pymailbox.pop3 import Connection, commands
from tests.benchmarks.service import Service

__all__ = [
    "bodies",
    "deletions",
    "headers",
    "listings",
    "mailbox_headers",
    "sizes",
    "stream",
    "triples",
    "uids",
]


def mailbox(service: Service) -> Mailbox:
    return Mailbox(
        service.host,
        service.user,
        service.password,
        port=service.port,
        security="tls" if service.certificate else "none",
        ssl_context=service.context(),
    )


def connection(service: Service) -> Connection:
    return Connection(
        service.host,
        port=service.port,
        security="tls" if service.certificate else "none",
        ssl_context=service.context(),
    )


def bodies(service: Service) -> Iterator[bytes | None]:
    """RETR every message with `fetch()`."""
    with mailbox(service) as inbox:
        yield None
        everything = service.count == len(inbox)
        for message in inbox.fetch(None if everything else inbox[: service.count]):
            yield message.raw


def stream(service: Service) -> Iterator[int | None]:
    """RETR every message into a file object with `write_to`."""
    with mailbox(service) as inbox:
        yield None
        with service.sink() as file:
            for message in inbox[: service.count]:
                yield message.write_to(file)


def headers(service: Service) -> Iterator[bytes | None]:
    """TOP n 0 of every message, raw, with `Connection.pipeline`."""
    with connection(service) as pop:
        pop.login(service.user, service.password)
        yield None
        for result in pop.pipeline(commands.top(number, 0) for number in service.numbers):
            assert isinstance(result, bytes)
            yield result
        pop.quit()


def mailbox_headers(service: Service) -> Iterator[tuple[bytes, ...] | None]:
    """TOP n 0 of every message, read ahead by the mailbox; one raw field of each."""
    with mailbox(service) as inbox:
        yield None
        for message in inbox[: service.count]:
            yield message.headers.raw("Message-ID")


def triples(service: Service) -> Iterator[list[tuple[object, ...]] | None]:
    """The list of subject, sender and date, as everybody writes it."""
    with mailbox(service) as inbox:
        yield None
        messages = inbox if service.count == len(inbox) else inbox[: service.count]
        yield [(m.subject, m.from_, m.date) for m in messages]


def uids(service: Service) -> Iterator[object]:
    """`inbox.uids` and the sizes of all messages: one UIDL and one LIST."""
    with mailbox(service) as inbox:
        yield None
        yield inbox.uids
        yield [inbox[0].size]


def sizes(service: Service) -> Iterator[object]:
    """`inbox.uids`, and `size` read from every message."""
    with mailbox(service) as inbox:
        yield None
        yield inbox.uids
        yield [message.size for message in inbox]


def listings(service: Service) -> Iterator[dict[int, object] | None]:
    """LIST and UIDL into dictionaries with `Connection`."""
    with connection(service) as pop:
        pop.login(service.user, service.password)
        yield None
        yield dict(pop.list())
        yield dict(pop.uidl())
        pop.quit()


def deletions(service: Service) -> Iterator[list[int] | None]:
    """DELE every message with `inbox.delete`."""
    with mailbox(service) as inbox:
        yield None
        inbox.delete(inbox[: service.count])
        yield [message.number for message in inbox.deleted]
