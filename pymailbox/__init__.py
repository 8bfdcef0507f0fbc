"""pymailbox: a POP3 account as a Python sequence of messages.

    with Mailbox("pop.example.com", "me@example.com", "app-password") as inbox:
        for message in inbox:
            print(message.date, message.from_, message.subject)

The public names are imported when they are first used, so that `import pymailbox` takes almost no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymailbox.account import Account, OAuth2
    from pymailbox.archive import Archive, Keep, Record
    from pymailbox.content import Address, Attachment, Content, Headers
    from pymailbox.diagnosis import Diagnosis, diagnose
    from pymailbox.errors import (
        ArchiveLocked,
        AuthenticationError,
        CommandError,
        CommitError,
        ConcurrentUse,
        ConnectionLost,
        DiskFull,
        LedgerDamaged,
        LimitExceeded,
        LoginDelay,
        MailboxError,
        MailboxLocked,
        MessageUnavailable,
        NotSupported,
        PermanentFailure,
        ProtocolError,
        TemporaryFailure,
        Timeout,
        TLSError,
        UidsChanged,
        Uncommitted,
    )
    from pymailbox.mailbox.async_mailbox import AsyncMailbox
    from pymailbox.mailbox.async_message import AsyncMessage
    from pymailbox.mailbox.mailbox import Mailbox
    from pymailbox.mailbox.message import Message
    from pymailbox.mailbox.options import MailboxOptions
    from pymailbox.many import AccountResult, Outcome, collect_all, gather_accounts
    from pymailbox.passwords import PasswordCommand, PasswordEnv, PasswordFile, PasswordKeyring, PasswordNetrc
    from pymailbox.pop3.limits import Limits
    from pymailbox.progress import Progress
    from pymailbox.seen import Seen
    from pymailbox.watching.arrival import Arrival
    from pymailbox.watching.async_watch import AsyncWatch
    from pymailbox.watching.watch import Watch

__version__ = "0.2.0"

#: The module of each public name.
_HOMES = {
    "Account": "account",
    "AccountResult": "many",
    "Address": "content",
    "Archive": "archive",
    "ArchiveLocked": "errors",
    "Arrival": "watching.arrival",
    "AsyncMailbox": "mailbox.async_mailbox",
    "AsyncMessage": "mailbox.async_message",
    "AsyncWatch": "watching.async_watch",
    "Attachment": "content",
    "AuthenticationError": "errors",
    "CommandError": "errors",
    "CommitError": "errors",
    "ConcurrentUse": "errors",
    "ConnectionLost": "errors",
    "Content": "content",
    "Diagnosis": "diagnosis",
    "DiskFull": "errors",
    "Headers": "content",
    "Keep": "archive",
    "LedgerDamaged": "errors",
    "LimitExceeded": "errors",
    "Limits": "pop3.limits",
    "LoginDelay": "errors",
    "Mailbox": "mailbox.mailbox",
    "MailboxError": "errors",
    "MailboxLocked": "errors",
    "MailboxOptions": "mailbox.options",
    "Message": "mailbox.message",
    "MessageUnavailable": "errors",
    "NotSupported": "errors",
    "OAuth2": "account",
    "Outcome": "many",
    "PasswordCommand": "passwords",
    "PasswordEnv": "passwords",
    "PasswordFile": "passwords",
    "PasswordKeyring": "passwords",
    "PasswordNetrc": "passwords",
    "PermanentFailure": "errors",
    "Progress": "progress",
    "ProtocolError": "errors",
    "Record": "archive",
    "Seen": "seen",
    "TLSError": "errors",
    "TemporaryFailure": "errors",
    "Timeout": "errors",
    "UidsChanged": "errors",
    "Uncommitted": "errors",
    "Watch": "watching.watch",
    "collect_all": "many",
    "diagnose": "diagnosis",
    "gather_accounts": "many",
}

__all__ = [
    "Account",
    "AccountResult",
    "Address",
    "Archive",
    "ArchiveLocked",
    "Arrival",
    "AsyncMailbox",
    "AsyncMessage",
    "AsyncWatch",
    "Attachment",
    "AuthenticationError",
    "CommandError",
    "CommitError",
    "ConcurrentUse",
    "ConnectionLost",
    "Content",
    "Diagnosis",
    "DiskFull",
    "Headers",
    "Keep",
    "LedgerDamaged",
    "LimitExceeded",
    "Limits",
    "LoginDelay",
    "Mailbox",
    "MailboxError",
    "MailboxLocked",
    "MailboxOptions",
    "Message",
    "MessageUnavailable",
    "NotSupported",
    "OAuth2",
    "Outcome",
    "PasswordCommand",
    "PasswordEnv",
    "PasswordFile",
    "PasswordKeyring",
    "PasswordNetrc",
    "PermanentFailure",
    "Progress",
    "ProtocolError",
    "Record",
    "Seen",
    "TLSError",
    "TemporaryFailure",
    "Timeout",
    "UidsChanged",
    "Uncommitted",
    "Watch",
    "collect_all",
    "diagnose",
    "gather_accounts",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
