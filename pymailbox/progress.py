"""Progress: how far a download has come, as a value, and the meter that reports it. Imports nothing of the rest."""

import inspect
import time
from collections.abc import Callable, Iterable

from attrs import frozen

__all__ = ["Meter", "Progress"]

_INTERVAL = 0.1  # seconds between two reports


@frozen
class Progress:
    """How far `fetch`, `save` or `write_to` has come; what `progress=` is called with.

    >>> from pymailbox import Mailbox
    >>> from pymailbox.testing import Server
    >>> reports = []
    >>> with Server([b"Subject: one\\r\\n\\r\\n1\\r\\n"]) as server, Mailbox.from_url(server.url, "secret") as inbox:
    ...     messages = list(inbox.fetch(progress=reports.append))
    >>> reports[-1]
    Progress(bytes=19, total_bytes=19, messages=1, total_messages=1)
    """

    #: Bytes of messages that have arrived.
    bytes: int
    #: Bytes expected, by LIST, corrected as messages arrive; None where the server gives no sizes.
    total_bytes: int | None
    #: Messages that are complete.
    messages: int
    #: Messages expected.
    total_messages: int | None


class Meter:
    """Counts, and reports at most ten times a second and at the end; without `report` it only counts."""

    def __init__(
        self,
        report: Callable[[Progress], None] | None,
        sizes: Iterable[int | None] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._clock = clock
        self._next = 0.0  # when the next report is due
        self._bytes = self._messages = 0
        self._total_bytes: int | None = 0
        self._total_messages = 0
        for size in sizes if report is not None else ():
            self._total_messages += 1
            self._change(size, 0)

    @staticmethod
    def check(report: object) -> None:
        """Refuse what cannot be called, or would have to be awaited."""
        if report is None:
            return
        if not callable(report):
            raise TypeError(f"progress must be a callable that takes a Progress, not {type(report).__name__}")
        if inspect.iscoroutinefunction(report):
            raise TypeError("progress must be an ordinary function: a coroutine function would never be awaited")

    def add(self, count: int) -> None:
        """Count bytes that have arrived."""
        self._bytes += count
        if self._report is not None:
            now = self._clock()
            if now >= self._next:
                self._next = now + _INTERVAL
                self._tell()

    def finish(self, size: int | None, count: int) -> None:
        """Count a message that is done: of `size` bytes by what was announced, of `count` in truth."""
        self._messages += 1
        self._change(count, size)

    def leave_out(self, size: int | None) -> None:
        """Expect a message no more."""
        self._total_messages -= 1
        self._change(0, size)

    def _change(self, more: int | None, less: int | None) -> None:
        if self._total_bytes is not None:
            self._total_bytes = None if more is None or less is None else self._total_bytes + more - less

    def end(self) -> None:
        """Report what has come of all."""
        if self._report is not None:
            self._total_messages = self._messages
            if self._total_bytes is not None:
                self._total_bytes = self._bytes
            self._tell()

    def _tell(self) -> None:
        assert self._report is not None
        self._report(Progress(self._bytes, self._total_bytes, self._messages, self._total_messages))
