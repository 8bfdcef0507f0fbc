"""TLS of the test server: implicit and by STLS, its own certificates and the caller's, and what is injected."""

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
def test_a_verifying_client_gets_in(security: str, host: str) -> None:
    """The context of the server trusts it, verified, by address and by name; the CA is a file that ends with the server."""
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


def test_a_stranger_does_not_trust_it() -> None:
    """A client with the system's CAs refuses the certificate, and the server notes a TLS failure."""
    with Server(MAILS, security="tls") as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            Hand(server, ssl.create_default_context())
        settle(server)
        assert (server.sessions[0].ended or "").startswith("TLS: ")


def test_plain_text_to_a_tls_port() -> None:
    """A client that speaks plain text to a TLS port is dropped, and the other way round nothing is understood."""
    with Server(MAILS, security="tls") as server:
        with Hand(server) as hand:
            hand.send(b"USER me")
            hand.rest()
        settle(server)
        assert (server.sessions[0].ended or "").startswith("TLS: ")
    with Server(MAILS) as server, pytest.raises(ssl.SSLError):
        Hand(server, ssl.create_default_context())


def test_stls_forgets_what_came_before() -> None:
    """RFC 2595 §4: the name given before TLS is forgotten; STLS is not listed or possible again, nor after login, nor where it is not offered."""
    with Server(MAILS, security="starttls") as server, Hand(server) as hand:
        hand.until()
        assert b"\r\nSTLS\r\n" in hand.listing(b"CAPA")
        hand.ask(b"USER me")
        assert hand.ask(b"STLS") == b"+OK begin TLS\r\n"
        hand.start_tls(server.client_context())
        assert hand.ask(b"PASS secret") == b"-ERR USER comes first\r\n"
        assert b"STLS" not in hand.listing(b"CAPA")
        assert hand.ask(b"STLS").startswith(b"-ERR")
    with Server(MAILS, security="starttls") as server, Hand(server) as hand:
        hand.login()
        assert b"STLS" not in hand.listing(b"CAPA")
        assert hand.ask(b"STLS").startswith(b"-ERR")
    with Server(MAILS) as server, Hand(server) as hand:
        hand.until()
        assert b"STLS" not in hand.listing(b"CAPA")
        assert hand.ask(b"STLS") == b"-ERR STLS is not offered\r\n"


def test_what_is_injected_behind_stls_is_never_answered() -> None:
    """Plaintext in the same segment as STLS, a whole command or half of one, is thrown away, not answered inside TLS."""
    for injected in (b"USER evil\r\n", b"USER evil\r\nNO", b"US"):
        with Server(MAILS, security="starttls") as server, Hand(server) as hand:
            hand.until()
            hand.sock.sendall(b"STLS\r\n" + injected)
            assert hand.until() == b"+OK begin TLS\r\n"
            hand.start_tls(server.client_context())
            assert hand.silent()
            assert hand.ask(b"PASS secret") == b"-ERR USER comes first\r\n"
            assert server.log == ("STLS", "PASS secret".replace("secret", "***"))


def test_a_context_of_the_callers(tmp_path: Path) -> None:
    """A server with a context of the caller's uses it, makes no CA, and needs no trustme."""
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
