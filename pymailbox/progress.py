"""Progress: the state of a download as a value, and the meter that reports it. Imports no other part of pymailbox."""

import inspect
import time
from collections.abc import Callable, Iterable

from attrs import frozen

__all__ = ["INTERVAL", "Meter", "Progress"]

INTERVAL = 0.1  # seconds between two reports


@frozen
class Progress:
    """How far `fetch`, `save`, `write_to` or an archive is: the argument that your `progress` function is called with.

    >>> from pymailbox import Mailbox
    >>> from pymailbox.testing import Server
    >>> reports = []
    >>> with Server([b"Subject: one\\r\\n\\r\\n1\\r\\n"]) as server, Mailbox.from_url(server.url, "secret") as inbox:
    ...     messages = list(inbox.fetch(progress=reports.append))
    >>> reports[-1]
    Progress(bytes=19, total_bytes=19, messages=1, total_messages=1, safe=None, mailbox=None)
    """

    #: Bytes that have arrived so far.
    bytes: int
    #: Bytes expected in total: by LIST, corrected as messages arrive; None if the server sends no sizes.
    total_bytes: int | None
    #: Messages that have arrived completely.
    messages: int
    #: Messages expected in total; None if unknown.
    total_messages: int | None
    #: Of the messages that have arrived, those that a power cut can no longer take; None except in an archive.
    safe: int | None = None
    #: Messages and bytes in the mailbox, as it was at login; None except in an archive.
    mailbox: tuple[int, int] | None = None


class Meter:
    """Counts bytes and messages, and calls `report`, if there is one, at most ten times a second and at the end."""

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
        """Raise TypeError for a `progress` that cannot be called, or would have to be awaited."""
        if report is None:
            return
        if not callable(report):
            raise TypeError(f"progress must be a callable that takes a Progress, not {type(report).__name__}")
        if inspect.iscoroutinefunction(report):
            raise TypeError("progress must be an ordinary function, not a coroutine function; it is not awaited")

    def add(self, count: int) -> None:
        """Count bytes that have arrived."""
        self._bytes += count
        if self._report is not None:
            now = self._clock()
            if now >= self._next:
                self._next = now + INTERVAL
                self._send()

    def finish(self, size: int | None, count: int) -> None:
        """Count a complete message: `size` bytes were expected, and `count` arrived."""
        self._messages += 1
        self._change(count, size)

    def leave_out(self, size: int | None) -> None:
        """Stop expecting a message of `size` bytes."""
        self._total_messages -= 1
        self._change(0, size)

    def _change(self, more: int | None, less: int | None) -> None:
        if self._total_bytes is not None:
            self._total_bytes = None if more is None or less is None else self._total_bytes + more - less

    def end(self) -> None:
        """Report the final state."""
        if self._report is not None:
            self._total_messages = self._messages
            if self._total_bytes is not None:
                self._total_bytes = self._bytes
            self._send()

    def _send(self) -> None:
        assert self._report is not None
        self._report(Progress(self._bytes, self._total_bytes, self._messages, self._total_messages))
