"""The suites of faults, threats and logins also pass over asyncio.

Each module adopts a suite of `tests`: its fixtures and tests run once more with `Connection` and `Mailbox` replaced by
their asyncio twins, in the facades of `tests.drivers`. Tests of threads, signals and processes are excluded by name,
with the reason; `tests.pop3.test_async_connection` tests what only an event loop can do.
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

CALLBACKS = "a callback of the event loop cannot run the event loop; test_async_connection has the same test"
ALONE = "it runs the blocking half in another process"

#: What only the blocking half has, by a word in the name of the test, and the test that replaces it.
WORDS = {
    "thread": "tasks are in test_async_connection",
    "threads": "tasks are in test_async_connection",
    "interrupted": "Ctrl-C is a cancellation; test_cancellation tests that at every await",
    "signal": "Ctrl-C is a cancellation; test_cancellation tests that at every await",
    "fork": "an event loop is not forked; test_async_connection tests a copy in another process",
}


def plainly_dead(pop: Any) -> bool:
    """Whether the session has ended: the next use raises at once, and the socket is closed."""
    with pytest.raises(ConnectionError):
        pop.noop()
    assert isinstance(pop, Facade)
    transport = pop._inner._transport
    assert transport is not None
    sock = transport._transport.get_extra_info("socket")
    return sock is None or bool(sock.fileno() == -1)


class Select:
    """The module `select`, but a wait for the client's socket also ends when the event loop has read from it."""

    def __init__(self, connections: Callable[[], Iterable[Any]]) -> None:
        self._connections = connections

    def select(self, readers: list[Any], writers: list[Any], others: list[Any], timeout: float) -> Any:
        """Wait like `select.select`; readers are also ready if a transport has data in its own buffer."""
        deadline = time.monotonic() + timeout
        while True:
            found = select.select(readers, writers, others, min(timeout, 0.01))
            if any(found) or time.monotonic() >= deadline:
                return found
            if any(pop._transport and pop._transport._arrived.size for pop in self._connections()):
                return readers, [], []


def adopt(suite: ModuleType, namespace: dict[str, Any], left_out: Mapping[str, str] | None = None) -> None:
    """Take over the fixtures and tests of a suite to run over asyncio, except those in `left_out`, with a reason."""
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
        """Replace the blocking half by the asyncio half, in the suite and in the scripted server."""
        with asynchronous() as driver:
            for module in (replay, suite):
                for name in ("Connection", "Mailbox"):
                    if hasattr(module, name):
                        monkeypatch.setattr(module, name, getattr(driver, name))
            if hasattr(suite, "select"):  # not in the scripted server, which waits for its own sockets
                monkeypatch.setattr(suite, "select", Select(driver.connections))
            if hasattr(suite, "dead"):
                monkeypatch.setattr(suite, "dead", plainly_dead)
            yield

    namespace["over_asyncio"] = over_asyncio
