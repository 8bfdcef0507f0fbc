"""The names under which a mail is read, defined once: `HeaderNames` and `ContentNames`.

Mixins without state: `Headers` reads itself, `Content` itself and its header, a `Message` what it asks the server for.
Only `AsyncMessage` spells the names out again, as coroutines: a type checker, `help()` and the reference need to see
the signature of a coroutine, and cannot derive it from a property. A test keeps types and docstrings equal to these.

Imports nothing that reads mail, so that a mailbox can be made without it.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage

    from .address import Address
    from .attachment import Attachment

__all__ = ["ContentNames", "HeaderNames"]


class _Header(Protocol):
    """What the names of a header are read from: `Headers`."""

    def get(self, name: str, default: str) -> str: ...
    def addresses(self, name: str) -> "tuple[Address, ...]": ...
    def _first_address(self, name: str) -> "Address | None": ...


class _Whole(Protocol):
    """What the names of a whole mail are read from: `Content`."""

    @property
    def raw(self) -> bytes: ...
    def _read_body(self) -> str: ...
    def _read_inline(self, kind: str) -> str | None: ...
    def _read_attachments(self) -> "tuple[Attachment, ...]": ...


class HeaderNames:
    """What a header says."""

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
    def message_id(self) -> str | None:
        """The Message-ID as written, with its angle brackets; None when there is none."""
        return self._get_headers().get("message-id", "") or None


class ContentNames(HeaderNames):
    """What a whole mail says."""

    __slots__ = ()

    @abstractmethod
    def _get_content(self) -> _Whole:
        """Return the content that is read."""

    @property
    def body(self) -> str:
        """What a person would read: the best of each alternative, HTML as text, flowed lines joined."""
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
    def attachments(self) -> "tuple[Attachment, ...]":
        """All parts that are not the mail's own text, decoded, in order; attached mails are one each."""
        return self._get_content()._read_attachments()

    @property
    def email(self) -> "EmailMessage":
        """The mail as the standard library parses it, again each time; may raise on mail it cannot parse."""
        import email
        import email.policy

        return email.message_from_bytes(self._get_content().raw, policy=email.policy.default)
