"""Owns attachments: what a mail carries beside its text, and putting it on disk without harm.

A file name in a mail is data from a stranger. `Attachment.save` never leaves the directory, never overwrites,
never follows a link, and never makes a hidden or reserved name.
"""

import os
import re
from typing import TYPE_CHECKING

from attrs import field, frozen

from .words import clean

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Attachment", "safe_name"]

MAX_NAME = 200  # octets of a file name on disk, its extension included; common file systems allow 255
MAX_TRIES = 10_000

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_INVISIBLE = re.compile(
    "[\x80-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(?:\.|\Z)", re.IGNORECASE)


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
        """The octets of the payload, decoded."""
        return len(self.payload)

    def save(self, directory: str | os.PathLike[str]) -> "Path":
        """Write the payload to a new file in `directory`, readable by its owner alone; give its path.

        The file is named after `filename` as far as that is harmless, with a number where that name is taken.
        OSError when it cannot be written; nothing is left behind then.
        """
        from pathlib import Path

        folder = Path(directory)
        name = safe_name(self.filename, self.content_type)
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 - Path.suffix sees none in names with odd dots
        for number in range(1, MAX_TRIES):
            path = folder / (name if number == 1 else f"{stem} ({number}){suffix}")
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            except FileExistsError:
                continue
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(self.payload)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            return path
        raise FileExistsError(f"{MAX_TRIES} files like {name!r} exist in {str(folder)!r}")


_EXTENSIONS = {
    "message/rfc822": ".eml", "text/plain": ".txt", "text/html": ".html", "text/calendar": ".ics", "image/png": ".png",
    "image/jpeg": ".jpg", "image/gif": ".gif", "application/pdf": ".pdf", "application/zip": ".zip", "text/csv": ".csv",
}  # fmt: skip


def safe_name(filename: str, content_type: str = "") -> str:
    """Make a file name that is one name on every system: no path, not hidden, not reserved, at most 200 octets."""
    import unicodedata

    name = filename.replace("\\", "/").rpartition("/")[2]
    name = _INVISIBLE.sub("", unicodedata.normalize("NFC", clean(name)))
    name = _FORBIDDEN.sub("_", name)
    name = " ".join(name.split()).strip(". ").lstrip("-~. ")
    if not name.strip("_"):
        name = "attachment" + _EXTENSIONS.get(content_type, ".bin")
    if _RESERVED.match(name):
        name = "_" + name
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - as above
    if len(suffix.encode()) > 40:
        stem, suffix = name, ""
    return stem.encode()[: MAX_NAME - len(suffix.encode())].decode("utf-8", "ignore").rstrip(". ") + suffix
