"""Which reply answers which command, for a session that is watched from between client and server.

Pure: bytes in, a `RecordedSession` out. A client may pipeline, so the replies are told apart by their framing
(RFC 1939 §3). If a server does not keep to it, no byte is lost, but a reply may be recorded with its neighbour.
"""

from collections.abc import Iterable
from typing import Literal

from attrs import Factory, define

from pymailbox.testing.blank_mail import blank_mail
from pymailbox.testing.recording import Ended, RecordedSession, Step
from pymailbox.testing.redaction import Redaction

__all__ = ["Bodies", "Observer"]

Bodies = Literal["keep", "blank"]

_ALWAYS_LONG = frozenset({b"CAPA", b"RETR", b"TOP"})
_LONG_WITHOUT_ARGUMENT = frozenset({b"AUTH", b"LANG", b"LIST", b"UIDL"})


@define(eq=False)
class _Exchange:
    """A command, without secrets, and the lines that answer it, as they arrived."""

    command: bytes | None = None
    verb: bytes = b""
    long: bool = False  # a positive reply has more than one line
    mechanism: bytes = b""  # of a command or a line that logs in with SASL
    number: int = 0  # of that line; the command has 0
    lines: list[bytes] = Factory(list)
    complete: bool = False

    @property
    def positive(self) -> bool:
        return bool(self.lines) and self.lines[0][:3].upper() == b"+OK"

    @property
    def challenge(self) -> bool:
        """True if the server waits for a line that continues AUTH."""
        return bool(self.mechanism and self.lines) and self.lines[0][:1] == b"+" and not self.positive

    def take(self, line: bytes) -> None:
        """Add a line of the reply, and decide whether it is the last."""
        self.lines.append(line)
        if len(self.lines) == 1:
            self.complete = not (self.long and self.positive)
        elif self.lines[0].endswith(b"\r\n"):
            self.complete = line == b".\r\n" and self.lines[-2].endswith(b"\r\n")
        else:
            self.complete = line in (b".\n", b".\r\n")


@define(eq=False)
class Observer:
    """The watched session so far. `redaction` may be shared with other sessions."""

    redaction: Redaction
    ended: Ended | None = None
    _exchanges: list[_Exchange] = Factory(lambda: [_Exchange()])
    _answered: int = 0  # so many of them are complete
    _sent: bytes = b""
    _received: bytes = b""

    @property
    def waiting(self) -> bool:
        """True if a reply is not complete."""
        return self._answered < len(self._exchanges)

    def client_sent(self, data: bytes) -> None:
        """Take bytes that the client sent."""
        *lines, self._sent = (self._sent + data).split(b"\n")
        for line in lines:
            self._exchanges.append(self._exchange(line.removesuffix(b"\r")))

    def server_sent(self, data: bytes) -> None:
        """Take bytes that the server sent."""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            # What nobody asked for belongs to what came before it.
            exchange = self._exchanges[min(self._answered, len(self._exchanges) - 1)]
            if exchange.complete:
                exchange.lines.append(line + b"\n")
                continue
            exchange.take(line + b"\n")
            self._answered += exchange.complete

    def recorded(self, bodies: Bodies) -> RecordedSession:
        """Return the session without what the redaction has learned until now."""
        if self._received:
            self._exchanges[min(self._answered, len(self._exchanges) - 1)].lines.append(self._received)
            self._received = b""
        steps = (Step(exchange.command, b"".join(self._reply(exchange, bodies))) for exchange in self._exchanges)
        last = self._exchanges[-1]  # a client that has the reply to QUIT may close before the server
        ended = "server" if last.verb == b"QUIT" and last.positive else self.ended
        return RecordedSession(tuple(steps), ended or "client")

    def _exchange(self, line: bytes) -> _Exchange:
        last = self._exchanges[-1]
        if last.challenge:
            command = self.redaction.response(line, last.mechanism, last.number + 1)
            return _Exchange(command, mechanism=last.mechanism, number=last.number + 1)
        verb, _, rest = line.strip().partition(b" ")
        verb = verb.upper()
        long = verb in _ALWAYS_LONG or (verb in _LONG_WITHOUT_ARGUMENT and not rest)
        mechanism = rest.split(b" ")[0] if verb == b"AUTH" else b""
        # The initial response counts as the first line.
        return _Exchange(self.redaction.command(line), verb, long, mechanism, int(b" " in rest))

    def _reply(self, exchange: _Exchange, bodies: Bodies) -> Iterable[bytes]:
        redaction, lines = self.redaction, exchange.lines
        if exchange.challenge:
            yield redaction.challenge(lines[0], exchange.mechanism)
        elif exchange.verb in (b"LIST", b"UIDL"):
            yield from map(self._listed, lines)
            return
        elif lines:
            yield redaction.text(lines[0])
        rest = lines[1:]
        if exchange.verb in (b"RETR", b"TOP") and exchange.positive:
            mail = rest[:-1] if exchange.complete else rest
            yield from map(redaction.masked, blank_mail(mail) if bodies == "blank" else mail)
            yield from rest[len(mail) :]
        elif exchange.verb == b"CAPA":
            for line in rest:
                yield redaction.text(line) if line[:14].upper() == b"IMPLEMENTATION" else line
        else:
            yield from map(redaction.text, rest)

    def _listed(self, line: bytes) -> bytes:
        """A line of a listing begins with a number, and so does the reply about one message after its status."""
        start = 4 if line[:4].upper() == b"+OK " else 0
        number, space, rest = line[start:].partition(b" ")
        if not number.isdigit():
            return self.redaction.text(line)
        return line[:start] + number + space + self.redaction.masked(rest)
