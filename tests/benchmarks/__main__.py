"""Measure pymailbox and other clients, and print a table of ratios."""

import argparse
import contextlib
import re

from tests import ROOT
from tests.benchmarks import accounts, archive, goals, kills, scale
from tests.benchmarks.report import chart, machine, table
from tests.benchmarks.rounds import WORKS, package_of, run_rounds, staged

BEFORE = "eb6ecfc"  # before messages, the start and archives were made faster
#: The page of docs/ of each text, and the name of its place there.
PLACES = {
    "clients": ("performance.md", "measured"),
    "goals": ("performance.md", "goals"),
    "scale": ("performance.md", "scale"),
    "archive": ("archive.md", "measured"),
    "accounts": ("many-accounts.md", "measured"),
    "kills": ("comparison.md", "measured"),
}


def main() -> None:
    """Run the benchmark; it fails if a client fails, but not if it is slow."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        epilog="Without --against, --archive, --scale, --accounts and --kills, reading is measured against all clients.",
    )
    parser.add_argument("--quick", action="store_true", help="use small mailboxes, to see whether it runs")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="run each client N times (default 3)")
    parser.add_argument("--write-docs", action="store_true", help="write the tables and the chart to docs/")
    parser.add_argument(
        "--against",
        nargs="?",
        const=BEFORE,
        metavar="COMMIT",
        help=f"compare with the package of COMMIT (default {BEFORE}), and with yardsticks that have a goal; --archive"
        " and --scale then measure that package, too",
    )
    parser.add_argument("--archive", action="store_true", help="measure archives: on dovecot, against mpop")
    parser.add_argument("--scale", action="store_true", help="measure how time and memory grow, up to 500,000 messages")
    parser.add_argument("--accounts", action="store_true", help="measure 1,000 accounts, once each way")
    parser.add_argument("--kills", action="store_true", help="kill archives and mpop: what is stored twice?")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.write_docs and options.quick:
        parser.error("--write-docs needs the whole benchmark; omit --quick")
    rounds, quick = options.rounds, options.quick
    run = machine(rounds) + (f" · before: {options.against}" if options.against else "")
    with contextlib.ExitStack() as stack:
        before = stack.enter_context(package_of(options.against)) if options.against else None
        texts = {}
        if options.kills:
            texts["kills"] = kills.table(kills.run(*((3, 100) if quick else (20, 300))))
        if options.accounts:
            ways = accounts.run(40 if quick else 1000, 10)
            texts["accounts"] = f"{machine(1)} · {accounts.disk(ways)}\n\n{accounts.table(ways)}"
        if before:
            with staged(goals.GOALS, quick=quick) as stage:
                taken = goals.run_rounds(stage, before, rounds)
            texts["goals"] = f"{run}\n\n{goals.table(taken)}"
        if options.archive:
            runs, disk = archive.run_rounds(rounds, before, quick=quick)
            texts["archive"] = f"{run} · {disk}\n\n{archive.table(runs)}"
        if options.scale:
            with staged(scale.WORKS, quick=quick) as stage:
                steps = scale.run_rounds(stage, before, rounds)
            texts["scale"] = f"{run}\n\n{scale.table(steps)}"
        if not texts:
            with staged(WORKS, quick=quick) as stage:
                results = run_rounds(stage, WORKS, rounds)
            texts["clients"] = f"{run}\n\n{table(results, WORKS)}"
    print("\n\n".join(texts.values()))
    if options.write_docs:
        for name, text in texts.items():
            page, place = ROOT / "docs" / PLACES[name][0], PLACES[name][1]
            parts = rf"(?<=<!-- {place}: begin -->\n)(?s:.*)(?=<!-- {place}: end)"
            start, end = re.split(parts, page.read_text(encoding="utf-8"))
            page.write_text(f"{start}{text}\n{end}", encoding="utf-8")
        if "clients" in texts:
            (ROOT / "docs" / "performance.svg").write_text(chart(results, WORKS), encoding="utf-8")


if __name__ == "__main__":
    main()
