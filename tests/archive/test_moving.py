"""Mail programs move and flag files at any moment: nothing is taken for missing, and no run fails because of it."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pymailbox import Archive, Keep
from pymailbox.archive.maildir import Maildir, StoredFile
from pymailbox.disk import Disk
from tests.archive.box import Box, account_of, disks_that_do_not_wait, message, serve

MESSAGES = 300


@contextmanager
def moving(archive: Path) -> Iterator[None]:
    """Move files from new to cur and change their flags, as fast as possible."""
    ended = threading.Event()

    def move() -> None:
        flags = 0
        while not ended.is_set():
            for directory in ("new", "cur"):
                for name in [path.name for path in (archive / directory).iterdir()]:
                    flags = (flags + 1) % 3
                    moved = name.partition(":")[0] + (":2,", ":2,S", ":2,FS")[flags]
                    (archive / directory / name).rename(archive / "cur" / moved)
                    ended.wait(0.0005)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_files_that_are_being_moved_are_read_verified_and_deletable(tmp_path: Path) -> None:
    box = Box()
    for n in range(MESSAGES):
        box.put(f"u{n}", message(n))
    with disks_that_do_not_wait(), serve(box) as server, Archive(tmp_path / "a") as archive:
        assert archive.collect(account_of(server)).new == MESSAGES
        with moving(tmp_path / "a"):
            found = archive.verify()
            assert (found.read, found.damaged, found.missing, found.strangers) == (MESSAGES, (), (), 0)
            assert len({record.raw for record in archive}) == MESSAGES
            archive.close()
            assert Archive.rebuild(tmp_path / "a").messages == MESSAGES
            assert archive.collect(account_of(server)).known == MESSAGES
            assert archive.collect(account_of(server), keep=Keep.nothing()).deleted == MESSAGES
        assert archive.verify().read == MESSAGES


def test_records_are_read_in_several_threads(tmp_path: Path) -> None:
    """A thread that looks for a file while another one scans finds it."""
    box = Box()
    for n in range(2):
        box.put(f"u{n}", message(n))
    with serve(box) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        first, second = archive
        for record in (first, second):
            record.path.rename(tmp_path / "a" / "cur" / f"{record.name}:2,S")
        for name in ("new", "cur"):
            os.utime(tmp_path / "a" / name, (1_700_000_000, 1_700_000_000))
        layout = Maildir(tmp_path / "a", Disk())
        assert layout.find(second.name) is not None
        others: list[bool] = []
        real = Maildir.files_by_name

        def scan(scanning: Maildir) -> dict[str, StoredFile]:
            """Have another thread look while this one scans."""
            patch.setattr(Maildir, "files_by_name", real)
            thread = threading.Thread(target=lambda: others.append(layout.find(second.name) is not None))
            thread.start()
            thread.join()
            return real(scanning)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Maildir, "files_by_name", scan)
            (tmp_path / "a" / "cur" / f"{first.name}:2,S").unlink()
            os.utime(tmp_path / "a" / "cur", (1_700_000_000, 1_700_000_000))
            assert layout.find(first.name) is None
        assert others == [True]


def test_copies_links_and_directories_in_an_archive_are_left_alone(tmp_path: Path) -> None:
    box, new, cur = Box(), tmp_path / "a" / "new", tmp_path / "a" / "cur"
    for n in range(4):
        box.put(f"u{n}", message(n))
    with serve(box) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        copied, directory, link, _ = (record.path for record in archive)
        (cur / f"{copied.name}:2,S").write_bytes(copied.read_bytes())
        directory.unlink()
        directory.mkdir()
        link.unlink()
        link.symlink_to("nowhere")
        (new / "other").symlink_to("nowhere")
        found = archive.verify()
        assert (found.read, found.damaged, set(found.missing)) == (2, (), {directory.name, link.name})
        assert archive.collect(account_of(server), keep=Keep.nothing()).deleted == 2
        assert box.uids == ["u1", "u2"]
        archive.close()
        assert Archive.rebuild(tmp_path / "a").messages == 2


def test_files_that_are_gone_are_not_looked_for_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box, scans = Box(), []
    for n in range(40):
        box.put(f"u{n}", message(n))
    with serve(box) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        for record in list(archive)[:30]:
            record.path.unlink()
        for name in ("new", "cur"):
            os.utime(tmp_path / "a" / name, (1_700_000_000, 1_700_000_000))
        real = Maildir.files
        monkeypatch.setattr(Maildir, "files", lambda layout, *known: scans.append(layout) or real(layout, *known))
        assert archive.collect(account_of(server), keep=Keep.nothing()).deleted == 10
        assert len(scans) < 10
        assert len(box.mails) == 30


def test_names_to_which_a_mail_program_adds_fields_are_known(tmp_path: Path) -> None:
    """Mbsync adds `,U=` and a number, and Dovecot `,W=`, before the flags."""
    box = Box()
    for n in range(4):
        box.put(f"u{n}", message(n))
    with serve(box) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        for record, added in zip(archive, (",U=1:2,S", ",U=2", ",W=201,U=3:2,", ",W=201:2,ab"), strict=True):
            record.path.rename(tmp_path / "a" / "cur" / f"{record.name}{added}")
        found = archive.verify()
        assert (found.read, found.missing, found.strangers) == (4, (), 0)
        archive.close()
        assert Archive.rebuild(tmp_path / "a").messages == 4
        assert archive.collect(account_of(server), keep=Keep.nothing()).deleted == 4


@pytest.mark.parametrize("left_out", ["cur", "tmp", "new"])
def test_an_archive_that_was_copied_without_its_empty_directories_is_whole(tmp_path: Path, left_out: str) -> None:
    box = Box()
    box.put("u1", message(1))
    with serve(box) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        if left_out == "new":
            (record,) = archive
            record.path.rename(tmp_path / "a" / "cur" / f"{record.name}:2,")
        (tmp_path / "a" / left_out).rmdir()
        assert archive.verify().read == 1
        assert [record.raw for record in archive] == [message(1)]
        archive.close()
        assert Archive.rebuild(tmp_path / "a").messages == 1
        assert archive.collect(account_of(server)).known == 1
