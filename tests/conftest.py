"""Fixtures: the real servers, each started for the first test that needs it and stopped after the last.

If a server or program is not installed its tests are skipped, with a hint how to install it; with
``PYMAILBOX_REQUIRE_SERVERS=1`` in the environment they fail. With pytest-xdist each worker has its own servers.
"""

import gc
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from pymailbox.pop3 import deadlines
from tests import servers
from tests.drivers import DRIVERS, Driver
from tests.servers import RealServer, ServerFailedError, ServerMissingError
from tests.timing import Clock

# The time that an example takes depends on the machine more than on the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Make SIGINT interrupt this process and its children, even if started with a shell's `&`, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the real servers, or programs such as strace."""
    for item in items:
        if {"real_servers", "installed"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)


def pytest_xdist_auto_num_workers() -> int:
    """Start two workers for each processor, up to the limit in pyproject.toml: the tests wait half of their time."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_finish() -> None:
    """Exempt what all tests share from garbage collection: each full collection would take a tenth of a second."""
    gc.collect()
    gc.freeze()


def missing(error: ServerMissingError) -> NoReturn:
    """Skip, or fail, the test that needs something that is not installed."""
    if os.environ.get("PYMAILBOX_REQUIRE_SERVERS") == "1":
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


class Servers:
    """Servers by name and options, each started once and kept until the test session ends."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[bytes, RealServer | ServerMissingError | ServerFailedError] = {}

    def get(self, name: str, **options: object) -> RealServer:
        """Return a server with these options; skip or fail the test if it is not installed."""
        key = pickle.dumps((name, sorted(options.items())))
        if key not in self._running:
            try:
                self._running[key] = self._stack.enter_context(servers.SERVERS[name](**options))
            except (ServerMissingError, ServerFailedError) as error:
                self._running[key] = error  # do not try again: a failing start takes a while
        found = self._running[key]
        if isinstance(found, ServerFailedError):
            raise found
        if isinstance(found, ServerMissingError):
            missing(found)
        return found


@pytest.fixture(scope="session")
def real_servers() -> Iterator[Servers]:
    """All real servers of this test session; `get(name)` starts one."""
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def dovecot(real_servers: Servers) -> RealServer:
    """dovecot with every mechanism, and without a lock on the mailbox."""
    return real_servers.get("dovecot")


@pytest.fixture(scope="session")
def courier(real_servers: Servers) -> RealServer:
    """courier, which supports UTF8 and has no response codes."""
    return real_servers.get("courier")


@pytest.fixture(scope="session")
def cyrus(real_servers: Servers) -> RealServer:
    """cyrus, with its own implementation of SCRAM."""
    return real_servers.get("cyrus")


@pytest.fixture(scope="session")
def popa3d(real_servers: Servers) -> RealServer:
    """popa3d, which implements RFC 1939 and nothing else."""
    return real_servers.get("popa3d")


@pytest.fixture(scope="session")
def dovecot_with(real_servers: Servers) -> Callable[..., RealServer]:
    """Return dovecot with the options of `tests.servers.dovecot`; equal options return the same server."""

    def start(**options: object) -> RealServer:
        return real_servers.get("dovecot", **options)

    return start


@pytest.fixture(scope="session", params=sorted(servers.SERVERS))
def real_server(request: pytest.FixtureRequest, real_servers: Servers) -> RealServer:
    """Each real server in turn."""
    return real_servers.get(request.param)


@pytest.fixture(scope="session")
def installed() -> Callable[[str], list[str]]:
    """Return the start of the command line that runs a program; skip or fail the test if it is not installed."""

    def find(name: str) -> list[str]:
        try:
            return servers.program(name)
        except ServerMissingError as error:
            reason = error
        missing(reason)

    return find


@pytest.fixture(params=sorted(DRIVERS, reverse=True))
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """Each driver in turn, with the same interface (`tests.drivers`)."""
    with DRIVERS[request.param]() as one:
        yield one


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that only the test advances; code that waits reads it every few milliseconds."""
    monkeypatch.setattr(deadlines, "LONGEST_WAIT", 0.01)
    return Clock()
