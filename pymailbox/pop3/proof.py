"""PipelineProof: which results of a pipeline are proven to belong to their commands. Pure.

Replies carry no number. A server that drops or doubles one shifts all that follow, and a mail saved under another's
name and then deleted is a mail lost. So the results of RETR and TOP are held until a checkpoint, `LIST n`, has been
answered by `+OK n size`: the one short reply that names what it is about.

What a checkpoint cannot see, a second look does: a body that begins with `+OK` may be a reply that slipped in, and one
of another size than LIST gave may be another's. Such a command is sent again, alone; the same octets prove it.
"""

# Decision 7.

import re
from collections import deque
from typing import Any

from attrs import define, evolve, field

from pymailbox.errors import CommandError
from pymailbox.pop3.command import Body, Command, Note, Reply, Verb

__all__ = ["FIRST_BURST", "IN_STEP", "LONGEST_RUN", "PipelineProof", "is_checkpoint", "is_message"]

FIRST_BURST = 8  # RETRs or TOPs in flight before the server has answered a checkpoint
LONGEST_RUN = 64  # of them between two checkpoints

_LISTED = re.compile(rb"([0-9]{1,20}) +[0-9]{1,20} *")
_CANDIDATES = 64  # numbers remembered for the checkpoints to come
_NEW_ONES = 2  # of them from each run; all of the first


def _number(reply: Reply, _: Note) -> bytes | None:
    listed = _LISTED.fullmatch(reply.text)
    return listed[1] if listed is not None else None


def _counts(reply: Reply, _: Note) -> bool:
    return reply.text[:1].isdigit()


_CHECKPOINT = Verb(b"LIST", _number, body=Body.STRAY)  # some servers answer with the whole listing (Q38)
_COUNT = Verb(b"STAT", _counts)

#: What is asked where LIST n proves nothing: a reply too many would not begin with a number.
IN_STEP: Command[bool] = Command(_COUNT)


def is_checkpoint(command: Command[Any]) -> bool:
    """Whether this is a checkpoint; its result is the number in the reply, None where there is none."""
    return command.verb is _CHECKPOINT


def is_message(command: Command[Any]) -> bool:
    """Whether a command asks for a message that is kept: what may be proven, and so be pipelined."""
    return command.verb.body is Body.KEPT


@define(eq=False)
class PipelineProof:
    """The results held in one session, and what has been learnt of the server."""

    #: Octets that may be held; what comes beyond is dropped, and asked for again.
    limit: int
    #: Whether the server has answered a checkpoint, so that more than a first burst may be in flight.
    agreed: bool = field(default=False, init=False)
    #: Whether commands are in flight together, or their results held, that no checkpoint has proven.
    in_doubt: bool = field(default=False, init=False)
    #: Whether bodies have had the sizes that LIST gave so far.
    sizes_hold: bool = field(default=True, init=False)
    #: Octets of the bodies that are held.
    octets: int = field(default=0, init=False)
    #: Whether more came than may be held: what is still in flight is dropped as it arrives.
    overflowed: bool = field(default=False, init=False)
    #: Commands with their results, in order; None for a body that was dropped, its octets for one that was streamed.
    held: deque[tuple[Command[Any], Any]] = field(factory=deque, init=False)
    #: Message numbers marked in this session: LIST refuses those.
    marked: set[bytes] = field(factory=set, init=False)
    _known: deque[bytes] = field(factory=lambda: deque(maxlen=_CANDIDATES), init=False)  # proven to be there
    _plain: bool = field(default=True, init=False)  # whether all that is held are bodies as LIST gave them

    def note_marks(self, command: Command[Any]) -> None:
        """Take note of the marks that a command sets or takes back."""
        if command.verb.name == b"DELE":
            self.marked.add(command.arguments)
        elif command.verb.name == b"RSET":
            self.marked.clear()

    def hold(self, command: Command[Any], result: Any, octets: int) -> None:
        """Keep a result until it is proven; what is more than may be held is dropped."""
        self._plain = False
        if self.held and octets and self.octets + octets > self.limit:
            self.overflowed = True
        if self.overflowed and octets:
            self.held.append((evolve(command, expected=octets), None))
        else:
            self.held.append((command, result))
            self.octets += octets

    def hold_bodies(self, bodies: list[tuple[Command[Any], bytes]]) -> None:
        """Keep many bodies."""
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
        """Return the next checkpoint, None where there is no message to ask about.

        It asks about a message that is proven to be there, each in turn: a reply that is lost or doubled would have to
        shift the others by a whole round to be taken for it. Alone it may ask about the first of those held: a reply
        too many would be that of the last.
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

    def prove(self, *, all_of_it: bool) -> None:
        """Take note that a checkpoint has agreed: on all that is in flight, or only on what came before it."""
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
        """Ask no more about a message: the server refuses that now."""
        if number in self._known:
            self._known.remove(number)

    def begins_with_a_reply(self, result: Any) -> bool:
        """Whether a body may be a reply that slipped in, and the body behind it."""
        return isinstance(result, bytes) and result[:3] == b"+OK"

    def release(self) -> list[Any]:
        """Return the results that are proven, up to one that has to be asked for again."""
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
                if self.begins_with_a_reply(result) or (sizes_hold and command.size not in (None, octets)):
                    break
                self.octets -= octets
            held.popleft()
            released.append(result)
        self._plain = not held
        return released

    def take(self) -> Any:
        """Return the first result that is held."""
        _, result = self.held.popleft()
        if isinstance(result, bytes):
            self.octets -= len(result)
        return result

    def forget(self) -> list[Command[Any]]:
        """Drop what is held; return its commands."""
        commands = [command for command, _ in self.held]
        self.held.clear()
        self.octets = 0
        self.overflowed, self._plain = False, True
        return commands
