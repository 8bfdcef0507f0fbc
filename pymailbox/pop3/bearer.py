"""Bearer: logging in with an OAuth2 access token, by OAUTHBEARER (RFC 7628) and XOAUTH2."""

from typing import Any

from attrs import field, frozen

from pymailbox.account import Exchange, Peer
from pymailbox.display import SecretBytes, Secrets, safe_text, secret
from pymailbox.errors import AuthenticationError, CommandError, ProtocolError
from pymailbox.pop3.commands import no_control_characters

__all__ = ["OAuthBearer", "XOAuth2"]


@frozen
class XOAuth2:
    """XOAUTH2: an access `token` for `user`, in the form that Google and Microsoft accept.

    The token is sent on a separate line: Microsoft 365 answers "Protocol error" to the shorter form (`initial=True`).
    """

    user: str = field(validator=no_control_characters)
    token: str = field(repr=False, converter=secret, validator=no_control_characters)
    initial: bool = field(default=False, kw_only=True)

    name = "XOAUTH2"
    plaintext = True

    def exchange(self, _: Peer, /) -> Exchange:
        """Start one exchange."""
        message = SecretBytes(f"user={self.user}\1auth=Bearer {self.token}\1\1".encode())
        yield from _bearer(message, self.token, b"")


@frozen
class OAuthBearer:
    """OAUTHBEARER: an access `token` for `user` (RFC 7628)."""

    user: str = field(validator=no_control_characters)
    token: str = field(repr=False, converter=secret, validator=no_control_characters)
    #: Whether to send the token in the AUTH line if it fits; some servers expect it on a separate line.
    initial: bool = field(default=True, kw_only=True, repr=False)

    name = "OAUTHBEARER"
    plaintext = True

    def exchange(self, peer: Peer, /) -> Exchange:
        """Start one exchange."""
        user = self.user.replace("=", "=3D").replace(",", "=2C")  # a saslname (RFC 5801 §4)
        message = SecretBytes(f"n,a={user},\1host={peer.host}\1auth=Bearer {self.token}\1\1".encode())
        yield from _bearer(message, self.token, b"\1")


def _bearer(message: SecretBytes, token: str, acknowledgement: bytes) -> Exchange:
    """Send a token; a challenge after it is the reason for a failure, to be acknowledged before -ERR comes."""
    known = Secrets()
    known.add(token)
    del token
    reason = ""
    try:
        failure = yield message
        if failure is None:
            return
        reason = f" ({_reason(failure.decode('utf-8', 'replace'), known)})"
        yield acknowledgement
    except CommandError as refused:
        judged = reason or (refused.command or "").endswith("***")  # otherwise the AUTH line failed, without the token
        if not judged or type(refused) not in (CommandError, AuthenticationError):
            raise
        raise AuthenticationError(
            f"the access token was refused{reason}; get a new one, and check that it is for this user, that it has the"
            " scope for POP, and that POP is enabled for the mailbox",
            command=refused.command,
            response=refused.response,
            code=refused.code,
        ) from refused
    raise ProtocolError("the server rejected the token, then reported success")


def _reason(response: str, known: Secrets) -> str:
    """Read the JSON of an OAuth failure (RFC 7628 §3.2.2); other text is shown unchanged, except for the token."""
    import json

    try:
        facts: Any = json.loads(response)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        return safe_text(known.redact(response.strip())) or "no reason given"
    return safe_text(known.redact(", ".join(f"{name} {facts[name]}" for name in sorted(facts) if facts[name])))
