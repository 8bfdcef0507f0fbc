"""What a run comes to, in ratios: the table, as Markdown, and the chart, as SVG.

The picture brings its own background and follows the reader's light or dark preference.
"""

import datetime
import math
import os
import platform
import re
import ssl
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from tests.benchmarks.rounds import CLIENTS, PROGRAMS, Results, Work

__all__ = ["chart", "machine", "table"]

COLUMNS = [client for client in (*CLIENTS, *PROGRAMS) if client != "floor"]
WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 900, 250, 130, 13, 14, 58
STYLE = """\
  .paper { fill: #ffffff; } text { font: 12px system-ui, sans-serif; fill: #24292f; } .quiet { fill: #57606a; }
  .title { font-size: 15px; font-weight: 600; } .grid { stroke: #d0d7de; stroke-width: 1; }
  .ours { fill: #1a7f37; } .poplib { fill: #bf8700; } .program { fill: #6f7fd8; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #e6edf3; } .quiet { fill: #9da7b1; } .grid { stroke: #30363d; }
    .ours { fill: #3fb950; } .poplib { fill: #d29922; } .program { fill: #8b98f0; }
  }
"""


def machine(rounds: int) -> str:
    """Describe the machine, the day and the run in a line; names neither the host nor a path."""
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists() and (found := re.search(r"model name\s*: (.+)", information.read_text())):
        cpu = found[1]
    return (
        f"{datetime.datetime.now(datetime.UTC).date():%d %B %Y} · {os.cpu_count()} × {cpu} · {platform.system()} · "
        f"Python {platform.python_version()} · {' '.join(ssl.OPENSSL_VERSION.split()[:2])} · medians of {rounds} rounds"
    )


def table(results: Results, works: Iterable[Work]) -> str:
    """Tabulate how many times the floor's time each client takes, and how much faster than poplib ours are."""
    lines = [
        f"| what is read | {' | '.join(COLUMNS)} | Mailbox against poplib |",
        f"|---|{'--:|' * (len(COLUMNS) + 1)}",
    ]
    for work in works:
        ratios = [number(results.ratio(work.title, client, "floor")) for client in COLUMNS]
        ahead = number(results.ratio(work.title, "poplib", "Mailbox"))
        lines.append(f"| {work.title} | {' | '.join(ratios)} | {ahead} × as fast |")
    return "\n".join(lines)


def number(ratio: float | None) -> str:
    """Write a ratio with the figures that mean something."""
    return "–" if ratio is None else f"{ratio:.0f}" if ratio >= 20 else f"{ratio:.1f}" if ratio >= 3 else f"{ratio:.2f}"


def chart(results: Results, works: Iterable[Work]) -> str:
    """Draw a bar for each client of each work, as long as the logarithm of its ratio to the floor."""
    found = {
        (work.title, client): ratio
        for work in works
        for client in COLUMNS
        if (ratio := results.ratio(work.title, client, "floor")) is not None
    }
    titles = list(dict.fromkeys(title for title, _ in found))
    decades = max(1, math.ceil(math.log10(max(found.values()))))
    scale = (WIDTH - LEFT - RIGHT) / decades
    height = TOP + GAP * len(titles) + BAR * len(found) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Time each client takes, as a multiple of the floor; shorter is better">',
        f"<style>\n{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        '<text class="title" x="16" y="26">Times as long as the floor (shorter is better, logarithmic)</text>',
    ]
    for exponent in range(decades + 1):
        x = LEFT + exponent * scale
        parts.append(f'<line class="grid" x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{height - 14}"/>')
        parts.append(f'<text class="quiet" x="{x:.0f}" y="{TOP - 8}" text-anchor="middle">{10**exponent} ×</text>')
    y = TOP - GAP / 2
    previous = ""
    for (title, client), ratio in found.items():
        if title != previous:
            y += GAP
            parts.append(f'<text x="16" y="{y + BAR - 2:.0f}">{escape(title)}</text>')
            previous = title
        style = client if client == "poplib" else "program" if client in PROGRAMS else "ours"
        length = max(2.0, math.log10(ratio) * scale)
        parts.append(f'<rect class="{style}" x="{LEFT}" y="{y:.0f}" width="{length:.1f}" height="{BAR - 2}" rx="2"/>')
        label = f"{client} {number(ratio)}"
        parts.append(f'<text class="quiet" x="{LEFT + length + 5:.0f}" y="{y + BAR - 3:.0f}">{label}</text>')
        y += BAR
    return "\n".join([*parts, "</svg>"]) + "\n"
