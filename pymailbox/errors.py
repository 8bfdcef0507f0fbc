"""Every exception that pymailbox raises of its own accord.

The tree, with the kin from the standard library that each also inherits::

    MailboxError                        anything that went wrong with an account
    ├── ConnectionLost                  no connection, or no longer one       (ConnectionError)
    ├── Timeout                         silence, dripping, a stalled peer     (TimeoutError)
    ├── TLSError                        handshake or certificate              (ConnectionError)
    ├── ProtocolError                   the server broke the protocol
    ├── LimitExceeded                   a bound of `Limits`; `.field` names it
    ├── CommandError                    the server said -ERR
    │   ├── AuthenticationError         [AUTH], or -ERR to a login
    │   ├── MailboxLocked               [IN-USE]: another session holds it
    │   ├── LoginDelay                  [LOGIN-DELAY]: too soon after the last
    │   ├── TemporaryFailure            [SYS/TEMP]: try again later
    │   ├── PermanentFailure            [SYS/PERM]: a person must look at it
    │   └── MessageUnavailable          this one message cannot be had
    ├── NotSupported                    the server, or this installation, lacks it
    ├── ConcurrentUse                   two threads or tasks in one session   (RuntimeError)
    ├── CommitError                     QUIT refused or unanswered: deletions unconfirmed
    ├── ArchiveLocked                   another process is using the archive  (BlockingIOError)
    ├── LedgerDamaged                   the archive's ledger cannot be used
    ├── UidsChanged                     the server has given all messages new uids
    └── DiskFull                        no space left for the archive         (OSError)

The first five end the session, but for a message that LIST says is larger than a limit. Besides these only `ValueError`
and `TypeError` (misuse), `IndexError` and `KeyError` (sequence access), and whatever the caller's own file, sink or
callable raised leave the API. `Uncommitted` is a warning.

Texts from the server are shown with control characters escaped; no error ever carries a password or a mail.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pymailbox.display import Secrets, safe_text

__all__ = [
    "ArchiveLocked",
    "AuthenticationError",
    "CommandError",
    "CommitError",
    "ConcurrentUse",
    "ConnectionLost",
    "DiskFull",
    "LedgerDamaged",
    "LimitExceeded",
    "LoginDelay",
    "MailboxError",
    "MailboxLocked",
    "MessageUnavailable",
    "NotSupported",
    "PermanentFailure",
    "ProtocolError",
    "TLSError",
    "TemporaryFailure",
    "Timeout",
    "UidsChanged",
    "Uncommitted",
]


class MailboxError(Exception):
    """Anything that went wrong with an account; the root of the tree.

    >>> from pymailbox.errors import MailboxLocked
    >>> error = MailboxLocked("the mailbox is locked", command="PASS ***", code="IN-USE", retryable=True)
    >>> error.code, error.usable, error.retryable
    ('IN-USE', True, True)
    """

    #: Whether the same session can go on after this error.
    usable: bool = False
    #: Whether the same request may succeed later without anybody changing anything.
    retryable: bool = False
    #: Seconds to wait before trying again, where the server said so.
    retry_after: float | None = None

    def __init__(
        self,
        problem: str,
        *,
        command: str | None = None,
        response: str | None = None,
        code: str | None = None,
        usable: bool | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(problem)
        #: What went wrong and what to do about it, in a sentence.
        self.problem = problem
        #: The command that was asked, with secrets replaced by `***`.
        self.command = command
        #: What the server said, without the status token.
        self.response = response
        #: The response code without brackets, in upper case (RFC 2449 §8, RFC 3206).
        self.code = code
        if usable is not None:
            self.usable = usable
        if retryable is not None:
            self.retryable = retryable
        if retry_after is not None:
            self.retry_after = retry_after

    def __str__(self) -> str:
        parts = [safe_text(self.problem, limit=None)]  # it may name what the server lists
        if self.command:
            parts.append(f" [{safe_text(self.command)}]")
        if self.response:
            parts.append(f" (the server said: {safe_text(self.response)})")
        return "".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.problem, dict(self.__dict__))


_WELL_KNOWN_CODES = frozenset({"AUTH", "IN-USE", "LOGIN-DELAY", "SYS"})  # a password of that name is no secret


def hide_secrets(error: MailboxError, secrets: Secrets) -> None:
    """Take the secrets of a session out of the server's words in an error.

    Its problem is in our own words, which anybody knows: `***` in them would tell a password like "check".
    """
    if error.response is not None:
        error.response = secrets.redact(error.response)
    if error.code is not None and error.code.partition("/")[0] not in _WELL_KNOWN_CODES:
        error.code = secrets.redact(error.code)


def _rebuild(kind: type[MailboxError], problem: str, state: dict[str, Any]) -> MailboxError:
    error = kind.__new__(kind, problem)
    MailboxError.__init__(error, problem)
    error.__dict__.update(state)
    return error


class ConnectionLost(MailboxError, ConnectionError):
    """There is no connection, or it can no longer be trusted; nothing was committed."""

    retryable = True


class Timeout(MailboxError, TimeoutError):
    """The server was silent, or slower than `Limits.minimum_rate`, for one `timeout`."""

    retryable = True


class TLSError(MailboxError, ConnectionError):
    """The handshake failed or the certificate did not convince; the `ssl` error is the cause."""


class ProtocolError(MailboxError):
    """The server said something that is no answer to what was asked."""


class LimitExceeded(MailboxError):
    """The server sent, or is about to send, more than `Limits` allows; `field` is the name of the limit to raise.

    The session is over, unless LIST had told the size: then only that message cannot be had, and `usable` is True.
    """

    def __init__(self, problem: str, *, field: str, command: str | None = None, usable: bool = False) -> None:
        super().__init__(problem, command=command, usable=usable)
        self.field = field


class CommandError(MailboxError):
    """The server refused a command (`-ERR`); the session goes on."""

    usable = True
    #: For a bulk operation: each refusal by message number.
    refused: Mapping[int, "CommandError"] = {}


class AuthenticationError(CommandError):
    """The credentials were refused; trying again unchanged may lock the account."""


class MailboxLocked(CommandError):
    """Another session holds the mailbox (`[IN-USE]`, RFC 2449 §8.1.2)."""

    retryable = True


class LoginDelay(CommandError):
    """The last login was too short a time ago (`[LOGIN-DELAY]`, RFC 2449 §8.1.1)."""

    retryable = True


class TemporaryFailure(CommandError):
    """The server refuses this for now: it is out of order (`[SYS/TEMP]`, RFC 3206 §4), busy, or limits its use."""

    retryable = True


class PermanentFailure(CommandError):
    """Something at the server stays out of order until a person fixes it (`[SYS/PERM]`, RFC 3206 §4)."""


class MessageUnavailable(CommandError):
    """Message unavailable: no such number, marked as deleted, or the server cannot load it."""


class NotSupported(MailboxError):
    """The server, or this installation, does not have what was asked for; nothing was changed."""

    usable = True


class ConcurrentUse(MailboxError, RuntimeError):
    """Two threads or tasks used one session at once; the second is refused and the first goes on."""

    usable = True


class CommitError(MailboxError):
    """QUIT was sent, and refused or not answered, while deletions were pending: which of them happened is unknown.

    Open a new session and look for `unconfirmed` there: what is gone was deleted, what is still there was not.
    """

    retryable = True

    def __init__(
        self,
        problem: str,
        *,
        unconfirmed_numbers: Iterable[int] = (),
        unconfirmed: Iterable[str | None] = (),
        response: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(problem, command="QUIT", response=response, code=code)
        #: The uids of the messages whose deletion is uncertain (None where the server gave no uid).
        self.unconfirmed = tuple(unconfirmed)
        #: Their numbers in the session that ended.
        self.unconfirmed_numbers = tuple(unconfirmed_numbers)


class ArchiveLocked(MailboxError, BlockingIOError):
    """Another process is writing to the archive; the error names it. Nothing was changed."""

    retryable = True


class LedgerDamaged(MailboxError):
    """The ledger of an archive is damaged, belongs to another program or was written by a newer version.

    It was left as it is, and so were the messages; the error says how to make a new ledger from the files.
    """


class UidsChanged(MailboxError):
    """The server lists messages that are archived under new uids; nothing more was downloaded or deleted.

    Run again with `renumbered=True`: messages are then recognised by their content, and nothing is stored twice.
    """


class DiskFull(MailboxError, OSError):
    """The disk has no room for the messages to come; what was archived so far is safe."""

    retryable = True


class Uncommitted(UserWarning):
    """A mailbox was closed, or lost, with deletions pending: nothing was deleted.

    Leave its `with` block, or call `commit()`, to delete; call `rollback()` to say that nothing is to be deleted.
    """
