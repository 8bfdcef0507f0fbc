"""THREATS.md, section F, rows 85 to 88, and rows 72 and 77 to 79 of section E: deletions, and who a message is."""

import os
import stat
from pathlib import Path

import pytest

from pymailbox import CommandError, CommitError, ConnectionLost, Mailbox
from pymailbox.testing import Fault, Server

MAILS = [b"Subject: %d\r\n\r\nbody %d\r\n" % (number, number) for number in range(4)]


def commit(server: Server, timeout: float = 1.0) -> CommitError:
    """Delete the first two messages, end the block, and return the error."""
    with pytest.raises(CommitError) as caught:  # noqa: SIM117
        with Mailbox.from_url(server.url, "secret", timeout=timeout) as inbox:
            names = inbox.uids[:2]
            inbox.delete(inbox[:2])
    assert caught.value.unconfirmed_numbers == (1, 2)
    assert caught.value.unconfirmed == names
    assert not caught.value.usable
    return caught.value


def test_threat_85_quit_refused() -> None:
    """Some messages may be gone (RFC 1939 §6): the error names those in doubt."""
    with Server(MAILS, faults=[Fault.refuse("QUIT", text="some deleted messages not removed")]) as server:
        error = commit(server)
    assert "not removed" in (error.response or "")


@pytest.mark.parametrize(
    "fault",
    [Fault.stall(command="QUIT"), Fault.drop("QUIT"), Fault.cut(0, how="rst", command="QUIT")],
    ids=["silence", "closed", "reset"],
)
def test_threat_86_quit_unanswered(fault: Fault) -> None:
    """Silence, a closed and a reset connection leave the outcome unknown, and are reported so."""
    with Server(MAILS, faults=[fault]) as server:
        commit(server)


@pytest.mark.parametrize("fault", [Fault.refuse("QUIT"), Fault.drop("QUIT")], ids=["refused", "closed"])
def test_without_deletions_nobody_needs_the_answer_to_quit(fault: Fault) -> None:
    """Q65: nothing was pending, so nothing is in doubt."""
    with Server(MAILS, faults=[fault]) as server, Mailbox.from_url(server.url, "secret") as inbox:
        assert inbox[0].raw == MAILS[0]


def test_threat_87_rset_refused() -> None:
    """The marks are in doubt: undelete raises, the session is over, and QUIT is never said."""
    with Server(MAILS, faults=[Fault.refuse("RSET")]) as server:
        inbox = Mailbox.from_url(server.url, "secret").open()
        inbox.delete(inbox[:2])
        with pytest.raises(CommandError) as caught:
            inbox.undelete()
        assert not caught.value.usable
        with pytest.raises(ConnectionLost):
            inbox.keep_alive()
        with pytest.raises(ConnectionLost):
            inbox.close()
        server.wait()
        assert server.messages == tuple(MAILS)
        assert "QUIT" not in server.log


def test_threat_88_rset_is_sent_although_the_session_ends_without_quit() -> None:
    """A server that deletes on a dropped connection has been told otherwise before it is dropped."""
    with Server(MAILS) as server:
        with pytest.raises(RuntimeError, match="disk full"), Mailbox.from_url(server.url, "secret") as inbox:
            assert inbox[0].raw == MAILS[0]
            inbox[0].delete()
            raise RuntimeError("disk full")
        server.wait()
        assert server.log[-1] == "RSET"
        assert server.messages == tuple(MAILS)


def test_threat_88_a_saved_mail_is_on_disk_before_dele(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """save() returns when file and directory entry were forced to disk: a DELE behind it cannot outrun the copy."""
    forced: list[tuple[bool, tuple[str, ...]]] = []
    real = os.fsync

    with Server(MAILS) as server:

        def fsync(descriptor: int) -> None:
            real(descriptor)
            forced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), server.log))

        monkeypatch.setattr(os, "fsync", fsync)
        with Mailbox.from_url(server.url, "secret") as inbox:
            inbox[0].save(tmp_path / "0.eml")
            inbox[0].delete()
    assert [directory for directory, _ in forced] == [False, True]
    assert all(not line.startswith("DELE") for _, log in forced for line in log)


def test_threat_72_a_uid_is_data() -> None:
    """Nothing here makes a name of a file from a uid: no source joins the two."""
    package = Path(__file__).resolve().parent.parent / "pymailbox"
    for name in ("message", "draft", "desk", "aio_message"):
        source = (package / f"{name}.py").read_text()
        assert not any("uid" in line for line in source.splitlines() if "Path(" in line or "open(" in line)


def test_threat_79_numbers_are_good_for_one_session() -> None:
    """After a deletion numbers move; a message of the old session is refused by the new one, a uid finds it."""
    with Server(MAILS) as server, Mailbox.from_url(server.url, "secret") as inbox:
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


def test_threat_78_all_uids_change() -> None:
    """A server that was moved gives new uids: then everything is new, and the caller sees how much that is."""
    with Server(MAILS, faults=[Fault.new_uids(session=2)]) as server:
        with Mailbox.from_url(server.url, "secret") as inbox:
            seen = set(inbox.uids)
        with Mailbox.from_url(server.url, "secret") as inbox:
            assert len(inbox.new(seen)) == len(inbox)
