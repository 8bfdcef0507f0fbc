"""If the disk fails at any call, the run raises a clear error or succeeds; no message is lost or deleted too early."""

import re
from pathlib import Path

from pymailbox.testing import Server
from tests import case
from tests.archive.conftest import IN_BOTH_MODES, IN_PARTS, PARTS, Traced
from tests.archive.runs import (
    MAILS,
    Call,
    Outcome,
    assert_clean_run,
    assert_deleted_is_stored,
    calls_in,
    injecting,
    job,
)

FAILING = "write pwrite64 fsync fdatasync rename renameat openat mkdir mkdirat ftruncate unlink unlinkat"
TRACED = f"trace=?{FAILING.replace(' ', ',?')},sendto,getppid"


def assert_reported(outcome: Outcome, error: str, call: Call, archive: Path) -> None:
    """The run succeeded, or raised an error that names the archive and, for a full disk, what to do."""
    if "error" not in outcome:
        return
    assert "OSError" in outcome["error"], outcome
    assert str(archive) in outcome["text"], outcome
    if error == "ENOSPC" and (call.name == "pwrite64" or "ledger.db" not in call.arguments):
        assert "DiskFull" in outcome["error"], outcome


def assert_in_order(calls: list[Call]) -> None:
    """No DELE goes before the file is durable under its name; what could not be forced to disk is not tried again."""
    renamed: set[int] = set()
    durable: set[int] = set()
    given_up: set[str] = set()
    for call in calls:
        if call.name == "rename" and not call.failed and (found := re.search(r"pmb\d+Q(\d+)U\w+F", call.arguments)):
            renamed.add(int(found[1]))
        elif call.name == "fsync":
            path = call.arguments.partition("<")[2]
            assert path not in given_up, "forced to disk again after it failed"
            if call.failed and call.result != "-1 EINTR" and "ledger.db" not in call.arguments:
                # EINTR says nothing of the disk, and SQLite writes a page again before it forces it again.
                given_up.add(path)
            elif not call.failed and call.arguments.endswith("/new>"):
                durable |= renamed
        elif call.name == "sendto":
            assert durable >= set(map(int, re.findall(r"DELE (\d+)", call.arguments))), "DELE before it was safe"


@IN_BOTH_MODES
@IN_PARTS
def test_a_run_with_a_failing_disk_loses_nothing_and_deletes_nothing_early(
    traced: Traced, tmp_path: Path, keep: str, part: int | None
) -> None:
    with Server(MAILS, lock=False) as server:
        traced(tmp_path / "log", job(tmp_path / "archive", server, keep))
    calls = [
        call
        for call in calls_in(tmp_path / "log")
        if call.name in FAILING.split() and call.touches(tmp_path / "archive")
    ]
    assert {"write", "pwrite64", "fsync", "fdatasync", "openat", "ftruncate"} < {call.name for call in calls}
    trials = [(call, error) for call in calls for error in ("EIO", "ENOSPC", "EINTR")]
    trials = trials[7::20] if part is None else trials[part::PARTS]
    failed = reported = 0
    for at, (call, error) in enumerate(trials):
        with case(keep, error, call), Server(MAILS, lock=False) as server:
            archive, log = tmp_path / str(at), tmp_path / "failed"
            outcome = traced(log, job(archive, server, keep), "-e", TRACED, *injecting(call, f"error={error}"))
            failed += f"= -1 {error} (" in log.read_text("utf-8", "replace")
            reported += "error" in outcome
            # Whether directories are listed depends on the second in which they were made: another call may have failed.
            struck = [one for one in calls_in(log) if one.result == f"-1 {error}"]
            assert_reported(outcome, error, struck[0] if struck else call, archive)
            assert_in_order(calls_in(log))
            assert_deleted_is_stored(archive, server)
            assert_clean_run(archive, server, keep)
    assert failed > 0.9 * len(trials)  # SQLite does not write the same number of pages each time
    assert reported > 5
