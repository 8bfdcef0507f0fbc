"""Credential checks for USER, APOP and each SASL mechanism.

A mechanism is a generator. It is started with the client's initial response (None if there was none), yields
challenges, is sent the client's decoded responses, and returns the user name, or None if the credentials are wrong.
The session handles base64, `*` and the reply.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Generator, Iterable, Mapping
from importlib import import_module
from itertools import count
from typing import Any

from attrs import frozen

__all__ = ["Authenticator", "SaslExchange"]

SaslExchange = Generator[bytes, bytes, str | None]
TokenCheck = str | Callable[[str, str], bool] | None
_challenges = count(1)


@frozen
class Authenticator:
    """Who may log in. `token` is the OAuth token accepted for every user, or a callable `(user, token) -> bool`."""

    users: Mapping[str, str]
    token: TokenCheck = None

    def check(self, mechanisms: Iterable[str]) -> None:
        """Check that these can be offered. ValueError for an unknown one, RuntimeError if scramp is missing."""
        for mechanism in mechanisms:
            if mechanism in _SIMPLE:
                continue
            if mechanism not in _scramp().core.MECHS or mechanism.endswith("-PLUS"):
                raise ValueError(f"the test server does not support the SASL mechanism {mechanism}")

    def password(self, user: str, password: str) -> str | None:
        """Return the user if the password is right, otherwise None."""
        known = self.users.get(user)
        right = known is not None and hmac.compare_digest(_encoded(known), _encoded(password))
        return user if right else None

    def apop(self, user: str, digest: str, timestamp: str) -> str | None:
        """Return the user if the APOP digest is right, otherwise None (RFC 1939 §7)."""
        known = self.users.get(user)
        if known is None:
            return None
        right = hashlib.md5(_encoded(timestamp + known), usedforsecurity=False).hexdigest()
        return user if hmac.compare_digest(right.encode(), _encoded(digest)) else None

    def exchange(self, mechanism: str, initial: bytes | None) -> SaslExchange:
        """Start a mechanism that `check` has accepted."""
        if mechanism in _SIMPLE:
            return _SIMPLE[mechanism](self, initial)
        return self._scram(mechanism, initial)

    def _plain(self, initial: bytes | None) -> SaslExchange:
        """RFC 4616. Acting for another user is refused."""
        message = (yield b"") if initial is None else initial
        parts = message.split(b"\0")
        if len(parts) != 3:
            return None
        acting, user, password = map(_text, parts)
        return self.password(user, password) if acting in ("", user) else None

    def _login(self, initial: bytes | None) -> SaslExchange:
        user = (yield b"Username:") if initial is None else initial
        password = yield b"Password:"
        return self.password(_text(user), _text(password))

    def _cram_md5(self, initial: bytes | None) -> SaslExchange:
        """RFC 2195. The server sends the first data, so an initial response is an error."""
        if initial is not None:
            return None
        challenge = b"<%d.pymailbox@localhost>" % next(_challenges)
        user, _, digest = _text((yield challenge)).rpartition(" ")
        known = self.users.get(user)
        if known is None:
            return None
        right = hmac.new(_encoded(known), challenge, "md5").hexdigest()
        return user if hmac.compare_digest(right.encode(), _encoded(digest)) else None

    def _xoauth2(self, initial: bytes | None) -> SaslExchange:
        """Google's and Microsoft's: `user=...^Aauth=Bearer ...^A^A`. Before a failure comes a challenge in JSON."""
        message = (yield b"") if initial is None else initial
        fields = dict(part.partition("=")[::2] for part in _text(message).split("\1") if part)
        return (yield from self._bearer(fields.get("user", ""), fields.get("auth", "")))

    def _oauthbearer(self, initial: bytes | None) -> SaslExchange:
        """RFC 7628: a GS2 header with the user name, then the same fields."""
        message = (yield b"") if initial is None else initial
        header, *rest = _text(message).split("\1")
        fields = dict(part.partition("=")[::2] for part in rest if part)
        names = [part[2:] for part in header.split(",") if part.startswith("a=")]
        user = names[0].replace("=2C", ",").replace("=3D", "=") if names else ""
        return (yield from self._bearer(user, fields.get("auth", "")))

    def _bearer(self, user: str, credential: str) -> SaslExchange:
        scheme, _, token = credential.partition(" ")
        known = user in self.users and scheme.lower() == "bearer"
        if known and (self.token(user, token) if callable(self.token) else token == self.token):
            return user
        yield json.dumps({"status": "401", "schemes": "bearer", "scope": "https://mail.example.com/"}).encode()
        return None

    def _scram(self, mechanism: str, initial: bytes | None) -> SaslExchange:
        """RFC 5802, using the scramp library, without channel binding."""
        scramp = _scramp()
        asked: list[str] = []

        def look_up(user: str) -> tuple[bytes, bytes, bytes, int]:
            asked.append(user)
            salt, stored, server_key, rounds = scram.make_auth_info(self.users[user])
            return salt, stored, server_key, rounds

        scram = scramp.ScramMechanism(mechanism)
        server = scram.make_server(look_up)
        try:
            server.set_client_first(_text((yield b"") if initial is None else initial))
            server.set_client_final(_text((yield server.get_server_first().encode())))
        except (scramp.ScramException, KeyError):
            return None
        yield server.get_server_final().encode()  # the client answers with an empty line (RFC 5034 §4)
        return asked[0]


_SIMPLE: dict[str, Callable[[Authenticator, bytes | None], SaslExchange]] = {
    "PLAIN": Authenticator._plain,
    "LOGIN": Authenticator._login,
    "CRAM-MD5": Authenticator._cram_md5,
    "XOAUTH2": Authenticator._xoauth2,
    "OAUTHBEARER": Authenticator._oauthbearer,
}


def _scramp() -> Any:
    try:
        return import_module("scramp")  # it has no type information
    except ImportError as error:
        raise RuntimeError("SCRAM in the test server requires scramp: pip install 'pymailbox[scram]'") from error


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
