"""Which client does which work over which wire.

A run names its target: `floor:bodies` is a case of that module, run by `child`; `program:curl` a whole process;
`import:import pymailbox` a statement timed in fresh interpreters. `count` is a sample: its time is extrapolated to all
messages of the work. A `once` run takes too long to be repeated in every round.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["WORKS", "Run", "Work"]

MEMORY = "memory"
TLS = "TLS"
DELAYED = "50 ms"
LOCKSTEP = "50 ms, no PIPELINING"
DOVECOT = "dovecot"
CROWD = "embedded server, 50 ms"
CROWD_DOVECOT = "dovecot, 50 ms"
SAMPLE = 200


class Run(NamedTuple):
    """One client doing one work."""

    target: str
    count: int | None = None
    once: bool = False


class Work(NamedTuple):
    """What is to be done: the mailbag, the wire, how many messages (None: all), and who does it."""

    key: str
    title: str
    mailbag: str
    wire: str
    count: int | None
    runs: dict[str, Run]


def runs(**targets: str) -> dict[str, Run]:
    """Name runs that do all of the work in every round; `_` in a name is a space."""
    return {name.replace("_", " "): Run(target) for name, target in targets.items()}


BODIES = runs(
    floor="floor:bodies",
    poplib="standard:bodies",
    pymailbox="ours:bodies",
    pymailbox_Connection="ours_connection:bodies",
    pymailbox_async="ours_async:bodies",
    curl="program:curl",
    mpop="program:mpop",
)
STREAM = runs(
    floor="floor:stream",
    poplib="standard:stream",
    pymailbox="ours:stream",
    pymailbox_Connection="ours_connection:stream",
    pymailbox_async="ours_async:stream",
    curl="program:curl",
    mpop="program:mpop",
)
RETR = runs(poplib="drop_in:retr_standard", drop_in="drop_in:retr")

WORKS = (
    Work(
        "headers",
        "TOP of 10,000 messages, raw",
        "a",
        MEMORY,
        None,
        runs(
            floor="floor:headers",
            poplib="standard:headers",
            pymailbox="ours:headers",
            pymailbox_Connection="ours_connection:headers",
        ),
    ),
    Work(
        "triples",
        "subject, from, date of 10,000 messages",
        "a",
        MEMORY,
        None,
        runs(
            floor="floor:triples",
            poplib_modern="standard:triples_modern",
            poplib_compat32="standard:triples_compat32",
            pymailbox="ours:triples",
            pymailbox_async="ours_async:triples",
        ),
    ),
    Work("bodies-a", "RETR of 10,000 × 2.2 KB", "a", MEMORY, None, BODIES),
    Work("bodies-b", "RETR of 1,000 × 75 KB", "b", MEMORY, None, BODIES),
    Work("bodies-c", "RETR of 20 × 25 MB, in memory", "c", MEMORY, None, BODIES),
    Work("stream-c", "RETR of 20 × 25 MB, to a file", "c", MEMORY, None, STREAM),
    Work("bodies-a-tls", "RETR of 10,000 × 2.2 KB over TLS", "a", TLS, None, BODIES),
    Work("bodies-b-tls", "RETR of 1,000 × 75 KB over TLS", "b", TLS, None, BODIES),
    Work("bodies-c-tls", "RETR of 20 × 25 MB over TLS, in memory", "c", TLS, None, BODIES),
    Work("stream-c-tls", "RETR of 20 × 25 MB over TLS, to a file", "c", TLS, None, STREAM),
    Work(
        "headers-dovecot",
        "TOP of 10,000 messages, raw, from dovecot",
        "a",
        DOVECOT,
        None,
        runs(
            floor="floor:headers",
            poplib="standard:headers",
            pymailbox="ours:headers",
            pymailbox_Connection="ours_connection:headers",
        ),
    ),
    Work("bodies-a-dovecot", "RETR of 10,000 × 2.2 KB from dovecot", "a", DOVECOT, None, BODIES),
    Work(
        "listings",
        "LIST and UIDL of 100,000 messages",
        "d",
        MEMORY,
        None,
        runs(
            floor="floor:listings",
            poplib="standard:listings",
            pymailbox="ours:uids",
            pymailbox_Connection="ours_connection:listings",
            pymailbox_every_size="ours:sizes",
        ),
    ),
    Work("retr-a", "`poplib.retr` of 1,000 × 2.2 KB", "a", MEMORY, 1000, RETR),
    Work("retr-b", "`poplib.retr` of 1,000 × 75 KB", "b", MEMORY, None, RETR),
    Work("retr-c", "`poplib.retr` of 20 × 25 MB", "c", MEMORY, None, RETR),
    Work("retr-c-tls", "`poplib.retr` of 20 × 25 MB over TLS", "c", TLS, None, RETR),
    Work(
        "flat",
        "RETR of 100,000 × 1 KB",
        "d",
        MEMORY,
        None,
        runs(floor="floor:bodies", pymailbox="ours:bodies", pymailbox_async="ours_async:bodies"),
    ),
    Work(
        "triples-50ms",
        "subject, from, date of 10,000 messages at 50 ms",
        "a",
        DELAYED,
        None,
        {
            "floor": Run("floor:triples"),
            "poplib modern": Run("standard:triples_modern", SAMPLE, once=True),
            "pymailbox": Run("ours:triples"),
            "pymailbox async": Run("ours_async:triples"),
        },
    ),
    Work(
        "bodies-a-50ms",
        "RETR of 10,000 × 2.2 KB at 50 ms",
        "a",
        DELAYED,
        None,
        {
            "floor": Run("floor:bodies"),
            "poplib": Run("standard:bodies", SAMPLE, once=True),
            "pymailbox": Run("ours:bodies"),
            "mpop": Run("program:mpop", once=True),
        },
    ),
    Work(
        "bodies-b-50ms",
        "RETR of 1,000 × 75 KB at 50 ms",
        "b",
        DELAYED,
        None,
        runs(floor="floor:bodies", pymailbox="ours:bodies", mpop="program:mpop"),
    ),
    Work(
        "deletions-50ms",
        "DELE of 1,000 messages at 50 ms",
        "b",
        DELAYED,
        None,
        {
            "floor": Run("floor:deletions"),
            "poplib": Run("standard:deletions", SAMPLE, once=True),
            "pymailbox": Run("ours:deletions"),
            "pymailbox Connection": Run("ours_connection:deletions"),
            "mpop": Run("program:mpop_deletions"),
        },
    ),
    Work(
        "lockstep-50ms",
        "RETR of 200 × 2.2 KB at 50 ms, no PIPELINING",
        "a",
        LOCKSTEP,
        SAMPLE,
        {"poplib": Run("standard:bodies", once=True), "pymailbox": Run("ours:bodies", once=True)},
    ),
    Work(
        "accounts",
        "200 accounts of 20 messages at 50 ms, 50 at a time",
        "",
        CROWD,
        200,
        runs(pymailbox_threads="crowd:threads", pymailbox_async="crowd:gathered"),
    ),
    Work(
        "accounts-dovecot",
        "200 accounts of 20 messages at 50 ms, 50 at a time, from dovecot",
        "",
        CROWD_DOVECOT,
        200,
        runs(pymailbox_threads="crowd:threads", pymailbox_async="crowd:gathered"),
    ),
    Work(
        "imports",
        "import, over `import attrs, socket`",
        "",
        "",
        None,
        {
            "pymailbox": Run("import:import pymailbox"),
            "Mailbox": Run("import:from pymailbox import Mailbox"),
        },
    ),
)
