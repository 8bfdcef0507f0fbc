"""Command, Reply and Chunk: what is sent and what is received, as values.

A `Command[T]` knows the bytes to send, the shape of its reply and how to read that reply as a `T`. It does no I/O and
knows nothing about the session in which it is sent.
"""

import enum
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from attrs import frozen

from pymailbox.errors import CommandError
from pymailbox.pop3.refusal import refusal

__all__ = ["Body", "Chunk", "Command", "Note", "Reply", "Verb"]

T_co = TypeVar("T_co", covariant=True)

#: Called with the name of a quirk and what was seen: `note("SPACES_BEFORE_UID", "1   abc")`.
Note = Callable[[str, str], None]


class Body(enum.Enum):
    """What follows the status line of a positive reply, and which limit applies to it."""

    NONE = "nothing"
    STRAY = "nothing; if the result is None, perhaps unsolicited lines, which are skipped"
    TEXT = "a short listing"  # Limits.header
    LISTING = "one line per message"  # Limits.listing_entries and Limits.message
    KEPT = "a message, kept in memory"  # Limits.message; the result of the command is the body itself
    STREAMED = "a message, in chunks"  # Limits.stream


@frozen(eq=False, repr=False)
class Reply:
    """One complete reply."""

    command: "Command[Any]"
    #: `b"+OK"`, `b"-ERR"` or `b"+"` (a challenge).
    status: bytes
    #: The rest of the status line after one space, without the line end.
    text: bytes
    #: The body of a positive multi-line reply, dots unstuffed; None if there is none or it was streamed.
    body: bytes | None = None
    #: Size of the body in octets, streamed or not.
    octets: int = 0

    @property
    def message(self) -> str:
        """The text as `str`: UTF-8, or Latin-1 if it is not valid UTF-8."""
        try:
            return self.text.decode()
        except UnicodeDecodeError:
            return self.text.decode("latin-1")

    def __repr__(self) -> str:
        return f"<Reply {self.status.decode()} to {self.command.redacted}, {self.octets} octets>"


@frozen(eq=False, repr=False)
class Chunk:
    """A piece of a streamed body, dots unstuffed."""

    command: "Command[Any]"
    data: bytes


@frozen(eq=False, repr=False)
class Verb(Generic[T_co]):
    """What all commands of one kind share."""

    name: bytes
    #: Reads a positive reply; may raise `ProtocolError`.
    parse: Callable[[Reply, Note], T_co]
    body: Body = Body.NONE
    #: Whether nothing else may be in flight together with this command.
    barrier: bool = False
    #: Whether its arguments are secret.
    secret: bool = False
    #: Whether the server may answer `+ challenge` (RFC 5034 §4).
    accepts_challenge: bool = False
    #: The error for a refusal, unless its text or code is more specific.
    error: type[CommandError] = CommandError
    #: The message of that error.
    problem: str = "the server refused the command"


@frozen(repr=False)
class Command(Generic[T_co]):
    """One command, ready to be sent in any session."""

    verb: Verb[T_co]
    #: The arguments as bytes, checked for control characters.
    arguments: bytes = b""
    #: Expected size of the reply in octets; a hint for the window.
    expected: int = 64
    #: The most lines that a listing, or messages that STAT, may have.
    entries: int | None = None
    #: For RETR: the size that LIST returned, compared with the body in a pipeline; None if unknown.
    size: int | None = None

    @property
    def line(self) -> bytes:
        """The bytes to send, with CRLF; empty for the greeting, which is only awaited."""
        name, arguments = self.verb.name, self.arguments
        if not name:
            return arguments + b"\r\n" if self.verb.accepts_challenge else b""
        return name + b" " + arguments + b"\r\n" if arguments else name + b"\r\n"

    @property
    def number(self) -> bytes:
        """The message number in the arguments of a command about one message."""
        return self.arguments.partition(b" ")[0]

    @property
    def redacted(self) -> str:
        """The command as it may be shown: `RETR 7`, `PASS ***`."""
        name = self.verb.name.decode() or ("SASL response" if self.verb.accepts_challenge else "greeting")
        if not self.arguments:
            return name
        shown = self.arguments.decode("utf-8", "replace")
        if not self.verb.secret:
            return f"{name} {shown}"
        mechanism, blank, _ = shown.partition(" ")
        if name == "AUTH":
            return f"AUTH {mechanism} ***" if blank else f"AUTH {mechanism}"
        return f"{name} ***"

    def __repr__(self) -> str:
        return f"<Command {self.redacted}>"

    def read(self, reply: Reply, note: Note) -> T_co | CommandError:
        """Return the result that `reply` contains, or a refusal as a `CommandError`."""
        if reply.status == b"-ERR":
            verb = self.verb
            return refusal(reply.message, command=self.redacted, default=verb.error, problem=verb.problem)
        return self.verb.parse(reply, note)
