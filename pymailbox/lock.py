"""The lock of an archive, or of a file: one process at a time writes to it."""

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from pymailbox.errors import ArchiveLocked

__all__ = ["locked"]

_TAKEN = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}  # the last two on Windows
_SHOWN = 200  # bytes of the lock file that an error shows

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the text, which others may read then
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at `path` during the block; `ArchiveLocked`, which names `what` it guards, if it is taken.

    The system releases it when the process ends, however that happens.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            holder = os.pread(descriptor, _SHOWN, 0) if hasattr(os, "pread") else b""
            by = holder.decode("utf-8", "replace").strip() or "another process"
            raise ArchiveLocked(f"{what} is in use by {by}; try again when that has ended") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(descriptor)
