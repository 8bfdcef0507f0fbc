"""The test server accepts right credentials and refuses wrong ones, for passwords, APOP and each SASL mechanism."""

import base64
import hashlib
import hmac
import sys
from typing import Any

import pytest

from pymailbox.testing import Server
from tests import case
from tests.testing.by_hand import MAILS, Hand
from tests.timing import GENEROUS

ENTERED = b"+OK 3 messages\r\n"
REFUSED = b"-ERR [AUTH] wrong user or password\r\n"


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


def challenge(line: bytes) -> bytes:
    """Decode a challenge: `+ `, then base64 (RFC 5034 §4)."""
    assert line.startswith(b"+ "), line
    return base64.b64decode(line[2:].strip(), validate=True)


def test_a_password_is_the_rest_of_the_line() -> None:
    """It may have spaces and UTF-8; a wrong password and an unknown user are refused with [AUTH] (RFC 3206)."""
    for password in ("secret", "with two  blanks ", "grüße", " leading"):
        with case(repr(password)):
            try_password(password)


def try_password(password: str) -> None:
    """Try the right password, a wrong one, and an unknown user."""
    with Server(MAILS, password=password, lock_wait=GENEROUS) as server:
        for user, given, answer in (("me", password, ENTERED), ("me", "wrong", REFUSED), ("you", password, REFUSED)):
            with Hand(server) as hand:
                hand.until()
                assert hand.ask(b"PASS x") == b"-ERR send USER first\r\n"
                assert hand.ask(f"USER {user}".encode()) == b"+OK send the password\r\n"
                assert hand.ask(f"PASS {given}".encode()) == answer


def test_apop_uses_a_fresh_timestamp() -> None:
    """Each greeting has a different timestamp; APOP takes the MD5 of timestamp and password (RFC 1939 §7)."""
    stamps = set()
    with Server(MAILS, apop=True, lock_wait=GENEROUS) as server:
        for password, answer in ((b"secret", ENTERED), (b"wrong", REFUSED)):
            with Hand(server) as hand:
                stamp = b"<" + hand.until().partition(b"<")[2].strip()
                stamps.add(stamp)
                digest = hashlib.md5(stamp + password).hexdigest().encode()
                assert hand.ask(b"APOP nobody " + digest) == REFUSED
                assert hand.ask(b"APOP me " + digest) == answer
    assert len(stamps) == 2
    with Server(MAILS) as server, Hand(server) as hand:
        assert b"<" not in hand.until()
        assert hand.ask(b"APOP me 00") == b"-ERR APOP is not available\r\n"


@pytest.mark.parametrize("initial", [True, False])
def test_plain_follows_rfc_4616(initial: bool) -> None:
    """It works with and without an initial response."""
    with Server(MAILS, lock_wait=GENEROUS) as server:
        for message, answer in (
            (b"\0me\0secret", ENTERED),
            (b"me\0me\0secret", ENTERED),
            (b"you\0me\0secret", REFUSED),
            (b"\0me\0wrong", REFUSED),
            (b"\0you\0secret", REFUSED),
            (b"me", REFUSED),
            (b"\0\xff\0\xfe", REFUSED),
        ):
            with case(message), Hand(server) as hand:
                hand.until()
                if initial:
                    assert hand.ask(b"AUTH plain " + b64(message)) == answer
                else:
                    assert challenge(hand.ask(b"AUTH PLAIN")) == b""
                    assert hand.ask(b64(message)) == answer


def test_an_exchange_can_be_cancelled_and_repeated() -> None:
    """`*` cancels; invalid base64 ends the exchange; `=` is an empty initial response (RFC 5034 §4)."""
    with Server(MAILS) as server, Hand(server) as hand:
        hand.until()
        hand.ask(b"AUTH PLAIN")
        assert hand.ask(b"*") == b"-ERR cancelled\r\n"
        hand.ask(b"AUTH PLAIN")
        assert hand.ask(b"not base64!") == b"-ERR invalid base64\r\n"
        assert hand.ask(b"AUTH PLAIN ???") == b"-ERR invalid base64\r\n"
        assert hand.ask(b"AUTH PLAIN =") == REFUSED
        assert hand.ask(b"AUTH") == hand.ask(b"AUTH NTLM") == b"-ERR no such mechanism\r\n"
        assert hand.ask(b"AUTH PLAIN " + b64(b"\0me\0secret")) == ENTERED
        assert hand.ask(b"AUTH PLAIN") == b"-ERR not allowed after login\r\n"


def test_login_asks_for_user_and_password() -> None:
    """LOGIN sends two challenges and takes two responses."""
    with Server(MAILS, sasl=["login"], lock_wait=GENEROUS) as server:
        for password, answer in ((b"secret", ENTERED), (b"wrong", REFUSED)):
            with Hand(server) as hand:
                hand.until()
                assert b"SASL LOGIN\r\n" in hand.listing(b"CAPA")
                assert challenge(hand.ask(b"AUTH LOGIN")) == b"Username:"
                assert challenge(hand.ask(b64(b"me"))) == b"Password:"
                assert hand.ask(b64(password)) == answer


def test_cram_md5_uses_a_fresh_challenge() -> None:
    """RFC 2195: the response is the HMAC of the challenge; an initial response is refused."""
    seen = set()
    with Server(MAILS, sasl=["CRAM-MD5"], lock_wait=GENEROUS) as server:
        for password, answer in ((b"secret", ENTERED), (b"wrong", REFUSED)):
            with Hand(server) as hand:
                hand.until()
                assert hand.ask(b"AUTH CRAM-MD5 " + b64(b"me")) == REFUSED
                question = challenge(hand.ask(b"AUTH CRAM-MD5"))
                seen.add(question)
                digest = hmac.new(password, question, "md5").hexdigest().encode()
                assert hand.ask(b64(b"me " + digest)) == answer
            with Hand(server) as hand:
                hand.until()
                question = challenge(hand.ask(b"AUTH CRAM-MD5"))
                assert hand.ask(b64(b"nobody " + hmac.new(password, question, "md5").hexdigest().encode())) == REFUSED
    assert len(seen) == 2


@pytest.mark.parametrize("mechanism", [b"XOAUTH2", b"OAUTHBEARER"])
@pytest.mark.parametrize("check", ["good", lambda user, token: user == "me" and token == "good"])
def test_oauth_checks_the_token(mechanism: bytes, check: Any) -> None:
    """`token` is a string or a callable; a failure comes as JSON, then -ERR after the client's empty or ^A line (RFC 7628 §3.2.3)."""

    def message(user: bytes, token: bytes) -> bytes:
        if mechanism == b"XOAUTH2":
            return b"user=" + user + b"\1auth=Bearer " + token + b"\1\1"
        return b"n,a=" + user + b",\1host=localhost\1auth=Bearer " + token + b"\1\1"

    with Server(MAILS, sasl=[mechanism.decode()], token=check) as server, Hand(server) as hand:
        hand.until()
        for user, token in ((b"me", b"bad"), (b"you", b"good")):
            assert b'"status"' in challenge(hand.ask(b"AUTH " + mechanism + b" " + b64(message(user, token))))
            assert hand.ask(b"AQ==") == REFUSED
        assert hand.ask(b"AUTH " + mechanism + b" " + b64(message(b"me", b"good"))) == ENTERED


@pytest.mark.parametrize(("mechanism", "algorithm"), [("SCRAM-SHA-256", "sha256"), ("SCRAM-SHA-1", "sha1")])
def test_scram_follows_rfc_5802(mechanism: str, algorithm: str) -> None:
    """Both proofs match those computed here by hand; the server waits for an empty line before +OK."""
    with Server(MAILS, sasl=[mechanism], lock_wait=GENEROUS) as server:
        for password, right in ((b"secret", True), (b"wrong", False)):
            with Hand(server) as hand:
                hand.until()
                bare = b"n=me,r=clientnonce"
                first = challenge(hand.ask(b"AUTH " + mechanism.encode() + b" " + b64(b"n,," + bare)))
                fields = dict(part.split(b"=", 1) for part in first.split(b","))
                salted = hashlib.pbkdf2_hmac(algorithm, password, base64.b64decode(fields[b"s"]), int(fields[b"i"]))
                key = hmac.new(salted, b"Client Key", algorithm).digest()
                without = b"c=biws,r=" + fields[b"r"]
                signed = b",".join([bare, first, without])
                signature = hmac.new(hashlib.new(algorithm, key).digest(), signed, algorithm).digest()
                proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
                last = hand.ask(b64(without + b",p=" + b64(proof)))
                if not right:
                    assert last == REFUSED
                    continue
                server_key = hmac.new(salted, b"Server Key", algorithm).digest()
                assert challenge(last) == b"v=" + b64(hmac.new(server_key, signed, algorithm).digest())
                assert hand.ask(b"") == ENTERED
        with Hand(server) as hand:
            hand.until()
            assert hand.ask(b"AUTH " + mechanism.encode() + b" " + b64(b"n,,n=nobody,r=x")) == REFUSED
            assert hand.ask(b"AUTH " + mechanism.encode() + b" " + b64(b"\xff rubbish")) == REFUSED


def test_plaintext_false_requires_tls_for_passwords() -> None:
    """With plaintext=False, passwords are neither offered nor accepted outside TLS, but they are inside it."""
    with (
        Server(MAILS, plaintext=False, security="starttls", sasl=["PLAIN", "CRAM-MD5"]) as server,
        Hand(server) as hand,
    ):
        hand.until()
        capabilities = hand.listing(b"CAPA")
        assert b"\r\nUSER\r\n" not in capabilities
        assert b"\r\nSASL CRAM-MD5\r\n" in capabilities
        assert hand.ask(b"USER me").startswith(b"-ERR")
        assert hand.ask(b"AUTH PLAIN " + b64(b"\0me\0secret")).startswith(b"-ERR")
        hand.ask(b"STLS")
        hand.start_tls(server.client_context())
        assert b"\r\nUSER\r\nSASL PLAIN CRAM-MD5\r\n" in hand.listing(b"CAPA")
        assert hand.ask(b"AUTH PLAIN " + b64(b"\0me\0secret")) == ENTERED


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """If scramp or trustme is missing, opening a server that needs it fails; other servers work."""
    monkeypatch.setitem(sys.modules, "scramp", None)
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(RuntimeError, match=r"pymailbox\[scram\]"):
        Server(MAILS, sasl=["SCRAM-SHA-256"]).open()
    with pytest.raises(RuntimeError, match=r"pymailbox\[testing\]"):
        Server(MAILS, security="tls").open()
    with Server(MAILS, sasl=["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"]):
        pass
