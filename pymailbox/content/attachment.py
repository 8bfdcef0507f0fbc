"""Owns attachments: what a mail carries beside its text, and putting it on disk without harm.

A file name in a mail is data from a stranger: see `filenames` and `saving`.
"""

import os
from typing import TYPE_CHECKING

from attrs import field, frozen

from .filenames import safe_name

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Attachment"]


@frozen
class Attachment:
    """Hold one attachment, decoded; an attached mail is one of type `message/rfc822`.

    >>> attachment = Attachment("report.pdf", "application/pdf", b"%PDF-1.7")
    >>> attachment.filename, attachment.size
    ('report.pdf', 8)
    """

    filename: str  # as the mail says it, without control characters; "" when it says none
    content_type: str  # lower case: image/png
    payload: bytes = field(repr=False)
    content_id: str | None = None  # without angle brackets: what html means by cid:
    inline: bool = False

    @property
    def size(self) -> int:
        """The bytes of the payload, decoded."""
        return len(self.payload)

    def save(self, where: str | os.PathLike[str], *, overwrite: bool = False) -> "Path":
        """Save the payload, readable by its owner alone (mode 0600); return the path.

        `where` is a directory (one that exists, or a string that ends in `/`, which is made): the file is named after
        `filename` as far as that is harmless, with a number where that name holds other content. Else it is a file:
        FileExistsError where that exists with other content, unless `overwrite`. The same content is left as it is.
        ValueError for `overwrite` with a directory. A link is replaced, not followed, and what is not a regular file (a
        device, a FIFO), or a link to such, is never replaced: FileExistsError. A `~` is not expanded. A failure leaves
        nothing.
        """
        from .saving import SavedFile

        saved = SavedFile(where, overwrite=overwrite)
        try:
            saved.write(self.payload)
            return saved.publish(safe_name(self.filename, self.content_type))
        except BaseException:
            saved.discard()
            raise
