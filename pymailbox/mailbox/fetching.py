"""Fetching: many messages whose bodies arrive in a pipeline, kept or written to sinks. Pure; for both mailboxes.

Results leaving the pipeline are already verified (`pop3.dispatcher`), so a sink receives only bytes of its own message.
Messages larger than the window do not go through the pipeline: without sinks they are yielded without their body, with
sinks each is streamed by itself, between two pipelines.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from attrs import define, field

from pymailbox.display import type_name
from pymailbox.errors import CommandError, LimitExceeded, MailboxError
from pymailbox.mailbox import reading
from pymailbox.mailbox.open_mailbox import AbstractMessage, OpenMailbox
from pymailbox.pop3 import commands
from pymailbox.pop3.command import Command
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.flows import Callback, Flow, Next
from pymailbox.progress import Meter, Progress

__all__ = ["Fetch"]

C = TypeVar("C")
E = TypeVar("E", bound=AbstractMessage[Any])

#: Makes a sink from a `write` and a meter: it passes on all of its data and counts the bytes. One for each driver.
Metered = Callable[[Callable[[bytes], object], Meter], Callable[[bytes], object]]


@define(eq=False, repr=False)
class Fetch(Generic[E, C]):
    """One `fetch()`: `next()` is the flow that returns its next message."""

    opened: OpenMailbox[E, C]
    #: The numbers of the messages, in order.
    numbers: Sequence[int]
    #: Returns the sink for a message; None to keep the bodies.
    into: Callable[[E], Any] | None
    report: Callable[[Progress], None] | None
    metered: Metered

    _meter: Meter | None = field(default=None, init=False)
    _left: Iterator[int] = field(init=False)  # numbers not yet planned
    _order: deque[tuple[int, bool]] = field(factory=deque, init=False)  # planned; True if a RETR is pipelined for it
    _batch: Batch[bytes] | None = field(default=None, init=False)
    _result: bytes | CommandError | None = field(default=None, init=False)  # of the first in `_order` with a RETR
    _planned: bool = field(default=False, init=False)  # all numbers have been planned
    _over: bool = field(default=False, init=False)
    _refused: dict[int, MailboxError] = field(factory=dict, init=False)  # with sinks; raised at the end

    @classmethod
    def of(
        cls,
        opened: OpenMailbox[E, C],
        messages: E | Iterable[E] | None,
        into: Callable[[E], Any] | None,
        report: Callable[[Progress], None] | None,
        metered: Metered,
    ) -> "Fetch[E, C]":
        """Check the arguments of `fetch()`; nothing is sent yet."""
        Meter.check(report)
        if into is not None and not callable(into):
            raise TypeError(f"into must be a callable that takes a message and returns a file, not {into!r}")
        numbers = range(1, opened.state.count + 1) if messages is None else opened.numbers(messages)
        return cls(opened, numbers, into, report, metered)

    def ready(self) -> E | None:
        """Return the next message if its body has arrived; None if the flow `next()` has to run for it."""
        batch, order = self._batch, self._order
        if batch is None or self.into is not None or self._result is not None or self._over:
            return None
        while batch.results and order[0][1]:
            message = self.opened.message(order.popleft()[0])
            result = batch.results.popleft()
            if message.deleted:  # marked since it was planned
                self._counts.leave_out(self._size(message.number))
            else:
                self._keep(message, result)
                return message
        return None

    def next(self) -> Flow[E | None]:
        """Return the next message, None at the end; with sinks, raise the first refusal there."""
        if self._over:
            return None
        if self._meter is None:
            yield from self._begin()
        order = self._order
        while True:
            while order and (self._result is not None or not order[0][1]):
                number, asked = order.popleft()
                result = None
                if asked:
                    result, self._result = self._result, None
                message = self.opened.message(number)
                if message.deleted:  # marked since it was planned
                    self._counts.leave_out(self._size(number))
                elif (yield from self._passed(message) if result is None else self._arrived(message, result)):
                    return message
            if self._batch is None:
                if self._planned:
                    break
                self._batch = Batch(self._plan())
            self._result = yield Next(self._batch)
            if self._result is None:
                self._batch = None
        self._over = True
        self._counts.end()
        if self._refused:
            refusals = {number: error for number, error in self._refused.items() if isinstance(error, CommandError)}
            first = next(iter(self._refused.values()))
            if isinstance(first, CommandError):
                first.refused = refusals
            raise first
        return None

    def abandon(self) -> None:
        """End early: drop the replies that are in flight."""
        self._over = True
        if self._batch is not None:
            self._batch.abandoned = True

    # --- the plan -----------------------------------------------------------------------------------------

    def _begin(self) -> Flow[None]:
        state, numbers = self.opened.state, self.numbers
        self._left = iter(numbers)
        needed = (number not in state.deleted and not self.opened.has_body(number) for number in numbers)
        if any(needed):  # if nothing has to be downloaded, ask nothing
            yield from reading.size_hints(state)
        wanted = () if self.report is None else (number for number in numbers if number not in state.deleted)
        self._meter = Meter(self.report, map(self._size, wanted))

    def _plan(self) -> Iterator[Command[bytes]]:
        """Yield the RETRs of one pipeline; with sinks it ends before a message that has to be streamed."""
        state, order = self.opened.state, self._order
        window = min(state.session.limits.window, state.session.limits.message)
        for number in self._left:
            size = state.listed_size(number)
            expected = state.size_hint(number) if size is None else size
            if number in state.deleted:
                continue
            if self.opened.has_body(number):
                order.append((number, False))
            elif expected > window or (size is None and self.into is not None):
                order.append((number, False))
                if self.into is not None:
                    return
            else:
                order.append((number, True))
                yield commands.retr(number, expected=expected, size=size)
        self._planned = True

    # --- one message --------------------------------------------------------------------------------------

    def _arrived(self, message: E, result: bytes | CommandError) -> Flow[bool]:
        """Process the result of a message's RETR; return whether to yield the message."""
        if self.into is None:
            self._keep(message, result)
            return True
        size = self._size(message.number)
        if isinstance(result, CommandError):
            self._counts.finish(size, 0)
            self._refused[message.number] = result
            return False
        self.opened.keep_headers(message, result)  # `into` may need them, for a file name
        yield from self._write(message, result)
        self._counts.finish(size, len(result))
        return True

    def _keep(self, message: E, result: bytes | CommandError) -> None:
        """Keep a body, or a refusal, which is raised when that message is read."""
        size = self._size(message.number)
        if isinstance(result, CommandError):
            self._counts.finish(size, 0)
            self.opened.state.refusals[message.number] = result
            return
        self._counts.add(len(result))
        self._counts.finish(size, len(result))
        self.opened.keep(message, result)

    def _passed(self, message: E) -> Flow[bool]:
        """Process a message without a RETR in the pipeline: its body is cached or larger than the window.

        Return whether to yield the message.
        """
        opened, size = self.opened, self._size(message.number)
        raw = opened.cached_raw(message)
        count = 0
        if self.into is None:
            opened.pass_over(message)
            if raw is not None:
                count = len(raw)
                self._counts.add(count)
        elif raw is not None:
            count = len(raw)
            yield from self._write(message, raw)
        else:
            write = yield from self._open_sink(message)
            try:
                count = yield from opened.stream(message, self.metered(write, self._counts))
            except (CommandError, LimitExceeded) as refused:
                if not refused.usable:
                    raise
                self._counts.finish(size, 0)
                self._refused[message.number] = refused
                return False
        self._counts.finish(size, count)
        return True

    def _open_sink(self, message: E) -> Flow[Callable[[bytes], object]]:
        into = self.into
        assert into is not None
        sink: Any = yield Callback(lambda: into(message))
        write: Any = getattr(sink, "write", sink)
        if not callable(write):
            kind = type_name(sink)
            raise TypeError(f"into(message) must return a file, or a function that takes bytes, not {kind}")
        taker: Callable[[bytes], object] = write
        return taker

    def _write(self, message: E, raw: bytes) -> Flow[None]:
        write = yield from self._open_sink(message)
        sink = self.metered(write, self._counts)
        yield Callback(lambda: sink(raw))

    # --- progress -----------------------------------------------------------------------------------------

    @property
    def _counts(self) -> Meter:
        assert self._meter is not None
        return self._meter

    def _size(self, number: int) -> int | None:
        return self.opened.state.listed_size(number)
