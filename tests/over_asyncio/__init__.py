"""The suites of faults, threats and logins over asyncio: the same tests, with the blocking names over an event loop.

Each module adopts a suite of `tests`: its fixtures and its tests, which run once more with `Connection` and `Mailbox`
replaced by their twins behind the facades of `tests.drivers`. What only threads, signals and processes can do is left
out by name, with its reason; `tests.pop3.test_async_connection` has what only an event loop can.
"""

import inspect
import select
import time
import unittest
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest

from tests import replay
from tests.drivers import Facade, asynchronous

__all__ = ["ALONE", "CALLBACKS", "adopt"]

CALLBACKS = "what the event loop calls cannot run the event loop; test_async_connection has the same"
ALONE = "it runs the blocking half in a process of its own"

#: What only the blocking half has, by a word in the name of the test, and what is there instead.
WORDS = {
    "thread": "tasks are in test_async_connection",
    "threads": "tasks are in test_async_connection",
    "interrupted": "Ctrl-C is a cancellation; test_cancellation has that at every await",
    "signal": "Ctrl-C is a cancellation; test_cancellation has that at every await",
    "fork": "an event loop is not forked; test_async_connection has a copy in another process",
}


def plainly_dead(pop: Any) -> bool:
    """Whether the session is plainly dead: the next use raises at once, and the socket is closed."""
    with pytest.raises(ConnectionError):
        pop.noop()
    assert isinstance(pop, Facade)
    transport = pop._inner._transport
    assert transport is not None
    sock = transport._transport.get_extra_info("socket")
    return sock is None or bool(sock.fileno() == -1)


class Select:
    """The module `select`, where a wait for the client's socket is over, too, when the event loop has read from it."""

    def __init__(self, connections: Callable[[], Iterable[Any]]) -> None:
        self._connections = connections

    def select(self, readers: list[Any], writers: list[Any], others: list[Any], timeout: float) -> Any:
        """Wait as `select.select` does; readers are ready as well when something lies in a transport's own buffer."""
        deadline = time.monotonic() + timeout
        while True:
            found = select.select(readers, writers, others, min(timeout, 0.01))
            if any(found) or time.monotonic() >= deadline:
                return found
            if any(pop._transport and pop._transport._arrived.octets for pop in self._connections()):
                return readers, [], []


def adopt(suite: ModuleType, namespace: dict[str, Any], left_out: Mapping[str, str] | None = None) -> None:
    """Take over the fixtures and tests of a suite, but those left out with the reason why, to run over asyncio."""
    unwanted = dict(left_out or {})
    for name, value in vars(suite).items():
        if unwanted.pop(name, None) is not None or not WORDS.keys().isdisjoint(name.split("_")):
            continue
        if (
            (name.startswith("test_") and inspect.isfunction(value))
            or (inspect.isclass(value) and issubclass(value, unittest.TestCase) and name.startswith("Test"))
            or type(value).__name__ == "FixtureFunctionDefinition"
        ):
            namespace[name] = value
    assert not unwanted, f"no such tests: {unwanted}"

    @pytest.fixture(autouse=True)
    def over_asyncio(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Put the asyncio half in the place of the blocking one, in the suite and in the scripted server."""
        with asynchronous() as driver:
            for module in (replay, suite):
                for name in ("Connection", "Mailbox"):
                    if hasattr(module, name):
                        monkeypatch.setattr(module, name, getattr(driver, name))
            if hasattr(suite, "select"):  # not in the scripted server, whose own sockets are what it waits for
                monkeypatch.setattr(suite, "select", Select(driver.connections))
            if hasattr(suite, "dead"):
                monkeypatch.setattr(suite, "dead", plainly_dead)
            yield

    namespace["over_asyncio"] = over_asyncio
