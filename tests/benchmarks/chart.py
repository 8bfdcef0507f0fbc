"""The chart of a run: a bar for each client of each work, on a logarithmic scale of seconds, as SVG.

The picture brings its own background and follows the reader's light or dark preference, so it reads well on either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from xml.sax.saxutils import escape

from tests.benchmarks.rounds import Results
from tests.benchmarks.tables import number
from tests.benchmarks.works import Work

__all__ = ["draw"]

CLIENTS = ("floor", "pymailbox", "poplib", "poplib modern", "poplib compat32", "mpop", "curl")
WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 900, 320, 150, 13, 14, 58
STYLE = """\
  .paper { fill: #ffffff; } text { font: 12px system-ui, sans-serif; fill: #24292f; } .quiet { fill: #57606a; }
  .title { font-size: 15px; font-weight: 600; } .grid { stroke: #d0d7de; stroke-width: 1; }
  .floor { fill: #8c959f; } .pymailbox { fill: #1a7f37; } .poplib { fill: #bf8700; } .program { fill: #6f7fd8; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #e6edf3; } .quiet { fill: #9da7b1; } .grid { stroke: #30363d; }
    .floor { fill: #7d8590; } .pymailbox { fill: #3fb950; } .poplib { fill: #d29922; } .program { fill: #8b98f0; }
  }
"""


def draw(results: Results, works: Iterable[Work]) -> str:
    """Draw the seconds of every work that pymailbox or poplib was measured in."""
    groups = []
    for work in works:
        found = [
            (client, results[work.key, client].median.seconds) for client in CLIENTS if (work.key, client) in results
        ]
        if work.key != "imports" and len(found) > 1:
            groups.append((work.title, found))
    if not groups:
        raise ValueError("nothing to draw")
    seconds = [value for _, found in groups for _, value in found]
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    scale = (WIDTH - LEFT - RIGHT) / (high - low)
    height = TOP + sum(GAP + BAR * len(found) for _, found in groups) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Seconds each client takes for each work; shorter is better">',
        f"<style>\n{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        '<text class="title" x="16" y="26">Seconds inside the client (shorter is better, logarithmic)</text>',
    ]
    for exponent in range(low, high + 1):
        x = LEFT + (exponent - low) * scale
        parts.append(f'<line class="grid" x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{height - 14}"/>')
        parts.append(f'<text class="quiet" x="{x:.0f}" y="{TOP - 8}" text-anchor="middle">{10.0**exponent:g} s</text>')
    y = TOP + GAP / 2
    for title, found in groups:
        parts.append(f'<text x="16" y="{y + BAR - 2:.0f}">{escape(title)}</text>')
        for client, value in found:
            length = max(2.0, (math.log10(value) - low) * scale)
            kind = client.partition(" ")[0]
            style = kind if kind in ("floor", "pymailbox", "poplib") else "program"
            parts.append(
                f'<rect class="{style}" x="{LEFT}" y="{y:.0f}" width="{length:.1f}" height="{BAR - 2}" rx="2"/>'
            )
            label = f"{escape(client)} {number(value)}"
            parts.append(f'<text class="quiet" x="{LEFT + length + 5:.0f}" y="{y + BAR - 3:.0f}">{label}</text>')
            y += BAR
        y += GAP
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
