"""One session of POP3: what each command answers (RFC 1939, 2449, 2595, 3206, 5034, 6856).

A handler takes the rest of a command line and gives the pieces of its reply. Octets, waiting and TLS belong to
`wire`, proofs of identity to `login`, mail to `maildrop`.
"""

import base64
import binascii
import os
import socket
import ssl
from collections.abc import Callable
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from attrs import Factory, define

from pymailbox.testing.letter import Letter, stuffed
from pymailbox.testing.login import Exchange
from pymailbox.testing.maildrop import Maildrop, Snapshot
from pymailbox.testing.record import SessionRecord
from pymailbox.testing.wire import Hangup, Idle, Wire

if TYPE_CHECKING:
    from pymailbox.testing.server import Server

__all__ = ["Session"]

Reply = tuple[bytes, ...]

_BATCH = 64  # replies that are collected before they are handed to the wire


def ok(text: str = "", data: str = "") -> Reply:
    """Make a positive status line: data that clients parse, then words that they do not."""
    words = " ".join(part for part in ("+OK", data, text) if part)
    return (words.encode("utf-8", "surrogateescape") + b"\r\n",)


def err(text: str) -> Reply:
    """Make a negative status line; a response code goes in front of the text."""
    return (f"-ERR {text}\r\n".encode("utf-8", "surrogateescape"),)


@define(eq=False)
class Session:
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
    _then: str = ""

    def run(self) -> None:
        """Serve until the end, whatever it is, and leave nothing locked or open."""
        how = self.wire.out.ended or "fin"
        try:
            if self.server.security == "tls":
                self._start_tls()
            self.wire.send(list(self._greeting()))
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
            self._leave()
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
        replies: list[bytes] = []
        for number, line in enumerate(lines, 1):
            reply = self._answer(line)
            replies += reply
            if self._then:
                self.wire.send(replies)
                replies = []
                self._follow()
                break
            if not number % _BATCH or len(reply) > 1:
                self.wire.send(replies)
                replies = []
        self.wire.send(replies)

    def _follow(self) -> None:
        """Do what comes after a reply: the end, or TLS. What was pipelined behind STLS in plaintext is thrown away."""
        then, self._then = self._then, ""
        if then == "close":
            self.wire.flush()
            raise Hangup("QUIT")
        self.wire.discard()
        self._start_tls()
        self._user = None

    def _start_tls(self) -> None:
        self.wire.start_tls(self.server.tls_context)
        self.record.tls = True

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
        handler = _TRANSACTION.get(verb) if self._drop is not None else _AUTHORIZATION.get(verb)
        if handler is not None:
            return handler(self, rest if verb == b"PASS" else rest.rstrip(b" "))
        if verb in _TRANSACTION:
            return err("log in first")
        if verb in _AUTHORIZATION:
            return err("not after the login")
        return err("unknown command")

    def _hide(self, line: bytes) -> None:
        if not self.server.log_secrets:
            self.record.raw[-1] = line

    # --- before login ---

    def _greeting(self) -> Reply:
        if self.server.apop:
            self.timestamp = f"<{os.getpid()}.{time_ns()}@{socket.gethostname()}>"
        return ok(f"{self.server.greeting} {self.timestamp}".rstrip())

    def _capa(self, rest: bytes) -> Reply:
        if rest:
            return err("CAPA takes no argument")
        lines = self.server.capability_lines(secured=self.record.tls, entered=self._drop is not None)
        return (b"+OK capabilities follow\r\n" + b"".join(line.encode() + b"\r\n" for line in lines) + b".\r\n",)

    def _stls(self, rest: bytes) -> Reply:
        if rest:
            return err("STLS takes no argument")
        if self.server.security != "starttls" or self.record.tls:
            return err("TLS is active already" if self.record.tls else "STLS is not offered")
        self._then = "tls"
        return ok("begin TLS")

    def _utf8(self, rest: bytes) -> Reply:
        if not self.server.utf8 or rest:
            return err("UTF8 takes no argument" if rest else "unknown command")
        return ok("UTF8 enabled")

    def _lang(self, rest: bytes) -> Reply:
        """RFC 6856 §3: a listing, a choice, or `*` for the server's own."""
        languages = self.server.lang
        if not languages:
            return err("unknown command")
        if not rest:
            lines = "".join(f"{tag} {name}\r\n" for tag, name in languages.items())
            return (f"+OK languages follow\r\n{lines}.\r\n".encode(),)
        wanted = _text(rest)
        tags = {tag.lower(): tag for tag in languages}
        tag = next(iter(languages)) if wanted == "*" else tags.get(wanted.lower())
        if tag is None:
            return err(f"no language {wanted}")
        self.language = tag
        return ok(f"now in {languages[tag]}", tag)

    def _user_command(self, rest: bytes) -> Reply:
        if not rest:
            return err("USER wants a name")
        if not self._may_send_password():
            return err("plaintext logins want TLS")
        self._user = _text(rest)
        return ok("now the password")

    def _pass(self, rest: bytes) -> Reply:
        self._hide(b"PASS ***")
        if self._user is None:
            return err("USER comes first")
        user, self._user = self._user, None
        return self._enter(self.server.door.password(user, _text(rest)))

    def _apop(self, rest: bytes) -> Reply:
        user, _, digest = _text(rest).rpartition(" ")
        self._hide(b"APOP %s ***" % user.encode("utf-8", "surrogateescape"))
        if not self.timestamp:
            return err("APOP is not offered")
        return self._enter(self.server.door.apop(user, digest, self.timestamp))

    def _auth(self, rest: bytes) -> Reply:
        """RFC 5034: a mechanism, perhaps with the initial response, `=` for an empty one."""
        name, _, initial = _text(rest).partition(" ")
        if initial:
            self._hide(f"AUTH {name} ***".encode("utf-8", "surrogateescape"))
        mechanism = name.upper()
        if mechanism not in self.server.sasl:
            return err("no such mechanism")
        if mechanism in ("PLAIN", "LOGIN") and not self._may_send_password():
            return err("plaintext logins want TLS")
        try:
            first = None if not initial else b"" if initial == "=" else _decoded(initial.encode())
        except binascii.Error:
            return err("that is not base64")
        self._exchange = self.server.door.exchange(mechanism, first)
        return self._step(lambda exchange: next(exchange))

    def _respond(self, line: bytes) -> Reply:
        if line == b"*":
            self._exchange = None
            return err("cancelled")
        try:
            response = _decoded(line)
        except binascii.Error:
            self._exchange = None
            return err("that is not base64")
        return self._step(lambda exchange: exchange.send(response))

    def _step(self, step: Callable[[Exchange], bytes]) -> Reply:
        assert self._exchange is not None
        try:
            return (b"+ " + base64.b64encode(step(self._exchange)) + b"\r\n",)
        except StopIteration as done:
            self._exchange = None
            return self._enter(done.value)

    def _may_send_password(self) -> bool:
        return self.server.plaintext or self.record.tls

    def _enter(self, user: str | None) -> Reply:
        """Open the mailbox of a user whose proof was right: lock it, and take the view this session keeps."""
        if user is None:
            return err("[AUTH] wrong user or password")
        drop = self.server.maildrop(user)
        delay = self.server.login_delay
        if delay and drop.last_login is not None and monotonic() < drop.last_login + delay:
            return err(f"[LOGIN-DELAY] once in {delay} seconds")
        # A client that has just hung up may not have been noticed yet: wait a moment, as real servers do.
        if self.server.lock and not drop.lock.acquire(timeout=self.server.lock_wait):
            return err("[IN-USE] another session has this mailbox open")
        drop.last_login = monotonic()
        self._drop = drop
        self._view = drop.snapshot()
        self.record.user = user
        return ok(f"{len(self._view.letters)} messages")

    # --- after login ---

    def _stat(self, rest: bytes) -> Reply:
        if rest:
            return err("STAT takes no argument")
        letters = self._view.letters
        size = self._view.size - sum(letters[number - 1].size for number in self._deleted)
        return ok(data=f"{len(letters) - len(self._deleted)} {size}")

    def _list(self, rest: bytes) -> Reply:
        if rest:
            return self._one(rest, lambda letter: b"%d" % letter.size)
        if self._deleted:
            return self._listing(lambda letter: b"%d" % letter.size)
        return (b"+OK sizes follow\r\n" + self._view.list_lines + b".\r\n",)

    def _uidl(self, rest: bytes) -> Reply:
        if not self.server.uidl:
            return err("unknown command")
        if rest:
            return self._one(rest, lambda letter: letter.uid)
        if self._deleted:
            return self._listing(lambda letter: letter.uid)
        return (b"+OK unique-ids follow\r\n" + self._view.uidl_lines + b".\r\n",)

    def _one(self, rest: bytes, show: Callable[[Letter], bytes]) -> Reply:
        letter = self._letter(rest)
        return letter if isinstance(letter, tuple) else (b"+OK %d %s\r\n" % (int(rest), show(letter)),)

    def _listing(self, show: Callable[[Letter], bytes]) -> Reply:
        lines = [
            b"%d %s\r\n" % (number, show(letter))
            for number, letter in enumerate(self._view.letters, 1)
            if number not in self._deleted
        ]
        return (b"+OK\r\n" + b"".join(lines) + b".\r\n",)

    def _letter(self, rest: bytes) -> Letter | Reply:
        """Find a message by its number; the reply that says why not."""
        if not rest.isdigit():
            return err("a message number is wanted")
        number = int(rest[:20])
        if not 0 < number <= len(self._view.letters):
            return err("no such message")
        if number in self._deleted:
            return err("that message is deleted")
        letter = self._view.letters[number - 1]
        return err("that message was removed by another session") if letter.gone else letter

    def _retr(self, rest: bytes) -> Reply:
        letter = self._letter(rest)
        if isinstance(letter, tuple):
            return letter
        try:
            return letter.reply
        except FileNotFoundError:
            return err("[SYS/TEMP] that message is not there any more")

    def _top(self, rest: bytes) -> Reply:
        number, _, lines = rest.partition(b" ")
        if not self.server.top:
            return err("unknown command")
        if not lines.isdigit():
            return err("TOP wants a message and a number of lines")
        letter = self._letter(number)
        if isinstance(letter, tuple):
            return letter
        try:
            if lines == b"0":
                return (letter.headers_reply,)
            return (b"+OK\r\n" + stuffed(letter.top(int(lines[:9]))) + b".\r\n",)
        except FileNotFoundError:
            return err("[SYS/TEMP] that message is not there any more")

    def _dele(self, rest: bytes) -> Reply:
        letter = self._letter(rest)
        if isinstance(letter, tuple):
            return letter
        self._deleted.add(int(rest))
        return ok("marked")

    def _rset(self, rest: bytes) -> Reply:
        if rest:
            return err("RSET takes no argument")
        self._deleted.clear()
        return ok("nothing is marked")

    def _noop(self, rest: bytes) -> Reply:
        return err("NOOP takes no argument") if rest else ok("still here")

    def _quit(self, rest: bytes) -> Reply:
        """Commit and leave; the mailbox is free before the client reads the reply."""
        if rest:
            return err("QUIT takes no argument")
        if self._drop is not None and self._deleted:
            marked = tuple(sorted(self._deleted))
            self._drop.remove([self._view.letters[number - 1] for number in marked])
            self.record.deleted = marked
        self._leave()
        self._then = "close"
        return ok("bye")


def _decoded(line: bytes) -> bytes:
    return base64.b64decode(line, validate=True)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


Handler = Callable[[Session, bytes], Reply]
_EITHER: dict[bytes, Handler] = {b"CAPA": Session._capa, b"LANG": Session._lang, b"QUIT": Session._quit}
_AUTHORIZATION: dict[bytes, Handler] = _EITHER | {
    b"STLS": Session._stls,
    b"UTF8": Session._utf8,
    b"USER": Session._user_command,
    b"PASS": Session._pass,
    b"APOP": Session._apop,
    b"AUTH": Session._auth,
}
_TRANSACTION: dict[bytes, Handler] = _EITHER | {
    b"STAT": Session._stat,
    b"LIST": Session._list,
    b"UIDL": Session._uidl,
    b"RETR": Session._retr,
    b"TOP": Session._top,
    b"DELE": Session._dele,
    b"RSET": Session._rset,
    b"NOOP": Session._noop,
}
