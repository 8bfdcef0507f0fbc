"""Many accounts at once: a coroutine function over a session of each, or an archive of each.

`gathering` runs on an event loop, and `collecting` on an executor: threads, processes, or a cluster. There, the
caller's thread decides by the `schedule` which account is next, and waits; a `worker` only collects, and never sleeps.
"""

from pymailbox.many.collecting import Outcome, collect_all
from pymailbox.many.gathering import AccountResult, gather_accounts

__all__ = ["AccountResult", "Outcome", "collect_all", "gather_accounts"]
