"""What the tests of `Seen` share: mailboxes of a test server, and listings."""

from collections.abc import Iterable

from pymailbox import Account, Mailbox
from pymailbox.mailbox.message import Message
from pymailbox.seen import Listing, SeenMessages
from pymailbox.testing import Server
from tests.archive.box import account_of

__all__ = ["DAY", "ME", "opened", "uids_of", "unseen"]

DAY = 24 * 3600
ME = Account("pop.example.com", "me")


def opened(server: Server) -> Mailbox:
    """Return a mailbox of a test server, to be opened."""
    return Mailbox.from_account(account_of(server))


def uids_of(messages: Iterable[Message]) -> list[str | None]:
    """Return the uids of messages."""
    return [message.uid for message in messages]


def unseen(messages: SeenMessages, listing: Listing) -> list[int]:
    """Learn a listing, and return what is unseen, which is the same before."""
    before = messages.unseen(listing)
    messages.remember(listing)
    assert messages.unseen(listing) == before
    return before
