"""The test server's TLS works, implicit and with STLS, with its own certificates and the caller's, and resists injection."""

import poplib
import ssl
from pathlib import Path

import pytest
import trustme

from pymailbox.testing import Server
from tests.testing.by_hand import MAILS, Hand, settle
from tests.timing import GENEROUS


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_verifying_client_connects(security: str, host: str) -> None:
    """`client_context()` verifies the server, by address and by name; the CA file is deleted when the server closes."""
    with Server(MAILS, security=security) as server:
        assert server.ca.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
        ca = server.ca
        context = server.client_context()
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        if security == "tls":
            pop = poplib.POP3_SSL(host, server.port, context=context, timeout=GENEROUS)
        else:
            pop = poplib.POP3(host, server.port, timeout=GENEROUS)
            pop.stls(context)
        pop.user("me")
        pop.pass_("secret")
        assert pop.stat()[0] == 3
        pop.quit()
        settle(server)
        assert server.sessions[0].tls
        assert server.url.startswith("pops://" if security == "tls" else "pop+starttls://")
    assert not ca.exists()
    with pytest.raises(ValueError, match="no CA"):
        _ = server.ca


def test_the_system_does_not_trust_its_certificate() -> None:
    """A client with the system's CAs refuses the certificate, and the server records a TLS failure."""
    with Server(MAILS, security="tls") as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            Hand(server, ssl.create_default_context())
        settle(server)
        assert (server.sessions[0].ended or "").startswith("TLS: ")


def test_plaintext_and_tls_ports_do_not_mix() -> None:
    """A plaintext client on a TLS port is dropped, and a TLS client on a plaintext port fails its handshake."""
    with Server(MAILS, security="tls") as server:
        with Hand(server) as hand:
            hand.send(b"USER me")
            hand.rest()
        settle(server)
        assert (server.sessions[0].ended or "").startswith("TLS: ")
    with Server(MAILS) as server, pytest.raises(ssl.SSLError):
        Hand(server, ssl.create_default_context())


def test_stls_discards_what_came_before() -> None:
    """RFC 2595 §4: a user name sent before TLS is discarded; STLS works only once, only before login, and only if enabled."""
    with Server(MAILS, security="starttls") as server, Hand(server) as hand:
        hand.until()
        assert b"\r\nSTLS\r\n" in hand.listing(b"CAPA")
        hand.ask(b"USER me")
        assert hand.ask(b"STLS") == b"+OK begin TLS\r\n"
        hand.start_tls(server.client_context())
        assert hand.ask(b"PASS secret") == b"-ERR send USER first\r\n"
        assert b"STLS" not in hand.listing(b"CAPA")
        assert hand.ask(b"STLS").startswith(b"-ERR")
    with Server(MAILS, security="starttls") as server, Hand(server) as hand:
        hand.login()
        assert b"STLS" not in hand.listing(b"CAPA")
        assert hand.ask(b"STLS").startswith(b"-ERR")
    with Server(MAILS) as server, Hand(server) as hand:
        hand.until()
        assert b"STLS" not in hand.listing(b"CAPA")
        assert hand.ask(b"STLS") == b"-ERR STLS is not available\r\n"


def test_plaintext_injected_after_stls_is_never_answered() -> None:
    """Plaintext in the same segment as STLS, a whole command or part of one, is discarded and not answered inside TLS."""
    for injected in (b"USER evil\r\n", b"USER evil\r\nNO", b"US"):
        with Server(MAILS, security="starttls") as server, Hand(server) as hand:
            hand.until()
            hand.sock.sendall(b"STLS\r\n" + injected)
            assert hand.until() == b"+OK begin TLS\r\n"
            hand.start_tls(server.client_context())
            assert hand.silent()
            assert hand.ask(b"PASS secret") == b"-ERR send USER first\r\n"
            assert server.log == ("STLS", "PASS secret".replace("secret", "***"))


def test_the_callers_context_is_used(tmp_path: Path) -> None:
    """A server with the caller's context uses it, and creates no CA."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with Server(MAILS, security="tls", ssl_context=context) as server:
        with Hand(server, trusting) as hand:
            hand.login()
        with pytest.raises(ValueError, match="ssl_context"):
            server.client_context()
