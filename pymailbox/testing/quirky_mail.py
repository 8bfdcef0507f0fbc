"""Quirks of listings, messages, DELE and QUIT. Everything else is left to the plain `Transaction`."""

from collections.abc import Callable

from attrs import Factory, define, evolve

from pymailbox.testing.quirk import Quirk
from pymailbox.testing.reply import ReplyBytes, err, ok
from pymailbox.testing.session import SessionState
from pymailbox.testing.stored_mail import StoredMail, fingerprint, stuffed
from pymailbox.testing.transaction import Transaction

__all__ = ["QuirkyMail"]

_ONE_MIB = 1_048_576
_TOP_MOST = 65_536
_LINGERS = 1.0  # seconds


@define(eq=False)
class QuirkyMail:
    """The commands after login that have quirks. `quirks` are single members; `wait` sleeps for some seconds."""

    session: SessionState
    plain: Transaction
    quirks: frozenset[Quirk]
    new_uids: bool
    wait: Callable[[float], None]
    _read: set[StoredMail] = Factory(set)
    _retrieved: int = 0
    _large: bool = False

    # --- STAT, LIST, UIDL ---

    def do_stat(self, rest: bytes) -> ReplyBytes:
        if Quirk.STAT_REFUSED in self.quirks:
            return err("login allowed only every 15 minutes")
        shown = self._shown()
        count = len(shown) - (Quirk.STAT_COUNTS_LESS in self.quirks and bool(shown))
        size = str(sum(mail.size for _, mail in shown))
        if Quirk.NEGATIVE_STAT_SIZE in self.quirks:
            size = str(int(size) - 2**32)
        if Quirk.STAT_SIZE_IN_WORDS in self.quirks:
            size = "octets"
        if Quirk.STAT_WITHOUT_SIZE in self.quirks:
            size = ""
        return err("STAT takes no arguments") if rest else ok(data=f"{count} {size}".rstrip())

    def do_list(self, rest: bytes) -> ReplyBytes:
        if rest:
            return self._single(rest, self._size)
        return self._listed([b"%d%s" % (n, self._size(n, mail)) for n, mail in self._shown()])

    def _size(self, number: int, mail: StoredMail) -> bytes:
        """Return what follows the number in a line of LIST, with the space before it."""
        size = b"%d" % mail.size
        if Quirk.ROUNDED_SIZES in self.quirks:
            size = b"%d" % (-(-mail.size // 1024) * 1024)
        if Quirk.LIST_JUNK_SIZE in self.quirks and number % 2:
            size = b"%%!d(float64=%d)" % mail.size
        if Quirk.LIST_EXTRA_FIELDS in self.quirks:
            size += b" seen 0"
        if Quirk.LIST_WITHOUT_SIZE in self.quirks and number % 2:
            return b""
        return (b"  \t " if Quirk.LIST_EXTRA_SPACES in self.quirks else b" ") + size

    def do_uidl(self, rest: bytes) -> ReplyBytes:
        if Quirk.UIDL_REFUSED in self.quirks:
            return err("unique-ids are not available")
        if not self.session.settings.uidl:
            return err("unknown command")
        if rest:
            return self._single(rest, self._uid)
        lines = [b"%d%s" % (number, self._uid(number, mail)) for number, mail in self._shown()]
        if Quirk.OK_PREFIX_ON_UIDL in self.quirks:
            lines = [b"+OK " + line for line in lines]
        if Quirk.UNORDERED_UIDL in self.quirks:
            lines.reverse()
        if Quirk.UNKNOWN_NUMBER_IN_UIDL in self.quirks:
            lines = [b"0 stranger", *lines, b"%d stranger" % (len(self.session.view.mails) + 7)]
        if Quirk.MERGED_UIDL_LINES in self.quirks:
            lines[:2] = [b"".join(lines[:2])] if lines else []
        return self._listed(lines)

    def _uid(self, number: int, mail: StoredMail) -> bytes:
        """Return what follows the number in a line of UIDL, with the space before it."""
        if Quirk.BLANK_UID in self.quirks and number % 2:
            return b" "
        uid = mail.uid
        if Quirk.DUPLICATE_UIDS in self.quirks:
            uid = self.session.view.mails[0].uid
        if Quirk.NEW_UIDS_EACH_SESSION in self.quirks or self.new_uids:
            uid = fingerprint(uid, b"%d" % self.session.record.number)
        if Quirk.INVALID_UIDS in self.quirks:
            uid = ((uid * 200)[:200], uid[:8] + b" " + uid[8:], b"\xfc" + uid, "ü".encode() + uid)[number % 4]
        if Quirk.UIDS_AS_PATHS in self.quirks:
            uid = b"../../%d/etc" % number
        return (b"   " if Quirk.SPACES_BEFORE_UID in self.quirks else b" ") + uid

    def _shown(self) -> list[tuple[int, StoredMail]]:
        numbered = enumerate(self.session.view.mails, 1)
        return [(number, mail) for number, mail in numbered if number not in self.session.deleted]

    def _single(self, rest: bytes, show: Callable[[int, StoredMail], bytes]) -> ReplyBytes:
        mail = self.plain.find(rest)
        if isinstance(mail, tuple):
            return mail
        shown = show(int(rest), mail)
        if Quirk.SINGLE_LISTING_MULTILINE in self.quirks:
            return (b"+OK\r\n%d%s\r\n.\r\n" % (int(rest), shown),)
        if Quirk.SINGLE_LISTING_WITHOUT_NUMBER in self.quirks:
            return (b"+OK%s\r\n" % shown,)
        return (b"+OK %d%s\r\n" % (int(rest), shown),)

    def _listed(self, lines: list[bytes]) -> ReplyBytes:
        if not lines and Quirk.EMPTY_LIST_REFUSED in self.quirks:
            return err("there is nothing to list")
        if Quirk.BLANK_LINE_IN_LISTING in self.quirks:
            lines = [b"", *lines]
        return self._multiline(b"+OK listing follows\r\n", b"".join(line + b"\r\n" for line in lines))

    # --- RETR, TOP, DELE ---

    def do_retr(self, rest: bytes) -> ReplyBytes:
        mail = self.plain.find(rest)
        if isinstance(mail, tuple):
            return mail
        number = int(rest)
        self._retrieved += 1
        if Quirk.ONE_UNREADABLE in self.quirks and number == 1:
            return err("Can't get the letter")
        if Quirk.EXCEEDS_LOGIN_LIMIT in self.quirks and self._retrieved > 2:
            return err("Exceeded the login limit")
        self._read.add(mail)
        self._large = self._large or mail.size >= _ONE_MIB
        if Quirk.WRONG_MESSAGE in self.quirks:
            mail = self.session.view.mails[number % len(self.session.view.mails)]
        content = self._content(mail)
        if Quirk.EXTRA_BLANK_LINE in self.quirks:
            content += b"\r\n"
        return self._multiline(b"+OK %d octets\r\n" % len(content), content)

    def do_top(self, rest: bytes) -> ReplyBytes:
        if Quirk.TOP_REFUSED in self.quirks:
            return err("TOP is not available")
        number, _, count = rest.partition(b" ")
        if not self.session.settings.top:
            return err("unknown command")
        if not count.isdigit():
            return err("TOP requires a message number and a number of lines")
        mail = self.plain.find(number)
        if isinstance(mail, tuple):
            return mail
        if Quirk.TOP_COUNTS_AS_READ in self.quirks:
            self._read.add(mail)
        status = b"+OK\r\n+OK top follows\r\n" if Quirk.TWO_STATUS_LINES_FOR_TOP in self.quirks else b"+OK\r\n"
        return self._multiline(status, self._cut(StoredMail.verbatim(b"", self._content(mail)), int(count[:9])))

    def _cut(self, mail: StoredMail, lines: int) -> bytes:
        if Quirk.TOP_TEN_LINES in self.quirks:
            lines = 10
        content = mail.content if Quirk.TOP_IGNORES_COUNT in self.quirks else mail.top(lines)
        if Quirk.TOP_OTHER_HEADERS in self.quirks:
            fields = [line for line in content.split(b"\r\n") if not line.lower().startswith(b"message-id:")]
            content = b"\r\n".join([b"X-Top: yes", *fields])
        if Quirk.TOP_ONE_LINE in self.quirks:
            content = content.partition(b"\r\n")[0] + b"\r\n"
        if Quirk.TOP_TRUNCATED in self.quirks and len(content) > _TOP_MOST:
            content = content[:_TOP_MOST].rpartition(b"\r\n")[0] + b"\r\n"
        return content

    def _content(self, mail: StoredMail) -> bytes:
        content = mail.content
        if Quirk.WRAPS_UTF8 in self.quirks and not self.session.utf8 and not mail.top(0).isascii():
            part = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            return b"Subject: This mail needs UTF-8\r\nMIME-Version: 1.0\r\n" + part + content
        return content

    def _multiline(self, status: bytes, content: bytes) -> ReplyBytes:
        """Assemble a multi-line reply, with the dots, line ends and final dot of this server."""
        newline, end = b"\r\n", b".\r\n"
        if Quirk.LF_LINES in self.quirks:
            newline, end = b"\n", b".\n"
            status, content = status.replace(b"\r\n", b"\n"), content.replace(b"\r\n", b"\n")
        elif Quirk.LF_END in self.quirks:
            end = b".\n"
        if Quirk.UNSTUFFED_DOTS not in self.quirks:
            content = stuffed(content) if newline == b"\r\n" else stuffed(content, b"\n")
        if Quirk.NO_NEWLINE_BEFORE_END in self.quirks:
            content = content.removesuffix(newline)
        return (status + content + end,)

    def do_dele(self, rest: bytes) -> ReplyBytes:
        if Quirk.CLOSES_ON_DELE_AFTER_LARGE_RETR in self.quirks and self._large:
            return self.session.hang_up()
        reply = self.plain.do_dele(rest)
        return (b"\r\n",) if Quirk.EMPTY_LINE_FOR_DELE in self.quirks else reply

    # --- the end ---

    def do_quit(self, rest: bytes) -> ReplyBytes:
        if not rest:
            self._prepare_commit()
        reply = self.plain.do_quit(rest)
        if self.session.follow_up is not None and Quirk.QUIT_WITHOUT_CLOSE_NOTIFY in self.quirks:
            self.session.follow_up = evolve(self.session.follow_up, how="ragged")
        return () if Quirk.QUIT_WITHOUT_REPLY in self.quirks else reply

    def drop_mailbox(self) -> None:
        """Release the mailbox if QUIT has not done so."""
        if self.session.maildrop is not None and Quirk.COMMITS_ON_DROP in self.quirks:
            self._prepare_commit()
            self.plain.commit()
        if self.session.maildrop is not None and Quirk.LOCK_LINGERS in self.quirks:
            self.wait(_LINGERS)
        self.session.release()

    def _prepare_commit(self) -> None:
        """Change what the plain commit will delete."""
        if self.session.maildrop is None:
            return
        if Quirk.DELETES_READ in self.quirks:
            self.session.deleted |= {number for number, mail in self._shown() if mail in self._read}
        if Quirk.HIDES_READ in self.quirks:
            self.session.maildrop.read |= self._read
        if Quirk.FORGETS_DELETIONS in self.quirks:
            self.session.deleted.clear()
