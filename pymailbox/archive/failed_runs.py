"""FailedRuns: how the last run of each account failed, and when another run makes sense.

A small JSON file, read without a lock and replaced under the lock of the archive. It decides nothing: if it is missing,
torn or damaged it says nothing, and if it cannot be written nothing else changes. So it is not in the ledger: a run may
fail because the disk does, and then whatever the archive needs is better left alone.
"""

import contextlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from pymailbox.archive.results import FailedRun
from pymailbox.disk import Disk
from pymailbox.display import safe_text, without_errno

__all__ = ["FailedRuns"]

_LONGEST = 86_400.0  # seconds; a server that asks for a longer wait is not believed, nor is a clock that was set back
_LARGEST = 1 << 24  # bytes of the file that are read


@frozen(eq=False, repr=False)
class FailedRuns:
    """The file of an archive."""

    path: Path
    disk: Disk

    def failed(self, account: str, error: Exception, wait: float) -> None:
        """Note that a run of an account has failed just now, and the seconds for which another try would be useless."""
        now = time.time()
        self._note(account, {"failed": now, "problem": safe_text(without_errno(error))}, now, wait)

    def done(self, account: str, wait: float) -> None:
        """Note that a run of an account has ended, and the seconds for which the server does not want another."""
        self._note(account, {}, time.time(), wait)

    def last_failure(self, account: str) -> FailedRun | None:
        """Return the last run of an account if it failed."""
        found = self._read().get(account, {})
        when, problem = _moment(found.get("failed")), found.get("problem")
        return FailedRun(when, problem) if when is not None and isinstance(problem, str) else None

    def next_try(self, account: str) -> datetime | None:
        """Return the time before which another try would be useless; None if there is none, or it has passed."""
        when = _moment(self._read().get(account, {}).get("next_try"))
        return when if when is not None and 0 < when.timestamp() - time.time() <= _LONGEST else None

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                import json

                found = json.loads(file.read(_LARGEST))
        except (OSError, ValueError, RecursionError):
            return {}
        return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}

    def _note(self, account: str, entry: dict[str, Any], now: float, wait: float) -> None:
        if wait > 0:
            entry["next_try"] = now + min(wait, _LONGEST)
        before = self._read()
        after = {name: one for name, one in before.items() if name != account} | ({account: entry} if entry else {})
        if after == before:
            return
        import json

        fresh = self.path.with_suffix(".new")
        with contextlib.suppress(OSError):  # how the run ended matters to the caller, not that this was not noted
            self.disk.remove(fresh)
            with self.disk.create(fresh) as file:
                file.write(json.dumps(after).encode())
            self.disk.rename(fresh, self.path)  # and not forced to disk: a torn file says nothing


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
