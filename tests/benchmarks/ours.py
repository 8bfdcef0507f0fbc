"""pymailbox's Mailbox doing the same work, written as its users write it. A case is a generator, as in `floor`."""

from __future__ import annotations

from collections.abc import Iterator

from pymailbox import Mailbox
from tests.benchmarks.service import Service

__all__ = [
    "bodies",
    "deletions",
    "headers",
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


def headers(service: Service) -> Iterator[tuple[bytes, ...] | None]:
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


def deletions(service: Service) -> Iterator[list[int] | None]:
    """DELE every message with `inbox.delete`."""
    with mailbox(service) as inbox:
        yield None
        inbox.delete(inbox[: service.count])
        yield [message.number for message in inbox.deleted]
