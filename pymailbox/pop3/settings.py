"""ConnectionSettings: where to connect and how, as one value, checked before a connection is made."""

import time
from typing import TYPE_CHECKING, Any

from attrs import Attribute, field, frozen

from pymailbox.account import Security, check_host, check_port, check_security
from pymailbox.display import Secret, secret
from pymailbox.pop3 import proxy as proxies
from pymailbox.pop3.deadlines import Clock, checked_timeout
from pymailbox.pop3.limits import Limits

if TYPE_CHECKING:
    import socket
    import ssl

__all__ = ["ConnectionSettings"]


def _hidden(proxy: str | None) -> Secret | None:
    return secret(proxy)


def _check_timeout(_: object, __: "Attribute[Any]", value: float | None) -> None:
    checked_timeout(value)


def _or_default(limits: Limits | None) -> Limits:
    return Limits() if limits is None else limits


def _check_limits(_: object, __: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, Limits):
        raise TypeError(f"limits must be a Limits, not {type(value).__name__}")


def _check_socket(_: object, __: "Attribute[Any]", value: object) -> None:
    if value is not None and not hasattr(value, "recv"):
        raise TypeError(f"sock must be a connected socket, not {type(value).__name__}")


def _check_context(_: object, __: "Attribute[Any]", value: object) -> None:
    if value is not None and not hasattr(value, "wrap_socket"):
        raise TypeError(f"ssl_context must be an ssl.SSLContext, not {type(value).__name__}")


def _check_switch(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if not (isinstance(value, bool) or (value is None and attribute.default is None)):
        choice = "True, False or None" if attribute.default is None else "True or False"
        raise TypeError(f"{attribute.name} must be {choice}, not {value!r}")


def _check_source(_: object, __: "Attribute[Any]", value: object) -> None:
    if value is not None and not (isinstance(value, tuple) and len(value) == 2):
        raise TypeError(f"source_address must be a pair (address, port), not {value!r}")


def _check_proxy(settings: "ConnectionSettings", _: "Attribute[Any]", value: str | None) -> None:
    if value is not None:
        proxies.check(value, settings.security, settings.host)


@frozen(kw_only=True, eq=False)
class ConnectionSettings:
    """Where to connect and how; raises ValueError or TypeError for an invalid field.

    `evolve(settings, pipelining=False)` returns a copy with a change.

    Converters never raise: a traceback may show the object under construction, so all its fields must be set.
    """

    host: str = field(validator=check_host)
    security: Security = field(default="tls", validator=check_security)
    port: int = field(validator=check_port)
    #: None: `tls.verified()`, which trusts the system's authorities.
    ssl_context: "ssl.SSLContext | None" = field(default=None, repr=False, validator=_check_context)
    #: Seconds of silence; None waits forever.
    timeout: float | None = field(default=60.0, validator=_check_timeout)
    #: None: the defaults.
    limits: Limits = field(factory=Limits, converter=_or_default, validator=_check_limits)
    #: None: if the server advertises it. False: never.
    pipelining: bool | None = field(default=None, validator=_check_switch)
    #: Whether CAPA may be sent.
    capa: bool = field(default=True, validator=_check_switch)
    #: Whether a password may be sent without TLS.
    allow_plaintext: bool = field(default=False, validator=_check_switch)
    #: A URL, which may contain a password.
    proxy: Secret | None = field(default=None, repr=False, converter=_hidden, validator=_check_proxy)
    #: The local address and port to connect from.
    source_address: tuple[str, int] | None = field(default=None, validator=_check_source)
    #: A connected socket, good for one session.
    sock: "socket.socket | None" = field(default=None, repr=False, validator=_check_socket)
    clock: Clock = field(default=time.monotonic, repr=False)
