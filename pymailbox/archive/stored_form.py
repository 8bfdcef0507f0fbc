"""StoredForm: how a message is kept in a file of lines, and how its wire bytes come back.

Other programs expect files whose lines end in LF, so a message is stored with each CRLF as LF, and restored by making
each LF a CRLF. That is exact as long as the message has no LF without a CR before it; one that has is stored as it is.
Lone CRs stay as they are in both forms.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pymailbox.disk import Disk
from pymailbox.pop3.sinks import write_all

__all__ = ["UNREADABLE", "Form", "StagedFile", "digest_of", "is_whole", "wire_chunks"]

#: "l": each CRLF stored as LF; "w": the bytes as sent.
Form = Literal["l", "w"]

#: What a system reports of one file that cannot be read, such as one with a bad sector: it is damaged, others are not.
UNREADABLE = {errno.EIO, errno.EACCES, errno.EPERM, errno.EBADMSG, getattr(errno, "EUCLEAN", errno.EIO)}
_CHUNK = 1 << 20
_READING = os.O_RDONLY | getattr(os, "O_BINARY", 0)


class StagedFile:
    """A message on its way into the archive: written to a temporary file while it is hashed.

    `write` takes the wire bytes in pieces of any size; `finish` ends it. `form`, `stored_size` and `sha256` are known
    then.
    """

    __slots__ = ("_digest", "_disk", "_held", "file", "form", "name", "path", "sha256", "size", "stored_size")

    def __init__(self, directory: str, name: str, disk: Disk) -> None:
        #: The name that it was staged under; that of the file has a "w" added if it was written anew in wire form.
        self.name = name
        self.path = f"{directory}/{name}"
        self.form: Form = "l"
        #: Bytes of the message as sent.
        self.size = 0
        #: Bytes of the file.
        self.stored_size = 0
        self._disk = disk
        self._digest = hashlib.sha256()
        #: SHA-256 of the wire bytes, in hexadecimal.
        self.sha256 = ""
        self._held = b""  # a CR at the end of a piece: its LF may begin the next one
        self.file = disk.create(self.path)

    def write(self, data: bytes) -> None:
        """Add bytes of the message."""
        self._digest.update(data)
        self.size += len(data)
        if self.form == "w":
            self._append(data)
            return
        if self._held:
            data, self._held = self._held + data, b""
        if data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        stored = data.replace(b"\r", b"")
        exact = stored.replace(b"\n", b"\r\n") == data  # nearly always; looking for CRLF takes four times as long
        if not exact:
            stored = data.replace(b"\r\n", b"\n")
            exact = data.count(b"\n") == len(data) - len(stored)  # as many LFs as CRLFs: only CRs are alone
        if exact:
            self._append(stored)
        else:
            self._rewrite()
            self._append(data + self._held)
            self._held = b""

    def finish(self) -> None:
        """Write what was held back."""
        if self._held:
            self._append(self._held)
            self._held = b""
        self.sha256 = self._digest.hexdigest()

    def discard(self) -> None:
        """Close and remove the file."""
        self.file.close()
        self._disk.remove(self.path)

    def _append(self, data: bytes) -> None:
        write_all(self.file.write, data)
        self.stored_size += len(data)

    def _rewrite(self) -> None:
        """Store in wire form, in another file, what was stored in LF form so far."""
        old, self.path = self.path, f"{self.path}w"
        self.form, self.stored_size = "w", 0
        with self.file as stored:
            self.file = self._disk.create(self.path)
            stored.seek(0)
            while piece := stored.read(_CHUNK):
                self._append(piece.replace(b"\n", b"\r\n"))
        self._disk.remove(old)


def wire_chunks(path: str | Path, form: Form) -> Iterator[bytes]:
    """Yield the wire bytes of a stored message, in pieces of about 1 MiB."""
    file = os.open(path, _READING)
    try:
        most = min(os.fstat(file).st_size + 1, _CHUNK)  # to ask for 1 MiB takes longer than to read a small message
        while piece := os.read(file, most):
            yield piece if form == "w" else piece.replace(b"\n", b"\r\n")
    finally:
        os.close(file)


def digest_of(path: str | Path, form: Form) -> tuple[str, int] | Literal["unreadable"]:
    """Return SHA-256 and size of the wire bytes of a stored message, which no file that cannot be read has."""
    digest, size = hashlib.sha256(), 0
    try:
        for piece in wire_chunks(path, form):
            digest.update(piece)
            size += len(piece)
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        return "unreadable"
    return digest.hexdigest(), size


def is_whole(path: str | Path, form: Form, sha256: str, size: int) -> bool:
    """Whether a stored message has wire bytes of that hash and size."""
    if size < _CHUNK:
        try:
            data = _beginning(path, size + 1)
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            return False
        wire = data if form == "w" else data.replace(b"\n", b"\r\n")
        if len(wire) == size and hashlib.sha256(wire).hexdigest() == sha256:
            return True
    return digest_of(path, form) == (sha256, size)  # a read may also have been cut short


def _beginning(path: str | Path, most: int) -> bytes:
    file = os.open(path, _READING)
    try:
        return os.read(file, most)
    finally:
        os.close(file)
