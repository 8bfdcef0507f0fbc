"""The suites of faults, threats and logins, over asyncio: the same tests, with the blocking names put over an event loop.

Each test of those modules runs here once more, with `Connection` and `Mailbox` replaced by their twins behind the
facades of `tests.drivers`. What only threads, signals and processes can do is left out by name, with its reason;
`test_pop3_aio` has what only an event loop can.
"""

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests import (
    replay,
    test_connection,
    test_login_servers,
    test_threats_a_connection,
    test_threats_d_step,
)
from tests.drivers import DRIVERS, Facade

SUITES = (test_connection, test_login_servers, test_threats_a_connection, test_threats_d_step)

#: What has no meaning over asyncio, and why.
LEFT_OUT = {
    "threads are for the blocking connection; tasks are in test_pop3_aio": (
        "test_two_threads",
        "test_many_threads_at_once",
        "test_threat_63_two_threads",
    ),
    "a callback that runs inside the event loop cannot run the event loop; test_pop3_aio has the same": (
        "test_a_sink_that_calls_back",
        "test_a_sink_that_closes",
        "test_the_callers_iterator_may_use_the_connection",
    ),
    "Ctrl-C is a cancellation; test_aio_cancellation has that at every await": (
        "test_interrupted_at_every_line",
        "test_interrupted_inside_the_wait",
        "test_threat_13_interrupted_in_a_read",
    ),
    "an event loop is not forked; test_pop3_aio has a copy in another process": (
        "test_fork",
        "test_threat_65_fork_after_connecting",
    ),
    "a transport that is forgotten is its event loop's": (
        "test_garbage_collection_sends_nothing",
        "test_threat_66_no_quit_without_being_said",
    ),
    "it proves the blocking transport itself": ("test_threat_12_many_addresses",),
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


@pytest.fixture(autouse=True)
def over_asyncio(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the asyncio driver in the place of the blocking one, in the suites and in the scripted server."""
    with DRIVERS["async"]() as driver:
        for module in (replay, *SUITES):
            for name in ("Connection", "Mailbox"):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, getattr(driver, name))
            if hasattr(module, "dead"):
                monkeypatch.setattr(module, "dead", plainly_dead)
        yield


def adopt(module: ModuleType) -> None:
    """Take over the fixtures and the tests of a suite."""
    left_out = {name for names in LEFT_OUT.values() for name in names}
    for name, value in vars(module).items():
        if name.startswith("test_") and inspect.isfunction(value):
            if name not in left_out:
                assert name not in globals(), f"two tests are called {name}"
                globals()[name] = value
        elif type(value).__name__ == "FixtureFunctionDefinition" and value.__module__ == module.__name__:
            globals()[name] = value


for suite in SUITES:
    adopt(suite)


def test_nothing_is_left_out_by_mistake() -> None:
    """Every name left out is that of a test."""
    for names in LEFT_OUT.values():
        for name in names:
            assert any(hasattr(suite, name) for suite in SUITES), name
