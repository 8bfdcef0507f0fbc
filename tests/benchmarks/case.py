"""A case: a generator that yields None after logging in, then what it reads, and ends after the reply to QUIT.

    python -m tests.benchmarks.case MODULE FUNCTION SERVICE

runs one and prints its `Report` as JSON. The clock starts after all imports and before connecting, and is read again
after the login. The working directory decides which pymailbox it imports.
"""

import importlib
import json
import os
import resource
import ssl
import sys
import time
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Service(NamedTuple):
    """A mailbox on a server, of which the first `count` messages are read."""

    host: str
    port: int
    user: str
    password: str
    count: int
    #: The file of the private CA; empty without TLS.
    certificate: str = ""
    #: The file to which messages are streamed.
    sink_path: str = os.devnull
    #: The directory of an archive and of a file of seen messages.
    directory: str = ""

    @property
    def numbers(self) -> range:
        """The numbers of the messages to read."""
        return range(1, self.count + 1)

    def sink(self) -> BinaryIO:
        """Open the file to which messages are streamed."""
        return Path(self.sink_path).open("ab")

    def context(self) -> ssl.SSLContext | None:
        """Return a context that verifies the server; None without TLS."""
        return ssl.create_default_context(cafile=self.certificate) if self.certificate else None


class Report(NamedTuple):
    """What a case took."""

    #: Seconds until None was yielded.
    connecting: float
    #: Seconds from there to the end; the other values are of that time, too.
    seconds: float
    #: Seconds of CPU in the program.
    user: float
    #: Seconds of CPU in the kernel.
    system: float
    #: Bytes by which the largest resident memory grew.
    memory: int
    #: What was read: bytes of messages, or entries of lists.
    tally: int

    @property
    def cpu(self) -> float:
        """All seconds of CPU."""
        return self.user + self.system


def peak_memory() -> int:
    """Return the largest resident memory so far, in bytes."""
    # Not by getrusage: it counts the memory of the parent that the process was forked from.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Measure the case named on the command line."""
    module, function, service = sys.argv[1:]
    case = getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)
    begin = time.perf_counter()
    results = case(Service(*json.loads(service)))
    next(results)
    memory, cpu, connected = peak_memory(), resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    # A number is a count.
    tally = sum(item if isinstance(item, int) else len(item) for item in results)
    ended, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    user, system = used.ru_utime - cpu.ru_utime, used.ru_stime - cpu.ru_stime
    print(json.dumps(Report(connected - begin, ended - connected, user, system, peak_memory() - memory, tally)))


if __name__ == "__main__":
    main()
