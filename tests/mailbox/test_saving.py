"""Copies have lasting names, never overwrite another file, and are complete or not there; with both drivers."""

import io
import re
import tempfile
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pymailbox import ConnectionLost, Limits, MessageUnavailable, Progress, TemporaryFailure
from pymailbox.testing import Fault, Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT, case
from tests.drivers import Blocking, Driver, asynchronous
from tests.mailbox.test_mailbox import over

HEAD = b"Date: Wed, 03 Jun 2026 09:30:00 +0200\r\nFrom: a@example.com\r\nSubject: "


def mail(subject: bytes, lines: int = 3) -> bytes:
    """Return a message of some lines."""
    return HEAD + subject + b"\r\n\r\n" + b"a line\r\n" * lines


def contents(directory: Path) -> list[bytes]:
    """Return the contents of the files in a directory, which must have nothing else in it."""
    paths = list(directory.iterdir())
    assert not [path for path in paths if path.suffix != ".eml" or path.name.startswith(".")]
    return sorted(path.read_bytes() for path in paths)


# --- names ----------------------------------------------------------------------------------------------------


def test_a_file_name_is_always_the_same(driver: Driver, tmp_path: Path) -> None:
    """Before and after the download, with TOP or without, in another session, at another position."""
    names = set()
    for top in (True, False):
        with Server(SAMPLES) as server:
            uid = None
            for ask in ("filename", "raw", "save", "preview"):
                with over(server, driver, top=top) as inbox:
                    message = inbox.by_uid(uid) if uid else inbox[6]
                    uid = message.uid
                    read = getattr(message, ask)
                    if ask == "preview":
                        read()
                    names.add(read(tmp_path).name if ask == "save" else message.filename)
                    inbox.delete(inbox[:1])
    assert len(names) == 1
    assert all(re.fullmatch(r"[0-9-]{10} .* [0-9a-f]{12}\.eml", name) for name in names)


def test_without_a_uid_the_file_name_is_made_from_the_header(driver: Driver) -> None:
    """Without UIDL, or with a blank uid; fields that record whether the message was read do not change it."""
    marked = [b"Status: RO\r\n" + mail(b"x") if number else mail(b"x") for number in range(2)]
    for options in ({"uidl": False}, {"faults": [Fault.replace("UIDL", None, reply=b"+OK\r\n1 \r\n2 \r\n.\r\n")]}):
        with case(options), Server(marked, **options) as server, over(server, driver) as inbox:
            assert inbox[0].filename == inbox[1].filename


def test_a_uid_refused_for_now_does_not_change_the_file_name(driver: Driver, tmp_path: Path) -> None:
    """The refusal is raised and nothing is left, as a different name would mean a second copy tomorrow."""
    for ask in (lambda message: message.filename, lambda message: message.save(f"{tmp_path}/new/")):
        busy = Fault.refuse("UIDL", text="[SYS/TEMP] busy")
        with Server([mail(b"x")], faults=[busy]) as server, over(server, driver) as inbox:
            with pytest.raises(TemporaryFailure):
                ask(inbox[0])
            assert list(tmp_path.iterdir()) == []
            assert inbox[0].save(tmp_path / "a", overwrite=True).exists()
            assert inbox[0].filename.startswith("2026-06-03 x ")
            (tmp_path / "a").unlink()


# --- save -----------------------------------------------------------------------------------------------------


def the_first_example() -> str:
    """Return the example with which README and the first page of the site begin."""
    blocks = [
        re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S) for page in ("README.md", "docs/index.md")
    ]
    assert blocks[0] is not None
    assert blocks[1] is not None
    assert blocks[0][1] == blocks[1][1]
    return blocks[0][1]


def test_the_first_example_can_be_run_every_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sessions with new mail in between make four files, although the message numbers repeat."""
    monkeypatch.chdir(tmp_path)
    code = the_first_example().replace("10_000_000", "50")
    with Server(lock=False) as server:
        code = code.replace(
            'Mailbox("pop.example.com", "me@example.com", "app-password")',
            f'Mailbox.from_url("{server.url}", "secret")',
        )
        arrived = []
        for day in ("monday", "tuesday"):
            for number in (1, 2):
                arrived.append(mail(f"{day} {number}".encode(), 10))
                server.deliver(arrived[-1])
            exec(textwrap.dedent(code), {})
            assert server.messages == ()
        assert contents(tmp_path / "big") == sorted(arrived)


def test_two_messages_with_one_name_are_two_files(driver: Driver, tmp_path: Path) -> None:
    """If all have the same uid, the second gets a number; existing files are left alone, also by a second run."""
    mails = [mail(b"x", lines) for lines in (3, 4, 3)]
    twice = Fault.replace("UIDL", None, reply=b"+OK\r\n1 same\r\n2 same\r\n3 same\r\n.\r\n")
    with Server(mails, faults=[twice]) as server:
        for _ in range(2):
            with over(server, driver) as inbox:
                paths = [message.save(tmp_path) for message in inbox]
                assert paths[0] == paths[2] != paths[1]
                assert paths[1].name == paths[0].name.replace(".eml", " (2).eml")
    assert contents(tmp_path) == sorted(set(mails))


def test_saving_costs_one_retr(driver: Driver, tmp_path: Path) -> None:
    """The name is made from the downloaded message, so TOP is not needed; a cached message is not requested again."""
    mails = [mail(b"%d" % number) for number in range(3)]
    with Server(mails) as server:
        with over(server, driver) as inbox:
            for message in inbox:
                message.save(tmp_path)
            message = inbox[1]
            assert message.raw
            message.save(tmp_path / "1.eml")
        server.wait()
        assert server.sessions[0].commands[5:] == ("UIDL", "RETR 1", "RETR 2", "RETR 3", "RETR 2", "QUIT")
    assert contents(tmp_path) == sorted([*mails, mails[1]])


def test_a_refused_message_leaves_nothing(driver: Driver, tmp_path: Path) -> None:
    """Refused, marked as deleted, or cut off: no file and no directory; misuse of `overwrite` sends nothing."""
    for fault, kind in (
        (Fault.refuse("RETR", 1), MessageUnavailable),
        (Fault.cut(100, command="RETR"), ConnectionLost),
        (None, MessageUnavailable),
    ):
        with case(fault), Server([mail(b"x", 50)], faults=[fault] if fault else []) as server:
            inbox = over(server, driver).open()
            for where in (tmp_path, f"{tmp_path}/new/"):
                asked = server.log
                with pytest.raises(ValueError, match="overwrite"):
                    inbox[0].save(where, overwrite=True)
                assert server.log == asked
            if fault is None:
                inbox[0].delete()
            with pytest.raises(kind):
                inbox[0].save(f"{tmp_path}/new/")
            assert list(tmp_path.iterdir()) == []
            inbox.rollback()


def test_a_cached_message_can_be_saved_after_it_was_deleted(driver: Driver, tmp_path: Path) -> None:
    """When it is marked, and after the commit."""
    with Server([mail(b"x")]) as server:
        with over(server, driver) as inbox:
            message = inbox[0]
            assert message.raw == mail(b"x")
            message.delete()
            message.save(tmp_path)
        assert message.save(tmp_path / "after.eml").read_bytes() == mail(b"x")
        assert message.save(tmp_path).name == message.filename
    assert len(contents(tmp_path)) == 2


class Saving(RuleBasedStateMachine):
    """Random messages saved into one directory, in any order and repeatedly: no file ever changes, no copy is missing."""

    driver: Any = Blocking

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.directory = Path(self.place.name)
        self.server = Server(lock=False).open()
        self.inbox = over(self.server, self.driver).open()
        self.saved: set[bytes] = set()
        self.files: dict[str, tuple[int, int, bytes]] = {}

    def teardown(self) -> None:
        self.inbox.rollback()
        self.server.close()
        self.place.cleanup()

    @rule(
        subjects=st.lists(st.sampled_from([b"a", b"A", b"../a", b"=?utf-8?q?=C3=A9?=", b""]), max_size=4),
        lines=st.integers(0, 2),
    )
    def arrive(self, subjects: list[bytes], lines: int) -> None:
        """Messages arrive, some of them equal, and a new session begins."""
        for subject in subjects:
            self.server.deliver(mail(subject, lines))
        self.inbox.reopen()

    @rule(data=st.data(), as_file=st.booleans())
    def save(self, data: st.DataObject, as_file: bool) -> None:
        """One is saved, into the directory or under its file name."""
        if not len(self.inbox):
            return
        message = self.inbox[data.draw(st.integers(0, len(self.inbox) - 1))]
        where: Any = self.directory / message.filename if as_file else self.directory
        try:
            path = message.save(where)
        except FileExistsError:
            assert as_file
            return
        assert path.read_bytes() == message.raw
        self.saved.add(message.raw)

    @rule()
    def save_all(self) -> None:
        """All are saved, in reverse."""
        for message in reversed(self.inbox):
            assert message.save(self.directory).read_bytes() == message.raw
            self.saved.add(message.raw)

    @invariant()
    def agrees(self) -> None:
        """There is a file for each content, and no existing file was touched."""
        now = {}
        for path in self.directory.iterdir():
            status = path.stat()
            now[path.name] = (status.st_ino, status.st_mtime_ns, path.read_bytes())
        assert {name: now.get(name) for name in self.files} == self.files
        self.files = now
        found = [data for _, _, data in now.values()]
        assert set(found) == self.saved
        assert self.distinct(found)

    def distinct(self, found: Iterable[bytes]) -> bool:
        """Return whether each pair of name and content exists once; equal messages with two uids have two names."""
        names = {(re.sub(r" \(\d+\)\.eml$", ".eml", name), data) for name, (_, _, data) in self.files.items()}
        return len(names) == len(list(found))


Saving.TestCase.settings = settings(max_examples=30, stateful_step_count=12)
TestSaving = Saving.TestCase


class SavingAsync(Saving):
    """The same over asyncio."""

    def __init__(self) -> None:
        self.running = asynchronous()
        self.driver = self.running.__enter__()
        super().__init__()

    def teardown(self) -> None:
        super().teardown()
        self.running.__exit__(None, None, None)


SavingAsync.TestCase.settings = settings(max_examples=15, stateful_step_count=12)
TestSavingAsync = SavingAsync.TestCase


# --- write_to -------------------------------------------------------------------------------------------------


def test_write_to_writes_all_or_raises(driver: Driver) -> None:
    """A file that accepts part of the data gets the rest; one that accepts 0 bytes, or would block, is OSError."""

    class Takes(io.RawIOBase):
        def __init__(self, most: int | None) -> None:
            self.most = most
            self.got = b""

        def write(self, data: Any) -> int | None:
            if self.most is None:
                return None
            self.got += data[: self.most]
            return min(len(data), self.most)

    raw = mail(b"x", 100)
    for read_first in (False, True):
        for most in (1000, 7, 1, 0, None, -1):
            with case(read_first, most), Server([raw]) as server:
                inbox = over(server, driver).open()
                message = inbox[0]
                if read_first:
                    assert message.raw == raw
                file = Takes(most)
                if most is None or most < 1:
                    with pytest.raises(OSError, match="took"):
                        message.write_to(file)
                else:
                    assert message.write_to(file) == len(raw)
                    assert file.got == raw
                inbox.rollback()


# --- progress -------------------------------------------------------------------------------------------------


def test_progress_of_one_message(driver: Driver, tmp_path: Path) -> None:
    """The bytes never decrease, LIST is asked for the total, and the last report has all bytes."""
    raw = mail(b"x", 200_000)
    with Server([raw, mail(b"y")]) as server, over(server, driver) as inbox:
        for number, call in enumerate(
            (lambda p: inbox[0].write_to(io.BytesIO(), progress=p), lambda p: inbox[0].save(tmp_path / "a", progress=p))
        ):
            seen: list[Progress] = []
            call(seen.append)
            assert seen[-1] == Progress(len(raw), len(raw), 1, 1)
            assert [report.bytes for report in seen] == sorted(report.bytes for report in seen)
            assert {report.total_bytes for report in seen} == {len(raw)}
            assert server.log.count("LIST") == 1, number
        for wrong in (5, "x"):
            with pytest.raises(TypeError, match="progress"):
                inbox[1].save(tmp_path / "b", progress=wrong)  # type: ignore[arg-type]

        async def reports(_: Progress) -> None:
            raise AssertionError

        with pytest.raises(TypeError, match="coroutine"):
            inbox[1].write_to(io.BytesIO(), progress=reports)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_error_of_progress_is_raised_unchanged(driver: Driver, tmp_path: Path) -> None:
    """In the middle, which ends the session, and at the end, which does not; no file is left, nothing is committed."""

    class Stop(Exception):
        pass

    for at_the_end in (False, True):
        raw = mail(b"x", 200_000)
        with case(at_the_end), Server([raw, mail(b"y")]) as server:
            inbox = over(server, driver, limits=Limits(window=10_000)).open()
            inbox[1].delete()

            stop = Stop()

            def report(progress: Progress, at_the_end: bool = at_the_end, stop: Stop = stop) -> None:
                if bool(progress.messages) == at_the_end:
                    raise stop

            with pytest.raises(Stop) as caught:
                inbox[0].save(f"{tmp_path}/new/", progress=report)
            assert caught.value is stop
            assert list(tmp_path.iterdir()) == []
            if at_the_end:
                assert inbox[0].subject == "x"
            else:
                with pytest.raises(ConnectionLost):
                    inbox.keep_alive()
            inbox.rollback()
            server.wait()
            assert server.messages == (raw, mail(b"y"))
