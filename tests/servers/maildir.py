"""Maildirs that share their messages through hard links, so that a user takes only a few directory entries."""

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Maildirs"]

EPOCH = 1672531200  # servers number messages by the time in their file names


class Maildirs:
    """Homes in one directory, each with the same messages in its Maildir.

    One user id owns the messages of all users. Servers only rename and remove delivered messages, and never write to
    them, so no user sees what another one does.
    """

    def __init__(self, directory: Path, mails: Sequence[bytes], *, owner: tuple[int, int]) -> None:
        self.directory = directory
        self.owner = owner
        self._template = directory / ".template"
        self._template.mkdir(parents=True)
        for number, raw in enumerate(mails, 1):
            mail = self._template / f"{EPOCH + number}.M{number}P1.seed"
            mail.write_bytes(raw)
            mail.chmod(0o600)
            os.utime(mail, (EPOCH + number, EPOCH + number))
            os.chown(mail, *owner)

    def make(self, user: str) -> Path:
        """Create and return the home of a user with all messages."""
        home = self.directory / user
        for directory in (home, *(home / "Maildir" / part for part in (".", "cur", "new", "tmp"))):
            directory.mkdir(mode=0o700, exist_ok=True)
            os.chown(directory, *self.owner)
        for mail in self._template.iterdir():
            (home / "Maildir" / "cur" / f"{mail.name}:2,").hardlink_to(mail)
        return home
