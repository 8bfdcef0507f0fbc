"""Box: the mailbox of a test server, with the uids and sizes that a test chooses, and quick disks.

The server itself is `pymailbox.testing.Server`; only its store is replaced.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from attrs import define, field

from pymailbox import Account
from pymailbox.database import Database
from pymailbox.testing import Quirk, Server
from pymailbox.testing.stored_mail import StoredMail

__all__ = ["Box", "account_of", "disks_that_do_not_wait", "message", "put_before", "serve"]


def message(number: int, size: int = 200) -> bytes:
    """Return a message of that many bytes; each number gives another header."""
    start = b"Received: by mx; %d\r\nSubject: %d\r\n\r\n" % (number, number)
    return start + b"x" * (size - len(start) - 2) + b"\r\n"


@define
class Box:
    """What a mailbox holds. `deleted` has what QUIT removed, in that order."""

    mails: list[StoredMail] = field(factory=list)
    deleted: list[StoredMail] = field(factory=list)

    def put(self, uid: str | bytes, content: bytes, *, size: int | None = None) -> StoredMail:
        """Add a message; `size` is what LIST shows of it."""
        if isinstance(uid, str):
            uid = uid.encode("utf-8", "surrogateescape")
        mail = StoredMail(uid, len(content) if size is None else size, content=content)
        self.mails.append(mail)
        return mail

    @property
    def contents(self) -> list[bytes]:
        """What is there now, sorted."""
        return sorted(mail.content for mail in self.mails)

    @property
    def uids(self) -> list[str]:
        """The uids, in order."""
        return [mail.uid.decode("utf-8", "surrogateescape") for mail in self.mails]

    # What the server asks of a store.

    def list(self) -> "list[StoredMail]":
        return self.mails.copy()

    def remove(self, mails: Collection[StoredMail]) -> None:
        self.deleted += [mail for mail in self.mails if mail in mails]
        self.mails = [mail for mail in self.mails if mail not in mails]

    def add(self, octets: bytes) -> None:
        self.put("", octets)


@define
class _Store:
    """A box as the server sees it."""

    box: Box

    def mails(self) -> list[StoredMail]:
        return self.box.list()

    def remove(self, mails: Collection[StoredMail]) -> None:
        self.box.remove(mails)

    def add(self, octets: bytes) -> None:
        self.box.add(octets)


@contextmanager
def serve(box: Box, *, quirks: Quirk | None = None, **options: Any) -> Iterator[Server]:
    """Run a server over a box; `put_before` changes the box later."""
    with Server([], lock=False, quirks=quirks or (), **options) as server:
        put_before(server, box)
        yield server


def put_before(server: Server, box: Box) -> None:
    """Have the server's next session show another box."""
    server.maildrop().store = _Store(box)


def account_of(server: Server) -> Account:
    """Return the account of a test server."""
    return Account(server.host, "me", "secret", security="none", port=server.port)


@contextmanager
def disks_that_do_not_wait() -> Iterator[None]:
    """Have fsync do nothing: for tests whose crashes are imagined, which is most of their time otherwise."""
    real = Database._open

    def opened(database: Database) -> None:
        real(database)
        database._database.execute("PRAGMA synchronous=off")

    with mock.patch.object(os, "fsync", return_value=None), mock.patch.object(Database, "_open", opened):
        yield
