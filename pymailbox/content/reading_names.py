"""The names that read a message, defined once: `HeaderNames` and `ContentNames`.

Mixins without state: `Headers` reads itself, `Content` itself and its header, and a `Message` asks the server.
Only `AsyncMessage` repeats the names, as coroutines: a type checker, `help()` and the reference need to see the
signature of a coroutine, and cannot derive it from a property. A test keeps types and docstrings equal to these.

Imports nothing that reads mail, so that a mailbox can be made without it.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage

    from .address import Address

__all__ = ["ContentNames", "HeaderNames"]

#: `Attachment`: it is defined beside `Content`, as each may hold the other, and `Content` inherits from this module.
AttachmentT = TypeVar("AttachmentT")
AttachmentT_co = TypeVar("AttachmentT_co", covariant=True)


class _Header(Protocol):
    """What the names of a header are read from: `Headers`."""

    def get(self, name: str, default: str) -> str: ...
    def get_all(self, name: str) -> tuple[str, ...]: ...
    def addresses(self, name: str) -> "tuple[Address, ...]": ...
    def _first_address(self, name: str) -> "Address | None": ...


class _Whole(Protocol[AttachmentT_co]):
    """What the names of a whole message are read from: `Content`."""

    @property
    def raw(self) -> bytes: ...
    def _read_body(self) -> str: ...
    def _read_inline(self, kind: str) -> str | None: ...
    def _read_links(self) -> tuple[str, ...]: ...
    def _read_attachments(self) -> tuple[AttachmentT_co, ...]: ...


class HeaderNames:
    """What can be read from a header."""

    __slots__ = ()

    @abstractmethod
    def _get_headers(self) -> _Header:
        """Return the headers that are read."""

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
        from .dates import parse_date

        return parse_date(self.date_str)

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
    """What can be read from a whole message."""

    __slots__ = ()

    @abstractmethod
    def _get_content(self) -> _Whole[AttachmentT]:
        """Return the content that is read."""

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
        """The URLs in the text and behind the links of the HTML, in order, each once."""
        return self._get_content()._read_links()

    @property
    def attachments(self) -> tuple[AttachmentT, ...]:
        """All parts that are not the message's own text, decoded, in order; an attached message is one of them."""
        return self._get_content()._read_attachments()

    @property
    def email(self) -> "EmailMessage":
        """The message as the standard library parses it, anew each time; its own methods may raise on a damaged one.

        A message that the standard library cannot parse, such as thousands of multiparts in each other, has its body as
        one string.
        """
        from email.parser import BytesParser
        from email.policy import default

        raw = self._get_content().raw
        try:
            return BytesParser(policy=default).parsebytes(raw)
        except Exception:  # RecursionError, and whatever its readers of structured fields do not foresee
            return BytesParser(policy=default).parsebytes(raw, headersonly=True)
