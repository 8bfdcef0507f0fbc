"""SASL mechanisms (RFC 4422, RFC 5034): how to respond to a server's challenges.

Each mechanism is a value with a name; `account.Exchange` documents the exchange, `login` runs it. Base64, `*`, the two
forms of the first step and the number of rounds are not a mechanism's concern. No mechanism does I/O.

Fields are checked when the value is created: they may contain neither C0 control characters nor DEL. Secrets appear
neither in the `repr` nor in pickles. A password is text, sent as UTF-8, or bytes, sent unchanged; a token is text.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from pymailbox.account import Exchange, Mechanism, Peer
from pymailbox.display import safe_text, secret
from pymailbox.errors import NotSupported, ProtocolError
from pymailbox.pop3.commands import no_control_characters, no_control_octets, secret_bytes

if TYPE_CHECKING:
    from pymailbox.pop3.bearer import OAuthBearer, XOAuth2
    from pymailbox.pop3.kerberos import GSSAPI
    from pymailbox.pop3.scram import Scram

__all__ = [
    "GSSAPI",
    "Anonymous",
    "CramMD5",
    "Exchange",
    "External",
    "Login",
    "Mechanism",
    "OAuthBearer",
    "Peer",
    "Plain",
    "Scram",
    "XOAuth2",
    "mechanism",
]


#: The module of each mechanism that few use.
_HOMES = {"GSSAPI": "kerberos", "OAuthBearer": "bearer", "Scram": "scram", "XOAuth2": "bearer"}


def __getattr__(name: str) -> type[Mechanism]:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: type[Mechanism] = getattr(import_module(f"pymailbox.pop3.{_HOMES[name]}"), name)
    return found


@frozen
class Plain:
    """PLAIN: user and password in one message (RFC 4616); `authorization` names the mailbox's owner if not the user.

    >>> from pymailbox.pop3 import sasl
    >>> sasl.Plain("boss", "secret", authorization="me@example.com")
    Plain(user='boss', authorization='me@example.com')
    """

    user: str = field(validator=no_control_characters)
    password: str | bytes = field(repr=False, converter=secret, validator=no_control_octets)
    authorization: str = field(default="", validator=no_control_characters)
    #: Whether to send everything in the AUTH line if it fits; some servers expect it on a separate line.
    initial: bool = field(default=True, kw_only=True, repr=False)

    name = "PLAIN"
    plaintext = True

    def exchange(self, _: Peer, /) -> Exchange:
        """Start one exchange."""
        yield b"\0".join((self.authorization.encode(), self.user.encode(), secret_bytes(self.password, "password")))


@frozen
class Login:
    """LOGIN: user, then password, however the server words its prompts. Never standardized, widely supported."""

    user: str = field(validator=no_control_characters)
    password: str | bytes = field(repr=False, converter=secret, validator=no_control_octets)

    name = "LOGIN"
    plaintext = True
    initial = None

    def exchange(self, _: Peer, /) -> Exchange:
        """Start one exchange."""
        yield None
        yield self.user.encode()
        yield secret_bytes(self.password, "password")


@frozen
class CramMD5:
    """CRAM-MD5: a keyed MD5 of the server's challenge (RFC 2195), for `user` and `password`.

    An eavesdropper can guess passwords offline.
    """

    user: str = field(validator=no_control_characters)
    password: str | bytes = field(repr=False, converter=secret, validator=no_control_octets)

    name = "CRAM-MD5"
    plaintext = False
    initial = None

    def exchange(self, _: Peer, /) -> Exchange:
        """Start one exchange."""
        challenge = yield None
        if not challenge:
            raise ProtocolError("the server sent no challenge for CRAM-MD5 (RFC 2195)")
        yield self.user.encode() + b" " + self._digest(challenge)

    def _digest(self, challenge: bytes) -> bytes:
        import hmac

        try:
            return hmac.new(secret_bytes(self.password, "password"), challenge, "md5").hexdigest().encode()
        except ValueError as error:  # an OpenSSL build in FIPS mode
            raise NotSupported("CRAM-MD5 needs MD5, which this Python disables; use another login") from error


@frozen
class External:
    """EXTERNAL: the TLS client certificate is the credential (RFC 4422 §A); `user` names the mailbox's owner."""

    user: str = field(default="", validator=no_control_characters)

    name = "EXTERNAL"
    plaintext = False
    initial = True

    def exchange(self, peer: Peer, /) -> Exchange:
        """Start one exchange."""
        if peer.tls is None:
            raise NotSupported("EXTERNAL needs TLS with a client certificate (pymailbox.pop3.tls.client_certificate)")
        yield self.user.encode()


@frozen
class Anonymous:
    """ANONYMOUS: no credentials (RFC 4505); `trace` is shown to the server's operator."""

    trace: str = field(default="anonymous", validator=no_control_characters)

    name = "ANONYMOUS"
    plaintext = False
    initial = True

    def exchange(self, _: Peer, /) -> Exchange:
        """Start one exchange."""
        yield self.trace.encode()


def mechanism(name: str, user: str, password: str | bytes) -> Mechanism:
    """Return the mechanism of that name for `user`; for the OAuth mechanisms, `password` is the access token.

    Raises `NotSupported` if pymailbox does not know the name, or if a library it needs is not installed.
    """
    name = name.upper()
    if name.startswith("SCRAM-"):
        from pymailbox.pop3.scram import Scram

        return Scram(user, password, name)
    if name in ("XOAUTH2", "OAUTHBEARER"):
        from pymailbox.pop3.bearer import OAuthBearer, XOAuth2

        bearer: Callable[[str, Any], Mechanism] = XOAuth2 if name == "XOAUTH2" else OAuthBearer
        return bearer(user, password)
    simple: dict[str, type[Plain | Login | CramMD5]] = {"PLAIN": Plain, "LOGIN": Login, "CRAM-MD5": CramMD5}
    if name in simple:
        return simple[name](user, password)
    if name == "EXTERNAL":
        return External(user)
    if name == "ANONYMOUS":
        return Anonymous(user or "anonymous")
    if name == "GSSAPI":
        from pymailbox.pop3.kerberos import GSSAPI

        return GSSAPI(user)
    raise NotSupported(
        f"unsupported mechanism: {safe_text(name)!r} (supported: {', '.join(simple)}, XOAUTH2, OAUTHBEARER, SCRAM-*,"
        " EXTERNAL, ANONYMOUS, GSSAPI)"
    )
