"""Session: what is known of one POP3 session: greeting, capabilities, whether TLS is on.

Pure: the facts that the flows gather and go by, and the `Dispatcher` of the connection, which a driver moves octets
into and out of. A fresh connection within the session begins with a new dispatcher.
"""

from attrs import define, field

from pymailbox.account import Channel, Security
from pymailbox.display import Secrets
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.dispatcher import NO_PIPELINING, Dispatcher
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.protocol import Protocol

__all__ = ["Session"]


@define(eq=False, repr=False)
class Session:
    """The state of one POP3 session below the mailbox."""

    host: str
    limits: Limits = field(factory=Limits)
    #: None: pipelining where it is listed. False: never.
    pipelining: bool | None = None
    #: False: CAPA is never sent.
    may_ask_capa: bool = True
    #: Whether a password may be sent without TLS.
    allow_plaintext: bool = False
    #: Whether `Reconnect` can be asked for: not with the caller's own socket, and once at most.
    may_reconnect: bool = False
    #: How a fresh connection is made secure before anything is said on it.
    security: Security = "tls"
    #: What is never shown, whatever the server says.
    secrets: Secrets = field(factory=Secrets)

    #: The commands and results of the present connection.
    dispatcher: Dispatcher = field(init=False)
    greeting: str = field(default="", init=False)
    #: What CAPA last said; None when it has not been asked since TLS or login changed it.
    capabilities: Capabilities | None = field(default=None, init=False)
    #: Whether TLS is on.
    secure: bool = field(default=False, init=False)
    #: Whether the peer is this machine.
    loopback: bool = field(default=False, init=False)
    #: The TLS channel, for what a login binds to it.
    tls: Channel | None = field(default=None, init=False)
    #: Whether the server has agreed to UTF8 (RFC 6856).
    utf8: bool = field(default=False, init=False)
    #: Whether what the flow does with the next reply may take long, so that no event loop should do it (SCRAM).
    slow: bool = field(default=False, init=False)
    #: Whether this login has sent a password, token or proof, on any connection: nothing is tried again then.
    secret_sent: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.dispatcher = Dispatcher(Protocol(self.limits, secrets=self.secrets))

    @property
    def protocol(self) -> Protocol:
        """The octets of the present connection."""
        return self.dispatcher.protocol

    @property
    def quirks(self) -> frozenset[str]:
        """The names of the quirks that this server has shown so far."""
        return frozenset(self.protocol.quirks)

    @property
    def may_pipeline(self) -> bool:
        """Whether PIPELINING is used where it is listed: not where it has failed before."""
        return self.pipelining is not False and not NO_PIPELINING & self.protocol.quirks.keys()

    def begin(self, *, secure: bool, loopback: bool, tls: Channel | None = None) -> None:
        """Start over on a fresh connection; the quirks seen so far stay known."""
        self.dispatcher = Dispatcher(Protocol(self.limits, quirks=self.protocol.quirks, secrets=self.secrets))
        self.greeting, self.capabilities, self.utf8 = "", None, False
        self.secure, self.loopback, self.tls = secure, loopback, tls

    def learn(self, capabilities: Capabilities | None) -> None:
        """Take what CAPA said, or forget it (None) when TLS or login may have changed it."""
        self.capabilities = capabilities
        listed = capabilities is not None and "PIPELINING" in capabilities
        self.protocol.pipelining = listed and self.may_pipeline
