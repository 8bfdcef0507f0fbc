"""File names: safe on every system, whatever a message contains. Pure.

A single name without a path; not hidden, not reserved, without control or direction characters, normalised, bounded in
bytes.
"""

import os
import re
from typing import TYPE_CHECKING

from pymailbox.display import safe_text

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["MAX_NAME", "message_name", "safe_name"]

MAX_NAME = 200  # bytes of a file name on disk, its extension included; common file systems allow 255
_MAX_SUBJECT = 100  # bytes of a subject in a file name

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_INVISIBLE = re.compile(
    "[\x80-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(?:\.|\Z)", re.IGNORECASE)
_EXTENSIONS = {
    "message/rfc822": ".eml", "text/plain": ".txt", "text/html": ".html", "text/calendar": ".ics", "image/png": ".png",
    "image/jpeg": ".jpg", "image/gif": ".gif", "application/pdf": ".pdf", "application/zip": ".zip", "text/csv": ".csv",
}  # fmt: skip


def safe_name(filename: str, content_type: str = "") -> str:
    """Return a safe name for an attachment, close to the one in the message."""
    name = _cleaned(filename.replace("\\", "/").rpartition("/")[2])
    if not name.strip("_"):
        name = "attachment" + _EXTENSIONS.get(content_type, ".bin")
    if _RESERVED.match(name):
        name = "_" + name
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - Path.suffix sees none in names with odd dots
    if len(suffix.encode()) > 40:
        stem, suffix = name, ""
    return _cut(stem, MAX_NAME - len(suffix.encode())) + suffix


def message_name(date: "datetime | None", subject: str, identity: bytes) -> str:
    """Return a name for a message that never changes: its date, its subject, and a hash of what identifies it."""
    from hashlib import sha256

    day = "undated" if date is None else f"{date.year:04}-{date.month:02}-{date.day:02}"
    words = _cut(_cleaned(subject[: 4 * _MAX_SUBJECT].replace(": ", " ")), _MAX_SUBJECT)
    return " ".join(filter(None, (day, words, sha256(identity).hexdigest()[:12]))) + ".eml"


def _cleaned(name: str) -> str:
    """Return a text without characters that a file name may not contain, begin with or end with."""
    from unicodedata import normalize

    name = _FORBIDDEN.sub("_", _INVISIBLE.sub("", safe_text(name, controls="drop", limit=None)))
    return " ".join(normalize("NFC", name).split()).strip(". ").lstrip("-~. ")


def _cut(name: str, most: int) -> str:
    """Cut a name to at most `most` bytes, between characters."""
    return name.encode()[:most].decode("utf-8", "ignore").rstrip(". ")
