"""The commands that read an account and change nothing there: ls and show.

They mark no message, and do not send QUIT after reading one, because some servers then hide it.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pymailbox.cli.account_options import account_of, add_account, mailbox_options
from pymailbox.display import safe_text
from pymailbox.errors import MailboxError
from pymailbox.mailbox.mailbox import Mailbox

if TYPE_CHECKING:
    from pymailbox.mailbox.message import Message

__all__ = ["add_reading_commands"]


def add_reading_commands(
    command: Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser],
) -> None:
    """Add the commands; `command` adds one with its name, what runs it, and its help."""
    add_account(command("ls", _ls, "list the messages in an account, without changing anything"))

    show = command("show", _show, "show or save one message, without changing anything on the server")
    add_account(show)
    show.add_argument("number", type=_number, metavar="N", help="the number of the message in the listing")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--headers", action="store_true", help="show all header fields, without downloading the message")
    form.add_argument(
        "--raw", action="store_true", help="write the bytes exactly as sent, including control characters"
    )
    form.add_argument("--save", metavar="WHERE", help="save the message as the file WHERE, or in the directory WHERE")


def _number(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19 and int(value) > 0):
        raise argparse.ArgumentTypeError(f"invalid message number: {value!r} (1 or more)")
    return int(value)


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[Mailbox]:
    """Open the mailbox and leave no trace: no QUIT after a message was read, because some servers then hide it."""
    with Mailbox.from_account(account_of(options), **mailbox_options(options, read_only=True)) as inbox:
        yield inbox
        inbox.rollback()


# --- the commands ------------------------------------------------------------------------------------------------


def _ls(options: argparse.Namespace) -> int:
    from pymailbox.cli.demo import list_mailbox
    from pymailbox.display import format_size

    with _opened(options) as inbox:
        total = f"{len(inbox)} {'message' if len(inbox) == 1 else 'messages'}, {format_size(inbox.size)}"
        if len(inbox):
            list_mailbox(inbox)
            print()
    print(total)
    return 0


def _show(options: argparse.Namespace) -> int:
    from pymailbox.display import format_size

    with _opened(options) as inbox:
        if options.number > len(inbox):
            held = "the mailbox is empty" if not len(inbox) else f"the last one is {len(inbox)}"
            raise ValueError(f"there is no message {options.number}; {held}")
        message = inbox[options.number - 1]
        if options.raw:
            sys.stdout.flush()
            message.write_to(sys.stdout.buffer)
            sys.stdout.buffer.flush()
        elif options.save is not None:
            path = _saved(message, options.save)
            print(f"{format_size(path.stat().st_size)} written to {safe_text(str(path), limit=None)}")
        elif options.headers:
            for name, value in message.headers.items():
                print(f"{safe_text(name, limit=None)}: {safe_text(value, limit=None)}")
        else:
            _print_message(message)
    return 0


def _saved(message: "Message", where: str) -> Path:
    try:
        return message.save(where)
    except MailboxError:
        raise
    except FileExistsError as error:
        raise ValueError(f"{where} already exists with other content; remove it or choose another name") from error
    except OSError as error:
        raise ValueError(f"{where}: {error.strerror}") from error


def _print_message(message: "Message") -> None:
    from pymailbox.display import format_size, local_time

    for name, value in (
        ("From", message.content.from_),
        ("To", ", ".join(map(str, message.to))),
        ("Cc", ", ".join(map(str, message.cc))),
        ("Date", local_time(message.date)),
        ("Subject", message.subject),
    ):
        if value:
            print(f"{name + ':':9}{safe_text(str(value), limit=None)}")
    print("\n" + safe_text(message.body, multiline=True, limit=None).rstrip("\n"))
    for part in message.attachments:
        name, kind = safe_text(part.filename, limit=None), safe_text(part.content_type, limit=None)
        print(f"[{name}: {kind}, {format_size(part.size)}]")
