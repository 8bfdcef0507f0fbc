"""AccountsFile: the accounts of `accounts.toml`, read and checked, for programs as for the `pymailbox` command.

The file has no secrets in it, only where each is kept. It decides which programs are run and where passwords are sent,
so it is refused if others can change it. An unknown key, a wrong type or an impossible value is ValueError that names
the file, the key and what is allowed; no error shows the value.

Reading needs the libraries cattrs and platformdirs (the extra `cli`); they are imported when a file is read.
"""

import functools
import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypedDict, TypeVar

from attrs import field, fields, fields_dict, frozen, has

from pymailbox.account import Account, OAuth2
from pymailbox.display import safe_text
from pymailbox.errors import NotSupported
from pymailbox.password_reference import PasswordReference
from pymailbox.passwords import PasswordCommand, PasswordEnv, PasswordFile, PasswordKeyring, PasswordNetrc

if TYPE_CHECKING:
    import ssl

    from cattrs import Converter

__all__ = [
    "VARIABLE",
    "AccountEntry",
    "AccountOptions",
    "AccountsFile",
    "KeepOptions",
    "default_path",
    "is_name",
    "names_in",
    "read_file",
]

T = TypeVar("T")

#: The environment variable that may hold the path of the file.
VARIABLE = "PYMAILBOX_CONFIG"

_LARGEST = 1 << 20  # bytes of the file
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LINE = re.compile(r"\(at line (\d+), column \d+\)$")


# --- the tables of the file -----------------------------------------------------------------------------------


def _says(rule: str) -> dict[str, str]:
    """Return the metadata of a key: how an error about it goes on after its name."""
    return {"rule": rule}


_REFERENCE = (
    "must say where it is kept, never the secret itself, because files are copied and shown to others:"
    ' { command = ["pass", "show", "mail/me"] }, { keyring = true }, { env = "ME_PASSWORD" },'
    ' { file = "/run/secrets/me" } or { netrc = true }'
)
_PATH = "must be an absolute path, or begin with ~/"
_SWITCH = "must be true or false"


@frozen
class KeepTable:
    """`keep`: what stays on the server."""

    days: float | None = field(default=None, metadata=_says("must be a number of days, 0 or more"))
    latest: int | None = field(default=None, metadata=_says("must be a number of messages, 0 or more"))
    bytes: int | None = field(default=None, metadata=_says("must be a number of bytes, 0 or more"))


@frozen
class SecretTable:
    """`password` and `token`: where a secret is kept."""

    command: tuple[str, ...] | None = field(
        default=None, metadata=_says('must be a list of strings, the program and its arguments, such as ["pass", "me"]')
    )
    keyring: bool | None = field(default=None, metadata=_says("must be true"))
    env: str | None = field(default=None, metadata=_says("must be the name of an environment variable"))
    file: str | None = field(default=None, metadata=_says(_PATH))
    netrc: bool | None = field(default=None, metadata=_says("must be true"))


@frozen
class AccountTable:
    """`[account.NAME]`: an account."""

    url: str | None = field(default=None, metadata=_says("must be a POP URL such as pops://user@host"))
    user: str | None = field(default=None, metadata=_says("must be the login name, a string"))
    password: SecretTable | None = field(default=None, metadata=_says(_REFERENCE))
    token: SecretTable | None = field(default=None, metadata=_says(_REFERENCE))
    archive: str | None = field(default=None, metadata=_says(_PATH))
    keep: KeepTable | None = field(default=None, metadata=_says("must be a table such as { days = 30, latest = 100 }"))
    ca: str | None = field(default=None, metadata=_says(_PATH))
    pin: str | None = field(
        default=None,
        metadata=_says("must be the SHA-256 fingerprint of a certificate, 64 hexadecimal digits, colons allowed"),
    )
    timeout: float | None = field(default=None, metadata=_says("must be a number of seconds, more than 0"))
    allow_plaintext: bool | None = field(default=None, metadata=_says(_SWITCH))
    proxy: str | None = field(
        default=None,
        metadata=_says("must be socks5://host:port, socks4://host:port or http://host:port, without a password"),
    )
    top: bool | None = field(default=None, metadata=_says(_SWITCH))
    pipelining: bool | None = field(default=None, metadata=_says(_SWITCH))
    utf8: bool | None = field(default=None, metadata=_says(_SWITCH))
    capa: bool | None = field(default=None, metadata=_says(_SWITCH))


@frozen
class DefaultsTable:
    """`[defaults]`: what accounts have that do not say otherwise."""

    archive: str | None = field(default=None, metadata=_says(_PATH))
    password: SecretTable | None = field(default=None, metadata=_says(_REFERENCE))
    timeout: float | None = field(default=None, metadata=_says("must be a number of seconds, more than 0"))


@frozen
class HostTable:
    """`[host."NAME"]`: a server."""

    sessions: int | None = field(default=None, metadata=_says("must be a number of sessions, 1 or more"))


# --- what is read ---------------------------------------------------------------------------------------------


class KeepOptions(TypedDict, total=False):
    """The arguments of `Keep` that an account has; none: everything stays on the server."""

    days: float
    latest: int
    bytes: int


class AccountOptions(TypedDict, total=False):
    """Those of the options of a mailbox that the file can set."""

    ssl_context: "ssl.SSLContext | None"
    timeout: float | None
    allow_plaintext: bool
    utf8: bool
    capa: bool
    top: bool
    pipelining: bool | None
    proxy: str | None


@frozen(hash=False)
class AccountEntry:
    """One account of the file.

    >>> from pymailbox import Keep
    >>> from pymailbox.accounts_file import AccountsFile
    >>> entry = AccountsFile.parse('''
    ... [account.me]
    ... url = "pops://me%40example.com@pop.example.com"
    ... password = { command = ["pass", "show", "mail/me"] }
    ... archive = "/mail/{name}"
    ... keep = { days = 30, latest = 100 }
    ... ''').entry("me")
    >>> entry.account.user, entry.account.password, entry.archive.as_posix()
    ('me@example.com', PasswordCommand(['pass', ...]), '/mail/me')
    >>> Keep(**entry.keep)
    Keep(days=30, latest=100, bytes=None)
    """

    #: Its name in the file.
    name: str
    #: Where it is and how to log in; without a password if the file does not say where that is.
    account: Account
    #: The directory of its archive; None if the file has none.
    archive: Path | None = None
    #: Arguments for `Keep`; empty if everything stays on the server.
    keep: KeepOptions = field(factory=KeepOptions)
    _table: AccountTable = field(factory=AccountTable, repr=False)

    def options(self) -> AccountOptions:
        """Return the options for a mailbox, such as `Mailbox.from_account(entry.account, **entry.options())`.

        Reads the file of a private authority: raises ValueError if that cannot be used.
        """
        table, found = self._table, AccountOptions()
        for name in ("timeout", "allow_plaintext", "proxy", "top", "pipelining", "utf8", "capa"):
            value = getattr(table, name)
            if value is not None:
                found[name] = value
        if table.ca or table.pin:
            from pymailbox.pop3 import tls

            try:
                found["ssl_context"] = tls.pinned(table.pin) if table.pin else tls.private_ca(_expanded(str(table.ca)))
            except (OSError, ValueError) as error:
                problem = getattr(error, "strerror", None) or "it contains no PEM certificate"
                raise ValueError(
                    f"the ca of the account {self.name!r} cannot be used: {table.ca}: {problem}"
                ) from error
        return found


@frozen(hash=False)
class AccountsFile:
    """The accounts of `accounts.toml`.

    >>> import os, tempfile
    >>> from pathlib import Path
    >>> from pymailbox.accounts_file import AccountsFile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "accounts.toml")
    ...     _ = path.write_text('[account.me]\\nurl = "pops://me@pop.example.com"\\n')
    ...     path.chmod(0o600)
    ...     file = AccountsFile.load(path)
    >>> list(file.accounts), file.entry("me").account.url
    (['me'], 'pops://me@pop.example.com:995')
    """

    #: Where the file is, or would be.
    path: Path
    #: The accounts by name, in the order of the file.
    accounts: Mapping[str, AccountEntry] = field(factory=dict)
    #: How many sessions a server allows at the same time, by host name in lower case.
    sessions: Mapping[str, int] = field(factory=dict)
    #: The archive of accounts that name none, as it is written in the file: with `{name}` and `~`.
    default_archive: str | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Read the file, by default the one at `default_path()`; a file that does not exist has no accounts.

        Raises ValueError for a file that is invalid or that others can change, `NotSupported` without the extra `cli`.
        """
        where = default_path() if path is None else Path(path).expanduser()
        raw = read_file(where)
        return cls(where) if raw is None else cls.parse(raw, where)

    @classmethod
    def parse(cls, text: str | bytes, path: str | os.PathLike[str] = "accounts.toml") -> Self:
        """Read the text of a file; `path` is what errors call it."""
        where = Path(path)
        tables = _parsed(where, text)
        known = ("defaults", "account", "host")
        for name in tables:
            if name not in known:
                _unknown(where, name, name, known)
        defaults = _structured(where, "defaults", tables.get("defaults", {}), DefaultsTable)
        _check_defaults(where, defaults)
        accounts: dict[str, AccountEntry] = {}
        for name, table in _tables(where, "account", tables):
            if not is_name(name):
                _wrong(
                    where,
                    _dotted("account", name),
                    "is not a valid name: letters, digits, - and _ are allowed, and no - first",
                )
            found = _structured(where, f"account.{name}", table, AccountTable)
            accounts[name] = _entry(where, name, found, defaults)
        sessions: dict[str, int] = {}
        for name, table in _tables(where, "host", tables):
            key = _dotted("host", name)
            try:
                Account(name)
            except ValueError as error:
                _wrong(where, key, f"is not a valid host: {error}")
            most = _structured(where, key, table, HostTable).sessions
            if most is not None:
                if most < 1:
                    _wrong_value(where, f"{key}.sessions", HostTable)
                sessions[name.lower()] = most
        return cls(where, accounts, sessions, defaults.archive)

    def entry(self, name: str) -> AccountEntry:
        """Return the account with this name. ValueError if there is none."""
        found = self.accounts.get(name)
        if found is None:
            raise ValueError(self.missing(name))
        return found

    def missing(self, name: str) -> str:
        """Return what to tell of a name that no account has."""
        if self.accounts:
            return f"there is no account {safe_text(name)!r} in {self.path}{_hint(name, self.accounts)}"
        state = "has no accounts" if self.path.exists() else "does not exist"
        return f"there is no account {safe_text(name)!r}: {self.path} {state}; add one with `pymailbox accounts add`"


def is_name(word: str) -> bool:
    """Whether a word can be the name of an account: letters, digits, - and _, and so no dot, as in a host."""
    return _NAME.fullmatch(word) is not None


def names_in(path: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names of the accounts in a file, without looking at anything else in it."""
    where = default_path() if path is None else Path(path).expanduser()
    return [name for name, _ in _tables(where, "account", _parsed(where, read_file(where) or b"")) if is_name(name)]


def default_path() -> Path:
    """Return where the file is: `$PYMAILBOX_CONFIG`, or accounts.toml in the user's configuration directory."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    try:
        from platformdirs import user_config_path
    except ImportError as error:
        raise _missing("platformdirs") from error
    return user_config_path("pymailbox", appauthor=False) / "accounts.toml"


def _missing(library: str) -> NotSupported:
    return NotSupported(f"the accounts file needs the library {library}: pip install 'pymailbox[cli]'")


# --- the file -------------------------------------------------------------------------------------------------


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


def _parsed(where: Path, text: str | bytes) -> dict[str, Any]:
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


# --- structure and errors -------------------------------------------------------------------------------------


class _WrongType(TypeError):
    """What the hooks raise for a value of another type than a key has."""


def _strict(kind: type | tuple[type, ...]) -> Any:
    """Return a hook that accepts only values of a type: by default cattrs would convert "5" to 5."""

    def structure(value: object, _: object) -> object:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _WrongType
        return value

    return structure


def _words(value: object, _: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise _WrongType
    return tuple(value)


@functools.cache
def _converter() -> "Converter":
    try:
        from cattrs import Converter
        from cattrs.gen import make_dict_structure_fn
    except ImportError as error:
        raise _missing("cattrs") from error
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _strict(str))
    converter.register_structure_hook(bool, _strict(bool))
    converter.register_structure_hook(int, _strict(int))
    converter.register_structure_hook(float, _strict((int, float)))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _words)

    def table(kind: Any) -> Any:
        inner = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

        def structure(value: object, kind: Any) -> object:
            if not isinstance(value, dict):
                raise _WrongType
            return inner(value, kind)

        return structure

    converter.register_structure_hook_factory(has, table)
    return converter


def _structured(where: Path, key: str, value: object, kind: type[T]) -> T:
    """Return a table as its class; ValueError names the first key that is wrong."""
    converter = _converter()
    from cattrs.errors import ClassValidationError

    try:
        return converter.structure(value, kind)
    except _WrongType:
        _wrong(where, key, "must be a table")
    except ClassValidationError as error:
        _explain(where, key, error, kind)


def _explain(where: Path, key: str, error: Any, kind: type) -> NoReturn:
    """Raise ValueError for the first thing that is wrong in a table; unknown keys come first."""
    from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError

    inner, others = error.group_exceptions()
    for other in others:
        if not isinstance(other, ForbiddenExtraKeysError):
            raise other
        name = min(other.extra_fields)
        _unknown(where, _dotted(key, name), name, [one.name for one in fields(kind)])
    problem, note = inner[0]
    name = note.name
    if isinstance(problem, ClassValidationError):
        _explain(where, f"{key}.{name}", problem, problem.cl)
    if not isinstance(problem, _WrongType):
        raise problem
    _wrong_value(where, f"{key}.{name}", kind)


def _wrong_value(where: Path, key: str, kind: type) -> NoReturn:
    """Raise ValueError with what the last part of a key must be."""
    name = key.rpartition(".")[2]
    _wrong(where, key, fields_dict(kind)[name].metadata["rule"])


def _wrong(where: Path, key: str, problem: str) -> NoReturn:
    raise ValueError(f"{where}: {key} {problem}")


def _unknown(where: Path, key: str, name: str, allowed: Any) -> NoReturn:
    _wrong(where, key, f"is not a known key{_hint(name, allowed)}; allowed here: {', '.join(allowed)}")


def _hint(name: str, known: Any) -> str:
    import difflib

    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _dotted(key: str, name: str) -> str:
    """Return the dotted path of a key, quoted as in TOML if it has to be."""
    import json

    shown = name if _PLAIN_KEY.fullmatch(name) else json.dumps(safe_text(name, limit=100), ensure_ascii=False)
    return f"{key}.{shown}"


def _tables(where: Path, key: str, tables: dict[str, Any]) -> Any:
    found = tables.get(key, {})
    if not isinstance(found, dict):
        _wrong(where, key, f"must have a name: [{key}.NAME]")
    return found.items()


# --- values ---------------------------------------------------------------------------------------------------


def _check_defaults(where: Path, table: DefaultsTable) -> None:
    _check_path(where, "defaults.archive", table.archive, DefaultsTable)
    _check_timeout(where, "defaults.timeout", table.timeout)
    if table.password is not None:
        _reference(where, "defaults.password", table.password, Account("localhost", "me"))


def _check_path(where: Path, key: str, value: str | None, kind: type) -> None:
    if value is None:
        return
    if "\0" in value or not (value == "~" or value.startswith(("~/", "~\\")) or Path(value).is_absolute()):
        _wrong_value(where, key, kind)


def _check_timeout(where: Path, key: str, value: float | None) -> None:
    if value is not None and not 0 < value < 1e9:
        _wrong_value(where, key, AccountTable)


def _expanded(value: str) -> Path:
    return Path(value).expanduser()


def _entry(where: Path, name: str, table: AccountTable, defaults: DefaultsTable) -> AccountEntry:
    """Return an account whose values were checked."""
    key = f"account.{name}"
    account = _account(where, key, table, defaults)
    _check_path(where, f"{key}.archive", table.archive, AccountTable)
    _check_path(where, f"{key}.ca", table.ca, AccountTable)
    _check_timeout(where, f"{key}.timeout", table.timeout)
    if table.ca is not None and table.pin is not None:
        _wrong(where, f"{key}.pin", "replaces ca; remove one of them")
    if table.pin is not None and not re.fullmatch(r"[0-9A-Fa-f]{64}", table.pin.replace(":", "")):
        _wrong_value(where, f"{key}.pin", AccountTable)
    _check_proxy(where, f"{key}.proxy", table.proxy)
    archive = defaults.archive if table.archive is None else table.archive
    if table.timeout is None and defaults.timeout is not None:
        from attrs import evolve

        table = evolve(table, timeout=defaults.timeout)
    return AccountEntry(
        name,
        account,
        None if archive is None else _expanded(archive.replace("{name}", name)),
        _keep(where, f"{key}.keep", table.keep),
        table,
    )


def _account(where: Path, key: str, table: AccountTable, defaults: DefaultsTable) -> Account:
    from attrs import evolve

    if table.url is None:
        _wrong(where, key, 'has no url; expected url = "pops://user@host"')
    try:
        account = Account.from_url(table.url, refuse_password=True)
    except ValueError as error:
        problem = str(error)
    else:
        problem = ""
    if problem:
        _wrong(where, f"{key}.url", f"is not usable: {problem}")
    if table.user is not None:
        if account.user is not None:
            _wrong(where, f"{key}.user", "is given twice: the url has a user name, too; remove one of them")
        try:
            account = evolve(account, user=table.user)
        except ValueError as error:
            _wrong(where, f"{key}.user", f"is not usable: {error}")
    if table.password is not None and table.token is not None:
        _wrong(where, f"{key}.token", "replaces the password; remove one of them")
    if table.token is not None:
        reference = _reference(where, f"{key}.token", table.token, account)
        if isinstance(account.auth, str):
            if account.auth.upper() not in ("XOAUTH2", "OAUTHBEARER"):
                _wrong(where, f"{key}.token", "is not used by the mechanism in the url; use XOAUTH2 or OAUTHBEARER")
            return evolve(account, password=reference)
        if account.user is None:
            _wrong(where, f"{key}.token", "needs a user name, in the url or as user")
        return evolve(account, auth=OAuth2(reference))
    if table.password is not None:
        return evolve(account, password=_reference(where, f"{key}.password", table.password, account))
    if defaults.password is not None:
        return evolve(account, password=_reference(where, "defaults.password", defaults.password, account))
    return account


def _reference(where: Path, key: str, table: SecretTable, account: Account) -> PasswordReference:
    given = {one.name: value for one in fields(SecretTable) if (value := getattr(table, one.name)) is not None}
    if len(given) != 1:
        _wrong(where, key, f"needs exactly one of {', '.join(one.name for one in fields(SecretTable))}")
    ((name, value),) = given.items()
    inner = f"{key}.{name}"
    if name == "file":
        _check_path(where, inner, value, SecretTable)
    if value is False:
        _wrong_value(where, inner, SecretTable)
    if name == "keyring" and account.user is None:
        _wrong(where, inner, "needs a user name, in the url or as user")
    try:
        if name == "command":
            return PasswordCommand(value)
        if name == "env":
            return PasswordEnv(value)
        if name == "file":
            return PasswordFile(value)
        return PasswordNetrc() if name == "netrc" else PasswordKeyring(account.host, str(account.user))
    except (ValueError, TypeError):
        pass
    _wrong_value(where, inner, SecretTable)


def _check_proxy(where: Path, key: str, value: str | None) -> None:
    if value is None:
        return
    from pymailbox.pop_url import host_and_port

    match = re.fullmatch(r"(?:socks5|socks4|http)://([^/?#@]+)/?", value)
    if match is None or not all(host_and_port(match[1]) or (None,)):
        _wrong_value(where, key, AccountTable)


def _keep(where: Path, key: str, table: KeepTable | None) -> KeepOptions:
    found = KeepOptions()
    if table is None:
        return found
    for name, most in (("days", 1e6), ("latest", 1e18), ("bytes", 1e18)):
        value = getattr(table, name)
        if value is None:
            continue
        if math.isnan(value) or not 0 <= value < most:
            _wrong_value(where, f"{key}.{name}", KeepTable)
        found[name] = value  # type: ignore[literal-required] # its type was checked
    if not found:
        _wrong(where, key, "needs days, latest or bytes; remove it to keep everything")
    return found
