"""AccountsFile: the accounts of `accounts.toml`, read and checked, for programs as for the `pymailbox` command.

The file has no secrets in it, only where each is kept. It decides which programs are run and where passwords are sent,
so it is refused if others can change it. An unknown key, a wrong type or an impossible value is ValueError that names
the file, the key and what is allowed; no error shows the value.

`file` knows the file as such, `tables` its keys and what each must be; here they become accounts. Reading needs the
libraries cattrs and platformdirs (the extra `cli`); they and `tables` are imported when a file is read.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, cast

from attrs import AttrsInstance, asdict, evolve, field, frozen

from pymailbox.account import Account, OAuth2
from pymailbox.accounts_file.file import VARIABLE, default_path, parsed, read_file
from pymailbox.display import safe_text

if TYPE_CHECKING:
    import ssl

    from pymailbox.accounts_file.tables import AccountTable, DefaultsTable, Key, SecretTable
    from pymailbox.password_reference import PasswordReference

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

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")


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
    _options: AccountOptions = field(factory=AccountOptions, repr=False)
    _ca: str | None = field(default=None, repr=False)
    _pin: str | None = field(default=None, repr=False)

    def options(self) -> AccountOptions:
        """Return the options for a mailbox, such as `Mailbox.from_account(entry.account, **entry.options())`.

        Reads the file of a private authority: raises ValueError if that cannot be used.
        """
        found, ca = self._options.copy(), self._ca
        if ca or self._pin:
            from pymailbox.pop3 import tls

            try:
                found["ssl_context"] = (
                    tls.pinned(self._pin) if self._pin else tls.private_ca(Path(str(ca)).expanduser())
                )
            except (OSError, ValueError) as error:
                problem = getattr(error, "strerror", None) or "it contains no PEM certificate"
                raise ValueError(f"the ca of the account {self.name!r} cannot be used: {ca}: {problem}") from error
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
        from pymailbox.accounts_file.tables import AccountTable, DefaultsTable, HostTable, Key, named_tables, structured

        top = Key(Path(path))
        tables = parsed(top.path, text)
        known = ("defaults", "account", "host")
        for name in tables:
            if name not in known:
                top.unknown(name, known)
        defaults = structured(top.inner("defaults"), tables.get("defaults", {}), DefaultsTable)
        if defaults.password is not None:
            _reference(top.inner("defaults").inner("password"), defaults.password, Account("localhost", "me"))
        accounts: dict[str, AccountEntry] = {}
        for name, table in named_tables(top, "account", tables).items():
            key = top.inner("account").inner(name)
            if not is_name(name):
                key.wrong("is not a valid name: letters, digits, - and _ are allowed, and no - first")
            accounts[name] = _entry(key, name, structured(key, table, AccountTable), defaults)
        sessions: dict[str, int] = {}
        for name, table in named_tables(top, "host", tables).items():
            key = top.inner("host").inner(name)
            try:
                Account(name)
            except ValueError as error:
                key.wrong(f"is not a valid host: {error}")
            most = structured(key, table, HostTable).sessions
            if most is not None:
                sessions[name.lower()] = most
        return cls(top.path, accounts, sessions, defaults.archive)

    def entry(self, name: str) -> AccountEntry:
        """Return the account with this name. ValueError if there is none."""
        found = self.accounts.get(name)
        if found is None:
            raise ValueError(self.missing(name))
        return found

    def missing(self, name: str) -> str:
        """Return what to tell of a name that no account has."""
        if self.accounts:
            from pymailbox.accounts_file.tables import hint

            return f"there is no account {safe_text(name)!r} in {self.path}{hint(name, self.accounts)}"
        state = "has no accounts" if self.path.exists() else "does not exist"
        return f"there is no account {safe_text(name)!r}: {self.path} {state}; add one with `pymailbox accounts add`"


def is_name(word: str) -> bool:
    """Whether a word can be the name of an account: letters, digits, - and _, and so no dot, as in a host."""
    return _NAME.fullmatch(word) is not None


def names_in(path: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names of the accounts in a file, without looking at anything else in it."""
    from pymailbox.accounts_file.tables import Key, named_tables

    where = default_path() if path is None else Path(path).expanduser()
    return list(filter(is_name, named_tables(Key(where), "account", parsed(where, read_file(where) or b""))))


# --- an account of its table ----------------------------------------------------------------------------------


def _given(table: AttrsInstance) -> dict[str, Any]:
    """Return the keys that a table has."""
    return asdict(table, recurse=False, filter=lambda _, value: value is not None)


def _entry(key: "Key", name: str, table: "AccountTable", defaults: "DefaultsTable") -> AccountEntry:
    account = _account(key, table, defaults)
    if table.ca is not None and table.pin is not None:
        key.inner("pin").wrong("replaces ca; remove one of them")
    keep = {} if table.keep is None else _given(table.keep)
    if table.keep is not None and not keep:
        key.inner("keep").wrong("needs days, latest or bytes; remove it to keep everything")
    table = evolve(table, archive=table.archive or defaults.archive, timeout=table.timeout or defaults.timeout)
    archive = None if table.archive is None else Path(table.archive.replace("{name}", name)).expanduser()
    options = {option: value for option, value in _given(table).items() if option in AccountOptions.__annotations__}
    return AccountEntry(
        name, account, archive, cast(KeepOptions, keep), cast(AccountOptions, options), table.ca, table.pin
    )


def _account(key: "Key", table: "AccountTable", defaults: "DefaultsTable") -> Account:
    if table.url is None:
        key.wrong('has no url; expected url = "pops://user@host"')
    try:
        account = Account.from_url(table.url, refuse_password=True)
    except ValueError as error:
        key.inner("url").wrong(f"is not usable: {error}")
    if table.user is not None:
        if account.user is not None:
            key.inner("user").wrong("is given twice: the url has a user name, too; remove one of them")
        try:
            account = evolve(account, user=table.user)
        except ValueError as error:
            key.inner("user").wrong(f"is not usable: {error}")
    token = key.inner("token")
    if table.password is not None and table.token is not None:
        token.wrong("replaces the password; remove one of them")
    if table.token is not None:
        reference = _reference(token, table.token, account)
        if isinstance(account.auth, str):
            if account.auth.upper() not in ("XOAUTH2", "OAUTHBEARER"):
                token.wrong("is not used by the mechanism in the url; use XOAUTH2 or OAUTHBEARER")
            return evolve(account, password=reference)
        if account.user is None:
            token.wrong("needs a user name, in the url or as user")
        return evolve(account, auth=OAuth2(reference))
    if table.password is not None:
        return evolve(account, password=_reference(key.inner("password"), table.password, account))
    if defaults.password is not None:
        shared = evolve(key, dotted="defaults.password")
        return evolve(account, password=_reference(shared, defaults.password, account))
    return account


def _reference(key: "Key", table: "SecretTable", account: Account) -> "PasswordReference":
    from pymailbox.passwords import PasswordCommand, PasswordEnv, PasswordFile, PasswordKeyring, PasswordNetrc

    ways: dict[str, Callable[[Any], PasswordReference]] = {
        "command": PasswordCommand,
        "keyring": lambda _: PasswordKeyring(account.host, str(account.user)),
        "env": PasswordEnv,
        "file": PasswordFile,
        "netrc": lambda _: PasswordNetrc(),
    }
    found = _given(table)
    if len(found) != 1:
        key.wrong(f"needs exactly one of {', '.join(ways)}")
    ((name, value),) = found.items()
    if name == "keyring" and account.user is None:
        key.inner(name).wrong("needs a user name, in the url or as user")
    try:
        return ways[name](value)
    except (ValueError, TypeError):
        key.wrong_value(name, type(table))
