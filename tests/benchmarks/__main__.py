"""Measure, and print the tables: `python -m tests.benchmarks --help`."""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import ROOT
from tests.benchmarks import chart, tables
from tests.benchmarks.limits import judge
from tests.benchmarks.rounds import NOT_INSTALLED, Failure, Stage, run_rounds
from tests.benchmarks.works import WORKS

DOCS = ROOT / "docs"


@contextlib.contextmanager
def compiled() -> Iterator[None]:
    """Have the package compiled in a place of its own, as an installation has it, for every process started inside."""
    with tempfile.TemporaryDirectory(prefix="pymailbox-compiled-") as place:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = place
        compileall.compile_dir(ROOT / "pymailbox", quiet=2)
        yield


def main() -> int:
    """Run the benchmark; the exit status says whether every client did its work, not how fast."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small mailboxes: does it run, not how fast")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each client runs (5)")
    parser.add_argument("--only", action="append", metavar="NAME", help="a work, or a client of any work; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--write-docs", action="store_true", help="write the tables and the chart to docs/")
    parser.add_argument("--list", action="store_true", help="name the works and their clients, measure nothing")
    options = parser.parse_args()
    works = WORKS
    if options.only:
        wanted = set(options.only)
        works = tuple(
            work._replace(runs={name: run for name, run in work.runs.items() if work.key in wanted or name in wanted})
            for work in WORKS
        )
        works = tuple(work for work in works if work.runs)
        known = {work.key for work in WORKS} | {name for work in WORKS for name in work.runs}
        if unknown := wanted - known:
            parser.error(f"no such work or client: {', '.join(sorted(unknown))}")
    if options.list:
        for work in works:
            print(f"{work.key:15} {work.title}: {', '.join(work.runs)}")
        return 0
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.write_docs and (options.quick or options.only):
        parser.error("--write-docs wants the whole benchmark")

    try:
        with compiled(), Stage(works, quick=options.quick) as stage:
            results, failures = run_rounds(stage, works, options.rounds, lambda line: print(line, file=sys.stderr))
    except Failure as exc:
        print(exc, file=sys.stderr)
        return 1
    verdicts = judge(results)
    about = tables.machine(options.rounds)
    measured = tables.results_table(results, failures, works)
    required = tables.limits_table(verdicts)
    busy = tables.bottleneck(results, works)
    if options.quick:
        about += " · quick: small mailboxes, whatever the titles say; the ratios mean nothing"
    print(f"{about}\n\n{measured}\n\n{busy}\n\n{required}")
    if options.json:
        report = {
            "machine": about,
            "quick": options.quick,
            "results": [
                {
                    "work": work,
                    "client": client,
                    "median": summary.median._asdict(),
                    "samples": [sample._asdict() for sample in summary.samples],
                }
                for (work, client), summary in results.items()
            ],
            "failures": [{"work": work, "client": client, "why": why} for (work, client), why in failures.items()],
            "limits": [
                {
                    "work": limit.work,
                    "compared": limit.compared,
                    "required": f"{limit.sign} {limit.bound:g} {limit.unit}",
                    "measured": value,
                    "met": None if value is None else limit.met(value),
                }
                for limit, value in verdicts
            ],
        }
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.write_docs:
        page = DOCS / "performance.md"
        tables.write_between(page, "limits", f"{about}\n\n{required}")
        tables.write_between(page, "measured", f"{about}\n\n{measured}\n\n{busy}")
        (DOCS / "performance.svg").write_text(chart.draw(results, works), encoding="utf-8")
    return 1 if any(why != NOT_INSTALLED for why in failures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
