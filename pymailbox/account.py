"""Account: where a mailbox is and how to log in, as a value; and what a way to log in by SASL has to be.

Pure: nothing here connects. A POP URL (RFC 2384) names host, port and user; `pop://` is without TLS, `pops://` is
TLS from the first octet, `pop+starttls://` asks for TLS before anything else is said.

No `repr` shows a password, and no pickle has one. What an account says of where its secret is found (the references of
`passwords`) is pickled, and read at each login; in the place of what is not, there is a `NotPickled`, which says so
when the account is used. A copy within the process is the account itself.

A mechanism (RFC 4422) of your own is any object with the names of `Mechanism`; pass it as `auth=`. The ones that come
with pymailbox are in `pymailbox.pop3.sasl`.
"""

import contextlib
import os
import re
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, Literal, NoReturn, Protocol, Self

from attrs import Attribute, Factory, evolve, field, fields, frozen

from pymailbox.display import Secret, safe_text, secret, type_name
from pymailbox.passwords import PasswordEnv, PasswordReference

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
    "bad_escapes",
    "check_auth",
    "check_host",
    "check_pickled",
    "check_port",
    "check_security",
    "coroutine_refused",
    "default_port",
    "host_and_port",
    "needs_user",
    "port_for",
]

Security = Literal["tls", "starttls", "none"]
#: A password, where it is found, or a callable without arguments that returns one when it is needed. Text is sent as
#: UTF-8, bytes as they are: for servers that want Latin-1.
Password = str | bytes | PasswordReference | Callable[[], str | bytes]
#: What `AsyncMailbox` takes: the callable may be a coroutine function, too.
AsyncPassword = Password | Callable[[], str | bytes | Awaitable[str | bytes]]
#: What stands for a password in OAuth2: a token, where it is found, or a callable as above.
Token = str | PasswordReference | Callable[[], str | Awaitable[str]]

_SCHEMES: dict[str, Security] = {"pop": "none", "pops": "tls", "pop+starttls": "starttls"}


def default_port(security: Security) -> int:
    """Return 995 for implicit TLS (RFC 8314 §3.2), else 110 (RFC 1939 §3)."""
    return 995 if security == "tls" else 110


def port_for(security: Security, before: Security, port: int) -> int:
    """Return the port where `security` takes the place of another: the usual one moves along, any other stays."""
    return default_port(security) if port == default_port(before) else port


# --- what a way to log in by SASL is ---------------------------------------------------------------------------

#: One run of a mechanism. It yields responses: first the initial one (None where the server speaks first). It is sent
#: challenges, decoded from base64, and None for the server's +OK: to end then is to be content, to yield is to have
#: something more to say, and a mechanism that is owed a proof raises `ProtocolError`. A refusal is thrown in.
Exchange = Generator[bytes | None, bytes | None, None]


class Channel(Protocol):
    """A TLS channel, as far as a login needs it: `ssl.SSLSocket` or `ssl.SSLObject`."""

    def version(self) -> str | None:
        """Return the version of TLS."""

    def getpeercert(self, binary_form: Literal[True]) -> bytes | None:
        """Return the server's certificate."""

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """Return the octets that identify the channel."""


@frozen
class Peer:
    """What a mechanism may know of the server."""

    #: The host as it was asked for.
    host: str
    #: The mechanisms that it lists; empty where it lists none.
    mechanisms: tuple[str, ...] = ()
    #: The TLS channel, None without TLS.
    tls: Channel | None = None
    #: The most iterations of a hash that it may ask for (`Limits.scram_iterations`).
    scram_iterations: int = 1_000_000


class Mechanism(Protocol):
    """One way to log in. Plain attributes of a class do for the first three, not annotated (`name = "X-TICKET"`)."""

    # A ClassVar would be as good at run time; pyright does not take one for a property.

    @property
    def name(self) -> str:
        """The registered name, such as `PLAIN`."""

    @property
    def plaintext(self) -> bool:
        """Whether who listens without TLS learns something to log in with."""

    @property
    def initial(self) -> bool | None:
        """Whether the initial response goes in the line of AUTH, where it fits (RFC 5034 §4); None: there is none."""

    def exchange(self, peer: Peer, /) -> Exchange:
        """Start one exchange."""


# --- checks ---------------------------------------------------------------------------------------------------


def _hidden(value: AsyncPassword | None) -> AsyncPassword | None:
    return secret(value)


def _hidden_token(value: Token) -> Token:
    return secret(value)


def check_host(_: object, attribute: "Attribute[Any]", host: object) -> None:
    """Refuse what is not a host name or an address (an attrs validator)."""
    if not isinstance(host, str):
        raise TypeError(f"{attribute.name} must be a str, not {type_name(host)}")
    if any(c in "/@" for c in host):  # not shown: there may be a password in it
        raise ValueError(f"{attribute.name} must be a host name or address; use from_url() for a URL")
    if not host or any(c.isspace() or not c.isprintable() or c in "[]" for c in host):
        raise ValueError(f"{host!r} is not a host name or address")
    if ":" in host:
        if _is_ipv6(host):
            return
        raise ValueError(f"{host!r} is not a host name or address; pass the port separately, as port=")
    if "%" in host:
        raise ValueError(f"{host!r} is not a host name: it has a percent sign, and nothing in a host is decoded")
    if not _is_name(host):
        raise ValueError(f"{host!r} is not a valid host name: labels must be 1 to 63 characters, 253 in total")


def _is_ipv6(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    """Whether the DNS, TLS and proxies can take a name (or address); only international ones cost the codec."""
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    labels = name.removesuffix(".").split(".")
    return len(name) < 255 and all(0 < len(label) < 64 for label in labels)


def check_port(_: object, attribute: "Attribute[Any]", port: object) -> None:
    """Refuse what is not a port number (an attrs validator)."""
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"{attribute.name} must be a whole number, not {port!r}")
    if not 0 < port < 65536:
        raise ValueError(f"{attribute.name} must be between 1 and 65535, not {port}")


def check_security(_: object, attribute: "Attribute[Any]", value: object) -> None:
    """Refuse what is not a `Security` (an attrs validator)."""
    if value not in ("tls", "starttls", "none"):
        raise ValueError(f'{attribute.name} must be "tls", "starttls" or "none", not {value!r}')


def _check_text(_: object, attribute: "Attribute[Any]", value: object) -> None:
    """Refuse control characters where they come in: from a URL, a file, the environment. The value is not shown."""
    if isinstance(value, str) or (isinstance(value, bytes) and attribute.name == "password"):
        codes = value if isinstance(value, bytes) else map(ord, value)
        if any(code < 0x20 or code == 0x7F for code in codes):
            raise ValueError(f"{attribute.name} must not contain control characters (C0 or DEL)")
    elif isinstance(value, type):
        raise TypeError(f"{attribute.name} must be an object, such as {value.__name__}(...), not the class itself")
    elif value is not None and (
        attribute.name == "user" or not (callable(value) or isinstance(value, PasswordReference))
    ):
        raise TypeError(f"{attribute.name} must be a str, not {type_name(value)}")


def check_auth(auth: object) -> None:
    """Raise TypeError for what is no way to log in: not None, a name, an `OAuth2` or a mechanism (an object).

    Of a mechanism all four names are looked at (`Mechanism`).
    """
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
        raise TypeError(f"the mechanism {type(auth).__name__} lacks {problem} (pymailbox.account.Mechanism)")


def needs_user(name: str) -> bool:
    """Whether a mechanism of that name cannot do without a user."""
    return name.upper() not in ("EXTERNAL", "ANONYMOUS", "GSSAPI")


def _check_auth(account: "Account", _: "Attribute[Any]", value: object) -> None:
    check_auth(value)
    if account.user:
        return
    if isinstance(value, OAuth2):
        raise ValueError("OAuth2 needs a user")
    if isinstance(value, str) and needs_user(value):
        raise ValueError(f"{safe_text(value)} needs a user")


# --- what is pickled ------------------------------------------------------------------------------------------


@frozen
class NotPickled:
    """What an unpickled account has in the place of a secret; ValueError whenever that is used."""

    #: What was dropped: "password", "token" or a mechanism.
    what: str

    name = "not pickled"
    plaintext = False
    initial = None

    def __call__(self) -> NoReturn:
        """Say what became of the secret."""
        given = "a password or token given as text, bytes or a callable"
        if self.what not in ("password", "token"):
            given = "a mechanism object that may hold a secret"
        raise ValueError(
            f"this account came here by pickle, without its {self.what}: {given} is not pickled; use a reference, which"
            " is (PasswordCommand, PasswordEnv, PasswordFile, PasswordKeyring, PasswordNetrc), and auth= with"
            " OAuth2(reference) or the name of a mechanism"
        )

    def exchange(self, _: Peer, /) -> NoReturn:
        """Say what became of the secret."""
        self()


def _picklable(value: Any, what: str) -> Any:
    """Return a password or token as it is pickled."""
    return value if value is None or isinstance(value, PasswordReference | NotPickled) else NotPickled(what)


def _picklable_auth(auth: Any) -> Any:
    """Return a way to log in as it is pickled: a mechanism only where it is certain that it holds no secret."""
    if auth is None or isinstance(auth, str | OAuth2 | NotPickled):
        return auth
    import pickle

    own = type(auth).__module__.startswith("pymailbox.")  # these know what is secret in them
    with contextlib.suppress(Exception):  # whatever a class of somebody's own raises
        if own or not object.__getstate__(auth):  # what has no state holds nothing
            pickle.dumps(auth)
            return auth
    return NotPickled(f"mechanism {type(auth).__name__}")


def coroutine_refused(what: str) -> TypeError:
    """Return the error for a coroutine function as the password or token of a blocking mailbox."""
    return TypeError(
        f"the callable for the {what} is a coroutine function; that is for AsyncMailbox, here it has to be an ordinary"
        " function"
    )


def check_pickled(account: "Account") -> None:
    """Raise ValueError for an account that came here by pickle without what it logs in with."""
    token = account.auth.token if isinstance(account.auth, OAuth2) else None
    for value in (account.password, account.auth, token):
        if isinstance(value, NotPickled):
            value()


# --- the values -----------------------------------------------------------------------------------------------


@frozen
class OAuth2:
    """An access token in the place of a password: OAUTHBEARER (RFC 7628) or XOAUTH2, whichever the server lists.

    A callable is asked at each login, so that it can refresh the token; under asyncio it may be a coroutine function.
    A reference, such as `OAuth2(PasswordCommand(["oama", "access", "me@example.com"]))`, is read at each login, and
    pickled with its account; any other token is left out of pickles.

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


#: How to log in: a mechanism, an access token, or a mechanism's name; None picks the strongest that is offered.
Auth = Mechanism | OAuth2 | str | None


@frozen
class Account:
    """Where a mailbox is and how to get in.

    ValueError for a token, or a mechanism by name, that needs a user and has none.

    An account pickles, but for its secrets. With a reference for its password (`PasswordCommand`, `PasswordEnv`,
    `PasswordFile`, `PasswordKeyring`, `PasswordNetrc`) or token it pickles whole, and works in another process. A
    password or token given as text, bytes or any other callable, and a mechanism object that may hold one, are dropped;
    a mailbox of such an account is ValueError there.

    >>> from pymailbox import Account
    >>> Account.from_url("pops://me%40example.com@pop.example.com")
    Account(host='pop.example.com', user='me@example.com', security='tls', port=995)
    """

    host: str = field(validator=check_host)
    user: str | None = field(default=None, validator=_check_text)
    #: A string, bytes (sent as they are), a reference to where it is found, or a callable without arguments that
    #: returns one when it is needed. Never shown; only a reference is pickled.
    password: AsyncPassword | None = field(default=None, repr=False, converter=_hidden, validator=_check_text)
    security: Security = field(default="tls", validator=check_security, kw_only=True)
    port: int = field(
        # A `@port.default` would do for attrs and mypy; pyright sees a default only where it is an argument of `field`.
        default=Factory(lambda account: default_port(account.security), takes_self=True),
        validator=check_port,
        kw_only=True,
    )
    #: A mechanism, `OAuth2(...)`, or a mechanism's name; None picks the strongest.
    auth: Auth = field(default=None, repr=False, validator=_check_auth, kw_only=True)

    # --- where an account can come from -------------------------------------------------------------------

    @classmethod
    def from_url(cls, url: str, password: AsyncPassword | None = None, *, refuse_password: bool = False) -> Self:
        """Read a POP URL (RFC 2384): `pops://user;auth=PLAIN@host:port`; `password` wins over one in the URL.

        An @ in the user is written %40; a bare one is taken where nothing else could be meant (`pops://me@x.org@host`),
        and is ValueError after a colon. A password in a URL ends in process lists and histories: where the URL was
        typed, say `refuse_password=True`, and it is ValueError.
        """
        url = secret(url)  # no traceback shows it, with the password that may be in it
        return cls(**_fields_of_url(url, password, refuse_password))

    @classmethod
    def from_env(cls, prefix: str = "PYMAILBOX_", environment: Mapping[str, str] | None = None) -> Self:
        """Read an account from the environment: `PYMAILBOX_URL`, or `_HOST`, `_USER`, `_SECURITY`, `_PORT`, `_AUTH`.

        Also `_PASSWORD`, or `_TOKEN` for OAuth2: checked now, and read again at each login (a `PasswordEnv`), unless
        an `environment` of your own is given. What is named singly wins over the URL. ValueError names what is missing
        or wrong.
        """
        values = os.environ if environment is None else environment
        lasting = environment is None
        names = ("URL", "HOST", "USER", "PASSWORD", "TOKEN", "SECURITY", "PORT", "AUTH")
        given = {name: secret(values.get(prefix + name) or None) for name in names}
        del values, environment  # no traceback shows them
        url, token, port, auth = (given[name] for name in ("URL", "TOKEN", "PORT", "AUTH"))
        if url is None and given["HOST"] is None:
            raise ValueError(f"the environment has neither {prefix}URL nor {prefix}HOST")
        changes: dict[str, Any] = {
            name.lower(): value if value is None or name == "PASSWORD" else str(value)
            for name, value in given.items()
            if name not in ("URL", "TOKEN", "PORT")
        }
        if token and auth is None:
            changes["auth"] = OAuth2(token)
        elif token:
            if str(auth).upper() not in ("XOAUTH2", "OAUTHBEARER"):
                raise ValueError(f"{prefix}TOKEN goes with XOAUTH2 or OAUTHBEARER, not with {prefix}AUTH={auth}")
            changes["password"] = token
        if port:
            if not (port.isascii() and port.isdigit() and len(port) < 6):
                raise ValueError(f"{prefix}PORT must be a number up to 65535, not {str(port)[:20]!r}")
            changes["port"] = int(port)
        changes = {name: given for name, given in changes.items() if given is not None}
        fields = {} if url is None else _fields_of_url(secret(url), None, False)
        if "security" in changes and fields and "port" not in changes:
            changes["port"] = port_for(changes["security"], fields["security"], fields["port"])
        account = cls(**(fields | changes))
        references: dict[str, Any] = {}
        if lasting and "password" in changes:
            as_password = token and not isinstance(account.auth, OAuth2)
            references["password"] = PasswordEnv(prefix + ("TOKEN" if as_password else "PASSWORD"))
        if lasting and isinstance(account.auth, OAuth2):
            references["auth"] = OAuth2(PasswordEnv(prefix + "TOKEN"))
        return evolve(account, **references)

    # --- the account as a value ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The POP URL of this account, without the password."""
        from urllib.parse import quote

        scheme = next(name for name, security in _SCHEMES.items() if security == self.security)
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host
        user = quote(self.user, safe="") + "@" if self.user else ""
        return f"{scheme}://{user}{host}:{self.port}"

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {one.name: getattr(self, one.name) for one in fields(type(self))}
        kept |= {"password": _picklable(self.password, "password"), "auth": _picklable_auth(self.auth)}
        return _unpickled, (type(self), kept)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self


def _unpickled(kind: type[Account], kept: dict[str, Any]) -> Account:
    return kind(**kept)


def _fields_of_url(url: str, password: AsyncPassword | None, refuse_password: bool) -> dict[str, Any]:
    """Return what a POP URL says, as the fields of an `Account`."""
    if not isinstance(url, str):
        raise TypeError(f"a POP URL must be a str, not {type_name(url)}")
    parts = _split(url)
    if parts is None:
        raise ValueError("not a valid POP URL; expected pops://user@host:port")
    scheme, host, port, login, written, more = parts
    if scheme not in _SCHEMES:
        raise ValueError(f"a POP URL begins with pops://, pop+starttls:// or pop://, not {scheme!r}")
    if not host:
        raise ValueError("the POP URL names no host")
    if more:
        raise ValueError(
            "unexpected text after the port; percent-encode / ? # as %2F %3F %23 in the user name or password"
        )
    if written is not None and refuse_password:
        raise ValueError("a password in a URL can be read by others: give it in another way")
    if written is not None and "@" in login + written:
        raise ValueError("an @ in the user name or password of a URL is written %40, and a : in the user name %3A")
    name, semicolon, option = login.partition(";")
    auth = str(_unquoted(option[5:])).removeprefix("+")
    if semicolon and not (option[:5].upper() == "AUTH=" and ";" not in option and _AUTH.fullmatch(auth)):
        raise ValueError("only one ;AUTH=mechanism may follow the user name (a ; in the user name is written %3B)")
    security = _SCHEMES[scheme]
    return {
        "host": host,
        "user": str(_unquoted(name)) or None,
        "password": secret(_unquoted(written) if password is None and written is not None else password),
        "port": default_port(security) if port is None else port,
        "security": security,
        "auth": None if auth in ("", "*") else auth,
    }


def _split(url: str) -> tuple[str, str | None, int | None, str, Secret | None, bool] | None:
    """Return scheme, host, port, user with options, password, and whether there is more; None for what is no URL.

    What urllib says of one would show the password.
    """
    if any(c <= " " or c == "\x7f" for c in url):  # urllib drops some of these without a word
        return None
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    found = host_and_port(parts.netloc.rpartition("@")[2])
    if found is None:
        return None
    more = parts.path not in ("", "/") or bool(parts.query or parts.fragment)
    return parts.scheme, *found, parts.username or "", secret(parts.password), more


#: A mechanism's name (RFC 4422 §3.1), in either case; RFC 2384 has * for any.
_AUTH = re.compile(r"[A-Za-z0-9_-]{1,20}|\*")

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+)(?:%25(?P<zone>[A-Za-z0-9._~-]+))?\]|(?P<name>[^:\[\]%]*))(?::(?P<port>[0-9]{0,5}))?"
)


def host_and_port(text: str) -> tuple[str, int | None] | None:
    """Read the last part of a URL's authority (RFC 3986 §3.2), all of it; None for what is neither host nor port.

    In brackets is an IPv6 address, which may have a zone (RFC 6874). A name is in lower case, and has no percents.
    """
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        return None
    if match["address"] is None:
        return match["name"].lower(), port
    host = match["address"].lower() + ("%" + match["zone"] if match["zone"] else "")
    return (host, port) if _is_ipv6(host) else None


def bad_escapes(text: str) -> bool:
    """Whether a percent sign in a text is not followed by two hexadecimal digits (RFC 3986 §2.1)."""
    return _BAD_ESCAPE.search(text) is not None


def _unquoted(text: str) -> Secret:
    """Decode percents; ValueError where one begins no escape, or they are not UTF-8, without showing it."""
    from urllib.parse import unquote

    text = secret(text)
    if bad_escapes(text):
        raise ValueError(
            "a % in a URL is followed by two hexadecimal digits; a % in the user name or password is written %25"
        )
    try:
        return secret(unquote(text, errors="strict"))
    except UnicodeDecodeError:
        pass
    raise ValueError("invalid UTF-8 in a percent-encoded part of the URL")
