"""Quirks in how a server reads command lines, and in its status lines and line endings."""

from attrs import define

from pymailbox.testing.client_socket import ClientSocket, Hangup
from pymailbox.testing.quirk import Quirk
from pymailbox.testing.reply import Dialogue, ReplyBytes, err
from pymailbox.testing.session import SessionState

__all__ = ["QuirkyLines"]

_LONGEST = 253  # bytes of a command line without its CRLF (RFC 2449 §4)
_WITH_DATA = frozenset({b"STAT", b"LIST", b"UIDL", b"LANG"})


@define(eq=False)
class QuirkyLines:
    """A plain dialogue with quirks of lines added. `quirks` contains members of `Quirk`, not combinations."""

    session: SessionState
    plain: Dialogue
    quirks: frozenset[Quirk]
    socket: ClientSocket
    _hangs_up: bool = False

    def lines(self) -> list[bytes]:
        """Wait for whole lines, as `ClientSocket.lines` does, but drop some of them or hang up."""
        if self._hangs_up:
            self.socket.flush()
            raise Hangup("closed")
        lines = self.socket.lines()
        if self.socket.partial and Quirk.NEEDS_WHOLE_COMMANDS in self.quirks:
            self.socket.send((b"-ERR incomplete command\r\n",))
            self.socket.flush()
            raise Hangup("closed")
        if Quirk.LOSES_WHAT_FOLLOWS_PASS in self.quirks:
            for number, line in enumerate(lines, 1):
                if line[:4].upper() in (b"PASS", b"AUTH", b"APOP") and number < len(lines):
                    lines = lines[:number]
                    self.socket.discard()
                    break
        if len(lines) > 1 and Quirk.DROPS_PIPELINED in self.quirks:
            lines = lines[:1]
            self.socket.discard()
        self._hangs_up = len(lines) > 1 and Quirk.HANGS_UP_ON_PIPELINE in self.quirks
        return lines[:1] if self._hangs_up else lines

    def greeting(self) -> ReplyBytes:
        return self._restyle(self.plain.greeting(), keep=bool(self.session.timestamp))

    def answer(self, line: bytes) -> ReplyBytes:
        if len(line) > _LONGEST and Quirk.REFUSES_LONG_COMMANDS in self.quirks:
            self.session.hang_up()
            return err("command line too long")
        if line.endswith(b" ") and self.session.exchange is None and Quirk.REFUSES_TRAILING_SPACE in self.quirks:
            return err("trailing space not allowed")
        verb = line.partition(b" ")[0].upper()
        return self._restyle(self.plain.answer(line), keep=self.session.exchange is not None or verb in _WITH_DATA)

    def _restyle(self, reply: ReplyBytes, *, keep: bool) -> ReplyBytes:
        """Change status lines and line endings. `keep`: keep a status line's text, which may be data."""
        if reply and reply[0].startswith((b"+OK", b"-ERR")):
            status, end, rest = b"".join(reply).partition(b"\n")
            end = (b"\r" if status.endswith(b"\r") else b"") + end
            word, blank, text = status.rstrip(b"\r").partition(b" ")
            if Quirk.BARE_STATUS in self.quirks and (not keep or word == b"-ERR" or rest):
                blank = text = b""
            if Quirk.GLUED_STATUS in self.quirks:
                blank = b""
            if Quirk.LOWERCASE_STATUS in self.quirks:
                word = word.lower()
            reply = (word + blank + text + end + rest,)
        if Quirk.LF_LINES in self.quirks:
            return tuple(piece.replace(b"\r\n", b"\n") for piece in reply)
        return reply
