"""Time without the wall clock: clocks that stand still, waits that end, and growth judged by CPU time.

How fast a machine is, and what else it does, says nothing about the code: no test asserts that something took less
than so many seconds of the wall clock, but for `GENEROUS`, which only tells an end from none. A shorter timeout is for
silence alone: nothing else is due, or `OwnTime` counts it (the fixture `hurry`).
"""

import asyncio
import gc
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from attrs import define

__all__ = ["GENEROUS", "Clock", "Hurry", "OwnTime", "assert_linear", "ended", "eventually", "eventually_async"]

GENEROUS = 60.0  # seconds; for what must end at all, on a machine that is busy with something else

#: What the fixture `hurry` gives: it shortens the waits of a connection.
Hurry = Callable[[Any], None]

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
class OwnTime:
    """A clock for a short timeout: what passes between two looks at it counts as a fiftieth of a second at most.

    Who waits by it looks at it every hundredth (the fixture `hurry`), so that a timeout is over when so many looks were
    in vain, and not because the machine did something else meanwhile.
    """

    now: float = 0.0
    _looked: float = float("inf")

    def __call__(self) -> float:
        looked, before = time.monotonic(), self._looked
        self._looked = looked
        self.now += min(max(0.0, looked - before), 0.02)
        return self.now


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
