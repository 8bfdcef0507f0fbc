"""Seen: the messages of mailboxes, and which of them were handled, for programs that want each message once.

It holds the file and its lock, and joins the rows of an account to the messages of a session.
"""

import contextlib
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload
from weakref import WeakKeyDictionary

from attrs import define, field

from pymailbox.account import Account, account_name
from pymailbox.disk import Disk, disk_errors
from pymailbox.display import type_name
from pymailbox.errors import CommandError, UidsChanged
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.mailbox.message import Message
from pymailbox.mailbox.open_mailbox import AbstractMessage, mailbox_of
from pymailbox.mailbox.state import MailboxState
from pymailbox.seen.file import SeenFile, prepared
from pymailbox.seen.messages import Listing, SeenMessages

if TYPE_CHECKING:
    from pymailbox.mailbox.async_mailbox import AsyncMailbox
    from pymailbox.mailbox.async_message import AsyncMessage

__all__ = ["Seen"]


@define(eq=False)
class _Session:
    """The messages of one session, as they were listed."""

    _account: SeenMessages
    #: The numbers of those that are marked as deleted now.
    _deleted: Collection[int]
    _listing: Listing
    #: The ids of their rows, by position.
    _ids: Sequence[int | None]
    #: The numbers of those without a uid that were added.
    added: set[int]
    _shared: set[tuple[str | None, int | None]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._shared = {one for one, times in Counter(self._listing).items() if times > 1}

    def handled(self, number: int) -> tuple[int | None, str | None, int | None]:
        """Return what `SeenMessages.mark` takes for a message."""
        row, (uid, size) = self._ids[number - 1], self._listing[number - 1]
        # Without its row, uid and size must not stand for the other message that has them.
        return row, None if (uid, size) in self._shared else uid, size

    def depart(self) -> None:
        """Remember which messages were marked as deleted."""
        self._account.depart(self._ids[number - 1] for number in tuple(self._deleted))

    def has_uid(self, number: int) -> bool:
        """Whether a message has a uid."""
        return self._listing[number - 1][0] is not None


class Seen:
    """A file that remembers which messages were handled, for programs that want each message once.

    `new` returns the messages that were not added, and `add` adds one when it has been handled. A message that was
    handed out and not added, because the program failed or was killed, is handed out again. One file serves any number
    of accounts. Use it in a `with` block, which holds a lock: meanwhile another one for the same file gets
    `ArchiveLocked`. Threads may share it.

    `path` may begin with `~`; the file and missing directories are made, for their owner only. Entering the block
    raises `LedgerDamaged` if the file is damaged, not such a file, or written by a newer version.

    >>> import tempfile
    >>> from pymailbox import Mailbox, Seen
    >>> from pymailbox.testing import Server
    >>> with tempfile.TemporaryDirectory() as directory, Server([b"Subject: one\\r\\n\\r\\n1\\r\\n"]) as server:
    ...     for run in ("first", "second"):
    ...         with Seen(f"{directory}/me.seen") as seen, Mailbox.from_url(server.url, "secret") as inbox:
    ...             for message in seen.new(inbox):
    ...                 print(run, message.subject)
    ...                 seen.add(message)
    first one
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not os.fspath(path):
            raise ValueError("path must not be empty; it is the name of a file, such as '~/.local/state/me.seen'")
        self._path: Path | None = _absolute(os.fsdecode(path))
        self._locked = True
        self._disk = Disk()
        self._clock: Callable[[], float] = time.time
        self._file: SeenFile | None = None
        self._ending = contextlib.ExitStack()
        self._guard = threading.RLock()
        self._accounts: dict[str, SeenMessages] = {}
        self._sessions: WeakKeyDictionary[MailboxState[Any], _Session] = WeakKeyDictionary()
        self._latest: dict[SeenMessages, _Session] = {}

    @classmethod
    def in_memory(cls) -> Self:
        """Make one without a file and without a lock; for the package itself."""
        seen = cls("memory")
        seen._path = None
        return seen

    @classmethod
    def unlocked(cls, path: str | os.PathLike[str]) -> Self:
        """Make one that is only read, at once, whoever writes to the file; for the package itself."""
        seen = cls(path)
        seen._locked = False
        return seen

    def __repr__(self) -> str:
        return f"<Seen {'in memory' if self._path is None else repr(str(self._path))}>"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self._path is not None:
                stack.enter_context(disk_errors(self._path))
                if self._locked:
                    stack.enter_context(prepared(self._path, self._disk))
                elif not self._path.exists():
                    raise ValueError(f"there is no file of seen messages at {str(self._path)!r}")
            file = stack.enter_context(SeenFile(self._path))
            self._ending = stack.pop_all()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            try:
                for session in self._latest.values() if error is None else ():
                    session.depart()
            finally:
                self._file = None
                for known in (self._accounts, self._sessions, self._latest):
                    known.clear()
                self._ending.close()

    @overload
    def new(self, inbox: Mailbox, *, renumbered: bool = False) -> tuple[Message, ...]: ...
    @overload
    def new(self, inbox: "AsyncMailbox", *, renumbered: bool = False) -> "Awaitable[tuple[AsyncMessage, ...]]": ...
    def new(
        self, inbox: "Mailbox | AsyncMailbox", *, renumbered: bool = False
    ) -> "tuple[Message, ...] | Awaitable[tuple[AsyncMessage, ...]]":
        """Return the messages of `inbox` that were not added, in order; await it for an `AsyncMailbox`.

        Messages marked as deleted are skipped, and messages without a uid are always returned, as in `Mailbox.new`. A
        uid counts for messages of one size: another message under the uid of one that was added is returned. The file
        remembers the listing; messages that were added are forgotten when listings have lacked them for 30 days.

        Raises `UidsChanged` if the server has given new uids to messages that it had listed before; nothing is then
        changed in the file. With `renumbered=True`, such messages stay added under their new uids, and those that
        cannot be recognised are returned. Costs one UIDL and one LIST, once per session. Raises `NotSupported` if the
        server has no UIDL, and `TemporaryFailure` if it refuses UIDL temporarily; a refused LIST only leaves the sizes
        unknown, and an unknown size fits any.
        """
        if not isinstance(renumbered, bool):
            raise TypeError(f"renumbered must be True or False, not {renumbered!r}")
        self._require_open()
        if isinstance(inbox, Mailbox):
            uids = inbox.uids
            sizes: tuple[int | None, ...] = (None,) * len(uids)
            with contextlib.suppress(CommandError):
                sizes = inbox.sizes
            deleted = {message.number for message in inbox.deleted}
            numbers = self._new(inbox, tuple(zip(uids, sizes, strict=True)), renumbered)
            return tuple(inbox[number - 1] for number in numbers if number not in deleted)
        from pymailbox.mailbox.async_mailbox import AsyncMailbox

        if not isinstance(inbox, AsyncMailbox):
            raise TypeError(f"inbox must be a Mailbox or an AsyncMailbox, not {type_name(inbox)}")
        return self._new_async(inbox, renumbered)

    async def _new_async(self, inbox: "AsyncMailbox", renumbered: bool) -> "tuple[AsyncMessage, ...]":
        import asyncio

        uids = await inbox.uids()
        sizes: tuple[int | None, ...] = (None,) * len(uids)
        with contextlib.suppress(CommandError):
            sizes = await inbox.sizes()
        deleted = {message.number for message in inbox.deleted}
        # The disk must not stop the event loop.
        numbers = await asyncio.to_thread(self._new, inbox, tuple(zip(uids, sizes, strict=True)), renumbered)
        return tuple(inbox[number - 1] for number in numbers if number not in deleted)

    def _new(self, inbox: "Mailbox | AsyncMailbox", listing: Listing, renumbered: bool) -> list[int]:
        with self._guard:
            messages = self.of(inbox.account)
            if messages in self._latest:
                self._latest.pop(messages).depart()
            changed = messages.may_be_renumbered(listing)
            if changed and not renumbered:
                raise UidsChanged(
                    f"the server has given new uids to all messages of {account_name(inbox.account)}, which seem to be"
                    " those that it had before; nothing was changed. To recognise them by their sizes, call"
                    " new(inbox, renumbered=True)"
                )
            ids = messages.remember(listing, renumbered=changed)
            numbers = messages.waiting(ids)
            if not listing:
                return numbers
            state = mailbox_of(inbox[0]).state
            earlier = self._sessions.get(state)
            session = _Session(messages, state.deleted, listing, ids, earlier.added if earlier else set())
            self._sessions[state] = self._latest[messages] = session
            return [number for number in numbers if number not in session.added]

    def add(self, messages: "Message | AsyncMessage | Iterable[Message | AsyncMessage]") -> None:
        """Remember that messages were handled: `new` does not return them any more. On disk when it returns.

        `messages` is one message or an iterable of them, which are added in one go; an iterable is much faster than
        one call for each. The session may have ended, and `new` need not have returned the message; then its uid must
        be known, or can be asked for (one UIDL). A message without a uid is remembered until its session ends, no
        longer. Nothing of a message is downloaded.
        """
        self._require_open()
        chosen = list(messages) if isinstance(messages, Iterable) else [messages]
        for message in chosen:
            if not isinstance(message, AbstractMessage):
                raise TypeError(f"expected a message or an iterable of messages, got {type_name(message)}")
        with self._guard:
            handled: defaultdict[SeenMessages, list[tuple[int | None, str | None, int | None]]] = defaultdict(list)
            without_uid: list[tuple[_Session, int]] = []
            for message in chosen:
                opened = mailbox_of(message)
                account = self.of(opened.account)
                session = self._sessions.get(opened.state) or self._listed(account, message)
                handled[account].append(session.handled(message.number))
                if not session.has_uid(message.number):
                    without_uid.append((session, message.number))
            for account, those in handled.items():
                account.mark(those)
            for session, number in without_uid:
                session.added.add(number)

    def _listed(self, account: SeenMessages, message: "Message | AsyncMessage") -> _Session:
        """Learn the session of a message that `new` has not listed."""
        state = mailbox_of(message).state
        if state.uids is None:
            if not isinstance(message, Message):
                raise ValueError("the uids of this session are not known; await seen.new(inbox) or inbox.uids() before")
            _ = message.uid  # one UIDL for all of them
        uids = state.uids or ()
        listing = tuple(zip(uids, state.sizes or (None,) * len(uids), strict=True))
        # Whether all uids have changed is for `new` to say, by what was listed before.
        ids = [None] * len(listing) if account.all_new(listing) else account.remember(listing)
        session = self._sessions[state] = _Session(account, state.deleted, listing, ids, set())
        return session

    def of(self, account: Account) -> SeenMessages:
        """Return what was seen of an account; for the package itself."""
        with self._guard:
            self._require_open()
            name = account_name(account)
            if name not in self._accounts:
                self._accounts[name] = SeenMessages(name, self._opened, self._now)
            return self._accounts[name]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[SeenFile]:
        """Have the file for one thread during the block."""
        with self._guard, contextlib.nullcontext() if self._path is None else disk_errors(self._path):
            yield self._require_open()

    def _now(self) -> int:
        return int(self._clock())

    def _require_open(self) -> SeenFile:
        if self._file is None:
            raise ValueError("the file of seen messages is not open; use `with Seen(path) as seen:`")
        return self._file


def _absolute(path: str) -> Path:
    """Return the file that a path leads to: links are followed, so that two names of one file have one lock."""
    if "\0" in path:
        raise ValueError("path must not contain NUL")
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"path begins with ~, and no home directory is known: {path!r}") from None
    return Path(os.path.realpath(expanded))
