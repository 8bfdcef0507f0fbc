"""Terminal: tables and texts for a person at a terminal, with nothing in them that a terminal would obey.

A table is printed row by row as its rows come, in columns of fixed width, cut to the window; where the output is no
terminal nothing is cut. Widths are counted in cells: `rich` (in the extra `cli`) does that where it is installed, and
shows headings in bold; without it the Unicode database does.
"""

import contextlib
import os
import shutil
import sys
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from pymailbox.errors import printable

__all__ = ["cells", "inert", "local_time", "octets", "one_line", "table", "window"]


def inert(text: str) -> str:
    """Return `text` with control and direction characters escaped; line ends and tabs stay."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(
        "".join(c if c.isprintable() or c == "\t" else printable(c) for c in line.rstrip("\r")) for line in lines
    )


def one_line(text: str) -> str:
    """Return `text` with everything escaped that is not printable, line ends too: it can forge no second line."""
    return "".join(c if c.isprintable() else printable(c) for c in text)


def octets(count: int | None) -> str:
    """Return a size for people: `1.4 KB`, with "?" for an unknown one."""
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "KB", "MB"):
        if size < 999.95:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def local_time(moment: datetime | None) -> str:
    """Return a date in this machine's zone, or nothing; a date outside what the system can convert stays as it is."""
    if moment is None:
        return ""
    with contextlib.suppress(OverflowError, OSError, ValueError):
        moment = moment.astimezone()
    # Not by strftime: it writes the year 800 in three digits or four, as the system likes.
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02} {moment.hour:02}:{moment.minute:02}"


def window() -> int | None:
    """Return the columns of the window; None where the output goes elsewhere and COLUMNS does not say."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return max(shutil.get_terminal_size().columns, 20)
    return None


# --- tables ---------------------------------------------------------------------------------------------------


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    widths: Sequence[int],
    right: Collection[int] = (),
) -> None:
    """Print a table, each row as it comes; `widths` are those of all columns but the last, which has what is left.

    The columns in `right` are aligned to the right. Where the output is no terminal, wide cells are not cut.
    """
    room = window()
    left = None if room is None else max(room - sum(widths) - 2 * len(widths), 1)
    _print_heading(_row(headings, widths, right, left))
    for row in rows:
        print(_row(row, widths, right, left))


def _row(row: Sequence[str], widths: Sequence[int], right: Collection[int], left: int | None) -> str:
    shown = []
    for index, cell in enumerate(map(one_line, row)):
        last = index == len(widths)
        if left is not None:
            cell = _cut(cell, left if last else widths[index])
        blanks = "" if last else " " * (widths[index] - cells(cell))
        shown.append(blanks + cell if index in right else cell + blanks)
    return "  ".join(shown).rstrip()


def _print_heading(line: str) -> None:
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        print(line)
    else:
        Console(highlight=False, soft_wrap=True).print(Text(line, style="bold"))


def cells(text: str) -> int:
    """Return how many columns a text takes in a terminal."""
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
    text = text[: 2 * width]  # of what is longer no more could be seen, but for marks that take no room
    while text and cells(text) > width - 1:
        text = text[:-1]
    return text + "…"
