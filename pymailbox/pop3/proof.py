"""PipelineProof: verifies that the results of a pipeline belong to their commands. Pure.

Replies carry no number. If a server drops or doubles one, all later replies shift, and a message saved under another's
name and then deleted is lost. So the results of RETR and TOP are held until a checkpoint, `LIST n`, is answered by
`+OK n size`, the one short reply that names its message.

Some shifts escape a checkpoint: a body that begins with `+OK` may be a stray reply, and a body of another size than
LIST returned may belong to another message. Such a command is sent again, alone, and verified by identical bytes.
"""

# Decision 7.

import re
from collections import deque
from typing import Any

from attrs import define, evolve, field

from pymailbox.errors import CommandError
from pymailbox.pop3.command import Body, Command, Note, Reply, Verb

__all__ = ["FIRST_BURST", "IN_STEP", "LONGEST_RUN", "PipelineProof", "is_checkpoint", "is_message"]

FIRST_BURST = 8  # the most RETRs or TOPs in flight before the server has answered a checkpoint
LONGEST_RUN = 64  # the most between two checkpoints

_LISTED = re.compile(rb"([0-9]{1,20}) +[0-9]{1,20} *")
_CANDIDATES = 64  # message numbers remembered for later checkpoints
_NEW_ONES = 2  # of them from each run after the first


def _number(reply: Reply, _: Note) -> bytes | None:
    listed = _LISTED.fullmatch(reply.text)
    return listed[1] if listed is not None else None


def _counts(reply: Reply, _: Note) -> bool:
    return reply.text[:1].isdigit()


_CHECKPOINT = Verb(b"LIST", _number, body=Body.STRAY)  # some servers answer with the whole listing (Q38)
_COUNT = Verb(b"STAT", _counts)

#: Sent if `LIST n` proves nothing. A surplus reply in its place would not begin with a number.
IN_STEP: Command[bool] = Command(_COUNT)


def is_checkpoint(command: Command[Any]) -> bool:
    """Whether this is a checkpoint; its result is the message number in the reply, or None."""
    return command.verb is _CHECKPOINT


def is_message(command: Command[Any]) -> bool:
    """Whether the result of a command is a message in memory, which can be verified and so be pipelined."""
    return command.verb.body is Body.KEPT


def looks_like_reply(result: Any) -> bool:
    """Whether a body may be a stray reply, followed by the body of the right one."""
    return isinstance(result, bytes) and result[:3] == b"+OK"


@define(eq=False, repr=False)
class PipelineProof:
    """The results held in one session, and what is known about the server's replies."""

    #: The most bytes held; bodies beyond are dropped, and requested again.
    limit: int
    #: Whether the server has answered a checkpoint, so that more than a first burst may be in flight.
    agreed: bool = field(default=False, init=False)
    #: Whether commands in flight, or results held, await a checkpoint.
    in_doubt: bool = field(default=False, init=False)
    #: Whether all bodies so far had the sizes that LIST returned.
    sizes_hold: bool = field(default=True, init=False)
    #: Bytes of the bodies held.
    octets: int = field(default=0, init=False)
    #: Whether more arrived than may be held, so that the rest in flight is dropped.
    overflowed: bool = field(default=False, init=False)
    #: Commands with their results, in order; None for a body that was dropped, the size of one that was streamed.
    held: deque[tuple[Command[Any], Any]] = field(factory=deque, init=False)
    #: Message numbers marked as deleted in this session, which LIST refuses.
    marked: set[bytes] = field(factory=set, init=False)
    _known: deque[bytes] = field(factory=lambda: deque(maxlen=_CANDIDATES), init=False)  # numbers that exist for sure
    _plain: bool = field(default=True, init=False)  # whether only bodies of the sizes that LIST returned are held

    def note_marks(self, command: Command[Any]) -> None:
        """Record the marks that a command sets or removes."""
        if command.verb.name == b"DELE":
            self.marked.add(command.arguments)
        elif command.verb.name == b"RSET":
            self.marked.clear()

    def hold(self, command: Command[Any], result: Any, octets: int) -> None:
        """Hold a result until it is verified; a body beyond the limit is dropped."""
        self._plain = False
        if self.held and octets and self.octets + octets > self.limit:
            self.overflowed = True
        if self.overflowed and octets:
            self.held.append((evolve(command, expected=octets), None))
        else:
            self.held.append((command, result))
            self.octets += octets

    def hold_bodies(self, bodies: list[tuple[Command[Any], bytes]]) -> None:
        """Hold many bodies."""
        octets = 0
        for command, body in bodies:
            size = len(body)
            octets += size
            if command.size is not None and command.size != size:
                self._plain = False
        if self.octets + octets <= self.limit:
            self.held.extend(bodies)
            self.octets += octets
        else:
            for command, body in bodies:
                self.hold(command, body, len(body))

    def checkpoint(self, *, alone: bool) -> Command[bytes | None] | None:
        """Return the next checkpoint, or None if there is no message to ask about.

        The messages that exist for sure take turns, so that only a shift by a whole round could bring the reply to
        another checkpoint with the same number. A checkpoint sent alone may ask about the first message held, because a
        surplus reply would be about the last.
        """
        known = self._known
        for _ in range(len(known)):
            number = known[0]
            known.rotate(-1)
            if number not in self.marked:
                return Command(_CHECKPOINT, number)
        numbers = (command.number for command, result in self.held if alone and not isinstance(result, CommandError))
        number = next((number for number in numbers if number not in self.marked), b"")
        return Command(_CHECKPOINT, number) if number else None

    def confirm(self, *, all_of_it: bool) -> None:
        """Record that a checkpoint matched: for everything in flight, or only for what was sent before it."""
        self.agreed = True
        self.in_doubt = self.in_doubt and not all_of_it
        wanted = FIRST_BURST if not self._known else _NEW_ONES
        for command, result in reversed(self.held):
            if not wanted:
                break
            if not isinstance(result, CommandError) and command.number not in self._known:
                self._known.append(command.number)
                wanted -= 1

    def strike(self, number: bytes) -> None:
        """Use this message in no more checkpoints, as the server now refuses it."""
        if number in self._known:
            self._known.remove(number)

    def release(self) -> list[Any]:
        """Return the verified results, up to the first one that must be requested again."""
        held, sizes_hold = self.held, self.sizes_hold
        if self._plain:
            plain = [result for _, result in held]
            held.clear()
            self.octets = 0
            return plain
        released = []
        while held:
            command, result = held[0]
            if result is None:
                break
            if isinstance(result, bytes):
                octets = len(result)
                if looks_like_reply(result) or (sizes_hold and command.size not in (None, octets)):
                    break
                self.octets -= octets
            held.popleft()
            released.append(result)
        self._plain = not held
        return released

    def take(self) -> Any:
        """Return the first result held, and hold it no longer."""
        _, result = self.held.popleft()
        if isinstance(result, bytes):
            self.octets -= len(result)
        return result

    def forget(self) -> list[Command[Any]]:
        """Drop the results held, and return their commands."""
        commands = [command for command, _ in self.held]
        self.held.clear()
        self.octets = 0
        self.overflowed, self._plain = False, True
        return commands
