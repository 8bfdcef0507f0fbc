"""Account: where a mailbox is and how to log in, as a value; and `Mechanism`, the interface of SASL mechanisms.

Pure: nothing here connects.

No `repr` shows a password, and no pickle contains one. References to secrets (see `passwords`) are pickled and read at
each login; any other secret is replaced by a `NotPickled`, which raises when the account is used. Copying an account
returns the account itself.

To use a mechanism (RFC 4422) of your own, pass any object with the attributes of `Mechanism` as `auth=`. Those that
come with pymailbox are in `pymailbox.pop3.sasl`.
"""

import contextlib
import os
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, Literal, NoReturn, Protocol, Self

from attrs import Attribute, Factory, evolve, field, fields, frozen

from pymailbox.display import safe_text, secret, type_name
from pymailbox.password_reference import PasswordReference
from pymailbox.pop_url import Security, default_port, fields_of_url, is_ipv6, port_for, url_of

__all__ = [
    "Account",
    "AsyncPassword",
    "Auth",
    "Channel",
    "Exchange",
    "Mechanism",
    "NotPickled",
    "OAuth2",
    "Password",
    "Peer",
    "Security",
    "Token",
    "account_name",
    "check_account",
    "check_auth",
    "check_host",
    "check_pickled",
    "check_pickles",
    "check_port",
    "check_security",
    "coroutine_refused",
    "default_port",
    "needs_user",
    "port_for",
]

#: A password, a reference to one, or a callable without arguments that returns one at each login. Text is sent as
#: UTF-8, bytes as they are, for servers that expect Latin-1.
Password = str | bytes | PasswordReference | Callable[[], str | bytes]
#: The same for `AsyncMailbox`, where the callable may be a coroutine function.
AsyncPassword = Password | Callable[[], str | bytes | Awaitable[str | bytes]]
#: An OAuth2 token, a reference to one, or a callable as above.
Token = str | PasswordReference | Callable[[], str | Awaitable[str]]

# --- the interface of SASL mechanisms --------------------------------------------------------------------------

#: One run of a mechanism. The generator yields responses, first the initial one (None if the server sends the first
#: message). Each `yield` returns the server's next challenge, decoded from base64, or None if the server replied +OK.
#: After +OK the generator returns to accept the login, yields if it has more to send, or raises `ProtocolError` if the
#: server has not proved its identity. If the server refuses, the error is thrown into it.
Exchange = Generator[bytes | None, bytes | None, None]


class Channel(Protocol):
    """The part of a TLS channel that a login needs: `ssl.SSLSocket` or `ssl.SSLObject`."""

    def version(self) -> str | None:
        """Return the version of TLS."""

    def getpeercert(self, binary_form: Literal[True]) -> bytes | None:
        """Return the server's certificate, as DER with `binary_form`."""

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """Return the bytes that identify the channel, of the type `cb_type` (RFC 5929)."""


@frozen
class Peer:
    """The server, as a mechanism sees it."""

    #: The host name that was connected to.
    host: str
    #: The mechanisms that the server advertises; empty if it advertises none.
    mechanisms: tuple[str, ...] = ()
    #: The TLS channel; None without TLS.
    tls: Channel | None = None
    #: The most hash iterations that the server may require (`Limits.scram_iterations`).
    scram_iterations: int = 1_000_000


class Mechanism(Protocol):
    """One way to log in. `name`, `plaintext` and `initial` can be class attributes, without annotations."""

    # A ClassVar would work at run time, but pyright does not accept one for a property.

    @property
    def name(self) -> str:
        """The registered name, such as `PLAIN`."""

    @property
    def plaintext(self) -> bool:
        """Whether an eavesdropper on an unencrypted connection would learn enough to log in."""

    @property
    def initial(self) -> bool | None:
        """Whether to send the initial response with AUTH if it fits (RFC 5034 §4); None if the mechanism has none."""

    def exchange(self, peer: Peer, /) -> Exchange:
        """Start one exchange with `peer`: yield responses, and be sent challenges."""


# --- checks ---------------------------------------------------------------------------------------------------


def _hidden(value: AsyncPassword | None) -> AsyncPassword | None:
    return secret(value)


def _hidden_token(value: Token) -> Token:
    return secret(value)


def check_host(_: object, attribute: "Attribute[Any]", host: object) -> None:
    """Raise for anything but a host name or an address (an attrs validator)."""
    if not isinstance(host, str):
        raise TypeError(f"{attribute.name} must be a str, not {type_name(host)}")
    if any(c in "/@" for c in host):  # not shown, as it may contain a password
        raise ValueError(f"{attribute.name} must be a host name or address; use from_url() for a URL")
    if not host or any(c.isspace() or not c.isprintable() or c in "[]" for c in host):
        raise ValueError(f"invalid host name or address: {host!r}")
    if ":" in host:
        if is_ipv6(host):
            return
        raise ValueError(f"invalid host name or address: {host!r}; pass the port separately, as port=")
    if "%" in host:
        raise ValueError(f"invalid host name: {host!r}; percent-encoding is not decoded in a host name")
    if not _is_name(host):
        raise ValueError(f"invalid host name: {host!r} (labels must be 1 to 63 characters, 253 in total)")


def _is_name(host: str) -> bool:
    """Whether DNS, TLS and proxies can use a name (or address); only internationalized names import the codec."""
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    labels = name.removesuffix(".").split(".")
    return len(name) < 255 and all(0 < len(label) < 64 for label in labels)


def check_port(_: object, attribute: "Attribute[Any]", port: object) -> None:
    """Raise for anything but a port number (an attrs validator)."""
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"{attribute.name} must be a whole number, not {port!r}")
    if not 0 < port < 65536:
        raise ValueError(f"invalid {attribute.name}: {port} (1 to 65535)")


def check_security(_: object, attribute: "Attribute[Any]", value: object) -> None:
    """Raise for anything but a `Security` (an attrs validator)."""
    if value not in ("tls", "starttls", "none"):
        raise ValueError(f'{attribute.name} must be "tls", "starttls" or "none", not {value!r}')


def _check_text(_: object, attribute: "Attribute[Any]", value: object) -> None:
    """Raise for a wrong type, or for control characters (from a URL, a file, the environment); never show the value."""
    if isinstance(value, str) or (isinstance(value, bytes) and attribute.name == "password"):
        codes = value if isinstance(value, bytes) else map(ord, value)
        if any(code < 0x20 or code == 0x7F for code in codes):
            raise ValueError(f"{attribute.name} must not contain control characters")
    elif isinstance(value, type):
        raise TypeError(f"{attribute.name} must be an instance, such as {value.__name__}(...), not the class itself")
    elif value is not None and (
        attribute.name == "user" or not (callable(value) or isinstance(value, PasswordReference))
    ):
        expected = "a str"
        if attribute.name != "user":
            text = "a str, bytes" if attribute.name == "password" else "a str"
            expected = f"{text}, a callable or a reference such as PasswordCommand"
        raise TypeError(f"{attribute.name} must be {expected}, not {type_name(value)}")


def check_auth(auth: object) -> None:
    """Raise TypeError for anything but None, a name, an `OAuth2` or an object with the attributes of `Mechanism`."""
    if auth is None or isinstance(auth, str | OAuth2):
        return
    if isinstance(auth, type) or not callable(getattr(auth, "exchange", None)):
        what = auth.__name__ if isinstance(auth, type) else type(auth).__name__
        raise TypeError(
            f"auth must be a name, OAuth2(token) or a mechanism such as sasl.Plain(user, password), not {what}"
        )
    name, plaintext = getattr(auth, "name", None), getattr(auth, "plaintext", None)
    problem = None
    if not isinstance(name, str) or not name:
        problem = "`name`, a str such as 'PLAIN'"
    elif not isinstance(plaintext, bool):
        problem = "`plaintext`, a bool"
    elif not isinstance(getattr(auth, "initial", "missing"), bool | None):
        problem = "`initial`, a bool or None"
    if problem:
        raise TypeError(f"the mechanism {type(auth).__name__} lacks {problem}; see pymailbox.account.Mechanism")


def needs_user(name: str) -> bool:
    """Whether the mechanism with this name requires a user name."""
    return name.upper() not in ("EXTERNAL", "ANONYMOUS", "GSSAPI")


def _check_auth(account: "Account", _: "Attribute[Any]", value: object) -> None:
    check_auth(value)
    if account.user:
        return
    if isinstance(value, OAuth2):
        raise ValueError("OAuth2 needs a user name")
    if isinstance(value, str) and needs_user(value):
        raise ValueError(f"{safe_text(value)} needs a user name")


# --- pickling -------------------------------------------------------------------------------------------------


@frozen
class NotPickled:
    """Takes the place of a secret in an unpickled account; using it raises ValueError."""

    #: What was not pickled: "password", "token" or a mechanism.
    what: str

    name = "not pickled"
    plaintext = False
    initial = None

    def __call__(self) -> NoReturn:
        """Raise ValueError with an explanation."""
        raise self.error(f"the account was unpickled without its {self.what}")

    def error(self, problem: str) -> ValueError:
        """Return the error that says why the secret was not pickled and what to use instead."""
        given = "a password or token given as text, bytes or a callable"
        if self.what not in ("password", "token"):
            given = "a mechanism object that may contain a secret"
        return ValueError(
            f"{problem}, because {given} is not pickled; use a reference"
            " (PasswordCommand, PasswordEnv, PasswordFile, PasswordKeyring, PasswordNetrc), and for auth="
            " OAuth2(reference) or the name of a mechanism"
        )

    def exchange(self, _: Peer, /) -> NoReturn:
        """Raise ValueError with an explanation."""
        self()


def _picklable(value: Any, what: str) -> Any:
    """Return the value to pickle for a password or token."""
    return value if value is None or isinstance(value, PasswordReference | NotPickled) else NotPickled(what)


def _picklable_auth(auth: Any) -> Any:
    """Return the value to pickle for `auth`: a mechanism only if it certainly contains no secret."""
    if auth is None or isinstance(auth, str | OAuth2 | NotPickled):
        return auth
    import pickle

    own = type(auth).__module__.startswith("pymailbox.")  # our mechanisms refuse to pickle their secrets
    with contextlib.suppress(Exception):  # other classes may raise anything
        if own or not object.__getstate__(auth):  # without state there is no secret
            pickle.dumps(auth)
            return auth
    return NotPickled(f"mechanism {type(auth).__name__}")


def coroutine_refused(what: str) -> TypeError:
    """Return the error for a coroutine function as the password or token of a blocking mailbox."""
    return TypeError(
        f"the callable for the {what} is a coroutine function, which only AsyncMailbox can await; pass an ordinary"
        " function"
    )


def check_pickled(account: "Account") -> None:
    """Raise ValueError for an account that was unpickled without its secret."""
    token = account.auth.token if isinstance(account.auth, OAuth2) else None
    for value in (account.password, account.auth, token):
        if isinstance(value, NotPickled):
            value()


def check_pickles(account: "Account") -> None:
    """Raise ValueError for an account that would be pickled without its secret."""
    token = account.auth.token if isinstance(account.auth, OAuth2) else None
    for kept in (_picklable(account.password, "password"), _picklable_auth(account.auth), _picklable(token, "token")):
        if isinstance(kept, NotPickled):
            raise kept.error(f"the account cannot be used in another process: its {kept.what} would be missing there")


def check_account(account: object) -> None:
    """Raise TypeError for anything but an account."""
    if not isinstance(account, Account):
        raise TypeError(f"account must be an Account, not {type_name(account)}; Account.from_url() takes a URL")


# --- the values -----------------------------------------------------------------------------------------------


@frozen
class OAuth2:
    """An access token instead of a password, for `auth=`: OAUTHBEARER (RFC 7628) or XOAUTH2, as the server advertises.

    `token` is text, a callable, or a reference such as `PasswordCommand(["oama", "access", "me@example.com"])`. A
    callable or reference is used at each login, so that it can return a fresh token; with `AsyncMailbox` the callable
    may be a coroutine function. Only a reference is pickled.

    >>> from pymailbox import Account, OAuth2
    >>> Account("outlook.office365.com", "me@example.com", auth=OAuth2(lambda: "a fresh token"))
    Account(host='outlook.office365.com', user='me@example.com', security='tls', port=995)
    """

    token: Token = field(repr=False, converter=_hidden_token, validator=_check_text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (_picklable(self.token, "token"),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self


#: How to log in: a mechanism, its name, or an access token; None for the strongest mechanism that the server
#: advertises.
Auth = Mechanism | OAuth2 | str | None


@frozen
class Account:
    """Where a mailbox is and how to log in, as a value: use it with `Mailbox.from_account`, `Archive` or `collect_all`.

    Raises ValueError or TypeError for invalid fields, such as a mechanism that needs a user without one.

    Pickles contain references to secrets (`PasswordCommand`, `PasswordEnv`, `PasswordFile`, `PasswordKeyring`,
    `PasswordNetrc`), so that the account works in another process, but no secrets: a password or token given as text,
    as bytes or as a callable of your own, and a mechanism object that may contain one, are left out. Making a mailbox
    from an account that was unpickled without its secret raises ValueError.

    >>> from pymailbox import Account
    >>> Account.from_url("pops://me%40example.com@pop.example.com")
    Account(host='pop.example.com', user='me@example.com', security='tls', port=995)
    """

    #: The server's host name or IP address.
    host: str = field(validator=check_host)
    #: The login name; None if the mechanism needs none.
    user: str | None = field(default=None, validator=_check_text)
    #: Text, bytes (sent as they are), a reference, or a callable without arguments that returns text or bytes.
    #: References and callables are used at each login. Never shown; only a reference is pickled.
    password: AsyncPassword | None = field(default=None, repr=False, converter=_hidden, validator=_check_text)
    #: "tls": TLS from the first byte. "starttls": the connection switches to TLS before the login. "none": no TLS.
    security: Security = field(default="tls", validator=check_security, kw_only=True)
    #: The server's port; by default 995 for "tls", otherwise 110.
    port: int = field(
        # `@port.default` would do for attrs and mypy, but pyright only sees a default that is an argument of `field`.
        default=Factory(lambda account: default_port(account.security), takes_self=True),
        validator=check_port,
        kw_only=True,
    )
    #: A mechanism, its name, or `OAuth2(token)`; None for the strongest mechanism that the server advertises.
    auth: Auth = field(default=None, repr=False, validator=_check_auth, kw_only=True)

    # --- constructors -------------------------------------------------------------------------------------

    @classmethod
    def from_url(cls, url: str, password: AsyncPassword | None = None, *, refuse_password: bool = False) -> Self:
        """Make an account from a POP URL such as `pops://user;auth=PLAIN@host:port` (RFC 2384).

        The scheme sets `security`: `pops://` is "tls", `pop+starttls://` is "starttls", and `pop://` is "none".
        `password` overrides a password in the URL. Write @ in the user name as %40; a plain one is accepted if the URL
        has no password (`pops://me@x.org@host`). A URL typed on a command line is visible in process lists and in the
        shell's history: with `refuse_password=True` a password in it raises ValueError. So does anything that is not a
        valid POP URL.
        """
        url = secret(url)  # it may contain a password, which no traceback must show
        return cls(**fields_of_url(url, password, refuse_password))

    @classmethod
    def from_env(cls, prefix: str = "PYMAILBOX_", environment: Mapping[str, str] | None = None) -> Self:
        """Make an account from environment variables: `PYMAILBOX_URL`, or `PYMAILBOX_HOST` and others.

        The others are `PYMAILBOX_USER`, `_SECURITY`, `_PORT`, `_AUTH`, and `_PASSWORD` or, for OAuth2, `_TOKEN`; they
        override the URL. `prefix` replaces `PYMAILBOX_`. Password and token are checked now and read again at each
        login (as a `PasswordEnv`), unless you pass `environment`, a mapping to use instead. Raises ValueError if
        something is missing or invalid.
        """
        values = os.environ if environment is None else environment
        lasting = environment is None
        names = ("URL", "HOST", "USER", "PASSWORD", "TOKEN", "SECURITY", "PORT", "AUTH")
        given = {name: secret(values.get(prefix + name) or None) for name in names}
        del values, environment  # keep them out of tracebacks
        url, token, port, auth = (given[name] for name in ("URL", "TOKEN", "PORT", "AUTH"))
        if url is None and given["HOST"] is None:
            raise ValueError(f"the environment has neither {prefix}URL nor {prefix}HOST; set one of them")
        changes: dict[str, Any] = {
            name.lower(): value if value is None or name == "PASSWORD" else str(value)
            for name, value in given.items()
            if name not in ("URL", "TOKEN", "PORT")
        }
        if token and auth is None:
            changes["auth"] = OAuth2(token)
        elif token:
            if str(auth).upper() not in ("XOAUTH2", "OAUTHBEARER"):
                raise ValueError(
                    f"{prefix}AUTH={auth} does not use {prefix}TOKEN; set it to XOAUTH2 or OAUTHBEARER, or unset it"
                )
            changes["password"] = token
        if port:
            if not (port.isascii() and port.isdigit() and len(port) < 6):
                raise ValueError(f"invalid {prefix}PORT: {str(port)[:20]!r} (1 to 65535)")
            changes["port"] = int(port)
        changes = {name: given for name, given in changes.items() if given is not None}
        try:
            fields = {} if url is None else fields_of_url(secret(url), None, False)
        except ValueError as error:
            raise ValueError(f"{prefix}URL: {error}") from None
        if "security" in changes and fields and "port" not in changes:
            changes["port"] = port_for(changes["security"], fields["security"], fields["port"])
        account = cls(**(fields | changes))
        if not lasting:
            return account
        from pymailbox.passwords import PasswordEnv

        references: dict[str, Any] = {}
        if "password" in changes:
            as_password = token and not isinstance(account.auth, OAuth2)
            references["password"] = PasswordEnv(prefix + ("TOKEN" if as_password else "PASSWORD"))
        if isinstance(account.auth, OAuth2):
            references["auth"] = OAuth2(PasswordEnv(prefix + "TOKEN"))
        return evolve(account, **references)

    # --- value --------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The POP URL of this account, without the password."""
        return url_of(self.host, self.port, self.user, self.security)

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {one.name: getattr(self, one.name) for one in fields(type(self))}
        kept |= {"password": _picklable(self.password, "password"), "auth": _picklable_auth(self.auth)}
        return _unpickled, (type(self), kept)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self


def account_name(account: Account) -> str:
    """Return what an account is called in what is kept of it: user@host."""
    return f"{account.user or ''}@{account.host.lower().removesuffix('.')}"


def _unpickled(kind: type[Account], kept: dict[str, Any]) -> Account:
    return kind(**kept)
