"""`retr` as it is, lines and all: the standard library's poplib and the drop-in, by the same code.

A case is a generator, as in `floor`; it yields the octets of each message.
"""

from __future__ import annotations

import poplib as standard
from collections.abc import Iterator
from types import ModuleType

from pymailbox import poplib as drop_in
from tests.benchmarks.service import Service

__all__ = ["retr", "retr_standard"]


def lines(module: ModuleType, service: Service) -> Iterator[int | None]:
    context = service.context()
    if context:
        pop = module.POP3_SSL(service.host, service.port, context=context)
    else:
        pop = module.POP3(service.host, service.port)
    pop.user(service.user)
    pop.pass_(service.password)
    yield None
    for number in service.numbers:
        yield pop.retr(number)[2]
    pop.quit()


def retr_standard(service: Service) -> Iterator[int | None]:
    """RETR every message with the standard library."""
    return lines(standard, service)


def retr(service: Service) -> Iterator[int | None]:
    """RETR every message with the drop-in."""
    return lines(drop_in, service)
