"""``python -m tests.servers install`` installs the servers; ``... check`` starts each and reports the result.

Both also cover the programs that the tests use, such as strace.
"""

import subprocess
import sys
import time

from . import SERVERS, ServerFailedError, ServerMissingError
from .packages import PROGRAMS, install, program


def check() -> int:
    """Start each server and program once; return how many of them do not run, as the exit status."""
    wrong = 0
    for name, launch in SERVERS.items():
        begun = time.monotonic()
        try:
            with launch() as server:
                print(f"{name}: {len(server.stored)} messages, ready in {time.monotonic() - begun:.1f} s")
        except (ServerMissingError, ServerFailedError) as error:
            print(f"{name}: {error}")
            wrong += 1
    for name in PROGRAMS:
        try:
            done = subprocess.run([*program(name), "--version"], check=True, capture_output=True, text=True, timeout=60)
            print(done.stdout.splitlines()[0])
        except (ServerMissingError, subprocess.SubprocessError) as error:
            print(f"{name}: {error}")
            wrong += 1
    return wrong


def main(arguments: list[str]) -> int:
    """Run one of the two commands."""
    match arguments:
        case ["install"]:
            install()
            return check()
        case ["check"]:
            return check()
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
