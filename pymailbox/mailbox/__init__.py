"""The mailbox: a session as a sequence of messages and as a transaction, blocking and over asyncio.

The names are imported when they are first asked for, so that blocking code does not import asyncio.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymailbox.mailbox.abstract import MailboxOptions
    from pymailbox.mailbox.async_mailbox import AsyncMailbox
    from pymailbox.mailbox.async_message import AsyncMessage
    from pymailbox.mailbox.mailbox import Mailbox
    from pymailbox.mailbox.message import Message

#: The module of each name.
_HOMES = {
    "AsyncMailbox": "async_mailbox",
    "AsyncMessage": "async_message",
    "Mailbox": "mailbox",
    "MailboxOptions": "abstract",
    "Message": "message",
}

__all__ = ["AsyncMailbox", "AsyncMessage", "Mailbox", "MailboxOptions", "Message"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
