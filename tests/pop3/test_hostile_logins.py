"""`Mailbox` sends no secret to a hostile server and believes no false login (docs/threats.md).

A mark names the threat. The details are in the modules' own tests: test_login, test_sasl, test_tls,
test_display_secrets, test_login_injection, test_account.
"""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pymailbox import Mailbox, OAuth2
from pymailbox.errors import AuthenticationError, ConnectionLost, MailboxError, NotSupported, ProtocolError
from pymailbox.pop3 import tls
from pymailbox.testing import Fault, Server
from tests import case
from tests.authority import Authority, server_context
from tests.timing import GENEROUS, ended

SECRET = "correct-Horse-battery-staple"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the client trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


class Hostile:
    """A server that sends prepared replies and records everything it receives, complete once its block has ended."""

    def __init__(self, replies: Sequence[bytes]) -> None:
        self.replies = replies
        self.received = b""
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listening.getsockname()[1])

    def serve(self) -> None:
        """Serve until the listening socket is closed."""
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            client.settimeout(GENEROUS)
            with client:
                try:
                    self._talk(client)
                except OSError:
                    continue

    def _talk(self, client: socket.socket) -> None:
        for reply in self.replies:
            client.sendall(reply)
            byte = b""
            while byte != b"\n":
                byte = client.recv(1)
                if not byte:
                    return
                self.received += byte
        while data := client.recv(4096):
            self.received += data

    @property
    def lines(self) -> list[bytes]:
        """All lines received, in all sessions."""
        return self.received.splitlines(keepends=True)


@contextmanager
def hostile(*replies: bytes) -> Iterator[Hostile]:
    """Run a server that sends these replies, each as soon as the preceding line has arrived."""
    server = Hostile(replies)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.listening.shutdown(socket.SHUT_RDWR)
        server.listening.close()
        ended(thread)


def refused(port: int, password: Any = SECRET, *, host: str = "127.0.0.1", **options: Any) -> MailboxError:
    """Open a mailbox, which must fail with a typed error that is not `usable`; return the error."""
    settings: dict[str, Any] = {"security": "none", "timeout": GENEROUS, "utf8": False}
    mailbox = Mailbox(host, "me", password, port=port, **(settings | options))
    with pytest.raises(MailboxError) as caught:
        mailbox.open()
    assert not caught.value.usable
    return caught.value


CAPA = b"+OK\r\nSASL PLAIN CRAM-MD5 XOAUTH2 OAUTHBEARER SCRAM-SHA-256\r\nUSER\r\n.\r\n"


# --- STLS -----------------------------------------------------------------------------------------------------


@pytest.mark.threat(16)
@pytest.mark.threat(17)
@pytest.mark.threat(18)
def test_nothing_but_stls_is_sent_unencrypted(authority: Authority) -> None:
    """`security="starttls"` is a requirement, and the reply to STLS is one line.

    A refused or removed STLS, forged replies after a refusal (CVE-2021-22947), and any data after the +OK, even half a
    line (CVE-2026-41319), end the session: no handshake begins, and nothing else is sent.
    """
    replies: list[tuple[list[bytes], type[MailboxError]]] = [
        *(([answer] * 3, MailboxError) for answer in (b"-ERR\r\n", b"-ERR unknown command\r\n")),
        ([b"-ERR no TLS today\r\n"], NotSupported),
        ([b"+OK\r\nUSER\r\n.\r\n"] * 3, ProtocolError),
        ([b"-ERR no TLS\r\n" + b"+OK\r\n" * 9], ProtocolError),
        *(
            ([b"+OK begin TLS\r\n" + injected], ProtocolError)
            for injected in (b"+OK injected\r\n", b"+OK", b"+", b"\r\n", b"\0", b"+OK\r\n" * 1000)
        ),
    ]
    for answers, kind in replies:
        with case(answers):
            with hostile(b"+OK\r\n", *answers) as server:
                ours = tls.private_ca(authority.pem)
                error = refused(server.port, host="localhost", security="starttls", ssl_context=ours)
                assert isinstance(error, kind)
            assert server.received == b"STLS\r\n"


@pytest.mark.threat(19)
def test_capabilities_are_requested_inside_tls(authority: Authority) -> None:
    """RFC 2595 §4: before TLS, only STLS is sent."""
    context = server_context(authority.issue("localhost"))
    with Server([b"x\r\n"], security="starttls", ssl_context=context) as server:
        ours = tls.private_ca(authority.pem)
        with Mailbox("localhost", "me", "secret", port=server.port, security="starttls", ssl_context=ours) as inbox:
            assert "STLS" not in inbox.capabilities
        assert server.sessions[0].commands[:2] == ("STLS", "CAPA")


@pytest.mark.threat(23)
def test_no_module_matches_names_itself() -> None:
    """CVE-2009-2666, a NUL in a certificate's name: matching is left to OpenSSL, and no module here reads names."""
    for path in Path(tls.__file__).parent.glob("*.py"):
        source = path.read_text()
        assert "match_hostname" not in source, path
        assert "subjectAltName" not in source, path


@pytest.mark.threat(26)
def test_tls_is_not_compressed() -> None:
    """CRIME: compression is off (test_tls checks TLS 1.2 or newer, RFC 8996)."""
    assert tls.verified().options & ssl.OP_NO_COMPRESSION


# --- mechanisms -----------------------------------------------------------------------------------------------


@pytest.mark.threat(28)
def test_a_mechanism_that_is_not_advertised_is_not_replaced() -> None:
    """CVE-2006-5867: a login requested by name is a requirement, even if only PLAIN and USER are advertised."""
    for auth in ("SCRAM-SHA-256", "CRAM-MD5", "OAUTHBEARER"):
        with case(auth):
            with hostile(b"+OK\r\n", b"+OK\r\nSASL PLAIN\r\nUSER\r\n.\r\n", b"-ERR unsupported\r\n") as server:
                refused(server.port, auth=auth)
            assert [line.split()[:2] for line in server.lines if line != b"CAPA\r\n"] == [[b"AUTH", auth.encode()]]


@pytest.mark.threat(31)
def test_ok_without_the_servers_scram_proof_is_not_a_login() -> None:
    """After +OK before SCRAM's server signature, or an invalid first message, nothing more is sent."""
    for answer in (b"+OK welcome\r\n", b"+ cj14\r\n"):
        with case(answer):
            with hostile(b"+OK\r\n", CAPA, answer, b"-ERR\r\n") as server:
                assert isinstance(refused(server.port, auth="SCRAM-SHA-256"), ProtocolError)
            assert not any(line.startswith(b"STAT") for line in server.lines)


@pytest.mark.threat(32)
def test_the_reason_of_an_oauth_failure_is_acknowledged_and_raised() -> None:
    """It is acknowledged with AQ==, and the error contains the status."""
    reason = base64.b64encode(json.dumps({"status": "invalid_token", "scope": "pop"}).encode())
    with hostile(b"+OK\r\n", CAPA, b"+ " + reason + b"\r\n", b"-ERR [AUTH] no\r\n") as server:
        error = refused(server.port, None, auth=OAuth2("a-token"))
    assert isinstance(error, AuthenticationError)
    assert "status invalid_token" in str(error)
    assert server.lines[-1] == b"AQ==\r\n"


# --- connections ----------------------------------------------------------------------------------------------


@pytest.mark.threat(35)
def test_no_connection_is_used_twice() -> None:
    """CVE-2026-4873: there is no pool; each opening makes a new connection, with its own settings."""
    with Server([b"x\r\n"], lock=False) as server:
        for _ in range(2):
            with Mailbox(server.host, "me", "secret", port=server.port, security="none"):
                pass
        mailbox = Mailbox(server.host, "me", "secret", port=server.port, security="none").open()
        mailbox.reopen()
        mailbox.close()
        assert len(server.sessions) == 4


@pytest.mark.threat(37)
def test_a_refused_login_is_not_tried_again() -> None:
    """There is one connection and one attempt: a second could lock the account."""
    texts = (
        "[AUTH] wrong",
        "[AUTH] protocol error",
        "wrong",
        "[LOGIN-DELAY] later",
        "[IN-USE]",
        # Words that servers also use about a mechanism or the form of a line.
        "Logon failure: unknown user name or bad password.",
        "unknown user",
        "user not enabled",
        "Login not supported for this account",
        "too many failed attempts",
        "Invalid parameter: password",
    )
    faults = [
        Fault.refuse(verb, None, text=text, session=number)
        for number, text in enumerate(texts, 1)
        for verb in ("AUTH", "PASS")
    ]
    with Server(sasl=("PLAIN", "LOGIN", "CRAM-MD5"), faults=faults) as server:
        for number, text in enumerate(texts, 1):
            with case(text):
                refused(server.port)
                assert len(server.sessions) == number
                assert sum(line.startswith(("AUTH", "PASS")) for line in server.sessions[-1].commands) == 1


@pytest.mark.threat(37)
def test_a_hang_up_on_a_password_is_not_tried_again(authority: Authority) -> None:
    """Some servers hang up on a wrong password: one connection, one attempt, and an error that is not retryable."""
    context = server_context(authority.issue("localhost"))
    ours = tls.private_ca(authority.pem)
    for verb, names in (("AUTH", ("PLAIN",)), ("PASS", ())):
        for security in ("none", "tls"):
            for fault in (
                Fault.drop(verb),
                Fault.drop(verb, how="rst"),
                Fault.drop(verb, how="ragged"),
                Fault.cut(3, command=verb),
            ):
                offered: dict[str, Any] = {"security": security, "ssl_context": context} if security == "tls" else {}
                with case(verb, security, fault), Server(sasl=names, faults=[fault], **offered) as server:
                    lost = refused(server.port, host="localhost", security=security, ssl_context=ours)
                    assert isinstance(lost, ConnectionLost)
                    assert "the login may be wrong" in str(lost)
                    assert (lost.retryable, lost.retry_after) == (False, 900)
                    assert len(server.sessions) == 1
