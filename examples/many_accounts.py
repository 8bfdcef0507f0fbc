"""Look into many accounts at once: how much mail each one has, and the latest subject.

Needs `pip install 'pymailbox[cli]'` and an accounts file, which PYMAILBOX_CONFIG may
name. An account that fails does not stop the others.
"""

import asyncio
import sys

from pymailbox import AsyncMailbox, gather_accounts
from pymailbox.accounts_file import AccountsFile


async def look(inbox: AsyncMailbox) -> tuple[int, str]:
    """Return the number of messages, and the subject of the last one."""
    return len(inbox), await inbox[-1].subject() if len(inbox) else ""


async def main() -> int:
    """Print a line for each account, and return how many failed."""
    entries = AccountsFile.load().accounts
    accounts = [entry.account for entry in entries.values()]
    results = await gather_accounts(accounts, look, limit=20, timeout=30)
    for name, result in zip(entries, results, strict=True):
        if result.value is None:
            print(f"{name}: {type(result.error).__name__}: {result.error}")
        else:
            print(f"{name}: {result.value[0]} messages, the latest: {result.value[1]}")
    return sum(result.error is not None for result in results)


if __name__ == "__main__":
    sys.exit(3 if asyncio.run(main()) else 0)
