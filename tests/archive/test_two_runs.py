"""Two runs at once: one works and the other is told so, first runs too; and reading goes on beside a run."""

import sqlite3
from pathlib import Path

import pytest

from pymailbox import Archive
from pymailbox.testing import Server
from tests import case
from tests.archive.conftest import Traced
from tests.archive.runs import MAILS, Runner, account_of, assert_clean_run, assert_deleted_is_stored, job
from tests.timing import eventually

PAIRS = 20


def assert_whole(ledger: Path) -> None:
    """SQLite finds no fault in a ledger."""
    database = sqlite3.connect(ledger)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        database.close()


@pytest.mark.threat(98)
def test_of_two_runs_that_start_together_one_works(runner: Runner, tmp_path: Path) -> None:
    locked = 0
    for pair in range(PAIRS):
        archive, keep = tmp_path / str(pair), ("everything", "nothing")[pair % 2]  # it does not exist yet
        with Server(MAILS, lock=False) as server:
            with runner.running(*[job(archive, server, keep)] * 2) as outcomes:
                pass
            with case(pair, outcomes):
                done = [outcome for outcome in outcomes if "error" not in outcome]
                refused = [outcome for outcome in outcomes if "error" in outcome]
                assert done
                assert sum(outcome["new"] for outcome in done) == len(MAILS)
                for outcome in refused:
                    assert "ArchiveLocked" in outcome["error"]
                    assert outcome["retryable"]
                    assert f"'{archive}' is in use by " in outcome["text"]
                locked += len(refused)
                assert_deleted_is_stored(archive, server)
                assert_whole(archive / ".pymailbox" / "ledger.db")
                assert_clean_run(archive, server, keep)
    assert locked


def test_a_lock_that_cannot_be_taken_is_not_a_lock_that_is_taken(traced: Traced, tmp_path: Path) -> None:
    """A network file system without locks says ENOLCK: to try again later would not help."""
    with Server(MAILS, lock=False) as server:
        run = job(tmp_path / "a", server)
        outcome = traced(tmp_path / "log", run, "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK")
        assert outcome["error"][0] == "OSError"
        assert f"No locks available: '{tmp_path / 'a'}'" in outcome["text"]
        assert_clean_run(tmp_path / "a", server, "everything")


def test_reading_goes_on_beside_a_run(runner: Runner, tmp_path: Path) -> None:
    mails = [b"Subject: %d\r\n\r\n%d\r\n" % (number, number) for number in range(300)]
    lengths = [0]
    with Server(mails, lock=False) as server, Archive(tmp_path / "a") as archive:

        def all_read() -> bool:
            if not archive.path.exists():
                return False
            lengths.append(len(archive))
            assert {record.raw for record in archive} <= set(mails)
            verified = archive.verify()
            assert (bool(verified), verified.strangers) == (True, 0)
            return lengths[-1] == len(mails)

        with runner.running(job(tmp_path / "a", server, "nothing")) as outcomes:
            eventually(all_read)
        assert outcomes == [{"new": len(mails), "known": 0, "deleted": len(mails)}]
    assert lengths == sorted(lengths)


def test_a_reader_that_pauses_holds_up_no_run(tmp_path: Path) -> None:
    with Server(MAILS, lock=False) as server, Archive(tmp_path / "a") as archive, Archive(tmp_path / "a") as reader:
        archive.collect(account_of(server))
        records = iter(reader)
        first = next(records)
        server.deliver(b"Subject: one more\r\n\r\n.\r\n")
        assert archive.collect(account_of(server)).new == 1
        assert [first, *records] == list(reader)[: len(MAILS)]
