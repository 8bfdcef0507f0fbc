"""Archives: accounts kept as files, each message once, whatever happens.

`Archive` is the whole of it, `Keep` says what stays on the server, and `Record` is one archived message. Each name is
imported when it is first used: to collect messages loads nothing that verifies them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymailbox.archive.archive import Archive, Record
    from pymailbox.archive.keep import Keep
    from pymailbox.archive.rebuilding import Rebuilt
    from pymailbox.archive.results import Cleaned, Collected, FailedRun, LastRun
    from pymailbox.archive.verifying import Verified

__all__ = ["Archive", "Cleaned", "Collected", "FailedRun", "Keep", "LastRun", "Rebuilt", "Record", "Verified"]

#: The module of each public name.
_HOMES = {
    "Archive": "archive",
    "Cleaned": "results",
    "Collected": "results",
    "FailedRun": "results",
    "Keep": "keep",
    "LastRun": "results",
    "Rebuilt": "rebuilding",
    "Record": "archive",
    "Verified": "verifying",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
