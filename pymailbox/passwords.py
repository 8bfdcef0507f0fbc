"""Passwords: references to the place where a secret is kept, read at each login. They never contain the secret.

Pass a reference instead of a password or an OAuth2 token. It can be shown and pickled, so an `Account` that has one
works in another process, if the secret can be read there. Reading one that leads nowhere raises ValueError.

The secret is the first line that a command prints or a file contains, without its line end (LF or CRLF) and without a
byte order mark, but with all spaces. If it is not UTF-8, it is sent byte for byte, like a password given as bytes.
"""

import contextlib
import os
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import Attribute, field, frozen

from pymailbox.display import Secret, SecretBytes, safe_text, secret
from pymailbox.errors import NotSupported
from pymailbox.password_reference import PasswordReference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "PasswordCommand",
    "PasswordEnv",
    "PasswordFile",
    "PasswordKeyring",
    "PasswordNetrc",
    "keyring_password",
    "netrc_password",
]

_LONGEST = 65536  # bytes of the first line; tokens have a few thousand


def _words(argv: Sequence[str]) -> Sequence[str]:
    return tuple(argv) if isinstance(argv, list) else argv


def _path(path: str | os.PathLike[str]) -> str:
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def _path_or_none(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else _path(path)


def _check_words(_: object, __: "Attribute[Any]", argv: object) -> None:
    if not isinstance(argv, tuple) or not argv or not all(isinstance(word, str) for word in argv):
        raise TypeError(
            "a password command must be a list of str, the program and its arguments; shlex.split() splits a line"
        )
    if not argv[0] or any("\0" in word for word in argv):
        raise ValueError("a password command must begin with the name of a program and must not contain NUL")


def _check_timeout(_: object, __: "Attribute[Any]", timeout: object) -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    if not 0 < timeout < 1e9:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")


def _check_name(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a str, not {type(value).__name__}")
    if not value or "\0" in value:
        raise ValueError(f"{attribute.name} must not be empty or contain NUL")


def _check_variable(_: object, attribute: "Attribute[Any]", value: object) -> None:
    _check_name(_, attribute, value)
    if "=" in str(value):
        raise ValueError("name must be the name of an environment variable, without =")


def _check_path_or_none(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None:
        _check_name(_, attribute, value)


@frozen(repr=False)
class PasswordCommand(PasswordReference):
    """A password that a command prints as its first line, such as `PasswordCommand(["pass", "show", "mail/me"])`.

    `argv` is the program and its arguments; no shell is involved. The program runs at each login and may prompt on the
    terminal. The login raises ValueError if the program fails, prints nothing, or runs longer than `timeout` seconds.
    The arguments are not shown, as they may contain a secret, but they are pickled.

    >>> from pymailbox import Account, PasswordCommand
    >>> account = Account("pop.example.com", "me@example.com", PasswordCommand(["printf", "s3cret"]))
    >>> account.password
    PasswordCommand(['printf', ...])
    >>> account.password() == "s3cret"
    True
    """

    #: The program and its arguments, stored as a tuple.
    argv: Sequence[str] = field(converter=_words, validator=_check_words)
    #: Seconds that the program may take.
    timeout: float = field(default=60.0, validator=_check_timeout, kw_only=True)

    def __repr__(self) -> str:
        more = ", ..." if len(self.argv) > 1 else ""
        return f"PasswordCommand([{self.argv[0]!r}{more}])"

    def __call__(self) -> str | bytes:
        """Run the command and return the password."""
        found, problem = _printed(self)
        if problem or not found:
            problem = problem or "printed nothing, or an empty first line; it must print the password as its first line"
            raise ValueError(f"the password command {self.argv[0]!r} {problem}")
        return found


@frozen
class PasswordEnv(PasswordReference):
    """A password in an environment variable.

    The login raises ValueError if the variable is not set or empty.

    >>> import os
    >>> from pymailbox import PasswordEnv
    >>> os.environ["ME_PASSWORD"] = "s3cret"
    >>> reference = PasswordEnv("ME_PASSWORD")
    >>> reference, reference() == "s3cret"
    (PasswordEnv(name='ME_PASSWORD'), True)
    >>> del os.environ["ME_PASSWORD"]
    """

    #: The name of the variable.
    name: str = field(validator=_check_variable)

    def __call__(self) -> str | bytes:
        """Read the variable and return the password."""
        found = os.environ.get(self.name)
        if not found:
            state = "not set" if found is None else "empty"
            raise ValueError(f"the environment variable {self.name} is {state}; set it to the password")
        return _decoded(os.fsencode(found)) if os.name == "posix" else secret(found)


@frozen
class PasswordFile(PasswordReference):
    """A password in the first line of a file, such as a secret mounted into a container.

    The login raises ValueError if the file cannot be read or its first line is empty. The permissions of the file are
    not checked.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from pymailbox import PasswordFile
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory, "secret")
    ...     _ = path.write_text("s3cret\\n")
    ...     PasswordFile(path)() == "s3cret"
    True
    """

    #: The path of the file; `~` is the home directory.
    path: str = field(converter=_path, validator=_check_name)

    def __call__(self) -> str | bytes:
        """Read the file and return the password."""
        found, problem = _read(self.path)
        if problem or not found:
            problem = problem or "is empty or begins with an empty line; write the password into its first line"
            raise ValueError(f"the password file {self.path!r} {problem}")
        return found


@frozen
class PasswordKeyring(PasswordReference):
    """A password in the system's keyring, read with the library keyring (the extra `keyring`).

    The command `keyring set SERVICE USER` stores one. The login raises `NotSupported` if the library is not installed,
    and ValueError if the keyring has no such password or cannot be read.

    >>> from pymailbox import Account, PasswordKeyring
    >>> Account("pop.example.com", "me", PasswordKeyring("pop.example.com", "me")).password
    PasswordKeyring(service='pop.example.com', user='me')
    """

    #: The service under which the password is stored.
    service: str = field(validator=_check_name)
    #: The user for which it is stored.
    user: str = field(validator=_check_name)

    def __call__(self) -> str | bytes:
        """Ask the keyring and return the password."""
        try:
            import keyring
        except ImportError as error:
            raise NotSupported("PasswordKeyring needs the library keyring: pip install 'pymailbox[keyring]'") from error
        found, problem = _in_keyring(keyring.get_password, self.service, self.user)
        if problem:
            raise ValueError(problem)
        if not found:
            raise ValueError(
                f"the keyring has no password for the user {self.user!r} of the service {self.service!r}; store it"
                f" with: keyring set {self.service} {self.user}"
            )
        return found


@frozen
class PasswordNetrc(PasswordReference):
    """A password in a netrc file, found by the account's host and user.

    An entry for the host is used, otherwise the `default` entry; an entry without a login is for every user. The login
    raises ValueError if there is no such entry, if the file is not a valid netrc, and on POSIX if others can read it
    (or, for `~/.netrc`, if it belongs to another user).

    >>> from pymailbox import Account, PasswordNetrc
    >>> Account("pop.example.com", "me@example.com", PasswordNetrc()).password
    PasswordNetrc(path=None)
    """

    #: The path of the file; None for `~/.netrc`.
    path: str | None = field(default=None, converter=_path_or_none, validator=_check_path_or_none)

    def reader(self, host: str, user: str | None) -> "Callable[[], str | bytes]":
        """Return the function that reads the file."""
        return partial(self.read, host, user)

    def read(self, host: str, user: str | None) -> str | bytes:
        """Read the file and return the password for this user at this host."""
        where = _expanded("~/.netrc" if self.path is None else self.path)
        entries, problem = _entries(where, default=self.path is None)
        if problem:
            raise ValueError(f"the netrc file {str(where)!r} {problem}")
        found = _matching(entries, host, user)
        if found:
            return found
        owner = f"{host!r}" if user is None else f"{user!r} at {host!r}"
        if found is not None:
            raise ValueError(f"the netrc file {str(where)!r} has an entry for {owner}, but no password in it")
        raise ValueError(
            f"the netrc file {str(where)!r} has no entry for {owner}; add a line: machine {host} login {user or 'USER'}"
            " password PASSWORD"
        )


# --- where a password may be without anyone saying so -----------------------------------------------------------


def netrc_password(host: str, user: str | None) -> str | bytes | None:
    """Return the password that `~/.netrc` has for this user at this host; None if it has none, or does not exist.

    Raises ValueError if the file cannot be used.
    """
    where = _expanded("~/.netrc")
    if not where.exists():
        return None
    entries, problem = _entries(where, default=True)
    if problem:
        raise ValueError(f"the netrc file {str(where)!r} {problem}")
    return _matching(entries, host, user) or None


def keyring_password(host: str, user: str | None) -> str | bytes | None:
    """Return the password that the system's keyring has for this user and the host as service; None if it has none.

    None, too, if the library keyring is not installed or finds no keyring. Raises ValueError if one cannot be read.
    """
    if user is None:
        return None
    try:
        import keyring
        from keyring.errors import NoKeyringError
    except ImportError:
        return None
    try:
        found, problem = _in_keyring(keyring.get_password, host, user, passing=NoKeyringError)
    except NoKeyringError:
        return None
    if problem:
        raise ValueError(problem)
    return found or None


# --- reading: what went wrong is returned, as the traceback of an exception could show the secret ---------------


def _decoded(raw: bytes) -> Secret | SecretBytes:
    try:
        return Secret(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return SecretBytes(raw)


def _first_line(raw: bytes) -> Secret | SecretBytes:
    return _decoded(raw.partition(b"\n")[0].removesuffix(b"\r"))


def _printed(command: PasswordCommand) -> tuple[Secret | SecretBytes, str]:
    """Run a command; return the first line that it prints and what went wrong."""
    import subprocess
    import threading

    kept: list[SecretBytes] = []
    problem = ""

    def read(output: Any) -> None:
        # All is read, or the command would fail on a closed pipe, but only the first line is kept, and bounded.
        complete, size = False, 0
        with contextlib.suppress(ValueError):  # closed by us, when a child of the command kept it open
            while data := output.read(_LONGEST):
                if not complete and size <= _LONGEST:
                    kept.append(SecretBytes(data))
                    complete, size = b"\n" in data, size + len(data)

    deadline = time.monotonic() + command.timeout
    try:
        with subprocess.Popen(command.argv, stdout=subprocess.PIPE, bufsize=0) as process:  # noqa: S603 - no shell
            reading = threading.Thread(target=read, args=(process.stdout,), daemon=True)
            reading.start()
            try:
                reading.join(command.timeout)
                status = process.wait(max(deadline - time.monotonic(), 0))
                if reading.is_alive():
                    raise subprocess.TimeoutExpired(command.argv, command.timeout)
            except BaseException:
                process.kill()
                raise
        if status:
            problem = f"failed with exit status {status}; run it in a terminal to see why"
    except subprocess.TimeoutExpired:
        problem = (
            f"did not end within {command.timeout:g} s; run it in a terminal to see why, or pass a longer timeout="
        )
    except OSError as error:
        problem = f"cannot be run ({error.strerror}); install it, or pass the full path of the program"
    printed = SecretBytes(b"".join(kept))
    if not problem and len(printed) > _LONGEST and b"\n" not in printed[:_LONGEST]:
        problem = f"printed more than {_LONGEST} bytes in its first line, so that is not a password"
    return _first_line(printed), problem


def _expanded(path: str) -> "Path":
    from pathlib import Path

    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such home directory: the path is used as it is, and is not found
        return Path(path)


def _read(path: str) -> tuple[Secret | SecretBytes, str]:
    """Return the first line of a file and what went wrong."""
    line, problem = b"", ""
    try:
        with _expanded(path).open("rb") as file:
            line = file.readline(_LONGEST + 1)
        if len(line) > _LONGEST:
            problem = f"has more than {_LONGEST} bytes in its first line, so that is not a password; check the path"
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); check its path and permissions"
    return _first_line(line), problem


def _in_keyring(
    get: "Callable[[str, str], str | None]", service: str, user: str, *, passing: type[Exception] | None = None
) -> tuple[Secret | None, str]:
    """Return a password of the keyring and what went wrong; an exception of the class `passing` is raised."""
    try:
        found = get(service, user)
    except Exception as error:  # backends differ in what they raise
        if passing is not None and isinstance(error, passing):
            raise
        problem = f"{type(error).__name__}: {safe_text(str(error))}"
    else:
        return secret(found), ""
    where = f"for the user {user!r} of the service {service!r}"
    return None, f"cannot read the keyring's password {where} ({problem}); unlock the keyring"


def _matching(entries: list[tuple[str, str, Secret]], host: str, user: str | None) -> Secret | None:
    """Return the password of the first entry for this user at this host, else of `default`; None if there is none."""
    mine = [entry for entry in entries if entry[0].lower() == host.lower()] or [
        entry for entry in entries if entry[0] == "default"
    ]
    return next((found for _, login, found in mine if user is None or login in ("", user)), None)


def _entries(where: "Path", *, default: bool) -> tuple[list[tuple[str, str, Secret]], str]:
    """Return host, login and password of each entry of a netrc, and what went wrong."""
    import netrc

    entries: list[tuple[str, str, Secret]] = []

    class Hosts(dict[str, Any]):
        """The dict into which the parser puts entries; it keeps one for each host, and we need all of them."""

        def __setitem__(self, host: str, entry: Any) -> None:
            super().__setitem__(host, entry)
            if entry:
                entries.append((host, entry[0], Secret(entry[2])))

    class Netrc(netrc.netrc):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, Hosts() if name == "hosts" else value)

    problem = ""
    try:
        if os.name == "posix" and where.stat().st_mode & 0o077:
            problem = f"can be read by others; make it private: chmod 600 {where}"
        else:
            Netrc(None if default else str(where))
    except netrc.NetrcParseError as error:
        problem = f"is not a valid netrc (line {error.lineno})" if error.lineno else f"is not trusted ({error.msg})"
    except UnicodeDecodeError:
        problem = "is not a valid netrc: it is not UTF-8"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    return entries, problem
