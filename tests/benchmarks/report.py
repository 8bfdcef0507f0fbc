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
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.benchmarks.rounds import CLIENTS, PROGRAMS, Results, Work

COLUMNS = [client for client in (*CLIENTS, *PROGRAMS) if client != "floor"]
WIDTH, LEFT, RIGHT, ROW, TOP = 900, 250, 150, 26, 88
STYLE = """\
  .paper { fill: #ffffff; } text { font: 13px system-ui, sans-serif; fill: #24292f; } .quiet { fill: #57606a; }
  .title { font-size: 15px; font-weight: 600; } .grid { stroke: #d0d7de; stroke-width: 1; }
  .ours { fill: #1a7f37; } .kin { fill: none; stroke: #1a7f37; stroke-width: 1.5; }
  .poplib { fill: #bf8700; } .program { fill: #6f7fd8; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #e6edf3; } .quiet { fill: #9da7b1; } .grid { stroke: #30363d; }
    .ours { fill: #3fb950; } .kin { stroke: #3fb950; } .poplib { fill: #d29922; } .program { fill: #8b98f0; }
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


def ratio(mine: Sequence[float] | None, others: Sequence[float] | None) -> float | None:
    """Return how many times as long as the others these took, as the median of the rounds; None if one did not run."""
    return statistics.median(a / b for a, b in zip(mine, others, strict=True)) if mine and others else None


def against_floor(results: Results, work: Work, client: str) -> float | None:
    return ratio(results.get((work.title, client)), results.get((work.title, "floor")))


def table(results: Results, works: Iterable[Work]) -> str:
    """Return a table of each client's time in multiples of the floor's, and the speed of Mailbox against poplib."""
    lines = [
        f"| what is read | {' | '.join(COLUMNS)} | Mailbox against poplib |",
        f"|---|{'--:|' * (len(COLUMNS) + 1)}",
    ]
    for work in works:
        ratios = [number(against_floor(results, work, client)) for client in COLUMNS]
        ahead = number(ratio(results.get((work.title, "poplib")), results.get((work.title, "Mailbox"))))
        lines.append(f"| {work.title} | {' | '.join(ratios)} | {ahead} × as fast |")
    return "\n".join(lines)


def number(times: float | None) -> str:
    """Return a ratio with its significant digits."""
    if times is None:
        return "–"
    return f"{times:.{0 if times >= 20 else 1 if times >= 3 else 2 if times >= 0.1 else 3}f}"


def mark(client: str, x: float, y: float) -> str:
    """Return the mark of a client in the chart."""
    if client == "Mailbox":
        return f'<circle class="ours" cx="{x:.1f}" cy="{y}" r="6"/>'
    if client == "poplib":
        return f'<rect class="poplib" x="{x - 5:.1f}" y="{y - 5}" width="10" height="10"/>'
    if client in PROGRAMS:
        up = 6 if client == "mpop" else -6
        return f'<path class="program" d="M{x - 6:.1f} {y + up} h12 l-6 {-2 * up} z"/>'
    radius = 4 if client == "AsyncMailbox" else 2.5
    return f'<circle class="kin" cx="{x:.1f}" cy="{y}" r="{radius}"/>'


def chart(results: Results, works: Iterable[Work]) -> str:
    """Return a chart with a row for each work, and in it a mark for each client at its ratio to the floor."""
    found = {work.title: {c: times for c in COLUMNS if (times := against_floor(results, work, c))} for work in works}
    most, least = (pick(times for ratios in found.values() for times in ratios.values()) for pick in (max, min))
    first, last = min(0, math.floor(math.log10(least) * 5) / 5), max(1, math.ceil(math.log10(most) * 5) / 5)
    scale = (WIDTH - LEFT - RIGHT) / (last - first)
    bottom, height = TOP + ROW * len(found), TOP + ROW * len(found) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Time each client takes, as a multiple of the floor; further left is better">',
        f'<style>\n{STYLE}</style>\n<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        '<text class="title" x="16" y="26">Times as long as the floor (further left is better, logarithmic)</text>',
        f'<text class="quiet" x="{WIDTH - 16}" y="{TOP - 14}" text-anchor="end">Mailbox, poplib</text>',
    ]
    x = 22.0
    for client in COLUMNS:
        parts.append(f'{mark(client, x, 46)}<text class="quiet" x="{x + 12:.0f}" y="51">{client}</text>')
        x += 44 + 7.5 * len(client)
    for exponent in range(math.ceil(first), math.floor(last) + 1):
        x = round(LEFT + (exponent - first) * scale)
        parts.append(f'<line class="grid" x1="{x}" y1="{TOP - 8}" x2="{x}" y2="{bottom}"/>')
        parts.append(f'<text class="quiet" x="{x}" y="{TOP - 14}" text-anchor="middle">{10**exponent} ×</text>')
    for row, (title, ratios) in enumerate(found.items()):
        y = TOP + ROW * row + ROW // 2
        parts.append(f'<text x="16" y="{y + 5}">{escape(title)}</text>')
        ours_last = sorted(ratios.items(), key=lambda item: item[0] == "Mailbox")
        parts += (mark(client, LEFT + (math.log10(times) - first) * scale, y) for client, times in ours_last)
        told = ", ".join(number(ratios.get(client)) for client in ("Mailbox", "poplib"))
        parts.append(f'<text x="{WIDTH - 16}" y="{y + 5}" text-anchor="end">{told}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
