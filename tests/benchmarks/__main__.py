"""Measure pymailbox and other clients, and print a table of ratios."""

import argparse
import re

from tests import ROOT
from tests.benchmarks import accounts, archive, kills
from tests.benchmarks.report import chart, machine, table
from tests.benchmarks.rounds import WORKS, run_rounds, staged


def main() -> None:
    """Run the benchmark; it fails if a client fails, but not if it is slow."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="use small mailboxes, to see whether it runs")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="run each client N times (default 3)")
    parser.add_argument("--write-docs", action="store_true", help="write the table and the chart to docs/")
    parser.add_argument("--archive", action="store_true", help="measure archives instead: on dovecot, against mpop")
    parser.add_argument("--accounts", action="store_true", help="measure 1,000 accounts instead, once each way")
    parser.add_argument("--kills", action="store_true", help="kill archives and mpop instead: what is stored twice?")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.write_docs and options.quick:
        parser.error("--write-docs needs the whole benchmark; omit --quick")
    if options.kills:
        text, page = (
            kills.table(kills.run(*((3, 100) if options.quick else (20, 300)))),
            ROOT / "docs" / "comparison.md",
        )
    elif options.accounts:
        ways = accounts.run(40 if options.quick else 1000, 10)
        text, page = (
            f"{machine(1)} · {accounts.disk(ways)}\n\n{accounts.table(ways)}",
            ROOT / "docs" / "many-accounts.md",
        )
    elif options.archive:
        taken, disk = archive.run_rounds(options.rounds, quick=options.quick)
        text, page = f"{machine(options.rounds)} · {disk}\n\n{archive.table(taken)}", ROOT / "docs" / "archive.md"
    else:
        with staged(quick=options.quick) as stage:
            results = run_rounds(stage, WORKS, options.rounds)
        text, page = f"{machine(options.rounds)}\n\n{table(results, WORKS)}", ROOT / "docs" / "performance.md"
    print(text)
    if options.write_docs:
        before, after = re.split(r"(?<=begin -->\n)(?s:.*)(?=<!-- measured: end)", page.read_text(encoding="utf-8"))
        page.write_text(f"{before}{text}\n{after}", encoding="utf-8")
        if page.name == "performance.md":
            (ROOT / "docs" / "performance.svg").write_text(chart(results, WORKS), encoding="utf-8")


if __name__ == "__main__":
    main()
