"""Every mechanism works on real servers, with and without TLS: two full SASL implementations, and one small one."""

import ssl
from collections.abc import Callable

import pytest

from pymailbox import Mailbox, OAuth2
from pymailbox.account import Security
from pymailbox.errors import AuthenticationError, MailboxError, NotSupported
from pymailbox.pop3 import Connection, tls
from tests import case
from tests.conftest import Servers
from tests.servers import MASTER, RealServer, jwt, trusting
from tests.timing import GENEROUS

SECURITY: list[Security] = ["none", "starttls", "tls"]
PASSWORDS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]
BOUND = [f"SCRAM-SHA-{hash}-PLUS" for hash in (1, 256, 512)]
SERVERS = ["dovecot", "cyrus", "courier"]
#: An address of this machine that dovecot does not treat as its own.
ELSEWHERE = "127.0.0.2", 0


def connect(server: RealServer, security: Security, *, context: ssl.SSLContext | None = None) -> Connection:
    """Return a connection to that server with that security, not yet open."""
    if security != "none" and context is None:
        assert server.ca is not None
        context = trusting(server.ca)
    port = server.tls_port if security == "tls" else server.port
    assert port is not None
    return Connection(server.host, port, security=security, ssl_context=context, timeout=GENEROUS)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, real_servers: Servers) -> RealServer:
    """Each server that supports SASL."""
    return real_servers.get(request.param)


# --- the matrix -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", SECURITY)
def test_password_mechanisms_work_if_they_are_offered(server: RealServer, security: Security) -> None:
    """An offered mechanism logs in and refuses a wrong password as such; any other mechanism is refused."""
    for mechanism in PASSWORDS:
        with case(mechanism):
            offered = accepted(server, security, mechanism)
            if server.name == "courier" or (server.name == "dovecot" and offered and security != "tls"):
                continue  # a refusal takes 5 s at courier (the test of a second login has one), 0.5 s at dovecot
            with connect(server, security) as pop, pytest.raises(MailboxError) as caught:
                pop.login(server.user, "wrong" if offered else server.password, mechanism)
            if offered:
                assert type(caught.value) is AuthenticationError
                assert caught.value.usable


def accepted(server: RealServer, security: Security, mechanism: str) -> bool:
    """Whether the server offers that mechanism; if it does, check that the login works."""
    with connect(server, security) as pop:
        offered = mechanism in pop.capa().sasl
        assert offered == (mechanism in (server.mechanisms if security == "none" else server.tls_mechanisms))
        if offered:
            pop.login(server.user, server.password, mechanism)
            assert pop.stat().count == len(server.mails)
        return offered


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_scram_binds_to_the_channel(cyrus: RealServer, security: Security) -> None:
    """-PLUS works under TLS 1.2, for which Python and the server share a binding (tls-unique)."""
    assert cyrus.ca is not None
    context = trusting(cyrus.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    for mechanism in BOUND:
        with case(mechanism), connect(cyrus, security, context=context) as pop:
            assert mechanism in pop.capa().sasl
            pop.auth(mechanism, cyrus.user, cyrus.password)
            assert pop.stat().count == len(cyrus.mails)


def test_the_choice_works_if_a_binding_is_offered(cyrus: RealServer) -> None:
    """The login is bound if client and server share a binding, and unbound otherwise, without any option."""
    assert cyrus.ca is not None
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trusting(cyrus.ca)
        context.maximum_version = version
        with case(version), connect(cyrus, "tls", context=context) as pop:
            pop.login(cyrus.user, cyrus.password)


def test_the_strongest_is_chosen(real_server: RealServer) -> None:
    """Without `auth`, login succeeds on every server with every security it supports, popa3d included."""
    for security in SECURITY:
        with case(security):
            if security != "none" and real_server.ca is None:
                pop = Connection(real_server.host, real_server.port, security="starttls", timeout=GENEROUS)
                with pytest.raises(NotSupported), pop:
                    pop.stat()
                continue
            with connect(real_server, security) as pop:
                pop.login(real_server.user, real_server.password)
                assert pop.stat().count == len(real_server.mails)


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_tokens_log_in(dovecot: RealServer, mechanism: str) -> None:
    """OAuth2 by name passes dovecot's own validation; the error for an expired token quotes the server's reason."""
    for security in SECURITY:
        with case(security):
            with connect(dovecot, security) as pop:
                pop.auth(mechanism, dovecot.user, jwt(dovecot.user))
                assert pop.stat().count == len(dovecot.mails)
            with connect(dovecot, security) as pop, pytest.raises(AuthenticationError) as caught:
                pop.auth(mechanism, dovecot.user, jwt(dovecot.user, lifetime=-10.0))
            assert "the access token was refused (" in str(caught.value)
            assert "status" in str(caught.value)
            assert caught.value.code == "AUTH"


@pytest.mark.parametrize(
    "mechanisms", [("XOAUTH2",), ("OAUTHBEARER",), ("PLAIN", "XOAUTH2", "OAUTHBEARER")], ids=" ".join
)
def test_oauth2_uses_what_is_offered(dovecot_with: Callable[..., RealServer], mechanisms: tuple[str, ...]) -> None:
    """`OAuth2` picks the mechanism, calls its callable, and sends tokens of any length."""
    server = dovecot_with(mechanisms=mechanisms)
    for token in (jwt(server.user), jwt(server.user, padding="x" * 2000)):
        auth = OAuth2(lambda token=token: token)
        with (
            case(len(token)),
            Mailbox(server.host, server.user, port=server.port, security="none", auth=auth, timeout=GENEROUS) as inbox,
        ):
            assert len(inbox) == len(server.mails)


def test_no_token_is_sent_to_a_server_without_oauth2(real_servers: Servers) -> None:
    """`login` raises NotSupported and does not send the token."""
    server = real_servers.get("courier")
    with connect(server, "tls") as pop, pytest.raises(NotSupported, match="advertises no login for OAuth2"):
        pop.login(server.user, auth=OAuth2("never-sent"))
    assert b"never-sent" not in server.log.read_bytes()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_external_logs_in_with_a_client_certificate(dovecot: RealServer, security: Security) -> None:
    """RFC 4422 §A: the certificate is the credential; without one the login is refused."""
    assert dovecot.ca is not None
    assert dovecot.client_certificate is not None
    context = tls.client_certificate(dovecot.client_certificate, context=tls.private_ca(dovecot.ca))
    with connect(dovecot, security, context=context) as pop:
        pop.auth("EXTERNAL")
        assert pop.stat().count == len(dovecot.mails)
    with connect(dovecot, security, context=context) as pop:
        pop.login(dovecot.user)  # without a password, the certificate is the only credential
        assert pop.stat().count == len(dovecot.mails)
    with connect(dovecot, security) as pop, pytest.raises(AuthenticationError):
        pop.auth("EXTERNAL", dovecot.user)


def test_external_needs_tls(dovecot: RealServer) -> None:
    """Without TLS nothing is sent, and the session stays usable."""
    with connect(dovecot, "none") as pop:
        with pytest.raises(NotSupported, match="EXTERNAL needs TLS"):
            pop.auth("EXTERNAL", dovecot.user)
        assert pop.capa().sasl


def test_apop_logs_in_by_name(dovecot: RealServer) -> None:
    """It uses the timestamp of a real greeting; a wrong secret is refused."""
    with connect(dovecot, "tls") as pop:
        pop.login(dovecot.user, dovecot.password, "APOP")
        assert pop.stat().count == len(dovecot.mails)
    with connect(dovecot, "tls") as pop, pytest.raises(AuthenticationError):
        pop.apop(dovecot.user, "wrong")


def test_user_and_pass_log_in_by_name(server: RealServer) -> None:
    """`auth="USER"` is the oldest login, and every server supports it."""
    with connect(server, "tls") as pop:
        pop.login(server.user, server.password, "USER")
        assert pop.stat().count == len(server.mails)


def test_a_master_user_opens_another_users_mailbox(dovecot: RealServer) -> None:
    """RFC 4616: PLAIN carries an authorization identity, the mailbox's owner."""
    from pymailbox.pop3 import sasl

    with connect(dovecot, "tls") as pop:
        pop.auth(sasl.Plain(MASTER.user, MASTER.password, authorization=dovecot.user))
        assert pop.stat().count == len(dovecot.mails)


def test_a_refused_login_may_be_followed_by_a_correct_one(server: RealServer) -> None:
    """The session stays usable for the caller; pymailbox never repeats the login by itself."""
    with connect(server, "tls") as pop:
        with pytest.raises(AuthenticationError) as caught:
            pop.auth("PLAIN", server.user, "wrong")
        assert caught.value.usable
        pop.auth("PLAIN", server.user, server.password)
        assert pop.stat().count == len(server.mails)


def test_a_server_that_requires_tls_accepts_the_login_only_inside_it(dovecot_with: Callable[..., RealServer]) -> None:
    """Without TLS, `SASL` lists no mechanisms and USER is refused; inside TLS the login succeeds."""
    server = dovecot_with(disable_plaintext_auth=True, ssl="required", mechanisms=("PLAIN", "LOGIN"))
    with (
        Connection(server.host, server.port, security="none", source_address=ELSEWHERE) as pop,
        pytest.raises(MailboxError),
    ):
        pop.login(server.user, server.password)
    assert server.ca is not None
    with Connection(
        server.host, server.port, security="starttls", source_address=ELSEWHERE, ssl_context=trusting(server.ca)
    ) as pop:
        pop.login(server.user, server.password)
