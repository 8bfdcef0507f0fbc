"""Look: one session of a watch: what it downloads, and what became of it. Pure; a driver runs it.

A look has a bound, so that memory has one: at most 100 messages, and 32 MiB unless a single message is larger.
"""

from collections.abc import Callable, Sequence

from attrs import define, field

from pymailbox.errors import CommandError, LimitExceeded, MailboxError, NotSupported
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.refusal import is_unknown_command
from pymailbox.watching.arrivals import Arrivals, NewMessage, listed
from pymailbox.watching.schedule import Schedule

__all__ = ["Look"]

_MESSAGES = 100
_BYTES = 32 * 1024 * 1024


@define(eq=False)
class Look:
    """One look; the driver opens a session and calls the methods in this order."""

    _arrivals: Arrivals
    _schedule: Schedule
    _stopped: Callable[[], bool]
    _wanted: list[NewMessage] = field(factory=list, init=False)  # to be downloaded, in this order
    _position: int = field(default=0, init=False)  # in `_wanted`, of the message that comes next
    _new: int = field(default=0, init=False)  # messages to hand out, by this look and others
    _taken: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)

    @property
    def entering(self) -> bool:
        """Whether this is the first look, which takes the baseline and downloads nothing."""
        return self._schedule.entering

    def opened(self, count: int, capabilities: Capabilities) -> bool:
        """Note that the session is open; return whether to find out first if the server has UIDL.

        A mailbox does not ask for the uids of no messages.
        """
        self._schedule.logged_in(capabilities.login_delay)
        if self._stopped():
            raise MailboxError("the watch was stopped")
        return self.entering and count == 0 and "UIDL" not in capabilities

    def refused_uidl(self, refused: CommandError) -> None:
        """Raise `NotSupported` if the server does not know UIDL; some refuse it only for an empty mailbox."""
        if is_unknown_command(refused.response or ""):
            raise NotSupported(
                "the server has no UIDL, so new messages cannot be recognised",
                command="UIDL",
                response=refused.response,
            ) from refused

    def plan(self, uids: Sequence[str | None], sizes: Sequence[int | None]) -> list[int]:
        """Return the numbers of the messages to download. Writes to the state file, so it may take some time."""
        listing = listed(uids, sizes)
        if self.entering:
            self._arrivals.take_baseline(listing)
            return []
        new = self._arrivals.new(listing)
        self._new = len(new)
        expected = 0
        for message in new[:_MESSAGES]:
            expected += message.listed[1] or 0
            if self._wanted and expected > _BYTES:
                break
            self._wanted.append(message)
        return [message.number for message in self._wanted]

    def take(self, raw: bytes) -> bool:
        """Take the next message; return whether to end the session: it has brought enough, or the watch was stopped."""
        message = self._wanted[self._position]
        if self._arrivals.add(message, raw):
            self._taken += 1
        elif message.renumbered:
            del self._wanted[self._position :]  # those that follow are known with it
            self._new = self._position
            return True
        self._position += 1
        self._bytes += len(raw)  # more than was listed, perhaps: sizes are hints
        return self._bytes >= _BYTES or self._stopped()

    def refuse(self, error: CommandError | LimitExceeded) -> None:
        """Pass over the next message, which was refused; raise the error if the look cannot go on."""
        if error.retryable or not error.usable:
            raise error
        self._arrivals.refuse(self._wanted[self._position], error)
        self._position += 1

    def blame(self, error: MailboxError) -> bool:
        """Note the message that was being downloaded when the session failed; return whether there was one."""
        if self._position == len(self._wanted):
            return False
        self._arrivals.refuse(self._wanted[self._position], error)
        return True

    @property
    def productive(self) -> bool:
        """Whether this look brought messages, and another would bring more at once."""
        return self._taken > 0 and self._position < self._new
