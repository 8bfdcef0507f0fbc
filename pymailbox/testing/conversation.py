"""The conversation with one client: assemble the parts of a session, greet, take lines in batches, send the replies,
do what follows them, and close.

`client_socket` does I/O, waiting and TLS; `command_table` decides which part answers a line; `authorization` (before
login) and `transaction` (after it) implement the commands. Quirks and faults wrap these parts. In a replay, a recorded
session answers in their place.
"""

import ssl
from collections.abc import Callable

from attrs import define

from pymailbox.testing.authorization import Authorization
from pymailbox.testing.client_socket import ClientSocket, Hangup, Idle
from pymailbox.testing.command_table import CommandTable
from pymailbox.testing.fault import End, FaultPlan
from pymailbox.testing.faulty_session import FaultySession
from pymailbox.testing.quirk import Quirk
from pymailbox.testing.quirky_lines import QuirkyLines
from pymailbox.testing.quirky_login import QuirkyLogin, endless_exchange
from pymailbox.testing.quirky_mail import QuirkyMail
from pymailbox.testing.replayed_session import Replay
from pymailbox.testing.reply import Dialogue, err
from pymailbox.testing.session import SessionSettings, SessionState
from pymailbox.testing.session_record import SessionRecord
from pymailbox.testing.transaction import Transaction

__all__ = ["Conversation"]

_BATCH = 64  # replies to collect before they are passed to the socket


@define(eq=False)
class Conversation:
    """The conversation with one client, from the greeting to the end of its connection.

    `lines` waits for commands; `drop_mailbox` releases the mailbox if QUIT has not done so.
    """

    session: SessionState
    socket: ClientSocket
    dialogue: Dialogue
    lines: Callable[[], list[bytes]]
    drop_mailbox: Callable[[], None]

    @classmethod
    def of(
        cls,
        settings: SessionSettings,
        record: SessionRecord,
        socket: ClientSocket,
        plan: FaultPlan,
        replay: Replay | None = None,
    ) -> "Conversation":
        """Assemble the parts. Without quirks and faults, use only the plain ones, which are fast."""
        session, quirks = SessionState(settings, record), settings.quirks
        if replay is not None:
            replayed = FaultySession(session, replay.session(session), plan, socket)
            return cls(session, socket, replayed, socket.lines, session.release)
        endless = Quirk.ENDLESS_CHALLENGES in quirks
        login = Authorization(session, endless_exchange if endless else settings.authenticator.exchange)
        mail = Transaction(session)
        if not quirks and not plan.in_dialogue:
            return cls(session, socket, CommandTable.of(session, login, mail), socket.lines, session.release)
        socket.strict = Quirk.NEEDS_CRLF in quirks
        socket.reads_while_writing = Quirk.STOPS_READING not in quirks
        quirky_login = QuirkyLogin(session, login, quirks)
        quirky_mail = QuirkyMail(session, mail, quirks, plan.new_uids, socket.rest)
        quirky = QuirkyLines(session, CommandTable.of(session, quirky_login, quirky_mail), quirks, socket)
        faulty = FaultySession(session, quirky, plan, socket)
        return cls(session, socket, faulty, quirky.lines, quirky_mail.drop_mailbox)

    def run(self) -> None:
        """Serve until the connection ends for any reason, and leave nothing locked or open."""
        record = self.session.record
        how: End = "fin"
        try:
            if self.session.settings.security == "tls":
                self._start_tls()
            self.socket.send(self.dialogue.greeting())
            self._follow_up([])
            self._converse()
            record.ended = "EOF"
        except Hangup as hangup:
            record.ended = hangup.reason
            how = hangup.how
        except ssl.SSLError as error:
            record.ended = f"TLS: {error.reason or error}"
        except OSError:
            record.ended = "reset"
            how = "rst"
        finally:
            self.drop_mailbox()
            self.socket.close(how)

    def _converse(self) -> None:
        try:
            while lines := self.lines():
                self._answer_all(lines)
            self.socket.flush()
        except Idle:
            self.socket.autologout = None
            self.socket.send(err("idle for too long"))
            self.socket.flush()
            raise

    def _answer_all(self, lines: list[bytes]) -> None:
        session, answer, replies = self.session, self.dialogue.answer, self.socket.replies
        for number, line in enumerate(lines, 1):
            reply = answer(line)
            replies += reply
            if session.follow_up is not None:
                self.socket.send()
                self._follow_up(lines[number:])
                return
            if not number % _BATCH or len(reply) > 1:
                self.socket.send()
        self.socket.send()

    def _follow_up(self, unanswered: list[bytes]) -> None:
        """Do what follows a reply. `unanswered` are the lines that were pipelined after the line it answers."""
        then, self.session.follow_up = self.session.follow_up, None
        if then is None:
            return
        if then.kind == "close":
            self.socket.flush()
            if self.socket.out.stalled:
                self.socket.hang()
            raise Hangup(then.reason, then.how)
        if then.kind == "hang":
            self.socket.hang()
            raise Hangup("EOF")
        if then.kind == "pour":
            self.socket.pour(then.chunk)
        self.socket.discard()  # plaintext that was pipelined after STLS
        self._start_tls()
        self.session.user = None
        if then.keeps_lines:
            self._answer_all(unanswered)

    def _start_tls(self) -> None:
        context = self.session.settings.tls_context
        assert context is not None
        self.socket.start_tls(context)
        self.session.record.tls = True
