"""Which part of a session answers a line, by state and command."""

from collections.abc import Callable

from attrs import define

from pymailbox.testing.authorization import Authorization
from pymailbox.testing.quirky_login import QuirkyLogin
from pymailbox.testing.quirky_mail import QuirkyMail
from pymailbox.testing.reply import ReplyBytes, err
from pymailbox.testing.session import SessionState
from pymailbox.testing.transaction import Transaction

__all__ = ["CommandTable"]

_Handlers = dict[bytes, Callable[[bytes], ReplyBytes]]


def _handlers(part: object) -> _Handlers:
    """Collect the methods `do_...` of a part; a part with quirks falls back on the plain part it holds."""
    own = {name[3:].upper().encode(): getattr(part, name) for name in dir(part) if name.startswith("do_")}
    return _handlers(part.plain) | own if isinstance(part, QuirkyLogin | QuirkyMail) else own


@define(eq=False)
class CommandTable:
    """The plain dialogue: each line goes to the part that implements its command."""

    session: SessionState
    _login: Authorization | QuirkyLogin
    _authorization: _Handlers
    _transaction: _Handlers

    @classmethod
    def of(
        cls, session: SessionState, login: Authorization | QuirkyLogin, mail: Transaction | QuirkyMail
    ) -> "CommandTable":
        """Build the tables; CAPA, LANG and QUIT are in both."""
        before, after = _handlers(login), _handlers(mail)
        both = {b"CAPA": before[b"CAPA"], b"LANG": before[b"LANG"], b"QUIT": after[b"QUIT"]}
        return cls(session, login, before | both, after | both)

    def greeting(self) -> ReplyBytes:
        return self._login.greeting()

    def answer(self, line: bytes) -> ReplyBytes:
        session = self.session
        session.record.raw.append(line)
        if session.exchange is not None:
            session.hide(b"***")
            return self._login.respond(line)
        verb, _, rest = line.partition(b" ")
        verb = verb.upper()
        handler = (self._authorization if session.maildrop is None else self._transaction).get(verb)
        if handler is not None:
            return handler(rest if verb == b"PASS" else rest.rstrip(b" "))
        if verb in self._transaction:
            return err("log in first")
        return err("not allowed after login" if verb in self._authorization else "unknown command")
