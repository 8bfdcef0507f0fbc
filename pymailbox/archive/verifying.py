"""Verifying: every message of an archive, or a part of them, read and compared with its hash; changes nothing."""

from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from pymailbox.archive.ledger import Ledger
from pymailbox.archive.maildir import Maildir
from pymailbox.archive.stored_form import Form, is_whole
from pymailbox.display import format_size
from pymailbox.progress import Meter, Progress

__all__ = ["Verified", "verify"]


@frozen
class Verified:
    """What `verify` found."""

    #: Messages read and compared.
    read: int
    #: Bytes of them, as sent.
    bytes: int
    #: Messages in the archive.
    messages: int
    #: Files whose content has changed or cannot be read.
    damaged: tuple[Path, ...] = ()
    #: Names of files that are no longer there.
    missing: tuple[str, ...] = ()
    #: Files that the archive does not know, such as those of other programs; they are left alone.
    strangers: int = 0

    def __bool__(self) -> bool:
        """Whether everything that was read is as it was archived."""
        return not self.damaged and not self.missing

    def __str__(self) -> str:
        return (
            f"{self.read:,} of {self.messages:,} read, {format_size(self.bytes)}; {len(self.damaged):,} damaged,"
            f" {len(self.missing):,} missing, {self.strangers:,} unknown"
        )


def verify(
    layout: Maildir, ledger: Ledger | None, sample: float, progress: Callable[[Progress], None] | None
) -> Verified:
    """Read what a ledger has, or a `sample` of it, a part of 1; without a ledger there is nothing."""
    places, strangers = layout.places()
    sizes = ledger.sizes() if ledger is not None and (sample < 1 or progress is not None) else []
    chosen = _chosen(len(sizes), sample) if sample < 1 else None
    meter = Meter(progress, sizes if chosen is None else (sizes[at] for at in chosen))
    damaged: list[Path] = []
    later = []  # not where they were looked for: missing, or moved meanwhile
    count = read = read_bytes = 0

    def note(place: str | Path, size: int, whole: bool) -> None:
        nonlocal read, read_bytes
        if not whole:
            damaged.append(Path(place))
        read, read_bytes = read + 1, read_bytes + size
        if progress is not None:
            meter.add(size)
            meter.finish(size, size)

    for message in ledger.contents() if ledger is not None else ():
        name, form, sha256, size = message
        place = places.pop(name, None)
        count += 1
        if place is None:
            later.append(message)
        elif chosen is None or count - 1 in chosen:
            try:
                whole = is_whole(place, form, sha256, size)
            except FileNotFoundError:
                later.append(message)
            else:
                note(place, size, whole)
    missing = []
    moved = layout.places()[0] if later else {}
    for name, form, sha256, size in later:

        def again(path: Path, form: Form = form, sha256: str = sha256, size: int = size) -> bool:
            note(path, size, is_whole(path, form, sha256, size))
            return True

        if name not in moved or layout.read(name, again) is None:
            missing.append(name)
    meter.end()
    # A run beside this one may have added files since: the ledger has those by now.
    strangers += sum(ledger is None or not ledger.has_file(name) for name in places)
    return Verified(read, read_bytes, count, tuple(damaged), tuple(missing), strangers)


def _chosen(count: int, sample: float) -> set[int]:
    """Return which of so many messages are read."""
    import random

    return set(random.sample(range(count), max(1, round(sample * count)))) if count else set()
