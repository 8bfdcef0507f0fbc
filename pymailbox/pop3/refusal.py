"""Refusals: what the text behind `-ERR` means.

Pure. The response code decides where there is one (RFC 2449 §8, RFC 3206 §4), then the words of servers that
send none, then what the refused command was for.
"""

import re

from pymailbox.errors import (
    AuthenticationError,
    CommandError,
    LoginDelay,
    MailboxLocked,
    PermanentFailure,
    TemporaryFailure,
)

__all__ = ["refusal", "response_code"]

_CODE = re.compile(r"\[([A-Za-z][A-Za-z0-9/._-]{0,63})[ \]]")

_BY_CODE: dict[str, tuple[type[CommandError], str]] = {
    "IN-USE": (MailboxLocked, "another session holds the mailbox; try again when it has ended"),
    "LOGIN-DELAY": (LoginDelay, "the server wants more time between two logins; try again later"),
    "SYS/TEMP": (TemporaryFailure, "the server has a temporary fault; try again later"),
    "SYS/PERM": (PermanentFailure, "the server has a fault that its operator must mend"),
    "AUTH": (AuthenticationError, "the credentials were refused; check user and password"),
}


def response_code(text: str) -> str | None:
    """Return the response code at the start of a reply's text, in upper case (RFC 2449 §8)."""
    match = _CODE.match(text.lstrip())
    return match[1].upper() if match else None


def refusal(text: str, *, command: str, default: type[CommandError], problem: str) -> CommandError:
    """Return the error for a reply `-ERR text`; `default` and `problem` are the command's own."""
    code = response_code(text)
    kind, what = _BY_CODE.get(code, (default, problem)) if code else (default, problem)
    return kind(what, command=command, response=text or None, code=code)
