"""What a child process does under a limit on its memory: meet a server that never ends, or a very large message.

`python -m tests.endless CASE HOST PORT` prints one line: the error and its seconds, or the growth of the process.
"""

import contextlib
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pymailbox.errors import MailboxError
from pymailbox.pop3 import Connection, commands
from pymailbox.pop3.limits import Limits

MEBI = 1024 * 1024
TIMEOUT = 10.0


def resident() -> int:
    """Return the octets of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def pipelined(pop: Connection) -> None:
    """Leave a pipeline early, and meet an endless body with the next command."""
    pop.session.protocol.pipelining = True
    results = pop.pipeline(commands.retr(number, expected=100) for number in (1, 2, 3))
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


def endless(case: str, host: str, port: int) -> str:
    """Meet the endless reply of that case under 512 MiB of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (512 * MEBI, 512 * MEBI))
    began = time.monotonic()
    limits = Limits(message=64 * MEBI)
    try:
        with Connection(host, port, security="none", limits=limits, timeout=TIMEOUT) as pop:
            if case not in ("GREETING", "CAPA", "LANG", "AUTH"):
                pop.user("me")
                pop.pass_("secret")
            CASES[case](pop)
    except MailboxError as error:
        return f"{type(error).__name__} {getattr(error, 'field', None)} {time.monotonic() - began:.3f}"
    return "no error"


def stream(host: str, port: int) -> str:
    """Stream message 1 to nowhere; tell its octets and how much the process grew."""
    sizes = {"octets": 0}

    def count(data: bytes) -> None:
        sizes["octets"] += len(data)

    with Connection(host, port, security="none", timeout=TIMEOUT) as pop:
        pop.user("me")
        pop.pass_("secret")
        pop.retr(2, count)
        before = resident()
        peak = 0

        def watch(data: bytes) -> None:
            nonlocal peak
            sizes["octets"] += len(data)
            peak = max(peak, resident())

        sizes["octets"] = 0
        octets = pop.retr(1, watch)
    assert octets == sizes["octets"]
    return f"{octets} {peak - before}"


if __name__ == "__main__":
    name, where, number = sys.argv[1:]
    with contextlib.suppress(BrokenPipeError):
        print(stream(where, int(number)) if name == "STREAM" else endless(name, where, int(number)))
