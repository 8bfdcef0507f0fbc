"""The AUTHORIZATION state: greeting, CAPA, STLS, UTF8, LANG, and the ways in (RFC 1939, 2449, 2595, 5034, 6856).

Proofs of identity are checked by `login`; what is locked and seen is `maildrop`'s.
"""

import base64
import binascii
import os
import socket
from collections.abc import Callable
from time import monotonic, time_ns

from attrs import define

from pymailbox.testing.conversation import Conversation, Reply, err, ok
from pymailbox.testing.login import Exchange
from pymailbox.testing.maildrop import Maildrop, Snapshot

__all__ = ["Entrance"]


@define(eq=False)
class Entrance(Conversation):
    """A session on its way in."""

    def _greeting(self) -> Reply:
        if self.server.apop:
            self.timestamp = f"<{os.getpid()}.{time_ns()}@{socket.gethostname()}>"
        return ok(f"{self.server.greeting} {self.timestamp}".rstrip())

    def _capa(self, rest: bytes) -> Reply:
        if rest:
            return err("CAPA takes no argument")
        lines = b"".join(line + b"\r\n" for line in self._capabilities())
        return (b"+OK capabilities follow\r\n" + lines + b".\r\n",)

    def _capabilities(self) -> list[bytes]:
        lines = self.server.capability_lines(secured=self.record.tls, entered=self._drop is not None)
        return [line.encode() for line in lines]

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

    def _in_use(self) -> str:
        return "[IN-USE] another session has this mailbox open"

    def _look(self, drop: Maildrop) -> Snapshot:
        return drop.snapshot()

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
            return err(self._in_use())
        drop.last_login = monotonic()
        self._drop = drop
        self._handlers.clear()
        self._view = self._look(drop)
        self.record.user = user
        return ok(f"{len(self._view.letters)} messages")


def _decoded(line: bytes) -> bytes:
    return base64.b64decode(line, validate=True)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
