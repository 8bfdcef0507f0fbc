"""No message is deleted unread: what a server can do to its uids and its mailbox, one case at a time."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve

from pymailbox import Archive, DiskFull, Keep, MailboxError, UidsChanged
from pymailbox.archive import Collected
from pymailbox.testing import Quirk, Server
from pymailbox.testing.stored_mail import StoredMail
from tests.archive.box import Box, account_of, disks_that_do_not_wait, message, put_before, serve

DAY = 86_400
NOTHING = Keep.nothing()


@define
class Run:
    """An archive, a server, and the box that it shows."""

    archive: Archive
    server: Server
    box: Box

    def collect(self, keep: Keep = NOTHING, **options: Any) -> Collected:
        return self.archive.collect(account_of(self.server), keep=keep, **options)

    def read_last(self) -> int:
        """Return how many messages the last session downloaded."""
        return sum(line.startswith("RETR") for line in self.server.sessions[-1].commands)

    @property
    def contents(self) -> list[bytes]:
        return sorted(record.raw for record in self.archive)

    def nothing_is_lost(self) -> None:
        assert {mail.content for mail in self.box.deleted} <= set(self.contents)
        assert self.archive.verify()

    def have_ended(self, seconds: int) -> None:
        """Let the last run have ended that many seconds later."""
        ledger = self.archive._ledger
        row = ledger.account(f"me@{self.server.host}")
        assert row.ended is not None
        with ledger.transaction():
            ledger.put_account(evolve(row, ended=row.ended + seconds))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        made.enter_context(disks_that_do_not_wait())
        yield made


def begin(stack: ExitStack, tmp_path: Path, count: int = 4, *, collected: bool = True, **options: Any) -> Run:
    box = Box()
    for n in range(1, count + 1):
        box.put(f"u{n}", message(n))
    run = Run(stack.enter_context(Archive(tmp_path / "a")), stack.enter_context(serve(box, **options)), box)
    if collected:
        assert run.collect(Keep.everything()).new == count
    return run


def test_a_recycled_uid_of_the_same_size(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path)
    unread = message(50)
    run.box.mails[1] = StoredMail(b"u2", 200, content=unread)
    done = run.collect()
    assert run.box.contents == [unread]  # archived now, and not deleted in the run that first saw it
    assert (done.new, done.deleted) == (1, 3)
    assert unread in run.contents
    assert message(2) in run.contents
    assert run.collect().deleted == 1
    run.nothing_is_lost()


def test_a_recycled_uid_of_the_same_rounded_size(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path, quirks=Quirk.ROUNDED_SIZES)
    unread = message(50, 300)
    run.box.mails[1] = StoredMail(b"u2", 300, content=unread)
    run.collect()
    assert run.box.contents == [unread]
    run.collect()
    assert run.box.contents == []
    assert unread in run.contents
    run.nothing_is_lost()


def test_a_recycled_uid_of_another_size_is_archived_and_keep_starts_over(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path)
    run.box.mails[1] = StoredMail(b"u2", 300, content=message(50, 300))
    done = run.collect(Keep(days=1))
    assert (done.new, done.deleted, len(run.contents)) == (1, 0, 5)
    assert run.collect(Keep.everything()).new == 0


@pytest.mark.parametrize("quirk", [Quirk.TOP_REFUSED, Quirk.TOP_ONE_LINE, Quirk.TOP_OTHER_HEADERS, Quirk.TOP_TRUNCATED])
def test_without_a_header_to_compare_messages_are_read_again(stack: ExitStack, tmp_path: Path, quirk: Quirk) -> None:
    run = begin(stack, tmp_path, quirks=quirk)
    unread = message(50)
    run.box.mails[1] = StoredMail(b"u2", 200, content=unread)
    done = run.collect()
    assert (done.new, done.deleted) == (1, 3)
    assert run.box.contents == [unread]
    run.nothing_is_lost()


def test_a_deleted_uid_that_comes_back(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path)
    assert run.collect().deleted == 4
    run.box.put("u1", message(50))
    run.box.put("u2", message(2))
    done = run.collect(Keep.everything())
    assert (done.new, run.box.uids) == (1, ["u1", "u2"])
    assert run.collect().deleted == 2
    assert len(run.contents) == 5
    run.nothing_is_lost()


def test_gmail_shows_only_what_is_new(stack: ExitStack, tmp_path: Path) -> None:
    quirks = Quirk.HIDES_READ | Quirk.OLDEST_250 | Quirk.DELETES_READ
    box = Box()
    for n in range(600):
        box.put(f"u{n}", message(n))
    for number, keep in enumerate((Keep.everything(), NOTHING)):
        server = stack.enter_context(serve(Box(), quirks=quirks & ~Quirk.DELETES_READ))
        mine = Box(box.mails.copy())
        put_before(server, mine)
        run = Run(stack.enter_context(Archive(tmp_path / str(number))), server, mine)
        assert run.collect(keep).new == 600
        assert len(run.contents) == 600
        assert len(mine.mails) == (600 if keep.keeps_everything else 0)
        for n in range(20):
            mine.put(f"later{n}", message(700 + n))
        assert run.collect(keep).new == 20  # only new uids are listed: that must not stop it
        run.nothing_is_lost()


def test_a_phone_that_empties_the_account(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path)
    for round_ in range(1, 4):
        run.box.mails.clear()
        for n in range(12):
            run.box.put(f"r{round_}n{n}", message(100 * round_ + n))
        done = run.collect(Keep.everything())
        assert (done.new, done.known, done.notes) == (12, 0, ())
    assert len(run.contents) == 40


@pytest.mark.parametrize("renumbered", [False, True])
def test_a_restored_backup_of_the_server(stack: ExitStack, tmp_path: Path, renumbered: bool) -> None:
    run = begin(stack, tmp_path, 12)
    backup = run.box.mails.copy()
    assert run.collect().deleted == 12
    run.box.mails = [
        StoredMail(b"n" + mail.uid if renumbered else mail.uid, mail.size, content=mail.content) for mail in backup
    ]
    run.box.put("unread", message(50))
    if renumbered:
        with pytest.raises(UidsChanged, match="renumbered=True"):
            run.collect()
        assert len(run.box.mails) == 13
    done = run.collect(Keep.everything(), renumbered=renumbered)
    assert done.new == 1
    assert len(run.contents) == 13
    assert run.collect().deleted == 13
    run.nothing_is_lost()


def test_all_uids_have_changed(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path, 30)
    run.box.mails = [StoredMail(b"n" + mail.uid, mail.size, content=mail.content) for mail in run.box.mails]
    run.box.put("new", message(50))
    for _ in range(2):
        with pytest.raises(UidsChanged, match=r"10 of 10 messages .* Pass renumbered=True"):
            run.collect()
        assert run.read_last() == 10
    done = run.collect(renumbered=True)
    assert (done.new, done.deleted) == (1, 0)
    assert len(run.contents) == 31
    assert run.collect(Keep.everything()).new == 0
    assert run.read_last() == 0
    assert run.collect().deleted == 31
    run.nothing_is_lost()


def test_a_single_message_under_a_new_uid_is_that_message(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path, 12)
    run.box.mails[3] = StoredMail(b"moved", 200, content=message(4))
    for n in range(5):
        run.box.put(f"new{n}", message(50 + n))
    assert run.collect(Keep.everything()).new == 5
    assert len(run.contents) == 17
    (record,) = run.archive.by_uid(account_of(run.server), "moved")
    assert record.raw == message(4)
    assert run.archive.by_uid(account_of(run.server), "u4") == ()


def test_a_copy_of_a_deleted_message_is_another_message(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path, 1)
    assert run.collect().deleted == 1
    run.box.put("copy", message(1))
    assert run.collect().new == 1
    assert run.contents == [message(1), message(1)]


def test_messages_that_share_a_uid(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path, 1)
    for content in (message(50), message(51, 300), message(50)):
        run.box.put("same", content)
    assert run.collect(Keep.everything()).new == 2
    assert run.collect(Keep.everything()).new == 0
    assert run.read_last() == 0
    del run.box.mails[-1]
    run.box.put("same", message(52, 400))  # as many as before, and another one among them
    assert run.collect(Keep.everything()).new == 1
    done = run.collect()  # by uid alone nothing is deleted that is not alone
    assert done.deleted == 1
    assert done.notes == ("3 stay, as they share their uids with other messages",)
    assert run.box.uids == ["same"] * 3
    run.nothing_is_lost()


@pytest.mark.parametrize("options", [{"uidl": False}, {"quirks": Quirk.BLANK_UID}, {"quirks": Quirk.DUPLICATE_UIDS}])
def test_messages_without_good_uids_go_in_the_session_that_reads_them(
    stack: ExitStack, tmp_path: Path, options: dict[str, Any]
) -> None:
    run = begin(stack, tmp_path, 6, **options)
    assert run.collect(Keep.everything()).new == 0
    for n in range(2):
        run.box.put(f"later{n}", message(50 + n))
    run.collect()
    assert len(run.contents) == 8
    run.nothing_is_lost()


@pytest.mark.parametrize("seconds", [60, -401 * DAY])
def test_a_clock_that_is_wrong_deletes_nothing(stack: ExitStack, tmp_path: Path, seconds: int) -> None:
    """The clock is a minute before the end of the last run, or 401 days after it."""
    run = begin(stack, tmp_path)
    run.box.put("new", message(50))
    run.have_ended(seconds)
    done = run.collect()
    assert (done.new, done.deleted) == (1, 0)
    assert any("the clock" in note for note in done.notes)
    run.have_ended(seconds)
    assert run.archive.clean(account_of(run.server), NOTHING, at_most=1).deleted == 0
    assert len(run.box.mails) == 5
    run.have_ended(-399 * DAY)
    assert run.collect().deleted == 5


def test_clean_deletes_no_more_than_at_most(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path, 10)
    account = account_of(run.server)
    with pytest.raises(MailboxError, match=r"6 of 10 .* at_most=0\.5 .* nothing was deleted"):
        run.archive.clean(account, Keep(latest=4))
    assert len(run.box.mails) == 10
    assert run.archive.clean(account, Keep(latest=5)).deleted == 5
    assert run.archive.clean(account, NOTHING, at_most=1).deleted == 5
    assert run.box.mails == []


def test_clean_never_deletes_what_is_not_archived(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path, 3)
    run.box.put("unread", message(50))
    run.box.put("", message(51))
    run.box.mails[1] = StoredMail(b"u2", 200, content=message(52))
    done = run.archive.clean(account_of(run.server), NOTHING, at_most=1)
    assert done.deleted == 2
    assert run.box.contents == sorted([message(50), message(51), message(52)])


def test_a_disk_without_room_stops_before_the_download(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(stack, tmp_path, collected=False)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=(16 << 20) + 500))
    with pytest.raises(DiskFull, match="need 800 bytes"):
        run.collect()
    assert run.read_last() == 0
    assert len(run.box.mails) == 4
    assert run.collect(limit=2).new == 2


def test_a_message_that_fails_three_times_is_set_aside(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path, 3, collected=False, quirks=Quirk.ONE_UNREADABLE)
    results = [run.collect(Keep.everything()) for _ in range(4)]
    assert [result.new for result in results] == [2, 0, 0, 0]
    assert [result.failed for result in results] == [1, 1, 1, 0]
    assert results[-1].set_aside == 1
    assert run.read_last() == 0
    assert run.contents == [message(2), message(3)]
    assert run.collect().deleted == 2
    assert run.box.uids == ["u1"]


def test_very_long_uids_are_refused_and_nothing_is_deleted(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path)
    run.box.put("x" * (1 << 20), message(50))
    with pytest.raises(MailboxError):
        run.collect()
    assert len(run.box.mails) == 5
    assert run.archive.verify()


def test_runs_of_the_same_second_never_give_two_files_one_name(stack: ExitStack, tmp_path: Path) -> None:
    """Not even after a rebuild, when runs are counted from 1 again, and without uids that would tell names apart."""
    run = begin(stack, tmp_path, 0)
    for n in range(1, 9):
        run.box.mails.clear()
        run.box.put("", message(n))
        assert run.collect(Keep.everything()).new == 1
        run.archive.close()
        assert Archive.rebuild(tmp_path / "a").messages == n
    assert run.contents == sorted(message(n) for n in range(1, 9))


def test_after_a_rebuild_a_file_is_compared_with_the_server_before_a_message_goes(
    stack: ExitStack, tmp_path: Path
) -> None:
    """The new ledger has the hash of the file, which may have been damaged before: only the server has the message."""
    run = begin(stack, tmp_path)
    damaged = next(iter(run.archive)).path
    damaged.write_bytes(damaged.read_bytes().replace(b"xxx", b"yyy"))
    run.archive.close()
    Archive.rebuild(tmp_path / "a")
    assert run.collect(Keep.everything()).known == 4
    assert run.read_last() == 0
    assert run.archive.clean(account_of(run.server), NOTHING, at_most=1).deleted == 3
    assert run.box.contents == [message(1)]
    assert run.collect().deleted == 1
    run.nothing_is_lost()
    assert {record.uid for record in run.archive} == {"u1", "u2", "u3", "u4"}


def test_after_a_rebuild_a_recycled_uid_of_another_size_is_archived(stack: ExitStack, tmp_path: Path) -> None:
    run = begin(stack, tmp_path)
    run.archive.close()
    Archive.rebuild(tmp_path / "a")
    run.box.mails[1] = StoredMail(b"u2", 300, content=message(50, 300))
    done = run.collect(Keep.everything())
    assert (done.new, done.known, run.read_last()) == (1, 3, 0)
    assert message(50, 300) in run.contents


def test_what_clean_has_seen_is_not_taken_for_archived(stack: ExitStack, tmp_path: Path) -> None:
    """Clean leaves a recycled uid of another size to the next run, which asks LIST to see it."""
    run = begin(stack, tmp_path)
    run.box.mails[1] = StoredMail(b"u2", 300, content=message(50, 300))
    cleaned = run.archive.clean(account_of(run.server), Keep(days=30))
    assert (cleaned.deleted, cleaned.notes) == (0, ("1 stay until collect has compared them with what is archived",))
    assert run.collect(Keep.everything()).new == 1
    assert message(50, 300) in run.contents
