"""Where mail is kept: in memory, a Maildir, an mbox file, or a folder of .eml files.

A store lists its messages in order, removes some, or adds one; users, sessions and locks are the job of `maildrop`. A
message keeps its `StoredMail`, and therefore its unique-id, from one listing to the next. The files are not locked
against other programs: stores are for tests and demonstrations, not for a machine's mail spool.
"""

import os
import re
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Protocol

from attrs import Factory, define

from pymailbox.testing.stored_mail import StoredMail, crlf, fingerprint

__all__ = ["Source", "Store", "open_store"]

Source = Iterable[bytes] | str | os.PathLike[str]

_KEPT = 256 * 1024 * 1024  # bytes of file content that a store keeps in memory; other files are read each time


class Store(Protocol):
    """A place that keeps mail."""

    def mails(self) -> list[StoredMail]:
        """Return the present messages, oldest first."""

    def remove(self, mails: Collection[StoredMail]) -> None:
        """Delete these permanently."""

    def add(self, raw: bytes) -> None:
        """Store one more message, the newest."""


def open_store(source: Source) -> Store:
    """Return the store for a source. ValueError if a path is not a Maildir, a folder or an mbox file."""
    if not isinstance(source, (str, os.PathLike)):
        return Memory.of(source)
    path = Path(source)
    if (path / "cur").is_dir() and (path / "new").is_dir():
        return Maildir(path)
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected a Maildir, an mbox file or a folder of .eml files")
    with path.open("rb") as file:
        start = file.read(5)
    if start not in (b"", b"From "):
        raise ValueError(
            f"{path} is not an mbox file, because it does not begin with 'From '; to serve a single message, put its"
            " .eml file in a folder and pass the folder"
        )
    return Mbox(path)


@define(eq=False)
class Memory:
    """Mail kept in memory, served byte for byte."""

    _prefix: bytes = b""  # of unique-ids, to keep them apart from those of another store
    _mails: list[StoredMail] = Factory(list)
    _seen: Counter[bytes] = Factory(Counter)

    @classmethod
    def of(cls, mails: Iterable[bytes]) -> "Memory":
        memory = cls()
        for raw in mails:
            memory.add(raw)
        return memory

    def mails(self) -> list[StoredMail]:
        return self._mails.copy()

    def remove(self, mails: Collection[StoredMail]) -> None:
        gone = set(mails)
        self._mails = [mail for mail in self._mails if mail not in gone]

    def add(self, raw: bytes) -> None:
        if not isinstance(raw, (bytes, bytearray, memoryview)):
            raise TypeError(f"a message must be bytes, not {type(raw).__name__}")
        raw = bytes(raw)
        name = self._prefix + fingerprint(raw)
        self._seen[name] += 1
        uid = name if self._seen[name] == 1 else b"%s-%d" % (name, self._seen[name])
        self._mails.append(StoredMail.verbatim(uid, raw))


@define(eq=False)
class _Files:
    """One file per message: what a Maildir and a folder of .eml files have in common."""

    root: Path
    _known: dict[str, StoredMail] = Factory(dict)
    _kept: int = 0

    def remove(self, mails: Collection[StoredMail]) -> None:
        for mail in mails:
            assert mail.path is not None
            mail.path.unlink(missing_ok=True)

    def _list(self, found: Iterable[tuple[str, Path]]) -> list[StoredMail]:
        known: dict[str, StoredMail] = {}
        for name, path in found:
            mail = self._known.get(name)
            if mail is None:
                mail = self._read(name, path)
            mail.path = path
            known[name] = mail
        self._known = known
        return list(known.values())

    def _read(self, name: str, path: Path) -> StoredMail:
        mail = StoredMail.verbatim(b"", crlf(path.read_bytes()))
        mail.uid = self._uid(name, mail)
        if self._kept + mail.size <= _KEPT:
            self._kept += mail.size
            return mail
        return StoredMail(mail.uid, mail.size, path)

    def _uid(self, name: str, _mail: StoredMail) -> bytes:
        raise NotImplementedError


_UID = re.compile(r"[!-~]{1,70}")  # RFC 1939 §7
_deliveries = count(1)


class Maildir(_Files):
    """A Maildir: `new` and `cur` in the order of file names, which are also the unique-ids; no file is moved."""

    def mails(self) -> list[StoredMail]:
        found = [(name.partition(":")[0], path) for name, path in self._entries()]
        return self._list(sorted(found, key=lambda entry: _chronological(entry[0])))

    def _entries(self) -> Iterator[tuple[str, Path]]:
        for part in ("cur", "new"):
            for entry in os.scandir(self.root / part):
                if not entry.name.startswith(".") and entry.is_file():
                    yield entry.name, Path(entry.path)

    def add(self, raw: bytes) -> None:
        name = f"{time.time_ns() // 1000}.P{os.getpid()}Q{next(_deliveries)}.pymailbox"
        temporary = self.root / "tmp" / name
        temporary.parent.mkdir(exist_ok=True)
        temporary.write_bytes(raw)
        temporary.rename(self.root / "new" / name)

    def _uid(self, name: str, _mail: StoredMail) -> bytes:
        return name.encode() if _UID.fullmatch(name) else fingerprint(os.fsencode(name))


def _chronological(name: str) -> tuple[int, str]:
    digits = re.match(r"[0-9]{1,30}", name)
    return int(digits[0]) if digits else 0, name


class Folder(_Files):
    """A folder of .eml files, in the order of their names."""

    def mails(self) -> list[StoredMail]:
        found = (entry for entry in os.scandir(self.root) if entry.name.lower().endswith(".eml") and entry.is_file())
        return self._list(sorted((entry.name, Path(entry.path)) for entry in found))

    def add(self, raw: bytes) -> None:
        (self.root / f"zz-{time.time_ns()}-{next(_deliveries)}.eml").write_bytes(raw)

    def _uid(self, name: str, _mail: StoredMail) -> bytes:
        return fingerprint(os.fsencode(name), _mail.content)


def _copy_rights(model: Path, path: Path) -> None:
    """Copy the mode and the owner of another file; OSError if that is not permitted."""
    status = model.stat()
    if os.name != "nt":
        os.chown(path, status.st_uid, status.st_gid)  # first, because it may clear mode bits
    path.chmod(stat.S_IMODE(status.st_mode))


_SEPARATOR = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\n]*(?:\n|\Z)")
_QUOTED = re.compile(rb"(?m)^>(>*From )")
_TO_QUOTE = re.compile(rb"(?m)^(>*From )")


@define(eq=False)
class Mbox:
    """An mbox file, read as a whole; `>From ` is unquoted (mboxrd).

    Deleting writes a new file with the same mode and owner, then renames it.
    """

    path: Path
    _known: dict[bytes, StoredMail] = Factory(dict)
    _gone: set[bytes] = Factory(set)

    def mails(self) -> list[StoredMail]:
        self._known = {uid: mail for uid, mail, _ in self._read()}
        return list(self._known.values())

    def remove(self, mails: Collection[StoredMail]) -> None:
        gone = {mail.uid for mail in mails}
        kept = b"".join(segment for uid, _, segment in self._read() if uid not in gone)
        self._gone |= gone
        path = self.path.resolve()  # so that a symbolic link is kept
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(kept)
            _copy_rights(path, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def add(self, raw: bytes) -> None:
        line = f"From MAILER-DAEMON {time.asctime(time.gmtime())}\n".encode()
        mail = _TO_QUOTE.sub(rb">\1", raw.replace(b"\r\n", b"\n"))
        with self.path.open("r+b") as file:
            end = file.read()[-2:]
            file.write(b"" if end in (b"", b"\n\n") else b"\n" if end.endswith(b"\n") else b"\n\n")
            file.write(line + mail + (b"\n" if mail.endswith(b"\n") else b"\n\n"))

    def _read(self) -> Iterator[tuple[bytes, StoredMail, bytes]]:
        data = self.path.read_bytes()
        separators = list(_SEPARATOR.finditer(data))
        seen: Counter[bytes] = Counter()
        for index, separator in enumerate(separators):
            end = separators[index + 1].start() if index + 1 < len(separators) else len(data)
            mail = crlf(_QUOTED.sub(rb"\1", data[separator.end() : end]))
            if mail.endswith(b"\r\n\r\n") or mail == b"\r\n":
                mail = mail[:-2]  # the blank line that belongs to the separator
            uid = self._uid(fingerprint(mail), seen)
            yield uid, self._known.get(uid) or StoredMail.verbatim(uid, mail), data[separator.start() : end]

    def _uid(self, name: bytes, seen: Counter[bytes]) -> bytes:
        """Number identical messages to tell them apart; never reuse the unique-id of a deleted one."""
        while True:
            seen[name] += 1
            uid = name if seen[name] == 1 else b"%s-%d" % (name, seen[name])
            if uid not in self._gone:
                return uid
