"""GSSAPI (RFC 4752): login with a Kerberos ticket, using the library gssapi (the extra `gssapi`)."""

from attrs import field, frozen

from pymailbox.account import Exchange, Peer
from pymailbox.errors import NotSupported, ProtocolError
from pymailbox.pop3.commands import no_control_characters

__all__ = ["GSSAPI"]

_NO_LAYER = 1  # among the security layers numbered in RFC 4752 §3.3; TLS does what the others are for


@frozen
class GSSAPI:
    """GSSAPI: the ticket of the current Kerberos user; `user` names the mailbox's owner if that is someone else."""

    user: str = field(default="", validator=no_control_characters)

    name = "GSSAPI"
    plaintext = False
    initial = False  # tickets are longer than 255 octets

    def exchange(self, peer: Peer, /) -> Exchange:
        """Start one exchange."""
        try:
            import gssapi  # untyped, and not available on every platform
        except ImportError as error:
            raise NotSupported("GSSAPI needs the library gssapi: pip install 'pymailbox[gssapi]'") from error
        try:
            target = gssapi.Name(f"pop@{peer.host}", gssapi.NameType.hostbased_service)
            context = gssapi.SecurityContext(name=target, usage="initiate")
            token = context.step()
            while not context.complete:
                challenge = yield token or b""
                token = context.step(challenge or b"")
            offered = context.unwrap((yield token or b"") or b"").message
            if len(offered) != 4 or not offered[0] & _NO_LAYER:
                raise ProtocolError('the server requires a GSSAPI security layer; use security="tls" instead')
            yield context.wrap(bytes((_NO_LAYER, 0, 0, 0)) + self.user.encode(), False).message
        except gssapi.exceptions.GSSError as error:
            raise NotSupported(f"Kerberos login failed: {error}") from error
