"""Proxy: a connection through SOCKS5, SOCKS4 or HTTP CONNECT, by the library python-socks (the extra `proxy`).

The proxy resolves the host's name, so nothing of it shows in the local DNS. A proxy on this machine does not make the
server one of this machine: for what may go in clear text only the server counts.

What the library cannot carry is refused before anything is connected, as its own errors would show it; whatever it
makes of a proxy's reply is `ConnectionLost`. One deadline covers the connection to the proxy and all steps with it.
"""

import re
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from pymailbox.account import Security, bad_escapes, host_and_port
from pymailbox.display import Secret, Secrets, safe_text, secret, type_name
from pymailbox.errors import ConnectionLost, MailboxError, NotSupported, Timeout
from pymailbox.pop3.deadlines import Left

if TYPE_CHECKING:
    from python_socks import ProxyType

__all__ = ["Dial", "DialAsync", "check", "connect", "connect_async"]

#: Connects to a host and port within the time that is left, from a local address where there is one.
Dial = Callable[[str, int, Left, tuple[str, int] | None], socket.socket]
DialAsync = Callable[[str, int, Left, tuple[str, int] | None], Awaitable[socket.socket]]

_SCHEMES = ("socks5", "socks4", "http")
_STATUS = re.compile(rb"HTTP/[0-9]\.[0-9] +[0-9]{3}(?:[ \r]|$)")
_LONGEST_HEAD = 16384  # octets of an HTTP proxy's reply


def check(url: str, security: Security, host: str) -> None:
    """Refuse what is not a proxy's URL, or cannot reach `host`, with ValueError; `NotSupported` without the library."""
    if not isinstance(url, str):
        raise TypeError(f"proxy must be a str, not {type_name(url)}")
    url = secret(url)
    problem = _problem(url)
    if problem:
        raise ValueError(
            f"a proxy is given as socks5://user:password@host:port, socks4://user@host:port or"
            f" http://user:password@host:port: {problem}"
        )
    if url.lower().startswith("http") and security != "tls":
        # The greeting can arrive with the proxy's own reply, and the library drops what follows that.
        raise ValueError('an HTTP proxy needs security="tls", where the server does not speak first')
    if url.lower().startswith("socks4") and ":" in host:
        raise ValueError("a SOCKS4 proxy cannot reach an IPv6 address; use socks5")
    try:
        import python_socks  # noqa: F401 - only to know it early
    except ImportError as error:
        raise NotSupported("a proxy needs the library python-socks: pip install 'pymailbox[proxy]'") from error


def _problem(url: str) -> str | None:
    if any(c <= " " or c == "\x7f" for c in url):
        return "it has spaces or control characters"
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return "this is not a URL"
    scheme = parts.scheme
    if scheme not in _SCHEMES:
        return f"its scheme is {safe_text(scheme)!r}" if scheme and "://" in url else "it has no scheme"
    userinfo, at, place = parts.netloc.rpartition("@")
    if not all(host_and_port(place) or (None,)):
        return "it has no host or no port"
    if "@" in userinfo:
        return "an @ in its user or password is written %40"
    if bad_escapes(userinfo):
        return "a % in its user or password is written %25"
    more = parts.path not in ("", "/") or parts.query or parts.fragment
    user, password = (secret(unquote(value or "")) for value in (parts.username, parts.password))
    del parts, userinfo
    if more:
        return "it has text after the port; percent-encode / ? # in the user name or password"
    if any(c < " " or c == "\x7f" for c in user + password):
        return "its user or password has control characters"
    if len(user.encode()) > 255 or len(password.encode()) > 255:
        return "its user or password has more than 255 octets"
    if at and not user:
        return "it has a password without a user"
    if scheme == "socks5" and at and not password:  # RFC 1929 §2: each has 1 to 255 octets
        return "socks5 carries a user only with a password"
    if scheme == "socks4" and password:
        return "socks4 carries a user, and no password"
    carried = range(0x100) if scheme == "http" else range(0x80)
    if any(ord(c) not in carried for c in user + password) or (scheme == "http" and ":" in user):
        return f"its user or password has characters that {scheme} cannot carry"
    return None


class _ProxySocket(socket.socket):
    """The connection to a proxy while it is asked, with one deadline for all that is sent and received.

    Of an HTTP proxy's reply exactly the head is taken, in however many pieces it comes: what follows is the server's.
    """

    left: Left | None = None  # None where the event loop keeps the deadline
    http = False
    _head = b""

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        if self.left is not None:
            self.settimeout(self.left())
        super().sendall(data, flags)

    def recv(self, size: int, _: int = 0, /) -> bytes:
        if not self.http:
            return self._receive(size)
        while not self._head.endswith(b"\r\n\r\n"):
            if len(self._head) >= _LONGEST_HEAD:
                raise ConnectionLost("its reply does not end")
            octet = self._receive(1)  # raises BlockingIOError over asyncio, and all this is called again
            if not octet:
                break
            self._head += octet
        if self._head and not _STATUS.match(self._head):  # the library would take digits of any script
            raise ConnectionLost("its reply has no HTTP status line")
        return self._head

    def _receive(self, size: int) -> bytes:
        while self.left is not None:
            self.settimeout(self.left())  # raises when the time is over
            try:
                return super().recv(size)
            except TimeoutError:
                continue
        return super().recv(size)


def _asking(sock: socket.socket, url: Secret, left: Left | None) -> _ProxySocket:
    asking = _ProxySocket(sock.family, sock.type, sock.proto, sock.detach())
    asking.left, asking.http = left, url.lower().startswith("http")
    return asking


def _handed_on(asking: socket.socket) -> socket.socket:
    return socket.socket(asking.family, asking.type, asking.proto, asking.detach())


class _Connected:
    """What the library takes for another proxy before its own: here the connection that was made to it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def connect(self, **_: object) -> socket.socket:
        return self._sock


class _ConnectedAsync(_Connected):
    async def connect(self, **_: object) -> socket.socket:  # type: ignore[override] # the same for asyncio
        return self._sock


def connect(
    url: Secret, host: str, port: int, left: Left, source_address: tuple[str, int] | None, dial: Dial
) -> socket.socket:
    """Connect to `host` through the proxy; `dial` connects to the proxy itself."""
    from python_socks.sync import Proxy

    kind, proxy_host, proxy_port, user, password = _parts(url)
    try:
        asking = _asking(dial(proxy_host, proxy_port, left, source_address), url, left)
    except MailboxError as error:
        raise _failure(url, host, port, error) from error
    try:
        way = cast(Any, _Connected(asking))
        made = Proxy(kind, proxy_host, proxy_port, user, password, rdns=True, forward=way)
        made.connect(_asked(url, host), port)
        return _handed_on(asking)
    except Exception as error:  # of the library, whatever it makes of a reply
        failure = _failure(url, host, port, error)
    finally:
        asking.close()  # which is nothing where it was handed on
    raise failure


async def connect_async(
    url: Secret, host: str, port: int, left: Left, source_address: tuple[str, int] | None, dial: DialAsync
) -> socket.socket:
    """Connect to `host` through the proxy within the time that is left, on the running event loop."""
    from python_socks.async_.asyncio import Proxy

    kind, proxy_host, proxy_port, user, password = _parts(url)
    try:
        asking = _asking(await dial(proxy_host, proxy_port, left, source_address), url, None)
    except MailboxError as error:
        raise _failure(url, host, port, error) from error
    try:
        asking.setblocking(False)
        way = cast(Any, _ConnectedAsync(asking))
        made = Proxy(kind, proxy_host, proxy_port, user, password, rdns=True, forward=way)
        await made.connect(_asked(url, host), port, timeout=left() or _LONG)
        return _handed_on(asking)
    except Exception as error:  # of the library, whatever it makes of a reply
        failure = _failure(url, host, port, error)
    finally:
        asking.close()  # which is nothing where it was handed on
    raise failure


def _parts(url: Secret) -> "tuple[ProxyType, str, int, str, Secret]":
    """Return what the library takes; its own reading of a URL drops a user without a password."""
    from urllib.parse import unquote, urlsplit

    from python_socks import ProxyType

    parts = urlsplit(url)
    host, port = host_and_port(parts.netloc.rpartition("@")[2]) or ("", None)
    user, password = unquote(parts.username or ""), secret(unquote(parts.password or ""))
    return ProxyType[parts.scheme.upper()], host, port or 0, user, password


def _asked(url: Secret, host: str) -> str:
    """Return the host as the proxy is asked for it: in ASCII, and an IPv6 address as in a URL for HTTP."""
    if ":" in host and url.lower().startswith("http"):
        return f"[{host}]"
    return host if host.isascii() else host.encode("idna").decode("ascii")


_LONG = 86400.0  # seconds; the library takes no None for "without bound"


def _failure(url: Secret, host: str, port: int, error: Exception) -> MailboxError:
    """Say what the proxy said. The library's error is no cause: its frames hold the password, its text an echo."""
    from python_socks import ProxyError, ProxyTimeoutError

    if isinstance(error, ProxyTimeoutError | TimeoutError):
        return Timeout(f"the proxy {_shown(url)} did not make the connection in time")
    known = Secrets()
    known.add(_parts(url)[-1])
    said = "its reply cannot be read"
    if isinstance(error, ProxyError | OSError):
        said = safe_text(known.redact(error.problem if isinstance(error, MailboxError) else str(error)))
    return ConnectionLost(f"the proxy {_shown(url)} did not connect to {host}:{port} ({said})")


def _shown(url: Secret) -> str:
    return url.rpartition("@")[2] if "@" in url else str(url)
