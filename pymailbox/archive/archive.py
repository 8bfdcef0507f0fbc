"""Archive: the messages of accounts as files, each once and for good, with a ledger that says what they are."""

import contextlib
import errno
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from attrs import evolve, field, frozen

from pymailbox.account import Account, account_name, check_account
from pymailbox.archive.failed_runs import FailedRuns
from pymailbox.archive.identity import Index, plan
from pymailbox.archive.keep import Keep
from pymailbox.archive.ledger import Ledger, MessageRow
from pymailbox.archive.maildir import Maildir, uid_hash
from pymailbox.archive.results import Cleaned, Collected, FailedRun, LastRun
from pymailbox.archive.stored_form import Form, wire_chunks
from pymailbox.archive.writing import recover
from pymailbox.disk import Disk, disk_errors
from pymailbox.display import EDGE, first_and_last, local_time, type_name
from pymailbox.errors import LedgerDamaged
from pymailbox.lock import locked
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.progress import Meter, Progress

if TYPE_CHECKING:
    from pymailbox.archive.rebuilding import Rebuilt
    from pymailbox.archive.run import Run, RunOptions
    from pymailbox.archive.verifying import Verified
    from pymailbox.content import Content, Headers

__all__ = ["Archive", "Record", "account_name"]

_LEDGER = "ledger.db"
#: Of a `Record`, what a table has.
_FACTS = ("name", "size", "sha256", "account", "uid", "first_seen")


@frozen
class Record:
    """One archived message; a value that can be used when the archive is closed.

    >>> import tempfile
    >>> from pymailbox import Account, Archive
    >>> from pymailbox.testing import Server
    >>> with tempfile.TemporaryDirectory() as directory, Server([b"Subject: one\\r\\n\\r\\n1\\r\\n"]) as server:
    ...     archive = Archive(directory)
    ...     done = archive.collect(Account(server.host, "me", "secret", security="none", port=server.port))
    ...     (record,) = archive
    ...     archive.close()
    ...     record.size, record.raw, record.content.subject
    (19, b'Subject: one\\r\\n\\r\\n1\\r\\n', 'one')
    """

    #: The name of its file, without the flags that mail programs add.
    name: str
    #: Bytes of the message as sent.
    size: int
    #: SHA-256 of the message as sent, in hexadecimal.
    sha256: str
    #: user@host; None after a rebuild, until an account lists the message.
    account: str | None
    #: None if the server gives no uid.
    uid: str | None
    #: When the message was archived (UTC).
    first_seen: datetime
    _form: Form = field(eq=False, repr=False)
    _layout: Maildir = field(eq=False, repr=False)

    @property
    def path(self) -> Path:
        """Where the file is now. FileNotFoundError if it is gone."""
        path = self._layout.find(self.name)
        if path is None:
            raise FileNotFoundError(f"the file of this message is gone: {self.name}")
        return path

    @property
    def raw(self) -> bytes:
        """The message exactly as the server sent it. FileNotFoundError if its file is gone."""
        return self._read(lambda path: b"".join(wire_chunks(path, self._form)))

    def _read(self, use: Callable[[Path], bytes]) -> bytes:
        found = self._layout.read(self.name, use)
        if found is None:
            raise FileNotFoundError(f"the file of this message is gone: {self.name}")
        return found

    @property
    def content(self) -> "Content":
        """The message read: headers, text, attachments. FileNotFoundError if its file is gone."""
        from pymailbox.content import Content

        return Content.from_bytes(self.raw)


class Archive(Collection[Record]):
    """A directory that keeps the messages of accounts, each once, whatever happens.

    `path` is a Maildir that other mail programs read; it is made on first use. No other `layout` exists so far.
    `collect` archives what is new. Reading an archive takes no lock, and one process at a time writes to it.

    >>> import tempfile
    >>> from pymailbox import Account, Archive
    >>> from pymailbox.testing import Server
    >>> with tempfile.TemporaryDirectory() as directory, Server([b"Subject: one\\r\\n\\r\\n1\\r\\n"]) as server:
    ...     account = Account(server.host, "me", "secret", security="none", port=server.port)
    ...     with Archive(directory) as archive:
    ...         print(archive.collect(account))
    ...         print(archive.collect(account))
    ...         print([record.content.subject for record in archive])
    1 new, 19 B; 0 known; nothing deleted
    0 new, 0 B; 1 known; nothing deleted
    ['one']
    """

    def __init__(self, path: str | os.PathLike[str], *, layout: Literal["maildir"] = "maildir") -> None:
        if layout != "maildir":
            raise ValueError(f'layout must be "maildir", not {layout!r}')
        if not os.fspath(path):
            raise ValueError("path must not be empty; the current directory is '.'")
        if "\0" in os.fsdecode(path):
            raise ValueError("path must not contain NUL")
        #: The directory; absolute, as the ledger stays open when the program changes its directory.
        self.path = _absolute(path)
        self._layout = Maildir(self.path, Disk())
        self._open_ledger: Ledger | None = None
        self._ledger_file: os.stat_result | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger; it is opened again if the archive is used."""
        if self._open_ledger is not None:
            self._open_ledger.close()
            self._open_ledger = None

    def __repr__(self) -> str:
        return f"<Archive {str(self.path)!r}>"

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows: the first and the last messages, from the ledger and their files."""
        from pymailbox.notebook import listing

        try:
            count, rows = len(self), self._outline()
        except (LedgerDamaged, OSError) as error:
            return listing(str(self.path), [], 0, [str(error)])
        messages = "1 message" if count == 1 else f"{count:,} messages"
        return listing(f"{self.path}: {messages}", rows, count)

    def _outline(self) -> list[tuple[int, str, str, str, int | None, bool]]:
        """Return a row for each of the first and the last messages."""
        if not (self._state / _LEDGER).exists():
            return []
        ids = self._ledger.ends(EDGE)
        numbers = first_and_last(len(self))
        rows: list[tuple[int, str, str, str, int | None, bool]] = []
        for number, record in zip(numbers, self._records(self._ledger.rows(ids)), strict=False):
            try:
                headers = _headers(record)
            except FileNotFoundError:
                rows.append((number, "", "", "(its file is gone)", record.size, False))
                continue
            sender = str(headers.from_ or "")
            rows.append((number, local_time(headers.date), sender, headers.subject, record.size, False))
        return rows

    # --- reading ------------------------------------------------------------------------------------------

    @property
    def _state(self) -> Path:
        return self.path / ".pymailbox"

    @property
    def _failed_runs(self) -> FailedRuns:
        return FailedRuns(self._state / "runs.json", self._layout.disk)

    @property
    def _ledger(self) -> Ledger:
        path = self._state / _LEDGER
        if self._open_ledger is not None and not _is_file(path, self._ledger_file):
            self._open_ledger = None  # rebuilt, moved or removed since; a loop over the old one may still go on
        if self._open_ledger is None:
            self._open_ledger = Ledger(path)
            self._ledger_file = path.stat()
        return self._open_ledger

    def _rows(self, where: str = "state <> 'pending'", values: tuple[object, ...] = ()) -> Iterator[MessageRow]:
        if (self._state / _LEDGER).exists():
            yield from self._ledger.messages(where, values)

    def _records(self, rows: Iterator[MessageRow]) -> Iterator[Record]:
        names: dict[int, str] | None = None
        for row in rows:
            if names is None:
                names = self._ledger.accounts()
            seen = datetime.fromtimestamp(row.first_seen, UTC)
            account = None if row.account is None else names.get(row.account)
            yield Record(row.name, row.size, row.sha256, account, row.uid, seen, row.form, self._layout)

    def __len__(self) -> int:
        """Messages in the archive."""
        return self._ledger.count() if (self._state / _LEDGER).exists() else 0

    def __iter__(self) -> Iterator[Record]:
        """Yield the messages in the order they were archived."""
        return self._records(self._rows())

    def __contains__(self, record: object) -> bool:
        return isinstance(record, Record) and any(
            row.sha256 == record.sha256 for row in self._rows("name = ? AND state <> 'pending'", (record.name,))
        )

    def by_uid(self, account: Account, uid: str) -> tuple[Record, ...]:
        """Return what is archived under a uid of an account; usually one message."""
        check_account(account)
        if not isinstance(uid, str):
            raise TypeError(f"uid must be a str, not {type_name(uid)}")
        return tuple(
            self._records(
                self._rows(
                    "uid = ? AND account = (SELECT id FROM account WHERE name = ?) AND state <> 'pending'",
                    (uid, account_name(account)),
                )
            )
        )

    def find(self, message_id: str) -> tuple[Record, ...]:
        """Return the messages with that Message-ID; `message_id` may lack the angle brackets. Reads every header."""
        if not isinstance(message_id, str):
            raise TypeError(f"message_id must be a str, not {type_name(message_id)}")
        wanted = message_id.strip().strip("<>")
        found = []
        for record in self:
            with contextlib.suppress(FileNotFoundError):
                given = _headers(record).message_id
                if given is not None and given.strip().strip("<>") == wanted:
                    found.append(record)
        return tuple(found)

    def unarchived(self, account: Account) -> Callable[[Sequence[str | None], Sequence[int | None]], list[int]]:
        """Return what tells which numbers of a listing `collect` would fetch; for the package itself.

        After a rebuild only the names of the files say which uids are archived. Raises ValueError if this is not an
        archive, as everything would then be new.
        """
        if not (self._state / _LEDGER).exists():
            raise ValueError(f"there is no archive at {str(self.path)!r}")
        name = account_name(account)
        index, nameless = Index(), defaultdict(list)
        for row in self._rows("state <> 'pending' AND +account = ?", (self._ledger.account(name).id,)):
            index.add(row)
        for row in self._rows("state <> 'pending' AND uid IS NULL"):
            nameless[row.uid_hash].append(row)

        def numbers(uids: Sequence[str | None], sizes: Sequence[int | None]) -> list[int]:
            for uid in {uid for uid in uids if uid and uid not in index.uids} if nameless else ():
                if len(rows := nameless[uid_hash(name, uid)]) == 1:
                    index.add(evolve(rows[0], uid=uid))
            found = plan(uids, sizes, index)
            return sorted([*found.unknown, *found.doubtful])

        return numbers

    def to_records(self) -> list[dict[str, Any]]:
        """Return the messages as plain dictionaries: what `pandas.DataFrame` takes. Reads every header.

        The keys are `name`, `size`, `sha256`, `account`, `uid` and `first_seen` as in `Record`, and `date`, `from`,
        `to`, `subject` and `message_id` as in `Mailbox.to_records`, which are None if the file is gone.
        """
        from pymailbox.content.headers import header_record

        found = []
        for record in self:
            headers = None
            with contextlib.suppress(FileNotFoundError):
                headers = _headers(record)
            facts = {name: getattr(record, name) for name in _FACTS}
            found.append({**facts, **header_record(headers)})
        return found

    def last_run(self, account: Account) -> LastRun | None:
        """Return how the last `collect` or `clean` of an account ended; None if none came to its end.

        Like all reading it takes no lock, so it can be asked while another process archives.
        """
        check_account(account)
        if not (self._state / _LEDGER).exists():
            return None
        row = self._ledger.account(account_name(account))
        if row.ended is None:
            return None
        return LastRun(datetime.fromtimestamp(row.ended, UTC), len(self._ledger.failures(row.id)))

    def last_failure(self, account: Account) -> FailedRun | None:
        """Return how the last `collect` or `clean` of an account failed; None if it did not fail as a whole.

        Reads neither the ledger nor takes a lock. A dry run does not count, nor does one that was interrupted, or that
        found the archive locked or its ledger damaged.
        """
        check_account(account)
        return self._failed_runs.last_failure(account_name(account))

    def next_try(self, account: Account) -> datetime | None:
        """Return the time (UTC) before which the server wants no other run of an account; None if it may run now.

        It follows from the `retry_after` of the error that ended the last run, and from LOGIN-DELAY in the server's
        capabilities (RFC 2449 §6.5), counted from the end of that run, and is at most a day away.
        """
        check_account(account)
        return self._failed_runs.next_try(account_name(account))

    # --- writing ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self, dry_run: bool) -> Iterator[Ledger]:
        """Hold the lock over a ledger that is in step with the files; a dry run of no archive leaves none there."""
        if dry_run and not self._is_one():
            if self.path.exists() and not self.path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self.path))
            import tempfile

            with tempfile.TemporaryDirectory() as elsewhere, Ledger(Path(elsewhere, _LEDGER)) as ledger:
                yield ledger
            return
        with disk_errors(self.path):
            self._layout.disk.make_directory(self._state)
            with locked(self._state / "lock", f"the archive {str(self.path)!r}"):
                self._layout.prepare()
                if not (self._state / _LEDGER).exists():  # a run that was killed may have made the directories
                    self._layout.disk.sync_directory(self.path)
                recover(self._ledger, self._layout)
                yield self._ledger

    def collect(
        self,
        account: Account,
        *,
        keep: Keep = Keep.everything(),  # noqa: B008 - a frozen value
        dry_run: bool = False,
        renumbered: bool = False,
        limit: int | None = None,
        stop: threading.Event | None = None,
        progress: Callable[[Progress], None] | None = None,
        **options: Unpack[MailboxOptions],
    ) -> Collected:
        """Archive every message of an account that is not archived yet; with `keep` also make room on its server.

        Messages are on disk, and safe from a power cut, before the server is told to delete them. A run that is cut off
        at any point loses nothing and stores nothing twice: run it again. Sessions are opened until one brings nothing
        new.

        `dry_run` lists only, makes no archive, and returns what would be done. `renumbered` accepts that the server has
        given all messages new uids: they are recognised by their content, and nothing is deleted. `limit` is the
        largest number of messages to archive. `stop.set()` ends the run soon, with what is archived by then. `progress`
        is called as by `Mailbox.fetch`. `options` are those of `Mailbox`, but for `sock`.

        Raises what `Mailbox` does; `ArchiveLocked` if another process is writing to the archive, `LedgerDamaged`,
        `UidsChanged`, and `DiskFull`, before the download if LIST shows that there is too little room. What was
        archived before an error is safe.
        """
        from pymailbox.archive.run import RunOptions

        Meter.check(progress)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise TypeError(f"limit must be a whole number, not {limit!r}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be 1 or more, not {limit}")
        if stop is not None and not isinstance(stop, threading.Event):
            raise TypeError(f"stop must be a threading.Event, not {type_name(stop)}")
        asked = RunOptions(keep, dry_run, renumbered, limit, stop, progress)
        return self._run(account, asked, options).result

    def clean(
        self,
        account: Account,
        keep: Keep,
        *,
        dry_run: bool = False,
        at_most: float = 0.5,
        **options: Unpack[MailboxOptions],
    ) -> Cleaned:
        """Delete archived messages of `account` from the server, but for those to `keep`; nothing is archived.

        A message is deleted only if its file is there and unchanged, and the server still shows the same header.
        `at_most` is the largest part of the mailbox that may be deleted; beyond it, `MailboxError` and nothing is. With
        `dry_run`, nothing is deleted, and the result says what would be. `options` are those of `Mailbox`. Raises
        FileNotFoundError if there is no archive.
        """
        from pymailbox.archive.run import RunOptions

        _check_number("at_most", at_most)
        if not 0 <= at_most <= 1:
            raise ValueError(f"at_most must be between 0 and 1, not {at_most!r}")
        work = self._run(account, RunOptions(keep, dry_run, at_most=at_most), options)
        return Cleaned(work.done.deleted, work.there - work.done.deleted, work.done.notes)

    def _run(self, account: Account, asked: "RunOptions", options: MailboxOptions) -> "Run":
        from pymailbox.archive.collecting import check_collect, run

        if asked.dry_run:
            options["read_only"] = True
        check_collect(account, asked.keep, options, dry_run=asked.dry_run)  # before anything is made on disk
        if asked.at_most is not None:
            self._check_that_there_is_one()
        with self._writing(asked.dry_run) as ledger:
            return run(ledger, self._layout, self._failed_runs, account, asked, options)

    # --- proof --------------------------------------------------------------------------------------------

    def verify(self, *, sample: float = 1.0, progress: Callable[[Progress], None] | None = None) -> "Verified":
        """Read every message, or a random `sample` (a part of 1), and compare it with its hash; changes nothing.

        `progress` is called with a `Progress` at most ten times a second and at the end.
        """
        from pymailbox.archive.verifying import verify

        _check_number("sample", sample)
        if not 0 < sample <= 1:
            raise ValueError(f"sample must be more than 0 and at most 1, not {sample!r}")
        Meter.check(progress)
        self._check_that_there_is_one()
        self._check_that_there_is_a_ledger()
        ledger = self._ledger if (self._state / _LEDGER).exists() else None
        return verify(self._layout, ledger, sample, progress)

    def _is_one(self) -> bool:
        return self._state.is_dir() or self._layout.exists()

    def _check_that_there_is_one(self) -> None:
        new = self.path.is_dir() and not any(self.path.iterdir())  # by a first run that goes on, so asked first
        if new or self._is_one():
            return
        raise FileNotFoundError(f"there is no archive at {str(self.path)!r}")

    def _check_that_there_is_a_ledger(self) -> None:
        if not (self._state / _LEDGER).exists() and any(self._layout.files()):
            raise LedgerDamaged(
                f"the ledger of the archive {str(self.path)!r} is gone, so nothing can be compared."
                f" Make a new one from the files with Archive.rebuild({str(self.path)!r}), or"
                f" `pymailbox rebuild {self.path}`"
            )

    @classmethod
    def rebuild(cls, path: str | os.PathLike[str], *, progress: Callable[[Progress], None] | None = None) -> "Rebuilt":
        """Make a new ledger from the files of an archive, without any network; the old one is kept beside it.

        Afterwards the first `collect` recognises each message by its uid, and downloads it again only to compare it: if
        LIST gives another size than the file has, or before it is deleted on the server. `progress` is called with a
        `Progress` at most ten times a second and at the end.
        """
        from pymailbox.archive.rebuilding import rebuild

        Meter.check(progress)
        archive = cls(path)
        archive._check_that_there_is_one()
        with disk_errors(archive.path):
            archive._layout.disk.make_directory(archive._state)
            with locked(archive._state / "lock", f"the archive {str(archive.path)!r}"):
                return rebuild(archive._layout, archive._state / _LEDGER, progress)


def _absolute(path: str | os.PathLike[str]) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"path begins with ~, and no home directory is known: {os.fspath(path)!r}") from None


def _is_file(path: Path, opened: os.stat_result | None) -> bool:
    """Whether the file that was opened is the one that has this name now."""
    try:
        return opened is not None and os.path.samestat(path.stat(), opened)
    except FileNotFoundError:
        return False


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")


def _headers(record: Record) -> "Headers":
    """Return the headers of a message, reading no more of its file than they need."""
    from pymailbox.content import Headers
    from pymailbox.content.headers import MAX_HEADER_BYTES

    def beginning(path: Path) -> bytes:
        with path.open("rb") as file:
            return file.read(MAX_HEADER_BYTES)

    return Headers.from_bytes(record._read(beginning))
