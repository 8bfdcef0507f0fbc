"""The demo: a real session, from login to commit, with a sample mailbox served on this machine.

`python -m pymailbox demo` shows each line of code, followed by its output. Nothing leaves this machine.
"""

from collections.abc import Iterator
from secrets import token_urlsafe

from pymailbox.display import format_size, local_time, safe_text, table, window
from pymailbox.errors import CommandError
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.mailbox.message import Message
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES

__all__ = ["demonstrate", "list_mailbox"]

_SIZE = 8  # columns: "999.9 KB"
_NARROW, _WIDE = 72, 100  # columns; narrower windows get no time of day, wider ones names with addresses


def list_mailbox(inbox: Mailbox) -> None:
    """Print the messages of a mailbox as a table, row by row as headers arrive; no message is downloaded.

    If the server refuses a message, its row says so, and the other rows follow.
    """
    room = window()
    number = max(3, len(str(len(inbox))))
    wide = room is None or room >= _WIDE
    date = 10 if room is not None and room < _NARROW else 16
    sender = 28 if room is None or wide else max(6, (room - number - _SIZE - date - 8) * 2 // 5)
    table(
        ("No.", "Size", "Date", "From", "Subject"),
        _rows(inbox, date=date, addresses=wide),
        widths=(number, _SIZE, date, sender),
        right=(0, 1),
    )


def _rows(inbox: Mailbox, *, date: int, addresses: bool) -> Iterator[tuple[str, ...]]:
    for message in inbox:
        if not message.deleted:
            moment, sender, subject = _headers(message, addresses=addresses)
            yield str(message.number), format_size(message.size), moment[:date], sender, subject


def _headers(message: Message, *, addresses: bool) -> tuple[str, str, str]:
    try:
        sender = message.from_
    except CommandError as refused:
        return "", "", f"(refused: {refused.response or refused.problem})"
    shown = "" if sender is None else str(sender) if addresses else sender.name or sender.email
    return local_time(message.date), shown, message.subject


def demonstrate() -> None:
    """Serve the sample mailbox, read it, delete messages, commit, and list it again."""
    password = token_urlsafe(12)
    with Server(SAMPLES, user="robin", password=password) as server:
        print(f"A POP3 server with {len(SAMPLES)} sample messages is running at {server.url}\n")

        print("inbox = Mailbox.from_url(url, password).open()\nlen(inbox), inbox.size")
        with Mailbox.from_url(server.url, password) as inbox:
            print(f"    {len(inbox)} messages, {inbox.size:,} bytes\n")

            print("for message in inbox:  # headers with TOP, prefetched in a pipeline")
            print("    print(message.number, message.size, message.date, message.from_, message.subject)")
            list_mailbox(inbox)

            message = inbox[2]
            print("\nmessage = inbox[2]\nprint(message.body)  # RETR downloads it now")
            print(f"    {message.subject!r} from {message.from_}")
            print("    " + safe_text(message.body, multiline=True, limit=None).strip().replace("\n", "\n    "))
            for attachment in message.attachments:
                print(
                    f"    attached: {attachment.filename} ({attachment.content_type}, {format_size(attachment.size)})"
                )

            print("\ninbox.delete(inbox[:3])  # DELE, pipelined")
            inbox.delete(inbox[:3])
            print(f"    marked: {_numbers(inbox)}")
            print("inbox[2].undelete()  # RSET, then DELE again for the others")
            inbox[2].undelete()
            print(f"    marked: {_numbers(inbox)}")
            print("inbox.commit()  # QUIT commits the deletions")

        print("\ninbox = Mailbox.from_url(url, password).open()  # a new session")
        with Mailbox.from_url(server.url, password) as inbox:
            list_mailbox(inbox)
            print(f"\n{len(inbox)} messages are left; 1 and 2 are gone, and the others have moved up.")


def _numbers(inbox: Mailbox) -> str:
    return ", ".join(str(message.number) for message in inbox.deleted) or "none"
