"""A proxy that disturbs the connection between a client and any real server: cuts, stalls, drips, splits, latency.

It passes bytes on without interpreting them, so it works with every server. It also works with TLS, where it counts
encrypted bytes.
"""

import selectors
import socket
import struct
from time import monotonic
from typing import Self

from attrs import Factory, define, field

from pymailbox.testing.delay_line import DelayLine
from pymailbox.testing.fault import End, Fault, FaultPlan, several
from pymailbox.testing.listener import Listener

__all__ = ["Proxy"]

_CHUNK = 262_144  # bytes per recv
_MOST = 16 * 1024 * 1024  # bytes in transit in one direction; the sender waits while there are more


@define(eq=False)
class Proxy:
    """A fault-injecting proxy in front of a real server: connect to its `host` and `port`.

    >>> import poplib
    >>> from pymailbox.testing import Proxy, Server
    >>> with Server([b"Subject: 1\\r\\n\\r\\n"]) as server, Proxy(server.host, server.port, latency=0.025) as proxy:
    ...     pop = poplib.POP3(proxy.host, proxy.port, timeout=5)  # each command takes 50 ms
    ...     replies = pop.user("me"), pop.pass_("secret"), pop.quit()
    ...     proxy.connections
    1

    It is made with the `host` and the `port` of the server, and listens on the address `listen`. `latency` is in
    seconds each way, and does not delay connecting. `faults` may be the wire faults `cut`, `stall`, `drip` and
    `split`, in either direction and without a command (ValueError otherwise); `session` counts connections from 1.
    Inside TLS every `cut` is ragged, because only the two endpoints can send close_notify.
    """

    _target_host: str = field(alias="host")
    _target_port: int = field(alias="port")
    faults: tuple[Fault, ...] = field(default=(), kw_only=True, converter=several)
    latency: float = field(default=0.0, kw_only=True)
    host: str = field(default="127.0.0.1", kw_only=True, alias="listen")
    connections: int = field(default=0, init=False)
    _listener: Listener = field(
        default=Factory(lambda self: Listener("proxy", self._begin), takes_self=True), init=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        for fault in self.faults:
            if not fault.of_wire or fault.command:
                raise ValueError(
                    "a proxy sees only bytes: it can cut, stall, drip or split, but not at a command"
                    f" (kind={fault.kind!r}, command={fault.command!r})"
                )

    @property
    def port(self) -> int:
        """The port to connect to. Raises ValueError if the proxy is not open."""
        return self._listener.port

    def open(self) -> Self:
        """Listen on a port that the system chooses, and return the proxy."""
        self._listener.open(self.host)
        return self

    def close(self) -> None:
        """End every connection and free the port. May be called again."""
        self._listener.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, client: socket.socket, stop: socket.socket) -> "_Relay":
        self.connections += 1
        to_client, to_server = DelayLine(self.latency), DelayLine(self.latency)
        for fault in FaultPlan.for_session(self.faults, self.connections).from_start:
            (to_client if fault.toward == "client" else to_server).arm(fault)
        return _Relay((self._target_host, self._target_port), client, stop, to_client, to_server)


@define(eq=False)
class _Way:
    """One direction: from a socket, through a delay line, to a socket."""

    source: socket.socket
    line: DelayLine
    sink: socket.socket
    finished: bool = False  # the source has ended
    closed: bool = False  # and the end was passed on to the sink
    blocked: bool = False

    def read(self) -> None:
        data = self.source.recv(_CHUNK)
        if data:
            self.line.push(data, monotonic())
        else:
            self.finished = True

    def write(self) -> None:
        self.blocked = False
        now = monotonic()
        while data := self.line.head(now):
            try:
                self.line.advance(self.sink.send(data), now)
            except BlockingIOError:
                self.blocked = True
                return
        over = not (self.line.backlog or self.line.ended or self.line.stalled)
        if self.finished and not self.closed and over:
            self.closed = True
            self.sink.shutdown(socket.SHUT_WR)


@define(eq=False)
class _Relay:
    """One connection through the proxy."""

    target: tuple[str, int]
    client: socket.socket
    stop: socket.socket
    to_client: DelayLine
    to_server: DelayLine

    def __call__(self) -> None:
        """Relay until both sides have ended, one fails, or the proxy closes."""
        how: End = "rst"
        try:
            with socket.create_connection(self.target, timeout=10) as server, self.client:
                try:
                    how = self._relay(server)
                finally:
                    if how == "rst":
                        for sock in (self.client, server):
                            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            # If either side breaks off, or the server cannot be reached, the connection ends for both.
            self.client.close()

    def _relay(self, server: socket.socket) -> End:
        ways = (_Way(server, self.to_client, self.client), _Way(self.client, self.to_server, server))
        for sock in (self.client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            for way in ways:
                way.write()
                if way.line.ended:
                    return way.line.ended
            if all(way.closed for way in ways) or (ways[1].finished and any(way.line.stalled for way in ways)):
                return "fin"
            if self._wait(ways):
                return "fin"

    def _wait(self, ways: tuple["_Way", "_Way"]) -> bool:
        """Wait until something can be done, and read what has arrived. True if the proxy is closing."""
        events = {self.client: 0, ways[0].source: 0}
        for way in ways:
            if not way.finished and way.line.backlog < _MOST:
                events[way.source] |= selectors.EVENT_READ
            if way.blocked:
                events[way.sink] |= selectors.EVENT_WRITE
        due = [time for way in ways if not way.blocked and (time := way.line.due()) is not None]
        timeout = max(0.0, min(due) - monotonic()) if due else None
        with selectors.DefaultSelector() as selector:
            selector.register(self.stop, selectors.EVENT_READ)
            for sock, wanted in events.items():
                if wanted:
                    selector.register(sock, wanted)
            happened = {key.fileobj: mask for key, mask in selector.select(timeout)}
        for way in ways:
            if happened.get(way.source, 0) & selectors.EVENT_READ:
                way.read()
        return self.stop in happened
