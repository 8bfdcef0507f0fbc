"""The blocking transport moves bytes within its deadlines and raises only pymailbox errors."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from pymailbox.errors import ConnectionLost, MailboxError, Timeout, TLSError
from pymailbox.pop3.deadlines import Left, until
from pymailbox.pop3.transport import Transport, connect, is_loopback
from pymailbox.testing.certificates import Certificates
from tests.replay import pair, reset
from tests.timing import GENEROUS, Clock, ended


@pytest.fixture(scope="module")
def certificates() -> Iterator[Certificates]:
    made = Certificates.make("localhost")
    yield made
    made.close()


def soon(seconds: float = GENEROUS) -> Left:
    return until(seconds, "too late", time.monotonic)


def addresses(*found: tuple[str, int]) -> list[tuple[object, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found]


# --- connecting ----------------------------------------------------------------------------------------------------


@pytest.mark.threat(12)
def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses are tried in order until one answers; an address family that this machine lacks counts as no answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        missing = (12345, socket.SOCK_STREAM, 6, "", ("::1", 110, 0, 0))
        found = [missing, *addresses(closed.getsockname(), listener.getsockname())]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with connect("pop.example.com", 110, soon()) as sock:
            assert sock.getpeername() == listener.getsockname()


def test_addresses_that_all_refuse_are_connection_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to check, and its cause is the first failure."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(*[closed.getsockname()] * 20))
        with pytest.raises(ConnectionLost, match="check host, port") as caught:
            connect("pop.example.com", 110, soon())
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@contextlib.contextmanager
def swallowing() -> Iterator[tuple[str, int]]:
    """Return an address that never answers, because its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(listener.getsockname())
        yield listener.getsockname()


@pytest.mark.threat(12)
def test_addresses_that_never_answer_are_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty such addresses are one `Timeout`."""
    with swallowing() as address:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(*[address] * 20))
        with pytest.raises(Timeout):
            connect("pop.example.com", 110, soon(0.5))


@pytest.fixture
def swallowed(monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[str, int], Clock]:
    """An address that never answers, and a clock by which connecting to it takes its whole share of the time."""
    really, address, clock = socket.socket.connect, ("192.0.2.1", 110), Clock()

    def connect(sock: socket.socket, wanted: tuple[str, int]) -> None:
        if wanted != address:
            return really(sock, wanted)
        seconds = sock.gettimeout()
        assert seconds is not None
        clock.advance(seconds)
        raise TimeoutError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return address, clock


@pytest.mark.threat(12)
def test_one_deadline_covers_all_addresses(
    monkeypatch: pytest.MonkeyPatch, swallowed: tuple[tuple[str, int], Clock]
) -> None:
    """Twenty addresses that never answer take one timeout together, not twenty."""
    address, clock = swallowed
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(*[address] * 20))
    began = clock.now
    with pytest.raises(Timeout):
        connect("pop.example.com", 110, until(300, "too late", clock))
    assert clock.now - began == pytest.approx(300)


def test_an_address_that_never_answers_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch, swallowed: tuple[tuple[str, int], Clock]
) -> None:
    """The addresses share the time that is left."""
    address, clock = swallowed
    began = clock.now
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(address, listener.getsockname()))
        with connect("pop.example.com", 110, until(300, "too late", clock)) as sock:
            assert sock.getpeername() == listener.getsockname()
            assert sock.gettimeout() == 150
    assert clock.now - began == 150


@pytest.mark.parametrize("host", ["nowhere.invalid", "x" * 70 + ".example", "a..b"])
def test_a_host_that_is_not_found_is_connection_lost(host: str) -> None:
    """This covers names that do not resolve, and names that cannot."""
    with pytest.raises(ConnectionLost, match="cannot find the host"):
        connect(host, 110, soon())


def test_loopback_is_judged_by_the_address() -> None:
    """The peer's address decides, not its name."""
    client, server = pair(tcp=True)
    with client, server:
        assert is_loopback(client)
    assert not is_loopback(client)  # closed, so unknown
    left, right = socket.socketpair()
    with left, right:
        assert is_loopback(left)


# --- moving bytes ----------------------------------------------------------------------------------------------------


@pytest.mark.threat(56)
def test_reading_continues_while_writing() -> None:
    """A peer that writes before it reads causes no deadlock (RFC 2449 §6.8)."""
    client, server = pair(tcp=True)
    to_send, incoming = b"c" * 4_000_000, b"s" * 4_000_000

    def serve() -> None:
        with server:
            server.sendall(incoming)  # blocks until the client reads
            got = 0
            while got < len(to_send):
                data = server.recv(1 << 20)
                assert data
                got += len(data)
            server.sendall(b"end")

    thread = threading.Thread(target=serve)
    thread.start()
    transport = Transport(client, "localhost")
    got, pending = b"", to_send
    while len(got) < len(incoming) + 3:
        data = transport.exchange(pending, soon())
        assert data
        got, pending = got + data, b""
    assert got == incoming + b"end"
    transport.close()
    ended(thread)


def test_waiting_never_waits() -> None:
    """`waiting()` returns what has arrived, None for nothing, and empty bytes at the end of the stream."""
    client, server = socket.socketpair()
    with server:
        transport = Transport(client, "localhost")
        assert transport.waiting() is None
        server.sendall(b"stray")
        assert transport.waiting() == b"stray"
        server.shutdown(socket.SHUT_WR)
        assert transport.waiting() == b""
        transport.close()


@pytest.mark.parametrize("timeout", [1.0, None])
def test_a_wait_ends_at_its_deadline(timeout: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lasts as long as the deadline allows, and without one until data arrives."""
    client, server = socket.socketpair()
    with server:
        transport = Transport(client, "localhost")
        clock = Clock()
        left, waits = until(timeout, "too late", clock), list[float | None]()

        def wait(_: Transport, write: bool, seconds: float | None) -> None:
            waits.append(seconds)
            clock.advance(0.75)
            if timeout is None and len(waits) == 3:
                server.sendall(b"x")

        monkeypatch.setattr(Transport, "_wait", wait)
        if timeout is None:
            assert transport.exchange(b"", left) == b"x"
            assert waits == [None] * 3
        else:
            with pytest.raises(Timeout):
                transport.exchange(b"x", left)
            assert waits == [1.0, 0.25]
        transport.close()


def test_a_timeout_may_be_very_long() -> None:
    """A timeout longer than poll() accepts works too."""
    client, server = socket.socketpair()
    with server:
        transport = Transport(client, "localhost")
        threading.Timer(0.1, server.sendall, [b"x"]).start()
        assert transport.exchange(b"", soon(1e18)) == b"x"
        transport.close()


def test_data_sent_before_the_end_is_read() -> None:
    """A reason sent before the server closed is read, although sending to it fails."""
    client, server = socket.socketpair()
    server.sendall(b"-ERR bye\r\n")
    server.close()
    transport = Transport(client, "localhost")
    assert transport.exchange(b"NOOP\r\n", soon()) == b"-ERR bye\r\n"
    assert transport.exchange(b"", soon()) == b""
    transport.close()


def test_a_reset_is_connection_lost() -> None:
    """The cause of the error is the operating system's."""
    client, server = pair(tcp=True)
    transport = Transport(client, "localhost")
    reset(server)
    time.sleep(0.05)
    with pytest.raises(ConnectionLost) as caught:
        transport.exchange(b"", soon())
    assert isinstance(caught.value.__cause__, OSError)
    transport.close()


def test_a_socket_closed_by_another_thread_is_connection_lost() -> None:
    """A socket closed during the wait is not ValueError."""
    client, server = socket.socketpair()
    with server:
        transport = Transport(client, "localhost")
        transport.close()
        with pytest.raises(ConnectionLost):
            transport.exchange(b"x", soon())
        with pytest.raises(ConnectionLost):
            transport._wait(False, 1.0)
        transport.close()


def test_an_interrupted_socket_is_at_its_end_and_still_open() -> None:
    """Whoever waits gets the end of the stream; the descriptor is not freed under them. After closing, nothing happens."""
    client, server = socket.socketpair()
    with server:
        transport = Transport(client, "localhost")
        transport.interrupt()
        assert transport.exchange(b"", soon()) == b""
        assert client.fileno() >= 0
        transport.close()
        transport.interrupt()


def test_a_closed_socket_from_the_caller_is_connection_lost() -> None:
    """The error is raised at once."""
    client, server = socket.socketpair()
    client.close()
    server.close()
    with pytest.raises(ConnectionLost):
        Transport(client, "localhost")


# --- TLS -------------------------------------------------------------------------------------------------------------


def serve_tls(
    server: socket.socket, certificates: Certificates, data: bytes, *, polite: bool = True
) -> threading.Thread:
    def serve() -> None:
        with certificates.context.wrap_socket(server, server_side=True) as secured:
            secured.sendall(data)
            if polite:
                with contextlib.suppress(OSError):  # the client closes without answering
                    secured.unwrap()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize("polite", [True, False], ids=["close_notify", "ragged"])
@pytest.mark.threat(45)
def test_tls_carries_data_and_the_end_unchanged(certificates: Certificates, polite: bool) -> None:
    """The end of the stream is an end, with close_notify or without."""
    client, server = pair(tcp=True)
    content = bytes(range(256)) * 1000
    thread = serve_tls(server, certificates, content, polite=polite)
    transport = Transport(client, "localhost")
    assert not transport.secure
    transport.start_tls(certificates.client_context(), soon())
    assert transport.secure
    got = b""
    while data := transport.exchange(b"", soon()):
        got += data
    assert got == content
    transport.close()
    ended(thread)


@pytest.mark.threat(20)
def test_a_handshake_that_never_ends_is_a_timeout(certificates: Certificates) -> None:
    """A peer that never answers the handshake does not block beyond the deadline."""
    client, server = pair(tcp=True)
    with server:
        transport = Transport(client, "localhost")
        with pytest.raises(Timeout):
            transport.start_tls(certificates.client_context(), soon(0.2))
        transport.close()


@pytest.mark.parametrize("answer", [b"+OK POP3 ready\r\n", b"", b"\x15\x03\x03\x00\x02\x02\x28"])
def test_a_peer_without_tls_is_a_tls_error(certificates: Certificates, answer: bytes) -> None:
    """The cause of the error is that of the `ssl` module."""
    client, server = pair(tcp=True)
    server.sendall(answer)
    server.shutdown(socket.SHUT_WR)
    transport = Transport(client, "localhost")
    with pytest.raises(MailboxError) as caught:
        transport.start_tls(certificates.client_context(), soon())
    assert isinstance(caught.value, TLSError)
    assert isinstance(caught.value.__cause__, OSError)
    transport.close()
    server.close()


def test_a_certificate_for_another_name_is_refused(certificates: Certificates) -> None:
    """The certificate is verified against the host."""
    client, server = pair(tcp=True)

    def serve() -> None:
        with server, pytest.raises(ssl.SSLError):
            certificates.context.wrap_socket(server, server_side=True)

    thread = threading.Thread(target=serve)
    thread.start()
    transport = Transport(client, "pop.example.com")
    with pytest.raises(TLSError):
        transport.start_tls(certificates.client_context(), soon())
    transport.close()
    ended(thread)
