"""Ledger: what an archive knows of each message, in one SQLite file that a crash cannot tear.

A ledger that is damaged, foreign or newer is left exactly as it is: `LedgerDamaged` says how to make a new one from the
files. The ledger never decides that a message may be deleted; the file on disk does.
"""

import operator
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from attrs import define, fields

from pymailbox.archive.stored_form import Form
from pymailbox.database import Database, readable, storable

__all__ = ["AccountRow", "FailureRow", "Ledger", "MessageRow"]

_PAGE = 1_000  # rows read at once
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


@define(eq=False, repr=False)
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


@define(repr=False)
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


@define(eq=False, repr=False)
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
_CONTENT = operator.itemgetter(*map(_MESSAGE.split(", ").index, ("name", "form", "sha256", "size")))


class Ledger(Database):
    """The ledger of an archive."""

    _application: ClassVar[int] = 0x706D6278  # "pmbx"
    _tables: ClassVar[str] = _TABLES
    _name: ClassVar[str] = "the ledger"

    def __init__(self, path: Path) -> None:
        self._archive = path.parent.parent
        super().__init__(path)

    def _advice(self) -> str:
        return (
            f"Make a new one from the files with Archive.rebuild({str(self._archive)!r}), or"
            f" `pymailbox rebuild {self._archive}`"
        )

    def _insert(self, table: str, row: Any, *, replace: bool = False) -> int:
        return self._write(table, _VALUES[type(row)](row), replace=replace)

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
        return [AccountRow(*map(readable, self._sealed("account", row))) for row in rows]

    def put_account(self, row: AccountRow) -> None:
        """Write the row of an account."""
        self._insert("account", row, replace=True)

    # --- messages -----------------------------------------------------------------------------------------

    def messages(self, where: str = "", values: Iterable[Any] = ()) -> Iterator[MessageRow]:
        """Yield the rows that a condition selects, in the order they were archived."""
        for page in self._pages(where, values):
            for found in page:
                row = MessageRow(*found[:-1])
                row.uid = readable(row.uid)
                yield row

    def contents(self) -> Iterator[tuple[str, Form, str, int]]:
        """Yield name, form, SHA-256 and size of each archived message, in the order they were archived."""
        for page in self._pages("state <> 'pending'"):
            yield from map(_CONTENT, page)

    def _pages(self, where: str, values: Iterable[Any] = ()) -> Iterator[list[tuple[Any, ...]]]:
        """Yield rows, many at a time: an open query would keep another process from committing."""
        query = (
            f"SELECT {_MESSAGE}, seal FROM message WHERE {where and f'({where}) AND'} id > ? ORDER BY id LIMIT {_PAGE}"  # noqa: S608
        )
        last, condition = -1, tuple(map(storable, values))
        while True:
            with self._checked():
                page = self._database.execute(query, (*condition, last)).fetchall()
            self._check_seals("message", page)
            yield page
            if len(page) < _PAGE:
                return
            last = page[-1][0]

    def count(self) -> int:
        """Return how many messages are archived."""
        with self._checked():
            return int(self._value("SELECT count(*) FROM message WHERE state <> 'pending'"))

    def sizes(self) -> list[int]:
        """Return the sizes of all archived messages, in the order they were archived."""
        with self._checked():
            rows = self._database.execute("SELECT size FROM message WHERE state <> 'pending' ORDER BY id")
            return [size for (size,) in rows]

    def rows(self, ids: Iterable[int]) -> Iterator[MessageRow]:
        """Yield the rows with these ids."""
        for number in ids:
            yield from self.messages("id = ?", (number,))

    def ends(self, most: int) -> list[int]:
        """Return the ids of the first and the last messages, at most so many at either end, in order."""
        query = "SELECT id FROM message WHERE state <> 'pending' ORDER BY id {} LIMIT ?"
        with self._checked():
            ids = {id for order in ("ASC", "DESC") for (id,) in self._database.execute(query.format(order), (most,))}
        return sorted(ids)

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

    def put_all(self, rows: Iterable[MessageRow]) -> None:
        """Write rows, in place of those with their ids."""
        self._write_all("message", map(_VALUES[MessageRow], rows))

    def put_states(self, rows: Iterable[MessageRow]) -> None:
        """Write the states of rows of which the ledger has everything else: no index has to be changed."""
        changed = [(row.state, self._seal_of(_VALUES[MessageRow](row)), row.id) for row in rows]
        self._database.executemany("UPDATE message SET state = ?, seal = ? WHERE id = ?", changed)

    def has_content(self, sha256: str) -> bool:
        """Whether a row has that hash."""
        with self._checked():
            return self._database.execute("SELECT 1 FROM message WHERE sha256 = ?", (sha256,)).fetchone() is not None

    def forget(self, row: MessageRow) -> None:
        """Remove a row: its message was never stored."""
        self._database.execute("DELETE FROM message WHERE id=?", (row.id,))

    # --- failures -----------------------------------------------------------------------------------------

    def failures(self, account: int) -> dict[str, FailureRow]:
        """Return the messages of an account that could not be fetched, by uid."""
        with self._checked():
            rows = self._database.execute("SELECT * FROM failure WHERE account=?", (account,)).fetchall()
        failures = [FailureRow(*map(readable, self._sealed("failure", row))) for row in rows]
        return {failure.uid: failure for failure in failures}

    def put_failure(self, row: FailureRow) -> None:
        """Write a failure."""
        self._insert("failure", row, replace=True)

    def forget_failure(self, account: int, uid: str) -> None:
        """Remove a failure: the message was fetched after all."""
        self._database.execute("DELETE FROM failure WHERE account=? AND uid=?", (account, storable(uid)))
