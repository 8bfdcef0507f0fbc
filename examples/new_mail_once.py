"""Print each message once: only what has arrived since the last run.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD. The file SEEN remembers what was handled.
"""

from pymailbox import Account, Mailbox, Seen

SEEN = "mail.seen"

with Seen(SEEN) as seen, Mailbox.from_account(Account.from_env()) as inbox:
    for message in inbox.fetch(seen.new(inbox)):
        print(message.date, message.from_, message.subject)  # your work goes here
        seen.add(message)
