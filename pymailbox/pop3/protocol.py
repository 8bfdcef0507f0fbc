"""Protocol: one POP3 conversation without I/O.

Four verbs: `send(command)` queues, `data_to_send()` gives the octets that the window lets out, `receive_data(data)`
and `receive_eof()` take what arrived, `next_event()` gives a `Reply`, a `Chunk`, or None when more is needed.

It owns the framing (ends of lines and bodies, dot-unstuffing), the first-in-first-out queue of replies owed, the
window, the limits, and the poisoned state: after any doubt every later use raises `ConnectionLost`
(DESIGN.md, decision 5). It never calls a sink and never waits.
"""

from collections import deque
from typing import Any

from attrs import define, field

from pymailbox.errors import ConnectionLost, MailboxError, ProtocolError, printable
from pymailbox.pop3 import wirelog
from pymailbox.pop3.body_meter import BodyMeter
from pymailbox.pop3.checks import bad_status, guess_service, limit_exceeded, truncated, unsolicited
from pymailbox.pop3.command import Body, Chunk, Command, Reply
from pymailbox.pop3.framing import CRLF, LF, Framing
from pymailbox.pop3.limits import Limits
from pymailbox.secrets import Secrets

__all__ = ["Protocol"]


_FIRST_WINDOW = 64  # commands in flight at the start; doubles with each round trip of clean replies
_LAST_WINDOW = 4096  # some 50 KB of unanswered commands; drivers read while they write, so this is no deadlock


@define(eq=False, repr=False)
class Protocol:
    """One side of a POP3 conversation: commands in, octets out; octets in, replies out."""

    limits: Limits = field(factory=Limits)
    #: Whether commands may be sent before earlier ones are answered (RFC 2449 §6.6).
    pipelining: bool = False
    #: Quirks seen so far, by name, each with the first thing seen.
    quirks: dict[str, str] = field(factory=dict)
    #: What no error and no log may show.
    secrets: Secrets = field(factory=Secrets)
    #: Set while nobody wants the reply at the head of the queue: its body comes as chunks and is not kept.
    discarding: bool = field(default=False, init=False)

    _queued: deque[Command[Any]] = field(factory=deque, init=False)
    _owed: deque[Command[Any]] = field(factory=deque, init=False)
    _window: int = field(default=_FIRST_WINDOW, init=False)
    _expected: int = field(default=0, init=False)  # octets of the replies to all commands, queued and sent
    _flight: int = field(default=0, init=False)  # of those sent

    _data: bytes = field(default=b"", init=False)
    _at: int = field(default=0, init=False)  # what is before it has been dealt with
    _searched: int = field(default=0, init=False)  # no end of a status line before it
    _ended: bool = field(default=False, init=False)
    _framing: Framing | None = field(default=None, init=False)

    # The reply whose body is arriving.
    _text: bytes | None = field(default=None, init=False)
    _skip: int = field(default=0, init=False)  # octets of the status line that the body's first piece begins with
    _pieces: list[bytes] = field(factory=list, init=False)
    _meter: BodyMeter = field(init=False)
    _complete: bool = field(default=False, init=False)

    _failure: str | None = field(default=None, init=False)
    _pipelined: bool = field(default=False, init=False)  # several were in flight since the pipe last ran dry
    _logged: bool = field(factory=wirelog.listening, init=False)  # asked once for each round trip

    def __attrs_post_init__(self) -> None:
        self._meter = BodyMeter(self.limits)

    # --- out ----------------------------------------------------------------------------------------------

    def send(self, command: Command[Any]) -> None:
        """Queue a command; `data_to_send()` lets it out when its turn has come."""
        if self._failure is not None:
            raise ConnectionLost(self._failure, command=command.redacted)
        if command.verb.secret:
            self.secrets.note(command)
        self._expected += command.expected
        if command.verb.name or command.verb.accepts_challenge:
            self._queued.append(command)
        else:  # the greeting is owed without being asked for
            self._flight += command.expected
            self._owed.append(command)

    def data_to_send(self) -> bytes:
        """Return the octets that may be sent now; each is returned once."""
        queued, owed = self._queued, self._owed
        if not queued:
            return b""
        lines = []
        self._logged = wirelog.listening()
        while queued and self._may_send(queued[0]):
            command = queued.popleft()
            owed.append(command)
            self._flight += command.expected
            lines.append(command.line)
            if self._logged:
                wirelog.sent(command)
        self._pipelined = self._pipelined or len(owed) > 1
        return b"".join(lines)

    def _may_send(self, command: Command[Any]) -> bool:
        owed = self._owed
        if not owed:
            return True
        return (
            self.pipelining
            and len(owed) < self._window
            and self._flight + command.expected <= self.limits.window
            and not command.verb.barrier
            and not owed[-1].verb.barrier
        )

    def room(self) -> tuple[int, int]:
        """Return how many more commands could be sent at once, and how many octets their replies may have.

        A single command with a larger reply may be sent when nothing is in flight.
        """
        waiting = len(self._owed) + len(self._queued)
        if not waiting:
            return (self._window if self.pipelining else 1), self.limits.window
        if not self.pipelining or (self._queued or self._owed)[-1].verb.barrier:
            return 0, 0
        return self._window - waiting, self.limits.window - self._expected

    @property
    def owed(self) -> int:
        """How many replies the server owes, or will owe once everything queued is sent."""
        return len(self._owed) + len(self._queued)

    @property
    def pipeline_quirk(self) -> str | None:
        """The quirk that may have ended a conversation with several commands in flight; None with one or none."""
        if not self._ended:
            return "DROPS_PIPELINED" if self._pipelined else None
        return "HANGS_UP_ON_PIPELINE" if self._pipelined and self._window < 2 * _FIRST_WINDOW else None

    @property
    def midway(self) -> bool:
        """Whether a body has begun and not ended."""
        return self._text is not None

    @property
    def idle(self) -> bool:
        """Whether every command sent is answered, so that nothing may arrive."""
        return not self._owed

    @property
    def awaiting(self) -> str | None:
        """The command whose reply is awaited, or that would be sent next, as it may be shown."""
        waiting = self._owed or self._queued
        return waiting[0].redacted if waiting else None

    # --- in -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server."""
        if self._failure is not None:
            return
        left = len(self._data) - self._at
        self._searched = max(0, self._searched - self._at)
        self._data = self._data[self._at :] + data if left else data
        self._at = 0

    def receive_eof(self) -> None:
        """Take the end of the server's octets: nothing more will come."""
        self._ended = True

    @property
    def pending(self) -> bool:
        """Whether octets have arrived that no event has taken yet."""
        return self._at < len(self._data)

    def next_event(self) -> Reply | Chunk | None:
        """Return what is complete by now, in the order of the commands; None when more octets are needed.

        Raises `ProtocolError` (the server broke the protocol), `LimitExceeded`, or `ConnectionLost` (the octets
        ended too early); the conversation is poisoned then.
        """
        if self._failure is not None:
            raise ConnectionLost(self._failure)
        try:
            if self._owed:
                event = self._next_status() if self._text is None else self._next_chunk()
                if event is None and self._ended:
                    raise self._truncated()
                return event
            if self._at < len(self._data):
                raise self._unsolicited()
            if self._ended:
                raise ConnectionLost("the server closed the connection", command=self.awaiting)
            return None
        except BaseException as error:
            if isinstance(error, MailboxError):
                self.secrets.clean(error)
            self.fail(error.problem if isinstance(error, MailboxError) else "the session was interrupted")
            raise

    def bodies(self) -> list[bytes]:
        """Return the bodies at the head of the queue, as far as they are kept, here, and as they should be.

        The short way for a pipeline of RETR or TOP: it stops before whatever is not plain, and before the last reply
        owed, for `next_event` to deal with.
        """
        owed = self._owed
        if len(owed) < 2 or self._framing is not CRLF or self._text is not None or self._logged or self.discarding:
            return []
        data, at, take = self._data, self._at, CRLF.take
        longest, most = self.limits.status_line, self.limits.message
        found = []
        expected = 0
        while len(owed) > 1 and owed[0].verb.body is Body.KEPT:
            if data[at : at + 5] == b"+OK\r\n":
                end = at + 4
            elif data[at : at + 4] == b"+OK ":
                end = data.find(b"\n", at, at + longest)
            else:
                break
            if end < 0 or data[end - 1] != 13:
                break
            body, after, ended = take(data, end + 1, 2)
            if not ended or len(body) > most:
                break
            found.append(body)
            at = after
            expected += owed.popleft().expected
        self._at = at
        self._flight -= expected
        self._expected -= expected
        self._window = max(self._window, min(_LAST_WINDOW, self._window + len(found)))
        return found

    def _next_status(self) -> Reply | Chunk | None:
        data, at, framing = self._data, self._at, self._framing
        end = data.find(b"\n", max(at, self._searched))
        if not 0 <= end - at <= self.limits.status_line:
            self._no_status(end)
            return None
        if framing is CRLF and data[end - 1] == 13 and end > at:
            line = data[at : end - 1]
        else:
            line, framing = self._odd_line(data[at:end])
        command = self._owed[0]
        if line[:4] == b"+OK ":
            status, text = b"+OK", line[4:]
        else:
            status, text = self._status(line, command)
        self._at = start = end + 1
        body = command.verb.body
        if body is Body.NONE or status == b"-ERR":
            return self._finish(Reply(command, status, text))
        # The status line's own end may be the beginning of the end of the body.
        newline = len(framing.newline)
        if body is Body.STREAMED or self.discarding:
            self._text, self._at, self._skip = text, start - newline, newline
            return self._next_chunk()
        piece, self._at, ended = framing.take(data, start, newline)
        if not ended:
            self._text, self._skip = text, max(0, start - self._at)
            self._keep(piece)
            return None
        octets = len(piece)
        if body is not Body.KEPT or octets > self.limits.message:
            self._meter.add(command, piece)
            self._meter.reset()
        return self._finish(Reply(command, status, text, piece, octets))

    def _no_status(self, end: int) -> None:
        """Wait for the end of a status line that is not here yet, unless the line is too long already."""
        self._searched = len(self._data)
        if end >= 0 or len(self._data) - self._at > self.limits.status_line:
            raise limit_exceeded("status_line", "a status line", self.awaiting)

    def _odd_line(self, line: bytes) -> tuple[bytes, Framing]:
        """Return a status line that ends in a bare LF or is the first of all, and the framing that follows from it."""
        framing = self._framing
        crlf = line.endswith(b"\r")
        if framing is None:
            framing = self._framing = CRLF if crlf else LF
            if not crlf:
                self.note("LF_LINES", "the greeting ends in a bare LF")
        elif framing is CRLF and not crlf:
            raise self._bad_status("a status line ends in a bare LF, unlike those before", line)
        return (line[:-1] if crlf else line), framing

    def _status(self, line: bytes, command: Command[Any]) -> tuple[bytes, bytes]:
        """Part a status line into its token and its text; anything else is a ProtocolError."""
        token, _, text = line.partition(b" ")
        if token == b"+OK" or token == b"-ERR":
            return token, text
        upper = token.upper()
        if upper == b"+OK" or upper == b"-ERR":  # Q3
            self.note("LOWERCASE_STATUS", line.decode("latin-1"))
            return upper, text
        if command.verb.accepts_challenge and token == b"+":
            return token, text
        raise self._bad_status(guess_service(line), line)

    def _next_chunk(self) -> Reply | Chunk | None:
        """Take what is certainly body; give a chunk if the body is streamed, the reply if it is complete."""
        command, text = self._owed[0], self._text
        assert text is not None
        streamed = self.discarding or command.verb.body is Body.STREAMED
        if not self._complete:
            framing, at = self._framing, self._at + self._skip
            assert framing is not None
            piece, self._at, self._complete = framing.take(self._data, at, self._skip)
            self._skip = max(0, at - self._at)
            if piece and streamed:
                if self.discarding:
                    self._meter.octets += len(piece)
                else:
                    self._meter.add(command, piece)
                self._pieces.clear()
                return Chunk(command, piece)
            self._keep(piece)
            if not self._complete:
                return None
        octets = self._meter.octets
        body = None if streamed else b"".join(self._pieces)
        self._forget()
        return self._finish(Reply(command, b"+OK", text, body, octets))

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._meter.add(self._owed[0], piece)
            self._pieces.append(piece)

    def _forget(self) -> None:
        """Have no body arriving."""
        self._text, self._pieces, self._complete = None, [], False
        self._meter.reset()

    def _finish(self, reply: Reply) -> Reply:
        """Take the command of `reply` from the queue; octets behind the last reply owed make it worthless."""
        command = self._owed.popleft()
        if self._logged:
            wirelog.received(reply, self.secrets)
        self._flight -= command.expected
        self._expected -= command.expected
        if not self._owed:
            self._pipelined = False
            if self._at < len(self._data):
                raise self._unsolicited(command)
        if self._window < _LAST_WINDOW and self.pipelining:
            self._window += 1  # one for each clean reply: doubles with each round trip
        return reply

    # --- doubts -------------------------------------------------------------------------------------------

    def _bad_status(self, what: str, line: bytes) -> ProtocolError:
        return bad_status(what, line, self.awaiting)

    def _unsolicited(self, command: Command[Any] | None = None) -> MailboxError:
        return unsolicited(self._data[self._at :], self.awaiting, behind=command.redacted if command else None)

    def _truncated(self) -> ConnectionLost:
        left, midway = self._data[self._at :], self.midway
        return truncated(left, self.awaiting, midway=midway, greeted=self._framing is not None)

    # --- state --------------------------------------------------------------------------------------------

    @property
    def failure(self) -> str | None:
        """Why the conversation is over, or None while it is not."""
        return self._failure

    def fail(self, reason: str) -> None:
        """Give up: from now on every use raises `ConnectionLost` with the first reason given."""
        if self._failure is None:
            self._failure = reason
        self._queued.clear()
        self._owed.clear()
        self._forget()
        self._data, self._at, self._searched, self._skip = b"", 0, 0, 0

    def reset_for_tls(self) -> None:
        """Start anew inside TLS: line ends are fixed again by the next status line (RFC 2595 §4)."""
        if self.pending or self.owed:
            self.fail("octets arrived in clear text behind the reply to STLS")
            raise ProtocolError("octets arrived in clear text behind the reply to STLS: somebody may be interfering")
        self._framing = None
        self.pipelining = False

    def note(self, quirk: str, seen: str) -> None:
        """Remember a quirk of the server and report it once to the log `pymailbox.quirks`."""
        if quirk not in self.quirks:
            shown = self.quirks[quirk] = printable(self.secrets.redact(seen))
            import logging

            logging.getLogger("pymailbox.quirks").info("the server shows %s: %s", quirk, shown)
