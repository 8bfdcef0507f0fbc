"""Make room on the server: archive everything, then delete there what is old.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD. A message is deleted only if its copy in
ARCHIVE is whole and on disk.
"""

from pymailbox import Account, Archive, Keep, Mailbox

ARCHIVE = "mail/me"
KEEP = Keep(latest=5)  # what stays; or Keep(days=30), or Keep(bytes=500_000_000)

account = Account.from_env()
with Archive(ARCHIVE) as archive:
    print(archive.collect(account, keep=KEEP))
with Mailbox.from_account(account, read_only=True) as inbox:
    print(f"{len(inbox)} messages, {inbox.size:,} bytes are left on the server")
