"""GSSAPI (RFC 4752): a login by Kerberos ticket, through the library gssapi (the extra `gssapi`)."""

from attrs import field, frozen

from pymailbox.account import Exchange, Peer
from pymailbox.errors import NotSupported, ProtocolError
from pymailbox.pop3.commands import no_control_characters

__all__ = ["GSSAPI"]

_NO_LAYER = 1  # of the security layers that RFC 4752 §3.3 numbers; TLS is there for the rest


@frozen
class GSSAPI:
    """GSSAPI: the ticket of whoever is logged in to Kerberos; `user` is whose mailbox, where not their own."""

    user: str = field(default="", validator=no_control_characters)

    name = "GSSAPI"
    plaintext = False
    initial = False  # tickets are longer than 255 octets

    def exchange(self, peer: Peer, /) -> Exchange:
        """Start one exchange."""
        try:
            import gssapi  # has no types, and is not for every platform
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
                raise ProtocolError("the server wants a GSSAPI security layer; use TLS in its place")
            yield context.wrap(bytes((_NO_LAYER, 0, 0, 0)) + self.user.encode(), False).message
        except gssapi.exceptions.GSSError as error:
            raise NotSupported(f"Kerberos gave no login: {error}") from error
