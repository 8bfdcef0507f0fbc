"""Passwords: where a secret is found. A reference says where; it is read when it is used, and never holds the secret.

A reference is given in the place of a password, or of an OAuth2 token. What it says may be shown and pickled, so an
`Account` that has one works in another process, too, if the secret can be found there. Reading one that leads nowhere
is ValueError, which says what to do.

Of what a command prints and of what is in a file, the first line is the secret: without its line end (LF or CRLF) and
without a byte order mark, but with all its spaces. What is not UTF-8 is sent byte for byte, as a password of bytes is.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import Attribute, field, frozen

from pymailbox.display import Secret, SecretOctets, safe_text, secret
from pymailbox.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "PasswordCommand",
    "PasswordEnv",
    "PasswordFile",
    "PasswordKeyring",
    "PasswordNetrc",
    "PasswordReference",
    "reader",
]

_LONGEST = 65536  # bytes of a file's first line; tokens have some thousands


def _words(argv: Sequence[str]) -> Sequence[str]:
    return tuple(argv) if isinstance(argv, list) else argv


def _path(path: str | os.PathLike[str]) -> str:
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def _path_or_none(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else _path(path)


def _check_words(_: object, __: "Attribute[Any]", argv: object) -> None:
    if not isinstance(argv, tuple) or not argv or not all(isinstance(word, str) for word in argv):
        raise TypeError(
            "a password command is a list of str, the program and its arguments; shlex.split() makes one of a line"
        )
    if not argv[0] or any("\0" in word for word in argv):
        raise ValueError("a password command names a program, and has no NUL in it")


def _check_timeout(_: object, __: "Attribute[Any]", timeout: object) -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    if not 0 < timeout < 1e9:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")


def _check_name(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a str, not {type(value).__name__}")
    if not value or "\0" in value:
        raise ValueError(f"{attribute.name} must not be empty or have a NUL in it")


def _check_variable(_: object, attribute: "Attribute[Any]", value: object) -> None:
    _check_name(_, attribute, value)
    if "=" in str(value):
        raise ValueError("name must be the name of a variable, which has no = in it")


def _check_path_or_none(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None:
        _check_name(_, attribute, value)


@frozen(repr=False)
class PasswordCommand:
    """The first line that a command prints: `PasswordCommand(["pass", "show", "mail/me"])`.

    `argv` is a program and its arguments; no shell reads them. It may ask at the terminal. ValueError, when it is used,
    for a command that fails, prints nothing, or takes longer than `timeout` seconds. Its arguments are not shown, as
    they may hold a secret; pickles have them.

    >>> from pymailbox import Account, PasswordCommand
    >>> account = Account("pop.example.com", "me@example.com", PasswordCommand(["printf", "s3cret"]))
    >>> account.password
    PasswordCommand(['printf', ...])
    >>> account.password() == "s3cret"
    True
    """

    argv: Sequence[str] = field(converter=_words, validator=_check_words)  # kept as a tuple
    #: Seconds.
    timeout: float = field(default=60.0, validator=_check_timeout, kw_only=True)

    def __repr__(self) -> str:
        more = ", ..." if len(self.argv) > 1 else ""
        return f"PasswordCommand([{self.argv[0]!r}{more}])"

    def __call__(self) -> str | bytes:
        """Run the command."""
        found, problem = _printed(self)
        if problem or not found:
            problem = problem or "printed nothing, or an empty line first; it has to print the password first"
            raise ValueError(f"the password command {self.argv[0]!r} {problem}")
        return found


@frozen
class PasswordEnv:
    """An environment variable.

    ValueError, when it is used, where there is no such variable or nothing in it.

    >>> import os
    >>> from pymailbox import PasswordEnv
    >>> os.environ["ME_PASSWORD"] = "s3cret"
    >>> reference = PasswordEnv("ME_PASSWORD")
    >>> reference, reference() == "s3cret"
    (PasswordEnv(name='ME_PASSWORD'), True)
    >>> del os.environ["ME_PASSWORD"]
    """

    name: str = field(validator=_check_variable)

    def __call__(self) -> str | bytes:
        """Read the variable."""
        found = os.environ.get(self.name)
        if not found:
            state = "not set" if found is None else "empty"
            raise ValueError(f"the environment variable {self.name} is {state}; set it to the password")
        return _decoded(os.fsencode(found)) if os.name == "posix" else secret(found)


@frozen
class PasswordFile:
    """The first line of a file, such as a secret that a container is given; `~` is the home directory.

    ValueError, when it is used, for a file that cannot be read or whose first line is empty. Who else may read the file
    is not looked at.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from pymailbox import PasswordFile
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory, "secret")
    ...     _ = path.write_text("s3cret\\n")
    ...     PasswordFile(path)() == "s3cret"
    True
    """

    path: str = field(converter=_path, validator=_check_name)

    def __call__(self) -> str | bytes:
        """Read the file."""
        found, problem = _read(self.path)
        if problem or not found:
            problem = problem or "is empty, or begins with an empty line; write the password into its first line"
            raise ValueError(f"the password file {self.path!r} {problem}")
        return found


@frozen
class PasswordKeyring:
    """An entry of the system's keyring, by the library keyring (the extra `keyring`).

    `keyring set SERVICE USER` at the command line stores one. When it is used: `NotSupported` without the library,
    ValueError where the keyring has no such password or cannot be read.

    >>> from pymailbox import Account, PasswordKeyring
    >>> Account("pop.example.com", "me", PasswordKeyring("pop.example.com", "me")).password
    PasswordKeyring(service='pop.example.com', user='me')
    """

    service: str = field(validator=_check_name)
    user: str = field(validator=_check_name)

    def __call__(self) -> str | bytes:
        """Ask the keyring."""
        try:
            import keyring
        except ImportError as error:
            raise NotSupported("this needs the library keyring: pip install 'pymailbox[keyring]'") from error
        where = f"for the user {self.user!r} of the service {self.service!r}"
        try:
            found: str | None = keyring.get_password(self.service, self.user)
        except Exception as error:  # of whatever backend this system has
            problem = f"{type(error).__name__}: {safe_text(str(error))}"
        else:
            if found:
                return secret(found)
            raise ValueError(
                f"the keyring has no password {where}; store it with: keyring set {self.service} {self.user}"
            )
        raise ValueError(f"the keyring could not be asked {where} ({problem})")


@frozen
class PasswordNetrc:
    """The password that a netrc file has for the host and the user of the account; `~/.netrc` where no path is given.

    An entry for that host counts, else the `default` one; one without a login is for every user. When it is used:
    ValueError where there is no such entry, for a file that is not a netrc, and on POSIX for one that others can read
    (or, of `~/.netrc`, that is another user's), as the standard library judges it.

    >>> from pymailbox import Account, PasswordNetrc
    >>> Account("pop.example.com", "me@example.com", PasswordNetrc()).password
    PasswordNetrc(path=None)
    """

    path: str | None = field(default=None, converter=_path_or_none, validator=_check_path_or_none)

    def read(self, host: str, user: str | None) -> str | bytes:
        """Read the file; the password of that user at that host."""
        where = _expanded("~/.netrc" if self.path is None else self.path)
        entries, problem = _entries(where, default=self.path is None)
        if problem:
            raise ValueError(f"the netrc file {str(where)!r} {problem}")
        mine = [entry for entry in entries if entry[0].lower() == host.lower()] or [
            entry for entry in entries if entry[0] == "default"
        ]
        whose = f"{host!r}" if user is None else f"{user!r} at {host!r}"
        for _, login, found in mine:
            if user is None or login in ("", user):
                if found:
                    return found
                raise ValueError(f"the netrc file {str(where)!r} has an entry for {whose}, but no password in it")
        raise ValueError(
            f"the netrc file {str(where)!r} has no entry for {whose}; add a line: machine {host} login {user or 'USER'}"
            " password PASSWORD"
        )


#: What says where a secret is found.
PasswordReference = PasswordCommand | PasswordEnv | PasswordFile | PasswordKeyring | PasswordNetrc


def reader(reference: PasswordReference, host: str, user: str | None) -> "Callable[[], str | bytes]":
    """Return what reads a reference for an account of that user at that host."""
    return partial(reference.read, host, user) if isinstance(reference, PasswordNetrc) else reference


# --- reading, without a secret in what is raised ----------------------------------------------------------------


def _decoded(octets: bytes) -> Secret | SecretOctets:
    try:
        return Secret(octets.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return SecretOctets(octets)


def _first_line(octets: bytes) -> Secret | SecretOctets:
    return _decoded(octets.partition(b"\n")[0].removesuffix(b"\r"))


def _printed(command: PasswordCommand) -> tuple[Secret | SecretOctets, str]:
    """Run a command; return the first line that it prints, and what went wrong."""
    import subprocess

    printed, problem = b"", ""
    try:
        done = subprocess.run(command.argv, stdout=subprocess.PIPE, timeout=command.timeout, check=False)  # noqa: S603 - no shell
        printed = done.stdout
        if done.returncode:
            problem = f"ended with status {done.returncode}; run it in a terminal to see why"
    except subprocess.TimeoutExpired:
        problem = f"did not end within {command.timeout} s; see why in a terminal, or give it a longer timeout="
    except OSError as error:
        problem = f"cannot be run ({error.strerror}); install it, or name the program by its full path"
    return _first_line(printed), problem


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such home directory; what is then not found is the file of that very name
        return Path(path)


def _read(path: str) -> tuple[Secret | SecretOctets, str]:
    """Return the first line of a file, and what went wrong."""
    line, problem = b"", ""
    try:
        with _expanded(path).open("rb") as file:
            line = file.readline(_LONGEST + 1)
        if len(line) > _LONGEST:
            problem = f"has more than {_LONGEST} bytes in its first line: no password; name the file that has it"
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); name a file that you can read, the password first in it"
    return _first_line(line), problem


def _entries(where: Path, *, default: bool) -> tuple[list[tuple[str, str, Secret]], str]:
    """Return host, login and password of each entry of a netrc, and what went wrong; the parser would show secrets."""
    import netrc

    entries: list[tuple[str, str, Secret]] = []

    class Hosts(dict[str, Any]):
        """What the parser puts its entries into. It keeps the last one for a host; many have several logins there."""

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
            problem = f"can be read by others; make it yours alone: chmod 600 {where}"
        else:
            Netrc(None if default else str(where))
    except netrc.NetrcParseError as error:
        problem = f"is not a netrc (line {error.lineno})" if error.lineno else f"is not trusted ({error.msg})"
    except UnicodeDecodeError:
        problem = "is not a netrc: it is not UTF-8"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    return entries, problem
