"""Messages are counted by uid and size, and forgotten when listings have lacked them for long."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pymailbox import Account, Seen
from tests import case
from tests.archive.box import Box, message, serve
from tests.archive.conftest import IN_PARTS, PARTS, Traced, runner, traced  # noqa: F401 - fixtures
from tests.seen.mailboxes import DAY, ME, opened, unseen
from tests.timing import assert_linear


def test_two_messages_that_share_a_uid_count_twice(memory: Seen) -> None:
    """Whatever their sizes: the one that was not added is unseen, in whatever order they are added."""
    for sizes in ([200, 300], [300, 200], [200, 200]):
        for first in (0, 1):
            messages = memory.of(Account("host", f"{sizes}{first}"))
            listing = [("a", 100), *(("twin", size) for size in sizes)]
            ids = messages.remember(listing)
            messages.mark([(ids[1 + first], "twin", sizes[first])])
            assert unseen(messages, listing) == [1, 3 - first]
            assert unseen(messages, [*listing, ("twin", 400)]) == [1, 3 - first, 4]
            messages.add([("twin", sizes[1 - first])])
            assert unseen(messages, listing) == [1]
            assert unseen(messages, [*listing, ("twin", sizes[0])]) == [1, 4]


def test_if_one_of_two_alike_is_gone_the_other_is_handed_out_again(memory: Seen) -> None:
    """Nobody knows which it is, unless both were added."""
    messages = memory.of(ME)
    twins = [("twin", 200), ("twin", 200)]
    ids = messages.remember(twins)
    messages.mark([(ids[0], "twin", 200)])
    assert unseen(messages, twins[:1]) == [1]
    messages.mark([(ids[0], "twin", 200)])  # of the session before: it is not the one that is listed now
    assert unseen(messages, twins[:1]) == [1]
    assert unseen(messages, twins) == [1, 2]  # another one has come, or the first is back
    assert unseen(messages, twins[:1]) == [1]
    messages.add(twins[:1])
    assert unseen(messages, twins[:1]) == []
    assert unseen(messages, twins) == []


@pytest.mark.parametrize("others", [True, False])
def test_add_without_new_is_not_for_another_message_like_it(path: Path, others: bool) -> None:
    """Two share uid and size: the one that was not added is handed out, whether the account was listed before or not."""
    box = Box()
    box.put("known", message(0))
    with serve(box) as server, Seen(path) as seen:
        if others:
            with opened(server) as inbox:
                seen.new(inbox)
        box.mails.clear()
        box.put("twin", message(1))
        box.put("twin", message(2))
        with opened(server) as inbox:
            seen.add(inbox[1])
        with opened(server) as inbox:
            assert [one.number for one in seen.new(inbox)] == ([1, 2] if others else [1])


def test_a_message_of_an_old_session_is_not_taken_for_another_like_it(path: Path) -> None:
    """They share uid and size; the one that is gone is added, the one that is left is handed out."""
    box = Box()
    gone, left = box.put("twin", message(1)), box.put("twin", message(2))
    with serve(box) as server, Seen(path) as seen:
        with opened(server) as inbox:
            old = seen.new(inbox)[0]
        box.mails.remove(gone)
        for _ in range(2):
            with opened(server) as inbox:
                (new,) = seen.new(inbox)
                assert new.raw == left.content
            seen.add(old)


def test_a_uid_that_is_used_again_is_another_message_if_its_size_differs(memory: Seen) -> None:
    messages = memory.of(ME)
    messages.remember([("a", 200)])
    messages.add([("a", 200)])
    assert unseen(messages, [("a", 201)]) == [1]
    assert unseen(messages, [("a", 200)]) == []  # it is back
    assert unseen(messages, [("a", None)]) == []
    messages.add([("a", 201)])
    assert unseen(messages, [("a", 201)]) == []


def test_an_unknown_size_fits_any_and_is_learnt(memory: Seen) -> None:
    messages = memory.of(ME)
    messages.add([("a", None), ("b", 200), (None, 300)])
    assert not messages.is_known()
    assert unseen(messages, [("a", 100), ("b", None), (None, 300)]) == [3]
    assert messages.is_known()
    assert unseen(messages, [("a", 101), ("b", 200)]) == [1]


def test_what_is_added_twice_counts_once(memory: Seen) -> None:
    messages = memory.of(ME)
    messages.remember([("a", 100), ("b", 200)])
    for _ in range(3):
        messages.add([("a", 100), ("b", None)])
    assert unseen(messages, [("a", 100), ("b", 200), ("a", 100), ("b", 200)]) == [3, 4]


@pytest.mark.parametrize("sizes", [lambda _: 200, lambda n: n, lambda _: None], ids=["alike", "different", "unknown"])
def test_messages_that_share_a_uid_cost_no_more(sizes: Callable[[int], int | None]) -> None:
    """Listing and adding cost as much for each message as for a few."""

    def prepare(count: int) -> Callable[[], None]:
        listing = [("twin", sizes(n)) for n in range(count)]

        def work() -> None:
            with Seen.in_memory() as seen:
                messages = seen.of(ME)
                messages.remember(listing)
                messages.add(listing[: count // 2])
                messages.add(listing)
                assert messages.unseen(listing) == []
                messages.remember(listing[1:])

        return work

    assert_linear(prepare, 2_000)


# --- forgetting -----------------------------------------------------------------------------------------------


@pytest.fixture
def clock(memory: Seen) -> Callable[[float], None]:
    """Set the day of the clock of `memory`."""

    def set_to(day: float) -> None:
        memory._clock = lambda: day * DAY

    set_to(1000)
    return set_to


def test_what_no_listing_of_thirty_days_has_is_forgotten(memory: Seen, clock: Callable[[float], None]) -> None:
    """Not sooner: lists may lag."""
    messages = memory.of(ME)
    both = [("a", 100), ("b", 200)]
    messages.remember(both)
    messages.add(both)
    for day, listing, expected in (
        (1001, both[1:], []),
        (1030.9, both[1:], []),
        (1030.9, both, []),  # it was late
        (1032, both[1:], []),
        (1062, both[1:], []),  # 30 days: it is forgotten
        (1062, both, [1]),
    ):
        clock(day)
        with case(day, listing):
            assert unseen(messages, listing) == expected


def test_a_clock_that_jumps_forgets_nothing_that_one_listing_lacks(
    memory: Seen, clock: Callable[[float], None]
) -> None:
    """After a gap of 400 days, in either direction, a listing without the messages is the first without them."""
    messages = memory.of(ME)
    listing = [(f"u{n}", 100 + n) for n in range(10)]
    messages.remember(listing)
    messages.add(listing)
    for day in (1400, 1000, 1800, 1401):
        clock(day)
        assert unseen(messages, []) == []
        clock(day + 29)
        assert unseen(messages, []) == []
        assert unseen(messages, listing) == []
    clock(2000)
    messages.remember([])
    clock(1000)
    messages.remember([])  # the clock was wrong before: the 30 days begin now
    clock(1029)
    messages.remember([])
    assert messages.unseen(listing) == []
    clock(1030)
    messages.remember([])
    assert messages.unseen(listing) == list(range(1, 11))
