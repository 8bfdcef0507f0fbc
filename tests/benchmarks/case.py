"""A case: a generator that yields None after logging in, then what it reads, and ends after the reply to QUIT.

    python -m tests.benchmarks.case MODULE FUNCTION SERVICE

runs one and prints the seconds it took as JSON. The clock starts after all imports and before connecting, and is read
again after the login. The tally counts what was read: bytes of messages, or entries of a list.
"""

import importlib
import json
import os
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


def main() -> None:
    """Measure the case named on the command line."""
    module, function, service = sys.argv[1:]
    case = getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)
    begin = time.perf_counter()
    results = case(Service(*json.loads(service)))
    next(results)
    connected = time.perf_counter()
    # A number is a count of bytes written.
    tally = sum(item if isinstance(item, int) else len(item) for item in results)
    ended = time.perf_counter()
    print(json.dumps({"connecting": connected - begin, "working": ended - connected, "tally": tally}))


if __name__ == "__main__":
    main()
