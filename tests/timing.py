"""Time without the wall clock: clocks that stand still, waits that end, and growth judged by CPU time.

How fast a machine is, and what else it does, says nothing about the code: no test asserts that something took less
than so many seconds of the wall clock, but for `GENEROUS`, which only tells an end from none. A shorter timeout is for
silence alone: nothing else is due, or `hurry` counts the looks.
"""

import asyncio
import gc
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from attrs import define

__all__ = ["GENEROUS", "Clock", "assert_linear", "ended", "eventually", "eventually_async", "hurry"]

GENEROUS = 60.0  # seconds; for what must end at all, on a machine that is busy with something else

_MEASURABLE = 0.02  # seconds of CPU; less is lost in the noise
_DOUBLINGS = 6
_TRIES = 5


@define(eq=False)
class Clock:
    """A clock for `Connection(clock=...)` that stands still until the test moves it.

    The fixture `clock` makes one, and has the drivers look at it again every few milliseconds while they wait.
    """

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let seconds pass."""
        self.now += seconds


@define(eq=False)
class _OwnTime:
    """A clock ten times as fast as others; what passes between two looks counts as a fifth of a second at most."""

    now: float = 0.0
    _looked: float = math.inf

    def __call__(self) -> float:
        looked, before = time.monotonic(), self._looked
        self._looked = looked
        self.now += min(max(0.0, looked - before) * 10, 0.2)
        return self.now


def hurry(connection: Any) -> None:
    """Have a connection, over either driver, wait only a moment from here on, where nothing is answered any more.

    Its timeout is over when it has looked in vain again and again, and not because the machine did something else.
    """
    inner = getattr(connection, "_inner", connection)
    inner.timeout, inner._clock, patient = 3.0, _OwnTime(), inner._left

    def left(reply_timeout: Any) -> Callable[[], float]:
        seconds = patient(reply_timeout)
        return lambda: min(0.01, seconds())

    inner._left = left


def ended(*threads: threading.Thread) -> None:
    """Wait for threads to end, and assert that they do."""
    for thread in threads:
        thread.join(GENEROUS)
        assert not thread.is_alive(), f"{thread.name} does not end"


def eventually(true: Callable[[], object]) -> None:
    """Wait until something is true, and assert that it comes to be."""
    deadline = time.monotonic() + GENEROUS
    while not true():
        assert time.monotonic() < deadline, "what is waited for does not come"
        time.sleep(0.002)


async def eventually_async(true: Callable[[], object]) -> None:
    """The same while the event loop goes on."""
    async with asyncio.timeout(GENEROUS):
        while not true():
            await asyncio.sleep(0.001)


def _cpu(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that this thread spends on the work."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def assert_linear(prepare: Callable[[int], Callable[[], object]], n: int) -> None:
    """Assert that work grows no faster than its input: n, 2n and 4n things.

    `prepare(n)` makes the input, and returns the work on it; it is called anew for each measurement, so that nothing
    is cached. `n` is doubled until there is enough to measure; what then still costs next to nothing is bounded by
    something else. Best of three; a ratio of 2 for a doubling is linear and 4 quadratic, and 3 stands between. One
    doubling alone may cost more (a second attempt, a larger cache), growth shows in both. A neighbour on the same core can
    slow one half of a measurement: what looks bad is measured again, up to five times, and the least counts.
    """

    def best(size: int) -> float:
        gc.collect()
        gc.disable()
        try:
            return min(_cpu(prepare(size)) for _ in range(3))
        finally:
            gc.enable()

    once = best(n)
    for _ in range(_DOUBLINGS):
        if once >= _MEASURABLE:
            break
        n *= 2
        once = best(n)
    else:
        return
    twice, four = best(2 * n), math.inf
    for _ in range(_TRIES):
        if twice < 3 * once or (four := min(four, best(4 * n))) < 3 * twice:
            return
        once, twice = min(once, best(n)), min(twice, best(2 * n))
    raise AssertionError(
        f"{n} things take {once:.3f} s of CPU, twice as many {twice:.3f} s, four times as many {four:.3f} s"
    )
