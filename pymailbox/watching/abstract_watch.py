"""AbstractWatch: what Watch and AsyncWatch share: when to look, what to hand out next, how to stop.

Flows written once for both, as in `pop3.flows`: a flow yields the seconds to wait, or a `Look` to run in a session of
its own. The driver throws in the `MailboxError` that ended the session.
"""

import contextlib
import math
import os
import time
from abc import ABC
from collections.abc import Callable, Generator, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Generic, NoReturn, TypeVar

from pymailbox.account import Account
from pymailbox.display import safe_text, type_name
from pymailbox.errors import ConcurrentUse, MailboxError
from pymailbox.mailbox.abstract_mailbox import AbstractMailbox
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.pop3.dispatcher import NO_PIPELINING
from pymailbox.seen import Seen
from pymailbox.watching.arrival import Arrival
from pymailbox.watching.arrivals import Arrivals
from pymailbox.watching.look import Look
from pymailbox.watching.schedule import Schedule, checked_every

__all__ = ["AbstractWatch", "Steps", "check_wait"]

B = TypeVar("B", bound=AbstractMailbox[Any, Any, Any])
T = TypeVar("T")

#: A flow: it yields seconds to wait (the wait may end early), or a look to run.
Steps = Generator[float | Look, None, T]

_LONGEST_WAIT = 86400.0  # seconds; what waits accepts no more than some weeks, and waiting again costs nothing


class AbstractWatch(ABC, Generic[B]):
    """What a watch decides; nothing in this class communicates with the server, or waits."""

    def __init__(
        self,
        kind: type[B],
        account: Account,
        every: float,
        state: str | os.PathLike[str] | None,
        options: MailboxOptions,
    ) -> None:
        if not isinstance(account, Account):
            raise TypeError(f"account must be an Account, not {type_name(account)}; Account.from_url() makes one")
        if state is not None and not isinstance(state, str | os.PathLike):
            raise TypeError(f"state must be a path or None, not {type_name(state)}")
        if options.get("sock") is not None:
            raise ValueError("a watch needs a new connection for each look; pass proxy= instead of sock=")
        if options.get("read_only") is False:
            raise ValueError("a watch never deletes; omit read_only=False, and use a Mailbox to delete")
        #: The account that is watched.
        self.account = account
        options["read_only"] = True
        self._inbox: B = kind.from_account(account, **options)
        self._arrivals = Arrivals(account, None if state is None else Seen(state), self._clock)
        self._schedule = Schedule(checked_every(every), account.url, self._clock)
        self._entered = self._stopped = False
        self._owner: dict[str, object] = {}  # who is waiting; `setdefault` is atomic
        self._one_by_one = False  # whether a pipeline could not be verified
        self._late: MailboxError | None = None  # to be raised once the arrivals before it are handed out

    @property
    def set_aside(self) -> Mapping[str | None, MailboxError]:
        """The messages that this watch gave up, by uid, each with its last error.

        A message that the server refuses, or that breaks a limit or the session, is set aside after three looks and
        logged as an error; the others go on. With `state=`, the next watch tries it again.
        """
        return MappingProxyType(self._arrivals.set_aside)

    def __repr__(self) -> str:
        if "_late" not in vars(self):  # a traceback from the constructor may show the object
            return f"<{type(self).__name__}, not initialized>"
        state = "stopped" if self._stopped else "open" if self._arrivals.opened else "not open"
        return f"<{type(self).__name__} {self.account.url!r}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled or copied; make a new one from its account")

    def _clock(self) -> float:
        """Return the seconds since some moment in the past."""
        return time.monotonic()

    # --- flows --------------------------------------------------------------------------------------------

    def _enter(self) -> Steps[None]:
        """Open the state file and take the baseline."""
        if self._entered:
            raise ValueError("a watch can be entered only once; make a new one")
        self._entered = True
        self._arrivals.open()
        while self._schedule.entering:
            if self._stopped:
                raise self._stop_error()
            yield from self._step()

    def _search(self, predicate: Callable[[Arrival], object] | None, timeout: float | None) -> Steps[Arrival | None]:
        """Return the first arrival that matches, looking for more as needed; None after `stop()`."""
        if not self._arrivals.opened:
            raise ValueError("the watch is not open; use it in a `with` block")
        queue, schedule = self._arrivals.queue, self._schedule
        deadline = math.inf if timeout is None else self._clock() + timeout
        looked = False
        position = 0  # in the queue; those before it do not match
        with self._only_user():
            while not self._stopped:
                while position < len(queue):
                    arrival = queue[position]
                    if predicate is None or predicate(arrival):
                        del queue[position]
                        return arrival
                    position += 1
                if self._late is not None:
                    late, self._late = self._late, None
                    raise late
                now = self._clock()
                if schedule.due > deadline or (looked and now > deadline):
                    if now >= deadline:
                        raise self._timeout(timeout, position) from schedule.failure
                    yield min(deadline - now, _LONGEST_WAIT)
                else:
                    looked = (yield from self._step()) or looked
        return None

    def _step(self) -> Steps[bool]:
        """Wait until a look is due, or run it if it is; return whether one was run."""
        schedule, queue = self._schedule, self._arrivals.queue
        seconds = schedule.due - self._clock()
        if seconds > 0:
            yield min(seconds, _LONGEST_WAIT)
            return False
        look, before = Look(self._arrivals, schedule, lambda: self._stopped), len(queue)
        schedule.begin()
        try:
            yield look
        except MailboxError as error:
            if not self._stopped:
                try:
                    self._plan_after(look, error)
                except MailboxError:
                    if len(queue) == before:
                        raise
                    self._late = error
        else:
            schedule.succeeded(at_once=look.productive)
        return True

    def _plan_after(self, look: Look, error: MailboxError) -> None:
        """Plan the look after one that failed, or raise the error."""
        if not self._one_by_one and NO_PIPELINING & self._inbox.connection.quirks:
            self._one_by_one = True  # the next sessions of this mailbox do not pipeline
            self._schedule.again()
        else:
            self._schedule.failed(error, of_message=look.blame(error))

    # --- misuse and ends ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _only_user(self) -> Iterator[None]:
        mine = object()
        try:
            if self._owner.setdefault("watch", mine) is not mine:
                raise ConcurrentUse("this watch is in use by another thread or task, or by the predicate of its wait()")
            yield
        finally:
            if self._owner.get("watch") is mine:
                del self._owner["watch"]

    def _timeout(self, timeout: float | None, others: int) -> TimeoutError:
        arrived = f"{others} arrived that did not match" if others else "none arrived"
        failure = self._schedule.failure
        reason = "" if failure is None else f"; the last look failed: {safe_text(failure.problem, limit=None)}"
        return TimeoutError(f"no matching message within {timeout:g} s: {arrived}{reason}")

    def _stop_error(self) -> MailboxError:
        return MailboxError("the watch was stopped while waiting for a message")


def check_wait(predicate: object, timeout: object) -> None:
    """Raise TypeError or ValueError for invalid arguments of `wait`."""
    if predicate is not None and not callable(predicate):
        raise TypeError(f"predicate must be a function that takes an Arrival, not {type_name(predicate)}")
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout must be a number of seconds or None, not {timeout!r}")
    if not timeout >= 0:
        raise ValueError(f"timeout must be 0 seconds or more, not {timeout!r}")
