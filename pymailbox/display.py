"""Display: text that is safe to show, secrets that are not shown, and the layout of sizes, dates and tables.

Text from outside cannot control a terminal, hide characters or forge a line. `Secret` and `SecretBytes` have a `repr`
without the secret, for tracebacks that show local variables (Sentry, rich, cgitb). `Secrets` removes the secrets of one
session from a server's text: plain, percent-encoded, or anywhere in base64, in upper or lower case. Widths in tables
are counted in cells, by `rich` (in the extra `cli`) if it is installed.

Nothing here writes to disk or to the network.
"""

import base64
import contextlib
import os
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TextIO, TypeVar, overload

from attrs import define, field

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "EDGE",
    "Secret",
    "SecretBytes",
    "Secrets",
    "cells",
    "columns",
    "first_and_last",
    "format_size",
    "local_time",
    "safe_text",
    "secret",
    "styled",
    "table",
    "type_name",
    "window",
    "without_errno",
    "wrapped",
]

T = TypeVar("T")

_SHOWN = "***"
# Patterns that are compiled when they are first used, which most programs never do.
_BLANKS = r"[\x00-\x1f\x7f\u2028\u2029]+"
_HIDDEN = "[\x80-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+"
_SURROGATES = "[\ud800-\udfff]"


# --- texts that are safe to show ------------------------------------------------------------------------------


def safe_text(
    text: str,
    *,
    controls: Literal["escape", "drop"] = "escape",
    multiline: bool = False,
    limit: int | None = 500,
) -> str:
    """Return text from outside in a form that cannot control a terminal or forge a line.

    "escape" shows unprintable characters as escapes such as `\\x1b`. "drop" is for values that programs process: runs
    of line ends and other control characters become one space, direction marks are removed, and a lone surrogate
    becomes U+FFFD. With `multiline`, line ends (LF or CRLF) and tabs are kept. Text longer than `limit` is cut.

    >>> safe_text("Hi\\r\\nFrom: boss"), safe_text("Hi\\r\\nFrom: boss", controls="drop")
    ('Hi\\\\r\\\\nFrom: boss', 'Hi From: boss')
    """
    if limit is not None and len(text) > limit:
        return safe_text(text[:limit], controls=controls, multiline=multiline, limit=None) + "…"
    if text.isprintable():
        return text
    if multiline:
        lines = (line.rstrip("\r").split("\t") for line in text.split("\n"))
        return "\n".join("\t".join(safe_text(cell, controls=controls, limit=None) for cell in line) for line in lines)
    if controls == "drop":
        text = re.sub(_HIDDEN, "", re.sub(_BLANKS, " ", text))
        return re.sub(_SURROGATES, "\ufffd", text).strip()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


# --- secrets --------------------------------------------------------------------------------------------------


class _Hidden:
    """What both kinds of secret have: a repr that shows nothing, and no pickles."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret {_SHOWN}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self


class Secret(_Hidden, str):
    """A `str` that is not shown by `repr` and cannot be pickled."""

    __slots__ = ()


class SecretBytes(_Hidden, bytes):
    """`bytes` that are not shown by `repr` and cannot be pickled."""

    __slots__ = ()


def without_errno(error: Exception) -> str:
    """Return the text of an error; of one from the system, its file and what is wrong, without "[Errno 2]"."""
    if not isinstance(error, OSError) or not error.strerror:  # errors of pymailbox have no strerror
        return str(error)
    return error.strerror if error.filename is None else f"{os.fsdecode(error.filename)}: {error.strerror}"


def type_name(value: object) -> str:
    """Return the name of a value's type as the caller knows it: a `Secret` was a str, `SecretBytes` were bytes."""
    if isinstance(value, _Hidden):
        return "str" if isinstance(value, str) else "bytes"
    return type(value).__name__


@overload
def secret(value: str) -> Secret: ...
@overload
def secret(value: bytes) -> SecretBytes: ...
@overload
def secret(value: T) -> T: ...
def secret(value: Any) -> Any:
    """Return a string as a `Secret`, bytes as `SecretBytes`, anything else as it is."""
    if isinstance(value, str):
        return Secret(value)
    return SecretBytes(value) if isinstance(value, bytes) else value


@define(eq=False, repr=False)
class Secrets:
    """The secrets of one session; `redact` removes them from a text.

    >>> known = Secrets()
    >>> known.add("hunter2")
    >>> known.redact("-ERR no user with password hunter2 (aHVudGVyMg==)")
    '-ERR no user with password *** (***)'
    """

    _added: set[SecretBytes] = field(factory=set, init=False)
    #: Base64 that contains a secret; the whole base64 word is removed, as its ends mix with neighbouring bytes.
    _coded: set[str] = field(factory=set, init=False)
    _pattern: "re.Pattern[str] | None" = field(default=None, init=False)

    def add(self, value: str | bytes) -> None:
        """Add a secret; an empty one is ignored."""
        raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        if raw:
            self._added.add(SecretBytes(raw))
            self._pattern = None

    def note(self, verb: bytes, arguments: bytes) -> None:
        """Add the arguments of a secret command, so that a server's echo of them is not shown either."""
        if verb == b"PASS":
            self.add(arguments)
            return
        words = arguments.split(b" ")
        sent = words[1:] if verb in (b"AUTH", b"APOP") else words
        self._coded |= {word.decode("utf-8", "replace") for word in sent if len(word) > 3}  # `*` and `=` are short
        self._pattern = None

    def redact(self, text: str) -> str:
        """Return `text` with `***` for every secret in it; if one is percent-encoded, the whole text is decoded."""
        if not (self._added or self._coded):
            return text
        shown = self._cut(text)
        if "%" in shown:
            from urllib.parse import unquote

            undone = unquote(shown)
            if (cut := self._cut(undone)) != undone:
                return cut
        return shown

    def _cut(self, text: str) -> str:
        if self._pattern is None:  # made when a text is shown: few sessions show one
            plain = set().union(*map(_plain_forms, self._added))
            coded = self._coded.union(*map(_coded_forms, self._added))
            self._pattern = re.compile(f"{_either(coded)}|{_either(plain)}", re.IGNORECASE)
        pieces: list[str] = []
        done = 0
        for match in self._pattern.finditer(text):
            start, end = match.span()
            if end <= done:
                continue
            start = max(start, done)
            if match[1] is not None:
                while start > done and text[start - 1] in _BASE64:
                    start -= 1
                while end < len(text) and (text[end] in _BASE64 or text[end] == "="):
                    end += 1
            pieces += text[done:start], _SHOWN
            done = end
        return "".join(pieces) + text[done:]


_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")


def _either(forms: set[str]) -> str:
    """Return a group that matches one of these forms, trying the longest first; without forms, it never matches."""
    longest_first = sorted(forms, key=len, reverse=True)
    return f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})"


def _plain_forms(raw: bytes) -> set[str]:
    """Return the forms in which a text may contain these bytes as text."""
    import urllib.parse

    forms = {
        raw.decode("utf-8", "replace"),
        raw.decode("latin-1"),
        urllib.parse.quote_from_bytes(raw, safe=""),
        urllib.parse.quote_plus(raw),
    }
    return forms - {""}


def _coded_forms(raw: bytes) -> set[str]:
    """Return the fragments that any base64 of data with these bytes in it contains, URL-safe base64 included."""
    whole = base64.b64encode(raw).decode("ascii")
    forms = {whole.rstrip("=") if len(raw) > 2 else whole}
    for before in range(3):
        # Neighbouring bytes in the same base64 change only the characters at the ends.
        coded = base64.b64encode(bytes(before) + raw).decode("ascii")
        fragment = coded[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        if len(fragment) > 3:
            forms.add(fragment)
    forms |= {form.translate(_FOR_URLS) for form in forms}
    return forms - {""}


_FOR_URLS = str.maketrans("+/", "-_")


# --- sizes, dates, tables -------------------------------------------------------------------------------------


def format_size(count: int | None) -> str:
    """Return a readable size such as `1.4 KB`; "?" if it is unknown."""
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "KB", "MB"):
        if size < 999.95:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def local_time(moment: "datetime | None") -> str:
    """Return a date in the local time zone, "" for None; a date that the system cannot convert keeps its own zone."""
    if moment is None:
        return ""
    with contextlib.suppress(OverflowError, OSError, ValueError):
        moment = moment.astimezone()
    # Not by strftime: depending on the system it writes the year 800 with three digits or four.
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02} {moment.hour:02}:{moment.minute:02}"


def window() -> int | None:
    """Return the width of the terminal in columns; None if the output is not a terminal and COLUMNS is not set."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return max(columns(sys.stdout), 20)
    return None


def columns(stream: TextIO) -> int:
    """Return the width of the terminal that a stream writes to: COLUMNS, or what the system says, or else 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def wrapped(label: str, text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` columns, the first after `label`, the others indented to match.

    Words are not broken. A no-break space in `text` keeps two words on one line and is shown as a space.
    """
    import textwrap

    lines = textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [line.replace("\u00a0", " ") for line in lines]


#: Rows at either end of the table of a long mailbox in a notebook.
EDGE = 10


def first_and_last(count: int) -> list[int]:
    """Return the numbers from 1 to `count` that a table in a notebook shows: all, or the first and the last."""
    if count <= 2 * EDGE:
        return list(range(1, count + 1))
    return [*range(1, EDGE + 1), *range(count - EDGE + 1, count + 1)]


# --- tables ---------------------------------------------------------------------------------------------------


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    widths: Sequence[int],
    right: Collection[int] = (),
    styles: Sequence[str] = (),
) -> None:
    """Print a table, each row as soon as `rows` yields it, and the headings with the first one.

    `widths` has the width of every column but the last, which gets the rest of the line. The columns in `right` are
    aligned to the right. `styles` has the style of each column. Cells are cut to their width only if the output is a
    terminal.
    """
    room = window()
    left = None if room is None else max(room - sum(widths) - 2 * len(widths), 1)
    following = iter(rows)
    row = next(following, None)  # if it raises, its error is all that is told
    print(styled(_row(headings, widths, right, left, ()), "bold"))
    while row is not None:
        print(_row(row, widths, right, left, styles))
        row = next(following, None)


def _row(
    row: Sequence[str], widths: Sequence[int], right: Collection[int], left: int | None, styles: Sequence[str]
) -> str:
    shown = []
    for index, cell in enumerate(row):
        cell = safe_text(cell, limit=None)
        last = index == len(row) - 1
        if left is not None:
            cell = _cut(cell, left if last else widths[index])
        blanks = "" if last else " " * (widths[index] - cells(cell))
        if styles and styles[index]:
            cell = styled(cell, styles[index])
        shown.append(blanks + cell if index in right else cell + blanks)
    return "  ".join(shown).rstrip()


#: Styles that can be read on a light and on a dark background, and their codes (ECMA-48).
_STYLES = {"bold": "1", "dim": "2", "red": "31", "cyan": "36"}


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return a text in a style, "bold", "dim", "red" or "cyan", if the stream (standard output) shows styles.

    A terminal does. NO_COLOR turns them off, CLICOLOR_FORCE turns them on for files and pipes too.
    """
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if text and _has_styles(stream or sys.stdout) else text


def _has_styles(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def cells(text: str) -> int:
    """Return how many columns a text occupies in a terminal."""
    if text.isascii():
        return len(text)
    try:
        from rich.cells import cell_len
    except ImportError:
        return sum(map(_cells_of, text))
    return cell_len(text)


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, width: int) -> str:
    if len(text) <= width and cells(text) <= width:
        return text
    text = text[: 2 * width]  # more would not be visible, apart from zero-width characters
    while text and cells(text) > width - 1:
        text = text[:-1]
    return text + "…"
