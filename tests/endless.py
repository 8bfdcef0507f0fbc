"""Run in a child process with limited memory: read endless replies, or a very large message.

`python -m tests.endless endless HOST PORT MESSAGE ROOM CASE...` reads one endless reply after the other, each in a
new session. The message limit is MESSAGE MiB, and the process may use ROOM MiB of address space more than at its start.
It prints a line with each case and its error.

`python -m tests.endless stream HOST PORT` prints the size of message 1 and the growth of the process during its
download.
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
    """Return the bytes of address space (0) or of memory (1) that this process uses now."""
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()


def pipelined(pop: Connection) -> None:
    """Leave a pipeline early, and get an endless body with the next command."""
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


def read(case: str, host: str, port: int, limits: Limits) -> str:
    """Read the endless reply of a case; return the error."""
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
    """Read the endless replies of these cases in little memory."""
    bound = held(0) + room * MEBI
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    limits = Limits(message=message * MEBI)
    for case in cases:
        print(f"{case}: {read(case, host, port, limits)}", flush=True)


def stream(host: str, port: int) -> None:
    """Stream message 1 to nowhere; print its size and the growth of the process."""
    size = peak = 0

    def watch(data: bytes) -> None:
        nonlocal size, peak
        size += len(data)
        peak = max(peak, held(1))

    with Connection(host, port, security="none", timeout=GENEROUS) as pop:
        pop.user("me")
        pop.pass_("secret")
        pop.retr(2, watch)
        before, size, peak = held(1), 0, 0
        assert pop.retr(1, watch) == size
    print(size, peak - before)


if __name__ == "__main__":
    task, host, port, *rest = sys.argv[1:]
    if task == "stream":
        stream(host, int(port))
    else:
        endless(host, int(port), int(rest[0]), int(rest[1]), rest[2:])
