"""Terminal: tables and texts for a person at a terminal, with nothing in them that a terminal would obey.

Uses `rich` (in the extra `cli`) where it is installed, and plain columns where it is not.
"""

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime

from pymailbox.errors import printable

_WIDEST = 28  # of a column that is not the last

__all__ = ["columns", "inert", "local_time", "octets", "table"]


def inert(text: str) -> str:
    """Return `text` with control and direction characters escaped; line ends and tabs stay."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(
        "".join(c if c.isprintable() or c == "\t" else printable(c) for c in line.rstrip("\r")) for line in lines
    )


def octets(count: int | None) -> str:
    """Return a size for people: `1.4 KB`, with "?" for an unknown one."""
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def local_time(moment: datetime | None) -> str:
    """Return a date in this machine's zone, or nothing; a date outside what the system can convert stays as it is."""
    if moment is None:
        return ""
    with contextlib.suppress(OverflowError, OSError, ValueError):
        moment = moment.astimezone()
    return moment.strftime("%Y-%m-%d %H:%M")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Print a table; the columns in `right` are aligned to the right, the last one is cut to the window."""
    cells = [[printable(cell) for cell in row] for row in rows]
    try:
        from rich.cells import cell_len
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        print(columns(headings, cells, set(right), shutil.get_terminal_size().columns))
        return
    rich_table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, heading in enumerate(headings):
        last = index == len(headings) - 1
        widest = max(map(cell_len, [heading, *(row[index] for row in cells)]))
        rich_table.add_column(
            heading,
            justify="right" if index in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            # Only the last column gives way in a narrow window.
            min_width=None if last else min(widest, _WIDEST),
            max_width=None if last else _WIDEST,
        )
    for row in cells:
        rich_table.add_row(*map(Text, row))
    Console(highlight=False).print(rich_table)


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]], right: set[int], width: int) -> str:
    """Return a table as plain text, lines cut to `width`."""
    lines = [list(headings), *map(list, rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(headings))]
    shown = []
    for line in lines:
        cells = [
            cell.rjust(widths[index]) if index in right else cell.ljust(widths[index])
            for index, cell in enumerate(line)
        ]
        text = "  ".join(cells).rstrip()
        shown.append(text if len(text) <= width else text[: width - 1] + "…")
    return "\n".join(shown)
