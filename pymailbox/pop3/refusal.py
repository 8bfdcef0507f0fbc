"""Refusals: what the text after `-ERR` means.

Pure. The response code decides where there is one (RFC 2449 §8, RFC 3206 §4), then the words of servers that
send none, then what the refused command was for. Words that speak of the password win over all others: taken for
something temporary, a wrong password would be tried until the account is locked.
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

__all__ = ["may_have_judged", "refusal", "response_code"]

_CODE = re.compile(r"\[([A-Za-z][A-Za-z0-9/._-]{0,63})[ \]]")

_LOCKED = MailboxLocked, "another session holds the mailbox; try again when it has ended"
_DELAY = LoginDelay, "the server wants more time between two logins; try again later"
_TEMPORARY = TemporaryFailure, "the server has a temporary fault; try again later"
_REFUSED = AuthenticationError, "the credentials were refused; check user and password"

_BY_CODE: dict[str, tuple[type[CommandError], str]] = {
    "IN-USE": _LOCKED,
    "LOGIN-DELAY": _DELAY,
    "SYS/TEMP": _TEMPORARY,
    "SYS/PERM": (PermanentFailure, "the server has a fault that its operator must fix"),
    "AUTH": _REFUSED,
}

_APP_PASSWORD = (
    AuthenticationError,
    "this account wants an app password in place of its own; make one in the provider's security settings",
)
_OAUTH = (
    AuthenticationError,
    "this account takes no passwords by POP3; log in with auth=OAuth2(token)",
)
_SWITCHED_OFF = (
    PermanentFailure,
    "POP3 is switched off for this account; switch it on in the provider's settings",
)


def _any(*words: str) -> "re.Pattern[str]":
    return re.compile("|".join(words), re.IGNORECASE)


_Meaning = tuple["re.Pattern[str]", tuple[type[CommandError], str]]

#: What to do about a refused login, whatever its code.
_ADVICE: tuple[_Meaning, ...] = (
    (_any(r"app(lication)?[- ](specific )?password"), _APP_PASSWORD),
    (_any(r"basic ?auth", r"web ?login required", r"oauth"), _OAUTH),
    (_any(r"\bpop3?\b.{0,40}\b(not enabled|disabled|switched off|turned off)", r"not enabled for pop"), _SWITCHED_OFF),
)
_CREDENTIALS = _any(
    r"passw|credential|incorrect|(invalid|bad|wrong|unknown|no such) (user|login|account)",
    r"(log[io]n|sign-?in)s? fail|fail(ed|ures?)\b.{0,20}(attempt|log ?[io]n)",
    r"account.{0,40}lock|locked out",
)
_ABOUT_AUTH = _any(r"authenti", r"\bmechanism|\bauth\w* (type|method)")
_WHO = _any(r"user|account|mailbox|attempt|authentication fail")
#: The words of servers without codes (Q27-Q29).
_PROSE: tuple[_Meaning, ...] = (
    (
        _any(
            r"\blog ?[io]ns?\b.{0,60}(every|limit|apart|frequen|too (soon|often|many))|too (frequent|many) log",
            r"\blog ?[io]n[ -]delay|(interval|time) between (\w+ )?(log|access|check)",
        ),
        _DELAY,
    ),
    (
        _any(
            r"\block(s|ed|ing|file)?\b|\bin use\b|already (open|logged)|mail(box|drop) (is )?busy",
            r"another (pop|session|client|connection|process)",
        ),
        _LOCKED,
    ),
    (
        _any(
            r"temporar|(again|available) later|try again (in|after)|unavailable|not available|internal (server )?error",
            r"too many.{0,20} (connect|sess|users)|connections?\b.{0,40}(limit|exceed)|shutting down",
        ),
        _TEMPORARY,
    ),
    (_any(r"busy|overload|maintenance|\bwait\b"), _TEMPORARY),
)
_SPAN = re.compile(r"(\d{1,6}) ?(s\b|sec|min|hour|h\b)", re.I)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def response_code(text: str) -> str | None:
    """Return the response code at the start of a reply's text, in upper case (RFC 2449 §8)."""
    match = _CODE.match(text.lstrip())
    return match[1].upper() if match else None


def may_have_judged(text: str) -> bool:
    """Whether the words of a refused AUTH speak of who came, and not only of the mechanism or the line."""
    return bool(_CREDENTIALS.search(text) or _WHO.search(text))


def refusal(text: str, *, command: str, default: type[CommandError], problem: str) -> CommandError:
    """Return the error for a reply `-ERR text`; `default` and `problem` are the command's own."""
    code = response_code(text)
    kind, what = _meaning(text, code, default is AuthenticationError, default is TemporaryFailure or command == "STAT")
    error = (kind or default)(what or problem, command=command, response=text or None, code=code)
    if error.retryable and (span := _SPAN.search(text)):
        error.retry_after = float(int(span[1]) * _SECONDS[span[2][0].lower()])
    return error


def _meaning(text: str, code: str | None, login: bool, opening: bool) -> tuple[type[CommandError] | None, str | None]:
    """Return what code or words say; (None, None) where it is what the command is refused for anyway."""
    if login:
        for words, meaning in _ADVICE:
            if words.search(text):
                return meaning
    known = code
    while known:
        if known in _BY_CODE:
            return _BY_CODE[known]
        known = known.rpartition("/")[0]  # codes are hierarchical (RFC 2449 §8)
    said = text.lower()  # "Temporary authentication failure" is dovecot's for a fault of its own
    if login and (_CREDENTIALS.search(text) or ("temporar" not in said and _ABOUT_AUTH.search(text))):
        return None, None
    prose = _PROSE if login or opening else _PROSE[:1]
    return next((meaning for words, meaning in prose if words.search(text)), (None, None))
