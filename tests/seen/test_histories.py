"""Whatever happens to a mailbox and its uids, nothing is passed over that can be told from what was added."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from pymailbox import Mailbox, Seen, UidsChanged
from pymailbox.testing.stored_mail import StoredMail
from tests.archive.box import Box, account_of, disks_that_do_not_wait, message, put_before, serve
from tests.archive.conftest import IN_PARTS, PARTS, Traced, runner, traced  # noqa: F401 - fixtures
from tests.seen.mailboxes import DAY


class Histories(RuleBasedStateMachine):
    """A server's box, what programs have handled of it, and the file."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.path = Path(self.stack.enter_context(tempfile.TemporaryDirectory())) / "me.seen"
        self.stack.enter_context(disks_that_do_not_wait())
        self.box = Box()
        self.server = self.stack.enter_context(serve(self.box))
        self.number = 0
        self.day = 0.0
        #: What listings lack for a while, by content.
        self.late: set[bytes] = set()
        self.was_late: set[bytes] = set()
        #: What was listed, and what programs have added.
        self.listed: set[bytes] = set()
        self.added: set[bytes] = set()
        #: What could not be told from something else.
        self.passed_over: set[bytes] = set()
        #: What may come again: its uid was another's, all uids changed, or it was forgotten.
        self.again: set[bytes] = set()
        #: Since when the listings lack what they had.
        self.lacking: dict[bytes, float] = {}
        self.renumbered = False

    def teardown(self) -> None:
        self.stack.close()

    def put(self, uid: bytes, size: int) -> StoredMail:
        self.number += 1
        return self.box.put(uid, message(self.number, size))

    def uid(self) -> bytes:
        self.number += 1
        return b"\xff uid %d" % self.number

    @rule(sizes=st.lists(st.integers(200, 205), min_size=1, max_size=4))
    def arrive(self, sizes: list[int]) -> None:
        """Some messages arrive."""
        for size in sizes:
            self.put(self.uid(), size)

    @rule()
    def arrive_without_uid(self) -> None:
        """A message has no uid."""
        self.again.add(self.put(b"", 300).content)

    @precondition(lambda self: self.box.mails)
    @rule(data=st.data(), alike=st.booleans())
    def arrive_under_the_same_uid(self, data: Any, alike: bool) -> None:
        """A message has the uid of another one, and perhaps its size."""
        mail = data.draw(st.sampled_from(self.box.mails))
        other = self.put(mail.uid, mail.size if alike else 400 + self.number)
        self.again |= {one.content for one in self.box.mails if one.uid == mail.uid} | {other.content}

    @precondition(lambda self: self.box.mails)
    @rule(data=st.data())
    def recycle(self, data: Any) -> None:
        """Another message has a uid that was another's, and another size."""
        at = data.draw(st.integers(0, len(self.box.mails) - 1))
        uid = self.box.mails[at].uid
        gone = self.box.mails.pop(at)
        self.again |= {one.content for one in [gone, *self.box.mails] if one.uid == uid}
        if uid:
            self.again.add(self.put(uid, 1_000 + self.number).content)

    @precondition(lambda self: self.box.mails)
    @rule(data=st.data())
    def somebody_removes(self, data: Any) -> None:
        """A message is deleted by another program."""
        self.box.mails.remove(data.draw(st.sampled_from(self.box.mails)))

    @precondition(lambda self: self.box.mails)
    @rule(data=st.data())
    def lag(self, data: Any) -> None:
        """A message is not listed for a while."""
        late = data.draw(st.sampled_from(self.box.mails)).content
        self.late.add(late)
        self.was_late.add(late)

    @rule()
    def catch_up(self) -> None:
        """The list is complete again."""
        self.late.clear()

    @rule()
    def empty(self) -> None:
        """A phone empties the account."""
        self.box.mails.clear()

    @rule()
    def renumber(self) -> None:
        """The server gives all messages new uids."""
        for at, mail in enumerate(self.box.mails):
            if mail.uid:
                self.box.mails[at] = StoredMail(self.uid(), mail.size, content=mail.content)
                self.again.add(mail.content)
        self.renumbered = True

    @rule(days=st.sampled_from((0.5, 10, 31, 400)))
    def time_passes(self, days: float) -> None:
        """Or a clock is set."""
        self.day += days

    @rule(days=st.sampled_from((10, 400)))
    def clock_goes_back(self, days: float) -> None:
        """A clock was wrong."""
        self.day -= days
        self.again |= self.lacking.keys()

    @rule(accepted=st.booleans(), deleting=st.booleans(), data=st.data())
    def run(self, accepted: bool, deleting: bool, data: Any) -> None:
        """A program handles some of what is new, and fails or is done."""
        shown = Box([mail for mail in self.box.mails if mail.content not in self.late])
        put_before(self.server, shown)
        listed = [mail.content for mail in shown.mails]
        self.listed |= set(listed)
        with Seen(self.path) as seen:
            seen._clock = lambda: 1e9 + self.day * DAY
            with Mailbox.from_account(account_of(self.server)) as inbox:
                try:
                    new = seen.new(inbox)
                except UidsChanged:
                    if not accepted:
                        return
                    self.again |= set(listed)
                    new = seen.new(inbox, renumbered=True)
                    self.renumbered = True
                self.check(listed, [listed[message.number - 1] for message in new])
                chosen = data.draw(st.lists(st.sampled_from(new), unique=True)) if new else []
                seen.add(chosen)
                assert not set(chosen) & set(seen.new(inbox))
                self.added |= {listed[message.number - 1] for message in chosen}
                if deleting:
                    inbox.delete(chosen)
        deleted = {mail.content for mail in shown.deleted}
        self.box.mails = [mail for mail in self.box.mails if mail.content not in deleted]
        for content in listed:
            self.lacking.pop(content, None)
        for content in self.added - set(listed):
            since = self.lacking.setdefault(content, self.day)
            if self.day - since >= 30:
                self.again.add(content)

    def check(self, listed: list[bytes], new: list[bytes]) -> None:
        """Nothing is passed over; nothing comes again without a reason."""
        gone = {len(content) for content in (self.listed if self.renumbered else self.added) - set(listed)}
        for content in listed:
            if content in new:
                assert content not in self.added or content in self.again, "handed out again"
            elif content not in self.added | self.passed_over:
                # It may be taken for one of its size that is gone, if all uids are new or its uid was that one's.
                assert content in self.again or self.renumbered, "passed over"
                alike = {(mail.uid, mail.size) for mail in self.box.mails if mail.content in self.added}
                first = {(mail.uid, mail.size) for mail in self.box.mails if mail.content == content} & alike
                # Or, if it was listed late, for one of its uid and size that stands after it.
                assert len(content) in gone or (first and content in self.was_late), "passed over"
                self.passed_over.add(content)


class ManyHistories(Histories):
    """The same, many times."""


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
ManyHistories.TestCase.settings = settings(max_examples=1_000, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
TestManyHistories = pytest.mark.slow(ManyHistories.TestCase)
