"""Whatever a server does with its uids, each message is archived once, byte for byte, and none is deleted unread.

Hypothesis has a server and an archive live through histories: messages arrive, share, lose, swap and reuse uids, are
removed by somebody else, come back from a backup; the ledger is rebuilt, or replaced by an older one.
"""

import shutil
import tempfile
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pymailbox import Archive, Keep, UidsChanged
from pymailbox.testing.stored_mail import StoredMail
from tests.archive.box import Box, account_of, disks_that_do_not_wait, message, put_before, serve

#: What a uid looks like, with a number in it.
KINDS = (
    "{}",
    "../../{}/etc",
    "/{}",
    "\udcff\udcfe{}",
    "é{}",
    "{} with blanks",
    "." * 5_000 + "{}",
    "\x1f{}\x00",
    "%{}s",
)
SIZES = (200, 300, 1_500)
KEEPS = (Keep.everything(), Keep.everything(), Keep.nothing(), Keep(latest=2), Keep(bytes=700))


class Histories(RuleBasedStateMachine):
    """A server's box, what was shown of it, and the archive."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.root = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.stack.enter_context(disks_that_do_not_wait())
        self.box = Box()
        self.server = self.stack.enter_context(serve(self.box))
        self.number = 0
        self.rounded = False
        #: How many messages of that content have arrived.
        self.arrived: Counter[bytes] = Counter()
        #: By uid, what runs have seen under it.
        self.shown: defaultdict[bytes, Counter[bytes]] = defaultdict(Counter)
        #: What may be there twice: it came back under another uid after it was deleted, or swapped uids.
        self.may_double: set[bytes] = set()
        #: What shared its uid: under a new one it is another message as long as the old one is listed.
        self.sharing: set[bytes] = set()
        self.files: dict[str, bytes] = {}
        self.snapshot: list[StoredMail] = []
        self.ledger_kept = False

    def teardown(self) -> None:
        self.stack.close()

    @initialize(rounded=st.booleans())
    def begin(self, rounded: bool) -> None:
        """Sizes by LIST may be rounded."""
        self.rounded = rounded

    # --- the server ---------------------------------------------------------------------------------------

    def put(self, uid: bytes, content: bytes) -> StoredMail:
        return self.box.put(uid, content, size=-(-len(content) // 1024) * 1024 if self.rounded else None)

    def content(self, size: int) -> bytes:
        self.number += 1
        return message(self.number, size)

    def uid(self, kind: str) -> bytes:
        self.number += 1
        return kind.format(self.number).encode("utf-8", "surrogateescape")

    @rule(kind=st.sampled_from(KINDS), size=st.sampled_from(SIZES), count=st.integers(1, 3))
    def arrive(self, kind: str, size: int, count: int) -> None:
        """Some messages arrive."""
        for _ in range(count):
            content = self.content(size)
            self.arrived[content] += 1
            self.put(self.uid(kind), content)

    @rule(size=st.sampled_from(SIZES))
    def arrive_without_uid(self, size: int) -> None:
        """A message has no uid."""
        content = self.content(size)
        self.arrived[content] += 1
        self.put(b"", content)

    @precondition(lambda self: self.box.mails)
    @rule(data=st.data(), size=st.sampled_from(SIZES), copy=st.booleans())
    def arrive_under_the_same_uid(self, data: Any, size: int, copy: bool) -> None:
        """A message shares its uid with another one, which may be its copy."""
        mail = data.draw(st.sampled_from(self.box.mails))
        content = mail.content if copy else self.content(size)
        if not copy:
            self.arrived[content] += 1
        self.sharing |= {mail.content, content}
        self.put(mail.uid, content)

    @precondition(lambda self: self.box.mails)
    @rule(data=st.data())
    def arrive_again(self, data: Any) -> None:
        """A copy of a message has a uid of its own."""
        mail = data.draw(st.sampled_from(self.box.mails))
        self.arrived[mail.content] += 1
        self.put(self.uid("{}"), mail.content)

    @precondition(lambda self: self.box.mails)
    @rule(data=st.data(), size=st.sampled_from((None, None, *SIZES)), between=st.booleans())
    def recycle(self, data: Any, size: int | None, between: bool) -> None:
        """Another message has a uid that was another's, and perhaps its size; it comes `between` two runs or not."""
        if between:
            self.collect(Keep.everything(), False)
        at = data.draw(st.integers(0, len(self.box.mails) - 1))
        content = self.content(size or len(self.box.mails[at].content))
        self.arrived[content] += 1
        self.put(self.box.mails[at].uid, content)
        self.box.mails[at] = self.box.mails.pop()
        if between:
            self.collect(data.draw(st.sampled_from(KEEPS)), False)

    @precondition(lambda self: len(self.box.mails) > 1)
    @rule()
    def swap(self) -> None:
        """Two messages have each other's uids."""
        first, last = self.box.mails[0], self.box.mails[-1]
        self.may_double |= {first.content, last.content}
        self.box.mails[0] = StoredMail(last.uid, first.size, content=first.content)
        self.box.mails[-1] = StoredMail(first.uid, last.size, content=last.content)

    @precondition(lambda self: self.box.mails)
    @rule(data=st.data())
    def somebody_removes(self, data: Any) -> None:
        """A message is deleted by another program."""
        self.box.mails.remove(data.draw(st.sampled_from(self.box.mails)))

    @precondition(lambda self: self.box.mails)
    @rule(everything=st.booleans())
    def renumber(self, everything: bool) -> None:
        """The server gives new uids, to all messages or to every second one."""
        for at, mail in enumerate(self.box.mails):
            if everything or at % 2:
                self.box.mails[at] = StoredMail(self.uid("n{}"), mail.size, content=mail.content)
                self.note_new_uid(mail.content)

    def note_new_uid(self, content: bytes) -> None:
        """A message that was deleted once, or is not the only one of its content or uid, may be stored again."""
        copies = sum(mail.content == content for mail in self.box.mails)
        several = copies > 1 or self.arrived[content] > 1 or content in self.sharing
        if several or content in {mail.content for mail in self.box.deleted}:
            self.may_double.add(content)

    @rule(restore=st.booleans())
    def server_backup(self, restore: bool) -> None:
        """The server's mailbox is saved, or restored."""
        if not restore or not self.snapshot:
            self.snapshot = self.box.mails.copy()
            return
        now = {(mail.uid, mail.content) for mail in self.box.mails}
        self.box.mails = [StoredMail(mail.uid, mail.size, content=mail.content) for mail in self.snapshot]
        for mail in self.box.mails:
            if (mail.uid, mail.content) not in now:
                self.note_new_uid(mail.content)

    # --- the archive --------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self.root / "a"

    @rule(keep=st.sampled_from(KEEPS), again=st.booleans())
    def collect(self, keep: Keep, again: bool) -> None:
        """Run, and check what must hold."""
        put_before(self.server, self.box)
        listed, deleted = self.box.mails.copy(), len(self.box.deleted)
        with Archive(self.path) as archive:
            try:
                archive.collect(account_of(self.server), keep=keep)
            except UidsChanged:
                assert len(self.box.deleted) == deleted, "deleted though all uids have changed"
                archive.collect(account_of(self.server), keep=keep, renumbered=True)
                assert len(self.box.deleted) == deleted, "deleted by a run with renumbered=True"
            self.check(archive, listed, deleted)
            uids = [mail.uid for mail in self.box.mails]
            if again and b"" not in uids and len(set(uids)) == len(uids):
                sessions = len(self.server.sessions)
                assert archive.collect(account_of(self.server)).new == 0
                commands = [line for record in self.server.sessions[sessions:] for line in record.commands]
                assert not [line for line in commands if line.startswith("RETR")], "downloaded twice"

    @precondition(lambda self: self.path.exists())
    @rule()
    def clean(self) -> None:
        """Make room."""
        put_before(self.server, self.box)
        deleted = len(self.box.deleted)
        with Archive(self.path) as archive:
            archive.clean(account_of(self.server), Keep.nothing(), at_most=1)
            self.check(archive, [], deleted)

    def check(self, archive: Archive, listed: list[StoredMail], deleted: int) -> None:
        """Compare the archive with what it was shown, and with what the server has lost by it."""
        assert archive.verify()
        archived = Counter(record.raw for record in archive)
        for mail in self.box.deleted[deleted:]:
            assert archived[mail.content], "deleted unread"
        for content, times in archived.items():
            assert content in self.arrived, "altered"
            assert times <= self.arrived[content] or content in self.may_double, "stored twice"
        by_uid: defaultdict[bytes, Counter[bytes]] = defaultdict(Counter)
        for mail in listed:
            by_uid[mail.uid][mail.content] += 1
        for uid, contents in by_uid.items():
            # What replaced another message under its uid cannot be told from it as long as LIST shows the same size.
            if not uid or self.shown[uid] <= contents:
                assert contents.keys() <= archived.keys(), "not archived"
            self.shown[uid] |= contents

    @precondition(lambda self: self.path.exists())
    @rule()
    def rebuild(self) -> None:
        """The ledger is made again from the files."""
        Archive.rebuild(self.path)

    @precondition(lambda self: self.path.exists())
    @rule(restore=st.booleans())
    def ledger_backup(self, restore: bool) -> None:
        """The ledger is saved, or replaced by what was saved."""
        now, kept = self.path / ".pymailbox" / "ledger.db", self.root / "ledger.db"
        if restore and self.ledger_kept:
            shutil.copy(kept, now)
        else:
            shutil.copy(now, kept)
            self.ledger_kept = True

    @precondition(lambda self: self.path.exists())
    @rule()
    def mail_program(self) -> None:
        """A mail program shows new messages."""
        for path in (self.path / "new").iterdir():
            path.rename(self.path / "cur" / f"{path.name}:2,S")

    @invariant()
    def no_file_is_lost_or_changed(self) -> None:
        """Files stay as they are."""
        if self.path.exists():
            paths = [path for name in ("new", "cur") for path in (self.path / name).iterdir()]
            files = {path.name.partition(":")[0]: path.read_bytes() for path in paths}
            assert self.files.items() <= files.items()
            self.files = files


def test_with_an_older_ledger_clean_stores_nothing_twice(tmp_path: Path) -> None:
    """What a run found under a reused uid is a file that the older ledger lacks, though it has the uid."""
    box, ledger = Box(), tmp_path / "a" / ".pymailbox" / "ledger.db"
    box.put("u", message(1))
    with serve(box) as server, Archive(tmp_path / "a") as archive:
        account = account_of(server)
        archive.collect(account)
        archive.close()
        shutil.copy(ledger, tmp_path / "older.db")
        box.mails.clear()
        box.put("u", message(2))
        archive.clean(account, Keep.nothing(), at_most=1)
        archive.close()
        shutil.copy(tmp_path / "older.db", ledger)
        archive.clean(account, Keep.nothing(), at_most=1)
        assert sorted(record.raw for record in archive) == [message(1), message(2)]
        assert archive.verify().strangers == 0


class ManyHistories(Histories):
    """The same, many times."""


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
ManyHistories.TestCase.settings = settings(max_examples=1_000, stateful_step_count=25, deadline=None)
TestHistories = Histories.TestCase
TestManyHistories = pytest.mark.slow(ManyHistories.TestCase)
