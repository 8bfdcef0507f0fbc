"""Save what is attached to the messages of an account, and leave the account as it is.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD.
"""

from pymailbox import Account, Mailbox

DIRECTORY = "attachments/"  # made if it is missing
TYPES = ("application/", "text/csv", "image/")  # content types that begin like this
LARGEST = 50_000_000  # bytes; larger messages are left out

with Mailbox.from_account(Account.from_env(), read_only=True) as inbox:
    wanted = [message for message in inbox if (message.size or 0) <= LARGEST]
    for message in inbox.fetch(wanted):
        for part in message.attachments:
            if part.content_type.startswith(TYPES):
                print(part.save(DIRECTORY), "from", message.from_)
