"""Proxy: a connection through SOCKS5, SOCKS4 or HTTP CONNECT, by the library python-socks (the extra `proxy`).

The proxy resolves the host's name, so nothing of it shows in the local DNS. A proxy on this machine does not make the
server one of this machine: for what may go in clear text only the server counts.
"""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from pymailbox.account import Security
from pymailbox.display import Secret, Secrets, printable, secret
from pymailbox.errors import ConnectionLost, MailboxError, NotSupported, Timeout

if TYPE_CHECKING:
    from python_socks import ProxyType

__all__ = ["check", "connect", "connect_async"]

_SCHEMES = ("socks5", "socks4", "http")


def check(url: str, security: Security) -> None:
    """Refuse what is not a proxy's URL with ValueError; `NotSupported` without the library."""
    if not isinstance(url, str):
        raise TypeError(f"proxy must be a str, not {type(url).__name__}")
    url = secret(url)
    problem = _problem(url)
    if problem:
        raise ValueError(f"a proxy is given as socks5://user:password@host:port (or socks4, http): {problem}")
    if url.lower().startswith("http") and security != "tls":
        # The greeting can arrive with the proxy's own reply, and the library drops what follows that.
        raise ValueError('an HTTP proxy needs security="tls", where the server does not speak first')
    try:
        import python_socks  # noqa: F401 - only to know it early
    except ImportError as error:
        raise NotSupported("a proxy needs the library python-socks: pip install 'pymailbox[proxy]'") from error


def _problem(url: str) -> str | None:
    if any(c <= " " or c == "\x7f" for c in url):
        return "it has blanks or control characters"
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
        if not (parts.hostname and parts.port):
            return "it has no host or no port"
    except ValueError:
        return "it has no port number"
    scheme, more = parts.scheme, parts.path not in ("", "/") or parts.query or parts.fragment
    given = [secret(unquote(value or "")) for value in (parts.username, parts.password)]
    del parts
    if scheme not in _SCHEMES:
        return f"its scheme is {scheme!r}"
    if more:
        return "it has text after the port; percent-encode / ? # in the user name or password"
    if any(c < " " or c == "\x7f" for value in given for c in value):
        return "its user or password has control characters"
    user, password = given
    if len(user.encode()) > 255 or len(password.encode()) > 255:
        return "its user or password has more than 255 octets"
    if (scheme == "socks4" and not user.isascii()) or (scheme == "http" and ":" in user):
        return f"its user has characters that {scheme} cannot carry"
    return None


def connect(
    url: Secret, host: str, port: int, left: Callable[[], float | None], source_address: tuple[str, int] | None = None
) -> socket.socket:
    """Connect to `host` through the proxy.

    The time that is left bounds each step with the proxy, which is few; it is trusted so far.
    """
    from python_socks import ProxyError, ProxyTimeoutError
    from python_socks.sync import Proxy

    try:
        made = Proxy(*_parts(url), rdns=True)
        return made.connect(_asked(url, host), port, timeout=left() or _LONG, local_addr=source_address)
    except (ProxyTimeoutError, TimeoutError):
        failure: MailboxError = _late(url)
    except (ProxyError, OSError) as error:
        failure = _refused(url, host, port, error)
    raise failure


async def connect_async(
    url: Secret, host: str, port: int, left: Callable[[], float | None], source_address: tuple[str, int] | None = None
) -> socket.socket:
    """Connect to `host` through the proxy within the time that is left, on the running event loop."""
    from python_socks import ProxyError, ProxyTimeoutError
    from python_socks.async_.asyncio import Proxy

    try:
        made = Proxy(*_parts(url), rdns=True)
        return await made.connect(_asked(url, host), port, timeout=left() or _LONG, local_addr=source_address)
    except (ProxyTimeoutError, TimeoutError):
        failure: MailboxError = _late(url)
    except (ProxyError, OSError) as error:
        failure = _refused(url, host, port, error)
    raise failure


def _parts(url: Secret) -> "tuple[ProxyType, str, int, str, Secret]":
    """Return what the library takes; its own reading of a URL drops a user without a password."""
    from urllib.parse import unquote, urlsplit

    from python_socks import ProxyType

    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), secret(unquote(parts.password or ""))
    return ProxyType[parts.scheme.upper()], parts.hostname or "", parts.port or 0, user, password


def _asked(url: Secret, host: str) -> str:
    """Return the host as the proxy is asked for it: in ASCII, and an IPv6 address as in a URL for HTTP."""
    if ":" in host and url.lower().startswith("http"):
        return f"[{host}]"
    return host if host.isascii() else host.encode("idna").decode("ascii")


_LONG = 86400.0  # seconds; the library takes no None for "without bound"


def _late(url: Secret) -> Timeout:
    return Timeout(f"the proxy {_shown(url)} did not make the connection in time")


def _refused(url: Secret, host: str, port: int, error: Exception) -> ConnectionLost:
    """Say what the proxy said. The library's error is no cause: its frames hold the password, its text an echo."""
    known = Secrets()
    known.add(_parts(url)[-1])
    said = printable(known.redact(str(error)))
    return ConnectionLost(f"the proxy {_shown(url)} did not connect to {host}:{port} ({said})")


def _shown(url: Secret) -> str:
    return url.rpartition("@")[2] if "@" in url else str(url)
