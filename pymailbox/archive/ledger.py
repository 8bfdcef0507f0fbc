"""Ledger: what an archive knows of each message, in one SQLite file that a crash cannot tear.

Every row carries a seal, a digest over its values, because SQLite does not notice all damage. A ledger that is
damaged, foreign or newer is left exactly as it is: `LedgerDamaged` says how to make a new one from the files. The
ledger never decides that a message may be deleted; the file on disk does.
"""

import contextlib
import errno
import hashlib
import operator
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

from attrs import define, fields

from pymailbox.archive.stored_form import Form
from pymailbox.content.saving import sync_directory
from pymailbox.errors import LedgerDamaged

__all__ = ["AccountRow", "FailureRow", "Ledger", "MessageRow"]

_APPLICATION = 0x706D6278  # "pmbx"
_VERSION = 1
_WAIT = 30.0  # seconds for another process that commits
_PAGE = 1_000  # rows read at once
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
_TABLES = """
CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, run INTEGER NOT NULL, ended INTEGER,
    count INTEGER, size INTEGER, one_by_one INTEGER NOT NULL, seal BLOB NOT NULL);
CREATE TABLE message (id INTEGER PRIMARY KEY, account INTEGER, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    listed INTEGER, form TEXT NOT NULL, name TEXT NOT NULL UNIQUE, uid_hash TEXT NOT NULL, state TEXT NOT NULL,
    server TEXT NOT NULL, first_seen INTEGER NOT NULL, copies INTEGER NOT NULL, uid TEXT,
    seal BLOB NOT NULL);
CREATE INDEX message_uid ON message (account, uid);
CREATE INDEX message_hash ON message (sha256);
CREATE INDEX message_deleting ON message (account, server) WHERE server = 'deleting';
CREATE TABLE failure (account INTEGER NOT NULL, uid TEXT NOT NULL, size INTEGER, times INTEGER NOT NULL,
    problem TEXT NOT NULL, seal BLOB NOT NULL, PRIMARY KEY (account, uid));
"""


@define
class AccountRow:
    """An account, and how its last run ended."""

    id: int
    #: user@host
    name: str
    #: Runs so far; the last one's number.
    run: int = 0
    #: When the last run ended, in seconds since 1970; None: never.
    ended: int | None = None
    #: Messages by STAT in the last run that archived everything.
    count: int | None = None
    #: Bytes by the same STAT.
    size: int | None = None
    #: 1 if pipelined replies of its server could not be verified: it is read one message at a time.
    one_by_one: int = 0


@define
class MessageRow:
    """A message that is archived, or about to be."""

    id: int
    #: None after a rebuild, until an account lists the message.
    account: int | None
    #: Of the bytes as sent, in hexadecimal.
    sha256: str
    #: Bytes as sent.
    size: int
    #: Bytes by LIST.
    listed: int | None
    form: Form
    #: The name of its file, without flags.
    name: str
    #: Stands for account and uid while the uid is not known: after a rebuild.
    uid_hash: str
    state: Literal["pending", "stored", "missing"]
    server: Literal["there", "deleting", "gone"]
    first_seen: int
    #: Identical messages under this uid.
    copies: int
    #: None: the server gives none, or it is not known yet.
    uid: str | None


@define
class FailureRow:
    """A message that could not be fetched."""

    account: int
    uid: str
    size: int | None
    times: int
    problem: str


_MESSAGE = ", ".join(field.name for field in fields(MessageRow))
#: Returns the values of a row as a tuple; attrs.astuple takes several times as long.
_VALUES = {
    kind: operator.attrgetter(*(field.name for field in fields(kind))) for kind in (AccountRow, MessageRow, FailureRow)
}


class Ledger:
    """The ledger of an archive; a context manager that closes it.

    Changes are made inside `with ledger.transaction():`, all or none of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        made = not path.exists()
        if made:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            sync_directory(path.parent)
        self._check_header()
        with self._checked():
            self._database = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            try:
                self._open()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __del__(self) -> None:
        if hasattr(self, "_database"):  # an archive may be used once, in passing: `Archive(path).collect(account)`
            self.close()

    # --- the file -----------------------------------------------------------------------------------------

    def _check_header(self) -> None:
        """Refuse a file that is not ours before SQLite opens it, as that may change it: see sqlite.org/fileformat."""
        if not self.path.is_file():
            self._damaged("it is not a file")
        with self.path.open("rb") as file:
            header = file.read(100)
        if header.startswith(b"SQLite format 3\0") and len(header) == 100:
            self._check_origin(int.from_bytes(header[68:72]), int.from_bytes(header[60:64], signed=True))
            if header[18] != 1:
                self._damaged("its journal mode was changed by something else")

    def _check_origin(self, application: int, version: int) -> None:
        if application != _APPLICATION:
            self._damaged("it is a database of another program")
        if version > _VERSION:
            self._damaged(f"it was written by a newer pymailbox (version {version} of the ledger)")
        if version < 1:
            self._damaged(f"it has version {version}, which no pymailbox wrote")

    def _open(self) -> None:
        for pragma, wanted in (("journal_mode=truncate", "truncate"), ("synchronous=full", None)):
            (given,) = self._database.execute(f"PRAGMA {pragma}").fetchone() or (None,)
            if wanted is not None and given != wanted:
                raise OSError(f"SQLite cannot write {str(self.path)!r} safely: {pragma} gave {given}")
        if self._value("PRAGMA synchronous") != 2:
            raise OSError(f"SQLite cannot write {str(self.path)!r} safely: synchronous=full was not taken")
        self._database.execute("PRAGMA fullfsync=1")
        self._database.execute("PRAGMA cell_size_check=1")
        if self._value("PRAGMA application_id") == 0 and not self._value("SELECT count(*) FROM sqlite_schema"):
            with self.transaction():
                if not self._value("SELECT count(*) FROM sqlite_schema"):  # nor did another process since
                    for statement in filter(str.strip, _TABLES.split(";")):
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA application_id={_APPLICATION}")
                    self._database.execute(f"PRAGMA user_version={_VERSION}")
        self._check_origin(self._value("PRAGMA application_id"), self._value("PRAGMA user_version"))

    def _value(self, query: str) -> Any:
        row = self._database.execute(query).fetchone()
        return row[0]

    def _damaged(self, why: str, cause: BaseException | None = None) -> NoReturn:
        archive = self.path.parent.parent
        raise LedgerDamaged(
            f"the ledger {str(self.path)!r} cannot be used: {why}; nothing was changed. Make a new one from the files"
            f" with Archive.rebuild({str(archive)!r}), or `pymailbox rebuild {archive}`"
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
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        """Turn what SQLite says of a damaged file into `LedgerDamaged`; OSError for one that cannot be written now."""
        try:
            yield
        except UnicodeDecodeError as error:  # in what SQLite says of it
            self._damaged("its tables are not those of a ledger", error)
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # none: a value is not readable
            if code == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path)) from error
            if code in _PASSING:
                raise OSError(f"the ledger {str(self.path)!r} cannot be read or written ({error})") from error
            self._damaged(str(error), error)

    def check(self) -> None:
        """Compare tables and indexes, as a damaged index would hide what is archived; 0.3 s for 100,000 messages."""
        with self._checked():
            (found,) = self._database.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                self._damaged(found.splitlines()[-1])

    def _insert(self, table: str, row: Any, *, replace: bool = False) -> int:
        values = tuple(map(_storable, _VALUES[type(row)](row)))
        places = ", ".join("?" * (len(values) + 1))
        verb = "REPLACE" if replace else "INSERT"
        cursor = self._database.execute(f"{verb} INTO {table} VALUES ({places})", (*values, _seal(values)))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _sealed(self, table: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if _seal(values[:-1]) != values[-1]:
            self._damaged(f"a row of its table {table} was changed by something else")
        return values[:-1]

    # --- accounts -----------------------------------------------------------------------------------------

    def account(self, name: str) -> AccountRow:
        """Return the row of an account, a new one if there is none."""
        rows = self._accounts()
        for row in rows:
            if row.name == name:
                return row
        number = max((row.id for row in rows), default=0) + 1
        with self._checked():
            if self._value("SELECT coalesce(max(account), 0) FROM message") >= number:
                self._damaged("the account of some messages is missing")
        return AccountRow(number, name)

    def accounts(self) -> dict[int, str]:
        """Return the names of all accounts by id."""
        return {row.id: row.name for row in self._accounts()}

    def _accounts(self) -> list[AccountRow]:
        with self._checked():  # not by the index, whose damage would hide an account
            rows = self._database.execute("SELECT * FROM account NOT INDEXED").fetchall()
        return [AccountRow(*map(_readable, self._sealed("account", row))) for row in rows]

    def put_account(self, row: AccountRow) -> None:
        """Write the row of an account."""
        self._insert("account", row, replace=True)

    # --- messages -----------------------------------------------------------------------------------------

    def messages(self, where: str = "", values: Iterable[Any] = ()) -> Iterator[MessageRow]:
        """Yield the rows that a condition selects, in the order they were archived.

        They are read page by page: an open query would keep another process from committing.
        """
        query = (
            f"SELECT {_MESSAGE}, seal FROM message WHERE {where and f'({where}) AND'} id > ? ORDER BY id LIMIT {_PAGE}"  # noqa: S608
        )
        last, condition = -1, tuple(map(_storable, values))
        while True:
            with self._checked():
                page = self._database.execute(query, (*condition, last)).fetchall()
            for found in page:
                row = MessageRow(*self._sealed("message", found))
                row.uid = _readable(row.uid)
                yield row
            if len(page) < _PAGE:
                return
            last = page[-1][0]

    def count(self) -> int:
        """Return how many messages are archived."""
        with self._checked():
            return int(self._value("SELECT count(*) FROM message WHERE state <> 'pending'"))

    def rows(self, ids: Iterable[int]) -> Iterator[MessageRow]:
        """Yield the rows with these ids."""
        for number in ids:
            yield from self.messages("id = ?", (number,))

    def has_file(self, name: str) -> bool:
        """Whether a row has that name."""
        with self._checked():
            return self._database.execute("SELECT 1 FROM message WHERE name = ?", (name,)).fetchone() is not None

    def names(self) -> set[str]:
        """Return the names of all files that have a row."""
        with self._checked():  # not by the index, whose damage would have files adopted twice
            return {name for (name,) in self._database.execute("SELECT name FROM message NOT INDEXED")}

    def next_id(self) -> int:
        """Return an id that no message has."""
        with self._checked():
            return int(self._value("SELECT coalesce(max(id), 0) + 1 FROM message"))

    def put(self, row: MessageRow) -> None:
        """Write a row, in place of the one with its id."""
        self._insert("message", row, replace=True)

    def forget(self, row: MessageRow) -> None:
        """Remove a row: its message was never stored."""
        self._database.execute("DELETE FROM message WHERE id=?", (row.id,))

    # --- failures -----------------------------------------------------------------------------------------

    def failures(self, account: int) -> dict[str, FailureRow]:
        """Return the messages of an account that could not be fetched, by uid."""
        with self._checked():
            rows = self._database.execute("SELECT * FROM failure WHERE account=?", (account,)).fetchall()
        failures = [FailureRow(*map(_readable, self._sealed("failure", row))) for row in rows]
        return {failure.uid: failure for failure in failures}

    def put_failure(self, row: FailureRow) -> None:
        """Write a failure."""
        self._insert("failure", row, replace=True)

    def forget_failure(self, account: int, uid: str) -> None:
        """Remove a failure: the message was fetched after all."""
        self._database.execute("DELETE FROM failure WHERE account=? AND uid=?", (account, _storable(uid)))


def _storable(value: Any) -> Any:
    """Return a value as SQLite takes it: a uid that is not valid UTF-8 goes in as bytes."""
    if isinstance(value, str) and not value.isascii():
        data = value.encode("utf-8", "surrogateescape")
        return value if data.decode("utf-8", "replace") == value else data
    return value


def _readable(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _seal(values: tuple[Any, ...]) -> bytes:
    """Return the digest of a row; only its last value may hold any character."""
    return hashlib.blake2b("\x1f".join(map(str, values)).encode(), digest_size=8).digest()
