"""Disk: every operation on the files of an archive or of `Seen`, so that tests can crash between any two of them.

Whatever creates, synchronises, renames or removes such a file goes through `Disk`; only SQLite writes its databases by
itself. A test puts a recorder in its place, and replays every state in which a crash could leave the disk.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from pymailbox.content.saving import sync_directory
from pymailbox.errors import DiskFull, MailboxError

__all__ = ["Disk", "disk_errors"]

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn "no space left on device" into `DiskFull`; an error that names no file gets this directory's name."""
    try:
        yield
    except MailboxError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(f"the disk of {str(where)!r} is full; free some space and run again") from error
        if error.errno is not None and error.filename is None:
            error.filename = str(where)
        raise


class Disk:
    """What is done to the disk. Each method returns when its effect is as durable as its name says."""

    def make_directory(self, path: Path) -> None:
        """Make a directory for its owner only, and the missing ones above it; their entries are on disk afterwards."""
        missing = []
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        if missing:
            self.sync_directory(path.parent)  # a run that was killed may have made `path` and done no more
        for path in reversed(missing):
            try:
                path.mkdir(0o700)
            except FileExistsError:
                if not path.is_dir():  # else another run of the same archive was faster
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
            self.sync_directory(path.parent)

    def create(self, path: str | Path) -> FileIO:
        """Create a file for its owner only and open it for writing; FileExistsError if the name is taken."""
        return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "r+")

    def sync_file(self, file: FileIO) -> None:
        """Force the content of a file to disk. A failure is final, as the kernel may have dropped the data."""
        os.fsync(file.fileno())

    def rename(self, source: str | Path, target: str | Path) -> None:
        """Rename a file. Not durable before `sync_directory` of the target's directory."""
        os.rename(source, target)  # noqa: PTH104 - a Path takes longer to make than the file to rename

    def sync_directory(self, path: Path) -> None:
        """Force the entries of a directory to disk."""
        sync_directory(path)

    def sync_everything(self) -> None:
        """Force to disk what other programs have written: files that were copied here a moment ago."""
        if hasattr(os, "sync"):
            os.sync()

    def remove(self, path: str | Path) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
