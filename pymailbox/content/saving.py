"""SavedFile: a copy on disk that appears whole or not at all, and never replaces another file unless told to.

It is written under a temporary name in the same directory, forced to disk, and then published in one step that fails if
the name is taken, so no race can overwrite a file that another program wrote. A file that already has the same bytes is
left alone.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["SavedFile", "sync_directory"]

_MAX_TRIES = 20  # names with a number added; then the content is in the name, or thousands would take hours
_CHUNK = 1 << 20
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # opening a FIFO must not wait
_SEPARATORS = tuple(filter(None, (os.sep, os.altsep, "/")))
#: Errors of link() on a file system that has no links, or no more of them.
_NO_LINKS = {errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES}
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}  # of a directory, on some network file systems


class SavedFile:
    """A copy that `write()` fills and `publish()` puts in its place, in a `with` block; if that raises, it is removed.

    `where` is a directory if a directory of that name exists or the string ends in a separator (it is then created);
    otherwise it is a file. A `~` is not expanded.
    """

    def __init__(self, where: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        import tempfile

        text = os.fspath(where)
        if not isinstance(text, str):
            raise TypeError(f"where must be a str or a path of str, not {type(where).__name__}")
        if not text:
            raise ValueError('where is empty; "." is the current directory')
        path = Path(text)
        self._asked = text
        #: Whether `where` is a directory, and `publish()` needs a name.
        self.needs_name = text.endswith(_SEPARATORS) or path.is_dir()
        if self.needs_name and overwrite:
            raise ValueError("overwrite=True needs the name of a file; in a directory a copy never replaces another")
        self._overwrite = overwrite
        self._directory, self._name = (path, "") if self.needs_name else (path.parent, path.name)
        self._made: list[Path] = []
        try:
            if self.needs_name:
                self._make_directory()
            descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self._directory)
        except OSError as error:
            error.filename = text  # not the temporary name
            self._remove_directories()
            raise
        self._written = Path(name)
        self._file = os.fdopen(descriptor, "w+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()

    def _make_directory(self) -> None:
        missing = []
        path = self._directory
        while not path.exists():
            missing.append(path)
            path = path.parent
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            self._made.append(path)
            sync_directory(path.parent)

    def _remove_directories(self) -> None:
        for path in reversed(self._made):
            with contextlib.suppress(OSError):  # another program has put a file into it
                path.rmdir()

    def write(self, data: bytes) -> int:
        """Write some bytes. An OSError names the path that the caller asked for."""
        try:
            return self._file.write(data)
        except OSError as error:
            error.filename = self._asked
            raise

    def beginning(self, count: int) -> bytes:
        """Return the first `count` bytes written."""
        try:
            self._file.seek(0)  # also flushes the buffer
            return self._file.read(count)
        except OSError as error:
            error.filename = self._asked
            raise

    def publish(self, name: str = "") -> Path:
        """Force the file to disk and put it in its place; in a directory, under `name` or `name` with a number.

        Raises FileExistsError if the file exists with other content, unless `overwrite` is true.
        """
        try:
            with self._file as file:
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            error.filename = self._asked
            raise
        path = self._directory / (self._name or _encodable(name))
        if self.needs_name:
            path = self._claim_one(path)
        elif self._overwrite:
            self._replace(path)
        elif not self._claim(path):
            raise FileExistsError(errno.EEXIST, _in_the_way(path), str(path))
        self._written.unlink(missing_ok=True)
        sync_directory(self._directory)
        return path

    def _discard(self) -> None:
        """Remove what was written, unless it was published, and the directories created for it."""
        with contextlib.suppress(Exception):  # flushing the buffer may fail on a full disk; the data is not needed
            self._file.close()
        self._written.unlink(missing_ok=True)
        self._remove_directories()

    def _claim_one(self, path: Path) -> Path:
        stem, suffix = os.path.splitext(path.name)  # noqa: PTH122 - Path.suffix sees none in names with odd dots
        for number in range(2, _MAX_TRIES + 2):
            if self._claim(path):
                return path
            path = path.with_name(f"{stem} ({number}){suffix}")
        path = path.with_name(f"{stem} {self._digest()[:32]}{suffix}")
        if not self._claim(path):
            raise FileExistsError(errno.EEXIST, _in_the_way(path), str(path))
        return path

    def _digest(self) -> str:
        import hashlib

        with self._written.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _claim(self, path: Path) -> bool:
        """Take a free name, or accept a file that already has the same content; return whether one of them worked."""
        try:
            self._publish_new(path)
        except FileExistsError:
            return self._is_same(path)
        return True

    def _publish_new(self, path: Path) -> None:
        """Put the file in its place, or raise FileExistsError in the same step if the name is taken."""
        if os.name == "nt":
            self._written.rename(path)  # fails if the name is taken
            return
        try:
            os.link(self._written, path)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # the name is ours now
            try:
                self._written.replace(path)
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def _replace(self, path: Path) -> None:
        """Replace a regular file, or a link to one or to nothing (the link, not its target)."""
        if not _may_be_replaced(path):
            raise FileExistsError(errno.EEXIST, _in_the_way(path), str(path))
        if not self._is_same(path):
            self._written.replace(path)

    def _is_same(self, path: Path) -> bool:
        """Return whether a file has the same bytes; force them to disk, as the program that wrote them may not have."""
        try:
            descriptor = os.open(path, _READ)
        except OSError:  # a dangling link, a directory, or a file that we may not read
            return False
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != self._written.stat().st_size:
            os.close(descriptor)
            return False
        with os.fdopen(descriptor, "rb") as there, self._written.open("rb") as ours:
            while (piece := ours.read(_CHUNK)) == there.read(_CHUNK):
                if not piece:
                    if os.name != "nt":  # Windows can only force files that are open for writing
                        os.fsync(there.fileno())
                    return True
        return False


def _may_be_replaced(path: Path) -> bool:
    """Return whether a name is free, a regular file, or a link to a regular file or to nothing."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # a link to itself, or a target that we may not look at
        return False


def _in_the_way(path: Path) -> str:
    """Return what has the name, and what to do."""
    if not _may_be_replaced(path):
        return "something that is not a regular file has this name; it is not replaced"
    if path.is_file():
        return "the file exists with other content; pass overwrite=True to replace it"
    return "a link that leads to nothing has this name; pass overwrite=True to replace the link"


def _encodable(name: str) -> str:
    """Return a name that can be written where file names are not UTF-8, as in some locales."""
    import sys

    encoding = sys.getfilesystemencoding()
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return name.encode(encoding, "replace").decode(encoding).replace("?", "_")
    return name


def sync_directory(path: Path) -> None:
    """Force the entries of a directory to disk."""
    if os.name == "nt":
        return  # Windows cannot open a directory
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return  # a directory that we may write to but not read: nothing more can be done
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
    finally:
        os.close(descriptor)
