"""One user's mailbox: what a session sees of it, who may enter, and what QUIT does to it.

A session works on a `Snapshot`, taken at login; marks live in the session. The maildrop is told at QUIT which
letters go. It may be asked from several threads.
"""

import threading
from collections.abc import Collection
from functools import cached_property

from attrs import Factory, define

from pymailbox.testing.letter import Letter
from pymailbox.testing.stores import Memory, Store

__all__ = ["Maildrop", "Snapshot"]


class Snapshot:
    """The letters of one moment, with their whole listings built once and shared by all sessions that see the same."""

    def __init__(self, letters: list[Letter]) -> None:
        self.letters = letters

    @cached_property
    def size(self) -> int:
        """The sum of all sizes, in octets."""
        return sum(letter.size for letter in self.letters)

    @cached_property
    def list_lines(self) -> bytes:
        """What LIST lists while nothing is deleted."""
        return b"".join([b"%d %d\r\n" % (n, letter.size) for n, letter in enumerate(self.letters, 1)])

    @cached_property
    def uidl_lines(self) -> bytes:
        """What UIDL lists while nothing is deleted."""
        return b"".join([b"%d %s\r\n" % (n, letter.uid) for n, letter in enumerate(self.letters, 1)])


@define(eq=False)
class Maildrop:
    """One user's mailbox over a store.

    With `read_only` the store is never written: deletions and deliveries last as long as the server.
    """

    store: Store
    read_only: bool = False
    lock: threading.Lock = Factory(threading.Lock)
    last_login: float | None = None
    read: set[Letter] = Factory(set)
    _guard: threading.Lock = Factory(threading.Lock)
    _hidden: set[Letter] = Factory(set)
    _arrived: Memory = Factory(Memory)
    _snapshot: Snapshot = Factory(lambda: Snapshot([]))

    def snapshot(self) -> Snapshot:
        """Take the view a session keeps until it ends."""
        with self._guard:
            letters = self.store.letters()
            if self._hidden:
                letters = [letter for letter in letters if letter not in self._hidden]
            letters += self._arrived.letters()
            if letters != self._snapshot.letters:
                self._snapshot = Snapshot(letters)
            return self._snapshot

    def remove(self, letters: Collection[Letter]) -> None:
        """Delete these for good: what QUIT does."""
        with self._guard:
            for letter in letters:
                letter.gone = True
            arrived = set(self._arrived.letters())
            self._arrived.remove(letters)
            rest = [letter for letter in letters if letter not in arrived]
            if self.read_only:
                self._hidden.update(rest)
            elif rest:
                self.store.remove(rest)

    def deliver(self, octets: bytes) -> None:
        """Take in a new mail, which the next session sees."""
        with self._guard:
            (self._arrived if self.read_only else self.store).add(octets)
