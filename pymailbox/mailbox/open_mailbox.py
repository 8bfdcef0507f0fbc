"""OpenMailbox: one session of a mailbox, its messages, and what has been read of each. Shared by both mailboxes.

Pure: whatever needs the server is a flow, which the caller runs over the session's connection. A message keeps a
reference to its `OpenMailbox`. After the mailbox has opened another session, messages of the old one still return what
was read, and reading more raises `ConnectionLost`.
"""

import os
import warnings
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from pymailbox.account import Account
from pymailbox.display import EDGE
from pymailbox.errors import CommandError, ConnectionLost, NotSupported, Uncommitted
from pymailbox.mailbox import reading, transaction
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3.flows import Flow
from pymailbox.progress import Meter, Progress

if TYPE_CHECKING:
    from pymailbox.content import Content, Headers

__all__ = ["AbstractMessage", "OpenMailbox", "mailbox_of", "warn_uncommitted"]

C = TypeVar("C")
E = TypeVar("E", bound="AbstractMessage[Any]")

_SOME = 500  # messages that are made before references to dead ones may be swept out
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


class _Body:
    """What is known of the body of a message."""

    __slots__ = ("content", "not_kept", "raw")

    def __init__(self, raw: bytes | None = None, not_kept: str | None = None) -> None:
        self.raw = raw
        self.content: Content | None = None
        self.not_kept = not_kept  # the limit because of which it is not cached: "cache" or "window"


class AbstractMessage(Generic[C]):
    """One message of a session, without I/O: its number and what has been read of it."""

    # There is no `__init__`: `OpenMailbox.messages` sets these, as a list of 100,000 messages must not take long.
    __slots__ = ("__weakref__", "_body", "_headers", "_mailbox", "_number")

    _mailbox: "OpenMailbox[Any, C]"
    _number: int
    _headers: "Headers | None"
    _body: "_Body | None"

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
        "_read_headers",
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
        from pymailbox.content import Headers  # once there is a session to read from

        self._read_headers = Headers.from_bytes

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
        return next(self.messages((number,)))

    def messages(self, numbers: Iterable[int]) -> Iterator[E]:
        """Yield the messages with these numbers, the same objects as long as there are references to them."""
        cache, kind, refer = self.state.cache, self.kind, weakref.ref
        refs, numbers = cache.refs, iter(numbers)
        known = refs.get
        while some := list(islice(numbers, _SOME)):
            if len(refs) + len(some) > cache.room:
                cache.sweep()
            for number in some:
                if (ref := known(number)) is None or (message := ref()) is None:
                    message = kind()
                    message._mailbox = self
                    message._number = number
                    message._headers = message._body = None
                    if ref is not None:
                        cache.forget(number)
                    refs[number] = refer(message)
                yield message

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
        raw = self.raw_of(message)
        return self._read_headers(raw) if message._headers is None and raw is not None else message._headers

    def cached_headers(self, message: E) -> "Headers | None":
        """Return the headers if they are known or have been prefetched, without asking the server."""
        if message._headers is None:
            state, number = self.state, message.number
            block = self.raw_of(message)
            if block is None and number not in state.deleted:
                block = state.ahead.take(number)
            if block is not None:
                self._learn_headers(message, self._read_headers(block))
                state.cache.last_headers = message
        return message._headers

    def cached_raw(self, message: E) -> bytes | None:
        """Return the whole message if it is cached, and count it as just used."""
        raw = self.raw_of(message)
        if raw is not None:
            self.keep(message, raw)
        return raw

    def raw_of(self, message: E) -> bytes | None:
        """Return the whole message if it is cached."""
        return message._body.raw if message._body is not None else None

    def keep(self, message: E, raw: bytes) -> None:
        """Cache a body, and drop the least recently used ones beyond `Limits.cache`."""
        cache = self.state.cache
        if self.raw_of(message) is None:
            message._body = _Body(raw)
            if message._headers is not None:
                self._learn_headers(message, self._read_headers(raw))  # those by TOP may differ (Q56)
            elif self._is_shown(message.number):
                self._keep_outline(message.number, self._read_headers(raw))
        cache.last_body = message
        for other in cache.keep(message.number, len(raw)):
            other._body = _Body(not_kept="cache")

    def read_content(self, raw: bytes) -> "Content":
        """Return what a person reads in these bytes."""
        from pymailbox.content import Content  # not before the first: a list of subjects needs none of it

        return Content.from_bytes(raw)

    def _learn_headers(self, message: E, headers: "Headers") -> None:
        message._headers = headers
        if self._is_shown(message.number):
            self._keep_outline(message.number, headers)

    def _keep_outline(self, number: int, headers: "Headers") -> None:
        self.state.outline[number] = headers.excerpt("date", "from", "subject", "content-type")

    def _is_shown(self, number: int) -> bool:
        """Whether a table in a notebook has a row for this message: it is one of the first or the last."""
        return number <= EDGE or number > self.state.count - EDGE

    def content_of(self, message: E, raw: bytes) -> "Content":
        """Return the content of a message, parsed once."""
        body = message._body
        if body is not None and body.content is not None:
            return body.content
        content = self.read_content(raw)
        if body is not None:
            body.content = content
        message._headers = content.headers
        return content

    def _has_headers(self, number: int) -> bool:
        message = self.state.cache.get(number)
        return message is not None and (message._headers is not None or self.raw_of(message) is not None)

    def has_body(self, number: int) -> bool:
        message = self.state.cache.get(number)
        return message is not None and self.raw_of(message) is not None

    # --- flows --------------------------------------------------------------------------------------------

    def ask_headers(self, message: E) -> "Flow[Headers]":
        """Ask for the headers of a message."""
        self._check_kept(message)
        block, whole = yield from reading.headers(self.state, message.number, self._has_headers)
        if whole:
            self.keep(message, block)
        headers = self._read_headers(block)
        self._learn_headers(message, headers)
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
        not_kept = message._body.not_kept if message._body is not None else None
        if self.usable or not_kept is None:
            return
        limits = self.state.session.limits
        if not_kept == "cache":
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
        new = [
            number for number, uid in enumerate(uids, 1) if number not in deleted and (uid is None or uid not in known)
        ]
        return tuple(self.messages(new))

    def ask_identity(self, message: E) -> Flow[str | None]:
        """Return the uid of a message; None if it has none, or the server has no UIDL."""
        try:
            return (yield from self.ask_uid(message))
        except NotSupported:
            return None

    def ask_record(self, message: E) -> Flow[dict[str, Any]]:
        """Return what is known of a message without its body, as plain data; a refusal is its `error`."""
        from pymailbox.content.headers import header_record

        uid = yield from self.ask_identity(message)
        size = yield from self.ask_size(message)
        headers, error = self.cached_headers(message), None
        if headers is None:
            try:
                headers = yield from self.ask_headers(message)
            except CommandError as refused:
                error = str(refused)
        return {
            "number": message.number,
            "uid": uid,
            "size": size,
            "deleted": message.deleted,
            **header_record(headers),
            "error": error,
        }

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
        raw = self.raw_of(message)
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
        if self.raw_of(message) is None and state.session.limits.window < state.size_hint(message.number):
            message._body = _Body(not_kept="window")

    def keep_headers(self, message: E, raw: bytes) -> None:
        """Keep the headers of a message whose body is not kept."""
        self._learn_headers(message, self._read_headers(raw))


def mailbox_of(message: AbstractMessage[Any]) -> OpenMailbox[Any, Any]:
    """Return the session that a message belongs to."""
    return message._mailbox


def _filename(headers: "Headers", uid: str | None) -> str:
    from pymailbox.content.filenames import message_name

    identity = b"uid:" + uid.encode("utf-8", "surrogateescape") if uid else b"header:" + headers.lasting_fields()
    return message_name(headers.date, headers.subject, identity)
