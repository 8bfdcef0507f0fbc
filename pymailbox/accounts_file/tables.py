"""The tables of the file: which keys they may have, what each must be, and errors that name the key and say so."""

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from attrs import AttrsInstance, field, fields, fields_dict, frozen, has

from pymailbox.accounts_file.file import missing_library
from pymailbox.display import safe_text
from pymailbox.pop_url import host_and_port

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "AccountTable",
    "DefaultsTable",
    "HostTable",
    "KeepTable",
    "Key",
    "SecretTable",
    "hint",
    "named_tables",
    "structured",
]

T = TypeVar("T")

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PROXY = re.compile(r"(?:socks5|socks4|http)://([^/?#@]+)/?")


# --- the keys -------------------------------------------------------------------------------------------------


class _Wrong(Exception):
    """A value is not what its key must be."""


def _must(rule: str, check: Callable[[Any], object] | None = None) -> dict[str, Any]:
    """Return the metadata of a key: the end of an error about it, and what its values must pass besides their type."""
    return {"rule": f"must {rule}", "check": check}


def _is_path(value: str) -> bool:
    absolute = value == "~" or value.startswith(("~/", "~\\")) or Path(value).is_absolute()
    return absolute and "\0" not in value


def _is_proxy(value: str) -> bool:
    match = _PROXY.fullmatch(value)
    return match is not None and all(host_and_port(match[1]) or (None,))


_REFERENCE = _must(
    "say where it is kept, never the secret itself, because files are copied and shown to others:"
    ' { command = ["pass", "show", "mail/me"] }, { keyring = true }, { env = "ME_PASSWORD" },'
    ' { file = "/run/secrets/me" } or { netrc = true }'
)
_PATH = _must("be an absolute path, or begin with ~/", _is_path)
_SECONDS = _must("be a number of seconds, more than 0", lambda seconds: 0 < seconds < 1e9)
_SWITCH = _must("be true or false")
_TRUE = _must("be true", bool)


@frozen
class KeepTable:
    """`keep`: what stays on the server."""

    days: float | None = field(default=None, metadata=_must("be a number of days, 0 or more", lambda n: 0 <= n < 1e6))
    latest: int | None = field(
        default=None, metadata=_must("be a number of messages, 0 or more", lambda n: 0 <= n < 1e18)
    )
    bytes: int | None = field(default=None, metadata=_must("be a number of bytes, 0 or more", lambda n: 0 <= n < 1e18))


@frozen
class SecretTable:
    """`password` and `token`: where a secret is kept."""

    command: tuple[str, ...] | None = field(
        default=None, metadata=_must('be a list of strings, the program and its arguments, such as ["pass", "me"]')
    )
    keyring: bool | None = field(default=None, metadata=_TRUE)
    env: str | None = field(default=None, metadata=_must("be the name of an environment variable"))
    file: str | None = field(default=None, metadata=_PATH)
    netrc: bool | None = field(default=None, metadata=_TRUE)


@frozen
class AccountTable:
    """`[account.NAME]`: an account."""

    url: str | None = field(default=None, metadata=_must("be a POP URL such as pops://user@host"))
    user: str | None = field(default=None, metadata=_must("be the login name, a string"))
    password: SecretTable | None = field(default=None, metadata=_REFERENCE)
    token: SecretTable | None = field(default=None, metadata=_REFERENCE)
    archive: str | None = field(default=None, metadata=_PATH)
    keep: KeepTable | None = field(default=None, metadata=_must("be a table such as { days = 30, latest = 100 }"))
    ca: str | None = field(default=None, metadata=_PATH)
    pin: str | None = field(
        default=None,
        metadata=_must(
            "be the SHA-256 fingerprint of a certificate, 64 hexadecimal digits, colons allowed",
            lambda pin: re.fullmatch(r"[0-9A-Fa-f]{64}", pin.replace(":", "")),
        ),
    )
    timeout: float | None = field(default=None, metadata=_SECONDS)
    allow_plaintext: bool | None = field(default=None, metadata=_SWITCH)
    proxy: str | None = field(
        default=None,
        metadata=_must("be socks5://host:port, socks4://host:port or http://host:port, without a password", _is_proxy),
    )
    top: bool | None = field(default=None, metadata=_SWITCH)
    pipelining: bool | None = field(default=None, metadata=_SWITCH)
    utf8: bool | None = field(default=None, metadata=_SWITCH)
    capa: bool | None = field(default=None, metadata=_SWITCH)


@frozen
class DefaultsTable:
    """`[defaults]`: what accounts have that do not say otherwise."""

    archive: str | None = field(default=None, metadata=_PATH)
    password: SecretTable | None = field(default=None, metadata=_REFERENCE)
    timeout: float | None = field(default=None, metadata=_SECONDS)


@frozen
class HostTable:
    """`[host."NAME"]`: a server."""

    sessions: int | None = field(default=None, metadata=_must("be a number of sessions, 1 or more", lambda n: n >= 1))


# --- reading and errors ---------------------------------------------------------------------------------------


@frozen
class Key:
    """A key of a file, for errors about it."""

    path: Path
    dotted: str = ""

    def inner(self, name: str) -> "Key":
        """Return a key of this table; errors quote it as in TOML if it has to be."""
        if not _PLAIN_KEY.fullmatch(name):
            import json

            name = json.dumps(safe_text(name, limit=100), ensure_ascii=False)
        return Key(self.path, f"{self.dotted}.{name}" if self.dotted else name)

    def wrong(self, problem: str) -> NoReturn:
        """Raise ValueError; what led to it is left out, since that may show the value."""
        raise ValueError(f"{self.path}: {self.dotted} {problem}") from None

    def wrong_value(self, name: str, kind: type[AttrsInstance]) -> NoReturn:
        """Raise ValueError that says what a key of this table, which is of that kind, must be."""
        self.inner(name).wrong(fields_dict(kind)[name].metadata["rule"])

    def unknown(self, name: str, allowed: Iterable[str]) -> NoReturn:
        """Raise ValueError for a key that this table cannot have."""
        self.inner(name).wrong(f"is not a known key{hint(name, allowed)}; allowed here: {', '.join(allowed)}")


def hint(name: str, known: Iterable[str]) -> str:
    """Return the end of an error about a name: the known one that is similar, if there is one."""
    import difflib

    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def named_tables(top: Key, name: str, tables: dict[str, Any]) -> dict[str, Any]:
    """Return the tables `[name.…]` of a file by their second names."""
    found = tables.get(name, {})
    if not isinstance(found, dict):
        top.inner(name).wrong(f"must have a name: [{name}.NAME]")
    return found


def structured(key: Key, value: object, kind: type[T]) -> T:
    """Return a table as its class; ValueError names the first key that is wrong."""
    converter = _converter()
    from cattrs.errors import ClassValidationError

    try:
        return converter.structure(value, kind)
    except _Wrong:
        key.wrong("must be a table")
    except ClassValidationError as error:
        _explain(key, error)


def _explain(key: Key, error: Any) -> NoReturn:
    """Raise ValueError for the first thing that is wrong in a table; unknown keys come first."""
    from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError

    inner, others = error.group_exceptions()
    for other in others:
        if isinstance(other, ForbiddenExtraKeysError):
            key.unknown(min(other.extra_fields), fields_dict(error.cl))
        raise other
    problem, note = inner[0]
    if isinstance(problem, ClassValidationError):
        _explain(key.inner(note.name), problem)
    if not isinstance(problem, _Wrong):
        raise problem
    key.wrong_value(note.name, error.cl)


def _strict(kind: type | tuple[type, ...]) -> Any:
    """Return a hook that accepts only values of a type: by default cattrs would convert "5" to 5."""

    def structure(value: object, _: object) -> object:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _Wrong
        return value

    return structure


def _words(value: object, _: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise _Wrong
    return tuple(value)


def _checked(converter: "Converter", check: Callable[[Any], object]) -> Any:
    """Return a hook that accepts only values that pass a check, after that of their type."""

    def structure(value: object, kind: Any) -> object:
        found = converter.structure(value, kind)
        if not check(found):
            raise _Wrong
        return found

    return structure


@functools.cache
def _converter() -> "Converter":
    try:
        from cattrs import Converter
        from cattrs.gen import make_dict_structure_fn, override
    except ImportError as error:
        raise missing_library("cattrs") from error
    converter = Converter(forbid_extra_keys=True)
    for kind, accepted in ((str, str), (bool, bool), (int, int), (float, (int, float))):
        converter.register_structure_hook(kind, _strict(accepted))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _words)

    def table(kind: Any) -> Any:
        checks = {one.name: check for one in fields(kind) if (check := one.metadata["check"]) is not None}
        checked: Any = {name: override(struct_hook=_checked(converter, check)) for name, check in checks.items()}
        inner = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **checked)

        def structure(value: object, kind: Any) -> object:
            if not isinstance(value, dict):
                raise _Wrong
            return inner(value, kind)

        return structure

    converter.register_structure_hook_factory(has, table)
    return converter
