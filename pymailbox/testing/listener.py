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
    """A listening socket. `serve` gets each connection and the stop signal, and returns what its thread runs."""

    _serve: Serve
    _socket: socket.socket
    _stop: tuple[socket.socket, socket.socket]
    _name: str
    _threads: list[threading.Thread] = Factory(list)
    _starting: threading.Lock = Factory(threading.Lock)
    _closed: bool = False

    @classmethod
    def open(cls, host: str, port: int, serve: Serve, name: str) -> "Listener":
        """Listen on that port (0 for any free one) and start accepting. OSError if the port is taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=256)
        listening.setblocking(False)
        listener = cls(serve, listening, socket.socketpair(), name)
        listener._start(listener._accept)
        return listener

    @property
    def port(self) -> int:
        """The listening port."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """End every thread and free the port. May be called again."""
        if self._closed:
            return
        self._closed = True
        deadline = monotonic() + _CLOSING
        self._stop[1].close()
        self._threads[0].join(max(0.0, deadline - monotonic()))
        for thread in self._threads[1:]:  # read only now, because until it ended the first one added to the list
            thread.join(max(0.0, deadline - monotonic()))
        self._stop[0].close()
        self._socket.close()

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
        thread = threading.Thread(target=run, name=self._name, daemon=True)
        with self._starting:  # so that `wait` sees every thread that has started, and only those
            thread.start()
            # Keep the first, which accepts, and of the others those that are alive.
            self._threads = [*self._threads[:1], *(old for old in self._threads[1:] if old.is_alive()), thread]

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._stop[0], selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._stop[0]:
                        return
                    try:
                        connection, _address = self._socket.accept()
                    except OSError:  # the client gave up while waiting in the queue
                        continue
                    self._start(self._serve(connection, self._stop[0]))
