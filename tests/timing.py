"""Time without the wall clock: clocks that stand still, waits that end, and growth measured in CPU time.

The speed and load of the machine must not decide a test, so no test asserts a wall-clock time below `GENEROUS`, which
only tells an end from a hang. A shorter timeout is used only where the server stays silent, with `hurry` if necessary.
"""

import asyncio
import gc
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from attrs import define

__all__ = ["GENEROUS", "Clock", "assert_linear", "ended", "eventually", "eventually_async", "hurry", "look_often"]

GENEROUS = 60.0  # seconds; for work that must end at some time, even on a busy machine

_MEASURABLE = 0.02  # seconds of CPU; less is noise
_DOUBLINGS = 6
_TRIES = 5


@define(eq=False)
class Clock:
    """A clock for `Connection(clock=...)` that stands still until the test advances it.

    The fixture `clock` makes one, and makes the drivers read it every few milliseconds while they wait.
    """

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Advance the clock by this many seconds."""
        self.now += seconds


@define(eq=False)
class _Readings:
    """A clock that nothing but its readings advances."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def look_often(connection: Any, wait: float = 0.005) -> None:
    """Make a connection, with either driver, read its clock each `wait` seconds while it waits for a reply."""
    inner = getattr(connection, "_inner", connection)
    patient = inner._left

    def left(reply_timeout: Any) -> Callable[[], float]:
        seconds = patient(reply_timeout)
        return lambda: min(wait, math.inf if (most := seconds()) is None else most)

    inner._left = left


def hurry(connection: Any) -> Callable[[], float]:
    """Shorten the timeout of a connection, with either driver, whose server will not answer any more.

    It expires after thirty vain attempts to read, however long they take, and not because the machine was busy. Returns
    the clock, which advances with each reading.
    """
    inner = getattr(connection, "_inner", connection)
    inner.timeout, inner._clock = 3.0, _Readings()
    look_often(connection)
    return inner._clock  # type: ignore[no-any-return]


def ended(*threads: threading.Thread) -> None:
    """Wait for threads to end; fail if one does not."""
    for thread in threads:
        thread.join(GENEROUS)
        assert not thread.is_alive(), f"{thread.name} did not end"


def eventually(true: Callable[[], object]) -> None:
    """Wait until a condition is true; fail if it never is."""
    deadline = time.monotonic() + GENEROUS
    while not true():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.002)


async def eventually_async(true: Callable[[], object]) -> None:
    """The same without blocking the event loop."""
    async with asyncio.timeout(GENEROUS):
        while not true():
            await asyncio.sleep(0.001)


def _cpu(work: Callable[[], object]) -> float:
    """Return the seconds of CPU time that this thread spends on the work."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def assert_linear(prepare: Callable[[int], Callable[[], object]], n: int) -> None:
    """Assert that the work grows no faster than its input, by measuring it for n, 2n and 4n.

    `prepare(n)` makes the input and returns the work on it; it is called for each measurement, so that nothing is
    cached. `n` is doubled until there is enough to measure; work that still takes no time is bounded in another way.
    A measurement is the best of three. When the input doubles, linear work takes twice as long and quadratic work four
    times; the limit is 3. One doubling alone may take longer (a second attempt, a larger cache), so both must. Another
    process can slow down part of a measurement, so a bad result is measured again, up to five times, and the least
    counts.
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
        f"size {n} takes {once:.3f} s of CPU time, twice the size {twice:.3f} s, four times the size {four:.3f} s"
    )
