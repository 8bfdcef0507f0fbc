"""Session: what both drivers know of one connection, and who waits for which reply.

Pure: it joins the `Protocol` (octets) with the `Batch`es that wait for results, and holds the facts that the flows
gather: greeting, capabilities, whether TLS is on. A driver only moves octets in and out of it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from attrs import define, field

from pymailbox.errors import CommandError, ConnectionLost, MailboxError
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Chunk, Command
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.protocol import Protocol

__all__ = ["Batch", "Session"]

T = TypeVar("T")


@define(eq=False)
class Batch(Generic[T]):
    """Commands taken from an iterator as the window has room, and their results in the same order."""

    commands: Iterator[Command[T]]
    #: Takes the chunks of a streamed body.
    sink: Callable[[bytes], object] | None = None
    #: How many commands may be ahead of the results handed out; None: as many as the window lets out.
    ahead: int | None = None
    #: Results not yet handed out; a refusal is a value here.
    results: deque[T | CommandError] = field(factory=deque, init=False)
    #: Replies still to come.
    owed: int = field(default=0, init=False)
    #: Set when nobody waits for the results any more: what still arrives is dropped.
    abandoned: bool = field(default=False, init=False)
    exhausted: bool = field(default=False, init=False)
    #: What ended the session before all results were in; raised behind the last of them.
    failure: MailboxError | None = field(default=None, init=False)

    @property
    def done(self) -> bool:
        """Whether no more results will come."""
        return self.exhausted and not self.owed


@define(eq=False)
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

    protocol: Protocol = field(init=False)
    greeting: str = field(default="", init=False)
    #: What CAPA last said; None when it has not been asked since TLS or login changed it.
    capabilities: Capabilities | None = field(default=None, init=False)
    #: Whether TLS is on.
    secure: bool = field(default=False, init=False)
    #: Whether the peer is this machine.
    loopback: bool = field(default=False, init=False)
    logged_in: bool = field(default=False, init=False)

    _batches: deque[Batch[Any]] = field(factory=deque, init=False)
    _dropped: int = field(default=0, init=False)  # octets that arrived for abandoned batches since the last wanted

    def __attrs_post_init__(self) -> None:
        self.protocol = Protocol(self.limits)

    def begin(self, *, secure: bool, loopback: bool) -> None:
        """Start over on a fresh connection; the quirks seen so far stay known."""
        self.protocol = Protocol(self.limits, quirks=self.protocol.quirks)
        self._batches.clear()
        self.greeting, self.capabilities, self.logged_in = "", None, False
        self.secure, self.loopback = secure, loopback

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
        self._submit(batch, command)
        return batch

    def batch(self, commands: Iterable[Command[T]], *, ahead: int | None = None) -> Batch[T]:
        """Prepare a batch; nothing is taken from `commands` yet."""
        return Batch(iter(commands), ahead=ahead)

    def fill(self, batch: Batch[Any]) -> None:
        """Take commands from the batch's iterator while the window has room; at least one if it has none in flight.

        What the caller's iterator raises passes through; nothing is lost by it.
        """
        protocol = self.protocol
        while not batch.exhausted and (not batch.owed or protocol.room()):
            if batch.ahead is not None and batch.owed >= batch.ahead:
                return
            command = next(batch.commands, None)
            if command is None:
                batch.exhausted = True
            else:
                self._submit(batch, command)

    def _submit(self, batch: Batch[Any], command: Command[Any]) -> None:
        self.protocol.send(command)
        batch.owed += 1
        self._batches.append(batch)

    def next_chunk(self) -> tuple[Batch[Any], Chunk] | None:
        """Hand every complete reply to the batch that waits for it; stop at the first chunk of a streamed body.

        Errors are those of `Protocol.next_event`, and `ProtocolError` for a reply that does not parse.
        """
        protocol, batches = self.protocol, self._batches
        while (event := protocol.next_event()) is not None:
            if isinstance(event, Chunk):
                return batches[0], event
            batch = batches.popleft()
            batch.owed -= 1
            if batch.abandoned:
                self._drop(event.octets)
                continue
            self._dropped = 0
            try:
                batch.results.append(event.command.read(event, protocol.note))
            except MailboxError as error:
                protocol.poison(error.problem)
                raise
        return None

    def _drop(self, octets: int) -> None:
        self._dropped += octets
        if self._dropped > 2 * self.limits.window:
            problem = "an iteration was left early and more was in flight than Limits.window; the session was closed"
            self.protocol.poison(problem)
            raise ConnectionLost(problem)

    @property
    def quirks(self) -> frozenset[str]:
        """The names of the quirks that this server has shown so far."""
        return frozenset(self.protocol.quirks)
