"""The results of a run as ratios: a table in Markdown and a chart in SVG.

The chart has its own background, and follows the reader's preference for light or dark.
"""

import datetime
import math
import os
import platform
import re
import ssl
import statistics
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from tests.benchmarks.rounds import CLIENTS, PROGRAMS, Results, Work

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
    """Describe the machine, the day and the run in one line, without the name of the host or a path."""
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists() and (found := re.search(r"model name\s*: (.+)", information.read_text())):
        cpu = found[1]
    return (
        f"{datetime.datetime.now(datetime.UTC).date():%d %B %Y} · {os.cpu_count()} × {cpu} · {platform.system()} · "
        f"Python {platform.python_version()} · {' '.join(ssl.OPENSSL_VERSION.split()[:2])} · "
        + ("one round" if rounds == 1 else f"medians of {rounds} rounds")
    )


def ratio(results: Results, title: str, client: str, other: str) -> float | None:
    """Return how many times as long as another client this one takes, as the median of the rounds; None if one did
    not run.
    """
    mine, others = results.get((title, client)), results.get((title, other))
    return statistics.median(a / b for a, b in zip(mine, others, strict=True)) if mine and others else None


def table(results: Results, works: Iterable[Work]) -> str:
    """Return a table of each client's time in multiples of the floor's, and the speed of Mailbox against poplib."""
    lines = [
        f"| what is read | {' | '.join(COLUMNS)} | Mailbox against poplib |",
        f"|---|{'--:|' * (len(COLUMNS) + 1)}",
    ]
    for work in works:
        ratios = [number(ratio(results, work.title, client, "floor")) for client in COLUMNS]
        ahead = number(ratio(results, work.title, "poplib", "Mailbox"))
        lines.append(f"| {work.title} | {' | '.join(ratios)} | {ahead} × as fast |")
    return "\n".join(lines)


def number(times: float | None) -> str:
    """Return a ratio with its significant digits."""
    return "–" if times is None else f"{times:.0f}" if times >= 20 else f"{times:.1f}" if times >= 3 else f"{times:.2f}"


def chart(results: Results, works: Iterable[Work]) -> str:
    """Return a chart with a bar for each client and work, whose length is the logarithm of its ratio to the floor."""
    found = {
        work.title: {c: times for c in COLUMNS if (times := ratio(results, work.title, c, "floor"))} for work in works
    }
    decades = max(1, math.ceil(math.log10(max(max(ratios.values()) for ratios in found.values()))))
    scale = (WIDTH - LEFT - RIGHT) / decades
    bars, y = [], TOP
    for title, ratios in found.items():
        bars.append(f'<text x="16" y="{y + BAR - 2}">{escape(title)}</text>')
        for client, times in ratios.items():
            style = client if client == "poplib" else "program" if client in PROGRAMS else "ours"
            length, label = max(2.0, math.log10(times) * scale), f"{client} {number(times)}"
            bars.append(f'<rect class="{style}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 2}" rx="2"/>')
            bars.append(f'<text class="quiet" x="{LEFT + length + 5:.0f}" y="{y + BAR - 3}">{label}</text>')
            y += BAR
        y += GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" '
        'aria-label="Time each client takes, as a multiple of the floor; shorter is better">',
        f'<style>\n{STYLE}</style>\n<rect class="paper" width="{WIDTH}" height="{y}" rx="6"/>',
        '<text class="title" x="16" y="26">Times as long as the floor (shorter is better, logarithmic)</text>',
    ]
    for exponent in range(decades + 1):
        x = round(LEFT + exponent * scale)
        parts.append(f'<line class="grid" x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{y - 8}"/>')
        parts.append(f'<text class="quiet" x="{x}" y="{TOP - 12}" text-anchor="middle">{10**exponent} ×</text>')
    return "\n".join([*parts, *bars, "</svg>"]) + "\n"
