"""A run ends whatever a server does: sessions follow each other only while they bring something new under a uid."""

import itertools
from pathlib import Path

import pytest

from pymailbox import Archive, Keep, ProtocolError
from pymailbox.testing import Quirk
from pymailbox.testing.stored_mail import StoredMail
from tests.archive.box import Box, account_of, message, serve


class _Rewritten(Box):
    """A box whose messages get a new header whenever they are listed, as by a server that notes each download."""

    count = itertools.count()

    def list(self) -> list[StoredMail]:
        self.mails = [
            StoredMail(mail.uid, mail.size, content=b"X-Seen: %d\r\n%s" % (next(self.count), mail.content))
            for mail in self.mails
        ]
        return self.mails.copy()


@pytest.mark.parametrize("uidl", [True, False])
def test_messages_that_differ_in_each_session_do_not_keep_a_run_going(tmp_path: Path, uidl: bool) -> None:
    box = _Rewritten()
    for n in range(3):
        box.put(f"u{n}", message(n))
    with serve(box, uidl=uidl) as server, Archive(tmp_path / "a") as archive:
        assert archive.collect(account_of(server), limit=100).new == 3
        archive.collect(account_of(server), keep=Keep.nothing())
        assert len(archive) <= 9


def test_messages_without_uids_are_downloaded_once_in_a_run_and_counted_as_known(tmp_path: Path) -> None:
    box = Box()
    for n in range(3):
        box.put("", message(n))
    with serve(box, uidl=False) as server, Archive(tmp_path / "a") as archive:
        assert archive.collect(account_of(server)).new == 3
        box.put("", message(3))
        done = archive.collect(account_of(server))
        assert (done.new, done.known) == (1, 3)
        commands = [session.commands for session in server.sessions]
        assert [[c for c in session if c.startswith("RETR")] for session in commands] == [
            ["RETR 1", "RETR 2", "RETR 3"],
            ["RETR 1", "RETR 2", "RETR 3", "RETR 4"],
        ]


def test_a_server_that_confirms_deletions_and_forgets_them_is_believed_once(tmp_path: Path) -> None:
    box = Box()
    for n in range(3):
        box.put(f"u{n}", message(n))
    with serve(box, quirks=Quirk.FORGETS_DELETIONS) as server, Archive(tmp_path / "a") as archive:
        for _ in range(2):
            done = archive.collect(account_of(server), keep=Keep.nothing())
            assert done.deleted == 3
            assert any("lists them again" in note for note in done.notes)
        assert len(archive) == 3


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_message_that_ends_each_session_does_not_stop_the_others(tmp_path: Path, pipelining: bool) -> None:
    box = Box()
    for n in range(1, 7):
        box.put(f"u{n}", message(n) + b".\r\nmore\r\n" * (n == 3))
    with serve(box, quirks=Quirk.UNSTUFFED_DOTS) as server, Archive(tmp_path / "a") as archive:
        for archived in (2, 5, 5):  # it is asked for last once it has failed
            with pytest.raises(ProtocolError):
                archive.collect(account_of(server), pipelining=pipelining)
            assert len(archive) == archived
        done = archive.collect(account_of(server), keep=Keep.nothing(), pipelining=pipelining)
        assert (done.known, done.set_aside, done.deleted) == (5, 1, 5)
        assert box.uids == ["u3"]


@pytest.mark.parametrize("uidl", [True, False])
def test_a_message_that_comes_empty_although_list_gives_a_size_is_not_taken_for_archived(
    tmp_path: Path, uidl: bool
) -> None:
    box = Box()
    box.put("u1", b"", size=4_000)
    box.put("u2", message(2))
    box.put("u3", b"", size=0)
    box.put("u4", b"\r\n", size=2)
    with serve(box, uidl=uidl) as server, Archive(tmp_path / "a") as archive:
        done = archive.collect(account_of(server), keep=Keep.nothing())
        assert (done.new, done.failed, done.deleted, len(box.mails)) == (3, 1, 3, 1)
        assert "message 1 was not archived: it came empty, although LIST gives 4,000 bytes" in str(done.notes)
        if uidl:
            assert [archive.collect(account_of(server)).set_aside for _ in range(3)] == [0, 0, 1]
