"""AtomicFile: a file written under another name, forced to disk and renamed, so that all of it appears or nothing."""

import os

__all__ = ["AtomicFile"]


class AtomicFile:
    """A file that takes its place with `commit()`; `discard()` leaves nothing of it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import tempfile
        from pathlib import Path

        self._path = Path(path)
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self._path.parent)
        self._name = Path(name)
        #: The file to write to.
        self.file = os.fdopen(descriptor, "wb", buffering=0)

    def commit(self) -> None:
        """Force the file to disk and put it in its place; an existing file is replaced."""
        with self.file:
            os.fsync(self.file.fileno())
        self._name.replace(self._path)
        if os.name == "nt":
            return  # Windows opens no directories
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """Remove what was written, unless it has taken its place."""
        self.file.close()
        self._name.unlink(missing_ok=True)
