"""What every session does, whatever it is asked: greet, take lines in batches, find who answers, follow up, and
end.

Octets, waiting and TLS belong to `wire`; what commands answer to `entrance` (before login) and `session` (after
it).
"""

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from attrs import Factory, define

from pymailbox.testing.fault import End
from pymailbox.testing.login import Exchange
from pymailbox.testing.maildrop import Maildrop, Snapshot
from pymailbox.testing.record import SessionRecord
from pymailbox.testing.wire import Hangup, Idle, Wire

if TYPE_CHECKING:
    from pymailbox.testing.server import Server

__all__ = ["Conversation", "Reply", "err", "ok"]

Reply = tuple[bytes, ...]
Then = Literal["", "close", "tls", "hang", "pour"]

_BATCH = 64  # replies that are collected before they are handed to the wire


def ok(text: str = "", data: str = "") -> Reply:
    """Make a positive status line: data that clients parse, then words that they do not."""
    words = " ".join(part for part in ("+OK", data, text) if part)
    return (words.encode("utf-8", "surrogateescape") + b"\r\n",)


def err(text: str) -> Reply:
    """Make a negative status line; a response code goes in front of the text."""
    return (f"-ERR {text}\r\n".encode("utf-8", "surrogateescape"),)


@define(eq=False)
class Conversation:
    """One client, from the greeting to the end of its connection."""

    server: "Server"
    wire: Wire
    record: SessionRecord
    timestamp: str = ""
    language: str = "en"
    _user: str | None = None
    _exchange: Exchange | None = None
    _drop: Maildrop | None = None
    _view: Snapshot = Factory(lambda: Snapshot([]))
    _deleted: set[int] = Factory(set)
    _then: Then = ""
    _reason: str = "QUIT"
    _how: End = "fin"
    _chunk: bytes = b""
    _pending: list[bytes] = Factory(list)
    _handlers: dict[bytes, "Callable[[bytes], Reply]"] = Factory(dict)

    def run(self) -> None:
        """Serve until the end, whatever it is, and leave nothing locked or open."""
        how = self.wire.out.ended or "fin"
        try:
            if self.server.security == "tls":
                self._start_tls()
            self.wire.send(list(self._greeting()))
            self._follow([])
            self._converse()
            self.record.ended = "EOF"
        except Hangup as hangup:
            self.record.ended = hangup.reason
            how = hangup.how
        except ssl.SSLError as error:
            self.record.ended = f"TLS: {error.reason or error}"
        except OSError:
            self.record.ended = "reset"
            how = "rst"
        finally:
            self._lose()
            self.wire.close(how)

    def _converse(self) -> None:
        try:
            while lines := self.wire.lines():
                self._answer_all(lines)
            self.wire.flush()
        except Idle:
            self.wire.patience = None
            self.wire.send(list(err("idle for too long")))
            self.wire.flush()
            raise

    def _answer_all(self, lines: list[bytes]) -> None:
        replies = self._pending
        for number, line in enumerate(lines, 1):
            reply = self._answer(line)
            replies += reply
            if self._then:
                self.wire.send(replies)
                replies.clear()
                self._follow(lines[number:])
                break
            if not number % _BATCH or len(reply) > 1:
                self.wire.send(replies)
                replies.clear()
        self.wire.send(replies)
        replies.clear()

    def _follow(self, behind: list[bytes]) -> None:
        """Do what comes after a reply: the end, or TLS. What was pipelined behind STLS in plaintext is thrown away."""
        then, self._then = self._then, ""
        if then == "close":
            self.wire.flush()
            if self.wire.out.stalled:
                self.wire.hang()
            raise Hangup(self._reason, self._how)
        if then == "hang":
            self.wire.hang()
            raise Hangup("EOF")
        if then == "pour":
            self.wire.pour(self._chunk)
        if then == "tls":
            self._upgrade(behind)

    def _upgrade(self, _behind: list[bytes]) -> None:
        self.wire.discard()
        self._start_tls()
        self._user = None

    def _start_tls(self) -> None:
        self.wire.start_tls(self.server.tls_context)
        self.record.tls = True

    def _lose(self) -> None:
        """Let go of the mailbox, where QUIT has not done so: nothing is committed."""
        self._leave()

    def _leave(self) -> None:
        if self._drop is not None and self.server.lock:
            self._drop.lock.release()
        self._drop = None

    # --- dispatch ---

    def _answer(self, line: bytes) -> Reply:
        self.record.raw.append(line)
        if self._exchange is not None:
            self._hide(b"***")
            return self._respond(line)
        verb, _, rest = line.partition(b" ")
        verb = verb.upper()
        handler = self._handlers.get(verb)
        if handler is None:
            names = _AUTHORIZATION if self._drop is None else _TRANSACTION
            if verb in names:
                handler = self._handlers[verb] = getattr(self, names[verb])
        if handler is not None:
            return handler(rest if verb == b"PASS" else rest.rstrip(b" "))
        if verb in _TRANSACTION:
            return err("log in first")
        if verb in _AUTHORIZATION:
            return err("not after the login")
        return err("unknown command")

    def _hide(self, line: bytes) -> None:
        if not self.server.log_secrets:
            self.record.raw[-1] = line

    # --- what the two states add ---

    def _greeting(self) -> Reply:
        raise NotImplementedError

    def _respond(self, line: bytes) -> Reply:
        raise NotImplementedError


_EITHER = {b"CAPA": "_capa", b"LANG": "_lang", b"QUIT": "_quit"}
_AUTHORIZATION = _EITHER | {
    b"STLS": "_stls",
    b"UTF8": "_utf8",
    b"USER": "_user_command",
    b"PASS": "_pass",
    b"APOP": "_apop",
    b"AUTH": "_auth",
}
_TRANSACTION = _EITHER | {
    b"STAT": "_stat",
    b"LIST": "_list",
    b"UIDL": "_uidl",
    b"RETR": "_retr",
    b"TOP": "_top",
    b"DELE": "_dele",
    b"RSET": "_rset",
    b"NOOP": "_noop",
}
