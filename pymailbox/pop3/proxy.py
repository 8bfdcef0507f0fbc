"""Proxy: a connection through SOCKS5, SOCKS4 or HTTP CONNECT, by the library python-socks (the extra `proxy`).

The proxy resolves the host's name, so nothing of it shows in the local DNS. A proxy on this machine does not make the
server one of this machine: for what may go in clear text only the server counts.
"""

import socket
from collections.abc import Callable

from pymailbox.account import Security
from pymailbox.errors import ConnectionLost, NotSupported, Timeout
from pymailbox.secrets import Secret, secret

__all__ = ["checked", "connect", "connect_async"]

_SCHEMES = ("socks5", "socks4", "http")


def checked(url: str, security: Security) -> Secret:
    """Return a proxy's URL as a secret; ValueError for one that is none, `NotSupported` without the library."""
    url = secret(url)
    problem = _problem(url)
    if problem:
        raise ValueError(f"a proxy is given as socks5://user:password@host:port (or socks4, http): {problem}")
    if url.startswith("http") and security != "tls":
        # The greeting can arrive with the proxy's own reply, and the library drops what is behind that.
        raise ValueError('an HTTP proxy needs security="tls", where the server does not speak first')
    try:
        import python_socks  # noqa: F401 - only to know it early
    except ImportError as error:
        raise NotSupported("a proxy needs the library python-socks: pip install 'pymailbox[proxy]'") from error
    return Secret(url)


def _problem(url: str) -> str | None:
    if any(c <= " " or c == "\x7f" for c in url):
        return "it has blanks or control characters"
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            return f"its scheme is {parts.scheme!r}"
        return None if parts.hostname and parts.port else "it has no host or no port"
    except ValueError:
        return "it has no port number"


def connect(
    url: Secret, host: str, port: int, left: Callable[[], float | None], source_address: tuple[str, int] | None = None
) -> socket.socket:
    """Connect to `host` through the proxy.

    The time that is left bounds each step with the proxy, which is few; it is trusted so far.
    """
    from python_socks import ProxyError, ProxyTimeoutError
    from python_socks.sync import Proxy

    try:
        return Proxy.from_url(url).connect(host, port, timeout=left() or _LONG, local_addr=source_address)
    except (ProxyTimeoutError, TimeoutError) as error:
        raise _late(url) from error
    except (ProxyError, OSError) as error:
        raise _refused(url, host, port, error) from error


async def connect_async(
    url: Secret, host: str, port: int, left: Callable[[], float | None], source_address: tuple[str, int] | None = None
) -> socket.socket:
    """Connect to `host` through the proxy within the time that is left, on the running event loop."""
    from python_socks import ProxyError, ProxyTimeoutError
    from python_socks.async_.asyncio import Proxy

    try:
        return await Proxy.from_url(url).connect(host, port, timeout=left() or _LONG, local_addr=source_address)
    except (ProxyTimeoutError, TimeoutError) as error:
        raise _late(url) from error
    except (ProxyError, OSError) as error:
        raise _refused(url, host, port, error) from error


_LONG = 86400.0  # seconds; the library takes no None for "without bound"


def _late(url: Secret) -> Timeout:
    return Timeout(f"the proxy {_shown(url)} did not make the connection in time")


def _refused(url: Secret, host: str, port: int, error: Exception) -> ConnectionLost:
    return ConnectionLost(f"the proxy {_shown(url)} did not connect to {host}:{port} ({error})")


def _shown(url: Secret) -> str:
    return url.rpartition("@")[2] if "@" in url else str(url)
