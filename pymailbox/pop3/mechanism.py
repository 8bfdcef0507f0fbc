"""Mechanism: what a SASL login method (RFC 4422) provides, and what it may know of the server.

Write your own by giving a class these names; pass an instance as `auth=`.
"""

from collections.abc import Generator
from typing import Any, Literal
from typing import Protocol as Interface

from attrs import Attribute, frozen

from pymailbox.pop3.commands import text

__all__ = ["Channel", "Exchange", "Mechanism", "Peer", "no_control_characters"]

#: One run of a mechanism. It yields responses: first the initial one (None where the server speaks first). It is sent
#: challenges, decoded from base64, and None for the server's +OK: to end then is to be content, to yield is to have
#: something more to say, and a mechanism that is owed a proof raises `ProtocolError`. A refusal is thrown in.
Exchange = Generator[bytes | None, bytes | None, None]


class Channel(Interface):
    """A TLS channel, as far as a login needs it: `ssl.SSLSocket` or `ssl.SSLObject`."""

    def version(self) -> str | None:
        """Return the version of TLS."""

    def getpeercert(self, binary_form: Literal[True]) -> bytes | None:
        """Return the server's certificate."""

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """Return the octets that identify the channel."""


@frozen
class Peer:
    """What a mechanism may know of the server."""

    #: The host as it was asked for.
    host: str
    #: The mechanisms that it lists; empty where it lists none.
    mechanisms: tuple[str, ...] = ()
    #: The TLS channel, None without TLS.
    tls: Channel | None = None


class Mechanism(Interface):
    """One SASL login method."""

    @property
    def name(self) -> str:
        """The registered name, such as `PLAIN`."""

    @property
    def plaintext(self) -> bool:
        """Whether an eavesdropper on a connection without TLS learns enough to log in."""

    @property
    def initial(self) -> bool | None:
        """Whether the initial response goes in the line of AUTH, where it fits (RFC 5034 §4); None: there is none."""

    def exchange(self, peer: Peer, /) -> Exchange:
        """Start one exchange."""


def no_control_characters(_: object, attribute: "Attribute[Any]", value: str) -> None:
    """Refuse control characters in the octets of a field, without showing it (an attrs validator)."""
    text(value, attribute.name)
