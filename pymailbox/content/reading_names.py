"""Reading names: the properties that read a message, defined once as the mixins `HeaderNames` and `ContentNames`.

The mixins have no state: `Headers` reads itself, `Content` reads itself and its header, and `Message` asks the server.
Only `AsyncMessage` repeats the names, as coroutines: a type checker, `help()` and the reference need to see the
signature of a coroutine, and cannot derive it from a property. A test keeps types and docstrings equal to these.

This module imports nothing that reads mail, so a mailbox can be created without it.
"""

import re
from abc import abstractmethod
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from email.message import EmailMessage

    from .address import Address

__all__ = ["ContentNames", "HeaderNames"]

# The standard library reads these while it parses, in time that grows with the square of their length: 2 s for 16 KiB.
_MIME_FIELD = re.compile(
    rb"^(?:content-type|content-transfer-encoding|mime-version)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*",
    re.IGNORECASE | re.MULTILINE,
)
MAX_SQUARES = 4096 * 4096  # of the lengths of long ones

#: Stands for `Attachment`, which cannot be imported here: its module imports this one.
AttachmentT = TypeVar("AttachmentT")
AttachmentT_co = TypeVar("AttachmentT_co", covariant=True)


@cache
def _date_parser() -> "Callable[[str], datetime | None]":
    """Import the parser of dates with the first date; an import statement takes a microsecond each time."""
    from .dates import parse_date

    return parse_date


class _Header(Protocol):
    """What `HeaderNames` reads: `Headers`."""

    def get(self, name: str, default: str) -> str: ...
    def get_all(self, name: str) -> tuple[str, ...]: ...
    def addresses(self, name: str) -> "tuple[Address, ...]": ...
    def _first_address(self, name: str) -> "Address | None": ...


class _Whole(Protocol[AttachmentT_co]):
    """What `ContentNames` reads: `Content`."""

    @property
    def raw(self) -> bytes: ...
    def _read_body(self) -> str: ...
    def _read_inline(self, kind: str) -> str | None: ...
    def _read_links(self) -> tuple[str, ...]: ...
    def _read_attachments(self) -> tuple[AttachmentT_co, ...]: ...


class HeaderNames:
    """The properties that read a header."""

    __slots__ = ()

    @abstractmethod
    def _get_headers(self) -> _Header:
        """Return the header to read."""

    @property
    def subject(self) -> str:
        """The Subject, decoded; "" when there is none."""
        return self._get_headers().get("subject", "")

    @property
    def from_(self) -> "Address | None":
        """The first address of From, or the name there without an address; None when there is none."""
        return self._get_headers()._first_address("from")

    @property
    def sender(self) -> "Address | None":
        """The address of Sender, who sent the message for the author in From; None when there is none."""
        return self._get_headers()._first_address("sender")

    @property
    def to(self) -> "tuple[Address, ...]":
        """The addresses of To."""
        return self._get_headers().addresses("to")

    @property
    def cc(self) -> "tuple[Address, ...]":
        """The addresses of Cc."""
        return self._get_headers().addresses("cc")

    @property
    def bcc(self) -> "tuple[Address, ...]":
        """The addresses of Bcc."""
        return self._get_headers().addresses("bcc")

    @property
    def reply_to(self) -> "tuple[Address, ...]":
        """The addresses of Reply-To."""
        return self._get_headers().addresses("reply-to")

    @property
    def date(self) -> "datetime | None":
        """The Date, always aware; None when there is none or it is not a date."""
        return _date_parser()(self.date_str)

    @property
    def date_str(self) -> str:
        """The Date as written; "" when there is none."""
        return self._get_headers().get("date", "")

    @property
    def received(self) -> "datetime | None":
        """When the last server received it, always aware: the date of the topmost Received; None if it has none."""
        from .received import parse_hop

        return parse_hop(self._get_headers().get("received", "")).date

    @property
    def message_id(self) -> str | None:
        """The identifier in Message-ID, as `<id>`; None when there is none."""
        from .identifiers import message_ids

        return next(iter(message_ids(self._get_headers().get("message-id", ""))), None)

    @property
    def in_reply_to(self) -> tuple[str, ...]:
        """The identifiers in In-Reply-To, each as `<id>`: the messages this one answers."""
        from .identifiers import message_ids

        return message_ids(" ".join(self._get_headers().get_all("in-reply-to")))

    @property
    def references(self) -> tuple[str, ...]:
        """The identifiers in References, each as `<id>`: the thread up to this message, the oldest first."""
        from .identifiers import message_ids

        return message_ids(" ".join(self._get_headers().get_all("references")))


class ContentNames(HeaderNames, Generic[AttachmentT]):
    """The properties that read a whole message."""

    __slots__ = ()

    @abstractmethod
    def _get_content(self) -> _Whole[AttachmentT]:
        """Return the content to read."""

    @property
    def body(self) -> str:
        """The text a person would read: the best of each alternative, HTML as text, flowed lines joined."""
        return self._get_content()._read_body()

    @property
    def text(self) -> str | None:
        """The inline text/plain parts in order, joined by a blank line; None when there is none."""
        return self._get_content()._read_inline("plain")

    @property
    def html(self) -> str | None:
        """The inline text/html parts in order, joined by a blank line; None when there is none."""
        return self._get_content()._read_inline("html")

    @property
    def links(self) -> tuple[str, ...]:
        """The URLs in the text and the targets of the links in the HTML, in order, each once."""
        return self._get_content()._read_links()

    @property
    def attachments(self) -> tuple[AttachmentT, ...]:
        """All parts that are not the message's own text, decoded, in order; an attached message is one of them."""
        return self._get_content()._read_attachments()

    @property
    def email(self) -> "EmailMessage":
        """The message as parsed by the standard library, on each access; its methods may raise for a damaged message.

        If the standard library cannot parse it, for example thousands of nested multiparts, or its MIME fields are so
        long that this would take seconds, the body is one string.
        """
        from email.message import EmailMessage
        from email.parser import BytesParser
        from email.policy import compat32, default

        raw = self._get_content().raw
        if not _has_long_fields(raw):
            with suppress(Exception):  # RecursionError, and whatever its parsers of structured fields raise on damage
                return BytesParser(policy=default).parsebytes(raw)
        parser = BytesParser(EmailMessage, policy=compat32)  # does not use them
        message = cast("EmailMessage", parser.parsebytes(raw, headersonly=True))
        message.policy = default
        return message


def _has_long_fields(raw: bytes) -> bool:
    """Return whether the standard library takes seconds for the MIME fields: the square of their length."""
    spans = [match.end() - match.start() for match in _MIME_FIELD.finditer(raw)]
    return sum([length * length for length in spans if length > 1000]) > MAX_SQUARES
