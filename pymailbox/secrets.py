"""Secrets: what may be used and never be shown.

`Secret` and `SecretOctets` are the values themselves with a `repr` that shows nothing, so that a traceback with local
variables (Sentry, rich, cgitb) does not show them. `Secrets` knows those of one session and takes them out of texts
that a server sends: plain, in base64 wherever they stand in it, percent-encoded, in any case.

Nothing here is written to a disk, and nothing is sent.
"""

import base64
import re
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from attrs import define, field

from pymailbox.errors import MailboxError

if TYPE_CHECKING:
    from pymailbox.pop3.command import Command

__all__ = ["Secret", "SecretOctets", "Secrets", "secret"]

T = TypeVar("T")

_SHOWN = "***"


class Secret(str):
    """A `str` that is not shown by `repr` and cannot be pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret {_SHOWN}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


class SecretOctets(bytes):
    """`bytes` that are not shown by `repr` and cannot be pickled."""

    def __repr__(self) -> str:
        return f"<secret {_SHOWN}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


@overload
def secret(value: str) -> Secret: ...
@overload
def secret(value: T) -> T: ...
def secret(value: Any) -> Any:
    """Return a string as a `Secret`, anything else as it is."""
    return Secret(value) if isinstance(value, str) else value


@define(eq=False, repr=False)
class Secrets:
    """The secrets of one session, and how to take them out of a text.

    >>> known = Secrets()
    >>> known.add("hunter2")
    >>> known.redact("-ERR no user with password hunter2 (aHVudGVyMg==)")
    '-ERR no user with password *** (***)'
    """

    _plain: set[str] = field(factory=set, init=False)
    #: Base64 in which a secret stands; the whole word goes, as its ends hold a part of what is beside it.
    _coded: set[str] = field(factory=set, init=False)
    _pattern: "re.Pattern[str] | None" = field(default=None, init=False)

    def add(self, value: str | bytes) -> None:
        """Remember a secret; the empty one hides nothing."""
        octets = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        self._learn(_plain_forms(octets), _coded_forms(octets))

    def note(self, command: "Command[Any]") -> None:
        """Remember what a secret command is about to send, so that an echo of it is not shown either."""
        if command.verb.name == b"PASS":
            self.add(command.arguments)
            return
        words = command.arguments.split(b" ")
        sent = words[1:] if command.verb.name in (b"AUTH", b"APOP") else words
        self._learn(set(), {word.decode("utf-8", "replace") for word in sent if len(word) > 3})  # `*` and `=` are short

    def _learn(self, plain: set[str], coded: set[str]) -> None:
        if not (plain <= self._plain and coded <= self._coded):
            self._plain |= plain
            self._coded |= coded
            self._pattern = None

    def redact(self, text: str) -> str:
        """Return `text` with `***` for every secret in it; of a text that hides one in percents, all are undone."""
        if not (self._plain or self._coded):
            return text
        shown = self._cut(text)
        if "%" in shown:
            from urllib.parse import unquote

            undone = unquote(shown)
            if (cut := self._cut(undone)) != undone:
                return cut
        return shown

    def _cut(self, text: str) -> str:
        if self._pattern is None:
            self._pattern = re.compile(f"{_either(self._coded)}|{_either(self._plain)}", re.IGNORECASE)
        pieces: list[str] = []
        done = 0
        for match in self._pattern.finditer(text):
            start, end = match.span()
            if end <= done:
                continue
            start = max(start, done)
            if match[1] is not None:
                while start > done and text[start - 1] in _BASE64:
                    start -= 1
                while end < len(text) and (text[end] in _BASE64 or text[end] == "="):
                    end += 1
            pieces += text[done:start], _SHOWN
            done = end
        return "".join(pieces) + text[done:]

    def clean(self, error: MailboxError) -> None:
        """Take the secrets out of the server's words in an error.

        Its problem is in our own words, which anybody knows: `***` in them would tell a password like "check".
        """
        if error.response is not None:
            error.response = self.redact(error.response)
        if error.code is not None and error.code.partition("/")[0] not in _CODES:
            error.code = self.redact(error.code)


_CODES = frozenset({"AUTH", "IN-USE", "LOGIN-DELAY", "SYS"})  # everybody knows these too
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")


def _either(forms: set[str]) -> str:
    """Return a group that matches one of these, the longest first; of none, nothing."""
    longest_first = sorted(forms, key=len, reverse=True)
    return f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})"


def _plain_forms(octets: bytes) -> set[str]:
    """Return the ways in which a text may show these octets as they are."""
    import urllib.parse

    forms = {
        octets.decode("utf-8", "replace"),
        octets.decode("latin-1"),
        urllib.parse.quote_from_bytes(octets, safe=""),
        urllib.parse.quote_plus(octets),
    }
    return forms - {""}


def _coded_forms(octets: bytes) -> set[str]:
    """Return what of these octets shows in any base64 that they stand in, the one for URLs included."""
    whole = base64.b64encode(octets).decode("ascii")
    forms = {whole.rstrip("=") if len(octets) > 2 else whole}
    for before in range(3):
        # What stands before and behind in the same base64 changes the characters at its ends only.
        coded = base64.b64encode(bytes(before) + octets).decode("ascii")
        fragment = coded[(0, 2, 3)[before] : (before + len(octets)) * 8 // 6]
        if len(fragment) > 3:
            forms.add(fragment)
    forms |= {form.translate(_FOR_URLS) for form in forms}
    return forms - {""}


_FOR_URLS = str.maketrans("+/", "-_")
