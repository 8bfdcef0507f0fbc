"""Progress is reported at most ten times a second and at the end, with the true totals."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.progress import Meter, Progress


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000), st.floats(0, 0.3)), max_size=40))
def test_reports_are_few_and_the_last_is_exact(messages: list[tuple[int, int, float]]) -> None:
    """Whatever sizes LIST gave, bytes never decrease, and reports except the last are a tenth of a second apart."""
    clock = Clock()
    seen: list[tuple[float, Progress]] = []
    meter = Meter(lambda p: seen.append((clock.now, p)), [size for size, _, _ in messages], clock=clock)
    for size, real, seconds in messages:
        for piece in (real // 2, real - real // 2):
            meter.add(piece)
            clock.now += seconds
        meter.finish(size, real)
    meter.end()
    total = sum(real for _, real, _ in messages)
    assert seen[-1][1] == Progress(total, total, len(messages), len(messages))
    times = [when for when, _ in seen[:-1]]
    assert all(after - before > 0.0999 for before, after in itertools.pairwise(times))
    counts = [report.bytes for _, report in seen]
    assert counts == sorted(counts)
    assert all(report.total_messages == len(messages) for _, report in seen)


def test_one_unknown_size_makes_the_total_unknown() -> None:
    """If the server does not give one of the sizes, `total_bytes` is None."""
    seen: list[Progress] = []
    meter = Meter(seen.append, [5, None])
    meter.add(5)
    meter.finish(5, 5)
    meter.finish(None, 0)
    meter.end()
    assert seen == [Progress(5, None, 0, 2), Progress(5, None, 2, 2)]


def test_a_skipped_message_is_no_longer_expected() -> None:
    """A message that was deleted meanwhile is taken off the totals."""
    seen: list[Progress] = []
    meter = Meter(seen.append, [5, 7])
    meter.leave_out(7)
    meter.add(5)
    assert seen == [Progress(5, 5, 0, 1)]


def test_progress_is_a_value() -> None:
    """It is immutable and compares by value."""
    with pytest.raises(AttributeError):
        Progress(1, 2, 3, 4).bytes = 5  # type: ignore[misc]
    assert Progress(1, None, 3, None) == Progress(1, None, 3, None)
