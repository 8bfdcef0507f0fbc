"""AbstractConnection: settings and state that `Connection` and `AsyncConnection` share; no I/O."""

import time
from typing import TYPE_CHECKING, NoReturn, Self

from pymailbox.account import Security, default_port
from pymailbox.display import secret
from pymailbox.pop3.deadlines import Clock, Left, ReplyTimeout, checked_timeout, until
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.session import Session
from pymailbox.pop3.settings import ConnectionSettings
from pymailbox.pop3.violations import tls_port

if TYPE_CHECKING:
    import socket
    import ssl

__all__ = ["AbstractConnection", "FirstSilence"]


class FirstSilence(Exception):
    """The greeting is late. Raised at most once, and only if the port may be one that expects TLS."""


class AbstractConnection:
    """A POP3 connection: not opened yet, open, or closed."""

    _transport: object = None

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        security: Security = "tls",
        ssl_context: "ssl.SSLContext | None" = None,
        timeout: float | None = 60.0,
        limits: Limits | None = None,
        pipelining: bool | None = None,
        capa: bool = True,
        allow_plaintext: bool = False,
        proxy: str | None = None,
        source_address: tuple[str, int] | None = None,
        sock: "socket.socket | None" = None,
        clock: Clock = time.monotonic,
    ) -> None:
        proxy = secret(proxy)  # what follows may raise, and trackers record the variables of each frame
        self._set_up(
            ConnectionSettings(
                host=host,
                port=default_port(security) if port is None else port,
                security=security,
                ssl_context=ssl_context,
                timeout=timeout,
                limits=limits,
                pipelining=pipelining,
                capa=capa,
                allow_plaintext=allow_plaintext,
                proxy=proxy,
                source_address=source_address,
                sock=sock,
                clock=clock,
            )
        )

    @classmethod
    def from_settings(cls, settings: ConnectionSettings) -> Self:
        """Make a connection from a `ConnectionSettings`; `settings` checked its values when it was made."""
        connection = cls.__new__(cls)
        connection._set_up(settings)
        return connection

    def _set_up(self, settings: ConnectionSettings) -> None:
        self.host = settings.host
        self.port = settings.port
        self.security = settings.security
        self.timeout = checked_timeout(settings.timeout)
        self._settings = settings
        self._ssl_context = settings.ssl_context
        self._clock = settings.clock
        #: What flows know about this connection.
        self.session = Session(
            settings.host,
            settings.limits,
            pipelining=settings.pipelining,
            may_ask_capa=settings.capa,
            allow_plaintext=settings.allow_plaintext,
            may_reconnect=settings.sock is None,
            security=settings.security,
        )
        #: Whether to try TLS on a second connection if no greeting arrives: once, and never with the caller's socket,
        #: as there is no way to make another.
        self.tries_tls = settings.security != "tls" and settings.sock is None
        self._owner: dict[str, object] = {}  # the current user of the session; `setdefault` is atomic

    def _tls_context(self) -> "ssl.SSLContext":
        if self._ssl_context is None:
            from pymailbox.pop3.tls import verified

            self._ssl_context = verified()
        return self._ssl_context

    def _receive(self, data: bytes | None) -> None:
        """Pass received bytes to the protocol: None if there are none, empty at the end of the stream."""
        if data:
            self.session.protocol.receive_data(data)
        elif data is not None:
            self.session.protocol.receive_eof()

    def _left(self, reply_timeout: ReplyTimeout) -> Left:
        protocol = self.session.protocol

        def left() -> float | None:
            now, command = self._clock(), protocol.awaiting
            seconds = reply_timeout.left(now, command, midway=protocol.midway)
            if not self.tries_tls or command != "greeting" or protocol.pending:
                return seconds
            silence = reply_timeout.silence_left(now, self._first_silence)
            if silence <= 0:
                self.tries_tls = False
                raise FirstSilence
            return silence if seconds is None else min(seconds, silence)

        return left

    def _probe_left(self) -> Left:
        # Real time, whatever clock the session has: a server answers TLS at once or never.
        return until(min(self._first_silence, 2.0), "no answer to TLS", time.monotonic)

    def _late_greeting(self, greeting: bytes | None, *, expects_tls: bool) -> bytes | None:
        """Return what arrived while the port was tried for TLS; raise if nothing did and the port expects TLS."""
        if greeting is None and expects_tls:
            raise tls_port() from None
        return greeting

    @property
    def _first_silence(self) -> float:
        """Seconds without a greeting after which the port is tried for TLS: only trying tells for sure."""
        usual = 1.0 if self.port == default_port("tls") else 5.0
        return usual if self.timeout is None else min(usual, self.timeout / 2)

    # --- state --------------------------------------------------------------------------------------------

    @property
    def opened(self) -> bool:
        """Whether this connection was ever opened, even if it is closed now; it can be opened only once."""
        return self._transport is not None

    @property
    def greeting(self) -> str:
        """The text of the greeting."""
        return self.session.greeting

    @property
    def quirks(self) -> frozenset[str]:
        """Names of the server's quirks seen so far."""
        return self.session.quirks

    @property
    def limits(self) -> Limits:
        """The limits of this connection."""
        return self.session.limits

    def __repr__(self) -> str:
        state = "not open" if self._transport is None else (self.session.protocol.failure or "open")
        return f"<{type(self).__name__} to {self.host}:{self.port}, {state}>"

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"{name} cannot be pickled or copied: it is bound to a socket; make a new one")
