"""The work done by the standard library: poplib, and the email package for the three fields.

poplib returns lines; a program that needs the message must join them, so joining is part of the work.
"""

import email.parser
import email.policy
import poplib
from collections.abc import Callable, Iterator
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime
from typing import Any

from tests.benchmarks.case import Service


def login(service: Service) -> poplib.POP3:
    address, context = (service.host, service.port), service.context()
    pop = poplib.POP3_SSL(*address, context=context) if context else poplib.POP3(*address)
    pop.user(service.user)
    pop.pass_(service.password)
    return pop


def bodies(service: Service) -> Iterator[bytes | None]:
    pop = login(service)
    yield None
    for number in service.numbers:
        yield b"\r\n".join(pop.retr(number)[1]) + b"\r\n"
    pop.quit()


def stream(service: Service) -> Iterator[int | None]:
    """Read every message, then write it to a file, because poplib cannot stream."""
    with service.sink() as file:
        for raw in bodies(service):
            yield None if raw is None else file.write(raw)


def headers(service: Service) -> Iterator[list[tuple[object, ...]] | None]:
    """Send TOP n 0; decode subject, sender and date with the email package's old policy, which is the faster one."""

    def fields(m: Message) -> tuple[object, ...]:
        subject = str(make_header(decode_header(m["subject"])))
        return subject, parseaddr(m["from"])[1], parsedate_to_datetime(m["date"])

    yield from _headers(service, email.policy.compat32, fields)


def modern_headers(service: Service) -> Iterator[list[tuple[object, ...]] | None]:
    """Do the same with the email package's modern policy, whose values are decoded, and keep what they were parsed into."""

    def fields(m: Any) -> tuple[object, ...]:
        return m["subject"], m["from"], m["date"]

    yield from _headers(service, email.policy.default, fields)


def _headers(
    service: Service, policy: "email.policy.Policy[Any]", fields: Callable[[Any], tuple[object, ...]]
) -> Iterator[list[tuple[object, ...]] | None]:
    pop = login(service)
    parser = email.parser.BytesHeaderParser(policy=policy)
    yield None
    yield [fields(parser.parsebytes(b"\r\n".join(pop.top(number, 0)[1]))) for number in service.numbers]
    pop.quit()


def listings(service: Service) -> Iterator[dict[int, object] | None]:
    """Parse LIST and UIDL into dictionaries."""
    pop = login(service)
    yield None
    yield {int(number): int(size) for number, size in map(bytes.split, pop.list()[1])}
    yield {int(number): uid.decode() for number, uid in map(bytes.split, pop.uidl()[1])}
    pop.quit()
