"""Database: an SQLite file that a crash cannot tear, and that is left as it is if it is damaged, foreign or newer.

Every row carries a seal, a digest over its values, because SQLite does not notice all damage. A commit is on disk when
it returns. What is wrong with the file is `LedgerDamaged`; what is wrong with the machine is OSError.
"""

import contextlib
import errno
import functools
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

from pymailbox.content.saving import sync_directory
from pymailbox.errors import LedgerDamaged

__all__ = ["Database", "readable", "storable"]

_WAIT = 30.0  # seconds for another process that commits
#: What SQLite reports about the machine; anything else that it reports is damage, as every query here is right.
_PASSING = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}


class _Connection(sqlite3.Connection):
    """A connection that closes itself without a warning.

    An archive may be used once, in passing: `Archive(path).collect(account)`. And an interrupt may come when it is open
    and not yet anyone's.
    """

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it could not be opened
            self.close()


class Database(ABC):
    """An SQLite file of one kind, made if there is none; a context manager that closes it.

    Changes are made inside `with database.transaction():`, all or none of them. Without a path it is in memory.
    """

    #: What tells this kind of file from the files of other programs, and other kinds.
    _application: ClassVar[int]
    _version: ClassVar[int] = 1
    #: The statements that make its tables.
    _tables: ClassVar[str]
    #: What an error calls it.
    _name: ClassVar[str]

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            if not path.exists():
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                sync_directory(path.parent)
            self._check_header(path)
        with self._checked():
            self._database = sqlite3.connect(
                path or ":memory:", timeout=_WAIT, isolation_level=None, check_same_thread=False, factory=_Connection
            )
            try:
                self._open()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _check_header(self, path: Path) -> None:
        """Refuse a file that is not ours before SQLite opens it, as that may change it: see sqlite.org/fileformat."""
        if not path.is_file():
            self._damaged("it is not a file")
        with path.open("rb") as file:
            header = file.read(100)
        if header.startswith(b"SQLite format 3\0") and len(header) == 100:
            self._check_origin(int.from_bytes(header[68:72]), int.from_bytes(header[60:64], signed=True))
            if header[18] != 1:
                self._damaged("its journal mode was changed by something else")

    def _check_origin(self, application: int, version: int) -> None:
        if application != self._application:
            self._damaged("it is a database of another program")
        if version > self._version:
            self._damaged(f"it was written by a newer pymailbox, and needs one (version {version} of {self._name})")
        if version < 1:
            self._damaged(f"it has version {version}, which no pymailbox wrote")

    def _open(self) -> None:
        if self.path is not None:
            self._require("journal_mode=truncate", "truncate")
        self._database.execute("PRAGMA synchronous=full")
        if self._value("PRAGMA synchronous") != 2:
            raise OSError(f"SQLite cannot write {str(self.path)!r} safely: synchronous=full was not taken")
        self._database.execute("PRAGMA fullfsync=1")
        self._database.execute("PRAGMA cell_size_check=1")
        if self._value("PRAGMA application_id") == 0 and not self._value("SELECT count(*) FROM sqlite_schema"):
            with self.transaction():
                if not self._value("SELECT count(*) FROM sqlite_schema"):  # nor did another process since
                    for statement in filter(str.strip, self._tables.split(";")):
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA application_id={self._application}")
                    self._database.execute(f"PRAGMA user_version={self._version}")
        self._check_origin(self._value("PRAGMA application_id"), self._value("PRAGMA user_version"))

    def _require(self, pragma: str, wanted: str) -> None:
        (given,) = self._database.execute(f"PRAGMA {pragma}").fetchone() or (None,)
        if given != wanted:
            raise OSError(f"SQLite cannot write {str(self.path)!r} safely: {pragma} gave {given}")

    def _value(self, query: str) -> Any:
        row = self._database.execute(query).fetchone()
        return row[0]

    @abstractmethod
    def _advice(self) -> str:
        """Return what to do about a file that cannot be used, as a sentence."""

    def _damaged(self, why: str, cause: BaseException | None = None) -> NoReturn:
        raise LedgerDamaged(
            f"{self._name} {str(self.path)!r} cannot be used: {why}; nothing was changed. {self._advice()}"
        ) from cause

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes of the block durable at its end, or none of them."""
        with self._checked():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    @contextlib.contextmanager
    def _moment(self) -> Iterator[None]:
        """Read in the block what the file has at one moment, whoever commits meanwhile."""
        with self._checked():
            self._database.execute("BEGIN")
            try:
                yield
            finally:
                self._roll_back()

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it was closed, as after an interrupt in contextlib itself
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        """Turn what SQLite says of a damaged file into `LedgerDamaged`; OSError for one that cannot be written now."""
        try:
            yield
        except UnicodeDecodeError as error:  # in what SQLite says of it
            self._damaged(f"its tables are not those of {self._name}", error)
        except sqlite3.ProgrammingError as error:
            raise ValueError(f"{self._name} {str(self.path)!r} was closed while it was in use") from error
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # none: a value is not readable
            if code == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path)) from error
            if code in _PASSING:
                raise OSError(f"{self._name} {str(self.path)!r} cannot be read or written ({error})") from error
            self._damaged(str(error), error)

    def check(self) -> None:
        """Compare tables and indexes; 0.3 s for 100,000 messages of an archive."""
        with self._checked():
            (found,) = self._database.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                self._damaged(found.splitlines()[-1])

    def _write(self, table: str, values: tuple[Any, ...], *, replace: bool = False) -> int:
        """Write a row and its seal; return its id."""
        places = ", ".join("?" * (len(values) + 1))
        verb = "REPLACE" if replace else "INSERT"
        cursor = self._database.execute(f"{verb} INTO {table} VALUES ({places})", _with_seal(values))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _write_all(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write rows, each with its seal, in place of those with the same keys."""
        sealed = list(map(_with_seal, rows))
        if sealed:
            places = ", ".join("?" * len(sealed[0]))
            self._database.executemany(f"REPLACE INTO {table} VALUES ({places})", sealed)  # noqa: S608

    @staticmethod
    def _seal_of(values: tuple[Any, ...]) -> bytes:
        """Return the seal of a row with these values."""
        return bytes(_with_seal(values)[-1])

    def _sealed(self, table: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the values of a row without its seal, which must fit."""
        self._check_seals(table, [values])
        return values[:-1]

    def _check_seals(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Make sure that nothing else has changed these rows, each with its seal."""
        joined = _joined(len(rows[0]) - 1) if rows else ""
        for row in rows:
            if blake2b((joined % row[:-1]).encode(), digest_size=8).digest() != row[-1]:  # as `_digest` does
                self._damaged(f"a row of its table {table} was changed by something else")


def storable(value: Any) -> Any:
    """Return a value as SQLite takes it: a uid that is not valid UTF-8 goes in as bytes."""
    if value.__class__ is str and not value.isascii():
        data = value.encode("utf-8", "surrogateescape")
        return value if data.decode("utf-8", "replace") == value else data
    return value


def readable(value: Any) -> Any:
    """Return a value as it was before `storable`."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _with_seal(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row as SQLite takes it, and its seal: a digest of its values. Only the last may hold any character."""
    text = _joined(len(values)) % values
    if not text.isascii():
        values = tuple(map(storable, values))
        text = _joined(len(values)) % values
    return (*values, _digest(text))


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


@functools.cache
def _joined(count: int) -> str:
    """Return the format that joins so many values; it takes half as long as to join them."""
    return "\x1f".join(["%s"] * count)
