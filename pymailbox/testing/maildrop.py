"""One user's mailbox: what a session sees of it, the lock on it, and what QUIT does to it.

A session works on a `MaildropView` taken at login, and keeps its own deletion marks. At QUIT it passes the messages to
delete to the maildrop. Several threads may use a maildrop at once.
"""

import threading
from collections.abc import Collection
from functools import cached_property

from attrs import Factory, define

from pymailbox.testing.stored_mail import StoredMail
from pymailbox.testing.stores import Memory, Store

__all__ = ["Maildrop", "MaildropView"]


class MaildropView:
    """The messages at one moment; their listings are built once and shared by all sessions with the same view."""

    def __init__(self, mails: list[StoredMail]) -> None:
        self.mails = mails

    @cached_property
    def size(self) -> int:
        """The sum of all sizes, in bytes."""
        return sum(mail.size for mail in self.mails)

    @cached_property
    def list_lines(self) -> bytes:
        """The body of the reply to LIST while no message is marked as deleted."""
        return b"".join([b"%d %d\r\n" % (n, mail.size) for n, mail in enumerate(self.mails, 1)])

    @cached_property
    def uidl_lines(self) -> bytes:
        """The body of the reply to UIDL while no message is marked as deleted."""
        return b"".join([b"%d %s\r\n" % (n, mail.uid) for n, mail in enumerate(self.mails, 1)])


@define(eq=False)
class Maildrop:
    """One user's mailbox on top of a store.

    Only with `commit` is the store changed; otherwise deletions and deliveries last as long as the server.
    """

    store: Store
    commit: bool
    lock: threading.Lock = Factory(threading.Lock)
    last_login: float | None = None
    read: set[StoredMail] = Factory(set)
    _guard: threading.Lock = Factory(threading.Lock)
    _hidden: set[StoredMail] = Factory(set)
    _arrived: Memory = Factory(lambda: Memory(b"new-"))
    _view: MaildropView = Factory(lambda: MaildropView([]))

    def view(self) -> MaildropView:
        """Return the view that a session keeps until it ends."""
        with self._guard:
            mails = self.store.mails()
            if self._hidden:
                mails = [mail for mail in mails if mail not in self._hidden]
            mails += self._arrived.mails()
            if mails != self._view.mails:
                self._view = MaildropView(mails)
            return self._view

    def remove(self, mails: Collection[StoredMail]) -> None:
        """Delete these permanently, as QUIT does."""
        with self._guard:
            for mail in mails:
                mail.gone = True
            arrived = set(self._arrived.mails())
            self._arrived.remove(mails)
            rest = [mail for mail in mails if mail not in arrived]
            if not self.commit:
                self._hidden.update(rest)
            elif rest:
                self.store.remove(rest)

    def deliver(self, raw: bytes) -> None:
        """Add a new message, which the next session sees."""
        with self._guard:
            (self.store if self.commit else self._arrived).add(raw)
