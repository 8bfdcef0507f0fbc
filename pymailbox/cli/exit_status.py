"""The exit statuses of all commands, and which one an error has; scripts rely on these numbers."""

import errno
from collections.abc import Iterable

from pymailbox.errors import ArchiveLocked, AuthenticationError, DiskFull, MailboxError, UidsChanged

__all__ = [
    "DAMAGED",
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "LATER",
    "LOCKED",
    "PARTLY",
    "REFUSED",
    "RENUMBERED",
    "TERMINATED",
    "USAGE",
    "most_serious",
    "of_output",
    "status_of",
]

DONE = 0
FAILED = 1
USAGE = 2
#: Some of it failed; the rest was done, and is safe.
PARTLY = 3
#: `verify` or `rebuild` found damage.
DAMAGED = 4
#: Another run is writing to the archive.
LOCKED = 5
#: The server has given all messages new uids.
RENUMBERED = 6
#: Trying again later may help, with nothing changed (EX_TEMPFAIL).
LATER = 75
#: The login was refused; trying again unchanged may lock the account (EX_NOPERM).
REFUSED = 77
#: Ended by Ctrl-C or SIGINT.
INTERRUPTED = 130
#: Ended by SIGTERM; by SIGHUP it is 129.
TERMINATED = 143


def status_of(error: Exception) -> int:
    """Return the exit status for an error."""
    if isinstance(error, ArchiveLocked):
        return LOCKED
    if isinstance(error, UidsChanged):
        return RENUMBERED
    if isinstance(error, AuthenticationError):
        return REFUSED
    if isinstance(error, DiskFull):  # a disk does not become empty by itself
        return FAILED
    return LATER if isinstance(error, MailboxError) and error.retryable else FAILED


def of_output(error: Exception) -> bool:
    """Return whether an error is one of standard output: nobody reads it, or the disk it goes to is full."""
    if not isinstance(error, OSError) or isinstance(error, MailboxError) or error.filename is not None:
        return False
    return isinstance(error, BrokenPipeError) or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


#: The statuses of a failure, the most serious first: what needs a person before what may pass by itself.
_SERIOUS = (REFUSED, RENUMBERED, FAILED, LOCKED, LATER)


def most_serious(statuses: Iterable[int]) -> int:
    """Return the status of a command for several accounts: 0 if all succeeded, 3 if some did."""
    found = set(statuses)
    if found == {DONE}:
        return DONE
    return PARTLY if found & {DONE, PARTLY} else min(found, key=_SERIOUS.index)
