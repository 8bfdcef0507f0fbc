"""StreamCheck: tells whether a streamed body is a message or a stray reply that was read as one. Pure.

Chunks go to the caller's sink at once and cannot be undone, so a body that begins with "+OK" is dropped, and its
command is sent again. If the second body begins so too and has the same size, it is a message that begins so.
"""

# Decision 7.

from attrs import define, field

from pymailbox.pop3.command import Chunk, Reply
from pymailbox.pop3.proof import looks_like_reply
from pymailbox.pop3.violations import out_of_step

__all__ = ["StreamCheck"]

_ENOUGH = len(b"+OK")


@define(eq=False, repr=False)
class StreamCheck:
    """The body that is being streamed, or none."""

    _begun: bool = field(default=False, init=False)  # whether its first bytes have been looked at
    _first: bytes = field(default=b"", init=False)  # the first bytes, while there are too few to look at
    _dropping: bool = field(default=False, init=False)  # whether this body is dropped, and requested again
    _dropped: int | None = field(default=None, init=False)  # the size of the body dropped before this one

    def pass_on(self, chunk: Chunk, text: bytes, checkpoint: bytes | None) -> Chunk | None:
        """Return what the sink may be given after this chunk, if anything.

        `text` is the text of the body's status line, `checkpoint` that of the last reply to a checkpoint. If they
        are equal, a body that looks like a reply is a second copy of that reply. Raises `ProtocolError` for that, and
        if only the first of two bodies looks like a reply.
        """
        if self._begun:
            return None if self._dropping else chunk
        first = self._first + chunk.data
        if len(first) < _ENOUGH and b"+OK".startswith(first):
            self._first = first
            return None
        self._begun, self._first = True, b""
        suspect, again = looks_like_reply(first), self._dropped is not None
        if (suspect and text == checkpoint) or (again and not suspect):
            raise out_of_step(Reply(chunk.command, b"+OK", text).message, chunk.command.redacted)
        self._dropping = suspect and not again
        return None if self._dropping else Chunk(chunk.command, first)

    def end(self, reply: Reply, *, wanted: bool) -> bool:
        """End the body, and return whether its command must be sent again, because the body is still wanted.

        Raises `ProtocolError` if the body has another size than the one dropped before it.
        """
        again, dropped = self._dropping and wanted, self._dropped
        self._begun, self._first, self._dropping = False, b"", False
        self._dropped = reply.octets if again else None
        if dropped not in (None, reply.octets) and reply.status != b"-ERR":
            raise out_of_step(reply.message, reply.command.redacted)
        return again
