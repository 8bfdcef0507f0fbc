"""Each mechanism sends the bytes of its RFC's own example, and refuses a server that breaks the exchange."""

import base64
import pickle
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import scramp

from pymailbox.account import Exchange, Peer
from pymailbox.errors import AuthenticationError, CommandError, LimitExceeded, NotSupported, ProtocolError
from pymailbox.pop3 import sasl
from tests import case

PEER = Peer("server.example.com")


class Channel:
    """A TLS channel, reduced to the methods that a mechanism uses."""

    def version(self) -> str | None:
        """Return the version."""
        return "TLSv1.2"

    def getpeercert(self, binary_form: bool = False) -> bytes | None:
        """Return no certificate."""
        return None

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """Return the channel binding."""
        return b"bound to this" if cb_type == "tls-unique" else None


def finish(exchange: Exchange) -> None:
    """Send +OK, at which the mechanism must end."""
    with pytest.raises(StopIteration):
        exchange.send(None)


# --- the simple ones ------------------------------------------------------------------------------------------


def test_plain_is_three_fields() -> None:
    """RFC 4616 §2: authorization identity, user and password, separated by NUL."""
    exchange = sasl.Plain("tim", "tanstaaftanstaaf").exchange(PEER)
    assert next(exchange) == b"\0tim\0tanstaaftanstaaf"
    finish(exchange)
    assert next(sasl.Plain("Kurt", "xipj3plmq", "Ursel").exchange(PEER)) == b"Ursel\0Kurt\0xipj3plmq"


def test_login_answers_any_prompt() -> None:
    """The server speaks first, in its own words; user and password are sent in that order."""
    exchange = sasl.Login("tim", "tänst").exchange(PEER)
    assert next(exchange) is None
    assert exchange.send(b"Username:") == b"tim"
    assert exchange.send(b"Enter your thing") == "tänst".encode()
    finish(exchange)


def test_cram_md5_sends_the_digest_of_rfc_2195() -> None:
    """The example of RFC 2195 §2."""
    exchange = sasl.CramMD5("tim", "tanstaaftanstaaf").exchange(PEER)
    assert next(exchange) is None
    digest = exchange.send(b"<1896.697170952@postoffice.reston.mci.net>")
    assert digest == b"tim b913a602c7eda7a495b4e6e7334d3890"
    finish(exchange)


def test_cram_md5_needs_a_challenge() -> None:
    """The digest of an empty challenge would be the same for every server."""
    for challenge in (b"", None):
        exchange = sasl.CramMD5("tim", "tanstaaftanstaaf").exchange(PEER)
        next(exchange)
        with case(challenge), pytest.raises(ProtocolError):
            exchange.send(challenge)


def test_anonymous_sends_its_trace_and_external_its_user() -> None:
    """RFC 4505 §2 and RFC 4422 §A; an empty user means the identity in the certificate."""
    assert next(sasl.Anonymous("sirhc").exchange(PEER)) == b"sirhc"
    inside = Peer("server.example.com", tls=Channel())
    assert next(sasl.External().exchange(inside)) == b""
    assert next(sasl.External("fred@example.com").exchange(inside)) == b"fred@example.com"
    with pytest.raises(NotSupported, match="client certificate"):
        next(sasl.External().exchange(PEER))


# --- OAuth2 ---------------------------------------------------------------------------------------------------


def test_xoauth2_sends_the_message_in_googles_example() -> None:
    """The example in Google's documentation of XOAUTH2."""
    token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
    expected = "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    exchange = sasl.XOAuth2("someuser@example.com", token).exchange(PEER)
    assert base64.b64encode(next(exchange) or b"").decode() == expected
    finish(exchange)


def test_oauthbearer_sends_the_message_of_rfc_7628() -> None:
    """RFC 7628 §4.1, with the host, and with `=` and commas in the user name escaped."""
    exchange = sasl.OAuthBearer("us,er=@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==").exchange(PEER)
    assert next(exchange) == (
        b"n,a=us=2Cer=3D@example.com,\1host=server.example.com\1"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"
    )
    finish(exchange)


@pytest.mark.threat(32)
def test_the_reason_of_an_oauth_failure_is_in_the_error() -> None:
    """RFC 7628 §3.2.3: the failure is a challenge with JSON; -ERR comes after its acknowledgement."""
    mechanisms: list[tuple[Any, bytes]] = [
        (sasl.XOAuth2("me", "ya29.x"), b""),
        (sasl.OAuthBearer("me", "ya29.x"), b"\1"),
    ]
    for mechanism, acknowledged in mechanisms:
        with case(mechanism.name):
            exchange = mechanism.exchange(PEER)
            next(exchange)
            assert exchange.send(b'{"status":"invalid_token","scope":"pop\\u001b[0m"}') == acknowledged
            with pytest.raises(AuthenticationError) as caught:
                exchange.throw(CommandError("refused", response="[AUTH] no", code="AUTH"))
            assert "status invalid_token" in str(caught.value)
            assert "\x1b" not in str(caught.value)
            assert caught.value.code == "AUTH"


def test_a_reason_need_not_be_json() -> None:
    """Whatever the reason contains, the error is an AuthenticationError."""
    for challenge in (b"", b"not JSON", b"[" * 3000, b'["status"]', b"\xff\xfe", b'{"a":' * 500):
        exchange = sasl.XOAuth2("me", "token").exchange(PEER)
        next(exchange)
        with case(challenge[:30]):
            exchange.send(challenge)
            with pytest.raises(AuthenticationError):
                exchange.throw(CommandError("refused"))


def test_ok_after_a_refused_token_is_a_protocol_error() -> None:
    """+OK after the reason for a failure is not a login."""
    exchange = sasl.OAuthBearer("me", "token").exchange(PEER)
    next(exchange)
    exchange.send(b'{"status":"401"}')
    with pytest.raises(ProtocolError):
        exchange.send(None)


# --- SCRAM ----------------------------------------------------------------------------------------------------

SCRAMS = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def server(name: str, binding: tuple[str, bytes] | None = None) -> Any:
    """Return scramp's server side."""
    mechanism = scramp.ScramMechanism(name)
    info = mechanism.make_auth_info("pencil")
    return mechanism.make_server(lambda _: info, channel_binding=binding)


def converse(name: str, peer: Peer, binding: tuple[str, bytes] | None = None) -> Exchange:
    """Run SCRAM with the right password up to and including the verification of the server's last message."""
    exchange = sasl.Scram("user", "pencil", name).exchange(peer)
    other = server(name, binding=binding)
    other.set_client_first((next(exchange) or b"").decode())
    other.set_client_final((exchange.send(other.get_server_first().encode()) or b"").decode())
    assert exchange.send(other.get_server_final().encode()) == b""
    return exchange


def test_scram_proves_both_sides() -> None:
    """RFC 5802 §3: the server's signature is verified before the login counts."""
    for name in SCRAMS:
        with case(name):
            finish(converse(name, PEER))


def test_scram_plus_binds_to_the_channel() -> None:
    """RFC 5802 §6: the server accepts the proof only on the same TLS channel."""
    for name in SCRAMS:
        with case(name):
            peer = Peer("server.example.com", (f"{name}-PLUS", name), Channel())
            finish(converse(f"{name}-PLUS", peer, ("tls-unique", b"bound to this")))
            with pytest.raises(scramp.ScramException):
                converse(f"{name}-PLUS", peer, ("tls-unique", b"another channel"))


def test_scram_plus_needs_tls() -> None:
    """Without TLS there is no channel to bind to."""
    with pytest.raises(NotSupported, match="needs TLS"):
        next(sasl.Scram("user", "pencil", "SCRAM-SHA-256-PLUS").exchange(PEER))


def test_a_downgrade_of_scram_plus_is_reported_to_the_server() -> None:
    """RFC 5802 §6: "y" if we could bind but the list has no -PLUS; the server can tell if an attacker removed it."""
    cases: list[tuple[tuple[str, ...], bytes]] = [
        ((), b"n,,"),
        (("SCRAM-SHA-256",), b"y,,"),
        (("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"), b"n,,"),
    ]
    for listed, flag in cases:
        exchange = sasl.Scram("user", "pencil").exchange(Peer("server.example.com", listed, Channel()))
        assert (next(exchange) or b"").startswith(flag), listed


def first(exchange: Exchange) -> str:
    """Return the client's nonce."""
    return (next(exchange) or b"").decode().rpartition("r=")[2]


def test_scram_refuses_a_bad_first_message() -> None:
    """Too few iterations make guessing easier; a nonce that does not start with the client's is a replay."""
    for answer in (
        "",
        "r={nonce}x,s=c2FsdHNhbHRzYWx0,i=1",
        "r={nonce}x,s=c2FsdHNhbHRzYWx0,i=-4096",
        "r={nonce}x,s=c2FsdHNhbHRzYWx0,i=４０９６",
        "r=another,s=c2FsdHNhbHRzYWx0,i=4096",
        "r={nonce}x,s=!!!,i=4096",
        "m=ext,r={nonce}x,s=c2FsdHNhbHRzYWx0,i=4096",
        "s=c2FsdHNhbHRzYWx0,i=4096",
        "\0\xff",
    ):
        exchange = sasl.Scram("user", "pencil").exchange(PEER)
        challenge = answer.format(nonce=first(exchange)).encode("latin-1", "replace")
        with case(answer), pytest.raises(ProtocolError):
            exchange.send(challenge)


def test_a_short_salt_is_not_supported() -> None:
    """RFC 5802 §5.1 sets no minimum length but the library does: NotSupported, not ProtocolError, names another login."""
    for size in (1, 4, 8, 11):
        exchange = sasl.Scram("user", "pencil").exchange(PEER)
        salt = base64.b64encode(bytes(size)).decode()
        challenge = f"r={first(exchange)}x,s={salt},i=4096".encode()
        with case(size), pytest.raises(NotSupported, match=rf'salt has {size} bytes.*auth="PLAIN"'):
            exchange.send(challenge)
    exchange = sasl.Scram("user", "pencil").exchange(PEER)
    assert exchange.send(f"r={first(exchange)}x,s={base64.b64encode(bytes(12)).decode()},i=4096".encode())


def test_scram_iterations_are_limited_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond `Limits.scram_iterations` not one iteration is computed, and the error names the limit."""
    asked: list[int] = []

    def hashed(_: object, __: bytes, ___: bytes, iterations: Any) -> bytes:
        asked.append(int(iterations))
        return bytes(32)

    monkeypatch.setattr("scramp.core.hi", hashed)
    for most, iterations, allowed in (
        (1_000_000, "1000000", True),
        (1_000_000, "1000001", False),
        (1_000_000, "10000000", False),
        (1_000_000, "9" * 5000, False),
        (5_000, "4096", True),
        (5_000, "5000", True),
        (5_000, "5001", False),
        (9_000_000, "9000000", True),
        (99_000_000, "99000001", False),
    ):
        for name in SCRAMS:
            peer = Peer("server.example.com", (name,), None, most)
            exchange = sasl.Scram("user", "pencil", name).exchange(peer)
            answer = f"r={first(exchange)}x,s=c2FsdHNhbHRzYWx0,i={iterations}".encode()
            asked.clear()
            with case(most, iterations, name):
                if allowed:
                    assert exchange.send(answer)
                    assert asked == [int(iterations)]
                    continue
                with pytest.raises(LimitExceeded, match=r"Limits\.scram_iterations") as caught:
                    exchange.send(answer)
                assert (caught.value.field, asked) == ("scram_iterations", [])
                assert len(str(caught.value)) < 300


@pytest.mark.threat(31)
def test_scram_rejects_a_server_that_does_not_know_the_password() -> None:
    """RFC 5802 §5: without a valid signature from the server, the login has not succeeded."""
    exchange = sasl.Scram("user", "pencil").exchange(PEER)
    other = server("SCRAM-SHA-256")
    other.set_client_first((next(exchange) or b"").decode())
    exchange.send(other.get_server_first().encode())
    with pytest.raises(ProtocolError, match="could not prove"):
        exchange.send(b"v=" + base64.b64encode(bytes(32)))


@pytest.mark.threat(31)
def test_scram_accepts_no_ok_without_proof() -> None:
    """+OK before the server's signature may come from an attacker."""
    for after in (1, 2):
        exchange = sasl.Scram("user", "pencil").exchange(PEER)
        other = server("SCRAM-SHA-256")
        other.set_client_first((next(exchange) or b"").decode())
        if after == 2:
            exchange.send(other.get_server_first().encode())
        with case(after), pytest.raises(ProtocolError, match="without proving its identity"):
            exchange.send(None)


def test_a_scram_error_from_the_server_is_a_refused_password() -> None:
    """RFC 5802 §5.1: `e=` in place of `v=`."""
    exchange = sasl.Scram("user", "pencil").exchange(PEER)
    other = server("SCRAM-SHA-256")
    other.set_client_first((next(exchange) or b"").decode())
    exchange.send(other.get_server_first().encode())
    with pytest.raises(AuthenticationError):
        exchange.send(b"e=invalid-proof")


def test_scram_without_the_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library is NotSupported, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "scramp", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(NotSupported, match=r"pymailbox\[scram\]"):
        sasl.Scram("user", "pencil")


def test_the_error_for_a_password_that_stringprep_refuses_does_not_show_it() -> None:
    """RFC 4013 forbids private-use characters; neither the error nor its context holds the password."""
    with pytest.raises(ValueError, match="SCRAM does not allow") as caught:
        next(sasl.Scram("user", "pencil\ue000").exchange(PEER))
    assert caught.value.__context__ is None


# --- all of them ----------------------------------------------------------------------------------------------

NAMES = ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER", *SCRAMS, *(name + "-PLUS" for name in SCRAMS)]


def test_every_mechanism_is_found_by_its_name() -> None:
    """The registered name works in upper and lower case, and the `repr` shows no secret."""
    for name in (*NAMES, "EXTERNAL", "ANONYMOUS", "GSSAPI"):
        with case(name):
            made = sasl.mechanism(name.lower(), "me", "hunter2")
            assert made.name == name
            assert "hunter2" not in repr(made)


@pytest.mark.threat(33)
def test_a_mechanism_with_a_secret_is_not_pickled() -> None:
    """Secrets are never pickled, and without its secret a mechanism is useless."""
    for name in NAMES:
        with case(name), pytest.raises(TypeError, match="secret"):
            pickle.dumps(sasl.mechanism(name, "me", "hunter2"))


def test_an_unknown_mechanism_is_not_supported() -> None:
    """The error is NotSupported, and printable whatever the name contains."""
    for name in ("NTLM", "DIGEST-MD5", "KERBEROS_V4", "SCRAM-MD5", "X\x1b[0m", ""):
        with case(name):
            with pytest.raises(NotSupported) as caught:
                sasl.mechanism(name, "me", "hunter2")
            assert str(caught.value).isprintable()


def test_gssapi_without_the_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library is NotSupported, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(NotSupported, match=r"pymailbox\[gssapi\]"):
        next(sasl.GSSAPI().exchange(PEER))


class Ticket:
    """Kerberos as the library presents it: two tokens, then wrapped messages."""

    def __init__(self, log: list[Any], offer: bytes) -> None:
        self.log, self.offer, self.complete = log, offer, False

    def step(self, token: bytes | None = None) -> bytes | None:
        """Take the server's token and return the client's."""
        self.log.append(token)
        self.complete = token is not None
        return None if self.complete else b"a ticket"

    def unwrap(self, message: bytes) -> Any:
        """Unwrap the server's offer."""
        self.log.append(message)
        return SimpleNamespace(message=self.offer)

    def wrap(self, message: bytes, encrypt: bool) -> Any:
        """Wrap the client's answer."""
        assert not encrypt
        return SimpleNamespace(message=b"wrapped " + message)


def kerberos(monkeypatch: pytest.MonkeyPatch, offer: bytes) -> list[Any]:
    """Replace gssapi by a library that behaves like it; return the log of its calls."""
    log: list[Any] = []
    library = ModuleType("gssapi")
    names = {
        "NameType": SimpleNamespace(hostbased_service="service"),
        "Name": lambda name, kind: log.append((name, kind)),
        "SecurityContext": lambda name, usage: Ticket(log, offer),  # noqa: ARG005 - the library's names
        "exceptions": SimpleNamespace(GSSError=ZeroDivisionError),
    }
    for name, value in names.items():
        setattr(library, name, value)
    monkeypatch.setitem(sys.modules, "gssapi", library)
    return log


def test_gssapi_follows_rfc_4752(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 4752 §3.1: tokens until the context is complete, an empty response, then "no security layer" and the user."""
    log = kerberos(monkeypatch, b"\x01\x00\x00\x00")
    exchange = sasl.GSSAPI("me").exchange(PEER)
    assert next(exchange) == b"a ticket"
    assert exchange.send(b"the server's") == b""
    assert exchange.send(b"the offer") == b"wrapped \x01\x00\x00\x00me"
    finish(exchange)
    assert log == [("pop@server.example.com", "service"), None, b"the server's", b"the offer"]


def test_gssapi_accepts_no_security_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that requires one, or sends an invalid offer, is a ProtocolError."""
    for offer in (b"", b"\x02\x00\x00\x00", b"\x01\x00\x00"):
        kerberos(monkeypatch, offer)
        exchange = sasl.GSSAPI("me").exchange(PEER)
        next(exchange)
        exchange.send(b"the server's")
        with case(offer), pytest.raises(ProtocolError):
            exchange.send(b"the offer")
