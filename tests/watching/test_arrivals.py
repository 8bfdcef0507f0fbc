"""What a watch hands out, against a model: nothing is skipped, and nothing comes twice that can be told apart."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pymailbox import Account, MailboxError
from pymailbox.errors import MessageUnavailable
from pymailbox.seen import Seen
from pymailbox.watching.arrival import Arrival
from pymailbox.watching.arrivals import Arrivals, Listed

ACCOUNT = Account("pop.example.com", "me", "secret")


class Watching(RuleBasedStateMachine):
    """A mailbox that changes in every way, one watch after another with one state file, and what they hand out."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.next = 0
        #: What the server has: number of the message, uid, size.
        self.mails: list[tuple[int, str, int]] = []
        self.baseline: set[int] = set()
        self.done: set[int] = set()
        self.done_before: set[int] = set()  # under earlier watches
        #: Of the watch that is running.
        self.handed_out: Counter[int] = Counter()
        self.waiting: list[tuple[int, Arrival]] = []
        self.shared: set[int] = set()  # messages that could not be told apart from another one at some time
        self.arrivals = self.watch()

    def watch(self) -> Arrivals:
        """Return another watch."""
        return Arrivals(ACCOUNT, Seen(Path(self.directory.name) / "me.seen"), lambda: 0.0)

    def listing(self) -> list[Listed]:
        """Return the listing of a session that begins now."""
        keys = Counter((uid, size) for _, uid, size in self.mails)
        self.shared |= {number for number, uid, size in self.mails if keys[uid, size] > 1}
        return [(uid, size) for _, uid, size in self.mails]

    @initialize(count=st.integers(0, 4))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.arrive()
        self.arrivals.open()
        self.arrivals.take_baseline(self.listing())
        self.baseline = {number for number, _, _ in self.mails}

    @rule()
    def arrive(self) -> None:
        """No two have one size: if several sizes recur after all uids have changed, that counts as renumbered."""
        self.mails.append((self.next, f"uid{self.next}", 100 + self.next))
        self.next += 1

    @precondition(lambda self: self.mails)
    @rule(at=st.integers(0, 100), alike=st.booleans())
    def arrive_under_a_uid_in_use(self, at: int, alike: bool) -> None:
        _, uid, size = self.mails[at % len(self.mails)]
        self.mails.append((self.next, uid, size if alike else 100 + self.next))
        self.next += 1

    @precondition(lambda self: self.mails)
    @rule(at=st.integers(0, 100))
    def remove(self, at: int) -> None:
        _, uid, _ = self.mails.pop(at % len(self.mails))
        # Nobody knows which of several that are listed alike is gone; nor whether a uid was used again.
        self.shared |= {other for other, its, _ in self.mails if its == uid}

    @rule(most=st.integers(0, 5), refused=st.integers(0, 5))
    def look(self, most: int, refused: int) -> None:
        for position, message in enumerate(self.arrivals.new(self.listing())[:most]):
            if position == refused:
                self.arrivals.refuse(message, MailboxError("lost", retryable=True, usable=True))
                break
            self.arrivals.add(message, b"%d" % self.mails[message.number - 1][0])
        while self.arrivals.queue:
            arrival = self.arrivals.queue.popleft()
            self.handed_out[int(arrival.raw)] += 1
            self.waiting.append((int(arrival.raw), arrival))

    @precondition(lambda self: self.waiting)
    @rule(at=st.integers(0, 100))
    def finish(self, at: int) -> None:
        number, arrival = self.waiting.pop(at % len(self.waiting))
        arrival.done()
        self.done.add(number)

    @rule()
    def restart(self) -> None:
        self.arrivals.close()
        self.waiting.clear()
        self.handed_out.clear()
        self.done_before = set(self.done)
        self.arrivals = self.watch()
        self.arrivals.open()
        self.arrivals.take_baseline(self.listing())

    @rule()
    def look_at_everything(self) -> None:
        self.look(1000, 1000)
        present = {number for number, _, _ in self.mails}
        missing = present - self.baseline - self.done - set(self.handed_out)
        assert missing - self.shared == set(), "skipped"

    @invariant()
    def nothing_twice(self) -> None:
        assert [number for number, times in self.handed_out.items() if times > 1 and number not in self.shared] == []
        assert not (set(self.handed_out) & (self.baseline | self.done_before)) - self.shared

    def teardown(self) -> None:
        self.arrivals.close()
        self.directory.cleanup()


Watching.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestWatching = Watching.TestCase


@pytest.mark.parametrize("uid", ["1", " "], ids=["a uid", "no uid"])
@pytest.mark.parametrize("done", [True, False])
def test_a_uid_that_is_listed_again_is_compared(uid: str, done: bool, tmp_path: Path) -> None:
    """After a listing without it, a message of the same uid and size is handed out if it is another; else not again."""
    listing = [(uid, 10), (uid, 10)] if uid == " " else [(uid, 10), ("2", 10)]
    contents = {0: (b"a", b"b"), 1: (b"c", b"d"), 2: (b"c", b"e")}
    expected = {0: [b"a", b"b"], 1: [b"c", b"d"], 2: [b"e"]}

    def look(arrivals: Arrivals, raws: tuple[bytes, ...]) -> list[bytes]:
        for message in arrivals.new(listing):
            arrivals.add(message, raws[message.number - 1])
        result = [arrival.raw for arrival in arrivals.queue]
        while arrivals.queue:
            arrival = arrivals.queue.popleft()
            if done:
                arrival.done()
        return result

    arrivals = Arrivals(ACCOUNT, Seen(tmp_path / "state"), lambda: 0.0)
    arrivals.open()
    arrivals.take_baseline([])
    for number, raws in contents.items():
        assert look(arrivals, raws) == expected[number]
        assert look(arrivals, raws) == []
        for _ in range(2):  # a listing that lacks them for a while
            assert arrivals.new([]) == []
            assert look(arrivals, raws) == []
        assert arrivals.new([]) == []
    arrivals.close()
    later = Arrivals(ACCOUNT, Seen(tmp_path / "state"), lambda: 0.0)
    later.open()
    later.take_baseline(listing)
    assert look(later, contents[2]) == ([] if done else [b"c", b"e"])
    later.close()


@pytest.mark.parametrize("done", [True, False])
def test_new_uids_in_another_order(done: bool, tmp_path: Path) -> None:
    """What was handed out is recognised by its content where sizes cannot tell, but no more messages than there were."""
    old: list[Listed] = [("a", 100), ("b", 200), ("c", 300)]
    arrivals = Arrivals(ACCOUNT, Seen(tmp_path / "state"), lambda: 0.0)
    arrivals.open()
    arrivals.take_baseline(old)
    for message in arrivals.new([*old, ("d", 10), ("e", 10)]):
        arrivals.add(message, b"one" if message.number == 4 else b"two")
    for arrival in [arrivals.queue.popleft(), arrivals.queue.popleft()][: 2 if done else 1]:
        arrival.done()
    new: list[Listed] = [("v", 10), ("w", 10), ("x", 10), ("y", 10), ("A", 100), ("B", 200), ("C", 300)]
    contents = [b"two", b"new", b"one", b"one"]
    for message in arrivals.new(new):
        arrivals.add(message, contents[message.number - 1])
    assert [arrival.raw for arrival in arrivals.queue] == [b"new", b"one"]
    for arrival in arrivals.queue:
        arrival.done()
    arrivals.close()
    later = Arrivals(ACCOUNT, Seen(tmp_path / "state"), lambda: 0.0)
    later.open()
    later.take_baseline(new)
    assert [message.number for message in later.new(new)] == ([] if done else [1, 3]), "which was done, nobody knows"
    later.close()


def test_set_aside_after_three_looks() -> None:
    """Not before, and only for refusals that will not pass; a message that was downloaded starts anew."""
    arrivals = Arrivals(ACCOUNT, None, lambda: 0.0)
    arrivals.open()
    arrivals.take_baseline([])
    listing: list[Listed] = [("a", 1), ("b", 2), ("c", 3)]
    refused = MessageUnavailable("no")
    busy = MailboxError("busy", retryable=True, usable=True)

    def numbers() -> list[int]:
        return [message.number for message in arrivals.new(listing)]

    bad, delayed, _ = arrivals.new(listing)
    for _ in range(2):
        assert sorted(numbers()) == [1, 2, 3]
        arrivals.refuse(bad, refused)
        arrivals.refuse(delayed, busy)
    assert numbers() == [3, 1, 2]
    for _ in range(5):
        arrivals.refuse(delayed, busy)
    arrivals.refuse(bad, refused)
    assert numbers() == [3, 2]
    assert arrivals.set_aside == {"a": refused}
    arrivals.close()
