"""Wrong arguments are refused before anything is done, and say what is expected; an archive stays where it was made."""

import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pymailbox import Account, Archive, Keep, LedgerDamaged
from pymailbox.testing import Server
from tests.archive.box import Box, account_of, message, serve


def test_arguments_of_a_wrong_kind_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    archive: Any = Archive(tmp_path / "a")
    account = Account("pop.example.com", "me", "secret")
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: archive.collect(None), "account must be an Account"),
        (lambda: archive.collect("pops://me@pop.example.com"), "Account.from_url"),
        (lambda: archive.clean(None, Keep.nothing()), "account must be an Account"),
        (lambda: archive.collect(account, keep=None), "keep must be a Keep"),
        (lambda: archive.collect(account, limit=1.0), "limit must be a whole number"),
        (lambda: archive.collect(account, stop=True), "stop must be a threading.Event"),
        (lambda: archive.collect(account, stop=threading.Event), "stop must be a threading.Event"),
        (lambda: archive.clean(account, Keep.nothing(), at_most="0.5"), "at_most must be a number"),
        (lambda: archive.clean(account, Keep.nothing(), at_most=True), "at_most must be a number"),
        (lambda: archive.verify(sample=None), "sample must be a number"),
        (lambda: archive.by_uid(None, "u"), "account must be an Account"),
        (lambda: archive.by_uid(account, b"u"), "uid must be a str"),
        (lambda: archive.find(b"1@example.com"), "message_id must be a str"),
    ]
    for call, text in wrong:
        with pytest.raises(TypeError, match=text):
            call()
    with pytest.raises(ValueError, match="path must not be empty"):
        Archive("")
    with pytest.raises(ValueError, match="path must not contain NUL"):
        Archive(f"{tmp_path}/a\0b")
    assert not (tmp_path / "a").exists()


def test_an_archive_stays_where_it_is_when_the_program_changes_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    box = Box()
    box.put("u1", message(1))
    with serve(box) as server, Archive("a") as archive:
        archive.collect(account_of(server))
        (record,) = archive
        monkeypatch.chdir("elsewhere")
        box.put("u2", message(2))
        assert archive.collect(account_of(server)).new == 1
        assert record.raw == message(1)
        assert archive.verify().read == 2
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_path_that_cannot_be_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no home directory is known: '~nobody-of-this-name/mail'"):
        Archive("~nobody-of-this-name/mail")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "cur").write_bytes(b"")
    with Server([message(1)]) as server:
        for path, what in (("file", "file"), ("file/a", "file"), ("a", "a/cur")):
            with Archive(tmp_path / path) as archive, pytest.raises(NotADirectoryError, match=f"{tmp_path / what}'"):
                archive.collect(account_of(server))
    assert (tmp_path / "file").read_bytes() == b""


def test_a_socket_is_refused_as_it_serves_one_session_only(tmp_path: Path) -> None:
    archive, account = Archive(tmp_path / "a"), Account("pop.example.com", "me", "secret")
    with socket.socket() as given:
        for run in (archive.collect, archive.clean):
            with pytest.raises(ValueError, match="cannot use sock="):
                run(account, keep=Keep.nothing(), sock=given)
    assert not (tmp_path / "a").exists()


def test_a_directory_without_an_archive_is_not_made_one_by_looking_at_it(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    for look in (Archive(tmp_path).verify, lambda: Archive.rebuild(tmp_path)):
        with pytest.raises(FileNotFoundError, match="there is no archive at"):
            look()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "of-another-program").write_bytes(b"")
    assert Archive(tmp_path).verify().strangers == 1


def test_a_mailbox_that_is_read_only_is_refused_if_messages_may_go(tmp_path: Path) -> None:
    with Server([message(1)]) as server, Archive(tmp_path / "a") as archive:
        for run in (archive.collect, archive.clean):
            with pytest.raises(ValueError, match="read_only=True deletes nothing"):
                run(account_of(server), keep=Keep.nothing(), read_only=True)
        assert not (tmp_path / "a").exists()
        assert archive.collect(account_of(server), keep=Keep.nothing(), read_only=True, dry_run=True).deleted == 1
        assert archive.collect(account_of(server), read_only=True).new == 1


def test_verify_never_says_that_all_is_well_where_it_can_compare_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="there is no archive at"):
        archive.verify()
    with Server([message(1)]) as server:
        archive.collect(account_of(server))
        archive.close()
        shutil.rmtree(tmp_path / "a" / ".pymailbox")
        with pytest.raises(LedgerDamaged, match=r"is gone.*Archive\.rebuild"):
            archive.verify()
        assert Archive.rebuild(tmp_path / "a").messages == 1
        assert archive.verify().read == 1
        archive.close()


def test_the_dot_that_may_end_a_host_name_makes_no_other_account(tmp_path: Path) -> None:
    with Server([message(1)]) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        (record,) = archive
        assert record.uid is not None
        dotted = Account(f"{server.host}.", "me", "secret")
        assert archive.by_uid(dotted, record.uid) == (record,)
