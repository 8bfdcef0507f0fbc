"""Interruption: what Ctrl-C and SIGTERM do to a command.

Both raise KeyboardInterrupt, which closes a session at once and commits nothing. A command that can end better, with
what it has done so far, runs under `stoppable`: then the first signal only asks it to stop, and the second one ends it.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from attrs import define, field

__all__ = ["Stop", "Terminated", "ignore_signals", "stoppable", "terminable"]


Handler = Callable[[int, FrameType | None], object]


class Terminated(KeyboardInterrupt):
    """SIGTERM, or another signal that ends a process, has arrived."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


def _end(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


@contextlib.contextmanager
def _handling(handler: Handler, *numbers: int) -> Iterator[None]:
    """Handle some signals in this block; in a thread, which gets no signals, do nothing."""
    before: dict[int, Handler | int | None] = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and background jobs want it
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            if old is not None:  # it was not installed by Python, which cannot restore it
                signal.signal(number, old)


def terminable() -> contextlib.AbstractContextManager[None]:
    """Let SIGTERM raise `Terminated` in this block."""
    return _handling(_end, signal.SIGTERM)


def ignore_signals() -> None:
    """Ignore both signals from now on: the program is about to end, and its exit status is known."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@define
class Stop:
    """Whether a command was asked to stop."""

    #: Set by the first signal.
    event: threading.Event = field(factory=threading.Event)
    #: Whether there is something to bring to a good end; before, the first signal ends the command at once.
    begun: bool = False
    #: Called by the first signal, to end what waits; it must not take a lock.
    then: Callable[[], object] = lambda: None
    _number: int = 0

    def check(self) -> None:
        """Raise KeyboardInterrupt if the command was asked to stop, once what it did has been shown."""
        if self._number:
            _end(self._number, None)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.event.is_set() or not self.begun:
            _end(number, frame)
        self._number = number
        self.event.set()
        self.then()


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """Let the first signal only set `event`, and the second one end the command.

    SIGHUP, of a terminal that is closed, counts too: what is being done would otherwise be cut off, and what was
    started go on alone.
    """
    stop, closed = Stop(), getattr(signal, "SIGHUP", signal.SIGTERM)
    with _handling(stop._ask, *{signal.SIGINT, signal.SIGTERM, closed}):
        yield stop
