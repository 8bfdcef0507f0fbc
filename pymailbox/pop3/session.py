"""Session: the state of one POP3 session: greeting, capabilities, whether TLS is on.

Pure. Flows read and update it. It has the `Dispatcher` of the current connection, through which a driver passes bytes;
a fresh connection within the session gets a new dispatcher.
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
    """The state of one POP3 session."""

    host: str
    limits: Limits = field(factory=Limits)
    #: None to pipeline if the server advertises PIPELINING, False never to pipeline.
    pipelining: bool | None = None
    #: Whether CAPA may be sent.
    may_ask_capa: bool = True
    #: Whether a password may be sent without TLS.
    allow_plaintext: bool = False
    #: Whether a flow may yield `Reconnect`: at most once, and never with the caller's own socket.
    may_reconnect: bool = False
    #: How a fresh connection is secured before any command is sent on it.
    security: Security = "tls"
    #: What is redacted in everything that is shown.
    secrets: Secrets = field(factory=Secrets)

    #: The commands and results of the current connection.
    dispatcher: Dispatcher = field(init=False)
    greeting: str = field(default="", init=False)
    #: The reply to the last CAPA; None if CAPA has not been sent since TLS or the login may have changed it.
    capabilities: Capabilities | None = field(default=None, init=False)
    #: Whether TLS is on.
    secure: bool = field(default=False, init=False)
    #: Whether the peer is this machine.
    loopback: bool = field(default=False, init=False)
    #: The TLS channel, for login mechanisms with channel binding.
    tls: Channel | None = field(default=None, init=False)
    #: Whether the server has agreed to UTF8 (RFC 6856).
    utf8: bool = field(default=False, init=False)
    #: Whether the flow's next step may take too long to run on an event loop (SCRAM).
    slow: bool = field(default=False, init=False)
    #: Whether this login has sent a password, token or proof, on any connection. If so, it is not tried again.
    secret_sent: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.dispatcher = Dispatcher(Protocol(self.limits, secrets=self.secrets))

    @property
    def protocol(self) -> Protocol:
        """The protocol of the current connection."""
        return self.dispatcher.protocol

    @property
    def quirks(self) -> frozenset[str]:
        """Names of the server's quirks seen so far."""
        return frozenset(self.protocol.quirks)

    @property
    def may_pipeline(self) -> bool:
        """Whether to pipeline if the server advertises PIPELINING: not if it has failed before."""
        return self.pipelining is not False and not NO_PIPELINING & self.protocol.quirks.keys()

    def begin(self, *, secure: bool, loopback: bool, tls: Channel | None = None) -> None:
        """Start over on a fresh connection; the quirks seen so far are kept."""
        self.dispatcher = Dispatcher(Protocol(self.limits, quirks=self.protocol.quirks, secrets=self.secrets))
        self.greeting, self.capabilities, self.utf8 = "", None, False
        self.secure, self.loopback, self.tls = secure, loopback, tls

    def learn(self, capabilities: Capabilities | None) -> None:
        """Store the capabilities, or forget them (None) because TLS or the login may have changed them."""
        self.capabilities = capabilities
        listed = capabilities is not None and "PIPELINING" in capabilities
        self.protocol.pipelining = listed and self.may_pipeline
