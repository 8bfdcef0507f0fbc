"""Rebuilding: a new ledger for an archive, from its files; the old one is kept beside it."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from pymailbox.archive.ledger import Ledger
from pymailbox.archive.maildir import Maildir
from pymailbox.archive.writing import row_of
from pymailbox.disk import Disk
from pymailbox.display import format_size
from pymailbox.progress import Meter, Progress

__all__ = ["Rebuilt", "rebuild"]


@frozen
class Rebuilt:
    """What `rebuild` found."""

    #: Messages in the new ledger.
    messages: int
    #: Bytes of them, as sent.
    bytes: int
    #: Files that cannot be read, or whose size differs from what their name says; they are not in the new ledger.
    damaged: tuple[Path, ...] = ()
    #: Where the old ledger is now; None if there was none.
    old: Path | None = None

    def __str__(self) -> str:
        damaged = f"; {len(self.damaged):,} damaged" if self.damaged else ""
        return f"{self.messages:,} messages, {format_size(self.bytes)}{damaged}"


def rebuild(layout: Maildir, path: Path, progress: Callable[[Progress], None] | None) -> Rebuilt:
    """Write a ledger at `path`; nobody else may write to the archive meanwhile."""
    files = sorted(
        layout.files_by_name().values(),
        key=lambda file: (file.label.first_seen, file.label.position, file.name),
    )
    meter = Meter(progress, (file.stored_size for file in files))
    damaged, size, number = [], 0, 0
    fresh = path.with_name("ledger.new")
    layout.disk.remove(fresh)
    layout.disk.sync_everything()
    with Ledger(fresh) as ledger, ledger.transaction():
        for file in files:
            row = row_of(layout, file, number + 1)
            if row is None:
                damaged.append(file.path)
                continue
            number += 1
            ledger.put(row)
            size += row.size
            meter.add(file.stored_size)
            meter.finish(file.stored_size, file.stored_size)
    meter.end()
    old = _set_aside(path, layout.disk)
    layout.disk.rename(fresh, path)
    layout.disk.sync_directory(path.parent)
    return Rebuilt(number, size, tuple(damaged), old)


def _set_aside(ledger: Path, disk: Disk) -> Path | None:
    """Give an old ledger another name, and return that."""
    if not ledger.exists():
        return None
    number = 1
    while (old := ledger.with_name(f"ledger.old{number}")).exists():
        number += 1
    for suffix in ("-journal", ""):  # a journal belongs to it
        with contextlib.suppress(FileNotFoundError):
            disk.rename(ledger.with_name(ledger.name + suffix), old.with_name(old.name + suffix))
    return old
