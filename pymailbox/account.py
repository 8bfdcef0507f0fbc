"""Account: where a mailbox is and how to get in, as a value.

Pure: nothing here connects. A POP URL (RFC 2384) names host, port and user; `pop://` is without TLS, `pops://` is
TLS from the first octet, `pop+starttls://` asks for TLS before anything else is said.
"""

import urllib.parse
from collections.abc import Callable
from typing import Any, Literal, Self

from attrs import Attribute, field, frozen

__all__ = ["Account", "Security", "default_port"]

Security = Literal["tls", "starttls", "none"]

_SCHEMES: dict[str, Security] = {"pop": "none", "pops": "tls", "pop+starttls": "starttls"}


def default_port(security: Security) -> int:
    """Return 995 for implicit TLS (RFC 8314 §3.2), else 110 (RFC 1939 §3)."""
    return 995 if security == "tls" else 110


def _check_host(_: object, attribute: "Attribute[Any]", host: object) -> None:
    if not isinstance(host, str):
        raise TypeError(f"{attribute.name} must be a str, not {type(host).__name__}")
    if not host or any(c.isspace() or not c.isprintable() for c in host):
        raise ValueError(f"{host!r} is no host name or address")


def _check_port(_: object, attribute: "Attribute[Any]", port: object) -> None:
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"{attribute.name} must be a whole number, not {port!r}")
    if not 0 < port < 65536:
        raise ValueError(f"{attribute.name} must be between 1 and 65535, not {port}")


def _check_security(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value not in ("tls", "starttls", "none"):
        raise ValueError(f'{attribute.name} must be "tls", "starttls" or "none", not {value!r}')


@frozen
class Account:
    """Where a mailbox is and how to get in.

    >>> from pymailbox import Account
    >>> Account.from_url("pops://me%40example.com@pop.example.com")
    Account(host='pop.example.com', user='me@example.com', security='tls', port=995)
    """

    host: str = field(validator=_check_host)
    user: str | None = None
    #: A string, or a callable without arguments that returns one when it is needed. Never shown.
    password: str | Callable[[], str] | None = field(default=None, repr=False)
    security: Security = field(default="tls", validator=_check_security, kw_only=True)
    port: int = field(validator=_check_port, kw_only=True)
    #: A mechanism, `OAuth2(...)`, or a mechanism's name; None picks the strongest.
    auth: Any = field(default=None, repr=False, kw_only=True)

    @port.default
    def _default_port(self) -> int:
        return default_port(self.security)

    @classmethod
    def from_url(cls, url: str, password: str | Callable[[], str] | None = None) -> Self:
        """Read a POP URL (RFC 2384): `pops://user;auth=PLAIN@host:port`; `password` wins over one in the URL."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise ValueError(f"a POP URL begins with pops://, pop+starttls:// or pop://, not {parts.scheme!r}")
        if not parts.hostname:
            raise ValueError("the POP URL names no host")
        security = _SCHEMES[parts.scheme]
        name, _, options = (parts.username or "").partition(";")
        auth = options[5:] if options.upper().startswith("AUTH=") else None
        if password is None and parts.password is not None:
            password = urllib.parse.unquote(parts.password)
        return cls(
            parts.hostname,
            urllib.parse.unquote(name) or None,
            password,
            port=default_port(security) if parts.port is None else parts.port,
            security=security,
            auth=None if auth in (None, "*") else urllib.parse.unquote(auth or "").lstrip("+"),
        )

    @property
    def url(self) -> str:
        """The POP URL of this account, without the password."""
        scheme = next(name for name, security in _SCHEMES.items() if security == self.security)
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = urllib.parse.quote(self.user, safe="") + "@" if self.user else ""
        return f"{scheme}://{user}{host}:{self.port}"
