"""`timeout` bounds silence and the minimum rate bounds dripping (decision 4); no test reads a real clock."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.errors import Timeout
from pymailbox.pop3.deadlines import LONGEST_WAIT, ReplyTimeout, checked_timeout, until
from tests.timing import Clock


def test_silence_ends_the_wait() -> None:
    """The wait ends after one timeout of silence, and not a moment earlier."""
    reply_timeout = ReplyTimeout(10.0, 100, 1000.0)
    assert reply_timeout.left(1000.0, "NOOP") == 10.0
    assert reply_timeout.left(1009.5, "NOOP") == 0.5
    with pytest.raises(Timeout, match="silent for 10 s") as caught:
        reply_timeout.left(1010.0, "NOOP")
    assert caught.value.command == "NOOP"
    assert caught.value.retryable
    assert not caught.value.usable


def test_each_byte_restarts_the_silence() -> None:
    """Silence is measured from the last byte received."""
    reply_timeout = ReplyTimeout(10.0, 100, 0.0)
    reply_timeout.received(5000, 9.0)
    assert reply_timeout.left(12.0, None) == 7.0
    with pytest.raises(Timeout):
        reply_timeout.left(19.0, None)


def test_dripping_ends_the_wait() -> None:
    """The wait ends below the minimum rate, averaged over one timeout, even if the server is never silent for long."""
    reply_timeout = ReplyTimeout(10.0, 100, 0.0)
    for second in range(1, 10):
        reply_timeout.received(99, float(second))
        reply_timeout.left(float(second), None)
    with pytest.raises(Timeout, match=r"Limits\.minimum_rate"):
        reply_timeout.left(10.0, "RETR 1")


def test_a_fast_start_gives_no_credit_for_dripping_later() -> None:
    """The rate is measured for each timeout separately."""
    reply_timeout = ReplyTimeout(10.0, 100, 0.0)
    reply_timeout.received(1_000_000, 9.0)
    assert reply_timeout.left(10.0, None) == 9.0
    reply_timeout.received(1, 15.0)
    with pytest.raises(Timeout, match=r"Limits\.minimum_rate"):
        reply_timeout.left(20.0, "RETR 1")


def test_a_slow_line_is_served() -> None:
    """At the minimum rate a reply may take any time."""
    reply_timeout = ReplyTimeout(10.0, 100, 0.0)
    for second in range(1, 1000):
        reply_timeout.received(100, float(second))
        assert reply_timeout.left(float(second), None) is not None


@given(st.lists(st.tuples(st.floats(0.01, 3.0), st.integers(1, 200)), min_size=60, max_size=60))
def test_a_wait_below_the_rate_ends_within_two_timeouts(steps: list[tuple[float, int]]) -> None:
    """This holds however the bytes are spread over time."""
    reply_timeout, now = ReplyTimeout(5.0, 1000, 0.0), 0.0
    ended = None
    for pause, size in steps:
        now += pause
        try:
            left = reply_timeout.left(now, None)
        except Timeout:
            ended = now
            break
        assert left is not None
        assert left <= 5.0
        reply_timeout.received(size, now)
    assert now < 10.0 + 3.0 or ended is not None


def test_pauses_do_not_count() -> None:
    """While the caller is working, no time passes."""
    reply_timeout = ReplyTimeout(10.0, 100, 0.0)
    reply_timeout.received(1, 5.0)
    reply_timeout.pause(1000.0)
    assert reply_timeout.left(1006.0, None) == 4.0


def test_no_timeout_means_no_bound() -> None:
    """`timeout=None` waits forever, at any rate."""
    assert ReplyTimeout(None, 100, 0.0).left(1e9, None) is None


def test_the_error_names_what_was_expected() -> None:
    """It says whether a greeting, a reply or the end of a body was expected (Q21, Q51)."""
    for command, midway, problem in (
        ("greeting", False, "the greeting"),
        ("RETR 1", True, "the end of a body"),
        ("NOOP", False, "a reply"),
    ):
        with pytest.raises(Timeout, match=problem):
            ReplyTimeout(1.0, 1, 0.0).left(5.0, command, midway=midway)


# --- one deadline --------------------------------------------------------------------------------------------------


def test_all_waits_share_one_deadline() -> None:
    """`until` counts from its creation: each wait gets the time that the earlier ones left."""
    clock = Clock()
    left = until(10.0, "too late", clock)
    assert left() == 10.0
    clock.advance(9.5)
    assert left() == 0.5
    clock.advance(0.5)
    for _ in range(2):  # a passed deadline stays passed
        with pytest.raises(Timeout, match=r"^too late$") as caught:
            left()
        assert caught.value.retryable
        clock.advance(1000.0)


def test_no_deadline_means_no_bound() -> None:
    """`until(None, ...)` never ends, whatever the clock shows."""
    clock = Clock()
    left = until(None, "too late", clock)
    clock.advance(1e9)
    assert left() is None


def test_a_distant_deadline_is_waited_for_in_turns() -> None:
    """No single wait is longer than the system accepts; the deadline itself is kept."""
    clock = Clock()
    left = until(3 * LONGEST_WAIT, "too late", clock)
    assert left() == LONGEST_WAIT
    clock.advance(2.5 * LONGEST_WAIT)
    assert left() == LONGEST_WAIT / 2
    clock.advance(LONGEST_WAIT)
    with pytest.raises(Timeout):
        left()
    forever = until(float("inf"), "too late", clock)
    clock.advance(1e12)
    assert forever() == LONGEST_WAIT


def test_silence_of_any_length_is_waited_for_in_turns() -> None:
    """A timeout longer than the system accepts is split into several waits, and kept."""
    reply_timeout = ReplyTimeout(3 * LONGEST_WAIT, 1, 0.0)
    assert reply_timeout.left(0.0, None) == LONGEST_WAIT
    assert reply_timeout.left(2.5 * LONGEST_WAIT, None) == LONGEST_WAIT / 2
    with pytest.raises(Timeout):
        reply_timeout.left(3 * LONGEST_WAIT, None)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(0, ValueError), (-1.0, ValueError), (float("nan"), ValueError), ("3", TypeError), (True, TypeError)],
)
def test_bad_timeouts_are_refused(value: Any, kind: type[Exception]) -> None:
    """A timeout must be a number of seconds above 0, or None."""
    with pytest.raises(kind):
        checked_timeout(value)


def test_good_timeouts_are_accepted() -> None:
    """Any number above 0 is valid; None means no bound."""
    assert checked_timeout(3) == 3.0
    assert checked_timeout(float("inf")) == float("inf")
    assert checked_timeout(None) is None
