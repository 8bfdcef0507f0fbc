"""OpenMailbox: one session of a mailbox, its messages, and what has been read of each. Shared by both mailboxes.

Pure: whatever needs the server is a flow, which the caller runs over the session's connection. A message keeps a
reference to its `OpenMailbox`. After the mailbox has opened another session, messages of the old one still return what
was read, and reading more raises `ConnectionLost`.
"""

import os
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from pymailbox.account import Account
from pymailbox.errors import ConnectionLost, NotSupported, Uncommitted
from pymailbox.mailbox import reading, transaction
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3.flows import Flow
from pymailbox.progress import Meter, Progress

if TYPE_CHECKING:
    from pymailbox.content import Content, Headers

__all__ = ["AbstractMessage", "OpenMailbox", "mailbox_of", "warn_uncommitted"]

C = TypeVar("C")
E = TypeVar("E", bound="AbstractMessage[Any]")

_SHOWN = 60  # characters of a subject that `repr` shows


def warn_uncommitted(dropped: int, how: str, *, _warn: Callable[..., None] = warnings.warn) -> None:
    """Warn, at the line that called our caller, that the deletions of a session are dropped."""
    pending = "1 deletion" if dropped == 1 else f"{dropped} deletions"
    _warn(
        f"the mailbox was {how} with {pending} pending, so nothing was deleted; to delete, leave its `with` block or"
        " call commit(); to keep the messages, call rollback()",
        Uncommitted,
        stacklevel=3,
    )


class AbstractMessage(Generic[C]):
    """One message of a session, without I/O: its number and what has been read of it."""

    __slots__ = ("__weakref__", "_content", "_headers", "_mailbox", "_not_kept", "_number", "_raw")

    def __init__(self, mailbox: "OpenMailbox[Any, C]", number: int) -> None:
        self._mailbox = mailbox
        self._number = number
        self._headers: Headers | None = None
        self._raw: bytes | None = None
        self._content: Content | None = None
        self._not_kept: str | None = None  # the limit because of which the body is not cached: "cache" or "window"

    @property
    def number(self) -> int:
        """The server's number for the message in this session, from 1: its index in the mailbox plus one."""
        return self._number

    @property
    def deleted(self) -> bool:
        """Whether the message is marked as deleted; committing the session deletes it."""
        return self._number in self._mailbox.state.deleted

    def __repr__(self) -> str:
        words = [f"{type(self).__name__} {self.number}"]
        headers = self._mailbox.known_headers(self)
        if headers is not None:
            subject = headers.subject
            words.append(repr(subject if len(subject) <= _SHOWN else subject[:_SHOWN] + "…"))
        if self.deleted:
            words.append("deleted")
        return f"<{', '.join(words)}>"

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"{name} cannot be pickled or copied: it belongs to a session; pickle its content instead")


class OpenMailbox(Generic[E, C]):
    """One session and its messages."""

    __slots__ = (
        "_process",
        "_settled",
        "account",
        "connection",
        "drop",
        "kind",
        "state",
    )

    def __init__(
        self, connection: C, state: MailboxState[E], kind: type[E], drop: Callable[[], None], account: Account
    ) -> None:
        self._settled = False
        self._process = os.getpid()
        self.connection = connection
        self.state = state
        self.account = account
        #: The class of the messages.
        self.kind = kind
        #: Closes the connection at once without sending anything.
        self.drop = drop

    @property
    def usable(self) -> bool:
        """Whether the session can still be used."""
        return self.state.session.protocol.failure is None

    def settle(self) -> int:
        """Return how many deletions are dropped if the session ends now: once, and 0 in a forked process."""
        if self._settled or self._process != os.getpid():
            return 0
        self._settled = True
        return len(self.state.deleted)

    def __del__(self) -> None:
        dropped = self.settle()
        if dropped:
            self.drop()
            warn_uncommitted(dropped, "dropped without being closed,")

    # --- messages -----------------------------------------------------------------------------------------

    def message(self, number: int) -> E:
        """Return the message with this number, the same object as long as there is a reference to it."""
        cache = self.state.cache
        message = cache.get(number)
        if message is None:
            message = self.kind(self, number)
            cache.add(number, message)
        return message

    def owns(self, value: object) -> bool:
        """Whether `value` is a message of this session."""
        return isinstance(value, self.kind) and value._mailbox is self

    def numbers(self, messages: E | Iterable[E]) -> list[int]:
        """Return the numbers of messages of this session; TypeError or ValueError for anything else."""
        kind = self.kind
        chosen = list(messages) if isinstance(messages, Iterable) else [messages]
        for message in chosen:
            if not isinstance(message, kind):
                name = kind.__name__
                raise TypeError(f"expected a {name} or an iterable of them, got {type(message).__name__}")
            if message._mailbox is not self:
                raise ValueError(f"{message!r} belongs to another session; get it from this mailbox again")
        return [message.number for message in chosen]

    # --- cached -------------------------------------------------------------------------------------------

    def known_headers(self, message: E) -> "Headers | None":
        """Return the headers if they are known, without changing the caches."""
        if message._headers is None and message._raw is not None:
            return self._read_headers(message._raw)
        return message._headers

    def cached_headers(self, message: E) -> "Headers | None":
        """Return the headers if they are known or have been prefetched, without asking the server."""
        if message._headers is None:
            state, number = self.state, message.number
            block = message._raw
            if block is None and number not in state.deleted:
                block = state.ahead.take(number)
            if block is not None:
                message._headers = self._read_headers(block)
                state.cache.last_headers = message
        return message._headers

    def cached_raw(self, message: E) -> bytes | None:
        """Return the whole message if it is cached, and count it as just used."""
        raw = message._raw
        if raw is not None:
            self.keep(message, raw)
        return raw

    def keep(self, message: E, raw: bytes) -> None:
        """Cache a body, and drop the least recently used ones beyond `Limits.cache`."""
        cache = self.state.cache
        if message._raw is None:
            message._raw = raw
            if message._headers is not None:
                message._headers = self._read_headers(raw)  # those by TOP may differ (Q56)
        cache.last_body = message
        for other in cache.keep(message.number, len(raw)):
            other._raw = other._content = None
            other._not_kept = "cache"

    def content_of(self, message: E, raw: bytes) -> "Content":
        """Return the content of a message, parsed once."""
        content = message._content
        if content is None:
            content = message._content = self.read_content(raw)
            message._headers = content.headers
        return content

    def _has_headers(self, number: int) -> bool:
        message = self.state.cache.get(number)
        return message is not None and (message._headers is not None or message._raw is not None)

    def has_body(self, number: int) -> bool:
        message = self.state.cache.get(number)
        return message is not None and message._raw is not None

    # The parsers are imported when something is first read: an archive reads nothing.

    def read_content(self, raw: bytes) -> "Content":
        """Make a `Content` from bytes."""
        from pymailbox.content import Content

        return Content.from_bytes(raw)

    def _read_headers(self, raw: bytes) -> "Headers":
        from pymailbox.content import Headers

        return Headers.from_bytes(raw)

    # --- flows --------------------------------------------------------------------------------------------

    def ask_headers(self, message: E) -> "Flow[Headers]":
        """Ask for the headers of a message."""
        self._check_kept(message)
        block, whole = yield from reading.headers(self.state, message.number, self._has_headers)
        if whole:
            self.keep(message, block)
        headers = message._headers = self._read_headers(block)
        self.state.cache.last_headers = message
        return headers

    def ask_preview(self, message: E, lines: int) -> Flow[str]:
        """Return the readable text of the first lines of the body; from the cached message if there is one."""
        if isinstance(lines, bool) or not isinstance(lines, int):
            raise TypeError(f"lines must be a whole number, not {lines!r}")
        if lines < 0:
            raise ValueError(f"lines must be 0 or more, not {lines}")
        block = self.cached_raw(message)
        if block is None:
            self._check_kept(message)
            block, whole = yield from reading.top(self.state, message.number, lines)
            if whole:
                self.keep(message, block)
        return self.read_content(reading.first_lines(block, lines)).body  # TOP may return more lines (Q55)

    def ask_raw(self, message: E) -> Flow[bytes]:
        """Ask for the whole message; if `fetch()` was refused it, raise that refusal, once."""
        refusal = self.state.refusals.pop(message.number, None)
        if refusal is not None:
            raise refusal
        self._check_kept(message)
        self.state.cache.last_body = None  # frees memory before the download
        raw = yield from reading.body(self.state, message.number)
        self.keep(message, raw)
        return raw

    def stream(self, message: E, sink: Callable[[bytes], object]) -> Flow[int]:
        """Pass the whole message to `sink` in chunks; return its size in bytes."""
        self._check_kept(message)
        return (yield from reading.stream(self.state, message.number, sink))

    def _check_kept(self, message: E) -> None:
        """Raise, with advice, if the body was not kept and the session has ended."""
        if self.usable or message._not_kept is None:
            return
        limits = self.state.session.limits
        if message._not_kept == "cache":
            raise ConnectionLost(
                f"the body of message {message.number} was dropped to stay within Limits.cache ({limits.cache} bytes),"
                " and its session has ended; raise Limits.cache, or use each message as fetch() yields it",
                retryable=False,
            )
        raise ConnectionLost(
            f"message {message.number} is larger than Limits.window ({limits.window} bytes), so fetch() did not"
            " download it, and its session has ended; raise Limits.window, or read or save the message while the"
            " session is open",
            retryable=False,
        )

    def _check_known(self, known: object, what: str, names: str) -> None:
        """Raise, with advice, if something was never read and the session has ended."""
        failure = self.state.session.protocol.failure
        if known is None and failure is not None:
            raise ConnectionLost(
                f"the {what} read while the session was open, and it has ended ({failure}); read {names}"
                " while the session is open",
                retryable=False,
            )

    def ask_size(self, message: E) -> Flow[int | None]:
        """Return the size of a message by LIST."""
        self._check_known(self.state.sizes, "sizes were not", "inbox.sizes or message.size")
        sizes = yield from reading.sizes(self.state)
        return sizes[message.number - 1]

    def ask_uid(self, message: E) -> Flow[str | None]:
        """Return the uid of a message; `NotSupported` if the server has no UIDL."""
        known = self.state.no_uids if self.state.uids is None else self.state.uids
        self._check_known(known, "uids were not", "inbox.uids, message.uid or message.filename")
        uids = yield from reading.uids(self.state)
        return uids[message.number - 1]

    def by_uid(self, uid: str) -> Flow[E]:
        """Return the first message with this uid; KeyError if there is none."""
        uids = yield from reading.uids(self.state)
        if not uid or uid not in uids:  # a blank uid identifies nothing (Q42)
            raise KeyError(uid)
        return self.message(uids.index(uid) + 1)

    def new(self, seen: Collection[str | None]) -> Flow[tuple[E, ...]]:
        """Return the messages with no uid or one not in `seen`, in order, without the deleted ones."""
        if isinstance(seen, str | bytes):
            raise TypeError(f"seen must be a collection of uids, not one {type(seen).__name__}")
        known = seen if isinstance(seen, set | frozenset | dict) else set(seen)
        uids = yield from reading.uids(self.state)
        deleted = self.state.deleted
        return tuple(
            self.message(number)
            for number, uid in enumerate(uids, 1)
            if number not in deleted and (uid is None or uid not in known)
        )

    def ask_identity(self, message: E) -> Flow[str | None]:
        """Return the uid of a message; None if it has none, or the server has no UIDL."""
        try:
            return (yield from self.ask_uid(message))
        except NotSupported:
            return None

    def ask_filename(self, message: E) -> Flow[str]:
        """Return the file name for a copy of a message."""
        uid = yield from self.ask_identity(message)
        headers = self.cached_headers(message)
        if headers is None:
            self._check_known(None, "headers were not", "message.filename")
            headers = yield from self.ask_headers(message)
        return _filename(headers, uid)

    def filename_of(self, message: E, uid: str | None, beginning: Callable[[int], bytes]) -> str:
        """Return the same name for a message that has been written; `beginning` returns its first bytes."""
        from pymailbox.content.headers import MAX_HEADER_BYTES

        headers = self.known_headers(message)
        return _filename(self._read_headers(beginning(MAX_HEADER_BYTES)) if headers is None else headers, uid)

    def meter(self, message: E, report: Callable[[Progress], None] | None) -> Flow[tuple[Meter, int | None]]:
        """Return a meter for one message, and the expected size; ask LIST only if progress is reported."""
        Meter.check(report)
        raw = message._raw
        if report is not None and raw is None:
            yield from reading.size_hints(self.state)
        size = self.state.listed_size(message.number) if raw is None else len(raw)
        return Meter(report, (size,)), size

    def leave(self, ending: Callable[[MailboxState[E]], Flow[None]]) -> Flow[None]:
        """End the session with `transaction.commit` or `roll_back`; a broken one has no marks to remove."""
        if self.usable or ending is transaction.commit:
            yield from ending(self.state)

    def pass_over(self, message: E) -> None:
        """Record that `fetch()` yielded a message without its body, if that is larger than the window."""
        state = self.state
        if message._raw is None and state.session.limits.window < state.size_hint(message.number):
            message._not_kept = "window"

    def keep_headers(self, message: E, raw: bytes) -> None:
        """Keep the headers of a message whose body is not kept."""
        message._headers = self._read_headers(raw)


def mailbox_of(message: AbstractMessage[Any]) -> OpenMailbox[Any, Any]:
    """Return the session that a message belongs to."""
    return message._mailbox


def _filename(headers: "Headers", uid: str | None) -> str:
    from pymailbox.content.filenames import message_name

    identity = b"uid:" + uid.encode("utf-8", "surrogateescape") if uid else b"header:" + headers.lasting_fields()
    return message_name(headers.date, headers.subject, identity)
