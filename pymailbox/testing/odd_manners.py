"""The manners of odd servers: how they greet, list what they can do, let in, take commands, and end.

Between the plain `session` and `odd`, which adds what is odd about listings and mails.
"""

import base64
from collections.abc import Callable

from attrs import define, field

from pymailbox.testing.conversation import Reply, err, ok
from pymailbox.testing.login import Exchange
from pymailbox.testing.maildrop import Maildrop, Snapshot
from pymailbox.testing.quirk import Quirk
from pymailbox.testing.session import Session
from pymailbox.testing.wire import Hangup

__all__ = ["OddManners"]

_LONGEST = 253  # octets of a command line without its CRLF (RFC 2449 §4)
_TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
_IMAP = b"* OK [CAPABILITY IMAP4rev1] ready\r\n"
_LINGERS = 1.0  # seconds
_ODD_CAPA = (
    b"",
    b"RESP-CODE",
    b"LAST",
    b"X-GOOGLE-RICO",
    b"EXPIRE 31 USER",
    b"UTF8=USER",
    b"x-\xfcmlaut",
    b"IMPLEMENTATION A Server With Blanks",
)


@define(eq=False)
class OddManners(Session):
    """A session with odd status lines, logins and endings. `quirks` are single members."""

    quirks: frozenset[Quirk] = field(factory=frozenset, kw_only=True)
    new_uids: bool = field(default=False, kw_only=True)
    utf8: bool = field(default=False, init=False)
    recent: bool = field(default=False, init=False)

    # --- every command ---

    def _answer_all(self, lines: list[bytes]) -> None:
        if self.wire.torn and Quirk.NEEDS_WHOLE_COMMANDS in self.quirks:
            self.wire.send([b"-ERR commands come whole\r\n"])
            self.wire.flush()
            raise Hangup("closed")
        if Quirk.LOSES_WHAT_FOLLOWS_PASS in self.quirks:
            for number, line in enumerate(lines, 1):
                if line[:4].upper() in (b"PASS", b"AUTH", b"APOP") and number < len(lines):
                    lines = lines[:number]
                    self.wire.discard()
                    break
        if len(lines) > 1 and Quirk.DROPS_PIPELINED in self.quirks:
            lines = lines[:1]
            self.wire.discard()
        if len(lines) > 1 and Quirk.HANGS_UP_ON_PIPELINE in self.quirks:
            super()._answer_all(lines[:1])
            self.wire.flush()
            raise Hangup("closed")
        super()._answer_all(lines)

    def _answer(self, line: bytes) -> Reply:
        if len(line) > _LONGEST and Quirk.REFUSES_LONG_COMMANDS in self.quirks:
            self._hang_up()
            return err("that line is too long")
        if line.endswith(b" ") and self._exchange is None and Quirk.REFUSES_TRAILING_SPACE in self.quirks:
            return err("there is a blank at the end")
        verb = line.partition(b" ")[0].upper()
        return self._dress(super()._answer(line), keep=self._exchange is not None or verb in _WITH_DATA)

    def _dress(self, reply: Reply, *, keep: bool) -> Reply:
        """Change status lines. `keep` says that what follows the status may be data."""
        if not reply or not reply[0].startswith((b"+OK", b"-ERR")):
            return self._unended(reply)
        status, end, rest = b"".join(reply).partition(b"\n")
        end = (b"\r" if status.endswith(b"\r") else b"") + end
        word, blank, text = status.rstrip(b"\r").partition(b" ")
        if Quirk.BARE_STATUS in self.quirks and (not keep or word == b"-ERR" or rest):
            blank = text = b""
        if Quirk.GLUED_STATUS in self.quirks:
            blank = b""
        if Quirk.LOWERCASE_STATUS in self.quirks:
            word = word.lower()
        return self._unended((word + blank + text + end + rest,))

    def _unended(self, reply: Reply) -> Reply:
        if Quirk.LF_LINES in self.quirks:
            return tuple(piece.replace(b"\r\n", b"\n") for piece in reply)
        return reply

    def _hang_up(self) -> Reply:
        """End the connection after what has been answered so far, and answer nothing."""
        self._then, self._reason = "close", "closed"
        return ()

    # --- greeting, CAPA, STLS ---

    def _greeting(self) -> Reply:
        self.wire.strict = Quirk.NEEDS_CRLF in self.quirks
        self.wire.reads_while_writing = Quirk.STOPS_READING not in self.quirks
        if Quirk.GREETS_AS_IMAP in self.quirks:
            return (_IMAP,)
        if Quirk.GREETS_WITH_TLS in self.quirks:
            self._hang_up()
            return (_TLS_ALERT,)
        if Quirk.REFUSES_SERVICE in self.quirks:
            self._hang_up()
            return self._dress(err("[SYS/TEMP] too busy, try later"), keep=False)
        reply = super()._greeting()
        if Quirk.REFUSES_APOP in self.quirks and not self.timestamp:
            self.timestamp = "<1.2@localhost>"
            reply = ok(f"{self.server.greeting} {self.timestamp}")
        if Quirk.FAKE_TIMESTAMP in self.quirks:
            reply = ok(f"{self.server.greeting} <12.345.ready>")
        return self._dress(reply, keep=bool(self.timestamp))

    def _capa(self, rest: bytes) -> Reply:
        if Quirk.CLOSES_ON_CAPA in self.quirks:
            return self._hang_up()
        if Quirk.HANGS_ON_CAPA in self.quirks:
            self._then = "hang"
            return ()
        if Quirk.NO_CAPA in self.quirks or (Quirk.NO_CAPA_AFTER_LOGIN in self.quirks and self._drop is not None):
            return err("unknown command")
        if Quirk.ENDLESS_CAPA in self.quirks:
            self._then, self._chunk = "pour", b"X-MORE AND MORE\r\n"
            return ok("capabilities follow")
        return super()._capa(rest)

    def _capabilities(self) -> list[bytes]:
        hidden = set()
        if Quirk.UIDL_UNLISTED in self.quirks:
            hidden.add(b"UIDL")
        if Quirk.TOP_UNLISTED in self.quirks:
            hidden.add(b"TOP")
        if Quirk.SHORT_CAPA_BEFORE_LOGIN in self.quirks and self._drop is None:
            hidden |= {b"UIDL", b"TOP", b"SASL"}
        lines = [line for line in super()._capabilities() if line.partition(b" ")[0] not in hidden]
        return [*lines, *_ODD_CAPA] if Quirk.ODD_CAPA in self.quirks else lines

    def _stls(self, rest: bytes) -> Reply:
        if Quirk.STLS_REFUSED in self.quirks:
            return err("TLS is not available")
        reply = super()._stls(rest)
        if self._then == "tls" and Quirk.STLS_HANDSHAKE_FAILS in self.quirks:
            self._hang_up()
            return (*reply, b"-ERR TLS is not available\r\n")
        if self._then == "tls" and Quirk.PLAINTEXT_BEHIND_STLS in self.quirks:
            return (*reply, b"+OK injected\r\n")
        return reply

    def _upgrade(self, behind: list[bytes]) -> None:
        super()._upgrade(behind)
        if behind and Quirk.ANSWERS_PLAINTEXT_IN_TLS in self.quirks:
            self._answer_all(behind)

    # --- login ---

    def _utf8(self, rest: bytes) -> Reply:
        reply = super()._utf8(rest)
        self.utf8 = self.utf8 or reply[0].startswith(b"+OK")
        return reply

    def _user_command(self, rest: bytes) -> Reply:
        self.recent = Quirk.HIDES_READ in self.quirks and rest.startswith(b"recent:")
        return super()._user_command(rest.removeprefix(b"recent:") if self.recent else rest)

    def _pass(self, rest: bytes) -> Reply:
        reply = super()._pass(rest)
        if Quirk.PLUS_ERR_ON_PASS in self.quirks and reply[0].startswith(b"-ERR [AUTH]"):
            return (b"+ERR Server error\r\n",)
        return reply

    def _apop(self, rest: bytes) -> Reply:
        if Quirk.REFUSES_APOP not in self.quirks:
            return super()._apop(rest)
        self._hide(b"APOP ***")
        return self._enter(None)

    def _auth(self, rest: bytes) -> Reply:
        initial = rest.partition(b" ")[2]
        if initial and Quirk.AUTH_NEEDS_TWO_LINES in self.quirks:
            self._hide(b"AUTH ***")
            self._hang_up()
            return err("Protocol error. Connection is closed. 10")
        if not initial and Quirk.AUTH_NEEDS_INITIAL_RESPONSE in self.quirks:
            return err("the initial response is missing")
        return super()._auth(rest)

    def _step(self, step: Callable[[Exchange], bytes]) -> Reply:
        if Quirk.ENDLESS_CHALLENGES in self.quirks:
            return (b"+ " + base64.b64encode(b"and what else?") + b"\r\n",)
        reply = super()._step(step)
        if not reply[0].startswith(b"+ "):
            return reply
        challenge = reply[0][2:]
        if Quirk.TEXT_AS_CHALLENGE in self.quirks and challenge == b"\r\n":
            challenge = b"go ahead\r\n"
        if Quirk.OK_AS_CONTINUATION in self.quirks:
            return (b"+OK " + challenge if challenge != b"\r\n" else b"+OK\r\n",)
        return (b"+ " + challenge,)

    def _enter(self, user: str | None) -> Reply:
        reply = super()._enter(user)
        if user is None and Quirk.CLOSES_AFTER_BAD_LOGIN in self.quirks:
            self._hang_up()
        return reply

    def _in_use(self) -> str:
        plain = "Unable to lock the maildrop, wait a while"
        return plain if Quirk.LOCK_WITHOUT_CODE in self.quirks else super()._in_use()

    def _look(self, drop: Maildrop) -> Snapshot:
        letters = super()._look(drop).letters
        if Quirk.HIDES_READ in self.quirks and not self.recent:
            letters = [letter for letter in letters if letter not in drop.read]
        if Quirk.FLAPPING_COUNT in self.quirks and self.record.number % 2 == 0:
            letters = letters[:-1]
        return Snapshot(letters[:250] if Quirk.OLDEST_250 in self.quirks else letters)

    # --- the end ---

    def _quit(self, rest: bytes) -> Reply:
        reply = super()._quit(rest)
        if Quirk.QUIT_WITHOUT_CLOSE_NOTIFY in self.quirks:
            self._how = "ragged"
        return () if Quirk.QUIT_WITHOUT_REPLY in self.quirks else reply

    def _lose(self) -> None:
        if self._drop is not None and Quirk.COMMITS_ON_DROP in self.quirks:
            self._commit()
        if self._drop is not None and Quirk.LOCK_LINGERS in self.quirks:
            self.wire.rest(_LINGERS)
        super()._lose()


_WITH_DATA = frozenset({b"STAT", b"LIST", b"UIDL", b"LANG"})
