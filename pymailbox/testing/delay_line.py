"""One direction of a connection as a delay line: data goes in at one end and comes out at the other when it is due.

Pure: the time is an argument, and there is no I/O. It applies latency (every byte is delayed by the same time, which
does not limit throughput) and wire faults. The caller asks `head` for what is due now, reports to `advance` what it
sent, and checks `ended`.
"""

from bisect import insort
from collections import deque

from attrs import Factory, define

from pymailbox.testing.fault import End, Fault

__all__ = ["DelayLine"]

_JOIN = 262_144  # bytes; small pieces are joined up to this size, so that one send takes many replies
_SMALL = 65_536


@define(eq=False)
class DelayLine:
    """Data in transit in one direction.

    `backlog` counts the bytes not sent yet; once a cut is reached, `ended` says how to close the connection.
    """

    latency: float = 0.0
    backlog: int = 0
    ended: End | None = None
    stalled: bool = False
    _pushed: int = 0
    _passed: int = 0
    _queue: deque[tuple[float, bytes | memoryview]] = Factory(deque)
    _marks: list[tuple[int, int, Fault]] = Factory(list)
    _step: int = 0
    _pause: float = 0.0
    _not_before: float = 0.0

    def arm(self, fault: Fault) -> None:
        """Schedule a wire fault; it starts `fault.after` bytes after everything pushed so far."""
        insort(self._marks, (self._pushed + fault.after, len(self._marks), fault))

    def push(self, data: bytes, now: float) -> None:
        """Put data on the line at time `now`."""
        if data and not self.stalled:
            self._queue.append((now + self.latency, data))
            self._pushed += len(data)
            self.backlog += len(data)

    def head(self, now: float) -> bytes | memoryview:
        """Return the data that is due now, at most one piece of a `drip` or `split` fault; empty if none is."""
        while self._marks and self._marks[0][0] <= self._passed:
            self._begin(self._marks.pop(0)[2])
        if not self._queue or self.ended or self.stalled or now < self._not_before or self._queue[0][0] > now:
            return b""
        if not self._step and len(self._queue) > 1 and len(self._queue[0][1]) < _SMALL:
            self._join(now)
        data = self._queue[0][1]
        room = self._step
        if self._marks:
            left = self._marks[0][0] - self._passed
            room = min(room, left) if room else left
        return memoryview(data)[:room] if room and room < len(data) else data

    def advance(self, size: int, now: float) -> None:
        """Record that this many bytes of the head were sent."""
        due, data = self._queue[0]
        if size == len(data):
            self._queue.popleft()
        else:
            self._queue[0] = due, memoryview(data)[size:]
        self._passed += size
        self.backlog -= size
        if self._pause:
            self._not_before = now + self._pause

    def due(self) -> float | None:
        """Return the time at which something is due next; None if nothing is queued."""
        if not self._queue or self.stalled:
            return None
        return max(self._queue[0][0], self._not_before)

    def _begin(self, fault: Fault) -> None:
        if fault.kind == "cut":
            self.ended = fault.how
        elif fault.kind == "stall":
            self.stalled = True
            self._queue.clear()
            self.backlog = 0
        else:
            self._step, self._pause = fault.octets, fault.delay

    def _join(self, now: float) -> None:
        pieces: list[bytes | memoryview] = []
        total = 0
        while self._queue and self._queue[0][0] <= now and total + len(self._queue[0][1]) <= _JOIN:
            pieces.append(self._queue.popleft()[1])
            total += len(pieces[-1])
        self._queue.appendleft((now, b"".join(pieces)))
