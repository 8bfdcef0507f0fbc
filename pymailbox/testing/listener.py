"""A listening socket: one thread that accepts, one thread per connection, and a close that takes bounded time.

The stop signal is a socket that becomes readable when `close` is called; every wait in a thread also watches it.
"""

import selectors
import socket
import threading
from collections.abc import Callable
from time import monotonic

from attrs import Factory, define

__all__ = ["Listener"]

_CLOSING = 5.0  # seconds that close() waits for a thread that is busy with the disk or a user's callable

Serve = Callable[[socket.socket, socket.socket], Callable[[], None]]


@define(eq=False)
class Listener:
    """The listening socket of a `kind` of server; it can be opened again after it was closed.

    `serve` gets each connection and the stop signal, and returns what its thread runs.
    """

    _kind: str
    _serve: Serve
    _sockets: tuple[socket.socket, socket.socket, socket.socket] | None = (
        None  # that listens, and the two of the signal
    )
    _threads: list[threading.Thread] = Factory(list)
    _starting: threading.Lock = Factory(threading.Lock)

    def open(self, host: str, port: int = 0) -> None:
        """Listen on that port (0 for any free one) and start accepting. OSError if the port is taken."""
        self.check_closed()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=256)
        listening.setblocking(False)
        stop, stopping = socket.socketpair()
        self._sockets = listening, stop, stopping
        self._threads = []
        self._start(lambda: self._accept(listening, stop))

    def check_closed(self) -> None:
        """Raise ValueError if it is open already."""
        if self._sockets is not None:
            raise ValueError(f"this {self._kind} is already open")

    @property
    def port(self) -> int:
        """The listening port. ValueError if it is closed."""
        if self._sockets is None:
            raise ValueError(f"this {self._kind} is not open; use it in a with block, or call open()")
        return int(self._sockets[0].getsockname()[1])

    def close(self) -> bool:
        """End every thread and free the port; return False if it is closed already."""
        if self._sockets is None:
            return False
        (listening, stop, stopping), self._sockets = self._sockets, None
        deadline = monotonic() + _CLOSING
        stopping.close()
        self._threads[0].join(max(0.0, deadline - monotonic()))
        for thread in self._threads[1:]:  # read only now, because until it ended the first one added to the list
            thread.join(max(0.0, deadline - monotonic()))
        stop.close()
        listening.close()
        return True

    def wait(self, timeout: float) -> None:
        """Wait until no connection is open. TimeoutError if one still is."""
        deadline = monotonic() + timeout
        with self._starting:
            threads = self._threads[1:]
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))
            if thread.is_alive():
                raise TimeoutError(f"a connection is still open after {timeout} seconds")

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=f"pop3 {self._kind}", daemon=True)
        with self._starting:  # so that `wait` sees every thread that has started, and only those
            thread.start()
            # Keep the first, which accepts, and of the others those that are alive.
            self._threads = [*self._threads[:1], *(old for old in self._threads[1:] if old.is_alive()), thread]

    def _accept(self, listening: socket.socket, stop: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listening, selectors.EVENT_READ)
            selector.register(stop, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is stop:
                        return
                    try:
                        connection, _address = listening.accept()
                    except OSError:  # the client gave up while waiting in the queue
                        continue
                    self._start(self._serve(connection, stop))
