"""SeenFile: the rows of all accounts in one SQLite file, which gets its name only when it is whole; and its lock."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from attrs import define

from pymailbox.database import Database, readable
from pymailbox.disk import Disk
from pymailbox.lock import locked

__all__ = ["Row", "SeenFile", "prepared", "rows_by_size"]

_SMALLEST = 512  # bytes of a page of SQLite


@define(eq=False)
class Row:
    """A message of the last listing, or one that was added and is not forgotten yet."""

    #: In the order of the last listing.
    id: int
    account: int
    #: Bytes by LIST.
    size: int | None
    added: int
    #: When a listing first lacked it, in seconds since 1970; None: the last listing had it.
    absent: int | None
    #: 1 if it says nothing about the next listing's uids: the program has deleted it, or added it before it was listed.
    uncounted: int
    uid: str

    @property
    def expected(self) -> bool:
        """Whether the next listing should have it, as the last one had."""
        return self.absent is None and not self.uncounted

    def fits(self, size: int | None) -> bool:
        """Whether it can be a message of that size."""
        return size is None or self.size is None or size == self.size


def rows_by_size(rows: Iterable[Row]) -> dict[int | None, list[Row]]:
    """Return rows by their size, in order."""
    result: dict[int | None, list[Row]] = {}
    for row in rows:
        result.setdefault(row.size, []).append(row)
    return result


class SeenFile(Database):
    """The rows of all accounts. There is no index, as a damaged one would hide rows."""

    _application: ClassVar[int] = 0x706D6273  # "pmbs"
    _name: ClassVar[str] = "the file of seen messages"
    _tables: ClassVar[str] = """
CREATE TABLE account (id INTEGER PRIMARY KEY, listed INTEGER NOT NULL, messages INTEGER NOT NULL, name TEXT NOT NULL,
    seal BLOB NOT NULL);
CREATE TABLE message (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, size INTEGER, added INTEGER NOT NULL,
    absent INTEGER, uncounted INTEGER NOT NULL, uid TEXT NOT NULL, seal BLOB NOT NULL);
"""
    _last_id: int | None = None

    def __init__(self, path: Path | None, *, new: bool = False) -> None:
        self._new = new
        self._numbers: dict[str, int] = {}  # of accounts that may not be in the file yet
        super().__init__(path)

    def _check_header(self, path: Path) -> None:
        super()._check_header(path)
        if not self._new and path.stat().st_size < _SMALLEST:  # SQLite would begin a new one
            self._damaged("it is empty or cut off")

    def _advice(self) -> str:
        return (
            f"Move it away, and {f'{self.path}-journal'!r}, to begin a new one: all messages are then new for Seen, and"
            " for a watch those that arrive from then on; or name another file"
        )

    def load(self, name: str) -> tuple[int, bool, list[Row]]:
        """Return the id of an account, whether it was ever listed, and its rows in order."""
        with self._moment():
            accounts = [self._sealed("account", row) for row in self._database.execute("SELECT * FROM account")]
            by_name = {readable(row[3]): row for row in accounts}
            counts = dict(self._database.execute("SELECT account, count(*) FROM message GROUP BY account").fetchall())
            if len(by_name) < len(accounts) or counts != {row[0]: row[2] for row in accounts if row[2]}:
                self._damaged("some of its rows are missing")
            taken = [0, *self._numbers.values(), *(row[0] for row in accounts)]
            number, listed, *_ = by_name.get(name) or (self._numbers.get(name, max(taken) + 1), 0)
            self._numbers[name] = number
            found = self._database.execute("SELECT * FROM message WHERE account=? ORDER BY id", (number,))
            rows = [Row(*self._sealed("message", row)) for row in found]
        for row in rows:
            row.uid = readable(row.uid)
        return number, bool(listed), rows

    def fresh_id(self) -> int:
        """Return an id after all others, and never the same again."""
        if self._last_id is None:
            with self._checked():
                self._last_id = int(self._value("SELECT coalesce(max(id), 0) FROM message"))
        self._last_id += 1
        return self._last_id

    def save(self, account: tuple[int, int, int, str] | None, changed: Iterable[Row], dropped: Iterable[int]) -> None:
        """Write what is new of an account and its rows, in one commit."""
        with self.transaction():
            self._database.executemany("DELETE FROM message WHERE id=?", ((number,) for number in dropped))
            for row in changed:
                values = (row.id, row.account, row.size, row.added, row.absent, row.uncounted, row.uid)
                self._write("message", values, replace=True)
            if account is not None:
                self._write("account", account, replace=True)


@contextlib.contextmanager
def prepared(path: Path, disk: Disk) -> Iterator[None]:
    """Hold the lock of a file during the block; the file is made if there is none.

    It gets its name when it is whole, so a file of that name that is cut off or empty is damaged, not new.
    """
    disk.make_directory(path.parent)
    with locked(path.with_name(f"{path.name}.lock"), repr(str(path))):
        if not path.exists():
            fresh = path.with_name(f"{path.name}.new")
            for left in (fresh, *(Path(f"{name}-journal") for name in (fresh, path))):
                disk.remove(left)  # of a run that was killed, or of a file that was moved away
            SeenFile(fresh, new=True).close()
            disk.remove(Path(f"{fresh}-journal"))
            for directory in path.parents:  # a run that was killed may have made them and done no more
                _sync(disk, directory)
            disk.rename(fresh, path)
        _sync(disk, path.parent)  # also if it was renamed by a run that was killed then
        yield


def _sync(disk: Disk, directory: Path) -> None:
    if os.access(directory, os.W_OK):
        disk.sync_directory(directory)
