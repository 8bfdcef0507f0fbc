"""Maildir: the layout of an archive that mutt, notmuch, Dovecot and Thunderbird read.

A name in it carries what a new ledger needs: when the message was first seen, a hash that stands for account and uid,
and the form it is stored in. It holds nothing that a server could choose, so no server can choose where a file goes.
"""

import functools
import hashlib
import os
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import field, frozen

from pymailbox.archive.disk import Disk
from pymailbox.archive.stored_form import Form, StagedFile

__all__ = ["Label", "Maildir", "StoredFile", "uid_hash"]

_NAME = re.compile(
    r"(?P<first_seen>\d{1,12})\.pmb(?P<run>\d{1,12})Q(?P<position>\d{1,9})U(?P<uid_hash>[0-9a-f]{16})"
    r"F(?P<form>[lw])\.[A-Za-z0-9.-]{1,64},S=(?P<size>\d{1,15})(?P<flags>:2,[A-Za-z]*)?\Z"
)
_STAGED = re.compile(r"\d{1,12}\.pmb\d{1,12}Q\d{1,9}U[0-9a-f]{16}w?\Z")


def uid_hash(account: str, uid: str) -> str:
    """Return what stands for a message's account and uid in names: 16 hexadecimal digits."""
    return hashlib.sha256(f"{account}\0{uid}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


@functools.cache
def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64] or "localhost"


@frozen
class Label:
    """What a file's name says of its message."""

    #: Seconds since 1970.
    first_seen: int
    #: The number of the run that fetched it.
    run: int
    #: Grows with each message that the run fetches, from 1; in the same second no two messages have the same.
    position: int
    uid_hash: str

    def __str__(self) -> str:
        """Return the name of the staged file, with which that of the finished one begins."""
        return f"{self.first_seen}.pmb{self.run}Q{self.position}U{self.uid_hash}"


@frozen
class StoredFile:
    """A message's file in the archive, as its name describes it."""

    path: Path
    label: Label
    form: Form
    #: Bytes that the file should have.
    stored_size: int

    @property
    def name(self) -> str:
        """The name without flags, as the ledger has it."""
        return self.path.name.partition(":")[0]

    @property
    def complete(self) -> bool:
        """Whether the file has the size it should have."""
        return self.path.stat().st_size == self.stored_size


@frozen
class Maildir:
    """Messages as files in `new` and `cur`, staged in `tmp`."""

    root: Path
    disk: Disk
    #: Where each of our files was last seen; mail programs move them from `new` to `cur` and add flags.
    _found: dict[str, Path] = field(factory=dict, init=False, repr=False)

    def prepare(self) -> None:
        """Make the directories."""
        for name in ("tmp", "new", "cur"):
            self.disk.make_directory(self.root / name)

    def stage(self, label: Label) -> StagedFile:
        """Return a temporary file to write a message to."""
        return StagedFile(self.root / f"tmp/{label}", self.disk)

    def name_of(self, staged: StagedFile) -> str:
        """Return the name that a staged file gets."""
        return f"{staged.path.name.removesuffix('w')}F{staged.form}.{_host()},S={staged.stored_size}"

    def publish(self, staged: Iterable[tuple[Path, str]]) -> None:
        """Give staged files their names and make them durable; their content must be on disk already."""
        new = self.root / "new"
        for path, name in staged:
            self.disk.rename(path, new / name)
        self.disk.sync_directory(new)

    def sync(self) -> None:
        """Make durable where the files are, whoever renamed them: a run that was killed, or a mail program."""
        for name in ("new", "cur"):
            self.disk.sync_directory(self.root / name)

    def staged(self, name: str) -> Path | None:
        """Return the staged file of a message that was to get that name; None if there is none."""
        stem, _, rest = name.partition("F")
        path = self.root / "tmp" / (stem + ("w" if rest.startswith("w") else ""))
        return path if path.is_file() else None

    def find(self, name: str) -> Path | None:
        """Return where a message's file is now, whatever flags it was given; None if it is gone."""
        path = self.root / "new" / name
        if path.is_file():
            return path
        known = self._found.get(name)
        if known is None or not known.is_file():
            self._found.clear()
            self._found.update((file.name, file.path) for file in self.files())
            known = self._found.get(name)
        return known

    def files(self) -> Iterator[StoredFile]:
        """Yield our files in `new` and `cur`; those of other programs are not ours."""
        for directory in ("new", "cur"):
            with os.scandir(self.root / directory) as entries:  # unlike glob, it makes no list of them
                for entry in entries:
                    match = _NAME.match(entry.name)
                    if match is not None:
                        label = Label(
                            int(match["first_seen"]), int(match["run"]), int(match["position"]), match["uid_hash"]
                        )
                        form: Form = "w" if match["form"] == "w" else "l"
                        yield StoredFile(Path(entry.path), label, form, int(match["size"]))

    def strangers(self) -> int:
        """Return how many files in `new` and `cur` are not ours, by their names."""
        return sum(not _NAME.match(path.name) for name in ("new", "cur") for path in (self.root / name).iterdir())

    def last_position(self, second: int) -> int:
        """Return the highest position of the messages first seen in that second, such as by a run that just ended."""
        if all((self.root / name).stat().st_mtime < second for name in ("new", "cur")):
            return 0
        return max((file.label.position for file in self.files() if file.label.first_seen == second), default=0)

    def sweep(self) -> None:
        """Remove what earlier runs left in `tmp`."""
        for path in (self.root / "tmp").iterdir():
            if _STAGED.match(path.name):
                self.disk.remove(path)
