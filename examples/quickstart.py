"""Read a POP3 account, delete its oldest messages, and commit.

    python examples/quickstart.py pops://me@pop.example.com [CA.pem]

The password comes from the environment variable PYMAILBOX_PASSWORD, or from a prompt. The variable DELETE says how many
of the oldest messages to delete (default 0); FAIL=1 raises an exception inside the block, so nothing is deleted.
"""

import getpass
import os
import sys

from pymailbox import Mailbox, MailboxOptions
from pymailbox.pop3 import tls


def main(url: str, authority: str | None = None) -> None:
    """Print what is in the mailbox, then delete the first DELETE messages."""
    options: MailboxOptions = {"ssl_context": tls.private_ca(authority)} if authority else {}
    with Mailbox.from_url(url, lambda: os.environ.get("PYMAILBOX_PASSWORD") or getpass.getpass(), **options) as inbox:
        print(f"{len(inbox)} messages, {inbox.size:,} bytes")
        for message in inbox:
            print(message.number, message.date, message.from_, message.subject)
        total = sum(len(message.raw) for message in inbox.fetch())
        print(f"{total:,} bytes read")
        inbox.delete(inbox[: int(os.environ.get("DELETE", "0"))])
        if os.environ.get("FAIL"):
            raise RuntimeError("something went wrong: nothing is deleted")


if __name__ == "__main__":
    main(*sys.argv[1:])
