"""The pure state of a session: positions, listings, marks, what is kept, and the plan of the read-ahead."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox import Limits
from pymailbox.mailbox.state import MailboxState, MessageCache, ReadAhead
from pymailbox.pop3.session import Session


class Thing:
    """Something with identity that can be held weakly."""


def state_of(count: int) -> MailboxState[Thing]:
    """Return the state of a mailbox with that many messages."""
    return MailboxState(Session("host"), count, 100 * count)


@given(st.integers(0, 30), st.integers(-40, 40))
def test_position_is_that_of_a_list(count: int, index: int) -> None:
    """An index means what it means for a list, and the number is index + 1."""
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
    """Gaps are None, numbers beyond the count are skipped, and the order of the lines means nothing (Q36, Q47)."""
    aligned = state_of(count).aligned(dict(listing), "LIST")
    assert aligned == [listing.get(number) for number in range(1, count + 1)]


def test_strangers_are_noted() -> None:
    """A listing that disagrees with STAT is a quirk to be seen."""
    state = state_of(2)
    state.aligned({1: 10, 2: 20, 3: 30}, "LIST")
    assert "COUNTS_DIFFER" in state.session.quirks


def test_the_cache_keeps_identity_and_nothing_else() -> None:
    """A message is the same while anybody holds it, and gone when nobody does."""
    alive: MessageCache[Thing] = MessageCache(100)
    thing = Thing()
    alive.add(3, thing)
    assert alive.get(3) is thing
    assert len(alive) == 1
    del thing
    gc.collect()
    assert alive.get(3) is None
    assert len(alive) == 0


@pytest.mark.threat(120)
def test_bodies_are_dropped_least_recently_used_first() -> None:
    """The cache is bounded in octets; the last body stays whatever its size."""
    alive: MessageCache[Thing] = MessageCache(100)
    things = [Thing() for _ in range(4)]
    for number, thing in enumerate(things):
        alive.add(number, thing)
    assert list(alive.keep(0, 40)) == []
    assert list(alive.keep(1, 40)) == []
    assert list(alive.keep(0, 40)) == []
    assert list(alive.keep(2, 40)) == [things[1]]
    assert list(alive.keep(3, 1000)) == [things[0], things[2]]


def test_a_dead_message_frees_its_room() -> None:
    """The octets of a message that nobody holds count no more."""
    alive: MessageCache[Thing] = MessageCache(100)
    first, second, third = Thing(), Thing(), Thing()
    for number, thing in enumerate((first, second, third)):
        alive.add(number, thing)
    assert list(alive.keep(0, 90)) == []
    del first, thing
    gc.collect()
    assert list(alive.keep(1, 90)) == []
    assert list(alive.keep(2, 10)) == []


def test_the_dead_make_room_before_the_living() -> None:
    """Bodies that nobody can read any more are not kept in the place of one that somebody holds."""
    alive: MessageCache[Thing] = MessageCache(100)
    held = Thing()
    alive.add(0, held)
    assert list(alive.keep(0, 40)) == []
    for number in range(1, 50):
        passing = Thing()
        alive.add(number, passing)
        assert list(alive.keep(number, 30)) == []


def test_collected_messages_leave_nothing_in_the_cache() -> None:
    """However many messages pass by, only those that somebody holds are known for long."""
    alive: MessageCache[Thing] = MessageCache(100)
    held = [Thing() for _ in range(3)]
    for number in range(10_000):
        alive.add(number, held[number] if number < 3 else Thing())
    assert len(alive._refs) <= 1000
    assert len(alive) == 3
    assert [alive.get(number) for number in range(4)] == [*held, None]


def test_no_interruption_is_lost_to_a_message_that_is_collected() -> None:
    """Nothing runs when a message dies: what is raised in a callback, Ctrl-C too, never arrives."""
    alive: MessageCache[Thing] = MessageCache(100)
    thing = Thing()
    alive.add(1, thing)
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
def test_read_ahead_sees_a_steady_order(asked: list[int], steps: list[int]) -> None:
    """Neighbours show a pattern at the second read, other strides at the third, and a break ends it."""
    ahead = ReadAhead()
    assert [ahead.asked(number) for number in asked] == steps


def test_the_plan_leaves_out_what_is_deleted_or_at_hand() -> None:
    """Nothing is asked for twice, and nothing that cannot be had."""
    state = state_of(10)
    state.deleted.update({3: None, 5: None})
    assert list(state.plan(2, 1, lambda number: number == 7)) == [2, 4, 6, 8, 9, 10]
    assert list(state.plan(9, -3, lambda _: False)) == [9, 6]


def test_a_listing_is_bounded_by_the_count() -> None:
    """STAT plus a margin, and never more than the limit."""
    assert state_of(5).entries < 5000
    small = MailboxState[Thing](Session("host", Limits(listing_entries=10)), 5, 500)
    assert small.entries == 10
