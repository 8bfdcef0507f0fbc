"""What a recording must not contain: secrets, the user's names, and what mails say.

A `Redaction` learns secrets and names from what the client sends, and replaces them there by `***`. Afterwards it
replaces them in what the server sent, which may echo them: by `***` in a status line, and in listings and mails by as
many `*` as they have bytes, so that sizes stay true.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable
from urllib.parse import quote_from_bytes

from attrs import Factory, define

__all__ = ["REDACTED", "Redaction"]

REDACTED = b"***"

_KNOWN = frozenset(b"CAPA DELE LANG LIST NOOP QUIT RETR RSET STAT STLS TOP UIDL UTF8".split())  # arguments are kept
_SHORTEST = 6  # bytes of an unknown command that may be a secret; other words occur everywhere
_WORDS = re.compile(rb"\s*(\S+)\s?")
_STATUS = re.compile(rb"(?i)\+OK(?=\s|$)|-ERR(?=\s|$)|\+(?=\s|$)")
_CODE = re.compile(rb"\s\[[A-Z0-9/-]+\]")
_NUMBERS = re.compile(rb"[\d\s]*(?:messages?|octets)?\s*")
#: Mechanisms with challenges that help nobody to guess the password.
_HARMLESS = frozenset({b"PLAIN", b"LOGIN", b"CRAM-MD5", b"XOAUTH2", b"OAUTHBEARER", b"EXTERNAL", b"ANONYMOUS"})


@define(eq=False)
class Redaction:
    """The secrets and names of one recording."""

    keep_user: bool = False
    _secrets: set[bytes] = Factory(set)
    _names: set[bytes] = Factory(set)
    _pattern: re.Pattern[bytes] | None = None

    @classmethod
    def of(cls, keep_user: bool, more: Iterable[str]) -> "Redaction":
        """Return a redaction that also treats these strings as secrets."""
        redaction = cls(keep_user)
        for secret in more:
            redaction._learn(secret.encode())
        return redaction

    # --- what the client sends ---

    def command(self, line: bytes) -> bytes:
        """Return a command without what is secret in it, which is learned."""
        found = _WORDS.match(line)
        if found is None:
            return line
        verb, start, rest = found[1].upper(), line[: found.end()], line[found.end() :]
        if verb in _KNOWN or (not rest and verb in (b"USER", b"PASS", b"APOP", b"AUTH")):
            return line
        if verb == b"USER":
            self._learn_name(rest)
            return line if self.keep_user else start + REDACTED
        if verb == b"PASS":
            self._learn(rest)
            return start + REDACTED
        if verb == b"APOP":
            name, _, digest = rest.strip().rpartition(b" ")
            self._learn_name(name)
            self._learn(digest)
            return start + (name if self.keep_user and name else REDACTED) + b" " + REDACTED
        if verb == b"AUTH":
            mechanism, _, initial = rest.partition(b" ")
            if not initial:
                return line
            self.response(initial, mechanism, 1)
            return start + mechanism + b" " + REDACTED
        for perhaps in (line, rest):  # a password without its command, or with that of an extension
            if len(perhaps) >= _SHORTEST:
                self._learn(perhaps)
        return REDACTED

    def response(self, line: bytes, mechanism: bytes, number: int) -> bytes:
        """Return a line that continues AUTH without what is secret in it, which is learned; the first has number 1."""
        if line in (b"*", b"=", b""):
            return line if line != b"=" else REDACTED
        self._learn(line)
        try:
            payload = base64.b64decode(line, validate=True)
        except binascii.Error:
            return REDACTED
        mechanism = mechanism.upper()
        if (mechanism == b"LOGIN" and number == 1) or mechanism == b"EXTERNAL":
            self._learn_name(payload)
            return REDACTED
        self._learn(payload)
        if mechanism == b"PLAIN":
            *names, secret = payload.split(b"\0")
            for name in names:
                self._learn_name(name)
            self._learn(secret)
        elif mechanism == b"CRAM-MD5":
            name, _, digest = payload.rpartition(b" ")
            self._learn_name(name)
            self._learn(digest)
        else:
            for part in re.split(rb"[\x01,]", payload):
                key, _, value = part.partition(b"=")
                if key in (b"user", b"a", b"n"):
                    self._learn_name(value.replace(b"=2C", b",").replace(b"=3D", b"="))
                elif key == b"auth":
                    self._learn(value.partition(b" ")[2] or value)
        return REDACTED

    # --- what the server sends ---

    def text(self, line: bytes) -> bytes:
        """Return a status line, with `***` for each secret and name in its text."""
        status = _STATUS.match(line)
        start = status.end() if status else 0
        if status and (code := _CODE.match(line, start)):
            start = code.end()
        rest = line[start:]
        return line if _NUMBERS.fullmatch(rest) else line[:start] + self._secret.sub(REDACTED, rest)

    def masked(self, line: bytes) -> bytes:
        """Return a line of a listing or a mail, with `*` for each byte of a secret or a name."""
        if _NUMBERS.fullmatch(line):
            return line
        return self._secret.sub(lambda found: b"*" * len(found[0]), line)

    def challenge(self, line: bytes, mechanism: bytes) -> bytes:
        """Return a challenge of a SASL mechanism. If it could help to guess the password, it becomes `+ ***`."""
        end = line[len(line.rstrip(b"\r\n")) :]
        content = line[1 : len(line) - len(end)].strip()
        if not content:
            return line
        if mechanism.upper() not in _HARMLESS:
            return b"+ " + REDACTED + end
        try:
            payload = base64.b64decode(content, validate=True)
        except binascii.Error:
            return self.text(line)
        clean = self._secret.sub(REDACTED, payload)
        return line if clean == payload else b"+ " + base64.b64encode(clean) + end

    # --- what is known ---

    def _learn(self, secret: bytes) -> None:
        for given in {secret, secret.strip()} - {b""}:
            self._secrets |= _forms(given)
        self._pattern = None

    def _learn_name(self, name: bytes) -> None:
        if not self.keep_user and (name := name.strip()):
            self._names |= (_forms(name) | {name.partition(b"@")[0]}) - {b""}
            self._pattern = None

    @property
    def _secret(self) -> re.Pattern[bytes]:
        if self._pattern is None:
            longest_first = [sorted(found, key=lambda one: (-len(one), one)) for found in (self._secrets, self._names)]
            secrets, names = (b"|".join(map(re.escape, found)) for found in longest_first)
            # A name may be a common word, so that only whole words are replaced.
            parts = ([secrets] if secrets else []) + ([rb"(?<![^\W_])(?:%s)(?![^\W_])" % names] if names else [])
            self._pattern = re.compile(b"(?i)" + b"|".join(parts) if parts else b"(?!)")
        return self._pattern


def _forms(given: bytes) -> set[bytes]:
    """Return the forms in which a server might repeat this."""
    quoted = json.dumps(given.decode("utf-8", "surrogateescape"))[1:-1].encode()
    return {given, base64.b64encode(given), quote_from_bytes(given, safe="").encode(), quoted}
