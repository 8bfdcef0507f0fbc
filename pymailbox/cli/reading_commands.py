"""The commands that read an account and change nothing there: ls, show, save and attachments.

They mark no message, and do not send QUIT after reading one, because some servers then hide it.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymailbox.cli.account_options import account_of, add_account, archive_of, error_text, mailbox_options
from pymailbox.cli.choosing import add_filters, choice, chosen, comparison, filtered
from pymailbox.cli.exit_status import DONE, PARTLY, status_of
from pymailbox.cli.output_options import add_json, add_quiet, add_verbose, print_json
from pymailbox.cli.progress_display import shown
from pymailbox.display import format_size, safe_text
from pymailbox.errors import MailboxError

if TYPE_CHECKING:
    from pymailbox.mailbox.mailbox import Mailbox
    from pymailbox.mailbox.message import Message

__all__ = ["add_commands"]

_WHICH = "the message: its number (-1 is the last one) or its uid; uid:7 is the uid 7"
_WHICH_ONES = "the messages: numbers (-1 is the last one), ranges such as 3-7, uids, or all; uid:7 is the uid 7"


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands; `command` adds one with its name, what runs it, and its help."""
    ls = command("ls", _ls, "list the messages of an account", "Nothing changes on the server.")
    add_account(ls)
    add_filters(ls)
    ls.add_argument("--uids", action="store_true", help="show the uid of each message")
    add_json(ls)
    ls.set_defaults(wrong_usage=ls.error)

    show = command("show", _show, "show one message", "Nothing changes on the server.")
    add_account(show)
    show.add_argument("message", type=choice, metavar="MESSAGE", help=_WHICH)
    form = show.add_mutually_exclusive_group()
    form.add_argument("--headers", action="store_true", help="show all header fields, without downloading the message")
    form.add_argument(
        "--raw", action="store_true", help="write the bytes exactly as sent, including control characters"
    )
    add_json(show)
    show.set_defaults(wrong_usage=show.error)

    save = command("save", _save, "save messages as .eml files", "Nothing changes on the server.")
    attachments = command(
        "attachments", _attachments, "save the attachments of messages", "Nothing changes on the server."
    )
    for added, what in ((save, "messages"), (attachments, "attachments")):
        add_account(added)
        added.add_argument("messages", type=choice, nargs="+", metavar="MESSAGE", help=_WHICH_ONES)
        added.add_argument(
            "--to",
            type=_directory,
            required=True,
            metavar="DIR",
            help=f"save the {what} in the directory DIR, which is created if missing; existing files are not replaced",
        )
        add_json(added)
        add_quiet(added)
        added.set_defaults(interrupted="what was saved is whole; run it again for the rest")
    for added in (ls, show, save, attachments):
        add_verbose(added)


def _directory(value: str) -> str:
    if not value:  # an unset variable of a script
        raise argparse.ArgumentTypeError("the directory must not be empty; the current one is .")
    return value if value.endswith("/") else f"{value}/"  # made if it is missing


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator["Mailbox"]:
    """Open the mailbox and leave no trace: no QUIT after a message was read, because some servers then hide it."""
    from pymailbox.mailbox.mailbox import Mailbox

    with Mailbox.from_account(account_of(options), **mailbox_options(options, read_only=True)) as inbox:
        yield inbox
        inbox.rollback()


# --- ls -------------------------------------------------------------------------------------------------------


def _ls(options: argparse.Namespace) -> int:
    from pymailbox.cli.message_list import list_messages, list_messages_as_json

    if options.to is not None and options.state is not None:
        options.wrong_usage("--to and --state exclude each other: --new compares with one of them")
    if options.new and options.to is None and options.state is None:
        options.to = archive_of(options)
    if options.new != (options.to is not None or options.state is not None):
        options.wrong_usage(
            "--new and --to DIR or --state FILE are used together, unless the accounts file has the archive"
        )
    with comparison(options) as compare, _opened(options) as inbox:
        messages = filtered(inbox, compare, options)
        if options.json:
            list_messages_as_json(messages)
            return DONE
        total = f"{len(inbox):,} {'message' if len(inbox) == 1 else 'messages'}, {format_size(inbox.size)}"
        rows = list_messages(inbox, messages, uids=options.uids)
        if rows:
            print()
        if 0 < rows < len(inbox):
            total = f"{rows:,} of {total} in all"
        elif not rows and len(inbox):
            total = f"no {'messages match' if options.since else 'new messages'}; {total} in all"
    print(total)
    return DONE


# --- show -----------------------------------------------------------------------------------------------------


def _show(options: argparse.Namespace) -> int:
    if options.json and options.raw:
        options.wrong_usage("argument --json: not allowed with argument --raw")
    with _opened(options) as inbox:
        found = chosen(inbox, [options.message])
        if len(found) != 1:
            raise ValueError(f"show takes one message, not {len(found)}")
        (message,) = found
        if options.raw:
            sys.stdout.flush()
            message.write_to(sys.stdout.buffer)
            sys.stdout.buffer.flush()
        elif options.json:
            print_json(_headers_value(message) if options.headers else _message_value(message))
        elif options.headers:
            for name, value in message.headers.items():
                print(f"{safe_text(name, limit=None)}: {safe_text(value, limit=None)}")
        else:
            _print_message(message)
    return DONE


def _print_message(message: "Message") -> None:
    from pymailbox.display import local_time, styled

    for name, value in (
        ("From", message.content.from_),
        ("To", ", ".join(map(str, message.to))),
        ("Cc", ", ".join(map(str, message.cc))),
        ("Date", local_time(message.date)),
        ("Subject", message.subject),
    ):
        if value:
            print(f"{styled(name + ':', 'bold')}{' ' * (8 - len(name))}{safe_text(str(value), limit=None)}")
    print("\n" + safe_text(message.body, multiline=True, limit=None).rstrip("\n"))
    for part in message.attachments:
        kind = safe_text(": ".join(filter(None, (part.filename, part.content_type))), limit=None)
        print(styled(f"[{kind}, {format_size(part.size)}]", "cyan"))


def _headers_value(message: "Message") -> dict[str, object]:
    from pymailbox.cli.message_list import identity

    return {**identity(message), "headers": [list(field) for field in message.headers.items()]}


def _message_value(message: "Message") -> dict[str, object]:
    from pymailbox.cli.message_list import address_values, identity, time_value

    content = message.content
    return {
        **identity(message),
        "date": time_value(content.date),
        "from": next(iter(address_values(filter(None, [content.from_]))), None),
        "to": address_values(content.to),
        "cc": address_values(content.cc),
        "reply_to": address_values(content.reply_to),
        "subject": content.subject,
        "message_id": content.message_id,
        "body": content.body,
        "attachments": [
            {"filename": part.filename, "content_type": part.content_type, "size": part.size}
            for part in content.attachments
        ],
    }


# --- save and attachments -------------------------------------------------------------------------------------


def _save(options: argparse.Namespace) -> int:
    from pymailbox.cli.message_list import identity

    def save(message: "Message") -> Iterator[dict[str, object]]:
        yield {**identity(message), "path": str(message.save(options.to))}

    return _each(options, save)


def _attachments(options: argparse.Namespace) -> int:
    def save(message: "Message") -> Iterator[dict[str, object]]:
        for part in message.attachments:
            path = part.save(options.to)
            value = {"number": message.number, "filename": part.filename, "content_type": part.content_type}
            yield {**value, "size": part.size, "path": str(path)}

    return _each(options, save)


def _each(options: argparse.Namespace, save: Callable[["Message"], Iterator[dict[str, object]]]) -> int:
    """Save from each message that is chosen, and print what was; the messages that the server refuses are named."""
    refused: list[MailboxError] = []
    with _opened(options) as inbox, shown("get", options) as progress:
        messages = chosen(inbox, options.messages)
        for message in inbox.fetch(messages, progress=progress):
            try:
                for saved in save(message):
                    if options.json:
                        print_json(saved)
                    elif not options.quiet:
                        if progress is not None and sys.stdout.isatty():
                            progress(None)
                        print(safe_text(str(saved["path"]), limit=None))
            except MailboxError as error:
                if not error.usable:
                    raise
                refused.append(error)
                if progress is not None:
                    progress(None)
                print(f"pymailbox: message {message.number}: {error_text(error)}", file=sys.stderr)
    if not refused:
        return DONE
    return PARTLY if len(refused) < len(messages) else status_of(refused[0])
