"""Owns the reading of a whole mail: `Content`, every reading name over its octets, computed when asked and kept.

Offline and pure. No accessor but `email` raises, whatever the octets are: what had to be mended or passed over is
listed in `defects`.
"""

from typing import TYPE_CHECKING, Self

from attrs import define, field

from .address import Address
from .attachment import Attachment
from .body import decode_leaf, leaves, read_attachment, read_body, read_text
from .charset import useful_codecs
from .headers import MAX_OCTETS, Headers
from .tree import Part, parse

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage

__all__ = ["Content"]


@define(eq=False, repr=False)
class Content:
    """Read a mail: its header, its text, what is attached.

    >>> content = Content.from_bytes(b"Subject: Lunch\\r\\nFrom: Ann <ann@example.com>\\r\\n\\r\\nAt noon?\\r\\n")
    >>> content.subject, str(content.from_), content.text
    ('Lunch', 'Ann <ann@example.com>', 'At noon?\\n')
    """

    raw: bytes
    _headers: Headers | None = field(default=None, init=False)
    _tree: Part | None = field(default=None, init=False)
    _octets: bytes = field(default=b"", init=False)  # what the positions of the tree mean
    _structure_defects: list[str] = field(factory=list, init=False)
    _text: str | None = field(default=None, init=False)
    _attachments: tuple[Attachment, ...] | None = field(default=None, init=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Take a mail as it was sent, whole or cut off (by TOP); nothing is read yet."""
        return cls(bytes(raw))

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, Content) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.raw)

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return Content.from_bytes, (self.raw,)

    def __repr__(self) -> str:
        return f"<Content: {len(self.raw)} octets, subject {self.subject[:60]!a}>"

    @property
    def headers(self) -> Headers:
        """The header."""
        if self._headers is None:
            self._headers = Headers.from_bytes(self.raw)
        return self._headers

    @property
    def subject(self) -> str:
        """The Subject, decoded; "" when there is none."""
        return self.headers.subject

    @property
    def from_(self) -> Address | None:
        """The first address of From; None when there is none."""
        return self.headers.from_

    @property
    def to(self) -> tuple[Address, ...]:
        """The addresses of To."""
        return self.headers.to

    @property
    def cc(self) -> tuple[Address, ...]:
        """The addresses of Cc."""
        return self.headers.cc

    @property
    def bcc(self) -> tuple[Address, ...]:
        """The addresses of Bcc."""
        return self.headers.bcc

    @property
    def reply_to(self) -> tuple[Address, ...]:
        """The addresses of Reply-To."""
        return self.headers.reply_to

    @property
    def date(self) -> "datetime | None":
        """The Date, always aware; None when there is none or it is no date."""
        return self.headers.date

    @property
    def date_str(self) -> str:
        """The Date as written; "" when there is none."""
        return self.headers.date_str

    @property
    def message_id(self) -> str | None:
        """The Message-ID as written, with its angle brackets; None when there is none."""
        return self.headers.message_id

    @property
    def text(self) -> str | None:
        """The inline text/plain parts in order, joined by a blank line; None when there is none."""
        return self._join("plain")

    @property
    def html(self) -> str | None:
        """The inline text/html parts in order, joined by a blank line; None when there is none."""
        return self._join("html")

    @property
    def body(self) -> str:
        """What a person would read: the best of each alternative, HTML as text, flowed lines joined."""
        root = self._parts()
        return read_body(self._octets, root, self._charsets(root))

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Every part that is not the mail's own text, decoded, in order; attached mails are one each."""
        if self._attachments is None:
            root = self._parts()
            self._attachments = tuple(
                [read_attachment(self._octets, part, []) for part in leaves(root) if part.kind == "attachment"]
            )
        return self._attachments

    @property
    def email(self) -> "EmailMessage":
        """The mail as the standard library parses it, anew each time; may raise on mail it cannot parse."""
        import email
        import email.policy

        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def defects(self) -> tuple[str, ...]:
        """What had to be mended or passed over to read the whole mail, in plain words; decodes every part."""
        root = self._parts()
        hints = self._charsets(root)
        found = list(self._structure_defects)
        for part in leaves(root):
            if part.kind == "attachment":
                decode_leaf(self._octets, part, found)
            else:
                read_text(self._octets, part, hints, found)
        return tuple(dict.fromkeys(found))

    def _parts(self) -> Part:
        if self._tree is None:
            octets = self.raw
            if octets.find(b"\n", 0, MAX_OCTETS) < 0:  # line ends of old: CR alone
                octets = octets.replace(b"\r", b"\n")
            self._octets = octets
            self._tree = parse(octets, self._structure_defects)
        return self._tree

    def _join(self, kind: str) -> str | None:
        root = self._parts()
        hints = self._charsets(root)
        texts = [read_text(self._octets, part, hints, []) for part in leaves(root) if part.kind == kind]
        if len(texts) < 2:
            return texts[0] if texts else None
        return "\n\n".join([text.strip("\n") for text in texts])

    def _charsets(self, root: Part) -> tuple[str, ...]:
        """Name the charsets that the parts declare, for those that declare none."""
        return useful_codecs(filter(None, [part.parameters.get("charset") for part in leaves(root)]))
