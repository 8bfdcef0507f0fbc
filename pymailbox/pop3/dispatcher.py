"""Dispatcher: who waits for which reply of one connection, and when a result may be handed out.

Pure: it joins the `Protocol` (octets) with the `Batch`es that wait for results, one batch in flight at a time, and
holds what a pipeline gave until `PipelineProof` has proven it. A driver takes chunks from it and waits for octets.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

from attrs import define, field

from pymailbox.errors import (
    CommandError,
    ConnectionLost,
    LimitExceeded,
    MailboxError,
    ProtocolError,
    Timeout,
    hide_secrets,
)
from pymailbox.pop3.command import Body, Chunk, Command, Reply
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.proof import FIRST_BURST, IN_STEP, LONGEST_RUN, PipelineProof, is_checkpoint, is_message
from pymailbox.pop3.protocol import Protocol
from pymailbox.pop3.violations import ends_in_lf

__all__ = ["NO_PIPELINING", "Batch", "Dispatcher"]

T = TypeVar("T")

#: The quirks of servers that pipelining is not used with again.
NO_PIPELINING = frozenset({"DROPS_PIPELINED", "HANGS_UP_ON_PIPELINE", "LIST_PROVES_NOTHING", "REPLIES_OUT_OF_STEP"})

_NUMBERS = frozenset({b"LIST", b"STAT", b"UIDL"})  # whose replies may be those to a checkpoint by chance
_RUNS = 4  # between checkpoints at least, in a full window: what is held delays what could be sent
_PIPELINING = (
    "; the server advertises PIPELINING but may not handle it: the next session will not pipeline"
    " (pass pipelining=False for none from the start)"
)


def _kind(command: Command[Any]) -> Body | None:
    """What commands in flight together have in common: messages that are kept, a stream, or (None) neither."""
    body = command.verb.body
    return body if body is Body.KEPT or body is Body.STREAMED else None


@define(eq=False, repr=False)
class Batch(Generic[T]):
    """Commands taken from an iterator as the window has room, and their results in the same order."""

    commands: Iterator[Command[T]]
    #: Takes the chunks of a streamed body.
    sink: Callable[[bytes], object] | None = None
    #: How many commands may be ahead of the results handed out; None: as many as the window lets out.
    depth: int | None = None
    #: Commands taken from the iterator and not yet sent, because the window had no room for them.
    unsent: deque[Command[T]] = field(factory=deque, init=False)
    #: Results not yet handed out; a refusal is a value here.
    results: deque[T | CommandError] = field(factory=deque, init=False)
    #: Replies still to come, or still to be proven.
    pending: int = field(default=0, init=False)
    #: Set when nobody waits for the results any more: what still arrives is dropped.
    abandoned: bool = field(default=False, init=False)
    exhausted: bool = field(default=False, init=False)
    #: What ended the session before all results were in; raised after the last of them.
    failure: MailboxError | None = field(default=None, init=False)

    @property
    def complete(self) -> bool:
        """Whether no more results will come."""
        return self.exhausted and not self.pending and not self.unsent


@define(eq=False, repr=False)
class Dispatcher:
    """The commands and results of one connection."""

    protocol: Protocol
    #: Replies received so far.
    answered: int = field(default=0, init=False)
    #: Whether RETR was ever sent: some servers hide what was retrieved once QUIT is said.
    retrieved: bool = field(default=False, init=False)
    #: Whether DELE was ever sent.
    marked: bool = field(default=False, init=False)
    #: The batch whose commands are in flight, or whose results are held; the others wait.
    _run: Batch[Any] | None = field(default=None, init=False)
    _kind: Body | None = field(default=None, init=False)  # RETRs and TOPs (KEPT) go together, a stream alone
    _proof: PipelineProof = field(init=False)
    _unchecked: int = field(default=0, init=False)  # commands sent since the last checkpoint
    _unchecked_octets: int = field(default=0, init=False)  # that their replies are expected to have
    _alone: bool = field(default=False, init=False)  # whether nothing else is in flight with the last checkpoint
    _listed: bytes | None = field(default=None, init=False)  # the text of the last reply to a checkpoint
    _pipelined: bool = field(default=False, init=False)  # whether commands were ever in flight together
    _in_step: bool = field(default=False, init=False)  # whether nothing was answered since then
    _begun: bool = field(default=False, init=False)  # whether the sink has, or is denied, the first of a stream
    _first: bytes = field(default=b"", init=False)  # the first octets of a stream, too few to tell what they are
    _dropping: bool = field(default=False, init=False)  # a stream that began with "+OK", to be asked for again
    _before: int | None = field(default=None, init=False)  # the octets of such a stream, once it is asked for again
    _rechecking: bool = field(default=False, init=False)  # a result has to be asked for again: nothing else is sent
    _one_at_a_time: int = field(default=0, init=False)  # so many commands more are sent one at a time
    # Octets that arrived for other batches since the batch that is waited for got something.
    _aside: int = field(default=0, init=False)
    _dropped: int = field(default=0, init=False)  # of those, for abandoned ones

    def __attrs_post_init__(self) -> None:
        self._proof = PipelineProof(self.limits.window)

    @property
    def limits(self) -> Limits:
        """The limits of the connection."""
        return self.protocol.limits

    @property
    def marks_pending(self) -> bool:
        """Whether QUIT would delete anything, as far as DELE and RSET tell."""
        return bool(self._proof.marked)

    def single(self, command: Command[T], sink: Callable[[bytes], object] | None = None) -> Batch[T]:
        """Queue one command."""
        batch: Batch[T] = Batch(iter(()), sink)
        batch.exhausted = True
        batch.unsent.append(command)
        self.submit(batch)
        return batch

    def take(self, batch: Batch[Any]) -> None:
        """Take commands from the batch's iterator while the window has room; at least one if none is in flight.

        What the caller's iterator raises passes through; nothing is lost by it. The iterator may use the session.
        """
        count, octets = self.protocol.room()
        if batch.depth is not None:
            count = min(count, batch.depth - batch.pending)
        if not batch.pending:
            count = max(count, 1)
        unsent, commands = batch.unsent, batch.commands
        octets -= sum(waiting.expected for waiting in unsent)
        while len(unsent) < count and not batch.exhausted and (octets > 0 or not (unsent or batch.pending)):
            command: Command[Any] | None = next(commands, None)
            if command is None:
                batch.exhausted = True
            else:
                unsent.append(command)
                octets -= command.expected

    def submit(self, batch: Batch[Any]) -> None:
        """Queue what was taken, as far as the window can let it out at once; the first in any case if none is owed.

        Nothing is queued while commands of another batch are in flight, or anything is in doubt.
        """
        protocol, proof, unsent = self.protocol, self._proof, batch.unsent
        busy = protocol.owed > 0
        if protocol.failure is not None:
            if unsent:
                protocol.send(unsent[0])  # says why it is over
            return
        if self._rechecking or (self._run is not batch and (busy or proof.in_doubt)):
            return
        self._run = batch
        if unsent and not (busy or proof.in_doubt):
            self._kind, self._unchecked, self._unchecked_octets = _kind(unsent[0]), 0, 0
            if self._kind is Body.STREAMED and self._pipelined and not self._in_step:
                self._precede_stream()
        if self._kind is Body.KEPT:
            self._submit_messages(batch)
        elif not (batch.pending and self._kind is Body.STREAMED):
            self._submit_others(batch)

    def _submit_messages(self, batch: Batch[Any]) -> None:
        """Queue RETRs and TOPs in runs, each with a checkpoint at its end."""
        protocol, proof, unsent = self.protocol, self._proof, batch.unsent
        most = self.limits.window // _RUNS
        count, octets = self._room(batch)
        while True:
            run: list[Command[Any]] = []
            total = 0
            left = most - self._unchecked_octets
            for command in islice(unsent, max(min(count, LONGEST_RUN - self._unchecked), not batch.pending)):
                expected = command.expected
                if command.verb.body is not Body.KEPT or (total + expected > octets and (run or batch.pending)):
                    break
                run.append(command)
                total += expected
                if total >= left:
                    break
            if not run:
                break
            if protocol.owed or len(run) > 1:
                proof.in_doubt = self._pipelined = True
            elif self._wary and not self._one_at_a_time:
                proof.in_doubt = True
            self.retrieved = self.retrieved or any(command.verb.name == b"RETR" for command in run)
            protocol.send_all(run, total)
            for _ in run:
                unsent.popleft()
            batch.pending += len(run)
            self._unchecked += len(run)
            self._unchecked_octets += total
            self._one_at_a_time = max(0, self._one_at_a_time - len(run))
            count, octets = count - len(run), octets - total
            if self._unchecked >= LONGEST_RUN or total >= left:
                if self._check():
                    count -= 1
                elif proof.in_doubt and proof.agreed:
                    break  # there is no message to ask about
        self._check()

    def _submit_others(self, batch: Batch[Any]) -> None:
        """Queue one stream, or commands that are neither messages nor streams."""
        protocol, unsent = self.protocol, batch.unsent
        count, octets = self._room(batch)
        while unsent:
            command = unsent[0]
            barrier, expected = command.verb.barrier, command.expected
            if batch.pending and (count < 1 or expected > octets or barrier or _kind(command) is not None):
                break
            self._pipelined = self._pipelined or protocol.owed > 0
            protocol.send(command)
            self._proof.note_marks(command)
            self.marked = self.marked or command.verb.name == b"DELE"
            self.retrieved = self.retrieved or command.verb.name == b"RETR"
            batch.pending += 1
            unsent.popleft()
            if self._kind is Body.STREAMED:
                self._proof.in_doubt, self._unchecked = self._wary, 1
                self._check()
                break
            if barrier:
                break
            count, octets = count - 1, octets - expected

    @property
    def _wary(self) -> bool:
        """Whether a message that is asked for alone is proven, too: a reply of a pipeline may still be on its way."""
        return self._pipelined and self.protocol.pipelining

    def _room(self, batch: Batch[Any]) -> tuple[int, int]:
        """Return how many commands of a batch may be queued now, and how many octets their replies may have."""
        protocol, proof = self.protocol, self._proof
        count, octets = protocol.room()
        if self._one_at_a_time:
            count = min(count, 1 - batch.pending)
        elif proof.in_doubt and self._unchecked >= LONGEST_RUN:
            count = 0
        elif self._kind is Body.KEPT and protocol.pipelining and not proof.agreed:
            count = min(count, FIRST_BURST - batch.pending)
        return count, octets

    def _precede_stream(self) -> None:
        """Queue a reply that cannot be mistaken before a stream, whose first octets cannot be taken back."""
        checkpoint = self._proof.checkpoint(alone=False) if self._proof.agreed else None
        self._alone = False
        self.protocol.send(IN_STEP if checkpoint is None else checkpoint)

    def _check(self, *, alone: bool = False) -> bool:
        """Queue a checkpoint for what is in doubt; in a pipeline only once the server has answered one alone."""
        proof = self._proof
        if not alone and not (proof.agreed and proof.in_doubt and self._unchecked):
            return False
        checkpoint = proof.checkpoint(alone=alone)
        if checkpoint is None:
            return False
        self.protocol.send(checkpoint)
        self._alone, self._unchecked, self._unchecked_octets = alone, 0, 0
        return True

    def next_chunk(self, wanted: Batch[Any]) -> tuple[Batch[Any], Chunk] | None:
        """Hand every complete reply to the batch that waits for it; stop at the first chunk of a streamed body.

        `wanted` is the batch that the driver waits for. When nothing is left in flight, what is in doubt is proven,
        and then what has waited is sent. Errors are those of `Protocol.next_event`, `ProtocolError` for a reply that
        does not parse or belongs to another command, and `ConnectionLost` or `LimitExceeded` when too much comes for
        others.
        """
        protocol, proof = self.protocol, self._proof
        plain = True
        while True:
            batch = self._run if self._run is not None else wanted
            protocol.discarding = batch.abandoned or (proof.overflowed and proof.in_doubt)
            if plain and batch is wanted and proof.in_doubt:
                bodies = protocol.bodies()
                plain = bool(bodies)
                self.answered += len(bodies)
                proof.hold_bodies(bodies)
                continue
            event = protocol.next_event()
            if event is None:
                if not protocol.owed and not wanted.results:
                    self._go_on(batch, wanted)
                return None
            if isinstance(event, Chunk):
                if batch.abandoned:
                    self._set_aside(batch, len(event.data))
                elif not protocol.discarding:
                    chunk = event if self._begun else self._begin_stream(event)
                    if chunk is not None and not self._dropping:
                        return batch, chunk
                continue
            self.answered += 1
            if batch is not wanted:
                self._set_aside(batch, len(event.body or b""))
            elif self._aside:
                self._aside = self._dropped = 0
            plain = is_checkpoint(event.command)
            if plain:
                self._checked(event, batch)
            elif event.command is IN_STEP:
                self._count(event, batch)
            else:
                self._answered(event, batch)
                plain = event.body is not None

    def _go_on(self, batch: Batch[Any], wanted: Batch[Any]) -> None:
        """Nothing is in flight: prove what is in doubt, ask again for what is questionable, send what has waited."""
        if self._proof.in_doubt and not self._check(alone=True):
            self.protocol.send(IN_STEP)  # all that is held was refused
        if self.protocol.owed:
            return
        if self._rechecking:
            self._ask_again(batch)
        else:
            self.submit(wanted)

    def _answered(self, reply: Reply, batch: Batch[Any]) -> None:
        """Hand on the result of a command, or hold it until it is proven."""
        protocol, proof, command = self.protocol, self._proof, reply.command
        self._in_step = False
        result = self._read(reply) if is_message(command) or not batch.abandoned else None
        if self._is_a_copy(reply, result):
            raise self._out_of_step(reply)
        if command.verb.body is Body.STREAMED:
            self._begun, self._first = False, b""
            if self._dropping:
                self._dropping, self._before = False, reply.octets
                protocol.send(command)
                return
            before, self._before = self._before, None
            if before not in (None, reply.octets) and reply.status != b"-ERR":
                raise self._out_of_step(reply)
        if proof.in_doubt:
            proof.hold(command, result, 0 if batch.abandoned or reply.status == b"-ERR" else reply.octets)
        elif self._rechecking:
            self._compare(reply, result, batch)
        elif is_message(command) and proof.begins_with_a_reply(result) and not batch.abandoned:
            proof.hold(command, result, reply.octets)
            self._rechecking = True
        else:
            batch.pending -= 1
            if not batch.abandoned:
                batch.results.append(result)

    def _is_a_copy(self, reply: Reply, result: Any) -> bool:
        """Whether a reply is that to the last checkpoint once more; its text may be that of an honest one, too."""
        if reply.status == b"-ERR" or reply.text != self._listed:
            return False
        if reply.command.verb.body is Body.NONE:
            return reply.command.verb.name not in _NUMBERS
        return is_message(reply.command) and self._proof.begins_with_a_reply(result)

    def _checked(self, reply: Reply, batch: Batch[Any]) -> None:
        """Release what a checkpoint has proven; a server that does not answer it as it should is read one by one."""
        said = self._read(reply)
        alone, self._alone = self._alone, False
        self._listed = reply.text
        self._in_step = True
        if said == reply.command.arguments:
            if not self._proof.agreed:
                self.protocol.widen()
            self._proof.prove(all_of_it=not self.protocol.owed)
            self._release(batch)
        elif isinstance(said, CommandError) and not alone:
            self._proof.strike(reply.command.arguments)  # refused for now, or gone: the next one tells
        elif alone and not (self._proof.agreed and isinstance(said, bytes)):
            self.protocol.note("LIST_PROVES_NOTHING", f"{reply.command.redacted} was answered {reply.message!r}")
            self.protocol.pipelining = False
            self.protocol.send(IN_STEP)
        else:
            raise self._out_of_step(reply)

    def _count(self, reply: Reply, batch: Batch[Any]) -> None:
        """Go on if the reply to STAT is one: the replies before it were not too many."""
        if self._read(reply) is not True:
            raise self._out_of_step(reply)
        self._listed, self._in_step = reply.text, True
        if self._proof.in_doubt and self._kind is Body.STREAMED:
            if not self.protocol.owed:  # a stream cannot be taken back
                self._proof.in_doubt = False
                self._release(batch)
        elif self._proof.in_doubt:
            self._ask_one_by_one(batch)

    def _release(self, batch: Batch[Any]) -> None:
        if batch.abandoned:
            batch.pending -= len(self._proof.forget())
        released = self._proof.release()
        batch.pending -= len(released)
        batch.results.extend(released)
        self._rechecking = bool(self._proof.held)

    def _ask_one_by_one(self, batch: Batch[Any]) -> None:
        """Ask one by one for what is held: nothing has proven it."""
        self._proof.in_doubt = False
        self._one_at_a_time = self._take_back(batch)

    def _ask_again(self, batch: Batch[Any]) -> None:
        """Ask again for a result that is questionable, or for all that are held if they were too many."""
        command, result = self._proof.held[0]
        if batch.abandoned or result is None:
            self._take_back(batch)
            self.submit(batch)
        else:
            self.protocol.send(command)

    def _take_back(self, batch: Batch[Any]) -> int:
        """Have the commands whose results are held sent again, when their turn comes; return how many they are."""
        again = self._proof.forget()
        batch.pending -= len(again)
        batch.unsent.extendleft(reversed(again))
        self._rechecking = False
        return len(again)

    def _compare(self, reply: Reply, result: Any, batch: Batch[Any]) -> None:
        """Release a questionable result if the server gives the same again."""
        proof = self._proof
        if batch.abandoned:
            self._take_back(batch)
            return
        command, before = proof.held[0]
        if result != before:
            raise self._out_of_step(reply)
        if command.size is not None and command.size != len(result):
            proof.sizes_hold = False
            self.protocol.note("SIZES_LIE", f"{command.redacted} gave {len(result)} octets, LIST {command.size}")
        batch.pending -= 1
        batch.results.append(proof.take())
        self._release(batch)

    def _begin_stream(self, chunk: Chunk) -> Chunk | None:
        """Return the first of a stream once it is plain that it is no reply; what may be one is dropped.

        What began with "+OK" is asked for again: if it does so again, and is as long, it is a message that does.
        """
        first = self._first = self._first + chunk.data
        if len(first) < len(b"+OK") and b"+OK".startswith(first):
            return None
        self._begun, self._first = True, b""
        reply, second = first.startswith(b"+OK"), self._before is not None
        if (reply and self.protocol.text == self._listed) or (second and not reply):
            raise self._out_of_step(Reply(chunk.command, b"+OK", self.protocol.text or b""))
        self._dropping = reply and not second
        return Chunk(chunk.command, first)

    def _out_of_step(self, reply: Reply) -> ProtocolError:
        error = ProtocolError(
            "the replies are not in step with the commands, so none can be told to belong to its message;"
            " nothing that is not proven was handed out",
            command=reply.command.redacted,
            response=reply.message,
        )
        hide_secrets(error, self.protocol.secrets)
        self.protocol.fail(error.problem)
        return error

    def _read(self, reply: Reply) -> Any:
        """Return what a reply says, a refusal as a value; one that does not parse ends the session."""
        command, protocol = reply.command, self.protocol
        try:
            if reply.status != b"-ERR":
                return command.verb.parse(reply, protocol.note)
            refused = command.read(reply, protocol.note)
            hide_secrets(refused, self.protocol.secrets)
            return refused
        except MailboxError as error:
            hide_secrets(error, self.protocol.secrets)
            protocol.fail(error.problem)
            raise

    def _set_aside(self, batch: Batch[Any], octets: int) -> None:
        """Bound what is taken in for others: the window where it is dropped, a message where it is kept."""
        limits = self.limits
        self._aside += octets
        if batch.abandoned:
            self._dropped += octets
            if self._dropped > limits.window:
                problem = "what was in flight when an iteration was left is larger than Limits.window"
                self.protocol.fail(problem)
                raise ConnectionLost(problem)
        elif self._aside > limits.message:
            problem = "the replies in flight before this command are together larger than Limits.message"
            self.protocol.fail(problem)
            raise LimitExceeded(problem, field="message")

    def end(self, error: BaseException) -> None:
        """Give the session up because of `error`; what ends it with several commands in flight may be pipelining.

        Some servers list PIPELINING and lose what they are sent while they answer, or hang up on it: a quirk of
        `NO_PIPELINING` then stays known.
        """
        protocol, in_doubt = self.protocol, self._proof.in_doubt
        quirk = None
        if isinstance(error, Timeout) and protocol.seems_ended:
            error.problem += f"; {ends_in_lf(protocol.awaiting)}"
            error.args = (error.problem, *error.args[1:])
        elif isinstance(error, Timeout):
            quirk = "DROPS_PIPELINED" if in_doubt or protocol.pipelined else None
        elif isinstance(error, ProtocolError):
            quirk = "REPLIES_OUT_OF_STEP" if self._pipelined else None
        elif protocol.ended or isinstance(error.__cause__, ConnectionResetError | BrokenPipeError):
            if self._alone and in_doubt:
                quirk = "LIST_PROVES_NOTHING"
            elif protocol.pipelined and not protocol.tried:
                quirk = "HANGS_UP_ON_PIPELINE"
        if quirk is not None:
            protocol.note(quirk, f"{type(error).__name__} with several commands in flight")
            if isinstance(error, MailboxError) and _PIPELINING not in error.problem:
                error.problem += _PIPELINING
                error.args = (error.problem, *error.args[1:])
        protocol.fail(error.problem if isinstance(error, MailboxError) else "the session was interrupted")
