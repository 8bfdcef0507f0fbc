"""The TRANSACTION state: the commands after login (RFC 1939 §5 to §7), and QUIT, which commits.

For speed, `StoredMail` and `MaildropView` keep ready-made replies that do not depend on the session.
"""

from collections.abc import Callable

from attrs import define

from pymailbox.testing.reply import ReplyBytes, err, ok
from pymailbox.testing.session import FollowUp, SessionState
from pymailbox.testing.stored_mail import StoredMail, stuffed

__all__ = ["Transaction"]


@define(eq=False)
class Transaction:
    """The commands after login, each in a method `do_...`."""

    session: SessionState

    def do_stat(self, rest: bytes) -> ReplyBytes:
        if rest:
            return err("STAT takes no arguments")
        mails = self.session.view.mails
        size = self.session.view.size - sum(mails[number - 1].size for number in self.session.deleted)
        return ok(data=f"{len(mails) - len(self.session.deleted)} {size}")

    def do_list(self, rest: bytes) -> ReplyBytes:
        if rest:
            return self._one(rest, lambda mail: b"%d" % mail.size)
        if self.session.deleted:
            return self._listing(lambda mail: b"%d" % mail.size)
        return (b"+OK sizes follow\r\n" + self.session.view.list_lines + b".\r\n",)

    def do_uidl(self, rest: bytes) -> ReplyBytes:
        if not self.session.settings.uidl:
            return err("unknown command")
        if rest:
            return self._one(rest, lambda mail: mail.uid)
        if self.session.deleted:
            return self._listing(lambda mail: mail.uid)
        return (b"+OK unique-ids follow\r\n" + self.session.view.uidl_lines + b".\r\n",)

    def _one(self, rest: bytes, show: Callable[[StoredMail], bytes]) -> ReplyBytes:
        mail = self.find(rest)
        return mail if isinstance(mail, tuple) else (b"+OK %d %s\r\n" % (int(rest), show(mail)),)

    def _listing(self, show: Callable[[StoredMail], bytes]) -> ReplyBytes:
        lines = [
            b"%d %s\r\n" % (number, show(mail))
            for number, mail in enumerate(self.session.view.mails, 1)
            if number not in self.session.deleted
        ]
        return (b"+OK\r\n" + b"".join(lines) + b".\r\n",)

    def find(self, rest: bytes) -> StoredMail | ReplyBytes:
        """Return the message with that number, or the reply that refuses it."""
        if not rest.isdigit():
            return err("invalid message number")
        number = int(rest[:20])
        session = self.session
        mails = session.view.mails
        if not 0 < number <= len(mails):
            return err("no such message")
        if number in session.deleted:
            return err("message is marked as deleted")
        mail = mails[number - 1]
        return err("message was removed by another session") if mail.gone else mail

    def do_retr(self, rest: bytes) -> ReplyBytes:
        mail = self.find(rest)
        if isinstance(mail, tuple):
            return mail
        try:
            return mail.reply
        except FileNotFoundError:
            return err("[SYS/TEMP] message is no longer there")

    def do_top(self, rest: bytes) -> ReplyBytes:
        number, _, lines = rest.partition(b" ")
        if not self.session.settings.top:
            return err("unknown command")
        if not lines.isdigit():
            return err("TOP requires a message number and a number of lines")
        mail = self.find(number)
        if isinstance(mail, tuple):
            return mail
        try:
            if lines == b"0":
                return (mail.headers_reply,)
            return (b"+OK\r\n" + stuffed(mail.top(int(lines[:9]))) + b".\r\n",)
        except FileNotFoundError:
            return err("[SYS/TEMP] message is no longer there")

    def do_dele(self, rest: bytes) -> ReplyBytes:
        mail = self.find(rest)
        if isinstance(mail, tuple):
            return mail
        self.session.deleted.add(int(rest))
        return ok("marked")

    def do_rset(self, rest: bytes) -> ReplyBytes:
        if rest:
            return err("RSET takes no arguments")
        self.session.deleted.clear()
        return ok("no message is marked")

    def do_noop(self, rest: bytes) -> ReplyBytes:
        return err("NOOP takes no arguments") if rest else ok("still here")

    def do_quit(self, rest: bytes) -> ReplyBytes:
        """Commit and close; the mailbox is unlocked before the client reads the reply."""
        if rest:
            return err("QUIT takes no arguments")
        if self.session.maildrop is not None:
            self.commit()
        self.session.release()
        self.session.follow_up = FollowUp("close")
        return ok("bye")

    def commit(self) -> None:
        assert self.session.maildrop is not None
        marked = tuple(sorted(self.session.deleted))
        if marked:
            self.session.maildrop.remove([self.session.view.mails[number - 1] for number in marked])
            self.session.record.deleted = marked
