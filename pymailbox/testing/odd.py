"""A session with quirks: each handler of the plain one, shown as odd servers have it.

What is odd in listings and mails is here; what is odd in status lines, logins and endings is in `odd_manners`.
"""

from collections.abc import Callable

from attrs import define, field

from pymailbox.testing.conversation import Reply, err, ok
from pymailbox.testing.letter import Letter, fingerprint, stuffed
from pymailbox.testing.odd_manners import OddManners
from pymailbox.testing.quirk import Quirk

__all__ = ["OddSession"]

_ONE_MIB = 1_048_576
_TOP_MOST = 65_536


@define(eq=False)
class OddSession(OddManners):
    """One client of a server with quirks."""

    _read: set[Letter] = field(factory=set, init=False)
    _retrieved: int = field(default=0, init=False)
    _large: bool = field(default=False, init=False)

    # --- STAT, LIST, UIDL ---

    def _stat(self, rest: bytes) -> Reply:
        if Quirk.STAT_REFUSED in self.quirks:
            return err("login allowed only every 15 minutes")
        shown = self._shown()
        count = len(shown) - (Quirk.STAT_COUNTS_LESS in self.quirks and bool(shown))
        size = str(sum(letter.size for _, letter in shown))
        if Quirk.NEGATIVE_STAT_SIZE in self.quirks:
            size = str(int(size) - 2**32)
        if Quirk.STAT_SIZE_IN_WORDS in self.quirks:
            size = "octets"
        if Quirk.STAT_WITHOUT_SIZE in self.quirks:
            size = ""
        return err("STAT takes no argument") if rest else ok(data=f"{count} {size}".rstrip())

    def _list(self, rest: bytes) -> Reply:
        if rest:
            return self._single(rest, self._size)
        return self._listed([b"%d%s" % (n, self._size(n, letter)) for n, letter in self._shown()])

    def _size(self, number: int, letter: Letter) -> bytes:
        """Give what follows the number in a line of LIST, with the blank before it."""
        size = b"%d" % letter.size
        if Quirk.ROUNDED_SIZES in self.quirks:
            size = b"%d" % (-(-letter.size // 1024) * 1024)
        if Quirk.LIST_JUNK_SIZE in self.quirks and number % 2:
            size = b"%%!d(float64=%d)" % letter.size
        if Quirk.LIST_EXTRA_FIELDS in self.quirks:
            size += b" seen 0"
        if Quirk.LIST_WITHOUT_SIZE in self.quirks and number % 2:
            return b""
        return (b"  \t " if Quirk.LIST_BLANKS in self.quirks else b" ") + size

    def _uidl(self, rest: bytes) -> Reply:
        if Quirk.UIDL_REFUSED in self.quirks:
            return err("unique-ids are not available")
        if not self.server.uidl:
            return err("unknown command")
        if rest:
            return self._single(rest, self._uid)
        lines = [b"%d%s" % (number, self._uid(number, letter)) for number, letter in self._shown()]
        if Quirk.OK_PREFIX_ON_UIDL in self.quirks:
            lines = [b"+OK " + line for line in lines]
        if Quirk.UNORDERED_UIDL in self.quirks:
            lines.reverse()
        if Quirk.STRANGER_IN_UIDL in self.quirks:
            lines = [b"0 stranger", *lines, b"%d stranger" % (len(self._view.letters) + 7)]
        if Quirk.MERGED_UIDL_LINES in self.quirks:
            lines[:2] = [b"".join(lines[:2])] if lines else []
        return self._listed(lines)

    def _uid(self, number: int, letter: Letter) -> bytes:
        """Give what follows the number in a line of UIDL, with the blank before it."""
        if Quirk.BLANK_UID in self.quirks and number % 2:
            return b" "
        uid = letter.uid
        if Quirk.DUPLICATE_UIDS in self.quirks:
            uid = self._view.letters[0].uid
        if Quirk.NEW_UIDS_EACH_SESSION in self.quirks or self.new_uids:
            uid = fingerprint(uid, b"%d" % self.record.number)
        if Quirk.ODD_UIDS in self.quirks:
            uid = ((uid * 200)[:200], uid[:8] + b" " + uid[8:], b"\xfc" + uid, "ü".encode() + uid)[number % 4]
        if Quirk.UIDS_AS_PATHS in self.quirks:
            uid = b"../../%d/etc" % number
        return (b"   " if Quirk.SPACES_BEFORE_UID in self.quirks else b" ") + uid

    def _shown(self) -> list[tuple[int, Letter]]:
        numbered = enumerate(self._view.letters, 1)
        return [(number, letter) for number, letter in numbered if number not in self._deleted]

    def _single(self, rest: bytes, show: Callable[[int, Letter], bytes]) -> Reply:
        letter = self._letter(rest)
        if isinstance(letter, tuple):
            return letter
        shown = show(int(rest), letter)
        if Quirk.SINGLE_LISTING_MULTILINE in self.quirks:
            return (b"+OK\r\n%d%s\r\n.\r\n" % (int(rest), shown),)
        if Quirk.SINGLE_LISTING_WITHOUT_NUMBER in self.quirks:
            return (b"+OK%s\r\n" % shown,)
        return (b"+OK %d%s\r\n" % (int(rest), shown),)

    def _listed(self, lines: list[bytes]) -> Reply:
        if not lines and Quirk.EMPTY_LIST_REFUSED in self.quirks:
            return err("there is nothing to list")
        if Quirk.BLANK_LINE_IN_LISTING in self.quirks:
            lines = [b"", *lines]
        return self._multiline(b"+OK listing follows\r\n", b"".join(line + b"\r\n" for line in lines))

    # --- RETR, TOP, DELE ---

    def _retr(self, rest: bytes) -> Reply:
        letter = self._letter(rest)
        if isinstance(letter, tuple):
            return letter
        number = int(rest)
        self._retrieved += 1
        if Quirk.ONE_UNREADABLE in self.quirks and number == 1:
            return err("Can't get the letter")
        if Quirk.EXCEEDS_LOGIN_LIMIT in self.quirks and self._retrieved > 2:
            return err("Exceeded the login limit")
        self._read.add(letter)
        self._large = self._large or letter.size >= _ONE_MIB
        if Quirk.WRONG_MESSAGE in self.quirks:
            letter = self._view.letters[number % len(self._view.letters)]
        content = self._content(letter)
        if Quirk.EXTRA_BLANK_LINE in self.quirks:
            content += b"\r\n"
        return self._multiline(b"+OK %d octets\r\n" % len(content), content)

    def _top(self, rest: bytes) -> Reply:
        if Quirk.TOP_REFUSED in self.quirks:
            return err("TOP is not available")
        number, _, count = rest.partition(b" ")
        if not self.server.top:
            return err("unknown command")
        if not count.isdigit():
            return err("TOP wants a message and a number of lines")
        letter = self._letter(number)
        if isinstance(letter, tuple):
            return letter
        if Quirk.TOP_COUNTS_AS_READ in self.quirks:
            self._read.add(letter)
        status = b"+OK\r\n+OK top follows\r\n" if Quirk.TWO_STATUS_LINES_FOR_TOP in self.quirks else b"+OK\r\n"
        return self._multiline(status, self._cut(Letter.verbatim(b"", self._content(letter)), int(count[:9])))

    def _cut(self, letter: Letter, lines: int) -> bytes:
        if Quirk.TOP_TEN_LINES in self.quirks:
            lines = 10
        content = letter.content if Quirk.TOP_IGNORES_COUNT in self.quirks else letter.top(lines)
        if Quirk.TOP_OTHER_HEADERS in self.quirks:
            fields = [line for line in content.split(b"\r\n") if not line.lower().startswith(b"message-id:")]
            content = b"\r\n".join([b"X-Top: yes", *fields])
        if Quirk.TOP_ONE_LINE in self.quirks:
            content = content.partition(b"\r\n")[0] + b"\r\n"
        if Quirk.TOP_TRUNCATED in self.quirks and len(content) > _TOP_MOST:
            content = content[:_TOP_MOST].rpartition(b"\r\n")[0] + b"\r\n"
        return content

    def _content(self, letter: Letter) -> bytes:
        content = letter.content
        if Quirk.WRAPS_UTF8 in self.quirks and not self.utf8 and not letter.top(0).isascii():
            part = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            return b"Subject: This mail needs UTF-8\r\nMIME-Version: 1.0\r\n" + part + content
        return content

    def _multiline(self, status: bytes, content: bytes) -> Reply:
        """Put together a reply of many lines: dots, line ends and the end mark as this server has them."""
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

    def _dele(self, rest: bytes) -> Reply:
        if Quirk.CLOSES_ON_DELE_AFTER_LARGE_RETR in self.quirks and self._large:
            return self._hang_up()
        reply = super()._dele(rest)
        return (b"\r\n",) if Quirk.EMPTY_LINE_FOR_DELE in self.quirks else reply

    # --- QUIT ---

    def _commit(self) -> None:
        assert self._drop is not None
        if Quirk.DELETES_READ in self.quirks:
            self._deleted |= {number for number, letter in self._shown() if letter in self._read}
        if Quirk.HIDES_READ in self.quirks:
            self._drop.read |= self._read
        if Quirk.FORGETS_DELETIONS not in self.quirks:
            super()._commit()
