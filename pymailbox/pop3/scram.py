"""SCRAM (RFC 5802, RFC 7677): a login in which both sides prove that they know the password, without sending it.

The cryptography comes from the library scramp (the extra `scram`), imported when the first exchange starts. It enforces
4096 to ten million iterations, a minimum length for the salt (the RFC sets none), a server nonce that starts with the
client's, and a valid server signature. `Limits.scram_iterations` is checked before the first iteration.
"""

import base64
import importlib.util
import re
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import Attribute, field, frozen

from pymailbox.account import Exchange, Peer
from pymailbox.display import Secret, safe_text, secret
from pymailbox.errors import AuthenticationError, LimitExceeded, NotSupported, ProtocolError
from pymailbox.pop3.commands import no_control_characters, no_control_octets

__all__ = ["Scram", "allows", "available"]

T = TypeVar("T")

_HASHES = ("SHA-512", "SHA-256", "SHA-1")


def available() -> bool:
    """Whether the library is installed; does not import it."""
    return importlib.util.find_spec("scramp") is not None


def allows(user: str, password: str | bytes) -> bool:
    """Whether SCRAM can carry these: RFC 4013 forbids private-use characters and any newer than Unicode 3.2 (emoji).

    Bytes must be valid UTF-8, which is what the RFC hashes.
    """
    text = _as_text(password)
    if text is None:
        return False
    password = text
    if (user.isascii() and password.isascii()) or not available():
        return True
    import scramp

    try:
        scramp.ScramClient(["SCRAM-SHA-256"], user, password)
    except scramp.ScramException:
        return False
    return True


def _known(_: object, __: "Attribute[Any]", value: str) -> None:
    value = value.upper()
    if value.removeprefix("SCRAM-").removesuffix("-PLUS") not in _HASHES:
        raise NotSupported(f"unsupported mechanism: {value!r} (SCRAM is supported with {', '.join(_HASHES)})")
    if not available():
        raise NotSupported(f"{value} needs the library scramp: pip install 'pymailbox[scram]'")


def _as_text(password: str | bytes) -> Secret | None:
    """Return a password as text, or None for bytes that are not UTF-8."""
    if isinstance(password, bytes):
        try:
            return Secret(password.decode())
        except UnicodeDecodeError:
            return None
    return secret(password)


@frozen
class Scram:
    """SCRAM with one hash; a name that ends in `-PLUS` binds the login to the TLS channel.

    The binding is `tls-unique` up to TLS 1.2, `tls-exporter` above it if Python supports it, and otherwise
    `tls-server-end-point` (RFC 5929, RFC 9266).
    """

    user: str = field(validator=no_control_characters)
    password: str | bytes = field(repr=False, converter=secret, validator=no_control_octets)
    name: str = field(default="SCRAM-SHA-256", validator=_known)

    plaintext = False
    initial = True

    def __attrs_post_init__(self) -> None:
        # Not a converter: pyright does not accept a field that has one as the `name` of a Mechanism.
        object.__setattr__(self, "name", self.name.upper())

    def exchange(self, peer: Peer, /) -> Exchange:
        """Start one exchange."""
        client = _client(self, peer)
        challenge = yield client.get_client_first().encode()
        first = _text(challenge)
        _check_iterations(first, peer.scram_iterations)
        _set_first(client, first)
        challenge = yield _check(client.get_client_final, "the server's SCRAM message cannot be used").encode()
        final = _text(challenge)
        if final.startswith("e="):
            raise AuthenticationError(
                "the server refused the proof of the password; check the user name and password", response=final
            )
        _check(
            lambda: client.set_server_final(final),
            "the server could not prove that it knows the password; the connection may be intercepted",
        )
        yield b""


def _client(mechanism: Scram, peer: Peer) -> Any:
    import scramp

    binding = None
    if peer.tls is not None:
        from pymailbox.pop3.tls import channel_binding

        binding = channel_binding(peer.tls)
    bound = mechanism.name.endswith("-PLUS")
    if bound and binding is None:
        raise NotSupported(f"{mechanism.name} needs TLS with a channel binding; without one, use another login")
    if not bound and (not peer.mechanisms or any(name.endswith("-PLUS") for name in peer.mechanisms)):
        # "We could bind, you cannot" (RFC 5802 §5.1) is sent only if the server's list has no -PLUS.
        binding = None
    password = _as_text(mechanism.password)
    if password is None:
        raise ValueError("SCRAM needs a UTF-8 password (RFC 5802 §2.2); another login can send these bytes")
    try:
        return scramp.ScramClient([mechanism.name], mechanism.user, password, channel_binding=binding)
    except scramp.ScramException:
        pass
    # After the except clause, so that this error does not hold scramp's frames.
    raise ValueError("user or password has characters that SCRAM does not allow (RFC 4013); use another login")


def _check_iterations(first: str, most: int) -> None:
    """Refuse a server's first message if it asks for too many iterations."""
    for digits in re.findall(r"(?:^|,)i=([0-9]+)", first):
        if len(digits) > 18 or int(digits) > most:
            raise LimitExceeded(
                f"the server asks for {digits[:20]} SCRAM iterations, more than Limits.scram_iterations allows;"
                " raise that limit if this server can be trusted",
                field="scram_iterations",
            )


def _set_first(client: Any, first: str) -> None:
    try:
        _check(lambda: client.set_server_first(first), "the server's SCRAM message violates RFC 5802")
        return
    except ProtocolError as error:
        refused = error
    salt = _salt(first)
    if salt and "salt" in refused.problem:  # well formed: the RFC sets no minimum length, but the library does
        raise NotSupported(
            f"the server's SCRAM salt has {len(salt)} bytes, fewer than the library scramp accepts (short salts make"
            ' stolen password lists easier to break); use auth="PLAIN", which sends the password itself, inside TLS'
        )
    raise refused


def _salt(first: str) -> bytes | None:
    """Return the salt in a server's first message, or None if it is not base64."""
    found = re.search(r"(?:^|,)s=([^,]*)", first)
    try:
        return base64.b64decode(found[1], validate=True) if found else None
    except ValueError:
        return None


def _text(challenge: bytes | None) -> str:
    if challenge is None:
        raise ProtocolError("the server accepted the login without proving its identity (SCRAM)")
    return challenge.decode("utf-8", "replace")


def _check(step: Callable[[], T], problem: str) -> T:
    import scramp

    try:
        return step()
    except scramp.ScramException as error:
        why = str(error)
    raise ProtocolError(f"{problem} ({safe_text(why)})")
