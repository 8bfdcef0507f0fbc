"""One measurement, in a process of its own: run a case and print what it took as one line of JSON.

    python -m tests.benchmarks.child MODULE FUNCTION HOST PORT USER PASSWORD COUNT CERTIFICATE

The clock starts before the case connects, with everything imported that its module imports, and is read again after
the login. The tally is what was read: octets of bodies, entries of a list.
"""

import importlib
import json
import sys
import time

from tests.benchmarks.service import Service

__all__ = ["main"]


def weight(item: object) -> int:
    """Count octets of a body, entries of a list; a number, of octets written, stands for itself."""
    return item if isinstance(item, int) else len(item)  # type: ignore[arg-type]  # all others have a length


def main() -> None:
    """Measure the case named on the command line."""
    module, function, host, port, user, password, count, certificate = sys.argv[1:]
    case = getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)
    begin = time.perf_counter()
    results = case(Service(host, int(port), user, password, int(count), certificate))
    next(results)
    connected = time.perf_counter()
    tally = sum(map(weight, results))
    ended = time.perf_counter()
    print(json.dumps({"connecting": connected - begin, "working": ended - connected, "tally": tally}))


if __name__ == "__main__":
    main()
