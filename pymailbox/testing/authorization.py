"""The AUTHORIZATION state: greeting, CAPA, STLS, UTF8, LANG and the login commands (RFC 1939, 2449, 2595, 5034, 6856).

`authenticator` checks credentials; `maildrop` locks the mailbox and decides which messages a session sees.
"""

import base64
import binascii
import os
import socket
from collections.abc import Callable
from time import monotonic, time_ns

from attrs import define

from pymailbox.testing.authenticator import SaslExchange
from pymailbox.testing.maildrop import MaildropView
from pymailbox.testing.reply import ReplyBytes, err, ok
from pymailbox.testing.session import FollowUp, SessionState

__all__ = ["IN_USE", "WRONG_LOGIN", "Authorization", "capa_reply", "login_reply"]

WRONG_LOGIN = err("[AUTH] wrong user or password")
IN_USE = err("[IN-USE] another session has this mailbox open")


def capa_reply(lines: list[bytes]) -> ReplyBytes:
    """Return the reply to CAPA."""
    return (b"+OK capabilities follow\r\n" + b"".join(line + b"\r\n" for line in lines) + b".\r\n",)


def login_reply(view: MaildropView) -> ReplyBytes:
    """Return the reply to a successful login."""
    return ok(f"{len(view.mails)} messages")


@define(eq=False)
class Authorization:
    """The commands before login, each in a method `do_...`.

    `start(name, initial_response)` starts a SASL mechanism.
    """

    session: SessionState
    start: Callable[[str, bytes | None], SaslExchange]

    def greeting(self) -> ReplyBytes:
        if self.session.settings.apop:
            self.session.timestamp = f"<{os.getpid()}.{time_ns()}@{socket.gethostname()}>"
        return ok(f"{self.session.settings.greeting} {self.session.timestamp}".rstrip())

    def do_capa(self, rest: bytes) -> ReplyBytes:
        return err("CAPA takes no arguments") if rest else capa_reply(self.capabilities())

    def capabilities(self) -> list[bytes]:
        """Return what CAPA lists now, which depends on TLS and on whether the client is logged in."""
        settings, secured = self.session.settings, self.session.record.tls
        passwords = self._accepts_passwords()
        mechanisms = [name for name in settings.sasl if passwords or name not in ("PLAIN", "LOGIN")]
        shown = {
            "TOP": settings.top,
            "UIDL": settings.uidl,
            "RESP-CODES": True,
            "AUTH-RESP-CODE": True,
            "PIPELINING": settings.pipelining,
            "USER": passwords,
            f"SASL {' '.join(mechanisms)}": bool(mechanisms),
            "STLS": settings.security == "starttls" and not secured and self.session.maildrop is None,
            "UTF8": settings.utf8,
            "LANG": bool(settings.lang),
            f"EXPIRE {settings.expire}": bool(settings.expire),
            f"LOGIN-DELAY {settings.login_delay}": bool(settings.login_delay),
            "IMPLEMENTATION pymailbox.testing": True,
        }
        lines = settings.capabilities
        return [line.encode() for line in (lines if lines is not None else (line for line in shown if shown[line]))]

    def do_stls(self, rest: bytes) -> ReplyBytes:
        if rest:
            return err("STLS takes no arguments")
        if self.session.record.tls:
            return err("TLS is already active")
        if self.session.settings.security != "starttls":
            return err("STLS is not available")
        self.session.follow_up = FollowUp("tls")
        return ok("begin TLS")

    def do_utf8(self, rest: bytes) -> ReplyBytes:
        if not self.session.settings.utf8 or rest:
            return err("UTF8 takes no arguments" if rest else "unknown command")
        self.session.utf8 = True
        return ok("UTF8 enabled")

    def do_lang(self, rest: bytes) -> ReplyBytes:
        """RFC 6856 §3: a listing, a choice, or `*` for the server's default. Replies stay English in every language."""
        languages = self.session.settings.lang
        if not languages:
            return err("unknown command")
        if not rest:
            lines = "".join(f"{tag} {name}\r\n" for tag, name in languages.items())
            return (f"+OK languages follow\r\n{lines}.\r\n".encode(),)
        wanted = _text(rest)
        tags = {tag.lower(): tag for tag in languages}
        tag = next(iter(languages)) if wanted == "*" else tags.get(wanted.lower())
        return err(f"unknown language {wanted}") if tag is None else ok(f"now in {languages[tag]}", tag)

    def do_user(self, rest: bytes) -> ReplyBytes:
        if not rest:
            return err("USER requires a user name")
        if not self._accepts_passwords():
            return err("plaintext login requires TLS")
        self.session.user = _text(rest)
        return ok("send the password")

    def do_pass(self, rest: bytes) -> ReplyBytes:
        self.session.hide(b"PASS ***")
        if self.session.user is None:
            return err("send USER first")
        user, self.session.user = self.session.user, None
        return self._log_in(self.session.settings.authenticator.password(user, _text(rest)))

    def do_apop(self, rest: bytes) -> ReplyBytes:
        user, _, digest = _text(rest).rpartition(" ")
        self.session.hide(b"APOP %s ***" % user.encode("utf-8", "surrogateescape"))
        if not self.session.timestamp:
            return err("APOP is not available")
        return self._log_in(self.session.settings.authenticator.apop(user, digest, self.session.timestamp))

    def do_auth(self, rest: bytes) -> ReplyBytes:
        """RFC 5034: a mechanism and optionally the initial response, `=` if it is empty."""
        name, _, initial = _text(rest).partition(" ")
        if initial:
            self.session.hide(f"AUTH {name} ***".encode("utf-8", "surrogateescape"))
        mechanism = name.upper()
        if mechanism not in self.session.settings.sasl:
            return err("no such mechanism")
        if mechanism in ("PLAIN", "LOGIN") and not self._accepts_passwords():
            return err("plaintext login requires TLS")
        try:
            first = None if not initial else b"" if initial == "=" else _decoded(initial.encode())
        except binascii.Error:
            return err("invalid base64")
        return self._step(self.start(mechanism, first), None)

    def respond(self, line: bytes) -> ReplyBytes:
        """Answer a line that continues AUTH."""
        exchange, self.session.exchange = self.session.exchange, None
        assert exchange is not None
        if line == b"*":
            return err("cancelled")
        try:
            return self._step(exchange, _decoded(line))
        except binascii.Error:
            return err("invalid base64")

    def _step(self, exchange: SaslExchange, response: bytes | None) -> ReplyBytes:
        try:
            challenge = next(exchange) if response is None else exchange.send(response)
        except StopIteration as done:
            return self._log_in(done.value)
        self.session.exchange = exchange
        return (b"+ " + base64.b64encode(challenge) + b"\r\n",)

    def _accepts_passwords(self) -> bool:
        return self.session.settings.plaintext or self.session.record.tls

    def _log_in(self, user: str | None) -> ReplyBytes:
        """Lock the mailbox of an authenticated user, and take the view that this session keeps."""
        if user is None:
            return WRONG_LOGIN
        settings = self.session.settings
        maildrop, delay = settings.maildrops[user], settings.login_delay
        if delay and maildrop.last_login is not None and monotonic() < maildrop.last_login + delay:
            return err(f"[LOGIN-DELAY] wait {delay} seconds between logins")
        # The server may not have noticed yet that the last client hung up: wait a moment, as real servers do.
        if settings.lock and not maildrop.lock.acquire(timeout=settings.lock_wait):
            return IN_USE
        maildrop.last_login = monotonic()
        self.session.maildrop = maildrop
        self.session.view = maildrop.view()
        self.session.record.user = user
        return login_reply(self.session.view)


def _decoded(line: bytes) -> bytes:
    return base64.b64decode(line, validate=True)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
