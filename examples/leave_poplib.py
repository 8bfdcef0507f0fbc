"""Save every message as a file, print the subjects, and delete what was saved: a typical program for poplib, rewritten.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD.
"""

from pymailbox import Account, Mailbox

with Mailbox.from_account(Account.from_env()) as inbox:
    for message in inbox.fetch():
        message.save(f"{message.number}.eml", overwrite=True)
        print(message.subject)
        message.delete()  # at the end of the block, or not at all if an exception ends it
