"""OpenMailbox: one session of a mailbox, its messages, and what has been read of each. Shared by both mailboxes.

Pure: what must be asked of the server is a flow, which the caller runs over the session's connection. A message keeps
the `OpenMailbox` it came from: when the mailbox has opened another session, messages of the old one still give what was
read, and asking for more is `ConnectionLost`.
"""

import os
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from pymailbox.errors import ConnectionLost, NotSupported, Uncommitted
from pymailbox.mailbox import reading, transaction
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3.flows import Flow
from pymailbox.progress import Meter, Progress

if TYPE_CHECKING:
    from pymailbox.content import Content, Headers

__all__ = ["AbstractMessage", "OpenMailbox", "warn_uncommitted"]

C = TypeVar("C")
E = TypeVar("E", bound="AbstractMessage[Any]")

_SHOWN = 60  # characters of a subject that `repr` shows


def warn_uncommitted(dropped: int, how: str, *, _warn: Callable[..., None] = warnings.warn) -> None:
    """Warn, where the caller was called, that the deletions of a session are dropped."""
    pending = "1 deletion" if dropped == 1 else f"{dropped} deletions"
    _warn(
        f"the mailbox was {how} with {pending} pending, so nothing was deleted: leave its `with` block or call"
        " commit() to delete, or rollback() if nothing is to be deleted",
        Uncommitted,
        stacklevel=3,
    )


class AbstractMessage(Generic[C]):
    """What is known of one message of a session: its number and what was read of it."""

    __slots__ = ("__weakref__", "_content", "_headers", "_mailbox", "_not_kept", "_number", "_raw")

    def __init__(self, mailbox: "OpenMailbox[Any, C]", number: int) -> None:
        self._mailbox = mailbox
        self._number = number
        self._headers: Headers | None = None
        self._raw: bytes | None = None
        self._content: Content | None = None
        self._not_kept: str | None = None  # why the body is not here: the limit that it was too much for

    @property
    def number(self) -> int:
        """The server's number in this session, from 1."""
        return self._number

    @property
    def deleted(self) -> bool:
        """Whether the message is marked; it goes when the session is committed."""
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
        raise TypeError(f"{name} cannot be pickled or copied: it is bound to a session; use its content")


class OpenMailbox(Generic[E, C]):
    """One session and its messages."""

    __slots__ = ("_process", "_read_headers", "_settled", "connection", "drop", "kind", "read_content", "state")

    def __init__(self, connection: C, state: MailboxState[E], kind: type[E], drop: Callable[[], None]) -> None:
        self._settled = False
        self._process = os.getpid()
        self.connection = connection
        self.state = state
        #: The class of the messages.
        self.kind = kind
        #: Closes the connection at once and says nothing.
        self.drop = drop
        # What reads mail is imported when there is a session to read from, not with this module.
        from pymailbox.content import Content, Headers

        self._read_headers = Headers.from_bytes
        #: Makes a `Content` of octets.
        self.read_content = Content.from_bytes

    @property
    def usable(self) -> bool:
        """Whether the session can still be used."""
        return self.state.session.protocol.failure is None

    def settle(self) -> int:
        """Return how many deletions are dropped if the session ends now; that is told once, and to its own process."""
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
        """Return the message of that number: the same one while anybody holds it."""
        cache = self.state.cache
        message = cache.get(number)
        if message is None:
            message = self.kind(self, number)
            cache.add(number, message)
        return message

    def owns(self, value: object) -> bool:
        """Whether this is a message of this session."""
        return isinstance(value, self.kind) and value._mailbox is self

    def numbers(self, messages: E | Iterable[E]) -> list[int]:
        """Return the numbers of messages of this session; anything else is misuse."""
        kind = self.kind
        chosen = list(messages) if isinstance(messages, Iterable) else [messages]
        for message in chosen:
            if not isinstance(message, kind):
                name = kind.__name__
                raise TypeError(f"expected a {name} or an iterable of them, not {type(message).__name__}")
            if message._mailbox is not self:
                raise ValueError(f"{message!r} belongs to another session")
        return [message.number for message in chosen]

    # --- what was read already ----------------------------------------------------------------------------------

    def known_headers(self, message: E) -> "Headers | None":
        """Return the headers where they are here already, and keep nothing that was not kept before."""
        if message._headers is None and message._raw is not None:
            return self._read_headers(message._raw)
        return message._headers

    def cached_headers(self, message: E) -> "Headers | None":
        """Return the headers where nothing need be asked for them."""
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
        """Return the whole message where nothing need be asked for it, and count it as used."""
        raw = message._raw
        if raw is not None:
            self.keep(message, raw)
        return raw

    def keep(self, message: E, raw: bytes) -> None:
        """Keep a body, and drop those used least recently beyond `Limits.cache`."""
        cache = self.state.cache
        if message._raw is None:
            message._raw = raw
            if message._headers is not None:
                message._headers = self._read_headers(raw)  # what TOP gave may differ (Q56)
        cache.last_body = message
        for other in cache.keep(message.number, len(raw)):
            other._raw = other._content = None
            other._not_kept = "cache"

    def content_of(self, message: E, raw: bytes) -> "Content":
        """Return the content of a message that was read."""
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
        """Ask for the headers and the first lines of the body, and read them; from the body once that is here."""
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
        return self.read_content(reading.first_lines(block, lines)).body  # TOP may give more than was asked (Q55)

    def ask_raw(self, message: E) -> Flow[bytes]:
        """Ask for the whole message; a refusal that `fetch()` met is raised once instead."""
        refusal = self.state.refusals.pop(message.number, None)
        if refusal is not None:
            raise refusal
        self._check_kept(message)
        self.state.cache.last_body = None  # makes room: this one is the last from now on
        raw = yield from reading.body(self.state, message.number)
        self.keep(message, raw)
        return raw

    def stream(self, message: E, sink: Callable[[bytes], object]) -> Flow[int]:
        """Hand the whole message to `sink` in chunks; return its octets."""
        self._check_kept(message)
        return (yield from reading.stream(self.state, message.number, sink))

    def _check_kept(self, message: E) -> None:
        """Say what to do where a body was not kept and the session in which to ask for it again is over."""
        if self.usable or message._not_kept is None:
            return
        limits = self.state.session.limits
        if message._not_kept == "cache":
            raise ConnectionLost(
                f"the body of message {message.number} was dropped to keep within Limits.cache ({limits.cache} bytes),"
                " and its session is over; raise Limits.cache, or use each message as fetch() yields it",
                retryable=False,
            )
        raise ConnectionLost(
            f"message {message.number} is larger than Limits.window ({limits.window} bytes), so fetch() did not"
            " download it, and its session is over; raise Limits.window, or read or save it while the session is open",
            retryable=False,
        )

    def _check_known(self, known: object, what: str, names: str) -> None:
        """Say what to do where something was never asked and the session in which to ask is over."""
        failure = self.state.session.protocol.failure
        if known is None and failure is not None:
            raise ConnectionLost(
                f"the {what} asked for while the session was open, and it is over ({failure}); read {names}"
                " while the session is open",
                retryable=False,
            )

    def ask_size(self, message: E) -> Flow[int | None]:
        """Return the size of a message by LIST."""
        self._check_known(self.state.sizes, "sizes were not", "inbox.sizes or message.size")
        sizes = yield from reading.sizes(self.state)
        return sizes[message.number - 1]

    def ask_uid(self, message: E) -> Flow[str | None]:
        """Return the uid of a message; `NotSupported` where the server has none."""
        known = self.state.no_uids if self.state.uids is None else self.state.uids
        self._check_known(known, "uids were not", "inbox.uids, message.uid or message.filename")
        uids = yield from reading.uids(self.state)
        return uids[message.number - 1]

    def by_uid(self, uid: str) -> Flow[E]:
        """Return the first message with that uid; KeyError if there is none."""
        uids = yield from reading.uids(self.state)
        if not uid or uid not in uids:  # a blank one names nothing (Q42)
            raise KeyError(uid)
        return self.message(uids.index(uid) + 1)

    def new(self, seen: Collection[str | None]) -> Flow[tuple[E, ...]]:
        """Return the messages whose uid is not in `seen`, in order, and those without a uid; not the deleted ones."""
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
        """Return the uid of a message; None where it has none, or the server has none at all."""
        try:
            return (yield from self.ask_uid(message))
        except NotSupported:
            return None

    def ask_filename(self, message: E) -> Flow[str]:
        """Return the name for a copy of a message."""
        uid = yield from self.ask_identity(message)
        headers = self.cached_headers(message)
        if headers is None:
            self._check_known(None, "headers were not", "message.filename")
            headers = yield from self.ask_headers(message)
        return _filename(headers, uid)

    def filename_of(self, message: E, uid: str | None, beginning: Callable[[int], bytes]) -> str:
        """Return the same name where the message has arrived, and `beginning` gives its first bytes."""
        from pymailbox.content.headers import MAX_OCTETS

        headers = self.known_headers(message)
        return _filename(self._read_headers(beginning(MAX_OCTETS)) if headers is None else headers, uid)

    def meter(self, message: E, report: Callable[[Progress], None] | None) -> Flow[tuple[Meter, int | None]]:
        """Return what counts the bytes of one message, and its size; LIST is asked where somebody wants to know."""
        Meter.check(report)
        raw = message._raw
        if report is not None and raw is None:
            yield from reading.size_hints(self.state)
        size = self.state.listed_size(message.number) if raw is None else len(raw)
        return Meter(report, (size,)), size

    def leave(self, ending: Callable[[MailboxState[E]], Flow[None]]) -> Flow[None]:
        """End the session by `transaction.commit` or `roll_back`; a dead one has no marks to take back."""
        if self.usable or ending is transaction.commit:
            yield from ending(self.state)

    def pass_over(self, message: E) -> None:
        """Take note that `fetch()` passed a message without its body, where that was too large."""
        state = self.state
        if message._raw is None and state.session.limits.window < state.size_hint(message.number):
            message._not_kept = "window"

    def keep_headers(self, message: E, raw: bytes) -> None:
        """Keep the headers of a body that is not kept itself."""
        message._headers = self._read_headers(raw)


def _filename(headers: "Headers", uid: str | None) -> str:
    from pymailbox.content.filenames import message_name

    identity = b"uid:" + uid.encode("utf-8", "surrogateescape") if uid else b"header:" + headers.lasting_fields()
    return message_name(headers.date, headers.subject, identity)
