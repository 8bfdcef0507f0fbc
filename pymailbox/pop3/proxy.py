"""Proxy: a connection through SOCKS5, SOCKS4 or HTTP CONNECT, using the library python-socks (the extra `proxy`).

The proxy resolves the host name, so it does not appear in local DNS queries. A proxy on this machine does not make the
server local: only the server's own address decides what may be sent unencrypted.

Credentials that the library cannot send are refused before connecting, as its own errors would show them. Whatever it
raises over a proxy's reply becomes `ConnectionLost`. One deadline covers connecting to the proxy and all steps with it.
"""

import re
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from pymailbox.display import Secret, Secrets, safe_text, secret, type_name
from pymailbox.errors import ConnectionLost, MailboxError, NotSupported, Timeout
from pymailbox.pop3.deadlines import Left
from pymailbox.pop_url import Security, bad_escapes, host_and_port

if TYPE_CHECKING:
    from python_socks import ProxyType

__all__ = ["Dial", "DialAsync", "check", "connect", "connect_async"]

#: Connects to a host and port within the time left, from a local address if one is given.
Dial = Callable[[str, int, Left, tuple[str, int] | None], socket.socket]
DialAsync = Callable[[str, int, Left, tuple[str, int] | None], Awaitable[socket.socket]]

_SCHEMES = ("socks5", "socks4", "http")
_STATUS = re.compile(rb"HTTP/[0-9]\.[0-9] +[0-9]{3}(?:[ \r]|$)")
_LONGEST_HEAD = 16384  # bytes in the head of an HTTP proxy's reply


def check(url: str, security: Security, host: str) -> None:
    """Raise ValueError for an invalid URL or a proxy that cannot reach `host`, `NotSupported` without the library."""
    if not isinstance(url, str):
        raise TypeError(f"proxy must be a str, not {type_name(url)}")
    url = secret(url)
    problem = _problem(url)
    if problem:
        raise ValueError(
            f"invalid proxy URL: {problem}; expected socks5://user:password@host:port, socks4://user@host:port or"
            " http://user:password@host:port"
        )
    if url.lower().startswith("http") and security != "tls":
        # The greeting can arrive with the proxy's own reply, and the library drops whatever follows that reply.
        raise ValueError('an HTTP proxy needs security="tls", because otherwise the greeting may get lost')
    if url.lower().startswith("socks4") and ":" in host:
        raise ValueError("a SOCKS4 proxy cannot reach an IPv6 address; use socks5")
    try:
        import python_socks  # noqa: F401 - to fail early
    except ImportError as error:
        raise NotSupported("a proxy needs the library python-socks: pip install 'pymailbox[proxy]'") from error


def _problem(url: str) -> str | None:
    if any(c <= " " or c == "\x7f" for c in url):
        return "spaces or control characters"
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return "not a URL"
    scheme = parts.scheme
    if scheme not in _SCHEMES:
        return f"unsupported scheme {safe_text(scheme)!r}" if scheme and "://" in url else "no scheme"
    userinfo, at, place = parts.netloc.rpartition("@")
    if not all(host_and_port(place) or (None,)):
        return "missing or invalid host or port"
    if "@" in userinfo:
        return "percent-encode @ in the user name or password as %40"
    if bad_escapes(userinfo):
        return "percent-encode % in the user name or password as %25"
    more = parts.path not in ("", "/") or parts.query or parts.fragment
    user, password = (secret(unquote(value or "")) for value in (parts.username, parts.password))
    del parts, userinfo
    if more:
        return "unexpected text after the port (percent-encode / ? # in the user name or password)"
    if any(c < " " or c == "\x7f" for c in user + password):
        return "control characters in the user name or password"
    if len(user.encode()) > 255 or len(password.encode()) > 255:
        return "user name or password longer than 255 bytes"
    if at and not user:
        return "a password without a user name"
    if scheme == "socks5" and at and not password:  # RFC 1929 §2: each has 1 to 255 octets
        return "socks5 needs a password with the user name"
    if scheme == "socks4" and password:
        return "socks4 takes a user name but no password"
    carried = range(0x100) if scheme == "http" else range(0x80)
    if any(ord(c) not in carried for c in user + password) or (scheme == "http" and ":" in user):
        return f"user name or password with characters that {scheme} cannot send"
    return None


class _ProxySocket(socket.socket):
    """The connection to a proxy during its handshake, with one deadline for everything sent and received.

    Only the head of an HTTP proxy's reply is read, in however many pieces it arrives; what follows is the server's.
    """

    left: Left | None = None  # None if the event loop keeps the deadline
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
                raise ConnectionLost("the head of its reply is too long")
            byte = self._receive(1)  # raises BlockingIOError over asyncio; then the library calls recv again
            if not byte:
                break
            self._head += byte
        if self._head and not _STATUS.match(self._head):  # the library would accept digits of any script
            raise ConnectionLost("its reply has no HTTP status line")
        return self._head

    def _receive(self, size: int) -> bytes:
        while self.left is not None:
            self.settimeout(self.left())  # raises when the time is up
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
    """The connection already made to the proxy, in the role of the library's preceding proxy."""

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
    except Exception as error:  # whatever the library raises over a reply
        failure = _failure(url, host, port, error)
    finally:
        asking.close()  # does nothing after `_handed_on`
    raise failure


async def connect_async(
    url: Secret, host: str, port: int, left: Left, source_address: tuple[str, int] | None, dial: DialAsync
) -> socket.socket:
    """Connect to `host` through the proxy within the time left, on the running event loop."""
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
    except Exception as error:  # whatever the library raises over a reply
        failure = _failure(url, host, port, error)
    finally:
        asking.close()  # does nothing after `_handed_on`
    raise failure


def _parts(url: Secret) -> "tuple[ProxyType, str, int, str, Secret]":
    """Return the library's arguments; its own URL parser drops a user without a password."""
    from urllib.parse import unquote, urlsplit

    from python_socks import ProxyType

    parts = urlsplit(url)
    host, port = host_and_port(parts.netloc.rpartition("@")[2]) or ("", None)
    user, password = unquote(parts.username or ""), secret(unquote(parts.password or ""))
    return ProxyType[parts.scheme.upper()], host, port or 0, user, password


def _asked(url: Secret, host: str) -> str:
    """Return the host in the form that the proxy expects: in ASCII, and for HTTP an IPv6 address in brackets."""
    if ":" in host and url.lower().startswith("http"):
        return f"[{host}]"
    return host if host.isascii() else host.encode("idna").decode("ascii")


_LONG = 86400.0  # seconds; the library would replace None by its own default


def _failure(url: Secret, host: str, port: int, error: Exception) -> MailboxError:
    """Return the error for a failed connection, quoting the proxy.

    The library's error must not become its cause: the frames hold the password, and the text may echo it.
    """
    from python_socks import ProxyError, ProxyTimeoutError

    if isinstance(error, ProxyTimeoutError | TimeoutError):
        return Timeout(f"the proxy {_shown(url)} did not connect to {host}:{port} in time")
    known = Secrets()
    known.add(_parts(url)[-1])
    reason = "its reply is invalid"
    if isinstance(error, ProxyError | OSError):
        reason = safe_text(known.redact(error.problem if isinstance(error, MailboxError) else str(error)))
    return ConnectionLost(f"the proxy {_shown(url)} did not connect to {host}:{port} ({reason})")


def _shown(url: Secret) -> str:
    return url.rpartition("@")[2] if "@" in url else str(url)
