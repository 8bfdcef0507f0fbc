"""How time and memory grow with the number of messages; all but 1,000 are known to what finds new ones.

The CPU and the memory are those of the case, without the start of Python and the login.
"""

import random
import statistics
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests import ROOT
from tests.benchmarks.case import Report
from tests.benchmarks.report import number, ratio
from tests.benchmarks.rounds import Stage, Work, run_case

MAILBAGS = ("10,000", "100,000", "500,000")
#: For `staged`.
WORKS = tuple(Work("", "", mailbag, "plain") for mailbag in MAILBAGS)


class Step(NamedTuple):
    """One case, in the order of `STEPS`: most need what the steps before them have stored."""

    title: str
    case: str
    #: It stores something, so that it cannot be repeated.
    once: bool = False


STEPS = (
    Step("`inbox.sizes` and `inbox.uids`", "ours.mailbox_listings"),
    Step("`[m.size for m in inbox]`", "ours.mailbox_sizes"),
    Step("`inbox.new(seen)`", "ours.mailbox_new"),
    Step("`Seen.new` and `Seen.add` of the known", "ours.seen_add", once=True),
    Step("`Seen.new`", "ours.seen_new"),
    Step("`Archive.collect` of the known", "ours.archive_known", once=True),
    Step("`pymailbox ls --new`", "ours.ls_new"),
    Step("`Archive.collect` of 1,000 new ones", "ours.archive_collect", once=True),
    Step("`Archive.collect`, nothing new", "ours.archive_collect"),
)
#: What each step took in each round: by its title, the mailbag, and now or before.
Taken = dict[tuple[str, str, str], list[Report]]


def run_rounds(stage: Stage, before: Path | None, count: int, works: Iterable[Work] = WORKS) -> Taken:
    """Run every step with every mailbox `count` times; once if it stores something, and with the largest mailbox.

    `before`: the checkout of an earlier package, which runs the steps that store nothing. ValueError if it read
    something else.
    """
    taken: Taken = {}
    with tempfile.TemporaryDirectory() as place:
        for work in works:
            directory = Path(place, work.mailbag)
            directory.mkdir()
            service = stage.service(work)._replace(directory=str(directory))
            for step in STEPS:
                roots = {"now": ROOT} if step.once or before is None else {"now": ROOT, "before": before}
                for round in range(1 if step.once or work.mailbag == MAILBAGS[-1] else count):
                    tallies = set()
                    for name in random.Random(f"{round} {step.title}").sample(list(roots), len(roots)):
                        report = run_case(step.case, service, roots[name])
                        tallies.add(report.tally)
                        taken.setdefault((step.title, work.mailbag, name), []).append(report)
                        print(f"round {round + 1}: {step.title} · {work.mailbag} · {name}: {report}", file=sys.stderr)
                    if len(tallies) != 1:
                        raise ValueError(f"{step.title} of {work.mailbag}: not both read the same: {tallies}")
    return taken


def table(taken: Taken) -> str:
    """Return a table of the medians, of how they grow from one mailbox to the next, and against an earlier package."""
    compared = any(name == "before" for _, _, name in taken)
    columns = ["what", "messages", "CPU", "grows", "memory", "grows"]
    columns += ["CPU against before", "memory against before"] if compared else []
    lines = [f"| {' | '.join(columns)} |", f"|---|{'--:|' * (len(columns) - 1)}"]
    for step in STEPS:
        fewer: tuple[int, float, int] | None = None
        for mailbag in dict.fromkeys(mailbag for _, mailbag, _ in taken):
            now, before = (taken.get((step.title, mailbag, name), []) for name in ("now", "before"))
            messages = int(mailbag.replace(",", ""))
            cpu, memory = statistics.median(one.cpu for one in now), round(statistics.median(one.memory for one in now))
            cells = [step.title, mailbag]
            for text, grown in (
                (f"{cpu:.2f} s", fewer and cpu / fewer[1]),
                (f"{memory >> 20} MB", fewer and memory / max(1, fewer[2])),
            ):
                cells += [text, f"{number(grown)} for {messages / fewer[0]:.0f}" if fewer else ""]
            if compared:
                cells.append(number(ratio([one.cpu for one in now], [one.cpu for one in before])))
                cells.append(number(ratio([one.memory for one in now], [one.memory for one in before])))
            lines.append(f"| {' | '.join(cells)} |")
            fewer = messages, cpu, memory
    return "\n".join(lines)
