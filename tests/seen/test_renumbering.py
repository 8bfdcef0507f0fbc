"""If a server gives all its messages new uids, those that were added are recognised by their sizes."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox import Seen, UidsChanged
from pymailbox.seen.renumbering import longest_rise
from pymailbox.testing.stored_mail import StoredMail
from tests.archive.box import Box, message, serve
from tests.archive.conftest import IN_PARTS, PARTS, Traced, runner, traced  # noqa: F401 - fixtures
from tests.seen.mailboxes import ME, opened, uids_of, unseen
from tests.timing import assert_linear

CHOICE = random.Random(3)
SIZES = [CHOICE.randrange(500, 50_000) for _ in range(40)]


def under(prefix: str, sizes: list[int]) -> list[tuple[str | None, int | None]]:
    return [(f"{prefix}{number}", size) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("name", "sizes", "expected"),
    [
        ("renumbered", SIZES, True),
        ("and new mail", SIZES + SIZES[5:9] + [77] * 90, True),
        ("and a few deleted", SIZES[2:10] + SIZES[11:36], True),
        ("and both", SIZES[2:10] + SIZES[11:36] + [70, 71, 72], True),
        ("newest first", [70, 71, 72, *SIZES], True),
        ("emptied", [], False),
        ("emptied, a few new", [900, 901, 902], False),
        ("emptied, a few new of sizes there were", SIZES[3:9], False),
        ("emptied, as many new", SIZES[::-1], False),
        ("Gmail's window moved on", [size + 1 for size in SIZES], False),
        ("LIST refused", [None] * 40, False),
    ],
)
def test_all_uids_have_changed_if_the_sizes_recur(memory: Seen, name: str, sizes: list[Any], expected: bool) -> None:
    messages = memory.of(ME)
    messages.remember(under("old", SIZES))
    listing = under("new", sizes)
    assert messages.renumbered(listing) is expected
    assert not messages.renumbered([*listing, ("old3", SIZES[3])]), "one uid is known"
    messages.remember(listing)
    assert not messages.renumbered(listing)


def test_the_order_is_that_of_the_last_listing(memory: Seen) -> None:
    """A server that turns its listing around, as `newest first`, may renumber its messages later."""
    messages = memory.of(ME)
    old = under("old", SIZES)
    messages.remember(old)
    messages.add(old[:30])
    assert unseen(messages, old[::-1]) == list(range(1, 11))
    new = under("new", SIZES[::-1])
    assert messages.renumbered(new)
    messages.remember(new, renumbered=True)
    assert messages.unseen(new) == list(range(1, 11))


def test_sizes_that_are_all_alike_are_not_certain(memory: Seen) -> None:
    """A mailbox of reports that somebody empties has the same sizes every day; or its server has renumbered it."""
    messages = memory.of(ME)
    messages.remember(under("monday", [200] * 10 + [300]))
    tuesday = under("tuesday", [200] * 10 + [300])
    assert (messages.renumbered(tuesday), messages.may_be_renumbered(tuesday)) == (False, True)
    for other in (under("tuesday", [200] * 10), under("tuesday", [200] * 9 + [300, 200]), under("t", [None] * 11)):
        assert not messages.may_be_renumbered(other)


def test_all_uids_of_messages_that_are_alike_have_changed(box: Box, path: Path) -> None:
    """`UidsChanged` costs a question; to hand out everything again would cost more. Two may well be others."""
    old = Box([StoredMail(b"o%d" % n, 200, content=message(n)) for n in range(5)])
    with serve(old) as server, Seen(path) as seen, opened(server) as inbox:
        seen.add(seen.new(inbox))
    mails = [StoredMail(b"n%d" % n, 200, content=message(n)) for n in range(6)]
    with serve(Box(mails)) as server, Seen(path) as seen:
        with opened(server) as inbox, pytest.raises(UidsChanged, match="renumbered=True"):
            seen.new(inbox)
        with opened(server) as inbox:
            assert uids_of(seen.new(inbox, renumbered=True)) == ["n5"]
    for day in ("monday", "tuesday"):
        two = Box([StoredMail(f"{day}{n}".encode(), 200, content=message(n)) for n in range(2)])
        with serve(two) as server, Seen(path.with_name("two")) as seen, opened(server) as inbox:
            assert len(seen.new(inbox)) == 2


def test_what_was_deleted_in_the_session_proves_nothing(path: Path) -> None:
    """Two reports a day, always of the same sizes, that the program handles and deletes."""
    for day in range(3):
        box = Box()
        box.put(f"{day}a", message(1, 200))
        box.put(f"{day}b", message(2, 300))
        with serve(box) as server, Seen(path) as seen, opened(server) as inbox:
            new = seen.new(inbox)
            assert len(new) == 2
            seen.add(new)
            inbox.delete(new)


def test_uids_changed_changes_nothing_until_it_is_accepted(box: Box, path: Path) -> None:
    """With `renumbered=True` messages keep their state under new uids; what cannot be recognised is new."""
    for number in range(3, 12):
        box.put(f"u{number}", message(number, 200 + number))
    with serve(box) as server, Seen(path) as seen, opened(server) as inbox:
        seen.add(seen.new(inbox)[:7])
    mails = [StoredMail(b"n%d" % at, mail.size, content=mail.content) for at, mail in enumerate(box.mails)]
    with serve(Box(mails)) as server:
        before = path.read_bytes()
        with Seen(path) as seen, opened(server) as inbox, pytest.raises(UidsChanged, match="renumbered=True"):
            seen.new(inbox)
        assert path.read_bytes() == before
    with serve(box) as server, Seen(path) as seen, opened(server) as inbox:  # the old ones are back
        assert uids_of(seen.new(inbox)) == [f"u{n}" for n in range(7, 12)]
    with serve(Box([*mails[2:], StoredMail(b"later", 205, content=message(99, 205))])) as server:
        for renumbered in (True, False, True):
            with Seen(path) as seen, opened(server) as inbox:
                new = seen.new(inbox, renumbered=renumbered)
                assert uids_of(new) == ["n7", "n8", "n9", "n10", "n11", "later"]


def test_add_does_not_hide_that_all_uids_have_changed(box: Box, path: Path) -> None:
    with serve(box) as server, Seen(path) as seen, opened(server) as inbox:
        seen.add(seen.new(inbox)[0])
    mails = [StoredMail(b"n%d" % at, mail.size, content=mail.content) for at, mail in enumerate(box.mails)]
    with serve(Box(mails)) as server, Seen(path) as seen:
        for _ in range(2):
            with opened(server) as inbox:
                seen.add(inbox[1])
                with pytest.raises(UidsChanged):
                    seen.new(inbox)
        with opened(server) as inbox:
            assert uids_of(seen.new(inbox, renumbered=True)) == ["n2"]


def test_messages_that_sizes_do_not_tell_apart_are_new_under_new_uids(memory: Seen) -> None:
    """Of three alike, one of which was not added and one is gone, both that are left are handed out."""
    messages = memory.of(ME)
    old = under("old", [100, 500, 500, 500, 200])
    messages.remember(old)
    messages.add([old[0], old[1], old[3], old[4]])
    new = under("new", [100, 500, 500, 200])
    assert messages.renumbered(new)
    messages.remember(new, renumbered=True)
    assert messages.unseen(new) == [2, 3]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 4)), max_size=25), st.integers(0, 4))
def test_renumbering_passes_nothing_over(mails: list[tuple[bool, bool, int]], arrived: int) -> None:
    """Of any mailbox some messages were added and some deleted, before all got new uids: what was not added is new.

    New mail after them has sizes that no deleted message had; with one, it could not be told from it.
    """
    with Seen.in_memory() as seen:
        messages = seen.of(ME)
        old = under("old", [size * 100 for *_, size in mails])
        messages.remember([("first", 1), ("second", 2), *old, ("last", 3)])
        handled = [one for one, (added, _, _) in zip(old, mails, strict=True) if added]
        ids = messages.remember([("first", 1), ("second", 2), *old, ("last", 3)])
        messages.mark((ids[2 + at], None, None) for at, (added, _, _) in enumerate(mails) if added)
        left = [(one, added) for one, (added, gone, _) in zip(old, mails, strict=True) if not gone]
        new = under("new", [1, 2, *(size for (_, size), _ in left), 3, *range(1000, 1000 + arrived)])  # type: ignore[list-item]
        assert messages.renumbered(new)
        messages.remember(new, renumbered=True)
        expected = {at + 3 for at, (_, added) in enumerate(left) if not added}
        assert expected <= set(messages.unseen(new))
        if len(left) == len(mails):
            assert len(messages.unseen(new)) == 3 + arrived + len(mails) - len(handled)  # first, second, last


@given(st.lists(st.integers(0, 12), max_size=12))
def test_thelongest_rise(values: list[int]) -> None:
    """It rises, is a part of the values, and none is longer."""
    pairs = [(value, at) for at, value in enumerate(values)]
    rise = longest_rise(pairs)
    assert [at for _, at in rise] == sorted(at for _, at in rise)
    assert all(values[at] == value for value, at in rise)
    assert all(one[0] < other[0] for one, other in pairwise(rise))
    best = [1] * len(values)
    for at in range(len(values)):
        best[at] = 1 + max((best[was] for was in range(at) if values[was] < values[at]), default=0)
    assert len(rise) == max(best, default=0)


@pytest.mark.parametrize("alike", [True, False])
def test_sizes_are_compared_in_almost_linear_time(alike: bool) -> None:
    """In n log n, in whatever order they come."""

    def prepare(count: int) -> Callable[[], None]:
        sizes = [7 + (number % 7 if alike else number) for number in range(count)]
        old, new, turned = under("old", [1, 2, *sizes]), under("new", [1, 2, *sizes[3:]]), under("new", sizes[::-1])

        def work() -> None:
            with Seen.in_memory() as seen:
                messages = seen.of(ME)
                messages.remember(old)
                assert not messages.renumbered(turned)
                assert messages.renumbered(new)
                messages.remember(new, renumbered=True)

        return work

    assert_linear(prepare, 2_000)
