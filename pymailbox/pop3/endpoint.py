"""Endpoint: where a connection goes and how, and what is known of it; no I/O, shared by both connections."""

import time
from typing import TYPE_CHECKING, NoReturn

from pymailbox.account import Account, Security, default_port
from pymailbox.pop3 import proxy as proxies
from pymailbox.pop3.deadlines import Clock, Left, ReplyTimeout, checked_timeout
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.session import Session

if TYPE_CHECKING:
    import socket
    import ssl

__all__ = ["Endpoint"]


class Endpoint:
    """One end of a conversation that is not begun yet, or goes on, or is over."""

    _transport: object = None

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        security: Security = "tls",
        ssl_context: "ssl.SSLContext | None" = None,
        timeout: float | None = 30.0,
        limits: Limits | None = None,
        pipelining: bool | None = None,
        capa: bool = True,
        allow_plaintext: bool = False,
        proxy: str | None = None,
        source_address: tuple[str, int] | None = None,
        sock: "socket.socket | None" = None,
        clock: Clock = time.monotonic,
    ) -> None:
        # Checked as an account's are: ValueError or TypeError before anything is connected.
        self.port = Account(host, security=security, port=default_port(security) if port is None else port).port
        if limits is not None and not isinstance(limits, Limits):
            raise TypeError(f"limits must be a Limits, not {type(limits).__name__}")
        if sock is not None and not hasattr(sock, "recv"):
            raise TypeError(f"sock must be a connected socket, not {type(sock).__name__}")
        if ssl_context is not None and not hasattr(ssl_context, "wrap_socket"):
            raise TypeError(f"ssl_context must be an ssl.SSLContext, not {type(ssl_context).__name__}")
        if source_address is not None and not (isinstance(source_address, tuple) and len(source_address) == 2):
            raise TypeError("source_address must be a pair of an address and a port")
        self.host = host
        self.security = security
        self.timeout = checked_timeout(timeout)
        self._ssl_context = ssl_context
        self._proxy = None if proxy is None else proxies.checked(proxy, security)
        self._source_address = source_address
        self._sock = sock
        self._clock = clock
        #: What is known of this connection; for the flows of the floor above.
        self.session = Session(
            host,
            limits or Limits(),
            may_pipeline=pipelining,
            may_ask_capa=capa,
            allow_plaintext=allow_plaintext,
            may_reconnect=sock is None,
            security=security,
        )
        self._turns: dict[str, object] = {}  # who uses the session now; `setdefault` is atomic

    def _tls_context(self) -> "ssl.SSLContext":
        if self._ssl_context is None:
            from pymailbox.pop3.tls import verified

            self._ssl_context = verified()
        return self._ssl_context

    def _receive(self, data: bytes | None) -> None:
        """Give octets to the protocol: None for nothing, empty for the end of the stream."""
        if data:
            self.session.protocol.receive_data(data)
        elif data is not None:
            self.session.protocol.receive_eof()

    def _left(self, reply_timeout: ReplyTimeout) -> Left:
        protocol = self.session.protocol
        return lambda: reply_timeout.left(self._clock(), protocol.awaiting, midway=protocol.midway)

    # --- facts --------------------------------------------------------------------------------------------

    @property
    def opened(self) -> bool:
        """Whether this connection was opened, be it closed by now or not; it can be opened once."""
        return self._transport is not None

    @property
    def greeting(self) -> str:
        """The text of the greeting."""
        return self.session.greeting

    @property
    def quirks(self) -> frozenset[str]:
        """The names of the quirks that the server has shown so far."""
        return self.session.quirks

    @property
    def limits(self) -> Limits:
        """The bounds of this connection."""
        return self.session.limits

    def __repr__(self) -> str:
        state = "not open" if self._transport is None else (self.session.protocol.failure or "open")
        return f"<{type(self).__name__} to {self.host}:{self.port}, {state}>"

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"{name} cannot be pickled or copied: it is one conversation over one socket")
