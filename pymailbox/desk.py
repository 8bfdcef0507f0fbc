"""Desk: one session of a mailbox, where its messages are made and read.

A message keeps its desk, not its mailbox: when the mailbox has gone on to another session, the messages of the old one
still give what they have, and asking for more is `ConnectionLost`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pymailbox import reading, transaction
from pymailbox.content import Headers
from pymailbox.errors import CommandError
from pymailbox.message import Message
from pymailbox.pop3.connection import Connection
from pymailbox.pop3.flows import Flow
from pymailbox.snapshot import Snapshot

__all__ = ["Desk"]

T = TypeVar("T")


class Desk:
    """One session and its messages."""

    __slots__ = ("connection", "snapshot")

    def __init__(self, connection: Connection, snapshot: Snapshot[Message]) -> None:
        self.connection = connection
        self.snapshot = snapshot

    def run(self, flow: Flow[T]) -> T:
        return self.connection.run(flow)

    @property
    def alive(self) -> bool:
        return self.connection.session.protocol.failure is None

    def message(self, number: int) -> Message:
        alive = self.snapshot.alive
        message = alive.get(number)
        if message is None:
            message = Message(self, number)
            alive.add(number, message)
        return message

    def owns(self, value: object) -> bool:
        return isinstance(value, Message) and value._source is self

    def numbers(self, messages: Message | Iterable[Message]) -> list[int]:
        """Return the numbers of messages of this session; anything else is misuse."""
        chosen = [messages] if isinstance(messages, Message) else list(messages)
        for message in chosen:
            if not isinstance(message, Message):
                raise TypeError(f"a Message or an iterable of them is needed, not {type(message).__name__}")
            if message._source is not self:
                raise ValueError(f"{message!r} belongs to another session")
        return [message.number for message in chosen]

    def headers_of(self, message: Message) -> Headers:
        if message._raw is not None:
            return Headers.from_bytes(message._raw)
        snapshot, number = self.snapshot, message.number
        block = snapshot.ahead.take(number) if number not in snapshot.marks else None
        if block is None:
            block = self.run(reading.headers(snapshot, number, self._has_headers))
        return Headers.from_bytes(block)

    def _has_headers(self, number: int) -> bool:
        message = self.snapshot.alive.get(number)
        return message is not None and (message._headers is not None or message._raw is not None)

    def _has_body(self, number: int) -> bool:
        message = self.snapshot.alive.get(number)
        return message is not None and message._raw is not None

    def raw_of(self, message: Message) -> bytes:
        raw = message._raw
        if raw is None:
            refusal, message._refusal = message._refusal, None
            if refusal is not None:
                raise refusal
            raw = self.run(reading.body(self.snapshot, message.number))
        self.keep(message, raw)
        return raw

    def keep(self, message: Message, raw: bytes) -> None:
        alive = self.snapshot.alive
        message._raw = raw
        alive.last = message
        for other in alive.keep(message.number, len(raw)):
            other._raw = other._content = None

    def stream_of(self, message: Message, sink: Callable[[bytes], object]) -> int:
        return self.run(reading.stream(self.snapshot, message.number, sink))

    def top_of(self, message: Message, lines: int) -> bytes:
        return self.run(reading.top(self.snapshot, message.number, lines))

    def size_of(self, message: Message) -> int | None:
        return self.run(reading.sizes(self.snapshot))[message.number - 1]

    def uid_of(self, message: Message) -> str | None:
        return self.run(reading.uids(self.snapshot))[message.number - 1]

    def is_deleted(self, message: Message) -> bool:
        return message.number in self.snapshot.marks

    def delete(self, message: Message) -> None:
        self.run(transaction.delete(self.snapshot, (message.number,)))

    def undelete(self, message: Message) -> None:
        self.run(transaction.undelete(self.snapshot, (message.number,)))

    def fetch(self, numbers: Iterable[int]) -> Iterator[Message]:
        self.run(reading.sizes(self.snapshot))
        plan = reading.Fetch(self.snapshot, numbers, self._has_body)
        order = plan.order
        for result in self.connection.pipeline(plan.commands()):
            while not order[0][1]:
                yield self.message(order.popleft()[0])
            message = self.message(order.popleft()[0])
            if isinstance(result, CommandError):
                message._refusal = result
            else:
                self.keep(message, result)
            yield message
        for number, _ in order:
            yield self.message(number)
