"""Deleting: what an archive makes sure of before it tells a server to delete a message.

The message's file is there, has its size and, unless it was written in this very run, its content. And what the server
has under the uid is still that message: it was downloaded in this session, or its header is that of the file.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import define, evolve, field

from pymailbox.archive.ledger import Ledger, MessageRow
from pymailbox.archive.maildir import Maildir
from pymailbox.archive.stored_form import UNREADABLE, digest_of, wire_chunks
from pymailbox.errors import CommandError
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.pop3 import commands

__all__ = ["Deletions"]


@define(eq=False, repr=False)
class Deletions:
    """The deletions of one session."""

    ledger: Ledger
    layout: Maildir
    inbox: Mailbox
    #: The first row of this run: its files, and those after it, are not read again.
    first: int
    #: The rows of the messages that are marked, by number.
    marked: dict[int, MessageRow] = field(factory=dict, init=False)
    #: What to report of messages that the server refused to mark.
    kept: list[str] = field(factory=list, init=False)
    _synced: bool = field(default=False, init=False)

    def is_safe(self, row: MessageRow) -> bool:
        """Whether the file of a message is there and whole."""

        def is_whole(path: Path) -> bool:
            if path.stat().st_size != _stored_size(row):
                return False
            return row.id >= self.first or digest_of(path, row.form) == (row.sha256, row.size)

        return self.layout.read(row.name, is_whole) is True

    def same_header(self, candidates: Sequence[tuple[int, MessageRow]]) -> list[tuple[int, MessageRow]]:
        """Return those of which the server shows the archived header; it is asked by TOP."""
        asked = self.inbox.connection.pipeline([commands.top(number, 0) for number, _ in candidates])
        return [
            (number, row)
            for (number, row), shown in zip(candidates, asked, strict=True)
            if not isinstance(shown, CommandError) and _header(shown) == _header(self._beginning(row, len(shown)))
        ]

    def _beginning(self, row: MessageRow, size: int) -> bytes:
        """Return the first bytes of a stored message, as sent: enough to hold a header of that size."""

        def beginning(path: Path) -> bytes:
            data = b""
            try:
                for piece in wire_chunks(path, row.form):
                    data += piece
                    if len(data) > size + 4:
                        break
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise
                return b""
            return data

        return self.layout.read(row.name, beginning) or b""

    def mark(self, candidates: Iterable[tuple[int, MessageRow]]) -> None:
        """Mark messages that are safe and are those that the server has."""
        chosen = dict(candidates)
        if not chosen:
            return
        if not self._synced and any(row.id < self.first for row in chosen.values()):
            self.layout.sync()  # a mail program may have moved files since they were stored
            self._synced = True
        refused: Iterable[int] = ()
        try:
            self.inbox.delete([self.inbox[number - 1] for number in chosen])
        except CommandError as error:
            refused = error.refused
            self.kept.append(f"{len(error.refused)} not deleted: {error}")
        self.marked.update({number: row for number, row in chosen.items() if number not in refused})

    def note(self) -> None:
        """Write down what QUIT is about to delete."""
        if self.marked:
            with self.ledger.transaction():
                for row in self.marked.values():
                    self.ledger.put(evolve(row, state="stored", server="deleting"))

    def confirm(self) -> list[MessageRow]:
        """Write down that the server has confirmed the deletions; return the rows."""
        gone = [evolve(row, state="stored", server="gone") for row in self.marked.values()]
        if gone:
            with self.ledger.transaction():
                for row in gone:
                    self.ledger.put(row)
        return gone


def _stored_size(row: MessageRow) -> int:
    return int(row.name.rpartition("=")[2])


def _header(data: bytes) -> bytes:
    """Return the header of a message, up to the empty line that ends it."""
    end = data.find(b"\r\n\r\n")
    return data if end < 0 else data[: end + 2]
