"""Protocol: one POP3 conversation without I/O.

Four verbs: `send(command)` queues a command, `data_to_send()` returns the bytes that the window allows,
`receive_data(data)` and `receive_eof()` take what arrives, and `next_event()` returns a `Reply`, a `Chunk`, or None if
more bytes are needed.

It owns the first-in-first-out queue of replies owed, the window, the limits and the failed state: once the server has
sent anything that cannot be trusted, every later use raises `ConnectionLost`. A `ReceiveBuffer` holds what arrives.
A `Protocol` never calls a sink and never waits.
"""

# Decision 5.

from collections import deque
from itertools import islice
from typing import Any

from attrs import define, field

from pymailbox.display import Secrets, safe_text
from pymailbox.errors import ConnectionLost, MailboxError, hide_secrets
from pymailbox.pop3 import wirelog
from pymailbox.pop3.body_meter import BodyMeter
from pymailbox.pop3.command import Body, Chunk, Command, Reply
from pymailbox.pop3.framing import CRLF, LF
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.pieces import Pieces
from pymailbox.pop3.receive_buffer import ReceiveBuffer
from pymailbox.pop3.violations import (
    bad_status,
    data_before_tls,
    guess_service,
    limit_exceeded,
    mixed_line_ends,
    truncated,
    unsolicited,
)

__all__ = ["Protocol"]


_FIRST_WINDOW = 64  # commands in flight at the start; doubles with each round trip
_VERIFIED_WINDOW = 256  # once pipelining is verified: about what the window would have grown to by then
_LAST_WINDOW = 4096  # about 50 KB of unanswered commands; no deadlock, as drivers read while they write


@define(eq=False, repr=False)
class Protocol:
    """The client's side of a POP3 conversation: commands to bytes, bytes to replies."""

    limits: Limits = field(factory=Limits)
    #: Whether commands may be sent before earlier ones are answered (RFC 2449 §6.6).
    pipelining: bool = False
    #: Quirks seen so far, by name, each with its first occurrence.
    quirks: dict[str, str] = field(factory=dict)
    #: What is redacted in errors and logs.
    secrets: Secrets = field(factory=Secrets)
    #: Set while the reply at the head of the queue is unwanted: its body comes in chunks and is not kept.
    discarding: bool = field(default=False, init=False)
    #: The number of commands that `data_to_send` has returned.
    sent: int = field(default=0, init=False)

    #: The last of those commands; later ones were never sent.
    last_sent: Command[Any] | None = field(default=None, init=False)

    _queued: deque[Command[Any]] = field(factory=deque, init=False)
    _owed: deque[Command[Any]] = field(factory=deque, init=False)
    _window: int = field(default=_FIRST_WINDOW, init=False)
    _expected: int = field(default=0, init=False)  # expected bytes of all replies owed, to queued and sent commands
    _flight: int = field(default=0, init=False)  # expected bytes of the replies to sent commands

    _buffer: ReceiveBuffer = field(factory=ReceiveBuffer, init=False)

    # The reply whose body is arriving.
    _text: bytes | None = field(default=None, init=False)
    _pieces: Pieces = field(factory=Pieces, init=False)
    _meter: BodyMeter = field(init=False)
    _complete: bool = field(default=False, init=False)

    _stray: bool = field(default=False, init=False)  # lines are skipped up to the next status line
    _stray_octets: int = field(default=0, init=False)

    _failure: str | None = field(default=None, init=False)
    _pipelined: bool = field(default=False, init=False)  # several were in flight since the queue was last empty
    _logged: bool = field(factory=wirelog.listening, init=False)  # checked once per round trip

    def __attrs_post_init__(self) -> None:
        self._meter = BodyMeter(self.limits)

    # --- out ----------------------------------------------------------------------------------------------

    def send(self, command: Command[Any]) -> None:
        """Queue a command; `data_to_send()` returns it when the window allows."""
        if self._failure is not None:
            raise ConnectionLost(self._failure, command=command.redacted)
        if command.verb.secret:
            self.secrets.note(command.verb.name, command.arguments)
        self._expected += command.expected
        if command.verb.name or command.verb.accepts_challenge:
            self._queued.append(command)
        else:  # the greeting is owed without a command
            self._flight += command.expected
            self._owed.append(command)

    def send_all(self, commands: list[Command[Any]], expected: int) -> None:
        """Queue commands for messages; their replies are expected to have `expected` bytes in total."""
        if self._failure is not None:
            raise ConnectionLost(self._failure, command=commands[0].redacted)
        self._queued.extend(commands)
        self._expected += expected

    def data_to_send(self) -> bytes:
        """Return the bytes that may be sent now; each is returned only once."""
        queued, owed = self._queued, self._owed
        if not queued:
            return b""
        lines = []
        command = self.last_sent
        self._logged = wirelog.listening()
        flight, window, most = self._flight, self._window, self.limits.window
        while queued:
            next_one = queued[0]
            expected = next_one.expected
            if owed and (
                not self.pipelining
                or len(owed) >= window
                or flight + expected > most
                or next_one.verb.barrier
                or owed[-1].verb.barrier
            ):
                break
            command = queued.popleft()
            owed.append(command)
            flight += expected
            lines.append(command.line)
            if self._logged:
                wirelog.sent(command)
        self._flight = flight
        self.sent += len(lines)
        self._pipelined = self._pipelined or len(owed) > 1
        self.last_sent = command
        return b"".join(lines)

    def room(self) -> tuple[int, int]:
        """Return how many more commands may be sent now, and how many bytes their replies may have.

        If nothing is in flight, one command may be sent whatever the size of its reply.
        """
        waiting = len(self._owed) + len(self._queued)
        if not waiting:
            return (self._window if self.pipelining else 1), self.limits.window
        if not self.pipelining or (self._queued or self._owed)[-1].verb.barrier:
            return 0, 0
        return self._window - waiting, self.limits.window - self._expected

    def widen(self) -> None:
        """Allow more commands in flight: the server has answered several in order."""
        self._window = max(self._window, _VERIFIED_WINDOW)

    @property
    def owed(self) -> int:
        """The number of replies that the server owes, or will owe once everything queued is sent."""
        return len(self._owed) + len(self._queued)

    @property
    def ended(self) -> bool:
        """Whether the server has closed its side of the connection."""
        return self._buffer.ended

    @property
    def pipelined(self) -> bool:
        """Whether several commands have been in flight since the last time none was."""
        return self._pipelined

    @property
    def tried(self) -> bool:
        """Whether at least as many replies have arrived as may be in flight once pipelining is verified."""
        return self._window >= 2 * _VERIFIED_WINDOW

    @property
    def midway(self) -> bool:
        """Whether a body has begun and is not complete."""
        return self._text is not None

    @property
    def text(self) -> bytes | None:
        """The text of the status line before the body that has begun."""
        return self._text

    @property
    def seems_ended(self) -> bool:
        """Whether the last line received of a body looks like its end, but follows a bare LF instead of CRLF."""
        buffer = self._buffer
        return self.midway and buffer.framing is CRLF and buffer.tail.endswith((b"\n.\r\n", b"\n.\n"))

    @property
    def idle(self) -> bool:
        """Whether every command sent is answered, so that nothing is due."""
        return not self._owed

    @property
    def awaiting(self) -> str | None:
        """The command whose reply is due next, otherwise the one to be sent next, redacted."""
        waiting = self._owed or self._queued
        return waiting[0].redacted if waiting else None

    # --- in -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the server."""
        if self._failure is None:
            self._buffer.feed(data)

    def receive_eof(self) -> None:
        """Record that the server has closed its side: nothing more will arrive."""
        self._buffer.feed_eof()

    @property
    def pending(self) -> bool:
        """Whether bytes have arrived that no event has taken yet."""
        return not self._buffer.empty

    def next_event(self) -> Reply | Chunk | None:
        """Return the next reply or chunk, in the order of the commands; None if more bytes are needed.

        Raises `ProtocolError` if the server broke the protocol, `LimitExceeded`, or `ConnectionLost` if the stream
        ended too early; the conversation has then failed.
        """
        if self._failure is not None:
            raise ConnectionLost(self._failure)
        try:
            if self._stray:
                self._pass_over_lines()
            if self._owed:
                event = self._next_status() if self._text is None else self._next_chunk()
                if event is None and self._buffer.ended:
                    raise self._truncated()
                return event
            if not (self._buffer.empty or self._stray):
                raise self._unsolicited()
            if self._buffer.ended:
                raise ConnectionLost("the server closed the connection", command=self.awaiting)
            return None
        except BaseException as error:
            if isinstance(error, MailboxError):
                hide_secrets(error, self.secrets)
            self.fail(error.problem if isinstance(error, MailboxError) else "the session was interrupted")
            raise

    def bodies(self) -> list[tuple[Command[Any], bytes]]:
        """Return the commands at the head of the queue whose bodies have arrived, each with its body.

        A shortcut for a pipeline of RETR or TOP. It leaves the last reply owed, and whatever is not a plain positive
        reply with a kept body, to `next_event`.
        """
        owed, buffer = self._owed, self._buffer
        if len(owed) < 2 or buffer.framing is not CRLF or self._text is not None or self._logged or self.discarding:
            return []
        data, at, take = buffer.data, buffer.position, CRLF.take
        longest, most = self.limits.status_line, self.limits.message
        found = []
        expected = 0
        for command in islice(owed, len(owed) - 1):
            if command.verb.body is not Body.KEPT:
                break
            if data[at : at + 5] == b"+OK\r\n":
                end = at + 4
            elif data[at : at + 4] == b"+OK ":
                end = data.find(b"\n", at, at + longest)
            else:
                break
            if end < 0 or data[end - 1] != 13:
                break
            body, after, ended = take(data, end + 1, 2)
            if not ended or len(body) > most or body[:3] == b"+OK":
                break
            found.append((command, body))
            at = after
            expected += command.expected
        for _ in found:
            owed.popleft()
        buffer.position = at
        self._flight -= expected
        self._expected -= expected
        self._window = max(self._window, min(_LAST_WINDOW, self._window + len(found)))
        return found

    def _next_status(self) -> Reply | Chunk | None:
        buffer, longest = self._buffer, self.limits.status_line
        data, position = buffer.data, buffer.position
        end = data.find(b"\n", position, position + longest)
        if end > position and data[end - 1] == 13 and buffer.framing is CRLF:  # nearly always, so worth inlining
            line, buffer.position = data[position : end - 1], end + 1
        else:
            whole = buffer.take_line(longest + 1)
            if whole is None:
                return None
            line = self._odd_line(whole)
        command = self._owed[0]
        if line[:4] == b"+OK ":
            status, text = b"+OK", line[4:]
        else:
            status, text = self._status(line, command)
        body = command.verb.body
        if body is Body.NONE or body is Body.STRAY or status == b"-ERR":
            return self._finish(Reply(command, status, text))
        buffer.begin_body()
        if body is Body.STREAMED or self.discarding:
            self._text = text
            return self._next_chunk()
        piece, complete = buffer.take_body()
        if not complete:
            self._text = text
            self._keep(piece)
            return None
        octets = len(piece)
        if body is not Body.KEPT or octets > self.limits.message:
            self._meter.add(command, piece)
            self._meter.reset()
        return self._finish(Reply(command, status, text, piece, octets))

    def _pass_over_lines(self) -> None:
        """Skip lines in the buffer up to one that begins like a status line."""
        buffer, limits = self._buffer, self.limits
        while not buffer.empty:
            if buffer.data[buffer.position : buffer.position + 1] in (b"+", b"-"):
                self._stray, self._stray_octets = False, 0
                return
            line = buffer.take_line(limits.status_line)
            if line is None:
                return
            self._stray_octets += len(line)
            if self._stray_octets > limits.message:
                raise limit_exceeded("message", "unsolicited lines", self.awaiting)

    def _odd_line(self, line: bytes) -> bytes:
        """Return a status line that is the first or ends in a bare LF, without its end; raise if it is too long."""
        if not line.endswith(b"\n"):
            raise limit_exceeded("status_line", "a status line", self.awaiting)
        first = self._buffer.framing is None
        if not self._buffer.fix_line_ends(line):
            raise mixed_line_ends(line, self.awaiting)
        if first and self._buffer.framing is LF:
            self.note("LF_LINES", "the greeting ends in a bare LF")
        return line[: -2 if line.endswith(b"\r\n") else -1]

    def _status(self, line: bytes, command: Command[Any]) -> tuple[bytes, bytes]:
        """Split a status line into its token and its text; ProtocolError for anything else."""
        token, _, text = line.partition(b" ")
        if token == b"+OK" or token == b"-ERR":
            return token, text
        upper = token.upper()
        if upper == b"+OK" or upper == b"-ERR":  # Q3
            self.note("LOWERCASE_STATUS", line.decode("latin-1"))
            return upper, text
        if command.verb.accepts_challenge and token == b"+":
            return token, text
        raise bad_status(guess_service(line), line, self.awaiting)

    def _next_chunk(self) -> Reply | Chunk | None:
        """Take what is certainly body; return a chunk if the body is streamed, the reply if it is complete."""
        command, text = self._owed[0], self._text
        assert text is not None
        streamed = self.discarding or command.verb.body is Body.STREAMED
        if not self._complete:
            piece, self._complete = self._buffer.take_body()
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
        body = None if streamed else self._pieces.take()
        self._forget()
        return self._finish(Reply(command, b"+OK", text, body, octets))

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._meter.add(self._owed[0], piece)
            self._pieces.add(piece)

    def _forget(self) -> None:
        """Forget the body that is arriving, or has arrived."""
        self._text, self._complete = None, False
        self._pieces.clear()
        self._meter.reset()

    def _finish(self, reply: Reply) -> Reply:
        """Take the command of `reply` from the queue; raise if anything follows the last reply owed."""
        command = self._owed.popleft()
        if self._logged:
            wirelog.received(reply, self.secrets)
        self._flight -= command.expected
        self._expected -= command.expected
        if command.verb.body is Body.STRAY and reply.status != b"-ERR":
            self._stray = command.verb.parse(reply, self.note) is None
        if not self._owed:
            self._pipelined = False
            if not (self._buffer.empty or self._stray):
                raise self._unsolicited(command)
        if self._window < _LAST_WINDOW and self.pipelining:
            self._window += 1  # one per good reply, so the window doubles with each round trip
        return reply

    def _unsolicited(self, command: Command[Any] | None = None) -> MailboxError:
        return unsolicited(self._buffer.rest, self.awaiting, after=command.redacted if command else None)

    def _truncated(self) -> ConnectionLost:
        buffer = self._buffer
        seen = buffer.framing is not None
        return truncated(buffer.rest, self.awaiting, midway=self.midway, greeted=seen, ended_in_lf=self.seems_ended)

    # --- state --------------------------------------------------------------------------------------------

    @property
    def failure(self) -> str | None:
        """Why the conversation has failed or ended; None while it continues."""
        return self._failure

    def fail(self, reason: str) -> None:
        """End the conversation: from now on every use raises `ConnectionLost` with the first reason given."""
        if self._failure is None:
            self._failure = reason
            if self.seems_ended:
                command = self._owed[0].redacted
                if command.startswith("TOP "):
                    self.note("TOP_ENDS_IN_LF", command)
                else:
                    self.note("BODY_ENDS_IN_LF", command)
        self._queued.clear()
        self._owed.clear()
        self._forget()
        self._buffer.clear()

    def reset_for_tls(self) -> None:
        """Start again inside TLS (RFC 2595 §4); the next status line fixes the line ends again."""
        if self.pending or self.owed:
            error = data_before_tls()
            self.fail(error.problem)
            raise error
        self._buffer.framing = None
        self.pipelining = False

    def note(self, quirk: str, seen: str) -> None:
        """Record a quirk of the server, and log it once to `pymailbox.quirks`."""
        if quirk not in self.quirks:
            shown = self.quirks[quirk] = safe_text(self.secrets.redact(seen))
            import logging

            logging.getLogger("pymailbox.quirks").info("server quirk %s: %s", quirk, shown)
