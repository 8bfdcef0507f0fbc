"""Watching: what arrives in a mailbox, across sessions.

A watch looks into the mailbox now and then. Each look is a session of its own, and what is new is handed out after that
session has ended, so that nothing on the server is locked while the caller works. `abstract_watch` decides what happens
next, `look` what one session downloads, `schedule` when the next one is due; `Watch` and `AsyncWatch` only wait and run
sessions.
"""

from pymailbox.watching.arrival import Arrival
from pymailbox.watching.async_watch import AsyncWatch
from pymailbox.watching.watch import Watch

__all__ = ["Arrival", "AsyncWatch", "Watch"]
