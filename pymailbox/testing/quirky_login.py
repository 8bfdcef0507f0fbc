"""Quirks of greetings, CAPA, STLS and logins.

Everything else is left to the plain `Authorization`. Its reply shows whether a login failed or the mailbox was locked.
"""

from attrs import define

from pymailbox.testing.authenticator import SaslExchange
from pymailbox.testing.authorization import IN_USE, WRONG_LOGIN, Authorization, capa_reply, login_reply
from pymailbox.testing.maildrop import Maildrop, MaildropView
from pymailbox.testing.quirk import Quirk
from pymailbox.testing.reply import ReplyBytes, err, ok
from pymailbox.testing.session import FollowUp, SessionState

__all__ = ["QuirkyLogin", "endless_exchange"]

_TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
_IMAP = b"* OK [CAPABILITY IMAP4rev1] ready\r\n"
_MALFORMED_CAPA = (
    b"",
    b"RESP-CODE",
    b"LAST",
    b"X-GOOGLE-RICO",
    b"EXPIRE 31 USER",
    b"UTF8=USER",
    b"x-\xfcmlaut",
    b"IMPLEMENTATION A Server With Blanks",
)


def endless_exchange(_mechanism: str, _initial: bytes | None) -> SaslExchange:
    """Return a mechanism that answers every response with another challenge."""
    while True:
        yield b"and what else?"


@define(eq=False)
class QuirkyLogin:
    """The commands before login that have quirks. `quirks` are single members."""

    session: SessionState
    plain: Authorization
    quirks: frozenset[Quirk]

    # --- greeting, CAPA, STLS ---

    def greeting(self) -> ReplyBytes:
        if Quirk.GREETS_AS_IMAP in self.quirks:
            return (_IMAP,)
        if Quirk.GREETS_WITH_TLS in self.quirks:
            self.session.hang_up()
            return (_TLS_ALERT,)
        if Quirk.REFUSES_SERVICE in self.quirks:
            self.session.hang_up()
            return err("[SYS/TEMP] too busy, try later")
        if Quirk.REFUSES_APOP in self.quirks:
            self.session.timestamp = "<1.2@localhost>"
        reply = self.plain.greeting()
        fake = Quirk.FAKE_TIMESTAMP in self.quirks
        return ok(f"{self.session.settings.greeting} <12.345.ready>") if fake else reply

    def do_capa(self, rest: bytes) -> ReplyBytes:
        logged_in = self.session.maildrop is not None
        if Quirk.CLOSES_ON_CAPA in self.quirks:
            return self.session.hang_up()
        if Quirk.HANGS_ON_CAPA in self.quirks:
            self.session.follow_up = FollowUp("hang")
            return ()
        if Quirk.NO_CAPA in self.quirks or (Quirk.NO_CAPA_AFTER_LOGIN in self.quirks and logged_in):
            return err("unknown command")
        if Quirk.ENDLESS_CAPA in self.quirks:
            self.session.follow_up = FollowUp("pour", chunk=b"X-MORE AND MORE\r\n")
            return ok("capabilities follow")
        if rest:
            return self.plain.do_capa(rest)
        hidden = set()
        if Quirk.UIDL_UNLISTED in self.quirks:
            hidden.add(b"UIDL")
        if Quirk.TOP_UNLISTED in self.quirks:
            hidden.add(b"TOP")
        if Quirk.SHORT_CAPA_BEFORE_LOGIN in self.quirks and not logged_in:
            hidden |= {b"UIDL", b"TOP", b"SASL"}
        lines = [line for line in self.plain.capabilities() if line.partition(b" ")[0] not in hidden]
        return capa_reply([*lines, *_MALFORMED_CAPA] if Quirk.MALFORMED_CAPA in self.quirks else lines)

    def do_stls(self, rest: bytes) -> ReplyBytes:
        if Quirk.STLS_REFUSED in self.quirks:
            return err("TLS is not available")
        reply = self.plain.do_stls(rest)
        if self.session.follow_up is None:
            return reply
        if Quirk.STLS_HANDSHAKE_FAILS in self.quirks:
            self.session.hang_up()
            return (*reply, b"-ERR TLS is not available\r\n")
        self.session.follow_up = FollowUp("tls", keeps_lines=Quirk.ANSWERS_PLAINTEXT_IN_TLS in self.quirks)
        return (*reply, b"+OK injected\r\n") if Quirk.PLAINTEXT_AFTER_STLS in self.quirks else reply

    # --- login ---

    def do_pass(self, rest: bytes) -> ReplyBytes:
        reply = self._outcome(self.plain.do_pass(rest))
        plus_err = reply == WRONG_LOGIN and Quirk.PLUS_ERR_ON_PASS in self.quirks
        return (b"+ERR Server error\r\n",) if plus_err else reply

    def do_apop(self, rest: bytes) -> ReplyBytes:
        if Quirk.REFUSES_APOP not in self.quirks:
            return self._outcome(self.plain.do_apop(rest))
        self.session.hide(b"APOP ***")
        return self._outcome(WRONG_LOGIN)

    def do_auth(self, rest: bytes) -> ReplyBytes:
        initial = rest.partition(b" ")[2]
        if initial and Quirk.AUTH_NEEDS_TWO_LINES in self.quirks:
            self.session.hide(b"AUTH ***")
            self.session.hang_up()
            return err("Protocol error. Connection is closed. 10")
        if not initial and Quirk.AUTH_NEEDS_INITIAL_RESPONSE in self.quirks:
            return err("initial response required")
        return self._outcome(self.plain.do_auth(rest))

    def respond(self, line: bytes) -> ReplyBytes:
        """Answer a line that continues AUTH."""
        return self._outcome(self.plain.respond(line))

    def _outcome(self, reply: ReplyBytes) -> ReplyBytes:
        """Change the outcome of one login step: a challenge, a refusal, or an open mailbox."""
        if self.session.exchange is not None:
            return self._challenge(reply)
        if reply == WRONG_LOGIN and Quirk.CLOSES_AFTER_BAD_LOGIN in self.quirks:
            self.session.hang_up()
        if reply == IN_USE and Quirk.LOCK_WITHOUT_CODE in self.quirks:
            return err("Unable to lock the maildrop, wait a while")
        if self.session.maildrop is None:
            return reply
        self.session.view = self._view(self.session.maildrop)
        return login_reply(self.session.view)

    def _challenge(self, reply: ReplyBytes) -> ReplyBytes:
        if Quirk.ENDLESS_CHALLENGES in self.quirks:
            return reply
        challenge = reply[0].removeprefix(b"+ ")
        if Quirk.TEXT_AS_CHALLENGE in self.quirks and challenge == b"\r\n":
            challenge = b"go ahead\r\n"
        if Quirk.OK_AS_CONTINUATION in self.quirks:
            return (b"+OK " + challenge if challenge != b"\r\n" else b"+OK\r\n",)
        return (b"+ " + challenge,)

    def _view(self, maildrop: Maildrop) -> MaildropView:
        mails = self.session.view.mails
        if Quirk.HIDES_READ in self.quirks and not (self.session.record.user or "").startswith("recent:"):
            mails = [mail for mail in mails if mail not in maildrop.read]
        if Quirk.FLAPPING_COUNT in self.quirks and self.session.record.number % 2 == 0:
            mails = mails[:-1]
        return MaildropView(mails[:250] if Quirk.OLDEST_250 in self.quirks else mails)
