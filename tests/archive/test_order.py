"""What a run does to the disk and on the wire, in order, as strace sees it."""

import errno
import os
import re
import sys
import threading
from collections.abc import Iterable
from io import FileIO
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest

from pymailbox import Archive, Keep, Progress, progress
from pymailbox.archive import writing
from pymailbox.archive.maildir import Maildir
from pymailbox.disk import Disk
from pymailbox.testing import Server
from tests import case
from tests.archive.conftest import Traced
from tests.archive.runs import MAILS, Call, account_of, calls_in, job, stored_in

#: Calls that change what is in a directory or force something to disk.
DISK = (
    "fsync fdatasync sync sync_file_range syncfs rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat"
    " mkdir mkdirat rmdir ftruncate truncate fallocate mknod creat"
)
WRITING = re.compile(r"\bO_(WRONLY|RDWR|CREAT|TRUNC|APPEND)\b")


class Steps:
    """The calls of one run, found by what they do."""

    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls

    def all(self, name: str, pattern: str) -> list[int]:
        """Return where successful calls of that name are whose arguments fit."""
        return [
            at
            for at, call in enumerate(self.calls)
            if call.name == name and not call.failed and re.search(pattern, call.arguments)
        ]

    def only(self, name: str, pattern: str) -> int:
        """Return where the only one is."""
        (at,) = self.all(name, pattern)
        return at

    def first(self, name: str, pattern: str, after: int = -1) -> int:
        """Return where the first one is after another call."""
        return min(at for at in self.all(name, pattern) if at > after)

    def commit(self, pattern: str, after: int = -1) -> int:
        """Return where the ledger's first commit ends that writes such a row: its journal is cut and that is on disk."""
        written = self.first("pwrite64", rf"ledger\.db>.*{pattern}", after)
        on_disk = self.first("fdatasync", r"ledger\.db>", written)
        return self.first("fdatasync", r"ledger\.db-journal>", self.first("ftruncate", r"ledger\.db-journal>", on_disk))


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_a_message_is_deleted_only_after_its_file_its_name_and_its_row_are_on_disk(
    traced: Traced, tmp_path: Path, late: bool
) -> None:
    """Whether the files of a group are on disk before the next group comes, or only when it is complete."""
    with Server(MAILS, lock=False) as server:
        assert traced(tmp_path / "log", job(tmp_path / "a", server, "nothing", late=late))["deleted"] == len(MAILS)
    steps = Steps(calls_in(tmp_path / "log"))

    quit = steps.first("sendto", r'"QUIT')
    last_sync = steps.all("fsync", r"/a/new>")
    for number in range(1, len(MAILS) + 1):
        name = rf"\.pmb1Q{number}U[0-9a-f]{{16}}"
        synced = steps.only("fsync", rf"/a/tmp/\d+{name}w?>")
        written = max(steps.all("write", rf"/a/tmp/\d+{name}w?>"))
        named = steps.commit(name)
        renamed = steps.only("rename", rf'/a/tmp/\d+{name}w?", ".*/a/new/')
        in_directory = min(at for at in last_sync if at > renamed)
        deleted = steps.only("sendto", rf"DELE {number}\b")
        order = [written, synced, named, renamed, in_directory, deleted, quit]
        assert all(earlier < later for earlier, later in pairwise(order)), (number, order)

    first_synced, last_written = steps.first("fsync", "/a/tmp/.*Q1U"), max(steps.all("write", r"/a/tmp/.*Q6U"))
    assert (first_synced > last_written) == late
    # The rows of the first group are on disk before those of the second one.
    assert steps.commit(r"\.pmb1Q3U") < min(steps.all("rename", r"\.pmb1Q[456]U"))

    announced = steps.commit("storeddeleting")
    confirmed = steps.first("recvfrom", r'"\+OK', quit)
    gone = steps.first("pwrite64", r"ledger\.db>.*storedgone")
    assert max(steps.all("sendto", r"DELE \d")) < announced < quit < confirmed < gone
    assert not [at for at in steps.all("pwrite64", r"ledger\.db") if announced < at < confirmed]  # no commit in between

    # The directories are durable before anything is put into them, each by its parent.
    for made, parent, used in (
        (r"/a\"", rf"{tmp_path}>", ("openat", r"/\.pymailbox/lock")),
        (r"/a/\.pymailbox\"", r"/a>", ("openat", r"/\.pymailbox/lock")),
        (r"/a/tmp\"", r"/a>", ("openat", r"/a/tmp/\d")),
        (r"/a/new\"", r"/a>", ("rename", r"/a/new/\d")),
    ):
        directory = steps.only("mkdir", made)
        assert directory < steps.first("fsync", parent, directory) < steps.first(*used)


def test_what_a_killed_run_did_is_durable_before_the_next_one_deletes(traced: Traced, tmp_path: Path) -> None:
    """A run killed where it forces a directory to disk leaves that to the next one, which must not rely on it."""
    log, home = tmp_path / "log", tmp_path / "home"
    home.mkdir()
    with Server(MAILS, lock=False) as server:
        traced(log, job(home / "archive", server, "nothing"))
    forced = [call for call in calls_in(log) if call.name == "fsync" and "/archive/tmp/" not in call.arguments]
    assert len(forced) > 5
    for at, call in enumerate(forced):
        archive = tmp_path / str(at) / "archive"
        archive.parent.mkdir()
        with case(call), Server(MAILS, lock=False) as server:
            run = job(archive, server, "nothing")
            assert traced.killed(call, run, log)
            assert traced(log, run)["deleted"] == len(MAILS)
        directory = call.arguments.partition("<")[2].replace(str(home), str(archive.parent))
        with case(call):
            steps = Steps(calls_in(log))
            again = [*steps.all("fsync", rf"<{directory}$"), *steps.all("fdatasync", rf"<{directory}$")]
            assert min(again) < steps.first("sendto", "DELE")


class _FailingDisk(Disk):
    """A disk on which one file, by its number, cannot be forced to disk."""

    def __init__(self, failing: int) -> None:
        self.failing = failing
        self.renamed: list[str] = []

    def sync_file(self, file: FileIO) -> None:
        super().sync_file(file)
        if f"Q{self.failing}U" in str(Path(f"/proc/self/fd/{file.fileno()}").readlink()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def rename(self, source: str | Path, target: str | Path) -> None:
        super().rename(source, target)
        if Path(target).parent.name == "new":
            self.renamed.append(str(target))


def syncing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "fsync" in thread.name]


@pytest.mark.skipif(sys.platform != "linux", reason="needs the names of open files")
@pytest.mark.parametrize("failing", range(1, len(MAILS) + 1))
def test_a_file_that_cannot_be_forced_to_disk_ends_the_run_before_its_group_has_names(
    tmp_path: Path, failing: int
) -> None:
    """The error of a thread is that of the run, and no thread is left; the groups before it are safe."""
    disk = _FailingDisk(failing)
    with (
        mock.patch.object(writing, "_MESSAGES", 3),
        mock.patch.object(writing, "_TOGETHER", 2),
        Server(MAILS, lock=False) as server,
        Archive(tmp_path / "a") as archive,
    ):
        vars(archive)["_layout"] = Maildir(archive.path, disk)
        with pytest.raises(OSError, match="Input/output error"):
            archive.collect(account_of(server), keep=Keep.nothing())
        assert syncing_threads() == []
        safe = 0 if failing <= 3 else 3
        assert (len(disk.renamed), len(stored_in(archive.path)), len(server.messages)) == (safe, safe, len(MAILS))
        assert list((tmp_path / "a" / "tmp").iterdir()) == []
        disk.failing = 0
        again = archive.collect(account_of(server))
        assert (again.known, again.new, len(archive)) == (safe, len(MAILS) - safe, len(MAILS))


def test_an_interrupted_run_waits_for_what_is_being_forced_to_disk(tmp_path: Path) -> None:
    """Ctrl-C leaves no thread that uses the files, and no staged file."""

    def interrupt(state: Progress) -> None:
        if state.messages == 5:
            raise KeyboardInterrupt

    with (
        mock.patch.object(writing, "_TOGETHER", 1),
        mock.patch.object(progress, "INTERVAL", 0.0),
        Server(MAILS, lock=False) as server,
        Archive(tmp_path / "a") as archive,
    ):
        with pytest.raises(KeyboardInterrupt):
            archive.collect(account_of(server), progress=interrupt)
        assert syncing_threads() == []
        assert list((tmp_path / "a" / "tmp").iterdir()) == []


def outside_of_disk(calls: Iterable[Call], archive: Path) -> tuple[int, list[Call]]:
    """Return how many calls that change an archive are made by `Disk`, and those that are made by something else.

    The ledger's own files, the directory that SQLite forces to disk for them, and the lock are not among these.
    """
    inside, depth, outside = 0, 0, []
    for call in calls:
        if call.name == "write" and "/markers>" in call.arguments:
            depth += 1 if '"enter ' in call.arguments else -1
        elif call.name in DISK.split() or (call.name == "openat" and WRITING.search(call.arguments)):
            exempt = re.search(
                rf'[<"]{re.escape(str(archive))}/\.pymailbox(/lock|/ledger\.(db|new)(-journal)?|(?=>))[">]',
                call.arguments,
            )
            if depth:
                inside += 1
            elif call.touches(archive) and not (exempt and (call.name not in {"rename", "unlink"})):
                outside.append(call)
    assert depth == 0
    return inside, outside


def test_only_the_ledger_and_the_lock_write_past_disk(traced: Traced, tmp_path: Path) -> None:
    archive, log = tmp_path / "a", tmp_path / "log"
    with Server(MAILS, lock=False) as server:
        for verb, least in (("collect", 30), ("rebuild", 2), ("collect", 0), ("read", 0)):
            leftover = archive / "tmp" / "1.pmb1Q1U0123456789abcdef"  # to be swept
            if leftover.parent.exists():
                leftover.touch()
            traced(log, job(archive, server, "nothing", verb, markers=str(tmp_path / "markers")))
            calls = calls_in(log)
            inside, outside = outside_of_disk(calls, archive)
            assert outside == [], verb
            assert inside >= least, verb
            if least:  # without the marks of `Disk` its own calls are found
                unmarked = [call for call in calls if "/markers>" not in call.arguments]
                assert len(outside_of_disk(unmarked, archive)[1]) >= least


def test_reading_takes_no_lock_and_changes_nothing(traced: Traced, tmp_path: Path) -> None:
    archive = tmp_path / "a"
    with Server(MAILS, lock=False) as server:
        traced(tmp_path / "log", job(archive, server))
        outcome = traced(tmp_path / "log", job(archive, server, verb="read"))
        assert outcome == {"len": len(MAILS), "read": len(MAILS), "whole": True}
        assert len(server.sessions) == 2  # those of the first run
    calls = calls_in(tmp_path / "log")
    assert [call for call in calls if call.name == "flock" or "/lock" in call.arguments] == []
    changing = [*DISK.split(), "write", "pwrite64"]
    assert [call for call in calls if call.name in changing and call.touches(archive)] == []
