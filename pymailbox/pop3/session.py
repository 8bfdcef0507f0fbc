"""Session: what both drivers know of one connection, and who waits for which reply.

Pure: it joins the `Protocol` (octets) with the `Batch`es that wait for results, and holds the facts that the flows
gather: greeting, capabilities, whether TLS is on. A driver only moves octets in and out of it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from attrs import define, field

from pymailbox.account import Channel, Security
from pymailbox.display import Secrets
from pymailbox.errors import CommandError, ConnectionLost, LimitExceeded, MailboxError, Timeout, hide_secrets
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Chunk, Command, Reply
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.protocol import Protocol

__all__ = ["Batch", "Session"]

T = TypeVar("T")


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
    #: Replies still to come.
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
class Session:
    """The state of one POP3 session below the mailbox."""

    host: str
    limits: Limits = field(factory=Limits)
    #: None: pipelining where it is listed. False: never.
    may_pipeline: bool | None = None
    #: False: CAPA is never sent (Q12).
    may_ask_capa: bool = True
    #: Whether a password may be sent without TLS.
    allow_plaintext: bool = False
    #: Whether `Reconnect` can be asked for: not with the caller's own socket, and once at most.
    may_reconnect: bool = False
    #: How a fresh connection is made secure before anything is said on it.
    security: Security = "tls"
    #: What is never shown, whatever the server says.
    secrets: Secrets = field(factory=Secrets)

    protocol: Protocol = field(init=False)
    greeting: str = field(default="", init=False)
    #: What CAPA last said; None when it has not been asked since TLS or login changed it.
    capabilities: Capabilities | None = field(default=None, init=False)
    #: Whether TLS is on.
    secure: bool = field(default=False, init=False)
    #: Whether the peer is this machine.
    loopback: bool = field(default=False, init=False)
    #: The TLS channel, for what a login binds to it.
    tls: Channel | None = field(default=None, init=False)
    #: Whether the server has agreed to UTF8 (RFC 6856).
    utf8: bool = field(default=False, init=False)
    #: Whether what the flow does with the next reply may take long, so that no event loop should do it (SCRAM).
    slow: bool = field(default=False, init=False)
    #: Whether this login has sent a password, token or proof, on any connection: nothing is tried again then.
    secret_sent: bool = field(default=False, init=False)

    _batches: deque[Batch[Any]] = field(factory=deque, init=False)
    #: Replies received so far.
    answered: int = field(default=0, init=False)
    # Octets that arrived for other batches since the batch that is waited for got something.
    _aside: int = field(default=0, init=False)
    _dropped: int = field(default=0, init=False)  # of those, for abandoned ones

    def __attrs_post_init__(self) -> None:
        self.protocol = Protocol(self.limits, secrets=self.secrets)

    def begin(self, *, secure: bool, loopback: bool, tls: Channel | None = None) -> None:
        """Start over on a fresh connection; the quirks seen so far stay known."""
        self.protocol = Protocol(self.limits, quirks=self.protocol.quirks, secrets=self.secrets)
        self._batches.clear()
        self._aside = self._dropped = 0
        self.greeting, self.capabilities, self.utf8 = "", None, False
        self.secure, self.loopback, self.tls = secure, loopback, tls

    def learn(self, capabilities: Capabilities | None) -> None:
        """Take what CAPA said, or forget it (None) when TLS or login may have changed it."""
        self.capabilities = capabilities
        listed = capabilities is not None and "PIPELINING" in capabilities
        self.protocol.pipelining = listed and self.may_pipeline is not False

    # --- commands and results -----------------------------------------------------------------------------

    def single(self, command: Command[T], sink: Callable[[bytes], object] | None = None) -> Batch[T]:
        """Queue one command."""
        batch: Batch[T] = Batch(iter(()), sink)
        batch.exhausted = True
        batch.unsent.append(command)
        self.submit(batch)
        return batch

    def batch(self, commands: Iterable[Command[T]], *, depth: int | None = None) -> Batch[T]:
        """Prepare a batch; nothing is taken from `commands` yet."""
        return Batch(iter(commands), depth=depth)

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
        """Queue what was taken, as far as the window can let it out at once; the first in any case if none is owed."""
        protocol, batches, unsent = self.protocol, self._batches, batch.unsent
        count, octets = protocol.room()
        while unsent:
            command = unsent[0]
            if batch.pending and (count < 1 or command.expected > octets or command.verb.barrier):
                return
            protocol.send(command)
            batches.append(batch)
            batch.pending += 1
            unsent.popleft()
            count, octets = count - 1, octets - command.expected
            if command.verb.barrier:
                return

    def next_chunk(self, wanted: Batch[Any]) -> tuple[Batch[Any], Chunk] | None:
        """Hand every complete reply to the batch that waits for it; stop at the first chunk of a streamed body.

        `wanted` is the batch that the driver waits for. Errors are those of `Protocol.next_event`, `ProtocolError`
        for a reply that does not parse, and `ConnectionLost` or `LimitExceeded` when too much comes for others.
        """
        protocol, batches = self.protocol, self._batches
        plain = True
        while True:
            batch = batches[0] if batches else wanted
            protocol.discarding = batch.abandoned
            if plain and batch is wanted and batch.pending > 1:
                bodies = protocol.bodies()
                plain = bool(bodies)
                self._hand_out(bodies, wanted)
                continue
            event = protocol.next_event()
            if event is None:
                return None
            if isinstance(event, Reply):
                batches.popleft()
                batch.pending -= 1
                self.answered += 1
                plain = event.body is not None
                if batch is not wanted:
                    self._set_aside(batch, len(event.body or b""))
                elif self._aside:
                    self._aside = self._dropped = 0
                if not batch.abandoned:
                    batch.results.append(self._read(event))
            elif batch.abandoned:
                self._set_aside(batch, len(event.data))
            else:
                return batch, event

    def _hand_out(self, bodies: list[bytes], wanted: Batch[Any]) -> None:
        """Give bodies that came in a row to the batches that wait for them; a kept body is the result itself."""
        batches = self._batches
        if bodies:
            self.answered += len(bodies)
            self._aside = self._dropped = 0
        for body in bodies:
            batch = batches.popleft()
            batch.pending -= 1
            if batch is not wanted:
                self._set_aside(batch, len(body))
            if not batch.abandoned:
                batch.results.append(body)

    def _read(self, reply: Reply) -> Any:
        """Return what a reply says, a refusal as a value; one that does not parse ends the session."""
        command, protocol = reply.command, self.protocol
        try:
            if reply.status != b"-ERR":
                return command.verb.parse(reply, protocol.note)
            refused = command.read(reply, protocol.note)
            hide_secrets(refused, self.secrets)
            return refused
        except MailboxError as error:
            hide_secrets(error, self.secrets)
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

        Some servers list PIPELINING and lose what they are sent while they answer, or hang up on it (Q14). From then
        on this object does not pipeline: whoever makes the next session passes `may_pipeline` on.
        """
        protocol = self.protocol
        quirk = protocol.pipeline_quirk
        if quirk == "HANGS_UP_ON_PIPELINE" or (quirk and isinstance(error, Timeout)):
            protocol.note(quirk, f"{type(error).__name__} with several commands in flight")
            self.may_pipeline = False
            if isinstance(error, MailboxError):
                error.problem += (
                    "; the server advertises PIPELINING but may not handle it: the next session will not pipeline"
                    " (pass pipelining=False for none from the start)"
                )
                error.args = (error.problem, *error.args[1:])
        protocol.fail(error.problem if isinstance(error, MailboxError) else "the session was interrupted")

    @property
    def quirks(self) -> frozenset[str]:
        """The names of the quirks that this server has shown so far."""
        return frozenset(self.protocol.quirks)
