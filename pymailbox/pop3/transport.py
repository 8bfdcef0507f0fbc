"""Transport: a blocking socket with deadlines, plain or TLS.

It connects, moves bytes in both directions at once, starts TLS and closes; it knows nothing of POP3. Errors of the
operating system and OpenSSL are translated here and nowhere else. Reading continues while writing: otherwise a deep
pipeline could deadlock on two full buffers (RFC 2449 §6.8).
"""

import contextlib
import os
import select
import socket
import sys
from typing import TYPE_CHECKING

from attrs import define, field

from pymailbox.errors import ConnectionLost, MailboxError, Timeout
from pymailbox.pop3.deadlines import Left

if TYPE_CHECKING:
    import ssl

__all__ = ["Transport", "connect", "is_loopback"]

_PLAIN_READ = 1 << 18  # bytes; one system call reads some hundred small replies
_TLS_READ = 1 << 14  # bytes in a full TLS record (RFC 8446 §5.1)


def connect(host: str, port: int, left: Left, source_address: tuple[str, int] | None = None) -> socket.socket:
    """Connect to the first address of `host` that answers; one deadline covers them all.

    Name resolution cannot be interrupted; its time counts against the deadline.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(f"cannot find the host {host!r} ({error}); check its name and your network") from error
    failure: OSError | None = None
    for position, (family, kind, number, _, address) in enumerate(found):
        seconds = left()
        try:
            sock = socket.socket(family, kind, number)
        except OSError as error:  # an address family that this machine lacks
            failure = failure or error
            continue
        try:
            # An address that never answers must leave time for those after it.
            sock.settimeout(None if seconds is None else seconds / (len(found) - position))
            if source_address is not None:
                sock.bind(source_address)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = failure or error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    left()
    if isinstance(failure, TimeoutError):
        raise Timeout(f"no answer from {host}:{port}; check host, port and firewall") from failure
    raise ConnectionLost(f"cannot connect to {host}:{port} ({failure}); check host, port and security") from failure


def is_loopback(sock: socket.socket) -> bool:
    """Whether the peer is this machine, judged by its address and not by its name."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return True  # a Unix socket or a socket pair
    try:
        address: str = sock.getpeername()[0]
    except OSError:
        return False
    return address.startswith("127.") if sock.family == socket.AF_INET else address == "::1"


@define(eq=False, repr=False)
class Transport:
    """A connected socket; `sock` becomes an `ssl.SSLSocket` when TLS starts."""

    sock: "socket.socket | ssl.SSLSocket"
    host: str
    _unsent: bytes = field(default=b"", init=False)
    _size: int = field(default=_PLAIN_READ, init=False)
    _wants: tuple[type[OSError], type[OSError]] = field(default=(BlockingIOError, BlockingIOError), init=False)
    _ended: OSError | bool = field(default=False, init=False)  # found after data that was handed out first
    _process: int = field(factory=os.getpid, init=False)

    def __attrs_post_init__(self) -> None:
        try:
            self.sock.setblocking(False)
        except OSError as error:
            raise ConnectionLost(f"the socket cannot be used ({error}); sock= must be a connected socket") from error
        with contextlib.suppress(OSError):  # a Unix socket lacks this option
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._adapt()

    def _adapt(self) -> None:
        """Set the exceptions by which this socket reports that it would block (the caller may pass a TLS socket)."""
        ssl = sys.modules.get("ssl")
        if ssl is not None and isinstance(self.sock, ssl.SSLSocket):
            self._wants = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
            self._size = _TLS_READ

    @property
    def secure(self) -> bool:
        """Whether the connection uses TLS."""
        return self._size == _TLS_READ

    @property
    def tls(self) -> "ssl.SSLSocket | None":
        """The socket if it uses TLS, otherwise None."""
        ssl = sys.modules.get("ssl")
        return self.sock if ssl is not None and isinstance(self.sock, ssl.SSLSocket) else None

    def waiting(self) -> bytes | None:
        """Return what has already arrived: None for nothing, empty at the end of the stream. Never waits."""
        try:
            return self._receive()
        except (BlockingIOError, *self._wants):
            return None
        except OSError:
            return b""

    def exchange(self, to_send: bytes, left: Left) -> bytes:
        """Send `to_send` while reading; return the first bytes read, empty at the end of the stream."""
        sock = self.sock
        want_read, want_write = self._wants
        if to_send:
            self._unsent += to_send
            del to_send  # it may be a password, which a traceback with variables would show
        while True:
            write = bool(self._unsent)
            if write:
                try:
                    self._unsent = self._unsent[sock.send(self._unsent) :]
                    write = bool(self._unsent)
                except (BlockingIOError, want_write):
                    pass
                except want_read:
                    write = False
                except OSError:
                    self._unsent = b""  # the server may have sent the reason before it closed: keep reading
                    write = False
            try:
                return self._receive()
            except (BlockingIOError, want_read):
                pass
            except want_write:
                write = True
            except OSError as error:
                raise self._lost(error) from error
            self._wait(write, left())

    def _receive(self) -> bytes:
        """Return what has arrived, empty at the end of the stream. TLS hands out its records one by one; join them.

        Some servers send records of a few KB, and handling each by itself costs more than decrypting it.
        """
        if self._ended:
            if self._ended is True:
                return b""
            raise self._ended
        data = self.sock.recv(self._size)
        if not data or self._size != _TLS_READ:
            return data
        pieces, size = [data], len(data)
        while size < _PLAIN_READ:
            try:
                piece = self.sock.recv(_TLS_READ)
            except (BlockingIOError, *self._wants):
                break
            except OSError as error:
                self._ended = error
                break
            if not piece:
                self._ended = True
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _lost(self, error: OSError) -> MailboxError:
        ssl = sys.modules.get("ssl")
        if ssl is not None and isinstance(error, ssl.SSLError):
            from pymailbox.pop3.tls import explain

            return explain(error, self.host)
        if self.sock.fileno() < 0:
            return ConnectionLost("the connection was closed while a reply was expected")
        return ConnectionLost(f"the connection to {self.host} broke: {error.strerror or error}")

    def _wait(self, write: bool, seconds: float | None) -> None:
        """Wait until the socket is readable, or writable if `write`, or the time is up."""
        try:
            if sys.platform == "win32":
                select.select([self.sock], [self.sock] if write else [], [], seconds)
                return
            poll = select.poll()
            poll.register(self.sock, select.POLLIN | select.POLLOUT if write else select.POLLIN)
            poll.poll(None if seconds is None else seconds * 1000 + 1)
        except ValueError as error:  # the descriptor was closed
            raise ConnectionLost("the connection was closed while a reply was expected") from error

    def start_tls(self, context: "ssl.SSLContext", left: Left) -> None:
        """Do the TLS handshake within the deadline, verifying the certificate for `host`."""
        import ssl

        from pymailbox.pop3.tls import explain

        try:
            self.sock.getpeername()  # if the server has closed, wrap_socket would leave the descriptor open
            sock = context.wrap_socket(self.sock, server_hostname=self.host.rstrip("."), do_handshake_on_connect=False)
        except OSError as error:
            raise explain(error, self.host) from error
        self.sock = sock
        self._adapt()
        while True:
            try:
                sock.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(False, left())
            except ssl.SSLWantWriteError:
                self._wait(True, left())
            except OSError as error:
                raise explain(error, self.host) from error
            else:
                return

    def interrupt(self) -> None:
        """Make whoever waits for the server get the end of the stream; the descriptor stays with its owner."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # a TLS socket's own method would change its state

    def close(self) -> None:
        """Close the socket without sending anything; in a forked process, close only its copy."""
        self._unsent = b""
        if not self.foreign:
            self.interrupt()  # wakes another thread that is waiting for a reply
        self.sock.close()

    @property
    def foreign(self) -> bool:
        """Whether this is a copy in a forked process."""
        return os.getpid() != self._process
