"""Mailbox: a POP3 session as a sequence of messages and as a transaction.

The sequence is lazy: counting, indexing and iterating download nothing. The transaction is the `with` block: a clean
end says QUIT, which commits the deletions; an exception takes them back. What to say to the server is in
`transaction` and `reading`; this module runs those flows over a blocking `Connection`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from pymailbox.account import Password
from pymailbox.errors import CommitError, ConcurrentUse, ConnectionLost, MailboxError
from pymailbox.mailbox import reading, transaction
from pymailbox.mailbox.abstract_mailbox import AbstractMailbox
from pymailbox.mailbox.fetching import Fetch
from pymailbox.mailbox.message import Message, metered
from pymailbox.mailbox.open_mailbox import OpenMailbox, warn_uncommitted
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3 import commands
from pymailbox.pop3.connection import Connection
from pymailbox.pop3.flows import Flow, ask
from pymailbox.pop3.sinks import Sink
from pymailbox.progress import Progress

__all__ = ["Mailbox"]


class Mailbox(AbstractMailbox[Message, Connection, Password], Sequence[Message]):
    """A POP3 account as a lazy sequence of messages.

    Nothing is connected until `with` or `open()`. Deleted messages keep their place and are counted; a session is a
    snapshot, and new mail needs `reopen()`.

    `host` is a name or an address; a URL goes to `from_url`. `user` is the login name, None where the mechanism needs
    none. `password` is text, bytes (sent as they are), a callable without arguments that returns one, or a reference
    such as `PasswordCommand`; it is asked for at each login. The options are those of `MailboxOptions`. Nothing is
    connected by the constructor; what cannot be right is ValueError or TypeError there.

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

    def _new_connection(self) -> Connection:
        return Connection.from_settings(self._settings)

    # --- life ---------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Connect, log in and ask how much there is; returns the mailbox.

        Raises `ConnectionLost`, `Timeout`, `TLSError`, `AuthenticationError`, `MailboxLocked`, `LoginDelay`,
        `TemporaryFailure`, `NotSupported`. Nothing stays open after a failure.
        """
        if self._opened is not None:
            raise ValueError("this mailbox is open already")
        if self._connection.opened:
            self._connection = self._fresh_connection()
        connection = self._connection
        try:
            connection.connect()
            state = connection.run(self._begin())
        except MailboxError as error:
            connection.close()
            error.usable = False
            raise
        except BaseException:
            connection.close()
            raise
        self._opened = OpenMailbox(connection, state, Message, connection.close)
        self._in_doubt = None
        return self

    def commit(self) -> None:
        """End the session with QUIT, which commits the deletions; what the end of a `with` block does.

        Raises `CommitError` where deletions were pending and QUIT was refused or not answered; `ConnectionLost`
        where the session ended before QUIT was sent with deletions pending: then none of them happened. With none
        pending a lost session is no error. A mailbox that is not open is ValueError.
        """
        self._require_open()
        self._leave(transaction.commit)

    def rollback(self) -> None:
        """Take back all marks and end the session; what an exception in a `with` block does. May be called again.

        QUIT is said only where nothing was marked or downloaded: some servers hide what was downloaded after it.
        """
        self._leave(transaction.roll_back)

    def close(self) -> None:
        """End the session without deleting anything, as `rollback()` does, and never raise. May be called again.

        The warning `Uncommitted` says how many deletions that drops. In use by another thread, the session is cut off.
        """
        opened = self._opened
        dropped = opened.settle() if opened is not None else 0
        try:
            self._leave(transaction.roll_back)
        except Exception:  # whatever it was, the session is over, and nothing was committed
            self._drop()
        self._may_reopen = False
        if dropped:
            warn_uncommitted(dropped, "closed")

    def _leave(self, ending: Callable[[MailboxState[Message]], Flow[None]], *, reopening: bool = False) -> None:
        opened, self._opened = self._opened, None
        if opened is None:
            return
        self._may_reopen = reopening
        try:
            opened.connection.run(opened.leave(ending))
        except ConcurrentUse:
            self._opened = opened  # nothing was said: who uses the session goes on
            raise
        except (CommitError, ConnectionLost) as error:
            if not reopening:
                self._may_reopen, self._in_doubt = True, error if isinstance(error, CommitError) else None
            raise
        finally:
            if self._opened is None:
                opened.settle()
                opened.connection.close()

    def __enter__(self) -> Self:
        return self if self._opened is not None else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._leave(transaction.commit)
        elif not isinstance(error, Exception):  # Ctrl-C, sys.exit(), a cancellation: nothing is said or waited for
            self._drop()
        else:
            try:
                self._leave(transaction.roll_back)
            except Exception as failure:  # never in place of the first one
                error.add_note(f"while leaving the mailbox: {failure}")

    def keep_alive(self) -> None:
        """Say NOOP, so that the server does not end an idle session."""
        self._require_open().connection.run(ask(commands.noop()))

    def reopen(self) -> None:
        """Commit, and begin a fresh session with what has arrived since; messages of the old one stay readable.

        Raises what `open()` does, and may be repeated as often as it fails. Where deletions of a session that has died
        did not happen (`ConnectionLost`), or are in doubt (`CommitError`), it says so once; the next call opens.
        """
        self._check_reopen()
        self._leave(transaction.commit, reopening=True)
        self.open()

    # --- facts --------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes of all messages together, by STAT."""
        opened = self._require_open()
        return opened.connection.run(reading.total(opened.state))

    @property
    def uids(self) -> tuple[str | None, ...]:
        """The uids, aligned with the positions; None where one is blank. One UIDL, once.

        Raises `NotSupported` where the server has no UIDL, `TemporaryFailure` where it refuses it for the moment: then
        it is asked again next time.
        """
        opened = self._require_open()
        return opened.connection.run(reading.uids(opened.state))

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """The sizes in bytes, aligned with the positions, hints; None where the server gave no number. One LIST, once.

        Raises `TemporaryFailure` where the server refuses LIST for the moment: then it is asked again next time.
        """
        opened = self._require_open()
        return opened.connection.run(reading.sizes(opened.state))

    def by_uid(self, uid: str) -> Message:
        """Return the first message with that uid; KeyError if there is none."""
        opened = self._require_open()
        return opened.connection.run(opened.by_uid(uid))

    def new(self, seen: Collection[str | None]) -> tuple[Message, ...]:
        """Return the messages whose uid is not in `seen`, in order, and those without a uid; not the deleted ones."""
        opened = self._require_open()
        return opened.connection.run(opened.new(seen))

    def fetch(
        self,
        messages: Message | Iterable[Message] | None = None,
        *,
        into: Callable[[Message], Sink] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Iterator[Message]:
        """Yield every message in order, bodies arriving in a pipeline; None: all. Deleted ones are left out.

        A refusal is raised when that message is read, not here. A message larger than `Limits.window` comes without its
        body, so that `save` can stream it. Leaving early costs at most what is in flight. Of no messages nothing is
        asked.

        `into(message)` returns a sink, a file or a function that takes bytes: the body goes there and is not kept, and
        the message is handed out when its body is there, whole and proven. Only then may it be deleted; closing the
        file is the caller's. Messages of any size go there. One that is refused is left out, and the first refusal is
        raised at the end, with `.refused` by message number.

        `progress` is called with a `Progress` at most ten times a second and at the end.
        """
        return _fetch(Fetch.of(self._require_open(), messages, into, progress, metered))

    # --- the transaction ----------------------------------------------------------------------------------

    def delete(self, messages: Message | Iterable[Message]) -> None:
        """Mark messages (DELE, pipelined); they go when the session is committed.

        All replies are read; then the first refusal is raised, with `.refused` by message number.
        """
        opened = self._require_open()
        opened.connection.run(transaction.delete(opened.state, opened.numbers(messages)))

    def undelete(self, messages: Message | Iterable[Message] | None = None) -> None:
        """Take back the marks of messages, or all: RSET, and DELE again for the others."""
        opened = self._require_open()
        numbers = None if messages is None else opened.numbers(messages)
        opened.connection.run(transaction.undelete(opened.state, numbers))


def _fetch(fetch: Fetch[Message, Connection]) -> Iterator[Message]:
    run = fetch.opened.connection.run
    try:
        while (message := fetch.ready() or run(fetch.next())) is not None:
            yield message
    finally:
        fetch.abandon()
