"""An archive keeps every message of an account once, gives it back byte for byte, and reads without a lock."""

import gc
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pymailbox import Account, Archive, ArchiveLocked, AuthenticationError, Keep, MailboxError, Progress
from pymailbox.disk import Disk
from pymailbox.lock import locked
from pymailbox.testing import Fault, Quirk, Server

MAILS = [
    b"Subject: one\r\nMessage-ID: <1@example.com>\r\n\r\n1\r\n",
    b"Subject: a bare LF\r\n\r\nhere\n it is\r\n",
    b"Subject: a lone CR\r\n\r\nhere\r it is\r\r\n",
    b"Subject: dots\r\n\r\n..\r\n.\r\n",
    b"Subject: long\r\n\r\n" + b"x" * 3_000_000 + b"\r\n",
    b"Subject: one\r\nMessage-ID: <1@example.com>\r\n\r\n1\r\n",
]


def account_of(server: Server) -> Account:
    return Account(server.host, "me", "secret", security="none", port=server.port)


def sent(server: Server) -> list[bytes]:
    return sorted(bytes(message) for message in server.messages)


def test_every_message_is_archived_once(tmp_path: Path) -> None:
    with Server(MAILS) as server, Archive(tmp_path / "a") as archive:
        first = archive.collect(account_of(server))
        assert (first.new, first.bytes, first.known, first.deleted) == (6, sum(map(len, MAILS)), 0, 0)
        second = archive.collect(account_of(server))
        assert (second.new, second.known) == (0, 6)
        assert len(archive) == 6
        assert sorted(record.raw for record in archive) == sorted(MAILS) == sent(server)
        assert archive.verify()


def test_an_archive_that_is_closed_in_the_middle_of_a_loop_is_not_damaged(tmp_path: Path) -> None:
    with Server([b"Subject: %d\r\n\r\n" % n for n in range(1_500)]) as server:
        archive = Archive(tmp_path / "a")
        archive.collect(account_of(server))
        records = iter(archive)
        next(records)
        archive.close()
        with pytest.raises(ValueError, match="was closed while it was in use"):
            list(records)
        assert len(archive) == 1_500


def test_an_archive_that_is_not_closed_leaves_no_file_open(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with Server(MAILS) as server:
        Archive(tmp_path / "a").collect(account_of(server))
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


def test_records_say_what_is_archived(tmp_path: Path) -> None:
    with Server(MAILS) as server, Archive(tmp_path / "a") as archive:
        account = account_of(server)
        archive.collect(account)
        record = next(iter(archive))
        assert (record.size, record.account, record.content.subject) == (len(MAILS[0]), f"me@{server.host}", "one")
        assert record.path.read_bytes() == MAILS[0].replace(b"\r\n", b"\n")
        assert record in archive
        assert record.uid is not None
        assert archive.by_uid(account, record.uid) == (record,)
        assert archive.by_uid(account, "another") == ()
        assert [found.raw for found in archive.find("<1@example.com>")] == [MAILS[0], MAILS[0]]
        assert archive.find("1@example.com") == archive.find("<1@example.com>")
        assert archive.find("2@example.com") == ()


def test_files_moved_and_flagged_by_a_mail_program_are_found(tmp_path: Path) -> None:
    with Server(MAILS) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        for path in list((tmp_path / "a" / "new").iterdir()):
            path.rename(tmp_path / "a" / "cur" / f"{path.name}:2,S")
        assert sorted(record.raw for record in archive) == sorted(MAILS)
        assert archive.collect(account_of(server)).new == 0
        verified = archive.verify()
        assert (verified.read, verified.missing, verified.strangers) == (6, (), 0)


def test_verify_finds_what_has_changed(tmp_path: Path) -> None:
    with Server(MAILS) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        damaged, missing, *_ = (record.path for record in archive)
        damaged.write_bytes(damaged.read_bytes().replace(b"1", b"2"))
        missing.unlink()
        (tmp_path / "a" / "new" / "1.another").write_bytes(b"")
        verified = archive.verify()
        assert not verified
        assert (verified.damaged, verified.missing, verified.strangers) == ((damaged,), (missing.name,), 1)
        assert archive.collect(account_of(server)).new == 0  # a missing file is reported, not downloaded again


def test_rebuild_needs_no_network_and_nothing_is_downloaded_again(tmp_path: Path) -> None:
    with Server(MAILS) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        uids = [record.uid for record in archive]
        archive.close()
        rebuilt = Archive.rebuild(tmp_path / "a")
        assert (rebuilt.messages, rebuilt.bytes, rebuilt.damaged) == (6, sum(map(len, MAILS)), ())
        assert rebuilt.old is not None
        assert rebuilt.old.exists()
        assert archive.collect(account_of(server)).new == 0
        assert [record.uid for record in archive] == uids
        assert sorted(record.raw for record in archive) == sorted(MAILS)


def test_keep_says_what_stays_on_the_server(tmp_path: Path) -> None:
    mails = [b"Subject: %d\r\n\r\n%s\r\n" % (n, b"x" * 100) for n in range(10)]
    size = len(mails[0])
    for keep, left in (
        (Keep.everything(), mails),
        (Keep(days=1), mails),
        (Keep(latest=3), mails[-3:]),
        (Keep(latest=10**18), mails),
        (Keep(bytes=4 * size + 1), mails[-4:]),
        (Keep(days=0, latest=2), mails[-2:]),
        (Keep.nothing(), []),
    ):
        with Server(mails) as server, Archive(tmp_path / repr(keep)) as archive:
            assert archive.collect(account_of(server), keep=keep, dry_run=True).deleted == 10 - len(left)
            assert sent(server) == sorted(mails)
            assert len(archive) == 0
            done = archive.collect(account_of(server), keep=keep)
            assert (done.new, done.deleted) == (10, 10 - len(left))
            assert sent(server) == sorted(left)
            assert sorted(record.raw for record in archive) == sorted(mails)


@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_makes_no_archive(there: bool, tmp_path: Path) -> None:
    """What was not there before is not there afterwards, and an empty directory stays one; a failure too."""
    place = tmp_path / "not" / "yet"
    if there:
        place.mkdir(parents=True)
    before = list(tmp_path.rglob("*"))
    with Server(MAILS, faults=[Fault.refuse("STAT", session=2)]) as server, Archive(place) as archive:
        done = archive.collect(account_of(server), keep=Keep(latest=2), dry_run=True)
        assert (done.new, done.bytes, done.deleted) == (len(MAILS), sum(map(len, MAILS)), len(MAILS) - 2)
        with pytest.raises(MailboxError):
            archive.collect(account_of(server), dry_run=True)
        assert len(archive) == 0
        assert list(tmp_path.rglob("*")) == before
        assert archive.collect(account_of(server)).new == len(MAILS)


def test_clean_deletes_what_is_archived_and_only_so_much(tmp_path: Path) -> None:
    mails = [b"Subject: %d\r\n\r\n.\r\n" % n for n in range(10)]
    with Server(mails[:6]) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
    with Server(mails) as server, Archive(tmp_path / "a") as archive:
        with pytest.raises(Exception, match="at_most"):
            archive.clean(account_of(server), Keep.nothing())
        assert sent(server) == sorted(mails)
        done = archive.clean(account_of(server), Keep.nothing(), at_most=0.6)
        assert (done.deleted, done.kept) == (6, 4)
        assert sent(server) == sorted(mails[6:])


def test_reading_takes_no_lock_and_writing_is_for_one(tmp_path: Path) -> None:
    with Server(MAILS) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        with locked(tmp_path / "a" / ".pymailbox" / "lock", "the archive"):
            with pytest.raises(ArchiveLocked, match="in use by process") as caught:
                archive.collect(account_of(server))
            assert caught.value.retryable
            assert len(list(archive)) == 6
            assert archive.verify()


def test_the_last_run_is_told_without_a_lock(tmp_path: Path) -> None:
    """Only a run that came to its end counts; what failed in it is counted; each account has its own."""
    before = datetime.now(UTC).replace(microsecond=0)
    with Archive(tmp_path / "a") as archive:
        assert archive.last_run(Account("localhost", "me")) is None
        assert not (tmp_path / "a").exists()
        faults = [Fault.replace("RETR", None, reply=b"-ERR [SYS/PERM] broken\r\n")]
        with Server(MAILS, faults=faults) as server:
            archive.collect(account_of(server))
            last = archive.last_run(account_of(server))
            assert last is not None
            assert (last.failed, str(last)) == (6, "6 failed")
            assert before <= last.ended <= datetime.now(UTC)
        with Server(MAILS) as server:
            archive.collect(account_of(server))
            with locked(tmp_path / "a" / ".pymailbox" / "lock", "the archive"):
                last = archive.last_run(account_of(server))
            assert last is not None
            assert archive.last_run(Account(server.host, "you")) is None
        with Server(MAILS, password="another") as server, pytest.raises(AuthenticationError):
            archive.collect(account_of(server))
        assert archive.last_run(account_of(server)) == last


def test_progress_covers_the_whole_run_and_stop_ends_it(tmp_path: Path) -> None:
    mails = [b"Subject: %d\r\n\r\n.\r\n" % n for n in range(2_500)]
    reports: list[Progress] = []
    with Server(mails) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server), progress=reports.append)
        assert (reports[-1].messages, reports[-1].total_messages) == (2_500, 2_500)
        assert [report.messages for report in reports] == sorted(report.messages for report in reports)
    stop = threading.Event()
    with Server(mails) as server, Archive(tmp_path / "b") as archive:
        done = archive.collect(
            account_of(server),
            keep=Keep.nothing(),
            stop=stop,
            progress=lambda p: stop.set() if p.messages > 10 else None,
        )
        assert 10 < done.new < 2_500
        assert done.new == len(archive)
        assert done.deleted == 2_500 - len(server.messages)
        assert archive.collect(account_of(server)).new == 2_500 - done.new


@pytest.mark.parametrize(("uidl", "files"), [(True, 300), (False, 250)])
def test_safe_is_what_a_power_cut_can_no_longer_take(
    uidl: bool, files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts only messages whose names were forced to disk, and reaches all; copies that share a file count too."""
    mails = [b"Subject: %d\r\n\r\n.\r\n" % (n // 2 if n < 100 else n) for n in range(300)]
    forced: set[int] = {0}
    reports: list[int | None] = []
    new = tmp_path / "a" / "new"
    sync = Disk.sync_directory

    def sync_directory(disk: Disk, path: Path) -> None:
        there = len(list(new.iterdir())) if path == new else 0
        sync(disk, path)
        forced.add(there)

    monkeypatch.setattr(Disk, "sync_directory", sync_directory)

    def report(progress: Progress) -> None:
        assert progress.safe is not None
        assert progress.safe <= min(
            progress.messages, max(forced) if uidl else 2 * max(forced)
        )  # at most two share one
        assert progress.mailbox == (300, sum(map(len, mails)))
        reports.append(progress.safe)

    with Server(mails, uidl=uidl) as server, Archive(tmp_path / "a") as archive:
        assert archive.collect(account_of(server), progress=report).new == files
        assert reports == sorted(safe for safe in reports if safe is not None)
        assert (reports[0], reports[-1]) == (0, 300)
        archive.verify(progress=lambda progress: reports.append(progress.safe))
        assert reports[-1] is None


def test_a_limit_is_the_most_that_one_run_archives(tmp_path: Path) -> None:
    with Server(MAILS) as server, Archive(tmp_path / "a") as archive:
        assert [archive.collect(account_of(server), limit=4).new for _ in range(3)] == [4, 2, 0]
        for wrong in (0, -1):
            with pytest.raises(ValueError, match="limit must be 1 or more"):
                archive.collect(account_of(server), limit=wrong)


@pytest.mark.parametrize("options", [{"uidl": False}, {"quirks": Quirk.BLANK_UID}, {"quirks": Quirk.DUPLICATE_UIDS}])
def test_with_a_limit_each_run_archives_more_even_without_good_uids(tmp_path: Path, options: dict[str, Any]) -> None:
    with Server(MAILS[:5], **options) as server, Archive(tmp_path / "a") as archive:
        assert [archive.collect(account_of(server), limit=2).new for _ in range(4)] == [2, 2, 1, 0]
        assert sorted(record.raw for record in archive) == sorted(MAILS[:5])


def test_an_open_archive_follows_its_ledger_when_that_is_replaced(tmp_path: Path) -> None:
    with Server(MAILS[:4]) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        loop = iter(archive)
        next(loop)
        Archive.rebuild(tmp_path / "a")
        server.deliver(MAILS[4])
        assert archive.collect(account_of(server)).new == 1
        assert len(archive) == 5
        assert len(list(loop)) == 3
        (tmp_path / "a").rename(tmp_path / "moved")
        assert len(archive) == 0
        assert archive.collect(account_of(server)).new == 5
        with Archive(tmp_path / "a") as again:
            assert (len(again), again.verify().read) == (5, 5)


def test_a_refused_message_is_reported_and_the_others_are_archived(tmp_path: Path) -> None:
    with Server(MAILS[:4], quirks=Quirk.ONE_UNREADABLE) as server, Archive(tmp_path / "a") as archive:
        for new in (3, 0, 0):  # the first run has two sessions, which count as one
            done = archive.collect(account_of(server))
            assert (done.new, done.failed, done.set_aside) == (new, 1, 0)
            (note,) = done.notes
            assert "message 1 was not archived" in note
        done = archive.collect(account_of(server))
        assert (done.new, done.failed, done.set_aside, done.notes) == (0, 0, 1, ())
        assert sorted(record.raw for record in archive) == sorted(MAILS[1:4])


def test_a_message_that_a_later_session_of_the_run_archives_has_not_failed(tmp_path: Path) -> None:
    fault = Fault.replace("RETR", 2, reply=b"-ERR [SYS/TEMP] not now\r\n", session=1)
    with Server(MAILS[:4], faults=[fault]) as server, Archive(tmp_path / "a") as archive:
        done = archive.collect(account_of(server))
        assert (done.new, done.failed, done.notes) == (4, 0, ())
