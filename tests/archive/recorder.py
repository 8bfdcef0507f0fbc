"""Recorder: writes down what an archive, or `Seen`, does to the disk, and makes every state that a power cut could leave of it.

The disk is as POSIX allows it to be, and worse than any file system in use: what was written to a file and not forced
to disk may be there whole, half or not at all, and each creation, renaming and removal whose directory was not forced
to disk may have happened or not, whatever came after it. What a ledger holds is durable with each of its commits, as
SQLite promises, and so is its name when it is made; another name is not before its directory was forced to disk.
"""

import itertools
import os
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from unittest import mock

from attrs import define, field

from pymailbox.database import Database
from pymailbox.disk import Disk

__all__ = ["Operation", "Recorder", "State", "after", "crash_states", "recording"]

Missing = Literal["directory", "file", "parents", "pending"]

LEDGER = ".pymailbox/ledger.db"


@define(frozen=True)
class Operation:
    """One thing that was done, with paths relative to the directory that holds the archive."""

    kind: Literal["mkdir", "create", "write", "sync", "rename", "sync directory", "remove", "commit", "quit"]
    path: str = ""
    target: str = ""
    data: bytes = b""
    #: Of "quit": the places, in the server's first listing, of the messages that it removed; for `Seen`, of the message
    #: that was added.
    gone: tuple[int, ...] = ()


class _RecordedFile(FileIO):
    """A file that writes down what is written to it."""

    recorder: "Recorder"
    place: str

    def write(self, data: Any) -> int:
        written = super().write(data)
        self.recorder.add(Operation("write", self.place, data=bytes(data)[:written]))
        return written


class Recorder(Disk):
    """Does what `Disk` does, and writes it down. `without` leaves a step out, to see whether the replay notices."""

    def __init__(self, base: Path, *, without: Missing | None = None) -> None:
        self.base = base
        self.without = without
        self.operations: list[Operation] = []
        self._places: dict[int, str] = {}
        self._making: list[Path] = []
        self._guard = threading.Lock()

    def add(self, operation: Operation) -> None:
        """Write one down."""
        with self._guard:
            self.operations.append(operation)

    def _place(self, path: str | Path) -> str:
        return Path(path).relative_to(self.base).as_posix()

    def make_directory(self, path: Path) -> None:
        self._making = [parent for parent in (path, *path.parents) if not parent.exists()]
        super().make_directory(path)

    def create(self, path: str | Path) -> FileIO:
        with super().create(path) as file:
            recorded = _RecordedFile(os.dup(file.fileno()), "r+")
        recorded.recorder, recorded.place = self, self._place(path)
        self._places[recorded.fileno()] = recorded.place
        self.add(Operation("create", recorded.place))
        return recorded

    def sync_file(self, file: FileIO) -> None:
        super().sync_file(file)
        if self.without != "file":
            self.add(Operation("sync", self._places[file.fileno()]))

    def rename(self, source: str | Path, target: str | Path) -> None:
        super().rename(source, target)
        self.add(Operation("rename", self._place(source), self._place(target)))

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        while self._making and self._making[-1].exists():  # made since, as `Disk` makes directories by itself
            self.add(Operation("mkdir", self._place(self._making.pop())))
        of_a_parent = path.name not in {"new", "cur", "tmp"}
        if path.is_relative_to(self.base) and self.without != ("parents" if of_a_parent else "directory"):
            self.add(Operation("sync directory", self._place(path)))

    def remove(self, path: str | Path) -> None:
        super().remove(path)
        self.add(Operation("remove", self._place(path)))

    def commit(self, path: Path) -> None:
        """Write down what the ledger has become."""
        data = path.read_bytes()
        if not self.operations or self.operations[-1] != Operation("commit", self._place(path), data=data):
            self.add(Operation("commit", self._place(path), data=data))

    @property
    def record(self) -> Sequence[Operation]:
        """What was done; without the pending rows a commit comes after the renames that it announces."""
        if self.without != "pending":
            return self.operations
        moved: list[Operation] = []
        held: list[Operation] = []
        for at, operation in enumerate(self.operations):
            following = self.operations[at + 1].kind if at + 1 < len(self.operations) else ""
            if operation.kind == "commit" and following == "rename":
                held.append(operation)
            elif held and operation.kind != "rename":
                moved += [operation, *held] if operation.kind == "sync directory" else [*held, operation]
                held.clear()
            else:
                moved.append(operation)
        return moved + held


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Have the recorder see the commits of databases."""
    real = Database.transaction

    @contextmanager
    def transaction(database: Database) -> Iterator[None]:
        with real(database):
            yield
        assert database.path is not None
        recorder.commit(database.path)

    with mock.patch.object(Database, "transaction", transaction):
        yield


# --- the states that a power cut could leave --------------------------------------------------------------


@define
class _File:
    """The content of a file: what was written, and how much of it is certainly on disk."""

    written: bytearray = field(factory=bytearray)
    durable: int = 0
    directory: bool = False

    def contents(self) -> list[bytes]:
        """Return what may be read after the cut."""
        whole = bytes(self.written)
        if self.durable == len(whole):
            return [whole]
        return list(dict.fromkeys((whole, whole[: (self.durable + len(whole)) // 2], whole[: self.durable])))


@define(eq=False)
class _Change:
    """A change of a directory."""

    kind: Literal["add", "move", "drop"]
    file: _File
    path: str
    target: str = ""
    durable: bool = False

    @property
    def directory(self) -> str:
        return str(PurePosixPath(self.target or self.path).parent)


@define(frozen=True)
class State:
    """What is on the disk and on the server. A directory has None for its content."""

    files: tuple[tuple[str, bytes | None], ...]
    gone: frozenset[int]

    def make(self, base: Path) -> None:
        """Make it in an empty directory."""
        for place, content in self.files:
            path = base / place
            if content is None:
                path.mkdir(0o700)
            else:
                path.write_bytes(content)


@define
class _Model:
    """A disk with what was done to it so far."""

    names: dict[str, _File] = field(factory=dict)
    changes: list[_Change] = field(factory=list)
    gone: set[int] = field(factory=set)

    def apply(self, operation: Operation) -> None:
        path, target = operation.path, operation.target
        match operation.kind:
            case "mkdir" | "create":
                self.names[path] = _File(directory=operation.kind == "mkdir")
                self.changes.append(_Change("add", self.names[path], path))
            case "write":
                self.names[path].written += operation.data
            case "sync":
                self.names[path].durable = len(self.names[path].written)
            case "rename" if path in self.names:
                self.names[target] = self.names.pop(path)
                self.changes.append(_Change("move", self.names[target], path, target))
            case "remove" if path in self.names:
                self.changes.append(_Change("drop", self.names.pop(path), path))
            case "sync directory":
                for change in self.changes:
                    change.durable = change.durable or change.directory == path
                self._simplify()
            case "commit":
                if path not in self.names:
                    self.names[path] = _File()
                    self.changes.append(_Change("add", self.names[path], path, durable=True))
                self.names[path].written[:] = operation.data
                self.names[path].durable = len(operation.data)
            case "quit":
                self.gone.update(operation.gone)

    def _simplify(self) -> None:
        """Forget what a later durable change of the same file has made pointless."""
        last = {id(change.file): at for at, change in enumerate(self.changes) if change.durable}
        self.changes = [change for at, change in enumerate(self.changes) if at >= last.get(id(change.file), 0)]

    def states(self, most: int, chosen: random.Random) -> Iterator[State]:
        """Yield the states, or so many of them chosen at random. The first is that of a process that was killed."""
        open_ = [change for change in self.changes if not change.durable]
        unsynced = [file for file in self.names.values() if not file.directory and file.durable < len(file.written)]
        ways = [range(len(file.contents())) for file in unsynced]
        count = 2 ** len(open_) * 3 ** len(ways)
        yield self._state(set(), {}, everything=True)
        if count <= most:
            for happened in itertools.product((False, True), repeat=len(open_)):
                did = {id(change) for change, yes in zip(open_, happened, strict=True) if yes}
                for way in itertools.product(*ways):
                    yield self._state(did, dict(zip(map(id, unsynced), way, strict=True)))
            return
        for _ in range(most):
            part = chosen.choice((0.2, 0.5, 0.8))
            did = {id(change) for change in open_ if chosen.random() < part}
            yield self._state(did, {id(file): chosen.choice(way) for file, way in zip(unsynced, ways, strict=True)})

    def _state(self, happened: set[int], ways: dict[int, int], *, everything: bool = False) -> State:
        entries: dict[str, _File] = {}
        for change in self.changes:
            if not (everything or change.durable or id(change) in happened):
                continue
            if change.kind != "add" and entries.get(change.path) is change.file:
                del entries[change.path]
            if change.kind != "drop":
                entries[change.target or change.path] = change.file
        contents: dict[str, bytes | None] = {}
        for place, file in entries.items():
            choices = file.contents()
            contents[place] = None if file.directory else choices[min(ways.get(id(file), 0), len(choices) - 1)]
        reachable: dict[str, bytes | None] = {}
        for place in sorted(contents):
            above = str(PurePosixPath(place).parent)
            if above == "." or (above in reachable and reachable[above] is None):
                reachable[place] = contents[place]
        return State(tuple(reachable.items()), frozenset(self.gone))


def crash_states(
    record: Sequence[Operation], *, first: int = 0, every: int = 1, most: int = 64, seed: int = 17
) -> Iterator[State]:
    """Yield each different state that a power cut could leave after each operation from the `first` on."""
    model, chosen, seen = _Model(), random.Random(seed), set()
    for at, operation in enumerate(record, 1):
        model.apply(operation)
        if at < first or (at - first) % every:
            continue
        for state in model.states(most, chosen):
            if state not in seen:
                seen.add(state)
                yield state


def after(record: Sequence[Operation]) -> State:
    """Return what is there when a process was killed after these operations: all of them have happened."""
    model = _Model()
    for operation in record:
        model.apply(operation)
    return next(model.states(0, random.Random(0)))
