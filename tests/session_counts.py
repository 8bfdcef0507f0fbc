"""How many sessions of a host were in flight at once, as its test servers saw it.

A session counts from its login until QUIT arrives, so that the client cannot be ahead of the count.
"""

import threading

from attrs import define, field

from pymailbox.testing import Server

__all__ = ["SessionCount"]


@define(eq=False)
class SessionCount:
    """The sessions of one host, on all of its servers."""

    now: int = 0
    most: int = 0
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def add(self, change: int) -> None:
        with self._guard:
            self.now += change
            self.most = max(self.most, self.now)

    def watch(self, *servers: Server) -> None:
        """Count the sessions of these open servers from now on."""
        for server in servers:
            for maildrop in server.maildrops.values():
                maildrop.lock = _CountedLock(self)  # type: ignore[assignment]  # it is used like one


@define(eq=False)
class _CountedLock:
    """The lock of a mailbox, which a session holds while it is logged in."""

    count: SessionCount
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def acquire(self, timeout: float = -1) -> bool:
        if not self._lock.acquire(timeout=timeout):
            return False
        self.count.add(1)
        return True

    def release(self) -> None:
        self.count.add(-1)
        self._lock.release()
