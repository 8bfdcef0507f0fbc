"""The command line of pymailbox, with archives that never wait for the disk: it shows what durability costs.

python -m tests.benchmarks.without_fsync archive URL --to DIR
"""

from pymailbox.archive.ledger import Ledger
from pymailbox.cli import program
from pymailbox.disk import Disk

_open = Ledger._open


def open_without_fsync(ledger: Ledger) -> None:
    """Open a ledger, and let SQLite leave it to the system when to write."""
    _open(ledger)
    ledger._database.execute("PRAGMA synchronous=off")


if __name__ == "__main__":
    Ledger._open = open_without_fsync  # type: ignore[method-assign, assignment]
    Disk.sync_file = lambda *_: None  # type: ignore[method-assign]
    Disk.sync_directory = lambda *_: None  # type: ignore[method-assign]
    program()
