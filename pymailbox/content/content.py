"""Content: a whole message read from its bytes, with its text and its `Attachment`s.

Offline and pure. Nothing raises, whatever the bytes are: whatever had to be repaired or skipped is listed in `defects`.
File names in a message are untrusted: see `filenames` and `saving`.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from attrs import define, field, frozen

from .body import decode_leaf, decode_text, read_body, read_links, read_text
from .charset import useful_codecs
from .comments import without_comments
from .filenames import safe_name
from .headers import Headers, checked_bytes, with_line_ends
from .reading_names import ContentNames
from .tree import Part, leaves, parse

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pymailbox.notebook import Card

__all__ = ["Attachment", "Content", "card"]

_MESSAGES = frozenset({"message/rfc822", "message/global"})


@frozen
class Attachment:
    """One attachment, decoded; an attached message is one of type `message/rfc822`.

    >>> attachment = Attachment("report.pdf", "application/pdf", b"%PDF-1.7")
    >>> attachment.filename, attachment.size
    ('report.pdf', 8)
    """

    #: As written in the message, without control characters; "" if there is none.
    filename: str
    #: In lower case, such as image/png.
    content_type: str
    #: The decoded bytes.
    payload: bytes = field(repr=False)
    #: What `cid:` in the HTML refers to, without angle brackets.
    content_id: str | None = None
    #: Whether it is to be shown in the text, not after it.
    inline: bool = False
    #: The header of the part.
    headers: Headers = field(factory=lambda: Headers.from_bytes(b""), repr=False, eq=False)
    #: As declared, in lower case.
    charset: str | None = None

    @property
    def size(self) -> int:
        """The size of the decoded payload in bytes."""
        return len(self.payload)

    @property
    def text(self) -> str | None:
        """The payload as text with `"\\n"` as line end, if the type is `text/...`; otherwise None.

        Decoded by `charset`, or as text without a charset if that is missing, unknown or wrong.
        """
        if not self.content_type.startswith("text/"):
            return None
        return decode_text(self.payload, self.content_type, self.charset, (), [])

    @property
    def content(self) -> "Content | None":
        """The attached message, for the types `message/rfc822` and `message/global`; otherwise None.

        Parsed on each access: keep the value if you read several names.
        """
        return Content.from_bytes(self.payload) if self.content_type in _MESSAGES else None

    def save(self, where: str | os.PathLike[str], *, overwrite: bool = False) -> "Path":
        """Save the payload, readable only by its owner (mode 0600); return the path.

        `where` is a directory (one that exists, or a string that ends in `/`, which is created): the file is named
        after `filename`, made harmless, with a number added if a file of that name has other content. Otherwise it is
        a file. A file that already has this content is left alone, and a link is replaced, not followed. A `~` is not
        expanded. A failure leaves nothing behind.

        Raises FileExistsError if the file exists with other content, unless `overwrite` is true; and always if it is
        not a regular file (a device, a FIFO) or is a link to one. Raises ValueError for `overwrite` with a directory.
        """
        from .saving import SavedFile

        with SavedFile(where, overwrite=overwrite) as saved:
            saved.write(self.payload)
            return saved.publish(safe_name(self.filename, self.content_type))


@define(eq=False, repr=False)
class Content(ContentNames[Attachment]):
    """A message read from its bytes: its header, its text, its attachments.

    >>> content = Content.from_bytes(b"Subject: Lunch\\r\\nFrom: Ann <ann@example.com>\\r\\n\\r\\nAt noon?\\r\\n")
    >>> content.subject, str(content.from_), content.text
    ('Lunch', 'Ann <ann@example.com>', 'At noon?\\n')
    """

    #: The message as it was sent.
    raw: bytes
    _headers: Headers | None = field(default=None, init=False)
    _tree: Part | None = field(default=None, init=False)
    _data: bytes = field(default=b"", init=False)  # what positions in the tree refer to
    _structure_defects: list[str] = field(factory=list, init=False)
    _attachments: tuple[Attachment, ...] | None = field(default=None, init=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read a message from `raw`, as it was sent, whole or cut off (by TOP); nothing is parsed yet."""
        return cls(checked_bytes(raw))

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, Content) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.raw)

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return Content.from_bytes, (self.raw,)

    def __repr__(self) -> str:
        return f"<Content: {len(self.raw)} bytes, subject {self.subject[:60]!a}>"

    @property
    def headers(self) -> Headers:
        """The header."""
        if self._headers is None:
            self._headers = Headers.from_bytes(self.raw)
        return self._headers

    def _get_headers(self) -> Headers:
        return self.headers

    def _get_content(self) -> Self:
        return self

    def _read_body(self) -> str:
        root = self._parts()
        return read_body(self._data, root, self._charsets(root))

    def _read_links(self) -> tuple[str, ...]:
        root = self._parts()
        return read_links(self._data, root, self._charsets(root))

    def _read_attachments(self) -> tuple[Attachment, ...]:
        if self._attachments is None:
            root = self._parts()
            self._attachments = tuple([self._attachment(part) for part in leaves(root) if part.kind == "attachment"])
        return self._attachments

    def _attachment(self, part: Part) -> Attachment:
        content_id = without_comments(part.headers.get("content-id", "")).strip("<> ") or None
        return Attachment(
            filename=part.filename,
            content_type=part.content_type,
            payload=decode_leaf(self._data, part, []),
            content_id=content_id,
            inline=part.disposition == "inline" or (content_id is not None and part.disposition != "attachment"),
            headers=part.headers,
            charset=part.parameters.get("charset", "").lower() or None,
        )

    def show(self, *, remote: bool = False) -> "Card":
        """Return a card for a notebook: header, text, attachments, and each HTML part in a frame that runs nothing.

        The frames load nothing, either; inline images are shown from the message. With `remote=True` they load images
        and style sheets from the web, which tells the sender that the message was opened, and from where. Scripts,
        forms and links never work. Very long parts are cut, and the card says so. A content that is the last value of a
        cell is shown like that.
        """
        return card(self.headers, self, repr(self), remote=remote)

    def _repr_html_(self) -> str:
        return self.show().html

    @property
    def defects(self) -> tuple[str, ...]:
        """What had to be repaired or skipped to read the whole message, in plain words; decodes every part."""
        root = self._parts()
        hints = self._charsets(root)
        found = list(self._structure_defects)
        for part in leaves(root):
            if part.kind == "attachment":
                decode_leaf(self._data, part, found)
            else:
                read_text(self._data, part, hints, found)
        return tuple(dict.fromkeys(found))

    def _parts(self) -> Part:
        if self._tree is None:
            self._data, defect = with_line_ends(self.raw)
            if defect is not None:
                self._structure_defects.append(defect)
            self._tree = parse(self._data, self._structure_defects)
        return self._tree

    def _read_inline(self, kind: str) -> str | None:
        root = self._parts()
        hints = self._charsets(root)
        texts = [read_text(self._data, part, hints, []) for part in leaves(root) if part.kind == kind]
        if len(texts) < 2:
            return texts[0] if texts else None
        return "\n\n".join([text.strip("\n") for text in texts if text and not text.isspace()])

    def _pages(self) -> list[str]:
        """Return the inline text/html parts one by one, for each is shown alone: joined, one could read the other."""
        root = self._parts()
        hints = self._charsets(root)
        return [read_text(self._data, part, hints, []) for part in leaves(root) if part.kind == "html"]

    def _charsets(self, root: Part) -> tuple[str, ...]:
        """Return the codecs that the parts declare, to try on those that declare none."""
        return useful_codecs(filter(None, [part.parameters.get("charset") for part in (*leaves(root), root)]))


_FIELDS = (("From", "from"), ("To", "to"), ("Cc", "cc"), ("Reply-To", "reply-to"))


def card(
    headers: Headers | None,
    content: Content | None,
    name: str,
    *,
    title: str = "",
    notes: Sequence[str] = (),
    outline: "tuple[datetime | None, str, str]" = (None, "", ""),
    remote: bool = False,
) -> "Card":
    """Return the card of a message of which headers and content, or less, are known; `name` is what it is a card of.

    `outline` has its date, sender and subject for a message without headers.
    """
    from pymailbox.display import local_time
    from pymailbox.notebook import Card, mail

    if not isinstance(remote, bool):
        raise TypeError(f"remote must be True or False, not {remote!r}")
    date, sender, subject = outline
    rows = [("From", sender), ("Date", local_time(date)), ("Subject", subject)]
    if headers is not None:
        rows = [(label, ", ".join(map(str, headers.addresses(field)[:20]))) for label, field in _FIELDS]
        rows[0] = ("From", rows[0][1] or str(headers.from_ or ""))
        rows += [("Date", local_time(headers.date) or headers.date_str), ("Subject", headers.subject)]
    parts = () if content is None else content.attachments
    images = {part.content_id: (part.content_type, part.payload) for part in parts if part.content_id}
    text = None if content is None else content.body
    pages = [] if content is None else content._pages()
    files = [(part.filename, part.content_type, part.size) for part in parts]
    return Card(mail(rows, text, pages, files, images, title=title, notes=notes, remote=remote), name)
