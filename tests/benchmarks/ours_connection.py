"""pymailbox's Connection doing the same work, one floor below the mailbox. A case is a generator, as in `floor`."""

from __future__ import annotations

from collections.abc import Iterator

from pymailbox.pop3 import Connection, commands
from tests.benchmarks.service import Service

__all__ = ["bodies", "deletions", "headers", "listings", "stream"]


def connection(service: Service) -> Connection:
    return Connection(
        service.host,
        port=service.port,
        security="tls" if service.certificate else "none",
        ssl_context=service.context(),
    )


def headers(service: Service) -> Iterator[bytes | None]:
    """TOP n 0 of every message, raw, with `Connection.pipeline`."""
    with connection(service) as pop:
        pop.login(service.user, service.password)
        yield None
        for result in pop.pipeline(commands.top(number, 0) for number in service.numbers):
            assert isinstance(result, bytes)
            yield result
        pop.quit()


def bodies(service: Service) -> Iterator[bytes | None]:
    """RETR every message with `Connection.pipeline`."""
    with connection(service) as pop:
        pop.login(service.user, service.password)
        yield None
        for result in pop.pipeline(commands.retr(number) for number in service.numbers):
            assert isinstance(result, bytes)
            yield result
        pop.quit()


def stream(service: Service) -> Iterator[int | None]:
    """RETR every message into a file object with `retr(n, sink=file.write)`."""
    with connection(service) as pop:
        pop.login(service.user, service.password)
        yield None
        with service.sink() as file:
            for number in service.numbers:
                yield pop.retr(number, sink=file.write)
        pop.quit()


def listings(service: Service) -> Iterator[dict[int, object] | None]:
    """LIST and UIDL into dictionaries with `Connection`."""
    with connection(service) as pop:
        pop.login(service.user, service.password)
        yield None
        yield dict(pop.list())
        yield dict(pop.uidl())
        pop.quit()


def deletions(service: Service) -> Iterator[list[int] | None]:
    """DELE every message with `Connection.pipeline`."""
    with connection(service) as pop:
        pop.login(service.user, service.password)
        yield None
        replies = list(pop.pipeline(commands.dele(number) for number in service.numbers))
        assert all(isinstance(reply, str) for reply in replies)
        yield list(service.numbers)
        pop.quit()
