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
    '-ERR no user with password *** (***==)'
    """

    _forms: set[str] = field(factory=set, init=False)
    _pattern: "re.Pattern[str] | None" = field(default=None, init=False)

    def add(self, value: str | bytes) -> None:
        """Remember a secret; the empty one hides nothing."""
        octets = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        forms = _forms(octets)
        if not forms <= self._forms:
            self._forms |= forms
            self._pattern = None

    def note(self, command: "Command[Any]") -> None:
        """Remember what a secret command is about to send, so that an echo of it is not shown either."""
        if command.verb.name == b"PASS":
            self.add(command.arguments)
            return
        words = command.arguments.split(b" ")
        for word in words[1:] if command.verb.name in (b"AUTH", b"APOP") else words:
            if len(word) > 3:  # `*` and `=` are answers too
                self._forms.add(word.decode("utf-8", "replace"))
        self._pattern = None

    def redact(self, text: str) -> str:
        """Return `text` with `***` for every secret in it."""
        if not self._forms:
            return text
        if self._pattern is None:
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
        return self._pattern.sub(_SHOWN, text)

    def clean(self, error: MailboxError) -> None:
        """Take the secrets out of what an error says."""
        if self._forms:
            error.problem = self.redact(error.problem)
            error.args = (error.problem, *error.args[1:])
            if error.response is not None:
                error.response = self.redact(error.response)


def _forms(octets: bytes) -> set[str]:
    """Return the ways in which a text may show these octets."""
    import urllib.parse

    forms = {
        octets.decode("utf-8", "replace"),
        octets.decode("latin-1"),
        urllib.parse.quote_from_bytes(octets, safe=""),
        urllib.parse.quote_plus(octets),
        base64.b64encode(octets).decode("ascii").rstrip("="),
    }
    for before in range(3):
        # What stands before and behind in the same base64 changes the characters at its ends only.
        coded = base64.b64encode(bytes(before) + octets).decode("ascii")
        fragment = coded[(0, 2, 3)[before] : (before + len(octets)) * 8 // 6]
        if len(fragment) > 3:
            forms.add(fragment)
    forms.discard("")
    return forms
