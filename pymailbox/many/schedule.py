"""The schedule of `collect_all`: which account is next, and what has arrived for each."""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Iterator

from attrs import define, field

from pymailbox.account import Account
from pymailbox.progress import Progress

__all__ = ["Schedule", "Task"]


@define(eq=False)
class Task:
    """One account on its way to its outcome."""

    account: Account
    #: What archives call it: user@host.
    name: str
    tries: int = 0
    #: What the running session has reported; None: nothing so far.
    seen: Progress | None = None
    #: Bytes and messages that arrived in the sessions of this run before that.
    before: tuple[int, int] = (0, 0)

    @property
    def host(self) -> str:
        """Whose sessions are counted together: the host, whatever the port."""
        return self.name.rpartition("@")[2]

    @property
    def arrived(self) -> tuple[int, int]:
        """Bytes and messages that have arrived in this run."""
        size, messages = self.before
        return (size, messages) if self.seen is None else (size + self.seen.bytes, messages + self.seen.messages)

    @property
    def expected(self) -> tuple[int | None, int | None]:
        """Bytes and messages that this run will have brought; None if unknown."""
        if self.seen is None:
            return None, None
        size, messages = self.seen.total_bytes, self.seen.total_messages
        return None if size is None else self.before[0] + size, None if messages is None else self.before[1] + messages

    def note(self, progress: Progress) -> None:
        """Keep a report of the worker's thread; each session of a run counts from 0."""
        if self.seen is not None and (progress.bytes, progress.messages) < (self.seen.bytes, self.seen.messages):
            self.before = self.arrived
        self.seen = progress


@define(eq=False)
class Schedule:
    """Which account is next: hosts take turns, none has more than `per_host` running, and none is early.

    It has no clock and no threads, and knows nothing of what is done with an account.
    """

    per_host: int
    #: Accounts that have not ended.
    left: int = field(default=0, init=False)
    _waiting: dict[str, deque[Task]] = field(factory=dict, init=False)
    #: The hosts with an account that waits and room for another session.
    _turns: deque[str] = field(factory=deque, init=False)
    _running: Counter[str] = field(factory=Counter, init=False)
    #: A heap of the accounts to be tried again, by the time when they may be.
    _later: list[tuple[float, int, Task]] = field(factory=list, init=False)
    _order: Iterator[int] = field(factory=itertools.count, init=False)

    @property
    def due(self) -> float | None:
        """When the next account may be tried again; None if there is none."""
        return self._later[0][0] if self._later else None

    def add(self, task: Task) -> None:
        """Add a new account."""
        self.left += 1
        self._queue(task).append(task)

    def next(self, now: float) -> Task | None:
        """Return the account to begin now; None if none may."""
        while self._later and self._later[0][0] <= now:
            task = heapq.heappop(self._later)[2]
            self._queue(task).appendleft(task)
        if not self._turns:
            return None
        host = self._turns.popleft()
        waiting = self._waiting[host]
        task = waiting.popleft()
        task.tries += 1
        self._running[host] += 1
        if not waiting:
            del self._waiting[host]
        elif self._running[host] < self.per_host:
            self._turns.append(host)
        return task

    def end(self, task: Task, *, again_at: float | None = None) -> None:
        """Note that the session of an account is over; `again_at` is when to try it again, if at all."""
        host = task.host
        if self._running[host] == self.per_host and host in self._waiting:
            self._turns.append(host)
        self._running[host] -= 1
        if not self._running[host]:
            del self._running[host]
        if again_at is None:
            self.left -= 1
        else:
            heapq.heappush(self._later, (again_at, next(self._order), task))

    def _queue(self, task: Task) -> deque[Task]:
        host = task.host
        if host not in self._waiting:
            self._waiting[host] = deque()
            if self._running[host] < self.per_host:
                self._turns.append(host)
        return self._waiting[host]
