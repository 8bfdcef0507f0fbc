"""Save every message as a file, print the subjects, and delete what was saved.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD. It was a typical program for poplib.
"""

from pymailbox import Account, Mailbox

with Mailbox.from_account(Account.from_env()) as inbox:
    for message in inbox.fetch():
        message.save(f"{message.number}.eml", overwrite=True)
        print(message.subject)
        message.delete()  # at the end of the block, unless it ends in an error
