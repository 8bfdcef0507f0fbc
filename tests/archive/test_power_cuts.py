"""A power cut at any point of a run loses nothing, and the next run stores nothing twice and alters nothing.

A run is recorded, every state that a power cut could have left of it is made, and a clean run is started from each.
"""

import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from attrs import define, field

from pymailbox import Archive, Keep
from pymailbox.archive import session, writing
from pymailbox.archive.maildir import Maildir
from pymailbox.testing import Server
from pymailbox.testing.stored_mail import StoredMail
from tests.archive.box import Box, account_of, disks_that_do_not_wait, message, put_before, serve
from tests.archive.recorder import Operation, Recorder, State, after, crash_states, recording
from tests.archive.runs import InOrder

TWICE = message(7)

#: Each kind of message: rewritten because of a bare LF, without a uid, of one uid with another, equal to another.
MAILS: list[tuple[str, bytes]] = [
    ("a", message(1)),
    ("b", b"Subject: bare\r\n\r\nhere\n it is\r\n"),
    ("", message(3)),
    ("d", message(4)),
    ("d", message(5)),
    ("f", TWICE),
    ("g", TWICE),
]


@define
class RecordedBox(Box):
    """A box that also tells a recorder what QUIT removed."""

    recorder: Recorder | None = None
    order: list[StoredMail] = field(factory=list)

    def remove(self, mails: Collection[StoredMail]) -> None:
        super().remove(mails)
        assert self.recorder is not None
        gone = tuple(self.order.index(mail) for mail in mails)
        self.recorder.add(Operation("quit", gone=gone))


def box_of(gone: Collection[int] = (), recorder: Recorder | None = None) -> RecordedBox:
    box = RecordedBox(recorder=recorder)
    for uid, content in MAILS:
        box.put(uid, content)
    box.order = box.mails.copy()
    box.mails = [mail for at, mail in enumerate(box.mails) if at not in gone]
    return box


@define
class Bench:
    """A server, and a directory in which states are made and cleared away."""

    root: Path
    server: Server
    number: int = 0

    def fresh(self) -> Path:
        self.number += 1
        (self.root / str(self.number)).mkdir()
        return self.root / str(self.number)

    def record(
        self, keep: Keep, *, start: State | None = None, clean: bool = False, without: Any = None
    ) -> Sequence[Operation]:
        """Run once with the recorder, and return what it wrote down."""
        base = self.fresh()
        if start is not None:
            start.make(base)
        recorder = Recorder(base / "a", without=without)
        recorder.base = base
        put_before(self.server, box_of(() if start is None else start.gone, recorder))
        with recording(recorder), Archive(base / "a") as archive:
            archive._layout = Maildir(base / "a", recorder)
            if clean:
                archive.clean(account_of(self.server), keep, at_most=1)
            else:
                archive.collect(account_of(self.server), keep=keep)
        shutil.rmtree(base)
        return recorder.record

    def wrong(self, state: State, keep: Keep) -> str:
        """Run once, cleanly, from a state; return what is wrong then."""
        base = self.fresh()
        state.make(base)
        put_before(self.server, box_of(state.gone, Recorder(base)))
        try:
            with Archive(base / "a") as archive:
                done = archive.collect(account_of(self.server), keep=keep)
                verified = archive.verify()
                stored = Counter(record.raw for record in archive if record.name not in verified.missing)
                due = Counter(content for _, content in MAILS)
                in_files = sum(1 for name in ("new", "cur") for _ in (base / "a" / name).iterdir())
                left = list((base / "a" / "tmp").iterdir())
            if stored != due:
                return f"lost {(due - stored).total()}, twice or altered {(stored - due).total()} ({done})"
            if not verified or verified.strangers or in_files != len(MAILS) or left:
                return f"{verified}, {in_files} files, {len(left)} in tmp"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            shutil.rmtree(base)
        return ""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        stack.enter_context(disks_that_do_not_wait())
        stack.enter_context(mock.patch.object(writing, "_MESSAGES", 3))
        stack.enter_context(mock.patch.object(session, "_AT_ONCE", 4))
        server = stack.enter_context(serve(Box()))
        yield Bench(tmp_path, server)


def forgotten_names() -> AbstractContextManager[object]:
    """Have runs not look for messages by the names of their files."""
    return mock.patch.object(session.CollectSession, "_recognise_names", return_value=False)


def replay(
    bench: Bench, record: Sequence[Operation], keep: Keep, *, enough: int | None = None, **options: Any
) -> tuple[int, list[str]]:
    """Start from every state that a power cut could leave; return how many there were, and what was wrong."""
    count, wrong = 0, []
    for state in crash_states(record, **options):
        count += 1
        problem = bench.wrong(state, keep)
        if problem:
            wrong.append(problem)
            if enough is not None and len(wrong) >= enough:
                break
    return count, wrong


MODES = {"keep": Keep.everything(), "delete": Keep.nothing()}


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("every", "most"), [(3, 2), pytest.param(1, 200, marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_power_cut_in_a_first_run(bench: Bench, mode: str, every: int, most: int, late: bool) -> None:
    """Also when no file is on disk before the next group is written."""
    with mock.patch.object(writing, "_Syncing", InOrder), mock.patch.object(InOrder, "late", late):
        record = bench.record(MODES[mode])
    kinds = {operation.kind for operation in record}
    assert kinds >= {"mkdir", "create", "write", "sync", "rename", "sync directory", "commit", "remove"}
    assert ("quit" in kinds) == (mode == "delete")
    count, wrong = replay(bench, record, MODES[mode], every=every, most=most)
    assert count > len(record) // every
    assert not wrong, wrong[:5]


@pytest.mark.parametrize("mode", ["delete", "clean"])
@pytest.mark.parametrize(("every", "most"), [(2, 2), pytest.param(1, 200, marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_power_cut_while_archived_messages_are_deleted(bench: Bench, mode: str, every: int, most: int) -> None:
    first = bench.record(Keep.everything())
    record = [*first, *bench.record(Keep.nothing(), start=after(first), clean=mode == "clean")]
    count, wrong = replay(bench, record, Keep.nothing(), first=len(first), every=every, most=most)
    assert count > (len(record) - len(first)) // every
    assert not wrong, wrong[:5]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("step", "every", "most"), [(9, 9, 1), pytest.param(1, 3, 6, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_power_cut_after_a_run_was_killed(bench: Bench, mode: str, step: int, every: int, most: int) -> None:
    """What the killed run had not forced to disk may still be lost while the next one deletes."""
    killed = bench.record(MODES[mode])
    for at in range(step, len(killed), step):
        record = [*killed[:at], *bench.record(Keep.nothing(), start=after(killed[:at]))]
        _, wrong = replay(bench, record, Keep.nothing(), first=at, every=every, most=most)
        assert not wrong, (at, wrong[:5])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("every", "most"), [(5, 1), pytest.param(1, 64, marks=pytest.mark.slow)], ids=["some", "all"])
def test_names_or_pending_rows_alone_are_enough(bench: Bench, mode: str, every: int, most: int) -> None:
    """Each of the two protects a group that was cut off: its rows in the ledger, and the names of its files."""
    for without, patched in (("pending", False), (None, True)):
        with forgotten_names() if patched else nullcontext():
            record = bench.record(MODES[mode], without=without)
            _, wrong = replay(bench, record, MODES[mode], every=every, most=most)
            assert not wrong, (without, wrong[:5])


CONTROLS = {
    "directory": "the directory is not forced to disk",
    "file": "the files are not forced to disk",
    "parents": "the directories above new ones are not forced to disk",
    "pending": "the ledger is committed after the renames, and names are not looked at",
}


@pytest.mark.parametrize("control", CONTROLS)
def test_the_replay_notices_a_missing_step(bench: Bench, control: str) -> None:
    with forgotten_names() if control == "pending" else nullcontext():
        record = bench.record(Keep.nothing(), without=control)
        _, wrong = replay(bench, record, Keep.nothing(), most=3, enough=1)
    assert wrong, f"not noticed: {CONTROLS[control]}"
    expected = "unknown, 8 files" if control == "pending" else "lost|missing"
    assert re.search(expected, wrong[0])
