"""What has to be reached: each row, its figure in this run, its bound, and whether that is met."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.benchmarks.rounds import Measurement, Results

__all__ = ["LIMITS", "Limit", "Verdict", "judge"]

Figure = Callable[[Results], float | None]
MEGABYTE = 1_000_000
ASYNC = "pymailbox async"


class Limit(NamedTuple):
    """One bound: what is done, what is compared, the figure, and at most or at least how much of `unit`."""

    work: str
    compared: str
    figure: Figure
    sign: str
    bound: float
    unit: str

    def met(self, value: float) -> bool:
        return value <= self.bound if self.sign == "≤" else value >= self.bound


class Verdict(NamedTuple):
    """A limit and its figure in this run; None where a side of it was not measured."""

    limit: Limit
    value: float | None

    @property
    def met(self) -> bool | None:
        return None if self.value is None else self.limit.met(self.value)


def judge(results: Results) -> list[Verdict]:
    """Hold the results against every limit."""
    return [Verdict(limit, limit.figure(results)) for limit in LIMITS]


def taken(results: Results, work: str, client: str) -> Measurement | None:
    summary = results.get((work, client))
    return summary.median if summary else None


def times(work: str, other: str, *, client: str = "pymailbox") -> Figure:
    """How many times as long as the other it takes."""

    def figure(results: Results) -> float | None:
        ours, theirs = results.get((work, client)), results.get((work, other))
        return ours.ratio(theirs) if ours and theirs else None

    return figure


def faster(work: str, other: str, *, client: str = "pymailbox") -> Figure:
    """How many times as fast as the other it is."""
    return times(work, client, client=other)


def crowd(work: str) -> Figure:
    """How many times as fast as threads asyncio is with many accounts."""
    return faster(work, "pymailbox threads", client=ASYNC)


def ahead(work: str, program: str) -> Figure:
    """How many times as fast as the program it is, both as whole processes."""

    def figure(results: Results) -> float | None:
        ours, theirs = results.get((work, "pymailbox")), results.get((work, program))
        return theirs.ratio(ours, whole=True) if ours and theirs else None

    return figure


def memory(work: str, kind: str, *, client: str = "pymailbox", unit: float = MEGABYTE) -> Figure:
    """Highest memory of the process (`peak`), above the idle client (`over_idle`), or its `growth`."""

    def figure(results: Results) -> float | None:
        ours = taken(results, work, client)
        return getattr(ours, kind) / unit if ours else None

    return figure


def milliseconds(client: str) -> Figure:
    """How long an import takes, in milliseconds."""

    def figure(results: Results) -> float | None:
        ours = taken(results, "imports", client)
        return ours.seconds * 1000 if ours else None

    return figure


def heavy(client: str) -> Figure:
    """How many of ssl, email, asyncio and sqlite3 an import brings."""

    def figure(results: Results) -> float | None:
        ours = taken(results, "imports", client)
        return float(ours.tally) if ours else None

    return figure


B = "RETR of 1,000 × 75 KB, in memory"
C = "RETR of 20 × 25 MB, in memory"
STREAM = "RETR of 25 MB, streamed to a file object"
A = "RETR of 10,000 × 2.2 KB with `fetch()`"
TLS = "over TLS"
HEADERS = "10,000 headers, raw"
TRIPLES = "`[(m.subject, m.from_, m.date) for m in inbox]`, 10,000"
LISTINGS = "`inbox.uids` and sizes of 100,000"
FAR = "at 50 ms"
FLOOR = "× the floor's time"
POPLIB = "× as fast as poplib"
X = "×"

#: Every work that the mailbox does in both colours, from one session.
BOTH = (
    ("triples", TRIPLES),
    ("bodies-a", A),
    ("bodies-b", B),
    ("bodies-c", C),
    ("stream-c", STREAM),
    ("bodies-a-tls", f"2.2 KB {TLS}"),
    ("bodies-b-tls", f"75 KB {TLS}"),
    ("bodies-c-tls", f"25 MB {TLS}, in memory"),
    ("stream-c-tls", f"25 MB {TLS}, streamed"),
    ("triples-50ms", f"the same list {FAR}"),
)

LIMITS = (
    Limit(B, FLOOR, times("bodies-b", "floor"), "≤", 1.5, X),
    Limit(B, POPLIB, faster("bodies-b", "poplib"), "≥", 6, X),
    Limit(B, "whole process, ahead of curl", ahead("bodies-b", "curl"), "≥", 1, X),
    Limit(B, "whole process, ahead of mpop", ahead("bodies-b", "mpop"), "≥", 1, X),
    Limit(C, FLOOR, times("bodies-c", "floor"), "≤", 1.3, X),
    Limit(C, POPLIB, faster("bodies-c", "poplib"), "≥", 8, X),
    Limit(C, "whole process, ahead of curl", ahead("bodies-c", "curl"), "≥", 1, X),
    Limit(C, "whole process, ahead of mpop", ahead("bodies-c", "mpop"), "≥", 1, X),
    Limit(C, "peak over idle, in messages", memory("bodies-c", "over_idle", unit=25e6), "≤", 3, X),
    Limit(STREAM, FLOOR, times("stream-c", "floor"), "≤", 1.3, X),
    Limit(STREAM, POPLIB, faster("stream-c", "poplib"), "≥", 12, X),
    Limit(STREAM, "peak over idle", memory("stream-c", "over_idle"), "≤", 8, "MB"),
    Limit(A, FLOOR, times("bodies-a", "floor"), "≤", 4, X),
    Limit(A, POPLIB, faster("bodies-a", "poplib"), "≥", 8, X),
    Limit(A, "whole process, ahead of curl", ahead("bodies-a", "curl"), "≥", 1, X),
    Limit(A, "whole process, ahead of mpop", ahead("bodies-a", "mpop"), "≥", 1, X),
    Limit(f"25 MB {TLS}, in memory", FLOOR, times("bodies-c-tls", "floor"), "≤", 1.3, X),
    Limit(f"25 MB {TLS}, in memory", POPLIB, faster("bodies-c-tls", "poplib"), "≥", 5, X),
    Limit(f"25 MB {TLS}, in memory", "whole process, ahead of mpop", ahead("bodies-c-tls", "mpop"), "≥", 1, X),
    Limit(f"25 MB {TLS}, streamed", FLOOR, times("stream-c-tls", "floor"), "≤", 1.3, X),
    Limit(f"25 MB {TLS}, streamed", POPLIB, faster("stream-c-tls", "poplib"), "≥", 5, X),
    Limit(f"25 MB {TLS}, streamed", "whole process, ahead of mpop", ahead("stream-c-tls", "mpop"), "≥", 1, X),
    Limit(f"2.2 KB {TLS}", POPLIB, faster("bodies-a-tls", "poplib"), "≥", 3.5, X),
    Limit(f"75 KB {TLS}", POPLIB, faster("bodies-b-tls", "poplib"), "≥", 3.5, X),
    Limit(HEADERS, FLOOR, times("headers", "floor"), "≤", 4, X),
    Limit(HEADERS, POPLIB, faster("headers", "poplib"), "≥", 10, X),
    Limit(f"{HEADERS}, with `Connection`", FLOOR, times("headers", "floor", client="pymailbox Connection"), "≤", 4, X),
    Limit(TRIPLES, "× as fast as poplib + modern policy", faster("triples", "poplib modern"), "≥", 25, X),
    Limit(TRIPLES, "× as fast as poplib + compat32", faster("triples", "poplib compat32"), "≥", 3, X),
    Limit(TRIPLES, "peak of the process", memory("triples", "peak"), "≤", 40, "MB"),
    Limit(LISTINGS, FLOOR, times("listings", "floor"), "≤", 1.3, X),
    Limit(LISTINGS, POPLIB, faster("listings", "poplib"), "≥", 1.9, X),
    Limit(LISTINGS, "peak over idle", memory("listings", "over_idle"), "≤", 40, "MB"),
    Limit("`poplib.retr` of 1,000 × 75 KB", POPLIB, faster("retr-b", "poplib", client="drop in"), "≥", 2, X),
    Limit("`poplib.retr` of 25 MB", POPLIB, faster("retr-c", "poplib", client="drop in"), "≥", 2, X),
    Limit(f"the same list {FAR}", POPLIB, faster("triples-50ms", "poplib modern"), "≥", 600, X),
    Limit(f"10,000 bodies of 2.2 KB {FAR}", POPLIB, faster("bodies-a-50ms", "poplib"), "≥", 250, X),
    Limit(f"10,000 bodies of 2.2 KB {FAR}", "whole process, × mpop", ahead("bodies-a-50ms", "mpop"), "≥", 5, X),
    Limit(f"1,000 DELE {FAR}", POPLIB, faster("deletions-50ms", "poplib"), "≥", 100, X),
    Limit(f"no PIPELINING, {FAR}", "× poplib's time", times("lockstep-50ms", "poplib"), "≤", 1.05, X),
    Limit("`import pymailbox`", "over attrs and socket", milliseconds("pymailbox"), "≤", 5, "ms"),
    Limit("`import pymailbox`", "of ssl, email, asyncio, sqlite3", heavy("pymailbox"), "≤", 0, "modules"),
    Limit("`from pymailbox import Mailbox`", "over attrs and socket", milliseconds("Mailbox"), "≤", 25, "ms"),
    Limit("`from pymailbox import Mailbox`", "of ssl, email, asyncio, sqlite3", heavy("Mailbox"), "≤", 0, "modules"),
    *(
        Limit(title, "AsyncMailbox, × as fast as Mailbox", faster(work, "pymailbox", client=ASYNC), "≥", 0.8, X)
        for work, title in BOTH
    ),
    Limit(f"200 accounts {FAR}", "asyncio, × as fast as threads", crowd("accounts"), "≥", 0.8, X),
    Limit(f"200 accounts {FAR}, dovecot", "asyncio, × as fast as threads", crowd("accounts-dovecot"), "≥", 0.8, X),
    Limit("100,000 messages with `fetch()`", "memory after the 10,000th", memory("flat", "growth"), "≤", 10, "MB"),
)
