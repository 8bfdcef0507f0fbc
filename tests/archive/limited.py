"""Run in a child process with limited memory: `python -m tests.archive.limited HOST PORT ARCHIVE ROOM` archives a mailbox.

The process may use ROOM MiB of address space more than when everything is imported. It prints what was done, the bytes
of memory that it had at most, and its seconds of CPU.
"""

import json
import resource
import sys
import time
from pathlib import Path

from pymailbox import Account, Archive
from pymailbox.content import Content  # noqa: F401 - imported now, as the first session would do

MEBI = 1 << 20


def held(field: str) -> int:
    """Return a number of bytes that the kernel counts for this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    host, port, archive, room = sys.argv[1:]
    limit = held("VmSize") + int(room) * MEBI
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    done = Archive(archive).collect(Account(host, "me", "secret", security="none", port=int(port)))
    print(json.dumps([done.new, done.known, held("VmHWM"), time.process_time()]))
