"""Deadlines: how long a driver waits, for a reply (`ReplyTimeout`) or for anything else (`until`).

Pure; the driver brings the clock, which must be monotonic. A reply has two bounds: `timeout` seconds of silence,
and, averaged over each `timeout`, the minimum rate in octets a second, so that dripping ends too.
"""

# Decision 4.

from collections.abc import Callable

from attrs import define, field

from pymailbox.errors import Timeout

__all__ = ["LONGEST_WAIT", "Clock", "Left", "ReplyTimeout", "checked_timeout", "until"]

#: Gives the seconds since some moment in the past; never goes back.
Clock = Callable[[], float]

#: Gives the seconds that may be waited now (None: no bound) or raises `Timeout`; asked again when they are over.
Left = Callable[[], float | None]

LONGEST_WAIT = 86400.0  # seconds; poll() takes no more than 24 days at once, and asking again costs nothing


def checked_timeout(timeout: float | None) -> float | None:
    """Return `timeout` in seconds, or None for no bound; anything not above 0 is ValueError."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout must be a number of seconds or None, not {timeout!r}")
    if not timeout > 0:
        raise ValueError(f"timeout must be above 0 seconds, not {timeout!r}; None waits forever")
    return float(timeout)


def until(seconds: float | None, what: str, clock: Clock) -> Left:
    """Return a `Left` for the deadline that many seconds from now; None: no deadline."""
    deadline = None if seconds is None else clock() + seconds

    def left() -> float | None:
        if deadline is None:
            return None
        remaining = deadline - clock()
        if remaining <= 0:
            raise Timeout(what)
        return min(remaining, LONGEST_WAIT)

    return left


@define(eq=False)
class ReplyTimeout:
    """The wait for one reply, begun at `now`."""

    timeout: float | None
    minimum_rate: int
    now: float
    _octets: int = field(default=0, init=False)
    _silent_since: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._silent_since = self.now

    def received(self, octets: int, now: float) -> None:
        """Take note that octets arrived."""
        self._octets += octets
        self._silent_since = now

    def pause(self, seconds: float) -> None:
        """Leave out seconds in which nobody waited: the caller worked."""
        self.now += seconds
        self._silent_since += seconds

    def silence_left(self, now: float, seconds: float) -> float:
        """Return how long may be waited now until nothing has come for so many seconds; 0 or less when it has not."""
        return min(self._silent_since + seconds - now, LONGEST_WAIT)

    def left(self, now: float, command: str | None, *, midway: bool = False) -> float | None:
        """Return the seconds that may still be waited (None: no bound), or raise `Timeout`.

        `midway` says that a body has begun and its end has not come.
        """
        timeout = self.timeout
        if timeout is None:
            return None
        if now - self._silent_since >= timeout:
            what = "the greeting" if command == "greeting" else "the end of a body" if midway else "a reply"
            hint = (
                '; a port that expects TLS from the first byte is silent too (995 usually does): security="tls"'
                if command == "greeting"
                else ""
            )
            raise Timeout(f"the server was silent for {timeout:g} s while {what} was due{hint}", command=command)
        if now - self.now >= timeout:
            if self._octets < self.minimum_rate * timeout:
                raise Timeout(
                    f"the server sent {self._octets} octets in {timeout:g} s, fewer than"
                    f" Limits.minimum_rate ({self.minimum_rate} a second) asks for",
                    command=command,
                )
            self.now, self._octets = now, 0
        return max(0.0, min(min(self._silent_since, self.now) + timeout - now, LONGEST_WAIT))
