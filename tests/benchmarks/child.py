"""One measurement, in a process of its own: run a case and print what it took as one line of JSON.

    python -m tests.benchmarks.child MODULE:FUNCTION HOST PORT USER PASSWORD COUNT [CERTIFICATE]

The clock starts before the case connects, with everything imported that its module imports. Memory is read when the
case is logged in (idle) and at its highest after that; where the system cannot reset its high-water mark, the highest
of the whole process stands in.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from itertools import islice
from pathlib import Path

from tests.benchmarks.service import Service

__all__ = ["main"]

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


def resident(name: str) -> int:
    """Give VmRSS (now) or VmHWM (highest), in octets."""
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def weight(item: object) -> int:
    """Count octets of a body, entries of a listing; a number, of octets written, stands for itself."""
    return item if isinstance(item, int) else len(item)  # type: ignore[arg-type]  # all others have a length


def main() -> None:
    """Measure the case named on the command line."""
    module, _, function = sys.argv[1].partition(":")
    host, port, user, password, count, *certificate = sys.argv[2:]
    service = Service(host, int(port), user, password, int(count), *certificate)
    case = getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)

    before = time.perf_counter()
    results = case(service)
    next(results)
    connecting = time.perf_counter() - before

    idle = resident("VmRSS")
    if CLEAR_REFS.exists():
        CLEAR_REFS.write_text("5")
    cpu = time.process_time()
    begin = time.perf_counter()
    # map lets go of each item before the next is asked for: a message held here would count as the client's memory
    tally = sum(map(weight, islice(results, max(1, service.count // 10))))
    at_tenth = resident("VmRSS")
    tally += sum(map(weight, results))
    working = time.perf_counter() - begin
    print(
        json.dumps(
            {
                "connecting": connecting,
                "working": working,
                "cpu": time.process_time() - cpu,
                "tally": tally,
                "idle": idle,
                "peak": resident("VmHWM"),
                "at_tenth": at_tenth,
                "at_last": resident("VmRSS"),
            }
        )
    )


if __name__ == "__main__":
    main()
