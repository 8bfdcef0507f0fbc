"""List the last 30 days of a Gmail account, also what another program has fetched.

Needs POP switched on in Gmail, PYMAILBOX_URL=pops://me%40gmail.com@pop.gmail.com, and
an app password in PYMAILBOX_PASSWORD. Hides and deletes nothing.
"""

from attrs import evolve
from pymailbox import Account, Mailbox

account = Account.from_env()
recent = evolve(account, user=f"recent:{account.user}")  # sees the last 30 days
with Mailbox.from_account(account, read_only=True) as inbox:
    waiting = set(inbox.uids)
with Mailbox.from_account(recent, read_only=True) as inbox:  # so Gmail hides nothing
    for message in inbox:
        state = "waiting" if message.uid in waiting else "fetched"
        print(state, message.date, message.from_, message.subject)
