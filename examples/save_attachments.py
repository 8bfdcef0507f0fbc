"""Save what is attached to the messages of an account, and leave the account as it is.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD.
"""

from pymailbox import Account, Mailbox

DIRECTORY = "attachments/"  # made if it is missing
TYPES = ("application/", "text/csv", "image/")  # content types that begin like this
LARGEST = 50_000_000  # bytes of a message that may have attachments worth saving

with Mailbox.from_account(Account.from_env(), read_only=True) as inbox:
    for message in inbox.fetch([message for message in inbox if (message.size or 0) <= LARGEST]):
        for part in message.attachments:
            if part.content_type.startswith(TYPES):
                print(part.save(DIRECTORY), f"({message.date:%Y-%m-%d}, {message.from_})" if message.date else "")
