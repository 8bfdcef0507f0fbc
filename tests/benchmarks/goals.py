"""What users wait for, by the package of today: against that of an earlier commit, and against yardsticks with a goal.

Every work is a process of its own. The CPU is that of the case without the start of Python and the login, except for
the first subject, for which it is that of the whole process.
"""

import random
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from tests import ROOT
from tests.benchmarks.archive import measured
from tests.benchmarks.case import Report
from tests.benchmarks.report import number, ratio
from tests.benchmarks.rounds import Stage, Work, run_case

#: Programs that end with the first subject.
FIRST_SUBJECT = {
    "first subject": """\
import sys
from pymailbox import Mailbox
host, port, user, password = sys.argv[1:]
with Mailbox(host, user, password, port=int(port), security="none") as inbox:
    assert inbox[0].subject.endswith("#1")
""",
    "first subject by poplib": """\
import poplib, sys
from email.parser import BytesHeaderParser
host, port, user, password = sys.argv[1:]
pop = poplib.POP3(host, int(port))
pop.user(user)
pop.pass_(password)
assert BytesHeaderParser().parsebytes(b"\\r\\n".join(pop.top(1, 0)[1]))["subject"].endswith("#1")
pop.quit()
""",
}
#: How often a short case is measured in a round; others once.
REPEATS = {
    "first subject": 15,
    "ours.mailbox_messages": 5,
    "ours.mailbox_one_by_one": 5,
    "ours.mailbox_sizes": 5,
    "ours.mailbox_listings": 5,
}


class Yardstick(NamedTuple):
    """What a work is compared with, and the most that the work should take of its CPU or time."""

    name: str
    #: None: that of the work, with the earlier package.
    case: str | None
    most: float | None = None
    clock: Literal["cpu", "seconds"] = "cpu"


BEFORE = Yardstick("before", None)
GOALS = {
    Work("`for m in inbox` of 100,000, LIST and UIDL read before", "ours.mailbox_one_by_one", "100,000", "plain"): [
        Yardstick("before", None, 0.6)
    ],
    Work("`list(inbox)` of 100,000, LIST and UIDL read before", "ours.mailbox_messages", "100,000", "plain"): [
        Yardstick("before", None, 0.6)
    ],
    Work("`[m.size for m in inbox]` of 100,000", "ours.mailbox_sizes", "100,000", "plain"): [
        Yardstick("before", None, 0.6)
    ],
    Work("`inbox.sizes` and `inbox.uids` of 100,000", "ours.mailbox_listings", "100,000", "plain"): [
        BEFORE,
        Yardstick("poplib", "standard.listings", 1 / 2),
    ],
    Work("subject, sender, date of 10,000", "ours.mailbox_headers", "small", "plain"): [
        BEFORE,
        Yardstick("floor", "floor.headers", 2),
        Yardstick("poplib, modern policy", "standard.modern_headers", 1 / 30, "seconds"),
    ],
    Work("from the start of Python to the first subject", "first subject", "small", "plain"): [
        BEFORE,
        Yardstick("poplib", "first subject by poplib", 2.2),
    ],
    Work("20 × 25 MB over TLS", "ours.mailbox_bodies", "large", "tls"): [
        BEFORE,
        Yardstick("floor", "floor.bodies", 1.2),
    ],
    Work("20 × 25 MB over TLS, asyncio", "ours.async_bodies", "large", "tls"): [
        BEFORE,
        Yardstick("Mailbox", "ours.mailbox_bodies", 1 / 0.9),
    ],
}
#: What each work and its yardsticks took in each round, by the title of the work and the name of the yardstick.
Taken = dict[tuple[str, str], list[Report]]


def take(stage: Stage, work: Work, case: str, root: Path) -> Report:
    """Run a case or a program once, with the package of the checkout at `root`."""
    service = stage.service(work)
    if case not in FIRST_SUBJECT:
        return run_case(case, service, root)
    arguments = [service.host, str(service.port), service.user, service.password]
    return measured([sys.executable, "-c", FIRST_SUBJECT[case], *arguments], root=root)


def run_rounds(stage: Stage, before: Path, count: int, works: Iterable[Work] = tuple(GOALS)) -> Taken:
    """Run every work and its yardsticks `count` times; ValueError if they did not all read the same."""
    taken: Taken = {}
    for round in range(count):
        for work in works:
            ways = {"now": (work.case, ROOT)}
            ways |= {one.name: (one.case or work.case, ROOT if one.case else before) for one in GOALS[work]}
            for repeat in range(REPEATS.get(work.case, 1)):
                tallies = {}
                for name in random.Random(f"{round} {repeat} {work.title}").sample(list(ways), len(ways)):
                    report = take(stage, work, *ways[name])
                    tallies[name] = report.tally
                    taken.setdefault((work.title, name), []).append(report)
                    print(f"round {round + 1}: {work.title} · {name}: {report}", file=sys.stderr)
                if len(set(tallies.values())) != 1:
                    raise ValueError(f"{work.title}: not all read the same: {tallies}")
    return taken


def table(taken: Taken, works: Iterable[Work] = tuple(GOALS)) -> str:
    """Return a table of the CPU and the time of each work as multiples of those of its yardsticks."""
    lines = ["| what | against | CPU | time | goal |", "|---|---|--:|--:|---|"]
    for work in works:
        for one in GOALS[work]:
            mine, others = taken[work.title, "now"], taken[work.title, one.name]
            cpu = ratio([report.cpu for report in mine], [report.cpu for report in others])
            seconds = ratio([report.seconds for report in mine], [report.seconds for report in others])
            cells = [
                work.title,
                one.name,
                number(cpu),
                number(seconds),
                goal(one, cpu if one.clock == "cpu" else seconds),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def goal(one: Yardstick, found: float | None) -> str:
    """Return a goal, and whether it is met."""
    if one.most is None or found is None:
        return ""
    clock = "CPU" if one.clock == "cpu" else "time"
    return f"{clock} at most {number(one.most)}: {'met' if found <= one.most else 'missed'}"
