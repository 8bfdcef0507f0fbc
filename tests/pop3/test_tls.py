"""A certificate that cannot be verified is refused before a secret is sent, with TLS from the start and after STLS."""

import asyncio
import base64
import hashlib
import socket
import ssl
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from pymailbox import Mailbox, poplib
from pymailbox.account import Security
from pymailbox.errors import ConnectionLost, MailboxError, NotSupported, ProtocolError, Timeout, TLSError
from pymailbox.pop3 import AsyncConnection, Connection, tls
from pymailbox.testing import Fault, Server
from tests import case
from tests.authority import DAY, Authority, server_context
from tests.drivers import Driver
from tests.replay import WatchedClock
from tests.timing import GENEROUS, Clock, ended, look_often

PATHS: list[Security] = ["tls", "starttls"]
SECRET = "correct horse battery staple"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the client trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


# --- bad certificates -----------------------------------------------------------------------------------------


def crl(authority: Authority, file: Path) -> ssl.SSLContext:
    """Return a caller's own context, one that checks revocations."""
    context = tls.private_ca(authority.pem)
    context.load_verify_locations(file)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return context


def bad(fault: str, authority: Authority, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server with that fault and of a client that trusts the authority."""
    client = tls.private_ca(authority.pem)
    if fault == "revoked":
        file = authority.issue("localhost")
        return server_context(file), crl(authority, authority.revoke(file))
    if fault == "too old a protocol":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return server_context(authority.issue("localhost"), most=ssl.TLSVersion.TLSv1_1), client
    file = {
        "expired": lambda: authority.issue("localhost", since=-3 * DAY, until=-DAY),
        "not yet valid": lambda: authority.issue("localhost", since=DAY, until=3 * DAY),
        "another host": lambda: authority.issue("pop.example.com"),
        "name in CN only": lambda: authority.issue(common="localhost"),
        "unknown authority": lambda: Authority(folder, "another authority").issue("localhost"),
        "self-signed": lambda: authority.issue("localhost", own=True),
    }[fault]()
    return server_context(file), client


BAD = {
    "expired": "has expired",
    "not yet valid": "not valid yet; check the clock",
    "another host": "for another host name",
    "name in CN only": "for another host name",
    "unknown authority": "unknown authority",
    "self-signed": "self-signed",
    "too old a protocol": "older than 1.2",
    "revoked": "has been revoked",
}


@pytest.mark.parametrize("security", PATHS)
@pytest.mark.parametrize("fault", BAD)
@pytest.mark.threat(22)
@pytest.mark.threat(26)
def test_a_bad_certificate_is_refused(fault: str, security: Security, authority: Authority, tmp_path: Path) -> None:
    """Both drivers refuse it on both paths and name the cause; the server never sees the secret."""
    theirs, ours = bad(fault, authority, tmp_path)
    with Server(security=security, ssl_context=theirs, password=SECRET, log_secrets=True) as server:
        with pytest.raises(TLSError) as caught:
            Mailbox("localhost", "me", SECRET, port=server.port, security=security, ssl_context=ours).open()

        async def attempt() -> None:
            pop = AsyncConnection("localhost", server.port, security=security, ssl_context=ours)
            async with pop:
                await pop.login("me", SECRET)

        with pytest.raises(TLSError) as caught_async:
            asyncio.run(attempt())
        server_log = " ".join(line for record in server.sessions for line in record.commands)
    assert BAD[fault] in str(caught.value)
    assert str(caught_async.value) == str(caught.value)
    assert isinstance(caught.value.__cause__, ssl.SSLError)
    assert not caught.value.usable
    assert not caught.value.retryable
    assert SECRET not in server_log
    assert base64.b64encode(SECRET.encode()).decode()[:16] not in server_log
    assert "USER" not in server_log
    assert "AUTH" not in server_log


@pytest.mark.parametrize("security", PATHS)
def test_a_good_certificate_is_accepted(security: Security, authority: Authority) -> None:
    """The same setup without a fault works: the refusals above are caused by the faults."""
    context = server_context(authority.issue("localhost"))
    with (
        Server([b"Subject: x\r\n\r\n"], security=security, ssl_context=context, password=SECRET) as server,
        Mailbox(
            "localhost",
            "me",
            SECRET,
            port=server.port,
            security=security,
            ssl_context=tls.private_ca(authority.pem),
        ) as inbox,
    ):
        assert len(inbox) == 1


@pytest.mark.threat(24)
def test_the_default_verifies() -> None:
    """Decision 8: against the system's authorities and the host name, with TLS 1.2 or newer."""
    context = tls.verified()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    with Server(security="tls") as server, pytest.raises(TLSError, match="unknown authority"):
        Connection("localhost", server.port).open()


@pytest.mark.threat(23)
def test_only_openssl_matches_names() -> None:
    """CVE-2009-2666, a NUL in a certificate's name: no code here reads names."""
    source = Path(tls.__file__).read_text()
    assert "subjectAltName" not in source
    assert "match_hostname" not in source


# --- helpers --------------------------------------------------------------------------------------------------


def fingerprint(file: Path) -> str:
    """Return the SHA-256 fingerprint as openssl shows it."""
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest().upper()


@pytest.mark.parametrize("security", PATHS)
def test_only_a_pinned_certificate_is_accepted(security: Security, authority: Authority) -> None:
    """Its issuer and name do not matter; any other certificate is refused before a secret is sent."""
    mine, another = (authority.issue("elsewhere", own=True, until=-DAY / 2) for _ in range(2))
    digits = fingerprint(mine)
    shown = ":".join(digits[i : i + 2] for i in range(0, 64, 2))
    with Server(security=security, ssl_context=server_context(mine), log_secrets=True) as server:

        async def attempt(context: ssl.SSLContext) -> None:
            pop = AsyncConnection("localhost", server.port, security=security, ssl_context=context)
            async with pop:
                await pop.login("me", "secret")

        for given in (digits, digits.lower(), shown):
            context = tls.pinned(fingerprint(another), given)
            with Connection("localhost", server.port, security=security, ssl_context=context) as pop:
                pop.login("me", "secret")
            asyncio.run(attempt(context))
        wrong = tls.pinned(fingerprint(another))
        before = len(server.sessions)
        with pytest.raises(TLSError, match=f"fingerprint is {digits[:2].lower()}.*which differs from the pinned one"):
            Connection("localhost", server.port, security=security, ssl_context=wrong).open()
        with pytest.raises(TLSError, match=r"fingerprint is .* which differs from the pinned one"):
            asyncio.run(attempt(wrong))
        with pytest.raises(ssl.SSLCertVerificationError, match="which differs from the pinned one"):
            if security == "tls":
                poplib.POP3_SSL("localhost", server.port, context=wrong)
            else:
                with poplib.POP3("localhost", server.port) as pop3:
                    pop3.stls(wrong)
        lines = [line for record in server.sessions[before:] for line in record.commands]
        assert set(lines) <= {"STLS", "CAPA"}


def test_an_invalid_fingerprint_is_refused() -> None:
    """A fingerprint that can match nothing is ValueError at once."""
    for given in ("", "abc", "zz" * 32, "ab" * 31, "ab" * 33):
        with case(given), pytest.raises(ValueError, match="invalid SHA-256 fingerprint"):
            tls.pinned(given)
    with pytest.raises(ValueError, match="at least one"):
        tls.pinned()


@pytest.mark.threat(24)
def test_unverified_is_explicit_and_warns() -> None:
    """It has a name that can be searched for, and its own warning category."""
    with pytest.warns(tls.UnverifiedWarning, match="can be intercepted") as caught:
        context = tls.unverified()
    assert caught[0].filename == __file__
    with Server(security="tls") as server, Connection("localhost", server.port, ssl_context=context) as pop:
        pop.login("me", "secret")
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_private_ca_trusts_only_the_given_file(authority: Authority, tmp_path: Path) -> None:
    """A directory works too; a missing file is FileNotFoundError."""
    context = tls.private_ca(authority.pem)
    assert [found["subject"] for found in context.get_ca_certs()] == [((("commonName", authority.common),),)]
    assert tls.private_ca(authority.folder).verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(FileNotFoundError):
        tls.private_ca(tmp_path / "none.pem")


def test_a_client_certificate_is_added_to_a_context(authority: Authority) -> None:
    """It is added to the given context, or to a new one that verifies."""
    file = authority.issue("me@example.com")
    context = tls.private_ca(authority.pem)
    assert tls.client_certificate(file, context=context) is context
    assert tls.client_certificate(file, file).verify_mode is ssl.CERT_REQUIRED


def test_an_encrypted_key_does_not_prompt_at_the_terminal(authority: Authority, tmp_path: Path) -> None:
    """Without a password for the key, the error is raised at once."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    plain = authority.issue("me@example.com")
    key = load_pem_private_key(plain.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    certificate = x509.load_pem_x509_certificate(plain.read_bytes()).public_bytes(Encoding.PEM)
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open")) + certificate
    )
    with pytest.raises(ValueError):
        tls.client_certificate(locked)
    tls.client_certificate(locked, password="open")
    tls.client_certificate(locked, password=lambda: "open")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_channel_binding_depends_on_the_tls_version(version: ssl.TLSVersion, authority: Authority) -> None:
    """RFC 5929: `tls-unique` up to TLS 1.2; above it the hash of the certificate, unless Python has `tls-exporter`."""
    file = authority.issue("localhost")
    context = tls.private_ca(authority.pem)
    context.maximum_version = version
    with (
        Server(security="tls", ssl_context=server_context(file)) as server,
        Connection("localhost", server.port, ssl_context=context) as pop,
    ):
        channel = pop.session.tls
        assert channel is not None
        binding = tls.channel_binding(channel)
    assert binding is not None
    if version is ssl.TLSVersion.TLSv1_2:
        assert binding[0] == "tls-unique"
    elif "tls-exporter" not in ssl.CHANNEL_BINDING_TYPES:
        assert binding == ("tls-server-end-point", bytes.fromhex(fingerprint(file)))


# --- the handshake --------------------------------------------------------------------------------------------


@contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server for one connection, and return its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        listening.settimeout(GENEROUS)
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(GENEROUS)
            try:
                talk(connection)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()
        ended(thread)


def line(connection: socket.socket) -> bytes:
    """Read one line."""
    read = b""
    while not read.endswith(b"\n") and (byte := connection.recv(1)):
        read += byte
    return read


@pytest.mark.parametrize("security", PATHS)
@pytest.mark.threat(20)
def test_the_deadline_covers_the_handshake(security: Security, clock: Clock) -> None:
    """CVE-2011-1947: a server that accepts and then stays silent inside TLS is `Timeout`."""

    def talk(connection: socket.socket) -> None:
        if security == "starttls":
            connection.sendall(b"+OK\r\n")
            line(connection)
            connection.sendall(b"+OK\r\n")
        assert connection.recv(4096)  # the handshake begins
        clock.advance(300)
        while connection.recv(4096):
            pass

    with talking(talk) as port, socket.create_connection(("127.0.0.1", port)) as own:
        began = clock.now
        with pytest.raises(Timeout):
            Connection("127.0.0.1", port, security=security, timeout=300, sock=own, clock=clock).open()
        assert clock.now - began == 300


@pytest.mark.threat(21)
def test_plaintext_after_the_reply_to_stls_is_refused(authority: Authority) -> None:
    """Data that is not TLS is a TLSError, and the session never falls back to plaintext."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"+OK\r\n")
        line(connection)
        connection.sendall(b"+OK\r\n")
        connection.recv(1)
        connection.sendall(b"+OK welcome, no TLS needed\r\n" * 20)
        while connection.recv(4096):
            pass

    with talking(talk) as port, pytest.raises(TLSError, match="does not speak TLS on this port"):
        Connection("localhost", port, security="starttls", ssl_context=tls.private_ca(authority.pem)).open()


@pytest.mark.threat(25)
def test_tls_to_a_plaintext_port_names_the_option() -> None:
    """The error names the likely cause and the option that fits the port."""
    with Server() as server, pytest.raises(TLSError, match='port 110 needs security="starttls"'):
        Connection("localhost", server.port).open()


@pytest.mark.parametrize("security", ["none", "starttls"])
@pytest.mark.threat(25)
def test_plaintext_to_a_tls_port_names_the_cause(security: Security, clock: Clock) -> None:
    """Q21: the server waits for TLS while we wait for a greeting; the error says that the port expects TLS."""
    watched = WatchedClock(clock.now)

    def later() -> None:
        for _ in range(2):
            assert watched.seen()  # the client waits for the greeting
        watched.advance(300)

    with Server(security="tls") as server, socket.create_connection((server.host, server.port)) as own:
        waiting = threading.Thread(target=later)
        pop = Connection("localhost", server.port, security=security, timeout=300, sock=own, clock=watched)
        waiting.start()
        with pytest.raises(MailboxError, match="expects TLS"):
            pop.open()
        ended(waiting)


@pytest.mark.parametrize("security", ["none", "starttls"])
@pytest.mark.threat(25)
def test_a_port_that_expects_tls_is_recognized_at_the_first_silence(security: Security, driver: Driver) -> None:
    """Q21: long before the timeout the port is probed for TLS, and the error names the option to pass."""
    watched = WatchedClock()
    began = watched.now

    def later() -> None:
        for _ in range(2):
            assert watched.seen()  # the client waits for the greeting
        watched.advance(6)

    for timeout in (300.0, None):
        with case(timeout), Server(security="tls", log_secrets=True) as server:
            waiting = threading.Thread(target=later)
            pop = driver.Connection(server.host, server.port, security=security, timeout=timeout, clock=watched)
            look_often(pop)
            waiting.start()
            with pytest.raises(ProtocolError, match=r'a port that expects TLS.*use security="tls"') as caught:
                pop.open()
            ended(waiting)
            assert not caught.value.retryable
            assert not any(record.commands for record in server.sessions)
    assert watched.now < began + 20


@pytest.mark.parametrize(
    "second", [b"", b"+OK ready\r\n", b"-ERR too many connections\r\n", b"\x15\x03\x01\0\2\2\x28", None]
)
def test_a_server_that_is_slow_to_greet_is_waited_for(second: bytes | None, driver: Driver) -> None:
    """Whatever the TLS probe finds on its own connection (None: it is refused), the session is not disturbed."""
    watched = WatchedClock()
    heard: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        client, _ = listening.accept()
        with client:
            client.settimeout(GENEROUS)
            for _ in range(2):
                watched.seen()
            if second is None:
                listening.close()
            watched.advance(6)
            if second is not None:
                other, _ = listening.accept()
                with other:
                    other.settimeout(GENEROUS)
                    heard.append(other.recv(4096))
                    if tls.is_tls(second):
                        client.sendall(b"+OK slow\r\n")  # a port for both, which greets a silent client
                    other.sendall(second)
                    if not second:
                        watched.seen()
                        watched.advance(6)
                        while other.recv(4096):
                            pass
            if second is None or not tls.is_tls(second):
                for _ in range(2):
                    watched.seen()
                watched.advance(200)
                client.sendall(b"+OK slow\r\n")
            heard.append(line(client))
            client.sendall(b"+OK bye\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(GENEROUS)
        port = listening.getsockname()[1]
        serving = threading.Thread(target=serve, args=(listening,))
        serving.start()
        pop = driver.Connection("127.0.0.1", port, security="none", timeout=300, clock=watched)
        look_often(pop)
        with pop:
            assert pop.greeting == "slow"
            pop.quit()
        ended(serving)
    assert heard[-1] == b"QUIT\r\n"
    assert all(map(tls.is_tls, heard[:-1]))


@pytest.mark.parametrize(
    "answer", [b"-ERR no TLS today\r\n", b"-ERR\r\n+OK\r\n+OK\r\n+OK\r\n", b"+OK\r\n+OK injected\r\n", b"+OK\r\n+"]
)
@pytest.mark.threat(16)
@pytest.mark.threat(17)
@pytest.mark.threat(18)
def test_stls_is_a_requirement(answer: bytes) -> None:
    """If STLS is refused, or data follows its reply, the session ends before anything else is sent."""
    lines = []

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"+OK\r\n")
        lines.append(line(connection))
        connection.sendall(answer)
        lines.append(line(connection))

    with talking(talk) as port, pytest.raises((NotSupported, ProtocolError)) as caught:
        Mailbox("127.0.0.1", "me", SECRET, port=port, security="starttls").open()
    assert lines == [b"STLS\r\n", b""]
    assert not caught.value.usable


@pytest.mark.threat(16)
def test_stls_is_sent_even_if_it_is_not_advertised(authority: Authority) -> None:
    """Removing STLS from CAPA gains an attacker nothing, because the list is not consulted."""
    context = server_context(authority.issue("localhost"))
    server = Server(security="starttls", ssl_context=context, capabilities=["USER"])
    with (
        server,
        Connection("localhost", server.port, security="starttls", ssl_context=tls.private_ca(authority.pem)) as pop,
    ):
        assert pop.session.secure
        assert server.sessions[0].commands[0] == "STLS"


@pytest.mark.threat(19)
def test_capabilities_from_before_tls_are_forgotten(authority: Authority) -> None:
    """RFC 2595 §4: capabilities are requested again inside TLS."""
    context = server_context(authority.issue("localhost"))
    with Server(security="starttls", ssl_context=context) as server:
        ours = tls.private_ca(authority.pem)
        with Connection("localhost", server.port, security="none", ssl_context=ours) as pop:
            assert "STLS" in pop.capa()
            pop.stls()
            assert pop.session.capabilities is None
            assert "STLS" not in pop.capa()
            pop.login("me", "secret")


@pytest.mark.parametrize("security", PATHS)
def test_a_hang_up_in_the_handshake_is_a_typed_error(security: Security, authority: Authority) -> None:
    """Inside the handshake it is TLSError, which says to check port and security; after STLS, ConnectionLost."""
    context = server_context(authority.issue("localhost"))
    if security == "starttls":
        faults = [Fault.drop("STLS")]
        with (
            Server(security=security, ssl_context=context, faults=faults) as server,
            pytest.raises(ConnectionLost),
        ):
            Connection("localhost", server.port, security=security).open()
        return
    with talking(lambda _: None) as port, pytest.raises(TLSError, match="port and security"):
        Connection("localhost", port).open()


def test_the_callers_context_is_used_unchanged(authority: Authority) -> None:
    """This holds even if it is weaker than the default: the caller decides."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        Server(security="tls", ssl_context=server_context(authority.issue("elsewhere"))) as server,
        Connection("localhost", server.port, ssl_context=context) as pop,
    ):
        pop.login("me", "secret")
    assert context.verify_mode is ssl.CERT_NONE


# --- bad files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [tls.private_ca, tls.client_certificate])
def test_the_error_for_a_bad_certificate_file_names_it(make: Callable[[Path], object], tmp_path: Path) -> None:
    """OpenSSL's own errors, `No such file or directory` and `PEM lib`, do not name the file."""
    with pytest.raises(FileNotFoundError, match=r"ca\.pem"):
        make(tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ValueError, match=r"ca\.pem.*PEM"):
        make(tmp_path / "ca.pem")


def test_a_wrong_password_for_a_key_is_a_value_error_that_does_not_show_it(
    authority: Authority, tmp_path: Path
) -> None:
    """The error names the file; without a password, OpenSSL never prompts at the terminal."""
    both = authority.issue("localhost").read_bytes()
    key = load_pem_private_key(both, None)
    sealed = tmp_path / "sealed.pem"
    sealed.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right"))
        + both[both.index(b"-----BEGIN CERTIFICATE") :]
    )
    for password in (None, SECRET, lambda: SECRET):
        with pytest.raises(ValueError, match=r"sealed\.pem") as caught:
            tls.client_certificate(sealed, password=password)
        for frame in traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack:
            assert frame.filename == __file__ or SECRET not in repr(frame.locals)
    assert tls.client_certificate(sealed, password="right").verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("security", PATHS)
def test_the_error_says_if_only_newer_pythons_refuse_a_certificate(security: Security, tmp_path: Path) -> None:
    """VERIFY_X509_STRICT, the default since 3.13, refuses old private authorities; `private_ca` accepts them."""
    lax = Authority(tmp_path / "lax")
    strict = tls.private_ca(lax.pem)
    strict.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    with Server(security=security, ssl_context=server_context(lax.issue("localhost"))) as server:
        with pytest.raises(TLSError, match=r"Python 3\.13.*private_ca"):
            Mailbox("localhost", "me", "x", port=server.port, security=security, ssl_context=strict).open()
        context = tls.private_ca(lax.pem)
        Mailbox("localhost", "me", "secret", port=server.port, security=security, ssl_context=context).open().close()
