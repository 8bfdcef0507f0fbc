"""Faults on request: what goes wrong, in which session, and at which byte or command.

A `Fault` is a value that `Server(..., faults=(...))` and `Proxy(..., faults=(...))` carry out. There are two families:

- *wire* faults: `cut`, `stall`, `drip`, `split`. They start once `after` bytes have been sent to the client (counting
  the greeting; inside TLS, counting decrypted bytes) or, if a `command` is named, after `after` bytes of its reply.
- *conversation* faults: `refuse`, `drop`, `replace`, `duplicate`, `stray`, `endless`, `new_uids`. They name a command
  and which occurrence of it in the session: `nth=1` is the first, None means all of them.

Commands are POP3 verbs in any case, `"*"` for any command, `"GREETING"` for the greeting, `"RESPONSE"` for a line
that continues AUTH. `session=2` limits a fault to the second session that the server accepts, counting from 1.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from attrs import Factory, define, field, frozen

__all__ = ["Fault", "FaultPlan", "several"]

End = Literal["fin", "rst", "ragged"]
Side = Literal["client", "server"]
_WIRE = frozenset({"cut", "stall", "drip", "split"})


def _upper(name: str | None) -> str | None:
    return name.upper() if name else None


@frozen(kw_only=True)
class Fault:
    """One thing that goes wrong. Create it with the named constructors, which explain `kind`.

    - `command` is a verb in any case, `"*"` for any command, `"GREETING"` for the greeting, or `"RESPONSE"` for a line
      that continues AUTH. `nth` says which of them in the session, from 1, and None means all of them.
    - `session` limits the fault to one session, counting from 1 in the order of connecting.
    - `after` is how many bytes are sent before it begins: of the reply to `command`, or without one, of the session,
      from the greeting on; inside TLS, decrypted bytes count.
    - `toward` is the side that the bytes are sent to. `how` says how the connection ends (see `cut`).
    - `takes_effect` says whether the command is carried out nevertheless, such as a deletion.
    - `octets`, `delay`, `data`, `chunk` and `before` belong to the named constructors `drip`, `split`, `replace`,
      `stray` and `endless`.

    The connection ends after 20 bytes of the first reply to RETR:

    >>> import poplib
    >>> from pymailbox.testing import Fault, Server
    >>> with Server([b"Subject: 1\\r\\n\\r\\nHello\\r\\n"], faults=[Fault.cut(20, command="RETR")]) as server:
    ...     pop = poplib.POP3(server.host, server.port, timeout=5)
    ...     replies = pop.user("me"), pop.pass_("secret")
    ...     try:
    ...         pop.retr(1)
    ...     except poplib.error_proto as error:
    ...         print(error)
    ...     pop.close()
    -ERR EOF
    """

    kind: str
    command: str | None = field(default=None, converter=_upper)
    nth: int | None = 1
    session: int | None = None
    after: int = 0
    octets: int = 0
    delay: float = 0.0
    how: End = "fin"
    toward: Side = "client"
    data: bytes = b""
    chunk: bytes = b""
    before: bool = False
    takes_effect: bool = True

    def __attrs_post_init__(self) -> None:
        for name, value, least in (("nth", self.nth, 1), ("session", self.session, 1), ("after", self.after, 0)):
            if value is not None and value < least:
                raise ValueError(f"{name} must be {least} or more, not {value}")
        if self.kind in ("drip", "split") and (self.octets < 1 or self.delay < 0):
            raise ValueError("octets (or size) must be 1 or more, and delay 0 or more")
        if self.kind == "endless" and not self.chunk:
            raise ValueError("chunk must not be empty")
        if self.command and self.toward == "server":
            raise ValueError('a fault with toward="server" counts bytes and cannot name a command')

    @property
    def of_wire(self) -> bool:
        """True for wire faults, which a `Proxy` can carry out too if they do not name a command."""
        return self.kind in _WIRE

    # --- the wire ---

    @classmethod
    def cut(
        cls,
        after: int = 0,
        *,
        how: End = "fin",
        toward: Side = "client",
        command: str | None = None,
        nth: int | None = 1,
        session: int | None = None,
    ) -> "Fault":
        """End the connection after that many bytes.

        `"fin"` closes it in order (inside TLS, close_notify first), `"rst"` resets it, and `"ragged"` closes it
        without close_notify, as an attacker on the path would. With `toward="server"`, count the bytes that the
        client sends.
        """
        return cls(kind="cut", after=after, how=how, toward=toward, command=command, nth=nth, session=session)

    @classmethod
    def stall(
        cls,
        after: int = 0,
        *,
        toward: Side = "client",
        command: str | None = None,
        nth: int | None = 1,
        session: int | None = None,
    ) -> "Fault":
        """Fall silent after that many bytes; the connection stays open until the client or the server closes it."""
        return cls(kind="stall", after=after, toward=toward, command=command, nth=nth, session=session)

    @classmethod
    def drip(
        cls,
        octets: int = 1,
        delay: float = 0.05,
        *,
        after: int = 0,
        toward: Side = "client",
        command: str | None = None,
        nth: int | None = 1,
        session: int | None = None,
    ) -> "Fault":
        """Send `octets` bytes at a time, with a pause of `delay` seconds between them."""
        return cls(
            kind="drip",
            octets=octets,
            delay=delay,
            after=after,
            toward=toward,
            command=command,
            nth=nth,
            session=session,
        )

    @classmethod
    def split(
        cls,
        size: int = 1,
        *,
        after: int = 0,
        toward: Side = "client",
        command: str | None = None,
        nth: int | None = 1,
        session: int | None = None,
    ) -> "Fault":
        """Send `size` bytes at a time, each time in a separate segment (and TLS record), without pauses."""
        return cls(kind="split", octets=size, after=after, toward=toward, command=command, nth=nth, session=session)

    # --- the conversation ---

    @classmethod
    def refuse(
        cls, command: str = "*", nth: int | None = 1, text: str = "refused", *, session: int | None = None
    ) -> "Fault":
        """Answer `-ERR text` and do nothing. The text may begin with a response code: `"[SYS/TEMP] try later"`."""
        reply = f"-ERR {text}\r\n".encode()
        return cls(kind="replace", command=command, nth=nth, session=session, data=reply, takes_effect=False)

    @classmethod
    def drop(
        cls,
        command: str = "*",
        nth: int | None = 1,
        *,
        how: End = "fin",
        takes_effect: bool = False,
        session: int | None = None,
    ) -> "Fault":
        """Close the connection instead of answering.

        `drop("QUIT", takes_effect=True)` commits the deletions first, but the client cannot know that it did.
        """
        return cls(kind="drop", command=command, nth=nth, how=how, takes_effect=takes_effect, session=session)

    @classmethod
    def replace(
        cls,
        command: str,
        nth: int | None = 1,
        *,
        reply: bytes,
        takes_effect: bool = True,
        session: int | None = None,
    ) -> "Fault":
        """Send `reply` instead of the server's own. The command still takes effect, unless `takes_effect` is False."""
        return cls(kind="replace", command=command, nth=nth, data=reply, takes_effect=takes_effect, session=session)

    @classmethod
    def duplicate(cls, command: str = "RETR", nth: int | None = 1, *, session: int | None = None) -> "Fault":
        """Send the reply twice."""
        return cls(kind="duplicate", command=command, nth=nth, session=session)

    @classmethod
    def stray(
        cls,
        line: bytes = b"+OK stray\r\n",
        *,
        command: str = "*",
        nth: int | None = 1,
        before: bool = False,
        session: int | None = None,
    ) -> "Fault":
        """Send `line`, unsolicited, after a reply (or before it), in the same segment."""
        return cls(kind="stray", command=command, nth=nth, data=line, before=before, session=session)

    @classmethod
    def endless(
        cls,
        command: str = "RETR",
        nth: int | None = 1,
        *,
        start: bytes = b"+OK\r\n",
        chunk: bytes = b"This line comes again and again, for ever and ever.\r\n",
        session: int | None = None,
    ) -> "Fault":
        """Answer with `start`, then repeat `chunk` as fast as the client reads, until it closes.

        For an endless status line: `Fault.endless("GREETING", start=b"+OK ", chunk=b"x" * 1000)`.
        """
        return cls(kind="endless", command=command, nth=nth, data=start, chunk=chunk, session=session)

    @classmethod
    def new_uids(cls, session: int = 2) -> "Fault":
        """Show unique-ids in that session that no other session has, as after a server migration."""
        return cls(kind="new_uids", session=session)


def several(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return faults as a value."""
    return tuple(faults)


@define(eq=False)
class FaultPlan:
    """The faults of one session, and which of them are due at the next command."""

    faults: tuple[Fault, ...]
    _counts: Counter[str] = Factory(Counter)

    @classmethod
    def for_session(cls, faults: Iterable[Fault], number: int) -> "FaultPlan":
        return cls(tuple(fault for fault in faults if fault.session in (None, number)))

    @property
    def from_start(self) -> tuple[Fault, ...]:
        """Wire faults that count bytes from the start of the session."""
        return tuple(fault for fault in self.faults if fault.of_wire and not fault.command)

    @property
    def in_dialogue(self) -> bool:
        """True if any fault changes a reply or waits for a command."""
        return len(self.from_start) < len(self.faults)

    @property
    def new_uids(self) -> bool:
        """True if this session shows unique-ids that no other session has."""
        return any(fault.kind == "new_uids" for fault in self.faults)

    def due(self, command: str) -> list[Fault]:
        """Count this command, and return the faults that apply to it."""
        names = ("GREETING",) if command == "GREETING" else (command, "*")
        self._counts.update(names)
        return [
            fault
            for fault in self.faults
            if fault.command is not None and fault.command in names and fault.nth in (None, self._counts[fault.command])
        ]
