"""Patience: how long a driver waits for the reply at the head of the queue.

Pure; the driver brings the clock, which must be monotonic. Two bounds (DESIGN.md, decision 4): `timeout` seconds
of silence, and, averaged over each `timeout`, the minimum rate in octets a second, so that dripping ends too.
"""

from attrs import define, field

from pymailbox.errors import Timeout

__all__ = ["Patience", "checked_timeout"]


def checked_timeout(timeout: float | None) -> float | None:
    """Return `timeout` in seconds, or None for no bound; anything not above 0 is ValueError."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout must be a number of seconds or None, not {timeout!r}")
    if not timeout > 0:
        raise ValueError(f"timeout must be above 0 seconds, not {timeout!r}; None waits for ever")
    return float(timeout)


@define(eq=False)
class Patience:
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

    def left(self, now: float, command: str | None, *, midway: bool = False) -> float | None:
        """Return the seconds that may still be waited (None: no bound), or raise `Timeout`.

        `midway` says that a body has begun and its end has not come.
        """
        timeout = self.timeout
        if timeout is None:
            return None
        if now - self._silent_since >= timeout:
            what = "the greeting" if command == "greeting" else "the end of a body" if midway else "a reply"
            hint = "; a port that expects TLS or another protocol is silent too" if command == "greeting" else ""
            raise Timeout(f"the server was silent for {timeout:g} s while {what} was due{hint}", command=command)
        if now - self.now >= timeout:
            if self._octets < self.minimum_rate * timeout:
                raise Timeout(
                    f"the server sent {self._octets} octets in {timeout:g} s, fewer than"
                    f" Limits.minimum_rate ({self.minimum_rate} a second) asks for",
                    command=command,
                )
            self.now, self._octets = now, 0
        return max(0.0, min(self._silent_since, self.now) + timeout - now)
