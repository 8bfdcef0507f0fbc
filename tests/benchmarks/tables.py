"""The tables of a run, as Markdown: what was measured, and what had to be reached."""

from __future__ import annotations

import datetime
import os
import platform
import re
import ssl
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.limits import Verdict
from tests.benchmarks.rounds import NOT_INSTALLED, Results, Summary
from tests.benchmarks.works import MEMORY, TLS, Work

__all__ = ["bottleneck", "limits_table", "machine", "results_table", "write_between"]


def machine(rounds: int) -> str:
    """Describe the machine, the day and the run in a line; names neither the host nor a path."""
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists() and (found := re.search(r"model name\s*: (.+)", information.read_text())):
        cpu = found[1]
    return (
        f"{datetime.datetime.now(datetime.UTC).date():%d %B %Y} · {os.cpu_count()} × {cpu} · "
        f"{platform.system()} {platform.release().partition('-')[0]} · Python {platform.python_version()} · "
        f"{ssl.OPENSSL_VERSION.rpartition('  ')[0] or ssl.OPENSSL_VERSION.partition(' (')[0]} · "
        f"medians of {rounds} interleaved round{'s' * (rounds > 1)}"
    )


def results_table(results: Results, failures: dict[tuple[str, str], str], works: Iterable[Work]) -> str:
    """Tabulate every client of every work, with ratios to the floor and to poplib of the same run."""
    lines = [
        "| work | client | seconds | spread | × floor | poplib is × slower | CPU s | server CPU s | process s | peak MB | over idle MB |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for work in works:
        title = work.title
        for client, run in work.runs.items():
            summary = results.get((work.key, client))
            failure = failures.get((work.key, client))
            if summary is None:
                if failure != NOT_INSTALLED:
                    lines.append(f"| {title} | {client} | {failure or 'not run'} |" + " |" * 8)
                    title = ""
                continue
            cells = [title, client + ("¹" if run.count else ""), *figures(results, work, summary)]
            if failure:
                cells[1] += f" (wrong: {failure})"
            lines.append("| " + " | ".join(cells) + " |")
            title = ""
    lines.append("")
    lines.append("¹ extrapolated from the first messages.")
    return "\n".join(lines)


def bottleneck(results: Results, works: Iterable[Work]) -> str:
    """Say whether the client was measured or the server: how busy each was while the floor, the fastest, ran."""
    client, server = [], []
    for work in works:
        floor = results.get((work.key, "floor"))
        if floor and work.wire in (MEMORY, TLS):
            client.append(floor.median.cpu / floor.median.seconds)
            server.append(floor.median.server_cpu / floor.median.seconds)
    if not client:
        return ""
    verdict = "the client is what is measured" if max(server) < 0.9 else "where it was busiest it held the client back"
    return (
        f"From memory, the floor was busy for {min(client):.0%} to {max(client):.0%} of its time and the server for "
        f"{min(server):.0%} to {max(server):.0%}: {verdict}."
    )


def figures(results: Results, work: Work, summary: Summary) -> list[str]:
    median = summary.median
    floor = results.get((work.key, "floor"))
    poplib = results.get((work.key, "poplib")) or results.get((work.key, "poplib modern"))
    return [
        number(median.seconds),
        f"{number(summary.fastest)}–{number(summary.slowest)}" if len(summary.samples) > 1 else "",
        f"{summary.ratio(floor):.2f}" if floor else "",
        f"{poplib.ratio(summary):.1f}" if poplib else "",
        number(median.cpu),
        number(median.server_cpu) if median.server_cpu else "",
        number(median.whole),
        f"{median.peak / 1e6:.0f}" if median.peak else "",
        f"{max(0, median.over_idle) / 1e6:.0f}" if median.peak else "",
    ]


def number(seconds: float) -> str:
    """Write seconds with three figures that mean something."""
    if seconds >= 100:
        return f"{seconds:.0f}"
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2f}" if seconds >= 1 else f"{seconds:.3f}"


def limits_table(verdicts: Iterable[Verdict]) -> str:
    """Tabulate every limit with its figure and whether it is met."""
    lines = ["| work | compared | required | measured | |", "|---|---|--:|--:|---|"]
    work = ""
    for limit, value in verdicts:
        title = "" if limit.work == work else limit.work
        work = limit.work
        measured = "not measured" if value is None else f"{value:.3g} {limit.unit}"
        met = "" if value is None else "met" if limit.met(value) else "**missed**"
        lines.append(f"| {title} | {limit.compared} | {limit.sign} {limit.bound:g} {limit.unit} | {measured} | {met} |")
    return "\n".join(lines)


def write_between(path: Path, name: str, text: str) -> None:
    """Put text between the markers of that name in a Markdown file; ValueError where they are missing."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path.name} has no {begin} … {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
