"""Servers for both poplibs: `Scripted`, a socket pair that answers each command with the next canned reply, and
`served`, a thread that runs a function with one connection.

With `Scripted`, everything happens in one thread. Data arrives in pieces of the requested sizes, so no test depends on
how the operating system splits a stream.
"""

import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from tests.timing import GENEROUS, ended

__all__ = ["Scripted", "client", "outcome", "outcomes", "served"]


@contextmanager
def served(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve one connection in a thread; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(GENEROUS)

        def run() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(GENEROUS)
                handle(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            ended(thread)


class Scripted(socket.socket):
    """The client's end of a socket pair, which records what is sent and makes the server answer."""

    def __init__(self, replies: Iterable[bytes], sizes: Iterable[int] = (1 << 20,)) -> None:
        mine, self.server = socket.socketpair()
        super().__init__(fileno=mine.detach())
        self.settimeout(60)
        self.sent: list[bytes] = []
        self._replies = list(replies)
        self._sizes = itertools.cycle(sizes)
        self._answer()

    def _answer(self) -> None:
        """Send the next reply; close after the last one."""
        if self._replies:
            self.server.sendall(self._replies.pop(0))
        if not self._replies:
            self.server.close()

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.sent.append(bytes(data))
        self._answer()

    def recv(self, size: int, flags: int = 0) -> bytes:
        return super().recv(min(size, next(self._sizes)), flags)

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        return super().recv_into(buffer, min(size or len(buffer), next(self._sizes)), flags)

    def close(self) -> None:
        self.server.close()
        super().close()


def client(module: ModuleType, replies: Iterable[bytes], sizes: Iterable[int] = (1 << 20,)) -> Any:
    """Return a POP3 object of `module` with a scripted socket, which is its attribute `scripted`."""
    scripted = Scripted(replies, sizes)

    class Client(module.POP3):
        def _create_socket(self, timeout: object) -> socket.socket:
            self.scripted = scripted
            return scripted

    try:
        return Client("pop.example.com")
    except BaseException:
        scripted.close()
        raise


def outcome(call: Callable[[], Any]) -> tuple[str, Any]:
    """Return the result or error of a call in a form that can be compared."""
    try:
        return "value", call()
    except Exception as error:
        return type(error).__name__, error.args


def outcomes(
    module: ModuleType, replies: Iterable[bytes], calls: Iterable[tuple[Any, ...]], sizes: Iterable[int] = (1 << 20,)
) -> list[tuple[str, Any]]:
    """Return the greeting and the outcome of each call, which is a tuple of a method's name and its arguments."""
    try:
        pop = client(module, replies, sizes)
    except Exception as error:
        return [(type(error).__name__, error.args)]
    try:
        found = [("value", pop.welcome)]
        for name, *arguments in calls:
            found.append(outcome(lambda name=name, arguments=arguments: getattr(pop, name)(*arguments)))
        return found
    finally:
        pop.close()
        pop.scripted.close()
