"""Who writes to you, and how often: `mailcount pops://me@pop.example.com`; the password is in MAILCOUNT_PASSWORD."""

import os
import ssl
import sys
from collections import Counter

from pymailbox import Mailbox, MailboxError

__all__ = ["count", "forget", "main"]


def count(inbox: Mailbox) -> Counter[str]:
    """Return the number of mails from each address."""
    return Counter(message.from_.email if message.from_ else "unknown" for message in inbox)


def forget(inbox: Mailbox, sender: str) -> int:
    """Delete every mail from this address, and return how many there were."""
    mails = [message for message in inbox if message.from_ and message.from_.email == sender]
    inbox.delete(mails)
    inbox.commit()
    return len(mails)


def main(arguments: list[str] | None = None, ssl_context: ssl.SSLContext | None = None) -> int:
    """Print the addresses, the most frequent first; return the exit status."""
    (url,) = sys.argv[1:] if arguments is None else arguments
    try:
        with Mailbox.from_url(url, os.environ["MAILCOUNT_PASSWORD"], ssl_context=ssl_context) as inbox:
            for sender, number in count(inbox).most_common():
                print(number, sender)
    except MailboxError as error:
        print(f"mailcount: {error}", file=sys.stderr)
        return 1
    return 0
