"""Whatever happens to the program, its file or the disk: a message may come twice, and is never passed over."""

import errno
import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from attrs import define

from pymailbox import ArchiveLocked, DiskFull, LedgerDamaged, Mailbox, Seen
from pymailbox.seen import Listing
from pymailbox.seen.file import SeenFile
from pymailbox.testing import Server
from tests import ROOT, case
from tests.archive.box import Box, disks_that_do_not_wait, message, serve
from tests.archive.conftest import IN_PARTS, PARTS, Traced, runner, traced  # noqa: F401 - fixtures
from tests.archive.runs import Runner, calls_in, injecting, job
from tests.archive.test_disk_errors import FAILING, TRACED
from tests.archive.test_kills import chosen
from tests.seen.mailboxes import ME, opened, uids_of
from tests.timing import GENEROUS


def test_file_and_directories_are_for_their_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Seen("~/.local/state/me.seen") as seen:
        assert "me.seen" in repr(seen)
    path = tmp_path / ".local" / "state" / "me.seen"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for directory in (path.parent, path.parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert sorted(one.name for one in path.parent.iterdir()) == ["me.seen", "me.seen.lock"]


@pytest.mark.threat(98)
def test_the_second_of_two_gets_archive_locked(server: Server, path: Path) -> None:
    """In the same process or in another one, under the same name or another one; it names the holder."""
    link = path.with_name("link")
    link.symlink_to(path)
    script = f"from pymailbox import Seen\nwith Seen({str(path)!r}): print('entered', flush=True); input()"
    with Seen(path):
        for other in (path, link):
            with pytest.raises(ArchiveLocked, match=rf"'{path}' is in use by process {os.getpid()} on ") as raised:
                Seen(other).__enter__()
            assert raised.value.retryable
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "entered\n"
        with pytest.raises(ArchiveLocked, match=f"in use by process {process.pid} on "), Seen(path):
            pass
        process.kill()
    with Seen(path) as seen, opened(server) as inbox:
        assert len(seen.new(inbox)) == 3


def test_a_full_disk_changes_nothing(server: Server, path: Path) -> None:
    """`DiskFull`, and the message is handed out again, in this session and later."""
    with Seen(path) as seen, opened(server) as inbox:
        new = seen.new(inbox)
        file = seen._require_open()
        pages = file._value("PRAGMA page_count")
        file._database.execute(f"PRAGMA max_page_count={pages}")
        many = Box()
        for number in range(300):
            many.put(f"{'x' * 60}{number}", message(number))
        with serve(many) as other:
            another = Mailbox("localhost", "me", "secret", port=other.port, security="none")
            with another as full, pytest.raises(DiskFull, match=r"me\.seen"):
                seen.new(full)
        assert seen.new(inbox) == new
        seen.add(new[0])
        assert seen.new(inbox) == new[1:]
    with Seen(path) as seen, opened(server) as inbox:
        assert uids_of(seen.new(inbox)) == ["u1", "u2"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=["full", "interrupted"])
def test_what_could_not_be_written_was_not_added(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """The message is handed out again at once, as it would be in the next run."""
    with Seen(path) as seen, opened(server) as inbox:
        new = seen.new(inbox)
        with monkeypatch.context() as patch, pytest.raises((DiskFull, KeyboardInterrupt)):
            patch.setattr(seen._require_open(), "_write", mock.Mock(side_effect=error))
            seen.add(new[0])
        assert seen.new(inbox) == new


@pytest.fixture
def whole(box: Box, tmp_path: Path) -> Iterator[tuple[Server, Path, list[str]]]:
    """A server, a file, and the uids that were not added."""
    for number in range(3, 30):
        box.put(f"u{number}", message(number, 200 + number))
    box.put("é\udcff", message(40, 240))
    box.put("shared", message(41, 241))
    box.put("shared", message(42, 242))
    with disks_that_do_not_wait(), serve(box) as server:
        with Seen(tmp_path / "whole") as seen, opened(server) as inbox:
            new = seen.new(inbox)
            seen.add(new[:20])
            seen.add([new[-3], new[-1]])
        yield server, tmp_path / "whole", [*(f"u{n}" for n in range(20, 30)), "shared"]


def found(server: Server, path: Path) -> list[str | None] | None:
    """Return the uids of what is new; None if the file was found to be damaged, and was left as it is."""
    before = path.read_bytes() if path.exists() else b""
    try:
        with Seen(path) as seen, opened(server) as inbox:
            return uids_of(seen.new(inbox))
    except LedgerDamaged:
        assert path.read_bytes() == before
        return None


@pytest.mark.parametrize("count", [100, pytest.param(1_000, marks=pytest.mark.slow)])
def test_no_changed_bit_passes_over_a_message(whole: tuple[Server, Path, list[str]], count: int) -> None:
    """The file is found to be damaged, or the same messages are new."""
    server, path, expected = whole
    data, pick, damaged = path.read_bytes(), random.Random(18), 0
    copy = path.with_name("copy")
    for _ in range(count):
        bit = pick.randrange(8 * len(data))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        copy.write_bytes(changed)
        with case(bit):
            new = found(server, copy)
            assert new in (None, expected)
        damaged += new is None
    assert damaged


@pytest.mark.parametrize("every", [4 * 512, pytest.param(64, marks=pytest.mark.slow)])
def test_a_file_that_is_cut_off_is_damaged(whole: tuple[Server, Path, list[str]], every: int) -> None:
    """At whatever length, 0 included: it never counts as a new one."""
    server, path, _ = whole
    data = path.read_bytes()
    copy = path.with_name("copy")
    for length in {0, 1, 99, 100, 511, *range(0, len(data), every)}:
        copy.write_bytes(data[:length])
        with case(length):
            assert found(server, copy) is None


def _sql(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as database:
            database.execute(statement)
        database.close()

    return change


def _another_program(path: Path) -> None:
    path.unlink()
    _sql("CREATE TABLE message (id)")(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_sql("PRAGMA user_version=2"), "newer pymailbox"),
        (_sql("PRAGMA application_id=7"), "another program"),
        (_another_program, "another program"),
        (_sql("PRAGMA journal_mode=wal"), "journal mode"),
        (_sql("UPDATE message SET added=1"), "changed by something else"),
        (_sql("UPDATE message SET uid='u29' WHERE uid='u0'"), "changed by something else"),
        (_sql("DELETE FROM message WHERE uid='u0'"), "rows are missing"),
        (_sql("DELETE FROM account"), "rows are missing"),
        (_sql("DROP TABLE account"), "no such table"),
        (lambda path: path.write_text("hello\n" * 1000), "not a database"),
        (lambda path: path.write_bytes(b""), "it is empty"),
    ],
)
@pytest.mark.threat(99)
def test_a_damaged_foreign_or_newer_file(
    whole: tuple[Server, Path, list[str]], change: Callable[[Path], object], says: str
) -> None:
    """`LedgerDamaged` says why and what to do; when that is done, everything is new."""
    server, path, _ = whole
    change(path)
    before = path.read_bytes()
    with pytest.raises(LedgerDamaged, match=says) as raised, Seen(path) as seen, opened(server) as inbox:
        seen.new(inbox)
    assert path.read_bytes() == before
    assert f"'{path}-journal'" in str(raised.value)
    assert "or name another file" in str(raised.value)
    path.rename(path.with_name("away"))
    assert len(found(server, path) or ()) == 33


def test_a_link_that_leads_to_itself(server: Server, path: Path) -> None:
    """It is not a file that remembers anything, so it is replaced by one."""
    path.symlink_to(path.name)
    with pytest.raises(ValueError, match="there is no file of seen messages"), Seen.unlocked(path):
        pass
    with Seen(path) as seen, opened(server) as inbox:
        seen.add(inbox)
    with Seen(path) as seen, opened(server) as inbox:
        assert seen.new(inbox) == ()


def test_a_directory_in_its_place(path: Path) -> None:
    path.mkdir()
    with pytest.raises(LedgerDamaged, match="not a file"), Seen(path):
        pass


def test_the_journal_of_a_file_that_was_moved_away_is_not_for_the_next(
    whole: tuple[Server, Path, list[str]],
) -> None:
    """SQLite would write what it holds into the new file."""
    server, path, _ = whole
    journal = Path(f"{path}-journal")
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA cache_size=1")
        database.execute("BEGIN")
        row = (1, 200, 1, None, 0, "x" * 500, b"")
        database.executemany(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ((at, *row) for at in range(100, 2_000))
        )
        hot = journal.read_bytes()
        assert any(hot[:8])  # more than fits into memory was written, so it is needed
    database.close()
    path.unlink()
    journal.write_bytes(hot)
    assert len(found(server, path) or ()) == 33


# --- a kill, and a disk that fails ------------------------------------------------------------------------------

UIDS = [f"u{number}" for number in range(3)]


@pytest.fixture(scope="module")
def loaded(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Runner:  # noqa: F811
    """Starts runs; all that `Seen` imports is loaded."""
    with Server([message(1)], lock=False) as server:
        runner.send(Run(tmp_path_factory.mktemp("loaded"), server).job)
        assert runner.receive() == {"handled": 1}
    return runner


@define
class Run:
    """A program that handles what is new and adds it, one by one, in a process of its own."""

    directory: Path
    server: Server

    @property
    def path(self) -> Path:
        """The file; the program makes its directory."""
        return self.directory / "state" / "me.seen"

    @property
    def log(self) -> Path:
        """What the program notes."""
        return self.directory / "log"

    @property
    def job(self) -> dict[str, Any]:
        """What the runner takes."""
        return job(self.path, self.server, verb="handle", log=str(self.log))

    def noted(self, verb: str) -> list[str]:
        """Return the uids of what was handled, or added."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split()[1] for line in lines if line.startswith(verb)]

    def assert_whole(self) -> None:
        """What was not added is new to the next run, and nothing else; then nothing is."""
        handled, added = self.noted("handled"), self.noted("added")
        assert len(handled) - len(added) <= 1
        with Seen(self.path) as seen, opened(self.server) as inbox:
            new = uids_of(seen.new(inbox))
            seen.add(inbox)
        assert not set(new) & set(added), "handed out again after add had returned"
        assert {*new, *handled} == set(UIDS), "passed over"
        with Seen(self.path) as seen, opened(self.server) as inbox:
            assert seen.new(inbox) == ()


@IN_PARTS
def test_a_run_killed_at_any_call_passes_nothing_over(
    loaded: Runner,
    traced: Traced,  # noqa: F811
    tmp_path: Path,
    server: Server,
    part: int | None,
) -> None:
    """What was handled and not added yet, one message at most, is handed out again."""
    trace = tmp_path / "trace"
    assert traced(trace, _run(tmp_path, "first", server).job) == {"handled": 3}
    calls = chosen(calls_in(trace), part)
    assert len(calls) > 10
    deaths = 0
    for at, call in enumerate(calls):
        run = _run(tmp_path, str(at), server)
        with case(call):
            deaths += traced.killed(call, run.job, trace)
            run.assert_whole()
    assert deaths > 0.9 * len(calls)


@IN_PARTS
def test_a_failing_disk_passes_nothing_over(
    loaded: Runner,
    traced: Traced,  # noqa: F811
    tmp_path: Path,
    server: Server,
    part: int | None,
) -> None:
    """Each call that writes fails in turn: the run ends with an error that names the file, or has succeeded."""
    trace = tmp_path / "trace"
    traced(trace, _run(tmp_path, "first", server).job)
    touched = [
        call for call in calls_in(trace) if call.name in FAILING.split() and call.touches(tmp_path / "first" / "state")
    ]
    trials = [(call, error) for call in touched for error in ("EIO", "ENOSPC")]
    trials = trials[3::8] if part is None else trials[part::PARTS]
    reported = 0
    for at, (call, error) in enumerate(trials):
        run = _run(tmp_path, str(at), server)
        with case(call, error):
            outcome = traced(trace, run.job, "-e", TRACED, *injecting(call, f"error={error}"))
            assert "error" not in outcome or "OSError" in outcome["error"], outcome
            assert str(run.path.parent) in outcome.get("text", str(run.path)), outcome
            reported += "error" in outcome
            run.assert_whole()
    assert reported > 2


def _run(root: Path, name: str, server: Server) -> Run:
    (root / name).mkdir()
    return Run(root / name, server)


def test_reading_without_the_lock_sees_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another one adds in the middle of reading is not seen, or seen as a whole, and is added all the same."""
    path = tmp_path / "me.seen"
    listing: Listing = [("a", 1), ("b", 2), ("c", 3)]
    with Seen(path) as seen, ThreadPoolExecutor(1) as threads:
        messages = seen.of(ME)
        messages.remember(listing[:1])
        messages.add(listing[:1])
        writing: list[Future[None]] = []
        sealed = SeenFile._sealed

        def between(file: SeenFile, table: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
            if not writing:
                writing.append(threads.submit(messages.add, listing[1:]))
                wait(writing, 0.05)
            return sealed(file, table, values)

        monkeypatch.setattr(SeenFile, "_sealed", between)
        with Seen.unlocked(path) as reading:
            assert reading.of(ME).unseen(listing) == [2, 3]
        writing[0].result(GENEROUS)
        with Seen.unlocked(path) as reading:
            assert reading.of(ME).unseen(listing) == []


def test_what_was_added_is_on_disk_when_add_returns(
    loaded: Runner,
    traced: Traced,  # noqa: F811
    tmp_path: Path,
    server: Server,
) -> None:
    """After its last write the file is forced to disk, and so is its directory after the file got its name."""
    run, trace = _run(tmp_path, "first", server), tmp_path / "trace"
    traced(trace, run.job)
    forced: set[str] = set()
    added = 0
    for call in calls_in(trace):
        where = call.arguments.partition("<")[2].partition(">")[0]
        if call.name in {"pwrite64", "ftruncate"} and call.touches(run.path):
            forced.discard(where)
        elif call.name in {"fsync", "fdatasync"}:
            forced.add(where)
        elif call.name == "rename":
            assert f"{run.path}.new" in forced
            forced.add(str(run.path))
            forced.discard(str(run.path.parent))
        elif call.name == "write" and '"added' in call.arguments:
            assert {str(run.path), str(run.path.parent), str(run.directory)} <= forced
            added += 1
    assert added == 3
