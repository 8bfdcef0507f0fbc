"""Other programs read an archive as the Maildir that it is, every message byte for byte."""

import mailbox
import os
import poplib
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pymailbox import Archive
from pymailbox.testing import Server
from tests.archive.box import account_of, message
from tests.servers import RealServer

MAILS = [
    *(message(n) for n in range(5)),
    message(1),
    b"Subject: dots\r\n\r\n.\r\n..\r\n.leading\r\n",
    b"Subject: From\r\n\r\nFrom me\r\n>From you\r\n",
    b"Subject: 8 bit\r\n\r\n\xe4\xf6\xfc\xff\r\n",
    b"Subject: no body\r\n\r\n",
    b"Subject: no empty line\r\n",
    b"Subject: trailing empty lines\r\n\r\nx\r\n\r\n\r\n",
    b"Subject: large\r\n\r\n" + b"0123456789 abcdefghijklmnopqrstuvwxyz\r\n" * 40_000,
]
#: Stored as they are, since their LFs could not be told from those of lines; a lone CR is kept either way.
BARE = [b"Subject: bare LF\r\n\r\none\ntwo\r\n", b"Subject: lone CR\r\n\r\none\rtwo\r\r\n"]


def archived(path: Path, mails: list[bytes]) -> None:
    """Archive messages, half of which a mail program has seen since."""
    with Server(mails) as server, Archive(path) as archive:
        archive.collect(account_of(server))
        for record in list(archive)[::2]:
            record.path.rename(path / "cur" / f"{record.name}:2,S")


def test_the_standard_library_reads_it(tmp_path: Path) -> None:
    archived(tmp_path / "a", MAILS + BARE)
    box = mailbox.Maildir(tmp_path / "a", create=False)
    stored = [mail.replace(b"\r\n", b"\n") for mail in [*MAILS, BARE[1]]] + [BARE[0]]
    assert Counter(map(box.get_bytes, box.keys())) == Counter(stored)
    assert sum("S" in mail.get_flags() for mail in box) == (len(stored) + 1) // 2


def test_dovecot_serves_it(tmp_path: Path, dovecot_with: Callable[..., RealServer]) -> None:
    dovecot = dovecot_with(extra="mail_location = maildir:~/Archive")
    user, password = dovecot.fresh_user()
    archived(tmp_path / "a", MAILS)
    home = dovecot.log.parent / "mail" / user
    place = Path(shutil.copytree(tmp_path / "a", home / "Archive"))
    owner = home.stat()
    for path in (place, *place.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    pop = poplib.POP3(dovecot.host, dovecot.port, timeout=60)
    pop.user(user)
    pop.pass_(password)
    count, size = pop.stat()
    bodies = [b"".join(line + b"\r\n" for line in pop.retr(number)[1]) for number in range(1, count + 1)]
    pop.quit()
    assert Counter(bodies) == Counter(MAILS)
    assert size == sum(map(len, MAILS))
    with Archive(place) as archive:  # dovecot has renamed its files since
        verified = archive.verify()
        assert verified
        assert (verified.read, verified.strangers) == (len(MAILS), 0)


def test_notmuch_reads_it(tmp_path: Path, installed: Callable[[str], list[str]]) -> None:
    archived(tmp_path / "a", MAILS + BARE)
    config = tmp_path / "config"
    config.write_text(f"[database]\npath={tmp_path / 'a'}\n")

    def notmuch(*arguments: str) -> bytes:
        command = [*installed("notmuch"), f"--config={config}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    notmuch("new", "--quiet")
    files = [Path(line.decode()) for line in notmuch("search", "--output=files", "*").splitlines()]
    with Archive(tmp_path / "a") as archive:
        assert sorted(files) == sorted(record.path for record in archive)
        assert archive.verify()
    raw = notmuch("show", "--format=raw", "--entire-thread=false", "subject:dots")
    assert raw == b"Subject: dots\n\n.\n..\n.leading\n"
    assert int(notmuch("count", "tag:unread")) == len(
        {path.read_bytes() for path in files if path.parent.name == "new"}
    )


def test_an_archive_is_a_source_for_another_one(tmp_path: Path) -> None:
    archived(tmp_path / "a", MAILS)
    with Server(tmp_path / "a") as server, Archive(tmp_path / "b") as copy:
        assert copy.collect(account_of(server)).new == len(MAILS)
        assert Counter(record.raw for record in copy) == Counter(MAILS)
