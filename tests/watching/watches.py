"""Both kinds of watches with one blocking interface, and in a time of their own, in which waits take no time."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from attrs import define, field

from pymailbox import Account, Arrival, AsyncWatch, Watch
from pymailbox.testing import Server

__all__ = ["KINDS", "Time", "TimedAsyncWatch", "TimedWatch", "account_of", "mail"]

_LONGEST = 100 * 86400.0  # seconds; a test that waits for longer waits for something that never comes


def mail(subject: str, size: int = 0) -> bytes:
    """Return a mail; one with this size, if that is enough."""
    head = f"Subject: {subject}\r\n\r\n".encode()
    return head + b"x" * max(0, size - len(head) - 2) + b"\r\n"


def account_of(server: Server) -> Account:
    """Return the account of the first user of a server."""
    return Account(server.host, "me", "secret", port=server.port, security="none")


@define(eq=False)
class Time:
    """A clock that only waits advance; what is to happen in the meantime happens then."""

    now: float = 1000.0
    #: What was waited for, in seconds.
    waits: list[float] = field(factory=list)
    #: What is to happen, and when.
    events: list[tuple[float, Callable[[], object]]] = field(factory=list)

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Have something happen so many seconds from now."""
        self.events.append((self.now + seconds, action))
        self.events.sort(key=lambda event: event[0])

    def wait(self, seconds: float) -> None:
        """Let this time pass."""
        self.waits.append(seconds)
        end = self.now + seconds
        assert end < _LONGEST, f"waits for ever: {self.waits[-20:]}"
        while self.events and self.events[0][0] <= end:
            self.now, action = self.events.pop(0)
            action()
        self.now = end


class TimedWatch(Watch):
    """A watch whose waits take no time; `time` must be set before it is entered."""

    time: Time

    def _clock(self) -> float:
        return self.time.now

    def _pause(self, seconds: float) -> None:
        self.time.wait(seconds)


class TimedAsyncWatch(AsyncWatch):
    """The same for asyncio."""

    time: Time

    def _clock(self) -> float:
        return self.time.now

    async def _pause(self, seconds: float) -> None:
        self.time.wait(seconds)


class Blocking:
    """A `TimedWatch`."""

    def __init__(self, account: Account, *arguments: Any, time: Time, **options: Any) -> None:
        self.watch: Any = TimedWatch(account, *arguments, **options)
        self.watch.time = self.time = time

    def __enter__(self) -> Self:
        self.watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.watch.__exit__(kind, error, trace)

    def next(self) -> Arrival:
        """Return what the next step of a loop gets."""
        arrival: Arrival = next(self.watch)
        return arrival

    def wait(self, *arguments: Any, **options: Any) -> Arrival:
        """Call `wait`."""
        arrival: Arrival = self.watch.wait(*arguments, **options)
        return arrival

    def subjects(self, count: int) -> list[str]:
        """Return the subjects of the next arrivals."""
        return [self.next().subject for _ in range(count)]


class OverAsyncio(Blocking):
    """A `TimedAsyncWatch`, run step by step."""

    def __init__(self, account: Account, *arguments: Any, time: Time, **options: Any) -> None:
        self.watch: Any = TimedAsyncWatch(account, *arguments, **options)
        self.watch.time = self.time = time
        self._runner: asyncio.Runner | None = None

    def _run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def task() -> Any:
            return await work()

        return asyncio.run(task()) if self._runner is None else self._runner.run(task())

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        try:
            self._run(self.watch.__aenter__)
        except BaseException:
            self._close()
            raise
        return self

    def _close(self) -> None:
        runner, self._runner = self._runner, None
        assert runner is not None
        runner.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(lambda: self.watch.__aexit__(kind, error, trace))
        self._close()

    def next(self) -> Arrival:
        try:
            arrival: Arrival = self._run(self.watch.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None
        return arrival

    def wait(self, *arguments: Any, **options: Any) -> Arrival:
        arrival: Arrival = self._run(lambda: self.watch.wait(*arguments, **options))
        return arrival


KINDS: dict[str, type[Blocking]] = {"blocking": Blocking, "asyncio": OverAsyncio}
