"""Schedule: when the next look is due, and which errors are tried again. Pure, apart from the clock and the log.

A look is due `every` seconds after the start of the one before, at once if that left something, and later if the server
asks for it (LOGIN-DELAY) or a look failed. The library tenacity (the extra `watch`) counts tries and computes the
back-off; it never sleeps: `sleep=` notes when the next look is due, and the drivers wait for that.
"""

import logging
import math
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import define, field

from pymailbox.errors import LoginDelay, MailboxError, NotSupported
from pymailbox.pop3.deadlines import Clock

if TYPE_CHECKING:
    from tenacity import AttemptManager, RetryCallState, Retrying

__all__ = ["Schedule", "checked_every"]

_FIRST_BACK_OFF = 4.0  # seconds; the longest wait after the first failure, doubled by each that follows
_LONGEST_BACK_OFF = 900.0  # seconds
_LONGEST_DELAY = 86400.0  # seconds; a server that asks for a longer wait is not believed
_TRIES_ON_ENTERING = 5
_BACK_OFF_ON_ENTERING = 60.0  # seconds, all waits together
_DOUBTFUL_LOGINS = 3  # times that a login is tried again although it may be wrong
_UNKNOWN_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def checked_every(every: float) -> float:
    """Return `every` in seconds; TypeError or ValueError unless it is above 0 and finite."""
    if isinstance(every, bool) or not isinstance(every, int | float):
        raise TypeError(f"every must be a number of seconds, not {every!r}")
    if not 0 < every < math.inf:
        raise ValueError(f"every must be above 0 seconds, and finite, not {every!r}")
    return float(every)


@define(eq=False)
class Schedule:
    """When to look."""

    every: float
    #: What the log calls the account.
    name: str
    clock: Clock
    #: Whether no look has succeeded yet: errors are then tried again for about a minute only.
    entering: bool = field(default=True, init=False)
    #: The error of the last look; None if that succeeded.
    failure: MailboxError | None = field(default=None, init=False)
    _due: float = field(default=-math.inf, init=False)
    _started: float = field(default=-math.inf, init=False)
    _not_before: float = field(default=-math.inf, init=False)  # as the server asks for
    _login_delay: float = field(default=0.0, init=False)  # as the server advertises it
    _asked_delay: float = field(default=0.0, init=False)  # as it asked for when it refused a login
    _doubtful: int = field(default=0, init=False)  # failures in a row after which the login may be wrong
    _of_message: bool = field(default=False, init=False)
    _policy: "Retrying" = field(init=False)
    _attempts: "Iterator[AttemptManager] | None" = field(default=None, init=False)  # since the last success
    _attempt: "AttemptManager | None" = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        try:
            import tenacity
        except ImportError as error:
            raise NotSupported("watching needs the library tenacity: pip install 'pymailbox[watch]'") from error
        back_off = tenacity.wait_random_exponential(multiplier=_FIRST_BACK_OFF, max=_LONGEST_BACK_OFF)  # full jitter

        def wait(state: "RetryCallState") -> float:
            asked = _error_of(state).retry_after
            seconds = back_off(state) if asked is None else min(asked, _LONGEST_DELAY)
            return max(seconds, self._not_before - self.clock())

        self._policy = tenacity.Retrying(
            retry=self._may_pass,
            wait=wait,
            stop=self._is_enough,
            sleep=self._postpone,
            before_sleep=self._warn,
            reraise=True,
        )

    @property
    def due(self) -> float:
        """When the next look is due, by the clock."""
        return max(self._due, self._not_before)

    def _keep_delay(self) -> None:
        """Have the next login wait for LOGIN-DELAY: there is one now, or there may have been."""
        self._not_before = max(self._not_before, self.clock() + max(self._login_delay, self._asked_delay))

    # --- one look -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Note that a look begins."""
        self._started = self.clock()
        self._due = self._started + self.every
        self._keep_delay()

    def logged_in(self, login_delay: int | None) -> None:
        """Note that the server has accepted a login, and the LOGIN-DELAY that it advertises."""
        self._login_delay = min(login_delay or 0, _LONGEST_DELAY)
        self._not_before = self.clock()
        self._keep_delay()

    def succeeded(self, *, at_once: bool = False) -> None:
        """Note that a look succeeded; `at_once` if it left something that another one would bring.

        The first look for messages follows the baseline at once, too.
        """
        if at_once or self.entering:
            self._due = self._started
        self.entering, self.failure, self._doubtful = False, None, 0
        self._attempts = self._attempt = None

    def again(self) -> None:
        """Have the look repeated at once."""
        self._due = self._started

    def failed(self, error: MailboxError, *, of_message: bool = False) -> None:
        """Plan the look after one that failed; raise the error if trying again would not help.

        `of_message` says that one message made it fail, which will be set aside if it does so again. After an error was
        raised, the next look is due as after any other.
        """
        self.failure, self._of_message = error, of_message
        if isinstance(error, LoginDelay) and error.retry_after is not None:
            self._asked_delay = max(self._asked_delay, min(error.retry_after, _LONGEST_DELAY))
        self._keep_delay()  # the server may count a login that it refused, or whose reply was lost
        if error.retry_after is not None:
            self._not_before = max(self._not_before, self.clock() + min(error.retry_after, _LONGEST_DELAY))
        if _is_doubtful(error):
            self._doubtful += 1
        if self._attempts is None or self._attempt is None:
            self._attempts = iter(self._policy)
            self._attempt = next(self._attempts)
        for number in ("idle_for", "attempt_number"):  # kept by thread, and another one may have looked before
            self._policy.statistics.setdefault(number, 0)
        attempt, self._attempt = self._attempt, None  # without an attempt, the next failure is the first of a new row
        with attempt:
            raise error
        self._attempt = next(self._attempts)

    # --- the policy ---------------------------------------------------------------------------------------

    def _may_pass(self, state: "RetryCallState") -> bool:
        error = _error_of(state)
        if self.entering and isinstance(error.__cause__, socket.gaierror) and error.__cause__.errno in _UNKNOWN_HOST:
            return False
        return self._of_message or error.retryable or _is_doubtful(error)

    def _is_enough(self, state: "RetryCallState") -> bool:
        if self._doubtful > _DOUBTFUL_LOGINS:
            self._doubtful = 0
            return True
        return self.entering and (
            state.attempt_number >= _TRIES_ON_ENTERING or state.idle_for + state.upcoming_sleep > _BACK_OFF_ON_ENTERING
        )

    def _postpone(self, seconds: float) -> None:
        self._due = self.clock() + seconds

    def _warn(self, state: "RetryCallState") -> None:
        logging.getLogger("pymailbox.watching").warning(
            "%s: %s; looking again in %.0f s", self.name, _error_of(state), state.upcoming_sleep
        )


def _error_of(state: "RetryCallState") -> MailboxError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, MailboxError)
    return error


def _is_doubtful(error: MailboxError) -> bool:
    """Whether the server may have judged the login by closing the connection: another try may lock the account."""
    return not error.retryable and error.retry_after is not None
