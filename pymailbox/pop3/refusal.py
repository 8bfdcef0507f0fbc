"""Refusals: what the text after `-ERR` means.

Pure. The response code decides if there is one (RFC 2449 §8, RFC 3206 §4), then the words, then the purpose of the
refused command. The one exception: [AUTH] with words about limits is a limit (Gmail sends this). Words about the
password take precedence over all others: a wrong password mistaken for a temporary failure would be tried until the
account is locked.
"""

import re
from functools import cached_property

from pymailbox.errors import (
    AuthenticationError,
    CommandError,
    LoginDelay,
    MailboxLocked,
    PermanentFailure,
    TemporaryFailure,
)

__all__ = ["is_unknown_command", "may_have_judged", "refusal", "response_code"]

_CODE = r"\[([A-Za-z][A-Za-z0-9/._-]{0,63})[ \]]"

_LOCKED = MailboxLocked, "another session holds the mailbox; try again when it has ended"
_DELAY = LoginDelay, "the server requires more time between logins; try again later"
_TEMPORARY = TemporaryFailure, "the server has a temporary problem; try again later"
_LIMITED = TemporaryFailure, "a server limit was reached (connections, commands or traffic); try again later"
_BROKEN = PermanentFailure, "the server has a problem that its operator must fix"
_REFUSED = AuthenticationError, "the credentials were refused; check the user name and password"

_BY_CODE: dict[str, tuple[type[CommandError], str]] = {
    "IN-USE": _LOCKED,
    "LOGIN-DELAY": _DELAY,
    "SYS/TEMP": _TEMPORARY,
    "SYS/PERM": _BROKEN,
    "AUTH": _REFUSED,
}

_MAKE_ANOTHER = "this account needs an app password; create one in the provider's security settings"
_OAUTH = "this account does not accept passwords over POP3; log in with auth=OAuth2(token)"
_SWITCHED_OFF = "POP3 is disabled for this account; enable it in the provider's settings"
_REFUSED_OR_OFF = (
    "the credentials were refused, or POP3 is disabled; check the user name and password, then the provider's settings"
)


class _Words:
    """Words, one of which may be in a text; compiled at the first refusal, which most sessions never see."""

    def __init__(self, *words: str) -> None:
        self._words = words

    @cached_property
    def pattern(self) -> "re.Pattern[str]":
        return re.compile("|".join(self._words), re.IGNORECASE)

    def found_in(self, text: str) -> bool:
        return self.pattern.search(text) is not None


_Meaning = tuple[_Words, tuple[type[CommandError] | None, str | None]]

#: Refused logins that need a change before another attempt.
_WANTS_ANOTHER = _Words(r"app(lication)?[- ](specific )?password")
_WANTS_OAUTH = _Words(r"basic ?auth", r"web ?login required", r"oauth")
_POP_IS_OFF = _Words(r"\bpop3?\b.{0,40}\b(not enabled|disabled|switched off|turned off)", r"not enabled for pop")

#: Names of server components, such as "auth service": a word about credentials in such a name is ignored.
_SERVICE = _Words(
    r"\b(passw\w*|(o|s)?auth\w*|account|user|login|logon|credentials?)[ -]"
    r"(server|service|database|db|back-?end|daemon|process|module|system|provider|host)s?\b"
)
_CREDENTIALS = _Words(
    r"passw|credential|incorrect|(invalid|bad|wrong|unknown|no such) (user|login|account)",
    r"(log[io]n|sign-?in)s? fail|fail(ed|ures?)\b.{0,20}(attempt|log ?[io]n)",
    r"account.{0,40}lock|locked out",
)
_ABOUT_AUTH = _Words(r"authenti", r"\bmechanism|\bauth\w* (type|method)|\bcommand\b.{0,20} not available")
_OWN_FAULT = _Words(
    r"temporar|\binternal\b|unavailable|not respon|time[d-]?[ -]?out"
)  # dovecot sends "Temporary authentication failure" for an internal fault
_AT_FAULT = _Words(  # a component that has failed, whatever it was doing
    r"\b(service|backend|back-end|upstream|database|ldap|\w*sql|cluster|radius|directory)\b.{0,30}"
    r"(time[d-]?[ -]?out|unreachable|gone away|unavailable|\berror|not respon|connection (refused|lost)|\bdown\b)"
)
_WRONG = _Words(r"\b(incorrect|invalid|bad|wrong|unknown|no such)\b")
_WHO = _Words(r"user|account|mailbox|attempt|authentication fail")
#: The words of servers that send no codes (Q27-Q29).
_TOO_SOON = _Words(
    r"\blog ?[io]ns?\b.{0,60}(every|limit|apart|frequen|too (soon|often|many))|too (frequent|many) log",
    r"\blog ?[io]n[ -]delay|(interval|time) between (\w+ )?(log|access|check)|(frequen\w+|rate) of (log|check|access)",
)
_TOO_MUCH = _Words(
    r"too many.{0,30}\b(connect|sess|user|request|command|client|process|simultan|concurren|poll|check)",
    r"(connections?|sessions?)\b.{0,40}(limit|exceed)|\bmax(imum)?\b.{0,40}(connect|sess|request|exceed|reach)",
    r"(exceed|reach|over|hit)\w*\b.{0,60}\b(limit|quota|rate|bandwidth|maximum)|(limit|quota)s?\b.{0,40}(exceed|reach)",
    r"\brate[ -]?(limit|control|exceed)|throttl|bandwidth|too (fast|frequent|often)|slow down",
)
_PROSE: tuple[_Meaning, ...] = (
    (_TOO_SOON, _DELAY),
    (
        _Words(
            r"\block(s|ed|ing|file)?\b|\bin[ -]?use\b|already (open|logged)|mail(box|drop) (is )?busy",
            r"another (pop|session|client|connection|process)",
        ),
        _LOCKED,
    ),
    (_Words(r"\bhas no \S{0,10}/?(mail ?dir|home|mail (spool|directory))|mail(box|drop|dir)\b.{0,20}corrupt"), _BROKEN),
    (_TOO_MUCH, _LIMITED),
    (
        _Words(
            r"temporar|(again|try|available) later|try again (in|after)|unavailable|not (available|running|respon)",
            r"(system|server|service|database|back-?end|disk|i/?o|internal|unexpected)\b.{0,20}"
            r"\b(error|problem|fault|fail|full|down|offline|crash)",
            r"(unable to|can(no|')?t|could(n't| not)|fail(ed|ure|s)? to) "
            r"(open|scan|read|access|create|copy|load|fork|write|connect|contact|reach|process|start|initiali|stat|chdir)",
            r"out of memory|no (disk )?space|crash|time[d-]?[ -]?out|shutting down|unreachable|gone away|connect error",
            r"\bretry\b|come back|migrat|fail-?over|lookup fail",
        ),
        _TEMPORARY,
    ),
    (_Words(r"busy|overload|maintenance|\bwait\b"), _TEMPORARY),
)
#: The words of a temporary refusal after the login: they are about the server, not about the message.
_FOR_NOW = _Words(
    r"temporar|(again|available) later|try (again|later)|(server|service|system)\b.{0,20}(unavailable|not available)",
    r"(internal|server|system|backend|database) (error|failure|problem)|overload|maintenance|shutting down|\bbusy\b",
    r"timed out|time-?out|\bwait\b|\bretry\b|(limit|quota)s? .{0,10}(exceeded|reached)",
    r"throttl|slow down|too many (request|command|connect|session|download)|too (fast|frequent|often)",
    r"\b(rate|bandwidth|download|traffic|transfer|command|request|session|connection|daily|hourly)s?\b.{0,30}"
    r"\b(limit|quota|exceed)|\bexceed.{0,30}\b(rate|bandwidth|download|traffic|command|request|session|daily|hourly)",
    r"(mailbox|maildrop)\b.{0,20}\b(locked|in use)\b|\block(ed)? .{0,20}(mailbox|maildrop)",
    r"another (pop|session|client)",
)
_WITHIN: tuple[_Meaning, ...] = (
    _PROSE[0],
    (_Words(r"no such|not exist|not found|deleted|too (large|big)|\bsize\b|message number"), (None, None)),
    (_FOR_NOW, (TemporaryFailure, "the server is busy or has reached a limit; try again later")),
)
_UNKNOWN = _Words(
    r"(un|not )(known|recogni[sz]ed|implemented|supported)|(no such|invalid|illegal|bad|undefined) command",
    r"not (a )?(valid|legal) command|command (is )?(not |in)valid|do(es)? ?n(o|')t (support|understand)|syntax error",
    r"\b(uidl|list|top|unique.?ids?)\b( command)? ((is|are) )?(not (available|enabled|allowed)|unavailable|disabled)",
)
_SPAN = r"(?i)(\d{1,6}) ?(s\b|sec|min|hour|h\b)"
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def response_code(text: str) -> str | None:
    """Return the response code at the start of a reply's text, in upper case (RFC 2449 §8)."""
    match = re.match(_CODE, text.lstrip())
    return match[1].upper() if match else None


def may_have_judged(text: str) -> bool:
    """Whether the text of a refused AUTH is about the credentials, not only about the mechanism or the command line."""
    return _CREDENTIALS.found_in(text) or _WHO.found_in(text)


def is_unknown_command(text: str) -> bool:
    """Whether the text of a refusal says that the server does not support the command at all."""
    return _UNKNOWN.found_in(text)


def refusal(text: str, *, command: str, default: type[CommandError], problem: str) -> CommandError:
    """Return the error for the reply `-ERR text`; `default` and `problem` apply if the text gives no known reason."""
    code = response_code(text)
    kind, what = _meaning(text, code, default is AuthenticationError, default is TemporaryFailure or command == "STAT")
    error = (kind or default)(what or problem, command=command, response=text or None, code=code)
    if error.retryable and (span := re.search(_SPAN, text)):
        error.retry_after = float(int(span[1]) * _SECONDS[span[2][0].lower()])
    return error


def _meaning(text: str, code: str | None, login: bool, opening: bool) -> tuple[type[CommandError] | None, str | None]:
    """Return the meaning of the code or the words; (None, None) if they give no known reason."""
    text = _SERVICE.pattern.sub("service", text)
    known = code
    while known:
        if known in _BY_CODE:
            kind, problem = _BY_CODE[known]
            if kind is AuthenticationError and _is_limit(text):
                return _LIMITED
            return kind, (_advice(text, kind) if login else None) or problem
        known = known.rpartition("/")[0]  # codes are hierarchical (RFC 2449 §8)
    if not login:
        prose = _PROSE if opening else _WITHIN
        return next((meaning for words, meaning in prose if words.found_in(text)), (None, None))
    kind = PermanentFailure if _POP_IS_OFF.found_in(text) and not _CREDENTIALS.found_in(text) else AuthenticationError
    advice = _advice(text, kind)
    if advice is not None:
        return kind, advice
    if _AT_FAULT.found_in(text) and not _WRONG.found_in(text):
        return _TEMPORARY
    if _CREDENTIALS.found_in(text) or (
        _ABOUT_AUTH.found_in(text) and not (_OWN_FAULT.found_in(text) or _is_limit(text))
    ):
        return None, None
    return next((meaning for words, meaning in _PROSE if words.found_in(text)), (None, None))


def _advice(text: str, kind: type[CommandError]) -> str | None:
    """Return what to do about a refused login, judged by its words; None if they do not say, or if it is temporary."""
    if kind not in (AuthenticationError, PermanentFailure):
        return None
    if _WANTS_ANOTHER.found_in(text):
        return _MAKE_ANOTHER
    if _WANTS_OAUTH.found_in(text):
        return _OAUTH
    if _POP_IS_OFF.found_in(text):
        return _REFUSED_OR_OFF if kind is AuthenticationError else _SWITCHED_OFF
    return None


def _is_limit(text: str) -> bool:
    """Whether the text is about a limit, and neither about the credentials nor about failed attempts."""
    if _CREDENTIALS.found_in(text) or "attempt" in text.lower():
        return False
    return _TOO_MUCH.found_in(text) or _TOO_SOON.found_in(text)
