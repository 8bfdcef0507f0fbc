"""How far a command is: two lines on a terminal, drawn by rich if it is installed, one line without it.

    me  pop.example.com  4,839 messages, 1.2 GB
    new ━━━━━━━━━━━━━━╸━━━━━  91/128  2.2/3.1 MB
        1.4 MB/s  0:00:01 left   safe: 64

Nothing is shown if standard error is not a terminal that can move its cursor, or after `--quiet`, `--json` or `-v`. A
terminal that is closed meanwhile does not end the work. If JSON cannot be written, that is an error of the output, not
of the archive that reports its progress.
"""

import argparse
import io
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, cast

from attrs import define, field

from pymailbox.cli.interruption import Stop
from pymailbox.cli.output_options import print_json, silence
from pymailbox.display import cells, columns, format_size, safe_text
from pymailbox.progress import Progress

__all__ = ["Speed", "progress_line", "shown"]

_SECONDS = 5.0  # over which the rate is measured
_BAR = 40  # columns at most

#: What progress is reported to; None removes it from the screen, so that something else can be printed.
Report = Callable[[Progress | None], None]


@contextmanager
def shown(
    what: str, options: argparse.Namespace, *, heading: str = "", stop: Stop | None = None
) -> Iterator[Report | None]:
    """Show progress in this block; yield the function to report it to, or None if nobody looks.

    `what` is a word before the bar. `heading` is printed above it, with the messages and bytes of the mailbox once they
    are known.
    """
    if getattr(options, "json", False):
        try:
            yield _print_progress if getattr(options, "progress", False) else None
        except _OutputFailed as failed:
            raise failed.error from None
    elif getattr(options, "quiet", False) or getattr(options, "verbose", False) or not _can_draw():
        yield None
    else:
        try:
            from rich.live import Live
        except ImportError:
            Live = None  # type: ignore[assignment,misc]  # noqa: N806
        with (_plain if Live is None else _drawn)(what, heading, stop) as report:
            yield report


def _can_draw() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class _OutputFailed(Exception):
    """Progress could not be printed; not an OSError, which would be one of the work that reports it."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


def _print_progress(progress: Progress | None) -> None:
    if progress is None:
        return
    counts = {name: getattr(progress, name) for name in ("messages", "total_messages", "bytes", "total_bytes", "safe")}
    try:
        print_json({"type": "progress", **counts})
    except OSError as error:
        raise _OutputFailed(error) from None


# --- what it says ---------------------------------------------------------------------------------------------


@define(eq=False, repr=False)
class Speed:
    """The rate of the last few seconds."""

    clock: Callable[[], float] = time.monotonic
    _past: deque[tuple[float, int]] = field(factory=deque, init=False)

    def add(self, count: int) -> None:
        """Note how many bytes there are by now."""
        now = self.clock()
        if self._past and count < self._past[-1][1]:  # another session
            self._past.clear()
        self._past.append((now, count))
        while len(self._past) > 2 and self._past[1][0] <= now - _SECONDS:
            self._past.popleft()

    @property
    def rate(self) -> float | None:
        """Bytes per second; None if it is not known yet."""
        if not self._past:
            return None
        (began, before), (now, count) = self._past[0], self._past[-1]
        return (count - before) / (now - began) if now > began and count > before else None


def _counts(progress: Progress) -> str:
    """Return how much of how much there is: `91/128  2.2/3.1 MB`."""
    messages = f"{progress.messages:,}"
    if progress.total_messages is not None:
        messages += f"/{progress.total_messages:,}"
    size = format_size(progress.bytes)
    if progress.total_bytes is not None:
        total = format_size(progress.total_bytes)
        scale = {"B": 0, "KB": 1, "MB": 2, "GB": 3}[total.split()[1]]
        size = f"{progress.bytes / 1000**scale:.{1 if scale else 0}f}/{total}"
    return f"{messages}  {size}"


def _pace(progress: Progress, speed: Speed) -> str:
    """Return how fast it is and how long it takes: `1.4 MB/s  0:00:01 left`; "" as long as that is not known."""
    if (rate := speed.rate) is None:
        return ""
    pace = f"{format_size(round(rate))}/s"
    if progress.total_bytes is None:
        return pace
    left = round(max(0, progress.total_bytes - progress.bytes) / rate)
    return f"{pace}  {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"


def _safety(progress: Progress, stop: Stop | None) -> str:
    """Return what is safe, and whether it stops: `safe: 64`."""
    stopping = "stopping; Ctrl-C again ends it at once" if stop is not None and stop.event.is_set() else ""
    return "  ".join(filter(None, ["" if progress.safe is None else f"safe: {progress.safe:,}", stopping]))


def progress_line(what: str, progress: Progress, speed: Speed, stop: Stop | None, width: int) -> str:
    """Return all of it in one line that fits."""
    line = "  ".join(filter(None, (f"{what} {_counts(progress)}", _safety(progress, stop), _pace(progress, speed))))
    while cells(line) > width - 1:
        line = line[:-1]
    return line


def _heading(heading: str, progress: Progress) -> str:
    if not heading or progress.mailbox is None:
        return ""
    messages, size = progress.mailbox
    return safe_text(
        f"{heading}  {messages:,} {'message' if messages == 1 else 'messages'}, {format_size(size)}", limit=None
    )


# --- how it is drawn ------------------------------------------------------------------------------------------


class _Terminal(io.TextIOBase):
    """Standard error, as long as it can be written to."""

    @property
    def encoding(self) -> str:  # type: ignore[override] # typeshed has an attribute
        """That of the terminal, which says which bars can be drawn."""
        return sys.stderr.encoding

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def write(self, text: str, /) -> int:
        try:
            sys.stderr.write(text)
        except OSError:
            silence(sys.stderr)
        return len(text)

    def flush(self) -> None:
        silence(sys.stderr)


@contextmanager
def _plain(what: str, heading: str, stop: Stop | None) -> Iterator[Report]:
    speed, terminal = Speed(), _Terminal()

    def report(progress: Progress | None) -> None:
        nonlocal heading
        if progress is None:
            print("\r\033[K", end="", file=terminal, flush=True)
            return
        if above := _heading(heading, progress):
            heading = ""
            print(f"\r\033[K{above}", file=terminal)
        if progress.total_messages != 0:
            speed.add(progress.bytes)
            line = progress_line(what, progress, speed, stop, columns(sys.stderr))
            print(f"\r\033[K{line}", end="", file=terminal, flush=True)

    try:
        yield report
    finally:
        print("\r\033[K", end="", file=terminal, flush=True)


@contextmanager
def _drawn(what: str, heading: str, stop: Stop | None) -> Iterator[Report]:
    from rich.console import Console
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    console = Console(file=cast(IO[str], _Terminal()), width=columns(sys.stderr), highlight=False)
    speed = Speed()

    def drawing(progress: Progress) -> Table:
        counts = _counts(progress)
        width = max(4, min(_BAR, console.width - cells(what) - cells(counts) - 4))
        first = Table.grid(padding=(0, 1))
        total, part = progress.total_bytes, progress.bytes
        if total is None:
            total, part = progress.total_messages or 0, progress.messages
        bar = ProgressBar(
            total=max(total, 1),
            completed=part if total else 1,
            width=width,
            style="bright_black",  # these can be read on a light and on a dark background
            complete_style="cyan",
            finished_style="cyan",
        )
        first.add_row(Text(what), bar, Text(f" {counts}"))
        both = Table.grid()
        both.add_row(first)
        second = "   ".join(filter(None, (_pace(progress, speed), _safety(progress, stop))))
        both.add_row(Text(f"{' ' * len(what)} {second}", style="dim", no_wrap=True, overflow="ellipsis"))
        return both

    with Live(
        console=console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:

        def report(progress: Progress | None) -> None:
            nonlocal heading
            if progress is None:
                live.update(Text(), refresh=True)
                return
            if above := _heading(heading, progress):
                heading = ""
                console.print(Text(above))
            if progress.total_messages != 0:
                speed.add(progress.bytes)
                live.update(drawing(progress), refresh=True)

        yield report
