"""A server is reached through SOCKS and HTTP proxies, the caller's socket, a source address and IDNA names."""

import asyncio
import base64
import contextlib
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pymailbox import Mailbox
from pymailbox.errors import ConnectionLost, MailboxError, NotSupported, Timeout, TLSError
from pymailbox.pop3 import AsyncConnection, Connection
from pymailbox.testing import Server
from tests import case
from tests.replay import WatchedClock, drip
from tests.timing import GENEROUS, ended

Serve = Callable[[socket.socket], "socket.socket | None"]


def exactly(client: socket.socket, count: int) -> bytes:
    """Read exactly `count` bytes."""
    read = b""
    while len(read) < count and (piece := client.recv(count - len(read))):
        read += piece
    return read


def pump(one: socket.socket, other: socket.socket) -> None:
    """Copy data in one direction until it ends or the connection breaks."""
    with contextlib.suppress(OSError):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        finally:
            other.shutdown(socket.SHUT_WR)


@contextmanager
def proxy(serve: Serve) -> Iterator[int]:
    """Run a proxy; `serve` does its handshake and returns the connection to the server."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(GENEROUS)
    threads: list[threading.Thread] = []

    def one(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(GENEROUS)
            server = serve(client)
            if server is not None:
                with server:
                    back = threading.Thread(target=pump, args=(server, client))
                    back.start()
                    pump(client, server)
                    ended(back)

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=one, args=(client,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listening.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        ended(accepting)
        ended(*threads)


class Socks5:
    """A minimal SOCKS5 proxy (RFC 1928, RFC 1929) that records the hosts it is asked for."""

    def __init__(self, port: int, *, refuse: int = 0, user: str = "", password: str = "") -> None:
        self.port, self.refuse, self.user, self.password = port, refuse, user, password
        self.asked: list[bytes] = []

    def __call__(self, client: socket.socket) -> socket.socket | None:
        """Serve one client."""
        version, count = exactly(client, 2)
        assert version == 5
        methods = exactly(client, count)
        wanted = 2 if self.user else 0
        client.sendall(bytes((5, wanted if wanted in methods else 255)))
        if self.user:
            _, length = exactly(client, 2)
            user = exactly(client, length)
            password = exactly(client, exactly(client, 1)[0])
            right = (user, password) == (self.user.encode(), self.password.encode())
            client.sendall(bytes((1, 0 if right else 1)))
            if not right:
                return None
        kind = exactly(client, 4)[3]
        if kind == 3:
            host = exactly(client, exactly(client, 1)[0])
        else:
            host = socket.inet_ntop(socket.AF_INET, exactly(client, 4)).encode()
        exactly(client, 2)
        self.asked.append(host)
        client.sendall(bytes((5, self.refuse, 0, 1, 0, 0, 0, 0, 0, 0)))
        return None if self.refuse else socket.create_connection(("127.0.0.1", self.port), GENEROUS)


class Connect:
    """A minimal HTTP CONNECT proxy (RFC 9110 §9.3.6)."""

    def __init__(self, port: int, *, status: str = "200 OK") -> None:
        self.port, self.status = port, status
        self.asked: list[bytes] = []

    def __call__(self, client: socket.socket) -> socket.socket | None:
        """Serve one client."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.asked.append(head)
        client.sendall(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
        reached = self.status.startswith("200")
        return socket.create_connection(("127.0.0.1", self.port), GENEROUS) if reached else None


async def async_stat(host: str, port: int, **options: Any) -> int:
    """Log in over asyncio, and return the number of messages."""
    async with AsyncConnection(host, port, timeout=GENEROUS, **options) as pop:
        await pop.login("me", "secret")
        return (await pop.stat()).count


# --- SOCKS ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_socks5_resolves_at_the_proxy(security: Any) -> None:
    """The proxy gets the name, which is not resolved locally; the certificate is verified for the server."""
    with Server([b"x\r\n"], security=security) as server, proxy(talk := Socks5(server.port)) as port:
        options = {"security": security, "ssl_context": server.client_context(), "proxy": f"socks5://127.0.0.1:{port}"}
        with Mailbox("localhost", "me", "secret", port=server.port, timeout=GENEROUS, **options) as inbox:
            assert len(inbox) == 1
        assert asyncio.run(async_stat("localhost", server.port, **options)) == 1
        assert talk.asked == [b"localhost", b"localhost"]


def test_socks5_sends_its_password() -> None:
    """RFC 1929; a wrong password is a typed error, and no password is shown."""
    with Server([b"x\r\n"], security="tls") as server:
        with proxy(Socks5(server.port, user="pro", password="s%Word")) as port:
            options = {"ssl_context": server.client_context(), "timeout": GENEROUS}
            url = f"socks5://pro:s%25Word@127.0.0.1:{port}"
            with Connection("localhost", server.port, proxy=url, **options) as pop:  # type: ignore[arg-type] # mixed values
                pop.login("me", "secret")
            wrong = Connection("localhost", server.port, proxy=url.replace("s%25", "x%25"), **options)  # type: ignore[arg-type] # mixed values
            with pytest.raises(ConnectionLost) as caught:
                wrong.open()
        assert "Word" not in f"{caught.value}{caught.value!r}{wrong!r}{vars(wrong)!r}"


def test_a_proxy_that_refuses_is_named() -> None:
    """Each of the eight refusals of RFC 1928 §6 is a ConnectionLost that names the proxy."""
    with proxy(talk := Socks5(0)) as port:
        url = f"socks5://127.0.0.1:{port}"
        for code in range(1, 9):
            talk.refuse = code
            with case(code):
                with pytest.raises(ConnectionLost, match=f"the proxy {url}"):
                    Connection("pop.example.com", proxy=url, timeout=GENEROUS).open()
                with pytest.raises(ConnectionLost, match=f"the proxy {url}"):
                    asyncio.run(async_stat("pop.example.com", 995, proxy=url))


def test_a_silent_proxy_is_a_timeout() -> None:
    """The deadline covers the proxy too."""

    def silent(client: socket.socket) -> None:
        while client.recv(100):
            pass

    with proxy(silent) as port:
        url = f"socks5://127.0.0.1:{port}"
        with pytest.raises(Timeout):
            Connection("pop.example.com", proxy=url, timeout=0.5).open()

        async def attempt() -> None:
            await AsyncConnection("pop.example.com", proxy=url, timeout=0.5).open()

        with pytest.raises(Timeout):
            asyncio.run(attempt())


def test_a_missing_proxy_is_connection_lost() -> None:
    """The error for a port on which nothing listens names the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionLost, match="the proxy"):
        Connection("pop.example.com", proxy=f"socks5://127.0.0.1:{port}", timeout=GENEROUS).open()


def test_a_proxy_on_this_machine_does_not_make_the_server_local() -> None:
    """No password is sent unencrypted to a remote server, although the socket's peer is loopback."""
    with Server(log_secrets=True) as server, proxy(Socks5(server.port)) as port:
        url = f"socks5://127.0.0.1:{port}"
        mailbox = Mailbox("pop.example.com", "me", "secret", port=110, security="none", proxy=url, timeout=GENEROUS)
        with pytest.raises(NotSupported, match="unencrypted"):
            mailbox.open()

        async def attempt() -> None:
            pop = AsyncConnection("pop.example.com", 110, security="none", proxy=url, timeout=GENEROUS)
            async with pop:
                await pop.login("me", "secret")

        with pytest.raises(NotSupported, match="unencrypted"):
            asyncio.run(attempt())
        received = {line for record in server.sessions for line in record.commands}
    assert received <= {"CAPA", "UTF8"}


# --- HTTP -----------------------------------------------------------------------------------------------------


def test_http_connect_carries_tls() -> None:
    """TLS works through CONNECT, with a password for the proxy."""
    with Server([b"x\r\n"], security="tls") as server, proxy(talk := Connect(server.port)) as port:
        url, context = f"http://pro:xy@127.0.0.1:{port}", server.client_context()
        with Connection("localhost", server.port, proxy=url, ssl_context=context, timeout=GENEROUS) as pop:
            pop.login("me", "secret")
        assert asyncio.run(async_stat("localhost", server.port, proxy=url, ssl_context=context)) == 1
    for head in talk.asked:
        assert head.startswith(f"CONNECT localhost:{server.port} HTTP/1.1\r\n".encode())
        assert base64.b64encode(b"pro:xy") in head


def test_an_http_proxy_that_refuses_is_connection_lost() -> None:
    """Every status except 2xx is ConnectionLost, as is a reply without a valid status line."""
    with proxy(talk := Connect(0)) as port:
        for talk.status in ("403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway", "nonsense"):
            with case(talk.status), pytest.raises(ConnectionLost, match="the proxy"):
                Connection("pop.example.com", proxy=f"http://127.0.0.1:{port}", timeout=GENEROUS).open()


@pytest.mark.parametrize("security", ["none", "starttls"])
def test_an_http_proxy_needs_tls_from_the_start(security: Any) -> None:
    """A server that speaks first could lose its greeting after the proxy's reply: ValueError at once."""
    with pytest.raises(ValueError, match='needs security="tls"'):
        Connection("pop.example.com", security=security, proxy="http://127.0.0.1:3128")


# --- the URL --------------------------------------------------------------------------------------------------


def test_an_invalid_proxy_url_is_a_value_error() -> None:
    """The error comes at once, and shows no password."""
    for url in (
        "",
        "127.0.0.1:1080",
        "socks5://",
        "socks5://h",
        "ftp://h:1",
        "socks5://h:x",
        "socks5://a:s3cret@h:99999999",
        "socks5://h\r\n:1",
    ):
        with case(url):
            with pytest.raises(ValueError, match="invalid proxy URL") as caught:
                Connection("pop.example.com", proxy=url)
            assert "s3cret" not in str(caught.value)
            for accepted in ("socks5://", "socks4://", "http://"):
                assert accepted in str(caught.value)
    for url, problem in (
        ("ftp://h", "unsupported scheme 'ftp'"),
        ("ftp://h:1", "unsupported scheme 'ftp'"),
        ("SOCKS6://h:1", "unsupported scheme 'socks6'"),
        ("s3cret:h", "no scheme"),
        ("h:1080", "no scheme"),
        ("socks5://h", "missing or invalid host or port"),
        ("http://me:s3cret%zz@h:1", "percent-encode % in the user name or password as %25"),
    ):
        with case(url):
            with pytest.raises(ValueError, match=f"^invalid proxy URL: {problem}; expected ") as caught:
                Connection("pop.example.com", proxy=url)
            assert "s3cret" not in str(caught.value)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library is NotSupported, before connecting."""
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(NotSupported, match=r"pymailbox\[proxy\]"):
        Connection("pop.example.com", proxy="socks5://127.0.0.1:1080")


# --- other connections ----------------------------------------------------------------------------------------


def test_the_callers_socket_is_used_and_closed() -> None:
    """TLS is started on it, and it is never replaced by a new connection."""
    with Server([b"x\r\n"], security="tls") as server:
        own = socket.create_connection((server.host, server.port))
        with Mailbox("localhost", "me", "secret", sock=own, ssl_context=server.client_context()) as inbox:
            assert len(inbox) == 1
        assert own.fileno() == -1


def test_the_source_address_is_used() -> None:
    """The connection comes from the given local address."""
    with (
        Server([b"x\r\n"]) as server,
        Connection(server.host, server.port, security="none", source_address=("127.0.0.3", 0)) as pop,
    ):
        assert pop._transport is not None
        assert pop._transport.sock.getsockname()[0] == "127.0.0.3"
        pop.login("me", "secret")


@pytest.mark.parametrize("host", ["pöp.invalid", "例え.invalid", "no-such-host.invalid"])
def test_unknown_hosts_are_connection_lost(host: str) -> None:
    """IDNA names are looked up in their ASCII form."""
    with pytest.raises(MailboxError, match="cannot find the host"):
        Connection(host, timeout=GENEROUS).open()


# --- requests and replies -------------------------------------------------------------------------------------

HIDDEN = "hunter2-hunter2"


def heard(scheme: str, host: str, answer: bytes, user: str = "") -> tuple[bytes, MailboxError]:
    """Ask for a host a proxy that sends one answer, or none; return the first bytes it received, and the error."""
    told: list[bytes] = []

    def serve(client: socket.socket) -> None:
        told.append(client.recv(4096))
        client.sendall(answer)
        client.recv(4096)

    with proxy(serve) as port, pytest.raises(MailboxError) as caught:
        timeout = GENEROUS if answer else 0.5
        Connection(host, proxy=f"{scheme}://{user}127.0.0.1:{port}", timeout=timeout).open()
    return b"".join(told), caught.value


def test_socks4_resolves_at_the_proxy_and_accepts_a_user_without_a_password() -> None:
    """Seen: the name was looked up locally, and the user dropped."""
    told, error = heard("socks4", "pop.invalid", b"\0\x5b" + bytes(6), "me@")
    assert told == b"\4\1" + (995).to_bytes(2) + b"\0\0\0\1me\0pop.invalid\0"
    assert "Request rejected" in str(error)


@pytest.mark.parametrize(
    ("host", "asked"), [("bücher.invalid", b"xn--bcher-kva.invalid:995"), ("2001:db8::1", b"[2001:db8::1]:995")]
)
def test_the_http_request_is_ascii(host: str, asked: bytes) -> None:
    """RFC 9110 §9.3.6: authority form. Seen: a name in raw UTF-8, and an address without brackets."""
    told, _ = heard("http", host, b"HTTP/1.1 502 no\r\n\r\n")
    assert told.startswith(b"CONNECT " + asked + b" HTTP/1.1\r\n")


@pytest.mark.parametrize("answer", [f"HTTP/1.1 407 no {HIDDEN}\r\n\r\n".encode(), f"junk {HIDDEN}\r\n\r\n".encode(), b""])  # fmt: skip
def test_a_password_echoed_by_the_proxy_is_not_shown(answer: bytes) -> None:
    """It appears neither in the error and its chain, nor in any variable of their frames, the library's included."""
    _, error = heard("http", "pop.invalid", answer, f"me:{HIDDEN}@")
    one: BaseException | None = error
    while one is not None:
        assert HIDDEN not in f"{one} {one!r} {vars(one)}"
        for frame in traceback.TracebackException.from_exception(one, capture_locals=True).stack:
            assert frame.filename == __file__ or HIDDEN not in repr(frame.locals)
        one = one.__cause__ or one.__context__


def test_credentials_that_a_proxy_cannot_carry_are_a_value_error() -> None:
    """The error comes before connecting, and shows the password neither in its text nor in its variables."""
    for url in (
        f"socks5://me:{HIDDEN}%0d%0a@h:1",
        f"socks4://me%00:{HIDDEN}@h:1",
        f"http://me%3Ame:{HIDDEN}@h:1",
        f"socks5://me:{HIDDEN}{'x' * 250}@h:1",
        f"socks4://m%C3%A9:{HIDDEN}@h:1",
        f"socks5://me:{HIDDEN}@h:1/path",
        f"socks5://me:12/{HIDDEN}@h:1",
        f"socks5://me:{HIDDEN}%C3%A9@h:1",
        f"socks5://me%E2%82%AC:{HIDDEN}@h:1",
        f"socks4://me:{HIDDEN}@h:1",
        f"http://me:{HIDDEN}%E2%82%AC@h:1",
        f"http://me%E2%82%AC:{HIDDEN}@h:1",
        f"http://:{HIDDEN}@h:1",
        f"socks5://:{HIDDEN}@h:1",
        f"socks5://{HIDDEN}@h:1",
        f"socks5://{HIDDEN}:@h:1",
        f"socks5://me:{HIDDEN}@x@h:1",
        f"socks5://me:{HIDDEN}@[::1]junk:1",
        f"socks5://me:{HIDDEN}@h%2Ex:1",
        f"socks5://me:{HIDDEN}@h:１",
    ):
        with case(url):
            with pytest.raises(ValueError, match="invalid proxy URL") as caught:
                Mailbox("pop.invalid", "me", "x", proxy=url)
            for frame in traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack:
                assert HIDDEN not in str(caught.value)
                assert frame.filename == __file__ or HIDDEN not in repr(frame.locals)


def test_credentials_that_a_proxy_can_carry_are_accepted() -> None:
    """Nothing is refused that the proxy's RFC allows."""
    for url in (
        "socks5://h:1",
        "socks5://me:p%25@[::1]:1",
        "socks4://me@h:1",
        "http://me:@h:1",
        "http://m%C3%A9:p%3A@h:1/",
    ):
        with case(url):
            Mailbox("pop.invalid", "me", "x", proxy=url)
    for host in ("2001:db8::1", "::1"):
        with pytest.raises(ValueError, match="SOCKS4 proxy cannot reach an IPv6 address"):
            Mailbox(host, "me", "x", proxy="socks4://h:1")
        Mailbox(host, "me", "x", proxy="socks5://h:1")


def test_any_bad_reply_from_a_proxy_is_connection_lost() -> None:
    """This holds for complete and truncated replies, over both drivers."""
    socks5 = (
        b"",
        b"\5",
        b"\5\0",
        b"\4\0",
        b"\5\1",
        b"\5\2",
        b"\5\3",
        b"\5\xff",
        b"\xff\xff",
        b"HTTP/1.1 200 OK\r\n\r\n",
    )
    granted = (
        b"\5\0" + rest
        for rest in (
            b"\5",
            b"\4\0\0\1\0\0\0\0\0\0",
            b"\5\0\1\1\0\0\0\0\0\0",
            b"\5\xee\0\1\0\0\0\0\0\0",
            b"\5\0\0\x09\0\0\0\0\0\0",
            b"\5\0\0\3\3\xff\xfe\xfd\0\1",
            b"\5\0\0\3\xff\xff",
            b"\5\0\0\4\0",
        )
    )
    socks4 = (b"", b"\0", b"\4\x5a" + bytes(6), b"\0\xee" + bytes(6), b"\0\x5d" + bytes(6), b"\xff" * 8)
    http = (b"", b"\xff\0\xfe\r\n\r\n", b"\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 200", b"X: y\r\n" * 9999)
    http = (
        *http,
        "HTTP/1.1 ２００ OK\r\n\r\n".encode(),
        b"HTTP/1.1 " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 -1 \r\n\r\n",
        b"HTTP/1.1 2_00 OK\r\n\r\n",
        b"HTTP/1.1 +200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        "HTTP/1.1\u2003200 OK\r\n\r\n".encode(),
        b"HTTP/1.1 0200 OK\r\n\r\n",
    )
    answers = [("socks5", one) for one in (*socks5, *granted)]
    answers += [("socks4", one) for one in socks4] + [("http", one) for one in http]
    answer = b""

    def serve(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(answer)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass

    with proxy(serve) as port:
        for scheme, answer in answers:
            user = "" if scheme == "socks4" else f"me:{HIDDEN}@"
            url = f"{scheme}://{user}127.0.0.1:{port}"
            with case(scheme, answer):
                with pytest.raises((ConnectionLost, TLSError)) as caught:
                    Connection("pop.invalid", proxy=url, timeout=GENEROUS).open()
                with pytest.raises((ConnectionLost, TLSError)) as caught_async:
                    asyncio.run(async_stat("pop.invalid", 995, proxy=url))
                assert HIDDEN not in f"{caught.value!r}{caught_async.value!r}"


@pytest.mark.usefixtures("clock")
def test_one_deadline_covers_all_steps_with_a_proxy() -> None:
    """A proxy that drips bytes, without ever being silent for long, does not outlast the deadline."""
    watched = WatchedClock()
    answers = {
        "socks5": b"\5\0\0\3\xff" + b"a" * 257,
        "socks4": b"\0\x5a" + bytes(6),
        "http": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 999,
    }
    for scheme, answer in answers.items():

        def serve(client: socket.socket, answer: bytes = answer) -> None:
            client.recv(4096)
            if answer.startswith(b"\5"):
                client.sendall(b"\5\0")
                client.recv(4096)
            drip(answer, 4.0, watched)(client)

        with case(scheme), proxy(serve) as port, pytest.raises(Timeout, match="the proxy"):
            Connection("pop.invalid", proxy=f"{scheme}://127.0.0.1:{port}", timeout=10.0, clock=watched).open()


def test_an_http_reply_may_arrive_in_pieces() -> None:
    """Its head is read to the end, and the data after it is the server's."""

    class Slow(Connect):
        def __call__(self, client: socket.socket) -> socket.socket | None:
            while b"\r\n\r\n" not in client.recv(4096):
                pass
            for piece in (b"HTTP/1.1 2", b"00 OK\r\nVia: x\r", b"\n", b"\r\n"):
                client.sendall(piece)
                time.sleep(0.01)
            return socket.create_connection(("127.0.0.1", self.port), GENEROUS)

    with Server([b"x\r\n"], security="tls") as server, proxy(Slow(server.port)) as port:
        url, context = f"http://127.0.0.1:{port}", server.client_context()
        with Connection("localhost", server.port, proxy=url, ssl_context=context, timeout=GENEROUS) as pop:
            pop.login("me", "secret")
        assert asyncio.run(async_stat("localhost", server.port, proxy=url, ssl_context=context)) == 1


@pytest.mark.parametrize("url", [b"socks5://h:1", 1080])
def test_a_proxy_must_be_a_str(url: Any) -> None:
    """Other types are TypeError, not an AttributeError from deep inside."""
    with pytest.raises(TypeError, match="proxy must be a str"):
        Mailbox("pop.invalid", "me", "x", proxy=url)
