"""Use every public name of a mailbox once, on one page.

    python tests/typing/every_name.py pops://me@pop.example.com DIRECTORY [CA.pem]

The password comes from the environment variable PYMAILBOX_PASSWORD. The program saves five messages in DIRECTORY and
deletes the first one; the account needs at least six.
"""

import asyncio
import contextlib
import io
import pickle
import sys
import warnings
from pathlib import Path
from typing import Unpack

import pymailbox
from pymailbox import Account, AsyncMailbox, Content, Limits, Mailbox, MailboxOptions, Message, PasswordEnv, Progress
from pymailbox.pop3 import AsyncConnection, Capabilities, Connection, Stat, commands, sasl, tls


def tour(account: Account, directory: Path, **options: Unpack[MailboxOptions]) -> None:
    """Open the account, inspect it, read, save and delete messages, and end the session."""
    with Mailbox.from_account(account, **options) as inbox:
        connection: Connection = inbox.connection
        capabilities: Capabilities = inbox.capabilities
        print(inbox.greeting, "TOP" in capabilities, connection.quirks, inbox.account.url)
        print(len(inbox), inbox.size, inbox.sizes[:3], inbox.uids[:3])
        first = inbox[0]
        print(first in inbox, inbox.by_uid(first.uid or "") is first, inbox.new(inbox.uids[1:]))
        print([message.number for message in reversed(inbox)], inbox.index(first), inbox.count(first))
        for message in inbox[-5:]:
            show(message)
            print(message.save(directory), message.save(directory / "last.eml", overwrite=True, progress=report))
            print(message.write_to(io.BytesIO(), progress=report), "bytes")
        print(inbox.to_records(inbox[:2]), first.show(), len(first.show(remote=True).html))
        arrived = {message: io.BytesIO() for message in inbox[:3]}
        for message in inbox.fetch(arrived, into=arrived.__getitem__, progress=report):
            print(message.number, message.size, Content.from_bytes(arrived[message].getvalue()).subject)
        first.delete()
        inbox.delete(inbox[1:3])
        inbox.undelete(inbox[1])
        first.undelete()
        print(inbox.deleted, inbox[2].deleted)
        inbox.undelete()
        inbox.keep_alive()
        inbox.reopen()
        inbox[0].delete()
        inbox.commit()
    with warnings.catch_warnings(), contextlib.closing(Mailbox.from_account(account, **options).open()) as inbox:
        warnings.simplefilter("ignore", pymailbox.Uncommitted)
        inbox[0].delete()  # close() drops this deletion
    options["read_only"] = True
    inbox = Mailbox.from_url(account.url, PasswordEnv("PYMAILBOX_PASSWORD"), **options).open()
    try:
        inbox[0].delete()
    except ValueError as error:
        print(error)
    finally:
        inbox.rollback()


def show(message: Message) -> None:
    """Read one message through each of its names."""
    print(message, message.uid, message.subject, message.from_, message.to, message.cc, message.bcc, message.reply_to)
    print(message.sender, message.date, message.date_str, message.received, message.filename, message.preview(2))
    print(message.message_id, message.in_reply_to, message.references, message.links)
    print(message.body, message.text, message.html, message.email.get_content_type(), len(message.raw))
    content: Content = pickle.loads(pickle.dumps(message.content))
    headers = content.headers
    print(headers.get("Subject"), headers.get_all("Received"), headers.raw("To"), headers.items()[:1], content.defects)
    print([(hop.date, hop.from_, hop.by) for hop in headers.hops])
    print([(address.name, address.email, str(address)) for address in message.headers.addresses("From")])
    for part in message.attachments:
        print(part.filename, part.content_type, part.size, part.content_id, part.inline, len(part.payload))
        print(part.headers.get("Content-Description"), part.charset, part.text, part.content and part.content.subject)


def report(progress: Progress) -> None:
    """Print the progress of a download."""
    print(
        f"{progress.bytes} of {progress.total_bytes} bytes, {progress.messages} of {progress.total_messages} messages"
    )


async def tour_async(account: Account, **options: Unpack[MailboxOptions]) -> None:
    """Use the same names with asyncio, and the commands of the protocol."""
    async with AsyncMailbox.from_account(account, **options) as inbox:
        connection: AsyncConnection = inbox.connection
        print(await inbox.size(), await inbox.sizes(), [await message.subject() async for message in inbox])
        print([len(await message.raw()) async for message in inbox.fetch(inbox[:2])], await inbox[0].filename())
        stat: Stat = await connection.stat()
        print(
            stat.count, [type(result) async for result in connection.pipeline([commands.top(1, 0), commands.retr(2)])]
        )
    for result in await pymailbox.gather_accounts([account], lambda inbox: inbox.size(), limit=2, **options):
        print(result.account.url, result.value, result.error)


def main(url: str, directory: str, authority: str | None = None) -> None:
    """Run the tour, with asyncio too, and then a diagnosis and a login that fails."""
    options: MailboxOptions = {"timeout": 30, "limits": Limits(cache=10_000_000)}
    if authority is not None:
        options["ssl_context"] = tls.private_ca(authority)
    account = Account.from_url(url, PasswordEnv("PYMAILBOX_PASSWORD"))
    tour(account, Path(directory), **options)
    asyncio.run(tour_async(account, **options))
    print(pymailbox.diagnose(account, **options))
    options |= {"port": account.port, "security": account.security, "auth": sasl.Plain("nobody", "wrong")}
    try:
        Mailbox(account.host, **options).open()
    except pymailbox.AuthenticationError as error:
        print("refused as expected:", error, error.command, error.response, error.code, error.usable, error.retryable)


if __name__ == "__main__":
    main(*sys.argv[1:])
