"""BodyMeter: counts the body that is arriving and checks it against `Limits`. Pure."""

from typing import Any

from attrs import define, field

from pymailbox.pop3.command import Body, Command
from pymailbox.pop3.framing import longest_line
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.violations import limit_exceeded

__all__ = ["BodyMeter"]


@define(eq=False, repr=False)
class BodyMeter:
    """The bytes and lines received of the body that is arriving."""

    limits: Limits
    octets: int = field(default=0, init=False)
    _lines: int = field(default=0, init=False)  # of a listing
    _line: int = field(default=0, init=False)  # bytes of the listing's last line, which is incomplete

    def add(self, command: Command[Any], piece: bytes) -> None:
        """Count a piece of the reply to `command`; raise `LimitExceeded` if that is too much."""
        limits, body = self.limits, command.verb.body
        self.octets += len(piece)
        if body is Body.STREAMED:
            if limits.stream is not None and self.octets > limits.stream:
                raise limit_exceeded("stream", "a message", command.redacted)
            return
        if body is Body.KEPT:
            if self.octets > limits.message:
                raise limit_exceeded(
                    "message", "a message to hold in memory (a streamed one has no such limit)", command.redacted
                )
            return
        if body is Body.TEXT:
            if self.octets > limits.header:
                raise limit_exceeded("header", "a listing", command.redacted)
        elif self.octets > limits.message:
            raise limit_exceeded("message", "a listing", command.redacted)
        else:
            self._lines += piece.count(b"\n")
            most = limits.listing_entries if command.entries is None else command.entries
            if self._lines > most:
                counted = "" if command.entries is None else " (STAT counted far fewer messages)"
                raise limit_exceeded(
                    "listing_entries", f"a listing of more than {most} lines{counted}", command.redacted
                )
        self._line = longest_line(piece, self._line, limits.status_line)
        if self._line > limits.status_line:
            raise limit_exceeded("status_line", "a line of a listing", command.redacted)

    def reset(self) -> None:
        """Start counting another body."""
        self.octets = self._lines = self._line = 0
