"""Archive an account that is about to be closed, and prove that nothing is missing.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD. Run it until it says "complete" (exit
status 0). Nothing is deleted on the server.
"""

import sys

from pymailbox import Account, Archive, Mailbox

ARCHIVE = "mail/old-account"

account = Account.from_env()
with Archive(ARCHIVE) as archive:
    print("archive:", archive.collect(account))
    verified = archive.verify()
    print("verify: ", verified)
    missing = 0
    with Mailbox.from_account(account, read_only=True) as inbox:
        for message in inbox:
            if not (message.uid and archive.by_uid(account, message.uid)):
                print(f"missing: {message.number} {message.subject!r}")
                missing += 1
    if missing or not verified:
        sys.exit("not complete: keep the account open, and run this again")
    dates = sorted(date for record in archive if (date := record.content.date))
    print(f"complete: {len(archive)} messages in {ARCHIVE}")
    print(f"dated {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}" if dates else "undated")
