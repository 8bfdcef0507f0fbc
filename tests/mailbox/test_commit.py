"""A hostile server cannot hide whether deletions were committed, or confuse messages (docs/threats.md).

A mark names the threat. Exceptions in a `with` block are tested in `test_mailbox`.
"""

import os
import stat
from pathlib import Path

import pytest

from pymailbox import CommandError, CommitError, ConnectionLost, Mailbox
from pymailbox.testing import Fault, Server
from tests import ROOT, case
from tests.timing import GENEROUS

MAILS = [b"Subject: %d\r\n\r\nbody %d\r\n" % (number, number) for number in range(4)]


def over(server: Server) -> Mailbox:
    """Return the mailbox of this server."""
    return Mailbox.from_url(server.url, "secret", timeout=GENEROUS)


@pytest.mark.threat(85)
@pytest.mark.threat(86)
def test_an_unconfirmed_commit_names_what_is_in_doubt() -> None:
    """After -ERR (RFC 1939 §6: some may be gone), silence, a close or a reset, the outcome is reported as unknown."""
    for fault, text in (
        (Fault.refuse("QUIT", text="some deleted messages not removed"), "not removed"),
        (Fault.stall(command="QUIT"), ""),
        (Fault.drop("QUIT"), ""),
        (Fault.drop("QUIT", takes_effect=True), ""),
        (Fault.cut(0, how="rst", command="QUIT"), ""),
    ):
        with case(fault), Server(MAILS, faults=[fault]) as server:
            with pytest.raises(CommitError) as caught, over(server) as inbox:
                names = inbox.uids[:2]
                inbox.delete(inbox[:2])
                if fault.kind == "stall":
                    inbox.connection.timeout = 0.2  # the server does not answer any more
            assert caught.value.unconfirmed_numbers == (1, 2)
            assert caught.value.unconfirmed == names
            assert not caught.value.usable
            assert text in (caught.value.response or "")
            inbox.close()


def test_without_deletions_the_reply_to_quit_does_not_matter() -> None:
    """Q65: nothing was pending, so nothing is in doubt."""
    for fault in (Fault.refuse("QUIT"), Fault.drop("QUIT")):
        with case(fault), Server(MAILS, faults=[fault]) as server, over(server) as inbox:
            assert inbox[0].raw == MAILS[0]


@pytest.mark.threat(87)
def test_a_refused_rset_ends_the_session() -> None:
    """The marks are in doubt, so undelete raises, the session ends, and QUIT is never sent."""
    with Server(MAILS, faults=[Fault.refuse("RSET")]) as server:
        inbox = over(server).open()
        inbox.delete(inbox[:2])
        with pytest.raises(CommandError) as caught:
            inbox.undelete()
        assert not caught.value.usable
        with pytest.raises(ConnectionLost):
            inbox.keep_alive()
        with pytest.raises(ConnectionLost):
            inbox.commit()
        server.wait(GENEROUS)
        assert server.messages == tuple(MAILS)
        assert "QUIT" not in server.log


@pytest.mark.threat(90)
@pytest.mark.threat(91)
@pytest.mark.threat(88)
def test_a_saved_mail_is_on_disk_before_dele(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """save() returns once file and directory entry are on disk, so that a DELE sent after it cannot lose the message."""
    forced: list[tuple[bool, tuple[str, ...]]] = []
    real = os.fsync

    with Server(MAILS) as server:

        def fsync(descriptor: int) -> None:
            real(descriptor)
            forced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), server.log))

        monkeypatch.setattr(os, "fsync", fsync)
        with over(server) as inbox:
            inbox[0].save(tmp_path / "0.eml")
            inbox[0].delete()
    assert [directory for directory, _ in forced] == [False, True]
    assert all(not line.startswith("DELE") for _, log in forced for line in log)


@pytest.mark.threat(72)
def test_a_uid_is_data() -> None:
    """No source line makes a file name from a uid."""
    package = ROOT / "pymailbox"
    sources = sorted(package.rglob("*.py"))
    assert len(sources) > 50
    for path in sources:
        for line in path.read_text().splitlines():
            assert not ("uid" in line and ("Path(" in line or "open(" in line)), (path, line)


@pytest.mark.threat(79)
def test_numbers_are_valid_for_one_session() -> None:
    """Deletions change the numbers, so the next session refuses a message of the old one; its uid finds it."""
    with Server(MAILS, lock=False) as server, over(server) as inbox:
        third = inbox[2]
        name = third.uid
        inbox[0].delete()
        inbox.reopen()
        assert name is not None
        found = inbox.by_uid(name)
        assert found.number == 2
        assert found.raw == MAILS[2]
        with pytest.raises(ValueError, match="another session"):
            inbox.delete(third)
        with pytest.raises(ConnectionLost):
            _ = third.raw


@pytest.mark.threat(78)
def test_after_all_uids_change_every_message_is_new() -> None:
    """A server that was moved may assign new uids; the caller can see that everything is new."""
    with Server(MAILS, faults=[Fault.new_uids(session=2)], lock=False) as server:
        with over(server) as inbox:
            seen = set(inbox.uids)
        with over(server) as inbox:
            assert len(inbox.new(seen)) == len(inbox)
