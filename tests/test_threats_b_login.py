"""THREATS, section B: authentication and TLS. One test for each row, by its number.

Each goes through the front door, `Mailbox`, against a server that does what the row says; the modules' own tests go
into the corners (test_login, test_sasl, test_tls, test_secrets, test_login_injection, test_account).
"""

import base64
import json
import logging
import os
import socket
import ssl
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pymailbox import Account, Mailbox, OAuth2
from pymailbox.account import password_command
from pymailbox.errors import (
    AuthenticationError,
    LimitExceeded,
    MailboxError,
    NotSupported,
    ProtocolError,
    Timeout,
    TLSError,
)
from pymailbox.pop3 import tls
from pymailbox.testing import Fault, Server
from tests.authority import DAY, Authority, server_context

SECRET = "correct-Horse-battery-staple"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the client trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


class Hostile:
    """A server that says what it was told to, and remembers what it was told."""

    def __init__(self, replies: Sequence[bytes]) -> None:
        self.replies = replies
        self.received: list[list[bytes]] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(10)
        self.port = int(self.listening.getsockname()[1])

    def serve(self) -> None:
        """Serve until the listening socket is closed."""
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            client.settimeout(5)
            lines: list[bytes] = []
            self.received.append(lines)
            with client:
                try:
                    self._talk(client, lines)
                except OSError:
                    continue

    def _talk(self, client: socket.socket, lines: list[bytes]) -> None:
        for reply in self.replies:
            client.sendall(reply)
            line = b""
            while not line.endswith(b"\n"):
                octet = client.recv(1)
                if not octet:
                    return
                line += octet
            lines.append(line)
        while client.recv(4096):
            pass

    @property
    def said(self) -> list[bytes]:
        """All lines of all sessions."""
        return [line for lines in self.received for line in lines]


@contextmanager
def hostile(*replies: bytes) -> Iterator[Hostile]:
    """Run a server that says these, each as soon as the line before it has come."""
    server = Hostile(replies)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.listening.shutdown(socket.SHUT_RDWR)
        server.listening.close()
        thread.join(20)


def refused(port: int, password: Any = SECRET, *, host: str = "127.0.0.1", **options: Any) -> MailboxError:
    """Open a mailbox, which has to fail with a typed error that says the session is over; return the error."""
    settings: dict[str, Any] = {"security": "none", "timeout": 3.0, "utf8": False}
    mailbox = Mailbox(host, "me", password, port=port, **(settings | options))
    with pytest.raises(MailboxError) as caught:
        mailbox.open()
    assert not caught.value.usable
    return caught.value


CAPA = b"+OK\r\nSASL PLAIN CRAM-MD5 XOAUTH2 OAUTHBEARER SCRAM-SHA-256\r\nUSER\r\n.\r\n"
PLAIN = base64.b64encode(f"\0me\0{SECRET}".encode())


# --- arguments ------------------------------------------------------------------------------------------------


def test_threat_14_control_characters(tmp_path: Path) -> None:
    """CR, LF, NUL and all of C0 and DEL are ValueError before a byte is sent, wherever the value comes from."""
    netrc = tmp_path / "netrc"
    netrc.write_text('machine 127.0.0.1 login me password "x\x0by"\n')
    netrc.chmod(0o600)
    with hostile(b"+OK\r\n") as server:
        for make in (
            lambda: Mailbox("127.0.0.1", "me\r\nDELE 1", SECRET, port=server.port),
            lambda: Mailbox("127.0.0.1", "me", "x\r\nDELE 1", port=server.port),
            lambda: Mailbox.from_url(f"pop://me%0d%0aDELE%201:x@127.0.0.1:{server.port}"),
            lambda: Account.from_env(environment={"PYMAILBOX_HOST": "127.0.0.1", "PYMAILBOX_PASSWORD": "x\0"}),
            lambda: Account.from_netrc("127.0.0.1", path=netrc),
            lambda: OAuth2("x\ny"),
        ):
            with pytest.raises(ValueError, match=r"control characters|no POP URL"):
                make()
        assert server.received == []
    with hostile(b"+OK\r\n", CAPA) as server:
        late = Mailbox("127.0.0.1", "me", lambda: "x\r\nDELE 1", port=server.port, security="none", utf8=False)
        with pytest.raises(ValueError, match="control characters"):
            late.open()
        time.sleep(0.1)
        assert server.said == [b"CAPA\r\n"]


def test_threat_15_narrowed_characters() -> None:
    """U+760D and U+760A are sent as UTF-8, in which no octet is a CR or LF."""
    name = "me\u760d\u760aDELE 1"
    with Server(user=name, password=SECRET, sasl=()) as server:
        with Mailbox(server.host, name, SECRET, port=server.port, security="none"):
            pass
        assert server.sessions[0].commands.count(f"USER {name}") == 1
        assert "DELE 1" not in server.sessions[0].commands


# --- STLS -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"-ERR\r\n", b"-ERR unknown command\r\n", b"+OK\r\nUSER\r\n.\r\n"])
def test_threat_16_stls_is_taken_away(answer: bytes) -> None:
    """`security="starttls"` is a requirement, whatever CAPA says or does not say: nothing is sent in clear."""
    with hostile(b"+OK\r\n", answer, answer, answer) as server:
        refused(server.port, security="starttls")
        assert server.said == [b"STLS\r\n"]


def test_threat_17_refused_with_forged_replies_behind() -> None:
    """CVE-2021-22947: what stands behind the -ERR answers nothing."""
    with hostile(b"+OK\r\n", b"-ERR no TLS\r\n" + b"+OK\r\n" * 9) as server:
        assert isinstance(refused(server.port, security="starttls"), ProtocolError)
        assert server.said == [b"STLS\r\n"]


@pytest.mark.parametrize("injected", [b"+OK injected\r\n", b"+OK", b"\r\n", b"\0", b"+OK\r\n" * 1000])
def test_threat_18_response_injection(injected: bytes, authority: Authority) -> None:
    """CVE-2026-41319: octets behind the +OK, be they half a line, are an attack; no handshake is begun."""
    with hostile(b"+OK\r\n", b"+OK begin TLS\r\n" + injected) as server:
        error = refused(server.port, host="localhost", security="starttls", ssl_context=tls.private_ca(authority.pem))
        assert isinstance(error, ProtocolError)
        assert server.said[:1] == [b"STLS\r\n"]
        assert not any(line.startswith(b"\x16\x03") for line in server.said)


def test_threat_19_stale_capabilities(authority: Authority) -> None:
    """RFC 2595 §4: inside TLS everything is asked anew; before it, nothing but STLS is said at all."""
    context = server_context(authority.issue("localhost"))
    with Server([b"x\r\n"], security="starttls", ssl_context=context) as server:
        ours = tls.private_ca(authority.pem)
        with Mailbox("localhost", "me", "secret", port=server.port, security="starttls", ssl_context=ours) as inbox:
            assert "STLS" not in inbox.capabilities
        assert server.sessions[0].commands[:2] == ("STLS", "CAPA")


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_threat_20_endless_handshake(security: str) -> None:
    """CVE-2011-1947: the deadline covers the handshake."""
    replies = (b"+OK\r\n", b"+OK\r\n") if security == "starttls" else (b"",)
    began = time.monotonic()
    with hostile(*replies) as server:
        assert isinstance(refused(server.port, security=security, timeout=0.4), Timeout)
    assert time.monotonic() - began < 2.0


def test_threat_21_plaintext_goes_on_behind_stls() -> None:
    """No TLS comes: TLSError, and not a word in clear."""
    with hostile(b"+OK\r\n", b"+OK\r\n", b"+OK still in clear, go on\r\n" * 9) as server:
        error = refused(server.port, security="starttls", timeout=1.0)
        assert isinstance(error, TLSError | ProtocolError | Timeout)
        assert not any(line.startswith((b"USER", b"PASS", b"AUTH")) for line in server.said)


# --- certificates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_threat_22_bad_certificate(security: Any, authority: Authority) -> None:
    """Expired is enough here; all eight kinds, with both drivers, are in test_tls."""
    context = server_context(authority.issue("localhost", since=-3 * DAY, until=-DAY))
    with Server(security=security, ssl_context=context, log_secrets=True) as server:
        ours = tls.private_ca(authority.pem)
        error = refused(server.port, host="localhost", security=security, ssl_context=ours)
        assert isinstance(error, TLSError)
        assert {line for record in server.sessions for line in record.commands} <= {"STLS"}


def test_threat_23_no_name_matching_of_our_own() -> None:
    """CVE-2009-2666: a NUL in a name is OpenSSL's business; nothing that connects reads names from certificates."""
    for path in Path(tls.__file__).parent.glob("*.py"):
        source = path.read_text()
        assert "match_hostname" not in source
        assert "subjectAltName" not in source


def test_threat_24_opting_out_is_explicit() -> None:
    """By one name that can be searched for, and it warns; no flag of Mailbox turns verification off."""
    with pytest.warns(tls.UnverifiedWarning):
        context = tls.unverified()
    with Server(security="tls") as server:
        assert isinstance(refused(server.port, host="localhost", security="tls"), TLSError)
        with Mailbox("localhost", "me", "secret", port=server.port, ssl_context=context):
            pass


def test_threat_25_the_wrong_port() -> None:
    """TLS to a plaintext port and the reverse: the error names the likely cause."""
    with Server() as server:
        assert "a port without TLS" in str(refused(server.port, security="tls"))
    with Server(security="tls") as server:
        assert "TLS" in str(refused(server.port, security="none", timeout=0.5))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_threat_26_old_tls(version: ssl.TLSVersion, authority: Authority) -> None:
    """RFC 8996: 1.2 or newer, and no compression."""
    context = server_context(authority.issue("localhost"), most=version)
    with Server(security="tls", ssl_context=context) as server:
        error = refused(server.port, host="localhost", security="tls", ssl_context=tls.private_ca(authority.pem))
        assert isinstance(error, TLSError)
    assert tls.verified().options & ssl.OP_NO_COMPRESSION


# --- mechanisms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("greeting", [b"<a@b> junk <c@d>", b"<no-at>", b"<\xff\x80@host>", b"<a@b\x01>", b"none"])
def test_threat_27_apop(greeting: bytes) -> None:
    """CVE-2007-1558: never by itself; when asked for, a strict challenge or nothing is sent."""
    with hostile(b"+OK " + greeting + b"\r\n", CAPA) as server:
        assert isinstance(refused(server.port, auth="APOP"), NotSupported)
        assert server.said == [b"CAPA\r\n"]
    with hostile(b"+OK <1.2@host>\r\n", b"-ERR\r\n", b"-ERR\r\n") as server:
        refused(server.port)
        assert not any(line.startswith(b"APOP") for line in server.said)


@pytest.mark.parametrize("auth", ["SCRAM-SHA-256", "CRAM-MD5", "OAUTHBEARER"])
def test_threat_28_downgrade(auth: str) -> None:
    """CVE-2006-5867: what was asked for is a requirement, though only PLAIN and USER are listed."""
    with hostile(b"+OK\r\n", b"+OK\r\nSASL PLAIN\r\nUSER\r\n.\r\n", b"-ERR unsupported\r\n") as server:
        refused(server.port, auth=auth)
        assert [line.split()[:2] for line in server.said if line != b"CAPA\r\n"] == [[b"AUTH", auth.encode()]]


def test_threat_29_endless_challenges() -> None:
    """Bounded by `Limits.sasl_rounds`; the server is told with `*`."""

    class Patient:
        name, plaintext, initial = "X-PATIENT", False, None

        def exchange(self, *_: Any) -> Iterator[bytes | None]:
            yield None
            while True:
                yield b"more"

    with hostile(b"+OK\r\n", CAPA, *[b"+ bW9yZQ==\r\n"] * 50) as server:
        error = refused(server.port, auth=Patient())
        assert isinstance(error, LimitExceeded)
        assert error.field == "sasl_rounds"
        assert server.said.count(base64.b64encode(b"more") + b"\r\n") == 10
        assert server.said[-1] == b"*\r\n"


@pytest.mark.parametrize("challenge", [b"+ !!!\r\n", b"+ -ERR no\r\n", b"+ TlRM=VNT\r\n", b"+ a\r\n"])
def test_threat_30_bad_base64(challenge: bytes) -> None:
    """CVE-2012-3482: nothing is read from it; `*`, and a typed error."""
    with hostile(b"+OK\r\n", CAPA, challenge, b"-ERR\r\n") as server:
        assert isinstance(refused(server.port, auth="CRAM-MD5"), ProtocolError)
        assert server.said[-1] == b"*\r\n"


@pytest.mark.parametrize("answers", [[b"+OK welcome\r\n"], [b"+ cj14\r\n"]])
def test_threat_31_ok_without_proof(answers: list[bytes]) -> None:
    """+OK before SCRAM's server signature, or a first message that is none: not logged in, nothing more is said."""
    with hostile(b"+OK\r\n", CAPA, *answers, b"-ERR\r\n") as server:
        assert isinstance(refused(server.port, auth="SCRAM-SHA-256"), ProtocolError)
        assert not any(line.startswith(b"STAT") for line in server.said)


def test_threat_32_the_reason_of_an_oauth_failure() -> None:
    """Answered with AQ==, and raised with the status."""
    reason = base64.b64encode(json.dumps({"status": "invalid_token", "scope": "pop"}).encode())
    with hostile(b"+OK\r\n", CAPA, b"+ " + reason + b"\r\n", b"-ERR [AUTH] no\r\n") as server:
        error = refused(server.port, None, auth=OAuth2("a-token"))
        assert isinstance(error, AuthenticationError)
        assert "status invalid_token" in str(error)
        assert server.said[-1] == b"AQ==\r\n"


# --- secrets --------------------------------------------------------------------------------------------------


def test_threat_33_the_password_in_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """A server that echoes the line of AUTH finds no way into errors or logs; the matrix of cases is in test_secrets."""
    caplog.set_level(logging.DEBUG)
    with hostile(b"+OK\r\n", CAPA, b"-ERR what is AUTH PLAIN " + PLAIN + b", " + SECRET.encode() + b"?\r\n") as server:
        error = refused(server.port, auth="PLAIN")
    for text in (str(error), repr(error), repr(vars(error)), caplog.text):
        assert SECRET not in text
        assert PLAIN.decode() not in text
    assert "C: AUTH PLAIN ***" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_threat_34_files_of_secrets(tmp_path: Path) -> None:
    """CVE-2005-3088: nothing here writes a secret to a file; one that others can read is not used."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine h login me password x\n")
    netrc.chmod(0o644)
    with pytest.raises(ValueError, match="read by others"):
        Account.from_netrc("h", path=netrc)
    netrc.chmod(0o600)
    assert Account.from_netrc("h", path=netrc).password == "x"
    assert stat.S_IMODE(netrc.stat().st_mode) == 0o600


def test_threat_35_no_connection_is_used_twice() -> None:
    """CVE-2026-4873: there is no pool; each opening is a connection of its own, with its own settings."""
    with Server([b"x\r\n"], lock=False) as server:
        for _ in range(2):
            with Mailbox(server.host, "me", "secret", port=server.port, security="none"):
                pass
        mailbox = Mailbox(server.host, "me", "secret", port=server.port, security="none").open()
        mailbox.reopen()
        mailbox.close()
        assert len(server.sessions) == 4


def test_threat_36_a_password_command_has_no_shell(tmp_path: Path) -> None:
    """A list of words, given to the program as they are."""
    marker = tmp_path / "marker"
    words = [sys.executable, "-c", "import sys; print(len(sys.argv))", f"; touch {marker} #", "$(id)"]
    assert password_command(words)() == "3"
    assert not marker.exists()
    with pytest.raises(TypeError):
        password_command("pass show mail")


@pytest.mark.parametrize(
    "text",
    [
        "[AUTH] wrong",
        "[AUTH] protocol error",
        "wrong",
        "[LOGIN-DELAY] later",
        "[IN-USE]",
        # Words that are also said of a mechanism or of the form of a line.
        "Logon failure: unknown user name or bad password.",
        "unknown user",
        "user not enabled",
        "Login not supported for this account",
        "too many failed attempts",
        "Invalid parameter: password",
    ],
)
def test_threat_37_no_second_try(text: str) -> None:
    """One connection, one attempt: a second could lock the account."""
    faults = [Fault.refuse(verb, None, text=text) for verb in ("AUTH", "PASS")]
    with Server(sasl=("PLAIN", "LOGIN", "CRAM-MD5"), faults=faults) as server:
        refused(server.port)
        assert len(server.sessions) == 1
        assert sum(line.startswith(("AUTH", "PASS")) for line in server.sessions[0].commands) == 1
