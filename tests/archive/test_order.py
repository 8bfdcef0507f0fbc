"""What a run does to the disk and on the wire, in order, as strace sees it."""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from pymailbox.testing import Server
from tests import case
from tests.archive.conftest import Traced
from tests.archive.runs import MAILS, Call, calls_in, job

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


def test_a_message_is_deleted_only_after_its_file_its_name_and_its_row_are_on_disk(
    traced: Traced, tmp_path: Path
) -> None:
    with Server(MAILS, lock=False) as server:
        assert traced(tmp_path / "log", job(tmp_path / "a", server, "nothing"))["deleted"] == len(MAILS)
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
