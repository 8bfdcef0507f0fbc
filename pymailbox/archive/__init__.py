"""Archives: accounts kept as files, each message once, whatever happens.

`Archive` is the whole of it, `Keep` says what stays on the server, and `Record` is one archived message.
"""

from pymailbox.archive.archive import Archive, Record
from pymailbox.archive.keep import Keep
from pymailbox.archive.results import Cleaned, Collected, FailedRun, LastRun, Rebuilt, Verified

__all__ = ["Archive", "Cleaned", "Collected", "FailedRun", "Keep", "LastRun", "Rebuilt", "Record", "Verified"]
