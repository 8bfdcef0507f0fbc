"""The demonstration: a real session from login to commit, on a sample mailbox served on loopback.

`python -m pymailbox demo` shows each line of code and then what it does. Nothing leaves this machine.
"""

from secrets import token_urlsafe

from pymailbox.mailbox import Mailbox
from pymailbox.terminal import inert, local_time, octets, table
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES

__all__ = ["demonstrate", "list_mailbox"]


def list_mailbox(inbox: Mailbox) -> None:
    """Print the messages of a mailbox as a table; headers come by TOP, nothing is downloaded."""
    rows = [
        (
            f"{message.number}{' D' if message.deleted else ''}",
            octets(message.size),
            local_time(message.date),
            str(message.from_ or ""),
            message.subject,
        )
        for message in inbox
        if not message.deleted
    ]
    table(("No.", "Size", "Date", "From", "Subject"), rows, right=(0, 1))


def demonstrate() -> None:
    """Serve the sample mailbox, read it, delete from it, commit, and look again."""
    password = token_urlsafe(12)
    with Server(SAMPLES, user="robin", password=password) as server:
        print(f"A POP3 server with {len(SAMPLES)} sample mails is running at {server.url}\n")

        _code("with Mailbox.from_url(url, password) as inbox:")
        with Mailbox.from_url(server.url, password) as inbox:
            _code("    len(inbox), inbox.size")
            print(f"    {len(inbox)} messages, {inbox.size:,} octets\n")

            _code("    for message in inbox: ...            # headers by TOP, read ahead in a pipeline")
            list_mailbox(inbox)

            message = inbox[2]
            _code("\n    message = inbox[2]                    # the body by RETR, when it is asked for")
            print(f"    {message.subject!r} from {message.from_}")
            print("    " + inert(message.body).strip().replace("\n", "\n    "))
            for attachment in message.attachments:
                print(f"    attached: {attachment.filename} ({attachment.content_type}, {octets(attachment.size)})")

            _code("\n    inbox.delete(inbox[:3])               # DELE, pipelined")
            inbox.delete(inbox[:3])
            print(f"    marked: {_numbers(inbox)}")
            _code("    inbox[2].undelete()                   # RSET, and DELE again for the others")
            inbox[2].undelete()
            print(f"    marked: {_numbers(inbox)}")
            _code("# leaving the block says QUIT: the deletions are committed")

        _code("\nwith Mailbox.from_url(url, password) as inbox:   # a new session")
        with Mailbox.from_url(server.url, password) as inbox:
            list_mailbox(inbox)
            print(f"\n{len(inbox)} messages are left: numbers 1 and 2 are gone, and the rest moved up.")


def _code(line: str) -> None:
    for part in line.split("\n"):
        print(f">>> {part}" if part else "")


def _numbers(inbox: Mailbox) -> str:
    return ", ".join(str(message.number) for message in inbox.deleted) or "none"
