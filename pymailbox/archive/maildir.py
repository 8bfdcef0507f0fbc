"""Maildir: the layout of an archive that mutt, notmuch, Dovecot and Thunderbird read.

A name in it carries what a new ledger needs: when the message was first seen, a hash that stands for account and uid,
and the form it is stored in. It holds nothing that a server could choose, so no server can choose where a file goes.
"""

import contextlib
import functools
import hashlib
import os
import re
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from attrs import field, frozen

from pymailbox.archive.stored_form import Form, StagedFile
from pymailbox.disk import Disk

__all__ = ["Label", "Maildir", "StoredFile", "uid_hash"]

_NAME = re.compile(
    r"(?P<first_seen>\d{1,12})\.pmb(?P<run>\d{1,12})Q(?P<position>\d{1,9})U(?P<uid_hash>[0-9a-f]{16})"
    r"F(?P<form>[lw])\.[A-Za-z0-9.-]{1,64},S=(?P<size>\d{1,15})(?P<added>(?:,[A-Z]=\d+)*(?::2,[A-Za-z]*)?)\Z"
)
_STAGED = re.compile(r"\d{1,12}\.pmb\d{1,12}Q\d{1,9}U[0-9a-f]{16}w?\Z")
_MOVES = 20  # of one file, each between looking for it and reading it

T = TypeVar("T")


def uid_hash(account: str, uid: str) -> str:
    """Return what stands for a message's account and uid in names: 16 hexadecimal digits."""
    return hashlib.sha256(f"{account}\0{uid}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


@functools.cache
def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64] or "localhost"


class Label(NamedTuple):
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


class StoredFile(NamedTuple):
    """A message's file in the archive, as its name describes it."""

    path: Path
    label: Label
    form: Form
    #: Bytes that the file should have.
    stored_size: int

    @property
    def name(self) -> str:
        """The name as the ledger has it: without flags, and what else mail programs add, such as `,U=7` by mbsync."""
        match = _NAME.match(self.path.name)
        assert match is not None
        return self.path.name.removesuffix(match["added"])


@frozen(eq=False, repr=False)
class _Scan:
    """Where our files were at some time; mail programs move them from `new` to `cur` and add flags."""

    found: dict[str, Path] = field(factory=dict)
    #: When the directories had last changed; until they change again what is not `found` is gone. None: not known.
    changed: float | None = None


@frozen(eq=False, repr=False)
class Maildir:
    """Messages as files in `new` and `cur`, staged in `tmp`."""

    root: Path
    disk: Disk
    #: The last scan, alone in a list: threads that read at the same time see all of it, or all of the one before.
    _scan: list[_Scan] = field(factory=lambda: [_Scan()], init=False, repr=False)

    def prepare(self) -> None:
        """Make the directories."""
        for name in ("tmp", "new", "cur"):
            self.disk.make_directory(self.root / name)

    def stage(self, label: Label) -> StagedFile:
        """Return a temporary file to write a message to."""
        return StagedFile(f"{self.root}/tmp", str(label), self.disk)  # noqa: S108 - of the archive

    def name_of(self, staged: StagedFile) -> str:
        """Return the name that a staged file gets."""
        return f"{staged.name}F{staged.form}.{_host()},S={staged.stored_size}"

    def publish(self, staged: Iterable[tuple[str | Path, str]]) -> None:
        """Give staged files their names and make them durable; their content must be on disk already."""
        new = self.root / "new"
        for path, name in staged:
            self.disk.rename(path, f"{new}/{name}")
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
        (scan,) = self._scan
        known = scan.found.get(name)
        if known is None or not known.is_file():
            changed = self._changed()
            if known is None and changed == scan.changed:
                return None
            found = {file.name: file.path for file in self.files_by_name().values()}
            self._scan[0] = _Scan(found, changed if self._is_as_at(changed) else None)
            known = found.get(name)
        return known

    def read(self, name: str, use: Callable[[Path], T]) -> T | None:
        """Return what `use` makes of a message's file; None if it is gone. Mail programs may move it meanwhile."""
        for _ in range(_MOVES):
            path = self.find(name)
            if path is None:
                break
            with contextlib.suppress(FileNotFoundError):
                return use(path)
        return None

    def _changed(self) -> float:
        """Return when a file was last added, moved or removed, in seconds since 1970."""
        return max((path.stat().st_mtime for path in self._directories()), default=0.0)

    def _is_as_at(self, changed: float) -> bool:
        """Whether nothing was added, moved or removed since the last change was at that time."""
        return changed == self._changed() and changed < time.time() - 1  # a clock of a disk may be coarse

    def _directories(self) -> list[Path]:
        """Return where messages may be; what copied an archive may have left out a directory that was empty."""
        return [path for name in ("new", "cur") if (path := self.root / name).is_dir()]

    def exists(self) -> bool:
        """Whether there is a Maildir."""
        return bool(self._directories())

    def files(self, known: Collection[str] = (), beginning: str = "") -> Iterator[StoredFile]:
        """Yield our files in `new` and `cur`, but for the `known`; those of other programs are not ours.

        Their names have that `beginning`.
        """
        for directory in self._directories():
            with os.scandir(directory) as entries:  # unlike glob, it makes no list of them
                for entry in entries:
                    name = entry.name
                    if name in known or not name.startswith(beginning):
                        continue
                    match = _NAME.match(name)
                    if match is not None and name[: match.start("added")] not in known and entry.is_file():
                        label = Label(
                            int(match["first_seen"]), int(match["run"]), int(match["position"]), match["uid_hash"]
                        )
                        form: Form = "w" if match["form"] == "w" else "l"
                        yield StoredFile(Path(entry.path), label, form, int(match["size"]))

    def files_by_name(self, known: Collection[str] = ()) -> dict[str, StoredFile]:
        """Return our files, except the `known`, and overlook none: as files move, one scan may miss some."""
        files: dict[str, StoredFile] = {}
        for _ in range(_MOVES):
            before = len(files)
            files.update((file.name, file) for file in self.files(known))
            if len(files) == before:
                break
        return files

    def places(self) -> tuple[dict[str, str], int]:
        """Return where our files are, by name, and how many files are not ours; overlook none.

        A file whose name has neither flags nor what else mail programs add is taken for ours: what the ledger does not
        have is not.
        """
        found: dict[str, str] = {}
        others, changed = 0, self._changed()
        for _ in range(_MOVES):
            before, others = len(found), 0
            for directory in self._directories():
                with os.scandir(directory) as entries:
                    for entry in entries:
                        name = entry.name
                        if name in found:
                            continue
                        plain = name.count(",") == 1 and entry.is_file()  # as our names are; a match takes longer
                        match = None if plain else _NAME.match(name)
                        if plain:
                            found[name] = entry.path
                        elif match is None:
                            others += 1
                        elif entry.is_file():
                            found[name[: match.start("added")]] = entry.path
            if len(found) == before or self._is_as_at(changed):
                break
        return found, others

    def last_position(self, second: int) -> int:
        """Return the highest position of the messages first seen in that second, such as by a run that just ended."""
        if all(path.stat().st_mtime < second for path in self._directories()):
            return 0
        return max((file.label.position for file in self.files(beginning=f"{second}.")), default=0)

    def sweep(self) -> None:
        """Remove what earlier runs left in `tmp`."""
        for path in (self.root / "tmp").iterdir():
            if _STAGED.match(path.name) and not path.is_dir():
                self.disk.remove(path)
