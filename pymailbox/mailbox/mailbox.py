"""Mailbox: a POP3 session as a sequence of messages and as a transaction.

The sequence is lazy: counting, indexing and iterating download nothing. The transaction is the `with` block: a clean
end sends QUIT, which commits the deletions; an exception rolls them back. The flows in `transaction` and `reading`
decide what to send; this module runs them over a blocking `Connection`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pymailbox.account import Password
from pymailbox.errors import CommitError, ConcurrentUse, ConnectionLost, MailboxError
from pymailbox.mailbox import reading, transaction
from pymailbox.mailbox.abstract_mailbox import AbstractMailbox
from pymailbox.mailbox.message import Message, metered
from pymailbox.mailbox.open_mailbox import OpenMailbox, warn_uncommitted
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3 import commands
from pymailbox.pop3.connection import Connection
from pymailbox.pop3.flows import Flow, ask
from pymailbox.pop3.sinks import Sink
from pymailbox.progress import Progress

if TYPE_CHECKING:
    from pymailbox.mailbox.fetching import Fetch

__all__ = ["Mailbox"]


class Mailbox(AbstractMailbox[Message, Connection, Password], Sequence[Message]):
    """A POP3 account as a lazy sequence of messages; each session is a transaction.

    Creating a mailbox does not connect; `with` or `open()` connects and logs in. `len`, indexing, slicing and iterating
    download nothing: each message is downloaded as you read it. The end of the `with` block commits the deletions, and
    an exception rolls them back. Until then a deleted message keeps its index and still counts in `len`. New mail
    appears after `reopen()`.

    `host` is a host name or an IP address (for a URL, see `from_url`), and `user` is the login name, or None if the
    mechanism needs none. `password` is text, bytes (sent as they are), a callable without arguments that returns
    either, or a reference such as `PasswordCommand`; callables and references are used at each login. `MailboxOptions`
    describes the other arguments. Invalid arguments raise ValueError or TypeError at once.

    Using a mailbox that is not open raises ValueError. A connection or protocol error (`ConnectionLost`, `Timeout`,
    `ProtocolError`) ends the session without deleting anything, and later use raises `ConnectionLost`.

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

    # --- opening and ending -------------------------------------------------------------------------------

    def open(self) -> Self:
        """Connect, log in and ask for the number of messages (STAT); return the mailbox.

        Entering a `with` block calls it. Raises `ConnectionLost`, `Timeout` or `TLSError` if connecting fails,
        `AuthenticationError`, `MailboxLocked`, `LoginDelay` or `TemporaryFailure` if the server refuses the login,
        `NotSupported` if it offers no way to log in safely, and ValueError if the mailbox is already open. After a
        failure the connection is closed.
        """
        if self._opened is not None:
            raise ValueError("the mailbox is already open")
        if self._connection.opened:
            self._connection = self._fresh_connection()
        connection = self._connection
        try:
            connection.connect()
            state = connection.run(self._begin())
            self._opened = OpenMailbox(connection, state, Message, connection.close, self.account)
        except MailboxError as error:
            connection.close()
            error.usable = False
            raise
        except BaseException:
            connection.close()
            raise
        self._in_doubt = None
        return self

    def commit(self) -> None:
        """End the session with QUIT, which commits the deletions.

        A `with` block that ends without an exception calls it. With deletions pending, it raises `ConnectionLost` if
        the session broke before QUIT was sent (nothing was deleted), and `CommitError` if QUIT was refused or not
        answered (some of the messages may be gone). With none pending, a broken session is not an error. Raises
        ValueError if the mailbox is not open.
        """
        self._require_open()
        self._leave(transaction.commit)

    def rollback(self) -> None:
        """Remove all deletion marks (RSET) and end the session, deleting nothing.

        A `with` block that ends with an exception calls it. Calling it again does nothing. QUIT is sent only if no
        message was marked or downloaded, because some servers delete or hide downloaded messages on QUIT. Raises
        `CommandError` if RSET is refused; even then the session has ended, and nothing was deleted.
        """
        self._leave(transaction.roll_back)

    def close(self) -> None:
        """End the session without deleting anything, as `rollback()` does, but never raise.

        Calling it again does nothing. If deletions are pending, the warning `Uncommitted` says how many. If another
        thread is using the session, the connection is closed at once.
        """
        opened = self._opened
        dropped = opened.settle() if opened is not None else 0
        try:
            self._leave(transaction.roll_back)
        except Exception:  # whatever it was, the session has ended and nothing was committed
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
            self._opened = opened  # nothing was sent, and the other user of the session continues
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
        elif not isinstance(error, Exception):  # Ctrl-C, sys.exit(), a cancellation: send nothing, wait for nothing
            self._drop()
        else:
            try:
                self._leave(transaction.roll_back)
            except Exception as failure:  # must not replace the first exception
                error.add_note(f"while leaving the mailbox: {failure}")

    def keep_alive(self) -> None:
        """Send NOOP, so that the server does not close an idle session."""
        self._require_open().connection.run(ask(commands.noop()))

    def reopen(self) -> None:
        """Commit, then open a new session, which sees the mail that has arrived since.

        What you have read of a message of the old session stays readable; reading more raises `ConnectionLost`. Raises
        what `commit()` and `open()` raise, and may be called again after any of these errors. If the old session broke
        with deletions pending, the first call raises `ConnectionLost` (nothing was deleted) or `CommitError` (some
        messages may be gone), and the next call opens a new session. Raises ValueError if the mailbox was never opened,
        was ended by `commit()`, `rollback()` or `close()`, or was made with `sock=`.
        """
        self._check_reopen()
        self._leave(transaction.commit, reopening=True)
        self.open()

    # --- facts --------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """The total size of all messages in bytes, from the STAT that `open()` sends."""
        opened = self._require_open()
        return opened.connection.run(reading.total(opened.state))

    @property
    def uids(self) -> tuple[str | None, ...]:
        """The uid of every message, in order: `uids[i]` belongs to `inbox[i]`; None if the server sent an empty uid.

        Costs one UIDL, once per session. Raises `NotSupported` if the server has no UIDL, and `TemporaryFailure` if it
        refuses UIDL temporarily; the next use asks again.
        """
        opened = self._require_open()
        return opened.connection.run(reading.uids(opened.state))

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """The size of every message in bytes, in order: `sizes[i]` belongs to `inbox[i]`; None if unknown.

        Treat sizes as hints: many servers list inaccurate ones. Costs one LIST, once per session. Raises
        `TemporaryFailure` if the server refuses LIST temporarily; the next use asks again.
        """
        opened = self._require_open()
        return opened.connection.run(reading.sizes(opened.state))

    def by_uid(self, uid: str) -> Message:
        """Return the first message with this uid; raise KeyError if there is none.

        Costs the same as `uids`, and raises the same errors.
        """
        opened = self._require_open()
        return opened.connection.run(opened.by_uid(uid))

    def new(self, seen: Collection[str | None]) -> tuple[Message, ...]:
        """Return the messages whose uid is not in `seen`, in order.

        `seen` is a collection of uids, ideally a set. Messages marked as deleted are skipped; messages without a uid
        count as new, even if `seen` contains None. Costs the same as `uids`, and raises the same errors.
        """
        opened = self._require_open()
        return opened.connection.run(opened.new(seen))

    def fetch(
        self,
        messages: Message | Iterable[Message] | None = None,
        *,
        into: Callable[[Message], Sink] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Iterator[Message]:
        """Yield messages, by default all, in the order given; they are downloaded ahead of the loop, in a pipeline.

        The fast way to read many messages: without `into`, each yielded message has already been downloaded. Messages
        marked as deleted are skipped. A message larger than `Limits.window` is yielded before it is downloaded, so that
        `save` can stream it. If the server refuses a message, reading that message raises the error. In the loop you
        may use the mailbox and delete messages; you may also leave the loop early.

        With `into`, messages are written instead of kept: `into(message)` returns a binary file or a function that
        takes bytes, and the message is yielded once all of it has been written there and verified, so that it is safe
        to delete. Messages of any size are streamed. `fetch` does not close the files. A message that the server
        refuses is not yielded; after the last message, the first refusal is raised; its `refused` maps message numbers
        to all of them.

        `progress` is called with a `Progress` at most ten times a second and at the end.
        """
        from pymailbox.mailbox.fetching import Fetch

        return _fetch(Fetch.of(self._require_open(), messages, into, progress, metered))

    def to_records(self, messages: Message | Iterable[Message] | None = None) -> list[dict[str, Any]]:
        """Return messages, by default all, as plain dictionaries: what `pandas.DataFrame` takes.

        The keys are `number`, `uid`, `size`, `deleted`, `date` (aware, in UTC), `from` and `subject` (str), `to` (a
        list of str), `message_id` and `error`. What is missing is None. No body is downloaded: costs one UIDL and one
        LIST, once per session, and one TOP for each message, in a pipeline if they are in a regular order. If the
        server does not return the headers of a message, or it is marked as deleted and they were not read before, its
        `error` says why, and the names from its header are None. Raises what `uids` and `sizes` do, but for
        `NotSupported`: without UIDL, each `uid` is None.
        """
        opened = self._require_open()
        run = opened.connection.run
        numbers = range(1, opened.state.count + 1) if messages is None else opened.numbers(messages)
        return [run(opened.ask_record(opened.message(number))) for number in numbers]

    # --- the transaction ----------------------------------------------------------------------------------

    def delete(self, messages: Message | Iterable[Message]) -> None:
        """Mark messages as deleted (DELE, pipelined); committing the session deletes them.

        `messages` is one message or an iterable of them; those already marked are skipped. The first call sends UIDL
        and LIST beforehand, because servers omit marked messages from their replies. If the server refuses some of the
        messages, the others are marked, and the first `CommandError` is raised; its `refused` maps message numbers to
        all of them. Raises ValueError if the mailbox is `read_only` or a message belongs to another session.
        """
        opened = self._require_open()
        opened.connection.run(transaction.delete(opened.state, opened.numbers(messages)))

    def undelete(self, messages: Message | Iterable[Message] | None = None) -> None:
        """Remove the deletion marks of these messages, by default all (RSET, then DELE again for the rest).

        Raises `CommandError` if RSET is refused; the session has then ended without deleting anything.
        """
        opened = self._require_open()
        numbers = None if messages is None else opened.numbers(messages)
        opened.connection.run(transaction.undelete(opened.state, numbers))


def _fetch(fetch: "Fetch[Message, Connection]") -> Iterator[Message]:
    run = fetch.opened.connection.run
    try:
        while (message := fetch.ready() or run(fetch.next())) is not None:
            yield message
    finally:
        fetch.abandon()
