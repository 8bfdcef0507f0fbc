"""What a child process does under a limit on its memory: meet a server that never ends, or a very large message.

`python -m tests.endless endless HOST PORT MESSAGE ROOM CASE...` meets one endless reply after the other, each in a
session of its own, with MESSAGE MiB as the message limit and ROOM MiB of address space more than the process has when
it begins, and prints the case and its error in a line.

`python -m tests.endless stream HOST PORT` prints the size of message 1 and how much the process grew while it came.
"""

import resource
import sys
from collections.abc import Callable
from pathlib import Path

from pymailbox.errors import MailboxError
from pymailbox.pop3 import Connection, commands
from pymailbox.pop3.limits import Limits
from tests.timing import GENEROUS

MEBI = 1024 * 1024


def held(field: int) -> int:
    """Return the octets of address space (0) or of memory (1) that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()


def pipelined(pop: Connection) -> None:
    """Leave a pipeline early, and meet an endless body with the next command."""
    pop.session.protocol.pipelining = True
    results = pop.pipeline(commands.retr(number, expected=600_000) for number in range(1, 13))
    for _ in range(7):
        next(results)
    results.close()  # type: ignore[attr-defined]
    pop.stat()


CASES: dict[str, Callable[[Connection], object]] = {
    "GREETING": lambda pop: pop.greeting,
    "LINE": lambda pop: pop.noop(),
    "RETR": lambda pop: pop.retr(1),
    "TOP": lambda pop: pop.top(1),
    "LIST": lambda pop: pop.list(),
    "UIDL": lambda pop: pop.uidl(),
    "CAPA": lambda pop: pop.capa(),
    "LANG": lambda pop: pop.lang(),
    "AUTH": lambda pop: pop.auth("PLAIN", "me", "secret"),
    "PIPELINE": pipelined,
}


def meet(case: str, host: str, port: int, limits: Limits) -> str:
    """Meet the endless reply of that case; return the error."""
    try:
        with Connection(host, port, security="none", limits=limits, timeout=GENEROUS) as pop:
            if case not in ("GREETING", "CAPA", "LANG", "AUTH"):
                pop.user("me")
                pop.pass_("secret")
            CASES[case](pop)
    except MailboxError as error:
        return f"{type(error).__name__} {getattr(error, 'field', None)}"
    return "no error"


def endless(host: str, port: int, message: int, room: int, cases: list[str]) -> None:
    """Meet the endless replies of these cases in little memory."""
    bound = held(0) + room * MEBI
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    limits = Limits(message=message * MEBI)
    for case in cases:
        print(f"{case}: {meet(case, host, port, limits)}", flush=True)


def stream(host: str, port: int) -> None:
    """Stream message 1 to nowhere; print its octets and how much the process grew."""
    octets = peak = 0

    def watch(data: bytes) -> None:
        nonlocal octets, peak
        octets += len(data)
        peak = max(peak, held(1))

    with Connection(host, port, security="none", timeout=GENEROUS) as pop:
        pop.user("me")
        pop.pass_("secret")
        pop.retr(2, watch)
        before, octets, peak = held(1), 0, 0
        assert pop.retr(1, watch) == octets
    print(octets, peak - before)


if __name__ == "__main__":
    task, where, number, *rest = sys.argv[1:]
    if task == "stream":
        stream(where, int(number))
    else:
        endless(where, int(number), int(rest[0]), int(rest[1]), rest[2:])
