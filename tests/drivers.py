"""Drivers: the blocking and the asyncio half of pymailbox with the same interface, so that one test runs with both.

    def test_x(driver: Driver) -> None:
        with driver.Mailbox(server.host, "me", "secret", port=server.port, security="none") as inbox:
            assert [message.subject for message in inbox.fetch()] == ["one"]

`driver` is a fixture with both as parameters. Over asyncio the objects are facades. Each call runs a private event
loop until its coroutine has ended; a coroutine that is a property of the blocking twin runs when it is read; an
asynchronous iterator becomes an ordinary one. Everything else (errors, identity, arguments) passes through.
"""

import asyncio
import inspect
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Protocol, cast

from pymailbox import AsyncMailbox, AsyncMessage, Mailbox, Message
from pymailbox.pop3 import AsyncConnection, Connection

__all__ = ["DRIVERS", "Driver", "Facade", "asynchronous"]


class Driver(Protocol):
    """The two classes of one half."""

    name: str
    Mailbox: type[Mailbox]
    Connection: type[Connection]


TWINS = {AsyncMailbox: Mailbox, AsyncMessage: Message, AsyncConnection: Connection}


class Facade:
    """An asynchronous object with the interface of its blocking twin."""

    def __init__(self, driver: "Asynchronous", inner: Any, twin: type) -> None:
        self._driver = driver
        self._inner = inner
        self._twin = twin

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        driver = self._driver
        if not inspect.ismethod(value):
            return driver.show(value)
        if isinstance(inspect.getattr_static(self._twin, name, None), property):
            return driver.show(driver.run(value()))
        return lambda *args, **options: driver.show(value(*map(driver.hide, args), **options))

    def __enter__(self) -> Any:
        return self._driver.show(self._driver.run(self._inner.__aenter__()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.run(self._inner.__aexit__(kind, error, trace))

    def __iter__(self) -> Iterator[Any]:
        return cast(Iterator[Any], self._driver.show(aiter(self._inner)))

    def __reversed__(self) -> Iterator[Any]:
        return map(self._driver.show, reversed(self._inner))

    def __len__(self) -> int:
        return len(self._inner)

    def __bool__(self) -> bool:
        return bool(self._inner)

    def __getitem__(self, index: Any) -> Any:
        return self._driver.show(self._inner[index])

    def __contains__(self, value: object) -> bool:
        return self._driver.hide(value) in self._inner

    def __repr__(self) -> str:
        return repr(self._inner)

    def __reduce__(self) -> Any:
        return self._inner.__reduce__()


class Maker:
    """Makes facades like a class makes objects, with its constructor or a class method."""

    def __init__(self, driver: "Asynchronous", kind: type) -> None:
        self._driver = driver
        self._kind = kind

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._driver.show(self._kind(*args, **options))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **options: self._driver.show(getattr(self._kind, name)(*args, **options))


class Asynchronous:
    """The asyncio half, with its own event loop."""

    name = "async"

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._facades: weakref.WeakKeyDictionary[Any, weakref.ref[Facade]] = weakref.WeakKeyDictionary()
        self.Mailbox = Maker(self, AsyncMailbox)
        self.Connection = Maker(self, AsyncConnection)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run the loop until a coroutine has ended."""
        return self._runner.run(coroutine)

    def show(self, value: Any) -> Any:
        """Return the result as the blocking twin would have returned it."""
        if inspect.iscoroutine(value):
            return self.show(self.run(value))
        for kind, twin in TWINS.items():
            if isinstance(value, kind):
                known = self._facades.get(value)
                facade = known() if known is not None else None
                if facade is None:
                    facade = Facade(self, value, twin)
                    self._facades[value] = weakref.ref(facade)
                return facade
        if isinstance(value, tuple):
            return tuple(map(self.show, value)) if type(value) is tuple else value
        if hasattr(type(value), "__anext__"):
            return self._each(value)
        return value

    def connections(self) -> Iterator[AsyncConnection]:
        """The connections that are in use."""
        return (inner for inner in tuple(self._facades) if isinstance(inner, AsyncConnection))

    def _each(self, iterator: Any) -> Iterator[Any]:
        while True:
            try:
                value = self.run(iterator.__anext__())
            except StopAsyncIteration:
                return
            yield self.show(value)

    def hide(self, value: Any) -> Any:
        """Return the argument as the asynchronous twin takes it."""
        if isinstance(value, Facade):
            return value._inner
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | dict | set | frozenset):
            return value if hasattr(value, "write") else map(self.hide, value)
        return value


class Blocking:
    """The blocking half: the classes themselves."""

    name = "sync"
    Mailbox = Mailbox
    Connection = Connection


@contextmanager
def blocking() -> Iterator[Driver]:
    """The blocking driver."""
    yield Blocking()


@contextmanager
def asynchronous() -> Iterator[Asynchronous]:
    """The asyncio driver, with an event loop that ends with the block."""
    with asyncio.Runner() as runner:
        yield Asynchronous(runner)


DRIVERS: dict[str, Callable[[], AbstractContextManager[Any]]] = {"sync": blocking, "async": asynchronous}
