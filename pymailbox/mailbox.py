"""Mailbox: a POP3 session as a sequence of messages and as a transaction.

The sequence is lazy: counting, indexing and iterating download nothing. The transaction is the `with` block: a clean
end says QUIT, which commits the deletions; an exception takes them back. What to say to the server is in
`transaction` and `reading`; this module runs those flows over a blocking `Connection`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, overload

from pymailbox import reading, transaction
from pymailbox.account import Account, Security, default_port
from pymailbox.desk import Desk
from pymailbox.errors import MailboxError
from pymailbox.message import Message
from pymailbox.pop3 import commands
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.connection import Connection
from pymailbox.pop3.flows import Flow, ask
from pymailbox.pop3.limits import Limits
from pymailbox.snapshot import Snapshot

if TYPE_CHECKING:
    import socket
    import ssl

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Sequence[Message]):
    """A POP3 account as a lazy sequence of messages.

    Nothing is connected until `with` or `open()`. Deleted messages keep their place and are counted; a session is a
    snapshot, and new mail needs `reopen()`.

    >>> from pymailbox import Mailbox
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: one\\r\\n\\r\\n1\\r\\n", b"Subject: two\\r\\n\\r\\n2\\r\\n"]) as server:
    ...     with Mailbox(server.host, "me", "secret", port=server.port, security="none") as inbox:
    ...         print(len(inbox), [message.subject for message in inbox])
    ...         inbox[0].delete()
    ...     with Mailbox.from_url(server.url, "secret") as inbox:
    ...         print(len(inbox), inbox[0].subject)
    2 ['one', 'two']
    1 two
    """

    def __init__(
        self,
        host: str,
        user: str | None = None,
        password: str | Callable[[], str] | None = None,
        *,
        port: int | None = None,
        security: Security = "tls",
        auth: Any = None,
        ssl_context: "ssl.SSLContext | None" = None,
        timeout: float | None = 30.0,
        limits: Limits | None = None,
        read_only: bool = False,
        allow_plaintext: bool = False,
        utf8: bool = True,
        capa: bool = True,
        pipelining: bool | None = None,
        source_address: tuple[str, int] | None = None,
        sock: "socket.socket | None" = None,
    ) -> None:
        #: Where the mailbox is and how to get in.
        self.account = Account(
            host,
            user,
            password,
            port=default_port(security) if port is None else port,
            security=security,
            auth=auth,
        )
        self._utf8 = utf8
        self._read_only = read_only
        self._sock = sock
        self._options: dict[str, Any] = {
            "ssl_context": ssl_context,
            "timeout": timeout,
            "limits": limits,
            "pipelining": pipelining,
            "capa": capa,
            "allow_plaintext": allow_plaintext,
            "source_address": source_address,
            "sock": sock,
        }
        self._connection = self._new_connection()
        self._desk: Desk | None = None

    @classmethod
    def from_url(cls, url: str, password: str | Callable[[], str] | None = None, **options: Any) -> Self:
        """Make a mailbox from a POP URL (RFC 2384): `pops://me@pop.example.com`."""
        return cls.from_account(Account.from_url(url, password), **options)

    @classmethod
    def from_account(cls, account: Account, **options: Any) -> Self:
        """Make a mailbox from an account; `options` are those of the constructor."""
        settings: dict[str, Any] = {
            "port": account.port,
            "security": account.security,
            "auth": account.auth,
        }
        return cls(account.host, account.user, account.password, **(settings | options))

    # --- life ---------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Connect, log in and ask how much there is; returns the mailbox.

        Raises `ConnectionLost`, `Timeout`, `TLSError`, `AuthenticationError`, `MailboxLocked`, `LoginDelay`,
        `TemporaryFailure`, `NotSupported`. Nothing stays open after a failure.
        """
        if self._desk is not None:
            raise ValueError("this mailbox is open already")
        if self._connection.opened:
            self._connection = self._new_connection()
        account, connection = self.account, self._connection
        try:
            connection.connect()
            snapshot = connection.run(
                transaction.begin(
                    connection.session,
                    account.security,
                    account.user,
                    account.password,
                    account.auth,
                    utf8=self._utf8,
                    read_only=self._read_only,
                )
            )
        except MailboxError as error:
            connection.close()
            error.usable = False
            raise
        except BaseException:
            connection.close()
            raise
        self._desk = Desk(connection, snapshot)
        return self

    def _new_connection(self) -> Connection:
        account = self.account
        return Connection(account.host, account.port, security=account.security, **self._options)

    def close(self) -> None:
        """Say QUIT, which commits the deletions, and close. May be called again.

        Raises `CommitError` where deletions were pending and QUIT was refused or not answered; `ConnectionLost`
        where the session had died before with deletions pending: then none of them happened.
        """
        self._leave(transaction.commit)

    def rollback(self) -> None:
        """Take back all marks and close. May be called again."""
        self._leave(transaction.roll_back)

    def _leave(self, ending: Callable[[Snapshot[Message]], Flow[None]]) -> None:
        desk, self._desk = self._desk, None
        if desk is None:
            return
        try:
            if desk.alive:
                desk.run(ending(desk.snapshot))
            elif ending is transaction.commit and desk.snapshot.marks:
                desk.run(ask(commands.quit()))  # raises: the session is dead
        finally:
            desk.connection.close()

    def __enter__(self) -> Self:
        return self if self._desk is not None else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.rollback()
        except MailboxError as failure:
            error.add_note(f"while leaving the mailbox: {failure}")

    def keep_alive(self) -> None:
        """Say NOOP, so that the server does not end an idle session."""
        self._open_desk().run(ask(commands.noop()))

    def reopen(self) -> None:
        """Commit, and begin a fresh session with what has arrived since; messages of the old one stay readable.

        After the session has died this just begins a fresh one: deletions that were pending did not happen.
        """
        desk = self._desk
        if desk is None or desk.alive:
            self._open_desk()
            self.close()
        self._desk = None
        self.open()

    def _open_desk(self) -> "Desk":
        desk = self._desk
        if desk is None:
            raise ValueError("the mailbox is not open; use `with` or call open()")
        return desk

    # --- facts --------------------------------------------------------------------------------------------

    @property
    def greeting(self) -> str:
        """The text of the server's greeting."""
        return self._connection.greeting

    @property
    def capabilities(self) -> Capabilities:
        """What the server says it can do, by the last CAPA."""
        return self._connection.session.capabilities or Capabilities()

    @property
    def connection(self) -> Connection:
        """The connection below this mailbox."""
        return self._connection

    @property
    def size(self) -> int:
        """Octets of all messages together, by STAT."""
        desk = self._open_desk()
        return desk.run(reading.total(desk.snapshot))

    # --- the sequence -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._open_desk().snapshot.count

    def __bool__(self) -> bool:
        return len(self) > 0

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Message, ...]: ...
    def __getitem__(self, index: int | slice) -> Message | tuple[Message, ...]:
        desk = self._open_desk()
        if isinstance(index, slice):
            return tuple(desk.message(number) for number in range(1, desk.snapshot.count + 1)[index])
        return desk.message(desk.snapshot.position(index))

    def __iter__(self) -> Iterator[Message]:
        desk = self._open_desk()
        return map(desk.message, range(1, desk.snapshot.count + 1))

    def __reversed__(self) -> Iterator[Message]:
        desk = self._open_desk()
        return map(desk.message, range(desk.snapshot.count, 0, -1))

    def __contains__(self, value: object) -> bool:
        return self._open_desk().owns(value)

    @property
    def uids(self) -> tuple[str | None, ...]:
        """The uids, aligned with the positions; None where one is blank. One UIDL, once.

        Raises `NotSupported` where the server has no UIDL.
        """
        desk = self._open_desk()
        return desk.run(reading.uids(desk.snapshot))

    def by_uid(self, uid: str) -> Message:
        """Return the first message with that uid; KeyError if there is none."""
        try:
            return self[self.uids.index(uid)]
        except ValueError:
            raise KeyError(uid) from None

    def new(self, seen: Collection[str | None]) -> tuple[Message, ...]:
        """Return the messages whose uid is not in `seen`, in order; a blank uid is never seen."""
        if isinstance(seen, str):
            raise TypeError("seen must be a collection of uids, not one str")
        known = seen if isinstance(seen, set | frozenset | dict) else set(seen)
        desk = self._open_desk()
        return tuple(desk.message(number) for number, uid in enumerate(self.uids, 1) if uid is None or uid not in known)

    def fetch(self, messages: Message | Iterable[Message] | None = None) -> Iterator[Message]:
        """Yield every message in order, bodies arriving in a pipeline; None: all that are not deleted.

        A refusal is raised when that message is read, not here. A message larger than `Limits.window` comes without
        its body, so that `save` can stream it. Leaving early costs at most what is in flight.
        """
        desk = self._open_desk()
        numbers = desk.snapshot.unmarked() if messages is None else desk.numbers(messages)
        return desk.fetch(numbers)

    # --- the transaction ----------------------------------------------------------------------------------

    @property
    def deleted(self) -> tuple[Message, ...]:
        """The messages marked now, in the order of the mailbox."""
        desk = self._open_desk()
        return tuple(map(desk.message, sorted(desk.snapshot.marks)))

    def delete(self, messages: Message | Iterable[Message]) -> None:
        """Mark messages (DELE, pipelined); they go when the session is committed.

        All replies are read; then the first refusal is raised, with `.refused` by message number.
        """
        desk = self._open_desk()
        desk.run(transaction.delete(desk.snapshot, desk.numbers(messages)))

    def undelete(self, messages: Message | Iterable[Message] | None = None) -> None:
        """Take back the marks of messages, or all: RSET, and DELE again for the others."""
        desk = self._open_desk()
        numbers = None if messages is None else desk.numbers(messages)
        desk.run(transaction.undelete(desk.snapshot, numbers))

    def __repr__(self) -> str:
        state = "not open" if self._desk is None else f"{self._desk.snapshot.count} messages"
        return f"<Mailbox {self.account.url!r}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Mailbox cannot be pickled or copied: it is one session; make a new one from its account")
