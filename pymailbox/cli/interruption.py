"""Interruption: what Ctrl-C, SIGTERM and SIGHUP, of a terminal that is closed, do to a command.

Each raises KeyboardInterrupt, which closes a session at once, ends the programs that were started, and commits nothing.
A command that can end better, with what it has done so far, runs under `stoppable`: then the first signal only asks it
to stop, and the second one ends it.

Python calls the handler of a signal between two of its instructions, and two things can go wrong. If the signal arrives
just before a system call that waits, that call does not know of it, and the handler runs when it returns. If the
handler raises inside a destructor or a callback, Python drops the exception. So a thread wakes the main thread until
the handler has run, and sends a signal again whose exception was dropped.
"""

import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["Stop", "Terminated", "held_back", "ignore_signals", "stoppable", "terminable"]


Handler = Callable[[int, FrameType | None], object]

#: The signals that end a command, other than that of Ctrl-C; Windows has no SIGHUP.
_ENDING = {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP has arrived."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


def _raise(number: int, _: FrameType | None) -> None:
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


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Terminated` in this block, and lose neither those nor Ctrl-C."""
    with _handling(_raise, *_ENDING), _reliable():
        yield


if sys.platform == "win32":  # it cannot send a signal to a thread

    def _reliable() -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

else:
    #: What wakes the main thread. Its number is larger than those of the others, so its handler runs after theirs.
    _WAKE = signal.SIGURG
    #: Added to the number of a signal that is to be sent again.
    _AGAIN = 128

    @contextlib.contextmanager
    def _reliable() -> Iterator[None]:
        """Run the handlers soon after their signals in this block, and lose nothing that they raise."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        main, awake = threading.get_ident(), False  # not an Event: a handler must not take a lock
        reading, writing = os.pipe()
        os.set_blocking(writing, False)

        def woken(*_: object) -> None:
            nonlocal awake
            awake = True

        def wake() -> None:
            nonlocal awake
            while data := os.read(reading, 1):
                (number,) = data
                if number > _AGAIN:
                    time.sleep(0.01)  # by then the destructor or callback has ended; if not, it is dropped again
                    signal.pthread_kill(main, number - _AGAIN)
                elif number != _WAKE:
                    awake = False
                    while not awake:
                        signal.pthread_kill(main, _WAKE)
                        time.sleep(0.01)

        def send_again(unraisable: "UnraisableHookArgs") -> None:
            lost = unraisable.exc_value
            if isinstance(lost, KeyboardInterrupt):
                number = lost.number if isinstance(lost, Terminated) else signal.SIGINT
                os.write(writing, bytes([number + _AGAIN]))
            else:
                hook(unraisable)

        thread = threading.Thread(target=wake, daemon=True)
        with _handling(woken, _WAKE):
            thread.start()
            before, hook = signal.set_wakeup_fd(writing, warn_on_full_buffer=False), sys.unraisablehook
            sys.unraisablehook = send_again
            try:
                yield
            finally:
                sys.unraisablehook = hook
                signal.set_wakeup_fd(before)
                os.close(writing)
                thread.join()
                os.close(reading)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let signals arrive at the end of this block, which must not wait for long."""
    arrived: list[int] = []
    try:
        with _handling(lambda number, _: arrived.append(number), signal.SIGINT, *_ENDING):
            yield
    finally:
        for number in arrived:
            signal.raise_signal(number)


def ignore_signals() -> None:
    """Ignore these signals from now on: the program is about to end, and its exit status is known."""
    for number in {signal.SIGINT, *_ENDING}:
        signal.signal(number, signal.SIG_IGN)


@define(eq=False, repr=False)
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
            _raise(self._number, None)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.event.is_set() or not self.begun:
            _raise(number, frame)
        self._number = number
        self.event.set()
        self.then()


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """Let the first signal only set `event`, and the second one end the command."""
    stop = Stop()
    with _handling(stop._ask, signal.SIGINT, *_ENDING):
        try:
            yield stop
        except OSError as error:
            if error.errno == errno.EIO and error.filename is None:  # what cannot be written to was closed with SIGHUP
                stop.check()
            raise
