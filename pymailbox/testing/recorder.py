"""A recorder between a client and a real server: it passes everything on, and writes what was said to a file.

The client talks plaintext to it on loopback, and it talks TLS to the server, so that it sees what is said. Only in
memory are there secrets; `observer` pairs commands with replies, `redaction` decides what the file must not contain.
"""

import os
import selectors
import socket
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from attrs import Attribute, Factory, define, field

from pymailbox.testing.listener import Listener
from pymailbox.testing.observer import Bodies, Observer
from pymailbox.testing.recording import Ended, Recording
from pymailbox.testing.redaction import Redaction
from pymailbox.testing.session import Security

__all__ = ["Recorder"]

_CHUNK = 262_144  # bytes per recv
_MOST = 16 * 1024 * 1024  # bytes in transit in one direction; beyond that, the sender has to wait
_CONNECTING = 30.0  # seconds
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def _path(path: str | os.PathLike[str]) -> Path:
    return Path(path)


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    if isinstance(texts, str):
        raise TypeError("redact must be a list of strings; pass a single string as [string]")
    return tuple(texts)


def _one_of(*allowed: str) -> Callable[[object, "Attribute[Any]", object], None]:
    def check(_: object, attribute: "Attribute[Any]", value: object) -> None:
        if value not in allowed:
            raise ValueError(f"{attribute.name.strip('_')} must be one of {', '.join(allowed)}, not {value!r}")

    return check


@define(eq=False)
class Recorder:
    """Record sessions of any client with a real server: connect the client, without TLS, to its `host` and `port`.

    >>> import poplib
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from pymailbox.testing import Recorder, Server
    >>> with TemporaryDirectory() as folder, Server([b"Subject: one\\r\\n\\r\\n"]) as server:
    ...     path = Path(folder, "session.pop3")
    ...     with Recorder(path, server.host, server.port, security="none") as recorder:
    ...         pop = poplib.POP3(recorder.host, recorder.port, timeout=5)
    ...         replies = pop.user("me"), pop.pass_("secret"), pop.quit()
    ...     print(path.read_text())
    pymailbox-sessions 1
    <BLANKLINE>
    session
    S: +OK pymailbox test server ready
    C: USER ***
    S: +OK send the password
    C: PASS ***
    S: +OK 1 messages
    C: QUIT
    S: +OK bye
    end server
    <BLANKLINE>

    The file is written when the recorder closes, over an earlier one; without a session none is written. Replay it with
    `Server.replay`. Passwords, tokens and everything else that a client sends to log in are replaced by `***`, also
    where the server repeats them.

    - `path` is the file. `host`, `port`, `security` say where the real server is: `"tls"` (the default, port 995),
      `"starttls"` or `"none"` (port 110). `ssl_context` verifies it; without it, the system's authorities do.
    - `bodies`: `"blank"` replaces each letter of a mail by x and each digit by 0, and leaves sizes, lines, the names of
      header fields and the structure of the parts as they are; `"keep"` records mails as they are.
    - `keep_user=True` keeps user names. Otherwise they are replaced like secrets, and what stands before the @, too.
    - `redact`: more strings to replace wherever the server sends them, such as an address in the greeting.
    """

    path: Path = field(converter=_path)
    _target_host: str = field(alias="host")
    _target_port: int | None = field(default=None, alias="port")
    security: Security = field(default="tls", kw_only=True, validator=_one_of("none", "starttls", "tls"))
    ssl_context: ssl.SSLContext | None = field(default=None, kw_only=True)
    bodies: Bodies = field(default="blank", kw_only=True, validator=_one_of("keep", "blank"))
    keep_user: bool = field(default=False, kw_only=True)
    redact: tuple[str, ...] = field(default=(), kw_only=True, converter=_texts)
    host: str = field(default="127.0.0.1", init=False)
    _redaction: Redaction = field(init=False, repr=False)
    _observers: list[Observer] = field(factory=list, init=False, repr=False)
    _listener: Listener = field(
        default=Factory(lambda self: Listener("recorder", self._begin), takes_self=True), init=False, repr=False
    )

    @property
    def port(self) -> int:
        """The port to connect to. Raises ValueError if the recorder is not open."""
        return self._listener.port

    @property
    def sessions(self) -> int:
        """The number of sessions so far."""
        return len(self._observers)

    def open(self) -> Self:
        """Listen on a port of loopback that the system chooses, and return the recorder.

        Raises FileNotFoundError if the directory of the file does not exist.
        """
        self._listener.check_closed()
        self.path.absolute().parent.stat()  # better now than after the sessions
        self._observers, self._redaction = [], Redaction.of(self.keep_user, self.redact)
        self._listener.open(self.host)
        return self

    def close(self) -> None:
        """End every session, free the port, and write the file. May be called again."""
        if self._listener.close() and self._observers:
            recorded = tuple(observer.recorded(self.bodies) for observer in self._observers)
            self.path.write_text(Recording(recorded).text(), "utf-8", newline="\n")

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until no session is running. Raises TimeoutError if one still is."""
        self._listener.wait(timeout)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, client: socket.socket, stop: socket.socket) -> Callable[[], None]:
        observer = Observer(self._redaction)
        self._observers.append(observer)  # in the order of connecting

        def run() -> None:
            with client:
                try:
                    server, greeting = self._connect()
                except (OSError, ValueError) as error:
                    self._observers.remove(observer)
                    client.sendall(f"-ERR [SYS/TEMP] the recorder cannot reach the server: {error}\r\n".encode())
                    return
                with server:
                    sides = _Side(client, "client", observer.client_sent), _Side(server, "server", observer.server_sent)
                    _Relay(*sides, stop, observer).run(greeting)

        return run

    def _connect(self) -> tuple[socket.socket, bytes]:
        """Connect to the server, with TLS if requested; return what it has said so far, which may be nothing."""
        port = self._target_port or (995 if self.security == "tls" else 110)
        sock = socket.create_connection((self._target_host, port), timeout=_CONNECTING)
        try:
            if self.security == "none":
                return sock, b""
            greeting = b""
            if self.security == "starttls":
                greeting = _line(sock)
                sock.sendall(b"STLS\r\n")
                reply = _line(sock)
                if not reply.startswith(b"+OK"):
                    raise ValueError(f"STLS was refused: {reply.decode('utf-8', 'replace').strip()}")
            context = self.ssl_context or ssl.create_default_context()
            return context.wrap_socket(sock, server_hostname=self._target_host), greeting
        except BaseException:
            sock.close()
            raise


def _line(sock: socket.socket) -> bytes:
    """Read one line and nothing after it."""
    line = b""
    while not line.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte or len(line) > 4096:
            raise ValueError("the server did not send a line")
        line += byte
    return line


@define(eq=False)
class _Side:
    """The client or the server. `heard` gets what it sends; `pending` is what it has yet to be sent."""

    sock: socket.socket
    name: Ended
    heard: Callable[[bytes], None]
    pending: bytearray = field(factory=bytearray)
    open: bool = True

    def read(self, other: "_Side") -> None:
        """Read what has arrived, for the other side, if that keeps up."""
        while self.open and len(other.pending) < _MOST:
            data = _receive(self.sock)
            if data is None:
                return
            self.open = bool(data)
            self.heard(data)
            other.pending += data

    def write(self) -> None:
        """Send as much as possible now."""
        while self.pending:
            try:
                del self.pending[: self.sock.send(self.pending)]
            except _LATER:
                return


@define(eq=False)
class _Relay:
    """One connection through the recorder."""

    client: _Side
    server: _Side
    stop: socket.socket
    observer: Observer

    def run(self, greeting: bytes) -> None:
        """Relay until one side has ended and the other has what it sent, one fails, or the recorder closes."""
        for side in (self.client, self.server):
            side.sock.setblocking(False)
            side.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.heard(greeting)
        self.client.pending += greeting
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self.stop, selectors.EVENT_READ)
                while self._turn(selector):
                    pass
        except OSError:
            self.observer.ended = self.observer.ended or "client"

    def _turn(self, selector: selectors.BaseSelector) -> bool:
        """Read and send what is possible now, then wait until more is. False if the session is over."""
        ways = (self.client, self.server), (self.server, self.client)
        for side, other in ways:
            side.read(other)
            if not side.open:
                self.observer.ended = self.observer.ended or side.name
        self.client.write()
        self.server.write()
        if self.server.open:
            over = not (self.client.open or self.server.pending or self.observer.waiting)
        else:
            over = not self.client.pending
        if over:
            return False
        for side, other in ways:
            read = selectors.EVENT_READ if side.open and len(other.pending) < _MOST else 0
            write = selectors.EVENT_WRITE if side.pending else 0
            if side.sock.fileno() in selector.get_map():
                selector.unregister(side.sock)
            if read | write:
                selector.register(side.sock, read | write)
        return all(key.fileobj is not self.stop for key, _ in selector.select())


def _receive(sock: socket.socket) -> bytes | None:
    """Read once: data, b"" at the end, None if nothing has arrived yet."""
    try:
        return sock.recv(_CHUNK)
    except _LATER:
        return None
    except (ssl.SSLEOFError, ConnectionResetError):
        return b""  # the end, whether or not it was orderly
