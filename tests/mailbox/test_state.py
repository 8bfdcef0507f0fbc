"""The state of a session is right without I/O: positions, listings, cached bodies, and the prefetch of headers."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox import Limits
from pymailbox.mailbox.state import MailboxState, MessageCache, ReadAhead
from pymailbox.pop3.session import Session


class Thing:
    """An object that can be weakly referenced."""


def state_of(count: int) -> MailboxState[Thing]:
    """Return the state of a mailbox with that many messages."""
    return MailboxState(Session("host"), count, 100 * count)


@given(st.integers(0, 30), st.integers(-40, 40))
def test_an_index_works_as_for_a_list(count: int, index: int) -> None:
    """The number of the message is the index plus one."""
    numbers = list(range(1, count + 1))
    try:
        expected = numbers[index]
    except IndexError:
        with pytest.raises(IndexError):
            state_of(count).position(index)
    else:
        assert state_of(count).position(index) == expected


@given(st.integers(0, 12), st.dictionaries(st.integers(1, 15), st.integers(0, 99)))
@pytest.mark.threat(71)
def test_a_listing_is_joined_by_number(count: int, listing: dict[int, int]) -> None:
    """Gaps are None, numbers beyond the count are skipped, and the order of the lines does not matter (Q36, Q47)."""
    aligned = state_of(count).aligned(dict(listing), "LIST")
    assert aligned == [listing.get(number) for number in range(1, count + 1)]


def test_a_listing_that_disagrees_with_stat_is_noted() -> None:
    """It is recorded as the quirk COUNTS_DIFFER."""
    state = state_of(2)
    state.aligned({1: 10, 2: 20, 3: 30}, "LIST")
    assert "COUNTS_DIFFER" in state.session.quirks


def add(cache: MessageCache[Thing], number: int, thing: Thing) -> None:
    """Register a message, as `OpenMailbox.messages` does."""
    if number in cache.refs:
        cache.forget(number)
    if len(cache.refs) >= cache.room:
        cache.sweep()
    cache.refs[number] = weakref.ref(thing)


def test_the_cache_does_not_keep_messages_cache() -> None:
    """A message is the same object while it is referenced, and gone afterwards."""
    cache: MessageCache[Thing] = MessageCache(100)
    thing = Thing()
    add(cache, 3, thing)
    assert cache.get(3) is thing
    assert len(cache) == 1
    del thing
    gc.collect()
    assert cache.get(3) is None
    assert len(cache) == 0


@pytest.mark.threat(120)
def test_bodies_are_dropped_least_recently_used_first() -> None:
    """The cache is bounded in bytes, but the last body is kept whatever its size."""
    cache: MessageCache[Thing] = MessageCache(100)
    things = [Thing() for _ in range(4)]
    for number, thing in enumerate(things):
        add(cache, number, thing)
    assert list(cache.keep(0, 40)) == []
    assert list(cache.keep(1, 40)) == []
    assert list(cache.keep(0, 40)) == []
    assert list(cache.keep(2, 40)) == [things[1]]
    assert list(cache.keep(3, 1000)) == [things[0], things[2]]


def test_a_collected_message_frees_its_space() -> None:
    """The body of a message that is not referenced any more does not count."""
    cache: MessageCache[Thing] = MessageCache(100)
    first, second, third = Thing(), Thing(), Thing()
    for number, thing in enumerate((first, second, third)):
        add(cache, number, thing)
    assert list(cache.keep(0, 90)) == []
    del first, thing
    gc.collect()
    assert list(cache.keep(1, 90)) == []
    assert list(cache.keep(2, 10)) == []


def test_bodies_of_collected_messages_are_dropped_first() -> None:
    """They do not push out the body of a message that is still referenced."""
    cache: MessageCache[Thing] = MessageCache(100)
    held = Thing()
    add(cache, 0, held)
    assert list(cache.keep(0, 40)) == []
    for number in range(1, 50):
        passing = Thing()
        add(cache, number, passing)
        assert list(cache.keep(number, 30)) == []


def test_collected_messages_leave_nothing_in_the_cache() -> None:
    """However many messages there were, the cache remembers only those that are referenced."""
    cache: MessageCache[Thing] = MessageCache(100)
    held = [Thing() for _ in range(3)]
    for number in range(10_000):
        add(cache, number, held[number] if number < 3 else Thing())
    assert len(cache.refs) <= 1000
    assert len(cache) == 3
    assert [cache.get(number) for number in range(4)] == [*held, None]


def test_collecting_a_message_cannot_swallow_ctrl_c() -> None:
    """Weak references have no callback, as Python swallows an exception, Ctrl-C included, that is raised in one."""
    cache: MessageCache[Thing] = MessageCache(100)
    thing = Thing()
    add(cache, 1, thing)
    assert [ref.__callback__ for ref in weakref.getweakrefs(thing)] == [None]


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        ([1, 2, 3, 4], [0, 1, 1, 1]),
        ([9, 8, 7], [0, -1, -1]),
        ([1, 4, 7, 10], [0, 0, 3, 3]),
        ([5, 5, 5], [0, 0, 0]),
        ([1, 2, 9, 10, 11], [0, 1, 0, 0, 1]),
        ([3, 50, 2], [0, 0, 0]),
    ],
)
def test_the_prefetch_recognizes_a_regular_order(asked: list[int], steps: list[int]) -> None:
    """Neighbours are a pattern at the second read, other strides at the third, and a break ends it."""
    ahead = ReadAhead()
    assert [ahead.asked(number) for number in asked] == steps


def test_the_prefetch_skips_deleted_and_cached_messages() -> None:
    """Nothing is requested twice, and nothing that the server would refuse."""
    state = state_of(10)
    state.deleted.update({3: None, 5: None})
    assert list(state.plan(2, 1, lambda number: number == 7)) == [2, 4, 6, 8, 9, 10]
    assert list(state.plan(9, -3, lambda _: False)) == [9, 6]


def test_a_listing_is_bounded_by_the_count() -> None:
    """The bound is the count of STAT plus a margin, and never more than the limit."""
    assert state_of(5).entries < 5000
    small = MailboxState[Thing](Session("host", Limits(listing_entries=10)), 5, 500)
    assert small.entries == 10
