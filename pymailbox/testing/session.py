"""The TRANSACTION state: what a client that is logged in may ask (RFC 1939 §5 to §7), and QUIT, which commits.

This is the plain server, made to be fast; `odd` shows quirks, `ordered` carries out faults.
"""

from collections.abc import Callable

from attrs import define

from pymailbox.testing.conversation import Reply, err, ok
from pymailbox.testing.entrance import Entrance
from pymailbox.testing.letter import Letter, stuffed

__all__ = ["Session"]


@define(eq=False)
class Session(Entrance):
    """One client, from the greeting to the end of its connection."""

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
        if self._drop is not None:
            self._commit()
        self._leave()
        self._then = "close"
        return ok("bye")

    def _commit(self) -> None:
        assert self._drop is not None
        marked = tuple(sorted(self._deleted))
        if marked:
            self._drop.remove([self._view.letters[number - 1] for number in marked])
            self.record.deleted = marked
