"""Command, Reply and Chunk: what goes out, what comes back, as values.

A `Command[T]` knows its octets, the shape of its reply and how to read that reply as a `T`. It does no I/O and
knows nothing of the session it will be sent in.
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
    """What follows the status line of a positive reply, and which limit bounds it."""

    NONE = "nothing"
    STRAY = "nothing, but where the result is None perhaps lines that nobody asked for, which are passed over"
    TEXT = "a short listing"  # Limits.header
    LISTING = "one line for each message"  # Limits.listing_entries and Limits.message
    KEPT = "a message, kept in memory"  # Limits.message; the result of the command is the body itself
    STREAMED = "a message, handed on in chunks"  # Limits.stream


@frozen(repr=False)
class Reply:
    """One complete reply."""

    command: "Command[Any]"
    #: `b"+OK"`, `b"-ERR"` or `b"+"` (a challenge).
    status: bytes
    #: What follows the status and one blank, without the line end.
    text: bytes
    #: The body of a positive multi-line reply, dots unstuffed; None where there is none or it was streamed.
    body: bytes | None = None
    #: Octets of the body, streamed or not.
    octets: int = 0

    @property
    def message(self) -> str:
        """The text as `str`: UTF-8, or Latin-1 where it is not valid UTF-8."""
        try:
            return self.text.decode()
        except UnicodeDecodeError:
            return self.text.decode("latin-1")

    def __repr__(self) -> str:
        return f"<Reply {self.status.decode()} to {self.command.redacted}, {self.octets} octets>"


@frozen
class Chunk:
    """Some octets of a body that is being streamed, dots unstuffed."""

    command: "Command[Any]"
    data: bytes


@frozen(eq=False)
class Verb(Generic[T_co]):
    """What all commands of one kind have in common."""

    name: bytes
    #: Reads a positive reply; may raise `ProtocolError`.
    parse: Callable[[Reply, Note], T_co]
    body: Body = Body.NONE
    #: Whether nothing may be in flight before it, nor be sent after it until it is answered.
    barrier: bool = False
    #: Whether its arguments are a secret.
    secret: bool = False
    #: Whether `+ challenge` is an answer to it (RFC 5034 §4).
    accepts_challenge: bool = False
    #: What a refusal means that says nothing more of itself, and in words.
    error: type[CommandError] = CommandError
    problem: str = "the server refused the command"


@frozen(repr=False)
class Command(Generic[T_co]):
    """One command, ready to be sent in any session."""

    verb: Verb[T_co]
    #: The arguments as octets, checked: no control characters.
    arguments: bytes = b""
    #: How many octets the reply is expected to have; a hint for the window.
    expected: int = 64
    #: For a listing: more lines than this are refused; for STAT: more messages.
    entries: int | None = None
    #: For RETR: the octets that LIST gave, which the body of a pipeline is held against; None where it gave none.
    size: int | None = None

    @property
    def line(self) -> bytes:
        """The octets to send, CRLF included; empty for what is only awaited (the greeting)."""
        name, arguments = self.verb.name, self.arguments
        if not name:
            return arguments + b"\r\n" if self.verb.accepts_challenge else b""
        return name + b" " + arguments + b"\r\n" if arguments else name + b"\r\n"

    @property
    def number(self) -> bytes:
        """The number of the message that it is about, for a command about one."""
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
        """Return the value that `reply` gives, or its refusal as a value."""
        if reply.status == b"-ERR":
            verb = self.verb
            return refusal(reply.message, command=self.redacted, default=verb.error, problem=verb.problem)
        return self.verb.parse(reply, note)
