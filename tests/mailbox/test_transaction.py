"""delete, undelete, commit, rollback and close agree with a model: a list of messages and a set of marks."""

import warnings

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pymailbox import ConnectionLost, Mailbox, Uncommitted
from pymailbox.testing import Server

MAILS = [b"Subject: %d\r\n\r\n.%d\r\n" % (number, number) for number in range(8)]


class Transactions(RuleBasedStateMachine):
    """After any operations in any order the server has the same messages as the model."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server(MAILS).open()
        self.stored = list(MAILS)
        self.marks: set[int] = set()
        self.inbox = Mailbox.from_url(self.server.url, "secret").open()

    def teardown(self) -> None:
        self.inbox.rollback()
        self.server.close()

    def some(self, indexes: set[int]) -> list[int]:
        return sorted(index for index in indexes if index < len(self.stored))

    @rule(indexes=st.sets(st.integers(0, 7), max_size=4))
    def delete(self, indexes: set[int]) -> None:
        """Marks are added."""
        chosen = self.some(indexes)
        self.inbox.delete([self.inbox[index] for index in chosen])
        self.marks |= set(chosen)

    @rule(indexes=st.sets(st.integers(0, 7), max_size=4))
    def undelete(self, indexes: set[int]) -> None:
        """These marks are removed, the others stay."""
        chosen = self.some(indexes)
        self.inbox.undelete([self.inbox[index] for index in chosen])
        self.marks -= set(chosen)

    @rule()
    def undelete_all(self) -> None:
        """All marks are removed."""
        self.inbox.undelete()
        self.marks.clear()

    @precondition(lambda self: set(range(len(self.stored))) - self.marks)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """Reading does not change marks."""
        index = data.draw(st.sampled_from(sorted(set(range(len(self.stored))) - self.marks)))
        assert self.inbox[index].raw == self.stored[index]

    @rule()
    def read_some_of_a_pipeline(self) -> None:
        """Leaving an iteration early changes nothing."""
        for message in self.inbox.fetch():
            assert message.raw == self.stored[message.number - 1]
            break

    @rule()
    def commit(self) -> None:
        """Marked messages are gone in the next session."""
        self.inbox.reopen()
        self.stored = [raw for index, raw in enumerate(self.stored) if index not in self.marks]
        self.marks.clear()

    @rule()
    def rollback(self) -> None:
        """All messages are still there in the next session."""
        self.inbox.rollback()
        self.inbox.open()
        self.marks.clear()

    @rule()
    def commit_and_open(self) -> None:
        """commit() ends the session; calling it again is ValueError."""
        self.inbox.commit()
        with pytest.raises(ValueError, match="not open"):
            self.inbox.commit()
        self.inbox.open()
        self.stored = [raw for index, raw in enumerate(self.stored) if index not in self.marks]
        self.marks.clear()

    @rule(lost=st.booleans())
    def close(self, lost: bool) -> None:
        """close() deletes nothing, even if the connection was lost, and warns once of the deletions that it drops."""
        if lost:
            self.inbox.connection.close()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.inbox.close()
            self.inbox.close()
        expected = [f"{len(self.marks)} deletion{'s' * (len(self.marks) != 1)} pending"] if self.marks else []
        assert len(caught) == len(expected)
        for warning, words in zip(caught, expected, strict=True):
            assert warning.category is Uncommitted
            assert words in str(warning.message)
        self.inbox.open()
        self.marks.clear()

    @rule()
    def fail(self) -> None:
        """An exception in a block rolls everything back."""
        try:
            with self.inbox:
                raise LookupError
        except LookupError:
            pass
        self.inbox.open()
        self.marks.clear()

    @rule()
    def die(self) -> None:
        """A closed connection commits nothing; with marks reopen() raises once, then it opens."""
        self.inbox.connection.close()
        if self.marks:
            with pytest.raises(ConnectionLost, match=f"none of its {len(self.marks)} deletions was committed"):
                self.inbox.reopen()
        self.inbox.reopen()
        self.marks.clear()

    @invariant()
    def agrees(self) -> None:
        """The count and the marks equal those of the model."""
        assert len(self.inbox) == len(self.stored)
        assert {message.number - 1 for message in self.inbox.deleted} == self.marks


Transactions.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestTransactions = Transactions.TestCase
