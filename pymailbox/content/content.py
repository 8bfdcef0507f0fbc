"""Owns the reading of a whole message: `Content`, every reading name over its bytes, computed when asked and kept.

Offline and pure. Nothing raises, whatever the bytes are: what had to be repaired or skipped is listed in `defects`.
"""

from typing import Self

from attrs import define, field

from .attachment import Attachment
from .body import decode_leaf, read_attachment, read_body, read_text
from .charset import useful_codecs
from .headers import Headers, with_line_ends
from .reading_names import ContentNames
from .tree import Part, leaves, parse

__all__ = ["Content"]


@define(eq=False, repr=False)
class Content(ContentNames):
    """A message read from its bytes: its header, its text, what is attached.

    >>> content = Content.from_bytes(b"Subject: Lunch\\r\\nFrom: Ann <ann@example.com>\\r\\n\\r\\nAt noon?\\r\\n")
    >>> content.subject, str(content.from_), content.text
    ('Lunch', 'Ann <ann@example.com>', 'At noon?\\n')
    """

    raw: bytes
    _headers: Headers | None = field(default=None, init=False)
    _tree: Part | None = field(default=None, init=False)
    _data: bytes = field(default=b"", init=False)  # the positions of the tree are positions in it
    _structure_defects: list[str] = field(factory=list, init=False)
    _attachments: tuple[Attachment, ...] | None = field(default=None, init=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read a message as it was sent, whole or cut off (by TOP); nothing is parsed yet."""
        return cls(bytes(raw))

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

    def _read_attachments(self) -> tuple[Attachment, ...]:
        if self._attachments is None:
            root = self._parts()
            self._attachments = tuple(
                [read_attachment(self._data, part, []) for part in leaves(root) if part.kind == "attachment"]
            )
        return self._attachments

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
        return "\n\n".join([text.strip("\n") for text in texts])

    def _charsets(self, root: Part) -> tuple[str, ...]:
        """Return the charsets that the parts declare, for those that declare none."""
        return useful_codecs(filter(None, [part.parameters.get("charset") for part in leaves(root)]))
