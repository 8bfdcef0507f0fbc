"""The file as such: where it is, who can change it, and its TOML."""

import os
import re
import stat
from pathlib import Path
from typing import Any

from pymailbox.display import safe_text
from pymailbox.errors import NotSupported

__all__ = ["VARIABLE", "default_path", "missing_library", "parsed", "read_file"]

#: The environment variable that may hold the path of the file.
VARIABLE = "PYMAILBOX_CONFIG"

_LARGEST = 1 << 20  # bytes of the file
_LINE = re.compile(r"\(at line (\d+), column \d+\)$")


def default_path() -> Path:
    """Return where the file is: `$PYMAILBOX_CONFIG`, or accounts.toml in the user's configuration directory."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    try:
        from platformdirs import user_config_path
    except ImportError as error:
        raise missing_library("platformdirs") from error
    return user_config_path("pymailbox", appauthor=False) / "accounts.toml"


def missing_library(library: str) -> NotSupported:
    """Return the error for a library of the extra `cli` that is not installed."""
    return NotSupported(f"the accounts file needs the library {library}: pip install 'pymailbox[cli]'")


def read_file(where: Path) -> bytes | None:
    """Return the bytes of a file that only we can change; None if it does not exist."""
    try:
        descriptor = os.open(where, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ValueError(f"{where} cannot be read ({error.strerror}); check its permissions") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise ValueError(f"{where} is not a regular file; expected accounts in TOML")
    with os.fdopen(descriptor, "rb") as file:
        if os.name == "posix":
            _check_owner(where, found)
            for directory in {where.absolute().parent, where.resolve().parent}:
                _check_owner(directory, directory.stat())
        raw = file.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ValueError(f"{where} has more than {_LARGEST} bytes; it is not an accounts file")
    return raw


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Raise ValueError if anyone but us and root can change a file, or put another one into a directory."""
    why = "and so which programs are run and where passwords are sent"
    if found.st_uid not in (0, os.geteuid()):
        raise ValueError(f"{path} belongs to another user, who can change it, {why}; run: chown {_owner()} {path}")
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX  # others cannot replace our files in it
    if found.st_mode & 0o022 and not sticky:
        raise ValueError(f"other users can change {path}, {why}; run: chmod go-w {path}")


def _owner() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without this user
        return str(os.geteuid())


def parsed(where: Path, text: str | bytes) -> dict[str, Any]:
    """Return the tables of a TOML text."""
    import tomllib

    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")  # some editors write a byte order mark
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise ValueError(f"{where}, line {line}: the text is not UTF-8") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, match = str(error), _LINE.search(str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        raise ValueError(f"{where}, line {line}: not valid TOML: {safe_text(problem)}") from error
    except RecursionError:
        problem = ", line 1: not valid TOML: tables or lists are nested too deeply"
    except ValueError:  # of int(), which does not say where
        problem = ": not valid TOML: a number has too many digits"
    raise ValueError(f"{where}{problem}")
