"""Deadlines: how long a driver waits, for a reply (`ReplyTimeout`) or for anything else (`until`).

Pure; the driver passes in the clock, which must be monotonic. A reply has two bounds: `timeout` seconds of silence, and
a minimum rate in bytes a second, averaged over each `timeout`, which ends dripping too.
"""

# Decision 4.

from collections.abc import Callable

from attrs import define, field

from pymailbox.errors import Timeout

__all__ = ["LONGEST_WAIT", "Clock", "Left", "ReplyTimeout", "checked_timeout", "until"]

#: Returns the seconds since some moment in the past; never runs backwards.
Clock = Callable[[], float]

#: Returns how many seconds to wait now (None: no bound), or raises `Timeout`; called again after each wait.
Left = Callable[[], float | None]

LONGEST_WAIT = 86400.0  # seconds; poll() accepts 24 days at most, and asking again costs nothing


def checked_timeout(timeout: float | None) -> float | None:
    """Return `timeout` in seconds, or None for no bound; ValueError unless it is above 0."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout must be a number of seconds or None, not {timeout!r}")
    if not timeout > 0:
        raise ValueError(f"timeout must be above 0 seconds, not {timeout!r} (None waits forever)")
    return float(timeout)


def until(seconds: float | None, what: str, clock: Clock) -> Left:
    """Return a `Left` for a deadline that many seconds from now (None: none); `what` is the text of its error."""
    deadline = None if seconds is None else clock() + seconds

    def left() -> float | None:
        if deadline is None:
            return None
        remaining = deadline - clock()
        if remaining <= 0:
            raise Timeout(what)
        return min(remaining, LONGEST_WAIT)

    return left


@define(eq=False, repr=False)
class ReplyTimeout:
    """The wait for one reply, which began at `now`."""

    timeout: float | None
    minimum_rate: int
    now: float
    _octets: int = field(default=0, init=False)
    _silent_since: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._silent_since = self.now

    def received(self, octets: int, now: float) -> None:
        """Note that so many bytes arrived."""
        self._octets += octets
        self._silent_since = now

    def pause(self, seconds: float) -> None:
        """Do not count seconds in which the caller was working and not waiting for the server."""
        self.now += seconds
        self._silent_since += seconds

    def silence_left(self, now: float, seconds: float) -> float:
        """Return how long to wait until the silence has lasted so many seconds; 0 or less if it already has."""
        return min(self._silent_since + seconds - now, LONGEST_WAIT)

    def left(self, now: float, command: str | None, *, midway: bool = False) -> float | None:
        """Return how many more seconds to wait (None: no bound), or raise `Timeout`.

        `midway` means that a body has begun and not yet ended.
        """
        timeout = self.timeout
        if timeout is None:
            return None
        if now - self._silent_since >= timeout:
            what = "the greeting" if command == "greeting" else "the end of a body" if midway else "a reply"
            hint = (
                '; if the port expects TLS from the first byte (995 usually does), use security="tls"'
                if command == "greeting"
                else ""
            )
            raise Timeout(f"the server was silent for {timeout:g} s while {what} was expected{hint}", command=command)
        if now - self.now >= timeout:
            if self._octets < self.minimum_rate * timeout:
                raise Timeout(
                    f"the server sent only {self._octets} bytes in {timeout:g} s, less than Limits.minimum_rate"
                    f" ({self.minimum_rate} a second); lower that limit for a slow line",
                    command=command,
                )
            self.now, self._octets = now, 0
        return max(0.0, min(min(self._silent_since, self.now) + timeout - now, LONGEST_WAIT))
