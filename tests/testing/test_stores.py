"""The test server serves a Maildir, an mbox or a folder of .eml files, and QUIT changes the files only if asked to."""

import mailbox
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.testing import Server
from pymailbox.testing.stored_mail import StoredMail, crlf, stuffed
from tests.testing.by_hand import Hand, settle, talk
from tests.timing import GENEROUS


def fill_maildir(root: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (root / part).mkdir(parents=True)
    (root / "cur" / "10.b:2,S").write_bytes(b"Subject: b\n\n.b\n")
    (root / "new" / "9.a").write_bytes(b"Subject: a\r\n\r\na\r\n")
    (root / "new" / ".hidden").write_bytes(b"no mail")
    (root / "tmp" / "1.t").write_bytes(b"not yet")
    return root


def fill_folder(root: Path) -> Path:
    root.mkdir()
    (root / "1.eml").write_bytes(b"Subject: a\n\na")
    (root / "2.EML").write_bytes(b"Subject: b\n\n.b\n")
    (root / "note.txt").write_bytes(b"no mail")
    return root


def fill_mbox(path: Path) -> Path:
    path.write_bytes(b"From x\nSubject: a\n\n>From here\n>>From there\n\nFrom y\nSubject: b\n\n.b\n")
    return path


FILLED = [fill_maildir, fill_folder, fill_mbox]
FIRST = {
    fill_maildir: b"Subject: a\r\n\r\na\r\n",
    fill_folder: b"Subject: a\r\n\r\na\r\n",
    fill_mbox: b"Subject: a\r\n\r\nFrom here\r\n>From there\r\n",
}
SECOND = b"Subject: b\r\n\r\n.b\r\n"
NEW = b"Subject: new\r\n\r\nFrom me\r\n"


@pytest.mark.parametrize("fill", FILLED)
def test_files_travel_with_crlf(tmp_path: Path, fill: type) -> None:
    """A bare LF in a file becomes CRLF; messages are in the order of file names or of the mbox; sizes are those sent."""
    with Server(fill(tmp_path / "mail")) as server:
        assert server.messages == (FIRST[fill], SECOND)
        with Hand(server) as hand:
            hand.login()
            assert hand.listing(b"LIST").split(b"\r\n")[1:3] == [b"1 %d" % len(FIRST[fill]), b"2 %d" % len(SECOND)]
            assert hand.listing(b"RETR 2").partition(b"\r\n")[2] == b"Subject: b\r\n\r\n..b\r\n.\r\n"


@pytest.mark.parametrize("fill", FILLED)
def test_quit_deletes_the_files(tmp_path: Path, fill: type) -> None:
    """With commit=True, QUIT deletes from disk, a lost connection does not, and a new server sees the rest with the same uids."""
    path = fill(tmp_path / "mail")
    with Server(path, commit=True, lock_wait=GENEROUS) as server:
        with Hand(server) as hand:
            hand.login().ask(b"DELE 1")
        before = talk(server, b"UIDL", b"DELE 1", b"QUIT")
        assert server.messages == (SECOND,)
        server.deliver(NEW)
        assert server.messages == (SECOND, NEW)
    with Server(path, commit=True) as server:
        assert server.messages == (SECOND, NEW)
        after = talk(server, b"UIDL", b"DELE 1", b"DELE 2", b"QUIT")
        assert uids(before)[1] == uids(after)[0]
        assert server.messages == ()
    assert not any(file.suffix == ".tmp" for file in tmp_path.rglob("*"))


@pytest.mark.skipif(os.name == "nt", reason="modes, owners and symbolic links of POSIX")
def test_an_mbox_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    """Deleting messages from an mbox file does not change its mode, its owner, or a link to it."""
    path = fill_mbox(tmp_path / "mail")
    link = tmp_path / "links" / "inbox"
    link.parent.mkdir()
    link.symlink_to(Path("..", "mail"))
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 5678)
    before = path.stat()
    with Server(link, commit=True) as server:
        talk(server, b"DELE 1", b"QUIT")
        assert server.messages == (SECOND,)
    after = path.stat()
    assert link.is_symlink()
    assert b"Subject: a" not in path.read_bytes()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["inbox", "links", "mail"]


@pytest.mark.skipif(os.name == "nt", reason="owners of POSIX")
def test_an_mbox_is_unchanged_if_its_owner_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QUIT then gets no reply, and no temporary file is left."""

    def refused(*_: object) -> None:
        raise PermissionError

    path = fill_mbox(tmp_path / "mail")
    before = path.read_bytes()
    monkeypatch.setattr(os, "chown", refused)
    with Server(path, commit=True) as server:
        with pytest.raises(ConnectionResetError):
            talk(server, b"DELE 1", b"QUIT")
        settle(server)
        assert server.sessions[0].ended == "reset"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fill", FILLED)
def test_files_are_unchanged_without_commit(tmp_path: Path, fill: type) -> None:
    """Without commit=True, what QUIT deletes is hidden from that user while the server runs, and no file changes."""
    path = fill(tmp_path / "mail")

    def files() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    before = files()
    with Server(path, users={"me": "secret", "you": "secret"}) as server:
        server.deliver(NEW)
        first = talk(server, b"UIDL", b"DELE 1", b"QUIT")
        assert server.messages == (SECOND, NEW)
        assert server.mailbox("you") == (FIRST[fill], SECOND)
        assert uids(talk(server, b"UIDL", b"DELE 2", b"QUIT")) == uids(first)[1:]
        assert server.messages == (SECOND,)
    assert files() == before


def uids(replies: bytes) -> list[bytes]:
    listing = replies.partition(b"unique-ids follow\r\n")[2].partition(b".\r\n+OK")[0]
    return [line.partition(b" ")[2] for line in listing.splitlines()]


def test_a_delivered_copy_has_a_different_uid(tmp_path: Path) -> None:
    """Delivering the same message again adds another message, without commit=True too."""
    with Server(fill_mbox(tmp_path / "mbox")) as server:
        for _ in range(2):
            server.deliver(SECOND)
        assert len(set(uids(talk(server, b"UIDL", b"QUIT")))) == 4


def test_a_maildir_from_the_standard_library_is_served(tmp_path: Path) -> None:
    """A Maildir written by `mailbox.Maildir` is served, and deletions are visible there."""
    maildir = mailbox.Maildir(tmp_path / "mail")
    for number in range(5):
        maildir.add(f"Subject: {number}\n\nbody\n")
    with Server(tmp_path / "mail", commit=True) as server:
        assert len(server.messages) == 5
        gone = server.messages[2]
        talk(server, b"DELE 3", b"QUIT")
        assert len(maildir) == 4
        assert all(crlf(bytes(mail)) != gone for mail in maildir)


def test_an_mbox_from_the_standard_library_is_served(tmp_path: Path) -> None:
    """An mbox written by `mailbox.mbox` is served, and `mailbox.mbox` reads it after deletions and deliveries."""
    box = mailbox.mbox(tmp_path / "mbox")
    for number in range(3):
        box.add(f"Subject: {number}\n\nFrom me\n")
    box.close()
    with Server(tmp_path / "mbox", commit=True) as server:
        assert [mail.split(b"\r\n")[0] for mail in server.messages] == [b"Subject: 0", b"Subject: 1", b"Subject: 2"]
        assert server.messages[0].endswith(b"\r\n\r\nFrom me\r\n")
        talk(server, b"DELE 2", b"QUIT")
        server.deliver(NEW)
    left = mailbox.mbox(tmp_path / "mbox")
    assert [mail["Subject"] for mail in left] == ["0", "2", "new"]
    left.close()


def test_a_missing_file_is_a_refusal(tmp_path: Path) -> None:
    """A message that was too large to keep in memory, and removed by another program, is -ERR; the session continues."""
    gone = StoredMail(b"uid", 10, tmp_path / "gone.eml")
    with Server([b"x\r\n"]) as server:
        server.maildrop().store._mails.append(gone)
        got = talk(server, b"RETR 2", b"TOP 2 0", b"RETR 1", b"QUIT")
        assert got.count(b"-ERR [SYS/TEMP]") == 2
        assert got.endswith(b"x\r\n.\r\n+OK bye\r\n")


def test_an_invalid_source_is_a_value_error(tmp_path: Path) -> None:
    """A missing path, a file that is not an mbox, and several users with commit=True are ValueError."""
    (tmp_path / "mail.eml").write_bytes(b"Subject: 1\n\n")
    for path in (tmp_path / "nothing", tmp_path / "mail.eml"):
        with pytest.raises(ValueError, match="mbox"):
            Server(path).open()
    with pytest.raises(ValueError, match="commit=True"):
        Server(tmp_path, users={"a": "1", "b": "2"}, commit=True).open()
    with Server(tmp_path) as server:
        assert server.messages == (b"Subject: 1\r\n\r\n",)
    (tmp_path / "empty").write_bytes(b"")
    with Server(tmp_path / "empty") as server:
        assert server.messages == ()
        server.deliver(NEW)
        assert server.messages == (NEW,)


def test_unusual_file_names_give_valid_uids(tmp_path: Path) -> None:
    """RFC 1939 §7: a unique-id has 1 to 70 printable characters, whatever the file name."""
    for name in ("cur", "new"):
        (tmp_path / name).mkdir()
    for name in ("1 with blank", "2" * 100, "3ü", "4,S=12:2,"):
        (tmp_path / "cur" / name).write_bytes(b"x\n")
    with Server(tmp_path) as server:
        found = uids(talk(server, b"UIDL", b"QUIT"))
    assert len(set(found)) == 4
    assert all(0 < len(uid) <= 70 and all(0x21 <= byte <= 0x7E for byte in uid) for uid in found)
    assert b"4,S=12" in found


@given(st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"a"])).map(b"".join), st.sampled_from([b"\r\n", b"\n"]))
def test_stuffing_is_undone_line_by_line(content: bytes, newline: bytes) -> None:
    """Removing one dot from each line that begins with one gives the content back, and no line of it is a lone dot."""
    sent = stuffed(content, newline).split(newline)
    assert newline.join(line[1:] if line.startswith(b".") else line for line in sent) == content
    assert b"." not in sent
