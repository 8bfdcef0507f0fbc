"""What the operations of an archive return: frozen values that print as one line."""

from datetime import datetime

from attrs import frozen

from pymailbox.display import format_size

__all__ = ["Cleaned", "Collected", "FailedRun", "LastRun"]


def _notes(notes: tuple[str, ...]) -> str:
    return "".join(f"; {note}" for note in notes)


@frozen
class Collected:
    """What one `collect` did."""

    #: Messages archived by this run, or that would be with `dry_run=True`.
    new: int = 0
    #: Bytes of them, as sent.
    bytes: int = 0
    #: Messages on the server that were archived before.
    known: int = 0
    #: Messages that failed three times and are no longer asked for.
    set_aside: int = 0
    #: Messages deleted on the server, or that would be with `dry_run=True`.
    deleted: int = 0
    #: Messages that this run could not archive; the next one tries them again.
    failed: int = 0
    #: What you should know, a sentence each.
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        failed = f"; {self.failed:,} failed" if self.failed else ""
        aside = f"; {self.set_aside:,} set aside" if self.set_aside else ""
        gone = f"{self.deleted:,} deleted" if self.deleted else "nothing deleted"
        known = f"{self.known:,} known{failed}{aside}"
        return f"{self.new:,} new, {format_size(self.bytes)}; {known}; {gone}{_notes(self.notes)}"

    def _repr_html_(self) -> str:
        from pymailbox.notebook import facts

        counts = (self.known, self.set_aside, self.deleted, self.failed)
        rows = [("new", f"{self.new:,}, {format_size(self.bytes)}")]
        rows += zip(("known", "set aside", "deleted", "failed"), map("{:,}".format, counts), strict=True)
        return facts("Collected", [("", rows)], self.notes)


@frozen
class Cleaned:
    """What one `clean` did."""

    #: Messages deleted on the server, or that would be with `dry_run=True`.
    deleted: int = 0
    #: Messages that stay there.
    kept: int = 0
    #: What you should know, a sentence each.
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.deleted:,} deleted, {self.kept:,} kept{_notes(self.notes)}"


@frozen
class LastRun:
    """How the last run for an account ended, of those that came to their end.

    A run that was cut off, or that failed as a whole, such as at the login, leaves this as it was; see `FailedRun`.
    """

    #: When (UTC).
    ended: datetime
    #: Messages that could not be archived; the next run tries them again, up to three times each.
    failed: int = 0

    def __str__(self) -> str:
        return f"{self.failed:,} failed" if self.failed else "done"


@frozen
class FailedRun:
    """How the last run for an account failed as a whole, such as at the login."""

    #: When (UTC).
    at: datetime
    #: What its error said, in one line without any secret; text that comes from the server is escaped.
    problem: str

    def __str__(self) -> str:
        return self.problem
