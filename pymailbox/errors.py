"""The exceptions of pymailbox.

The tree; in parentheses, the built-in exception that an error also inherits from:

    MailboxError                  any failure of an account or its server
    ├── ConnectionLost            never connected, or disconnected      (ConnectionError)
    ├── Timeout                   silence, or data arriving too slowly  (TimeoutError)
    ├── TLSError                  handshake or certificate              (ConnectionError)
    ├── ProtocolError             the server broke the protocol
    ├── LimitExceeded             a bound of `Limits`; `.field` names it
    ├── CommandError              the server refused a command (-ERR)
    │   ├── AuthenticationError   [AUTH], or -ERR to a login
    │   ├── MailboxLocked         [IN-USE]: another session has it open
    │   ├── LoginDelay            [LOGIN-DELAY]: too soon after the last login
    │   ├── TemporaryFailure      [SYS/TEMP]: try again later
    │   ├── PermanentFailure      [SYS/PERM]: the operator must fix the server
    │   └── MessageUnavailable    this one message cannot be read
    ├── NotSupported              the server, or this installation, lacks it
    ├── ConcurrentUse             two threads or tasks in one session   (RuntimeError)
    ├── CommitError               QUIT refused or unanswered: deletions unconfirmed
    ├── ArchiveLocked             the archive, or the file, is in use   (BlockingIOError)
    ├── LedgerDamaged             the archive's ledger, or the file, cannot be used
    ├── UidsChanged               the server has given all messages new uids
    └── DiskFull                  no space left on the disk             (OSError)

The first five end the session, except `LimitExceeded` for a message whose size is known from LIST. Otherwise the API
raises only ValueError and TypeError (misuse), IndexError and KeyError (sequence access), FileExistsError (saving), and
whatever your own file or callable raised. `Uncommitted` is a warning.

Texts from the server have control characters escaped. No error contains a password or the text of a message.
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
    """Any failure of an account or its server; the base class of all errors.

    >>> from pymailbox.errors import MailboxLocked
    >>> error = MailboxLocked("the mailbox is locked", command="PASS ***", code="IN-USE", retryable=True)
    >>> error.code, error.usable, error.retryable
    ('IN-USE', True, True)
    """

    #: Whether the session can still be used after this error.
    usable: bool = False
    #: Whether the same request may succeed later, with nothing changed.
    retryable: bool = False
    #: Seconds to wait before trying again; None if unknown.
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
        #: What went wrong and what to do about it, in one sentence.
        self.problem = problem
        #: The command that failed, with secrets replaced by `***`; None if it was not a command.
        self.command = command
        #: The text of the server's reply, without `-ERR`; None if there was no reply.
        self.response = response
        #: The response code, such as "IN-USE", without brackets and in upper case (RFC 2449 §8, RFC 3206).
        self.code = code
        if usable is not None:
            self.usable = usable
        if retryable is not None:
            self.retryable = retryable
        if retry_after is not None:
            self.retry_after = retry_after

    def __str__(self) -> str:
        parts = [safe_text(self.problem, limit=None)]  # it may contain text from the server
        if self.command:
            parts.append(f" [{safe_text(self.command)}]")
        if self.response:
            parts.append(f" (the server replied: {safe_text(self.response)})")
        return "".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.problem, dict(self.__dict__))


_WELL_KNOWN_CODES = frozenset({"AUTH", "IN-USE", "LOGIN-DELAY", "SYS"})  # shown even if the password is the same word


def hide_secrets(error: MailboxError, secrets: Secrets) -> None:
    """Replace the secrets of a session in those parts of an error that come from the server.

    `problem` is our own text, which is public: `***` in it would reveal that the password is a word like "check".
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
    """There is no connection, or it can no longer be trusted; no deletion was committed."""

    retryable = True


class Timeout(MailboxError, TimeoutError):
    """The server was silent for `timeout` seconds, or sent less than `Limits.minimum_rate` during them."""

    retryable = True


class TLSError(MailboxError, ConnectionError):
    """The TLS handshake failed or the certificate could not be verified; `__cause__` is the `ssl` error."""


class ProtocolError(MailboxError):
    """The server sent something that is not a valid reply to the command."""


class LimitExceeded(MailboxError):
    """The server sent, or is about to send, more than `Limits` allows; `field` is the name of the limit to raise.

    If LIST gave the size, the message is not requested and the session stays usable; otherwise the session has ended.
    """

    def __init__(self, problem: str, *, field: str, command: str | None = None, usable: bool = False) -> None:
        super().__init__(problem, command=command, usable=usable)
        #: The name of the limit in `Limits`, such as "message".
        self.field = field


class CommandError(MailboxError):
    """The server refused a command (`-ERR`); the session stays usable."""

    usable = True
    #: For an operation on many messages: all refusals, by message number.
    refused: Mapping[int, "CommandError"] = {}


class AuthenticationError(CommandError):
    """The server rejected the user name, password or token; trying again unchanged may lock the account."""


class MailboxLocked(CommandError):
    """Another session has the mailbox open (`[IN-USE]`, RFC 2449 §8.1.2)."""

    retryable = True


class LoginDelay(CommandError):
    """Too little time has passed since the last login (`[LOGIN-DELAY]`, RFC 2449 §8.1.1)."""

    retryable = True


class TemporaryFailure(CommandError):
    """The server refuses temporarily: it has a problem (`[SYS/TEMP]`, RFC 3206 §4), is busy, or has reached a limit."""

    retryable = True


class PermanentFailure(CommandError):
    """The server has a problem that its operator has to fix (`[SYS/PERM]`, RFC 3206 §4)."""


class MessageUnavailable(CommandError):
    """The message cannot be read: no such number, marked as deleted, or the server cannot load it."""


class NotSupported(MailboxError):
    """The server, or this installation, lacks a feature that is needed; nothing was changed."""

    usable = True


class ConcurrentUse(MailboxError, RuntimeError):
    """Two threads or tasks used one session at once; the second gets this error, the first is not affected."""

    usable = True


class CommitError(MailboxError):
    """QUIT was refused or not answered with deletions pending, so it is not known which of them were committed.

    To find out, open a new session and look for the uids in `unconfirmed`: messages that are gone were deleted.
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
        #: The uids of the messages that may have been deleted; None for one without a uid.
        self.unconfirmed = tuple(unconfirmed)
        #: The numbers of the same messages in the session that ended.
        self.unconfirmed_numbers = tuple(unconfirmed_numbers)


class ArchiveLocked(MailboxError, BlockingIOError):
    """Another process is writing to the archive, or has the file of a `Seen` open; the error names it.

    Nothing was changed.
    """

    retryable = True


class LedgerDamaged(MailboxError):
    """The ledger of an archive, or the file of a `Seen`, is damaged, or another program or a newer version wrote it.

    It was left as it is, and so were the messages; the error says how to make a new one.
    """


class UidsChanged(MailboxError):
    """The server has given new uids to messages that are known; nothing more was downloaded, deleted or changed.

    Run again with `renumbered=True`: messages are then recognised, in an archive by their content and in a `Seen` by
    their sizes.
    """


class DiskFull(MailboxError, OSError):
    """The disk has no room for what is to be written; what was archived, or added to a `Seen`, before is safe."""

    retryable = True


class Uncommitted(UserWarning):
    """A warning: a mailbox was closed, or garbage-collected, with deletions pending, so nothing was deleted.

    To delete, leave its `with` block or call `commit()`; to keep the messages, call `rollback()`.
    """
