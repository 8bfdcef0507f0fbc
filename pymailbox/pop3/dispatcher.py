"""Dispatcher: matches the replies of one connection to the batches that wait for them, and releases verified results.

Pure. It connects the `Protocol` (bytes) with the `Batch`es of commands, one batch in flight at a time. `PipelineProof`
holds the results of a pipeline until they are verified, `StreamCheck` the first bytes of a stream. A driver takes
chunks from the dispatcher, and waits for bytes when there are none.
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
from pymailbox.pop3.proof import (
    FIRST_BURST,
    IN_STEP,
    LONGEST_RUN,
    PipelineProof,
    is_checkpoint,
    is_message,
    looks_like_reply,
)
from pymailbox.pop3.protocol import Protocol
from pymailbox.pop3.stream_check import StreamCheck
from pymailbox.pop3.violations import ends_in_lf, out_of_step

__all__ = ["NO_PIPELINING", "Batch", "Dispatcher"]

T = TypeVar("T")

#: Quirks after which pipelining is not used again with a server.
NO_PIPELINING = frozenset({"DROPS_PIPELINED", "HANGS_UP_ON_PIPELINE", "LIST_PROVES_NOTHING", "REPLIES_OUT_OF_STEP"})

_NUMBERS = frozenset({b"LIST", b"STAT", b"UIDL"})  # a reply to these may equal one to a checkpoint by chance
_RUNS = 4  # a full window has at least so many checkpoints, because results held take up room in it
_PIPELINING = (
    "; the server advertises PIPELINING but may not handle it: the next session will not pipeline"
    " (pass pipelining=False to never pipeline)"
)


def _kind(command: Command[Any]) -> Body | None:
    """Return which commands may be in flight together with this one: KEPT with KEPT, STREAMED alone, None with None."""
    body = command.verb.body
    return body if body is Body.KEPT or body is Body.STREAMED else None


@define(eq=False, repr=False)
class Batch(Generic[T]):
    """Commands, taken from an iterator as the window has room, and their results in the same order."""

    commands: Iterator[Command[T]]
    #: Takes the chunks of a streamed body.
    sink: Callable[[bytes], object] | None = None
    #: The most commands in flight or with results held; None for as many as the window allows.
    depth: int | None = None
    #: Commands taken from the iterator but not sent yet, because the window had no room for them.
    unsent: deque[Command[T]] = field(factory=deque, init=False)
    #: Results not returned yet; a refusal is a value here.
    results: deque[T | CommandError] = field(factory=deque, init=False)
    #: The number of results that have not arrived, or are not verified yet.
    pending: int = field(default=0, init=False)
    #: Set when the results are no longer wanted: whatever still arrives is dropped.
    abandoned: bool = field(default=False, init=False)
    #: Whether the iterator has no more commands.
    exhausted: bool = field(default=False, init=False)
    #: The error that ended the session early; raised after the results that came before it.
    failure: MailboxError | None = field(default=None, init=False)

    @property
    def complete(self) -> bool:
        """Whether no more results will come."""
        return self.exhausted and not self.pending and not self.unsent


@define(eq=False, repr=False)
class Dispatcher:
    """The commands and results of one connection."""

    protocol: Protocol
    #: The number of replies received so far.
    answered: int = field(default=0, init=False)
    #: Whether RETR was ever sent: on QUIT, some servers hide the messages that were retrieved.
    retrieved: bool = field(default=False, init=False)
    #: Whether DELE was ever sent.
    marked: bool = field(default=False, init=False)
    #: The batch whose commands are in flight or whose results are held; the others wait.
    _current: Batch[Any] | None = field(default=None, init=False)
    _kind: Body | None = field(default=None, init=False)  # of the commands in flight (see the function `_kind`)
    _proof: PipelineProof = field(init=False)
    _stream: StreamCheck = field(factory=StreamCheck, init=False)
    _unchecked: int = field(default=0, init=False)  # commands sent since the last checkpoint
    _unchecked_bytes: int = field(default=0, init=False)  # the expected size of their replies
    _checked_alone: bool = field(default=False, init=False)  # whether only a checkpoint is in flight
    _checkpoint_text: bytes | None = field(default=None, init=False)  # of the last reply to a checkpoint or IN_STEP
    _pipelined: bool = field(default=False, init=False)  # whether commands were ever in flight together
    _in_step: bool = field(default=False, init=False)  # whether the last reply was to a checkpoint or IN_STEP
    _rechecking: bool = field(default=False, init=False)  # whether a result must be requested again before all else
    _one_at_a_time: int = field(default=0, init=False)  # the next so many commands are sent one at a time
    # Bytes received for other batches since the batch that the driver waits for last got a reply.
    _early: int = field(default=0, init=False)
    _dropped: int = field(default=0, init=False)  # those of them that were for abandoned batches

    def __attrs_post_init__(self) -> None:
        self._proof = PipelineProof(self.limits.window)

    @property
    def limits(self) -> Limits:
        """The limits of the connection."""
        return self.protocol.limits

    @property
    def marks_pending(self) -> bool:
        """Whether QUIT would delete anything, judging by DELE and RSET."""
        return bool(self._proof.marked)

    def single(self, command: Command[T], sink: Callable[[bytes], object] | None = None) -> Batch[T]:
        """Queue one command, and return its batch."""
        batch: Batch[T] = Batch(iter(()), sink)
        batch.exhausted = True
        batch.unsent.append(command)
        self.submit(batch)
        return batch

    def take(self, batch: Batch[Any]) -> None:
        """Take commands from the batch's iterator while the window has room, and at least one if none is in flight.

        An error from the caller's iterator is passed on, and no command is lost. The iterator may use the session.
        """
        count, room = self.protocol.room()
        if batch.depth is not None:
            count = min(count, batch.depth - batch.pending)
        if not batch.pending:
            count = max(count, 1)
        unsent, commands = batch.unsent, batch.commands
        room -= sum(waiting.expected for waiting in unsent)
        while len(unsent) < count and not batch.exhausted and (room > 0 or not (unsent or batch.pending)):
            command: Command[Any] | None = next(commands, None)
            if command is None:
                batch.exhausted = True
            else:
                unsent.append(command)
                room -= command.expected

    def submit(self, batch: Batch[Any]) -> None:
        """Queue the commands taken that the window has room for, and at least one if no reply is owed.

        Nothing is queued while another batch has commands in flight or results to be verified.
        """
        protocol, proof, unsent = self.protocol, self._proof, batch.unsent
        busy = protocol.owed > 0
        if protocol.failure is not None:
            if unsent:
                protocol.send(unsent[0])  # raises the reason
            return
        if self._rechecking or (self._current is not batch and (busy or proof.in_doubt)):
            return
        self._current = batch
        if unsent and not (busy or proof.in_doubt):
            self._kind, self._unchecked, self._unchecked_bytes = _kind(unsent[0]), 0, 0
            if self._kind is Body.STREAMED and self._pipelined and not self._in_step:
                self._precede_stream()
        if self._kind is Body.KEPT:
            self._submit_messages(batch)
        elif not (batch.pending and self._kind is Body.STREAMED):
            self._submit_others(batch)

    def _submit_messages(self, batch: Batch[Any]) -> None:
        """Queue RETRs and TOPs in runs, each followed by a checkpoint."""
        protocol, proof, unsent = self.protocol, self._proof, batch.unsent
        most = self.limits.window // _RUNS
        count, room = self._room(batch)
        while True:
            run: list[Command[Any]] = []
            total = 0
            left = most - self._unchecked_bytes
            for command in islice(unsent, max(min(count, LONGEST_RUN - self._unchecked), not batch.pending)):
                expected = command.expected
                if command.verb.body is not Body.KEPT or (total + expected > room and (run or batch.pending)):
                    break
                run.append(command)
                total += expected
                if total >= left:
                    break
            if not run:
                break
            if protocol.owed or len(run) > 1:
                proof.in_doubt = self._pipelined = True
            elif self._verifies_alone and not self._one_at_a_time:
                proof.in_doubt = True
            self.retrieved = self.retrieved or any(command.verb.name == b"RETR" for command in run)
            protocol.send_all(run, total)
            for _ in run:
                unsent.popleft()
            batch.pending += len(run)
            self._unchecked += len(run)
            self._unchecked_bytes += total
            self._one_at_a_time = max(0, self._one_at_a_time - len(run))
            count, room = count - len(run), room - total
            if self._unchecked >= LONGEST_RUN or total >= left:
                if self._send_checkpoint():
                    count -= 1
                elif proof.in_doubt and proof.agreed:
                    break  # no message to ask about
        self._send_checkpoint()

    def _submit_others(self, batch: Batch[Any]) -> None:
        """Queue one stream, or commands for neither messages nor streams."""
        protocol, unsent = self.protocol, batch.unsent
        count, room = self._room(batch)
        while unsent:
            command = unsent[0]
            barrier, expected = command.verb.barrier, command.expected
            if batch.pending and (count < 1 or expected > room or barrier or _kind(command) is not None):
                break
            self._pipelined = self._pipelined or protocol.owed > 0
            protocol.send(command)
            self._proof.note_marks(command)
            self.marked = self.marked or command.verb.name == b"DELE"
            self.retrieved = self.retrieved or command.verb.name == b"RETR"
            batch.pending += 1
            unsent.popleft()
            if self._kind is Body.STREAMED:
                self._proof.in_doubt, self._unchecked = self._verifies_alone, 1
                self._send_checkpoint()
                break
            if barrier:
                break
            count, room = count - 1, room - expected

    @property
    def _verifies_alone(self) -> bool:
        """Whether even a single message must be verified: a stray reply from an earlier pipeline may still arrive."""
        return self._pipelined and self.protocol.pipelining

    def _room(self, batch: Batch[Any]) -> tuple[int, int]:
        """Return how many commands of a batch may be queued now, and how many bytes their replies may have."""
        protocol, proof = self.protocol, self._proof
        count, room = protocol.room()
        if self._one_at_a_time:
            count = min(count, 1 - batch.pending)
        elif proof.in_doubt and self._unchecked >= LONGEST_RUN:
            count = 0
        elif self._kind is Body.KEPT and protocol.pipelining and not proof.agreed:
            count = min(count, FIRST_BURST - batch.pending)
        return count, room

    def _precede_stream(self) -> None:
        """Queue a checkpoint before a stream, because chunks cannot be undone once they are passed on."""
        checkpoint = self._proof.checkpoint(alone=False) if self._proof.agreed else None
        self._checked_alone = False
        self.protocol.send(IN_STEP if checkpoint is None else checkpoint)

    def _send_checkpoint(self, *, alone: bool = False) -> bool:
        """Queue a checkpoint for what is in doubt, and return whether one was queued.

        With other commands in flight, that is only once the server has answered a checkpoint sent alone.
        """
        proof = self._proof
        if not alone and not (proof.agreed and proof.in_doubt and self._unchecked):
            return False
        checkpoint = proof.checkpoint(alone=alone)
        if checkpoint is None:
            return False
        self.protocol.send(checkpoint)
        self._checked_alone, self._unchecked, self._unchecked_bytes = alone, 0, 0
        return True

    def next_chunk(self, wanted: Batch[Any]) -> tuple[Batch[Any], Chunk] | None:
        """Give complete replies to the batches that wait for them, up to a chunk of a stream; return that, or None.

        `wanted` is the batch that the driver waits for. When nothing is left in flight, results in doubt are verified
        and then waiting commands are queued. Raises what `Protocol.next_event` does, `ProtocolError` for a reply that
        is invalid or out of step, and `ConnectionLost` or `LimitExceeded` if too much arrives for other batches; the
        conversation has then failed.
        """
        try:
            return self._next_chunk(wanted)
        except MailboxError as error:
            hide_secrets(error, self.protocol.secrets)
            self.protocol.fail(error.problem)
            raise

    def _next_chunk(self, wanted: Batch[Any]) -> tuple[Batch[Any], Chunk] | None:
        protocol, proof = self.protocol, self._proof
        plain = True
        while True:
            batch = self._current if self._current is not None else wanted
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
                    self._continue(batch, wanted)
                return None
            if isinstance(event, Chunk):
                if batch.abandoned:
                    self._count_early(batch, len(event.data))
                elif not protocol.discarding:
                    chunk = self._stream.pass_on(event, protocol.text or b"", self._checkpoint_text)
                    if chunk is not None:
                        return batch, chunk
                continue
            self.answered += 1
            if batch is not wanted:
                self._count_early(batch, len(event.body or b""))
            elif self._early:
                self._early = self._dropped = 0
            plain = is_checkpoint(event.command)
            if plain:
                self._checkpoint_answered(event, batch)
            elif event.command is IN_STEP:
                self._stat_answered(event, batch)
            else:
                self._answered(event, batch)
                plain = event.body is not None

    def _continue(self, batch: Batch[Any], wanted: Batch[Any]) -> None:
        """With nothing in flight, verify what is in doubt, request again what is suspect, or send what has waited."""
        if self._proof.in_doubt and not self._send_checkpoint(alone=True):
            self.protocol.send(IN_STEP)  # every result held is a refusal
        if self.protocol.owed:
            return
        if self._rechecking:
            self._ask_again(batch)
        else:
            self.submit(wanted)

    def _answered(self, reply: Reply, batch: Batch[Any]) -> None:
        """Release the result of a command, or hold it until it is verified."""
        proof, command = self._proof, reply.command
        self._in_step = False
        result = self._read(reply) if is_message(command) or not batch.abandoned else None
        if self._is_a_copy(reply, result):
            raise out_of_step(reply.message, command.redacted)
        if command.verb.body is Body.STREAMED and self._stream.end(reply, wanted=not batch.abandoned):
            self.protocol.send(command)
            return
        if proof.in_doubt:
            proof.hold(command, result, 0 if batch.abandoned or reply.status == b"-ERR" else reply.octets)
        elif self._rechecking:
            self._compare(reply, result, batch)
        elif is_message(command) and looks_like_reply(result) and not batch.abandoned:
            proof.hold(command, result, reply.octets)
            self._rechecking = True
        else:
            batch.pending -= 1
            if not batch.abandoned:
                batch.results.append(result)

    def _is_a_copy(self, reply: Reply, result: Any) -> bool:
        """Whether a reply repeats the last one to a checkpoint, unless a correct one may have the same text."""
        if reply.status == b"-ERR" or reply.text != self._checkpoint_text:
            return False
        if reply.command.verb.body is Body.NONE:
            return reply.command.verb.name not in _NUMBERS
        return is_message(reply.command) and looks_like_reply(result)

    def _checkpoint_answered(self, reply: Reply, batch: Batch[Any]) -> None:
        """Release what a checkpoint has verified; if the server does not support checkpoints, stop pipelining."""
        answer = self._read(reply)
        alone, self._checked_alone = self._checked_alone, False
        self._checkpoint_text = reply.text
        self._in_step = True
        if answer == reply.command.arguments:
            if not self._proof.agreed:
                self.protocol.widen()
            self._proof.confirm(all_of_it=not self.protocol.owed)
            self._release(batch)
        elif isinstance(answer, CommandError) and not alone:
            self._proof.strike(reply.command.arguments)  # refused for now, or gone; the next checkpoint decides
        elif alone and not (self._proof.agreed and isinstance(answer, bytes)):
            self.protocol.note("LIST_PROVES_NOTHING", f"{reply.command.redacted} was answered {reply.message!r}")
            self.protocol.pipelining = False
            self.protocol.send(IN_STEP)
        else:
            raise out_of_step(reply.message, reply.command.redacted)

    def _stat_answered(self, reply: Reply, batch: Batch[Any]) -> None:
        """Continue if the reply to STAT is valid, which proves that no surplus reply came before it."""
        if self._read(reply) is not True:
            raise out_of_step(reply.message, reply.command.redacted)
        self._checkpoint_text, self._in_step = reply.text, True
        if self._proof.in_doubt and self._kind is Body.STREAMED:
            if not self.protocol.owed:  # unlike a message, a stream cannot be requested again
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
        """Request again, one at a time, what is held, because nothing has verified it."""
        self._proof.in_doubt = False
        self._one_at_a_time = self._take_back(batch)

    def _ask_again(self, batch: Batch[Any]) -> None:
        """Request the first result held again, because it is suspect; or all of them, if too much arrived to hold."""
        command, result = self._proof.held[0]
        if batch.abandoned or result is None:
            self._take_back(batch)
            self.submit(batch)
        else:
            self.protocol.send(command)

    def _take_back(self, batch: Batch[Any]) -> int:
        """Put the commands of the results held back among the unsent ones, and return how many there are."""
        again = self._proof.forget()
        batch.pending -= len(again)
        batch.unsent.extendleft(reversed(again))
        self._rechecking = False
        return len(again)

    def _compare(self, reply: Reply, result: Any, batch: Batch[Any]) -> None:
        """Release a suspect result if the server sent the same again."""
        proof = self._proof
        if batch.abandoned:
            self._take_back(batch)
            return
        command, before = proof.held[0]
        if result != before:
            raise out_of_step(reply.message, reply.command.redacted)
        if command.size is not None and command.size != len(result):
            proof.sizes_hold = False
            seen = f"{command.redacted} returned {len(result)} bytes, not {command.size} as in LIST"
            self.protocol.note("SIZES_LIE", seen)
        batch.pending -= 1
        batch.results.append(proof.take())
        self._release(batch)

    def _read(self, reply: Reply) -> Any:
        """Return the result in a reply; a refusal is a value."""
        command = reply.command
        if reply.status != b"-ERR":
            return command.verb.parse(reply, self.protocol.note)
        refused = command.read(reply, self.protocol.note)
        hide_secrets(refused, self.protocol.secrets)
        return refused

    def _count_early(self, batch: Batch[Any], size: int) -> None:
        """Bound what arrives for other batches: by `Limits.window` if it is dropped, `Limits.message` if it is kept."""
        limits = self.limits
        self._early += size
        if batch.abandoned:
            self._dropped += size
            if self._dropped > limits.window:
                raise ConnectionLost(
                    "the replies in flight when an iteration was stopped early exceed Limits.window;"
                    " open a new session, or iterate to the end"
                )
        elif self._early > limits.message:
            problem = "the replies in flight before this command exceed Limits.message in total"
            raise LimitExceeded(problem, field="message")

    def end(self, error: BaseException) -> None:
        """End the session because of `error`, and note a quirk of `NO_PIPELINING` if pipelining may be the cause.

        Some servers advertise PIPELINING and lose commands that arrive while they answer, or close the connection.
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
            if self._checked_alone and in_doubt:
                quirk = "LIST_PROVES_NOTHING"
            elif protocol.pipelined and not protocol.tried:
                quirk = "HANGS_UP_ON_PIPELINE"
        if quirk is not None:
            protocol.note(quirk, f"{type(error).__name__} with several commands in flight")
            if isinstance(error, MailboxError) and _PIPELINING not in error.problem:
                error.problem += _PIPELINING
                error.args = (error.problem, *error.args[1:])
        protocol.fail(error.problem if isinstance(error, MailboxError) else "the session was interrupted")
