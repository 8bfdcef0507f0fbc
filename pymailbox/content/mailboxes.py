"""Mailboxes: parses address lists (RFC 5322 §3.4) in any form.

One left-to-right pass with no recursion and no backtracking: a counter tracks nested comments, and a closing character
that was not found is not searched for again.
"""

import re
from collections.abc import Sequence

from .comments import without_comments
from .words import clean, decode_words

__all__ = ["read_mailboxes"]

_SPECIAL = re.compile(r'["(<>,;:\[]|=\?')
_WORD = re.compile(r"=\? ?[\"']?[^?\s\"<>]{1,80}[\"']? ?\?[bBqQ]\?")
_QUOTE_OR_ESCAPE = re.compile(r'["\\]')
_SEPARATOR = re.compile(r"[,;]")
_SCHEME = re.compile(r"(?:mailto|smtp):", re.IGNORECASE)
_PAREN_OR_ESCAPE = re.compile(r"[()\\]")
_SPECIAL_IN_QUOTES = re.compile(r'(["\\])')
_AT = re.compile(r"[ \t]*@")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"\Z', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_mailboxes(text: str, limit: int, *, names: bool) -> list[tuple[str, str]]:
    """Read up to `limit` addresses, each as (name, address); with `names`, also a name without an address."""
    reader = _Reader(text, limit, names=names)
    reader.run()
    return reader.found[:limit]


class _Reader:
    """The state of one pass over a field: the addresses found, and the mailbox being read."""

    angle: str | None = None
    quoted_local = False
    quoted = False  # an @ was seen in a quoted string that is not a local part
    addressed = False  # the address has begun: colons are plain text until the mailbox ends

    def __init__(self, text: str, limit: int, *, names: bool) -> None:
        self.text = text
        self.limit = limit
        self.names = names
        self.found: list[tuple[str, str]] = []
        self.pieces: list[str] = []  # the phrase, unquoted
        self.comments: list[str] = []
        self.held: list[str] = []  # words before a comma that may belong to the name after it: Doe, Ann <ann@...>
        self.exhausted: set[str] = set()  # marks that are not closed any more: keeps the pass linear

    def run(self) -> None:
        """Read the whole text."""
        text = self.text
        match = _SPECIAL.search(text)
        if match is None:
            self._bare(text, (), quoted_local=False)
            return
        position = 0
        while match is not None and len(self.found) < self.limit:
            self.pieces.append(text[position : match.start()])
            position = self._special(match[0], match.start())
            match = _SPECIAL.search(text, position)
        if match is None:
            self.pieces.append(text[position:])
        self._end_mailbox(separator=False)
        self._release()

    def _special(self, mark: str, start: int) -> int:
        """Read what begins with a special character; return the position after it."""
        text = self.text
        if mark == "=?":
            head = _WORD.match(text, start)
            end = text.find("?=", head.end()) if head is not None and mark not in self.exhausted else -1
            if end < 0:
                if head is not None:
                    self.exhausted.add(mark)
                end = start
            self.pieces.append(text[start : end + 2])
            return end + 2
        if mark == '"':
            end = self._closing(_QUOTE_OR_ESCAPE, start + 1, mark)
            if end < 0:
                return start + 1
            quoted = text[start + 1 : end - 1]
            if _AT.match(text, end):
                self.pieces.append(text[start:end])
                self.quoted_local = True
            else:
                self.pieces.append(_ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted)
                self.quoted = self.quoted or "@" in quoted
            return end
        if mark == "(":
            end = self._closing(_PAREN_OR_ESCAPE, start + 1, mark)
            if end < 0:
                self.pieces.append(mark)
                return start + 1
            self.comments.append(_ESCAPED.sub(r"\1", text[start + 1 : end - 1]))
            self.pieces.append(" ")
            return end
        if mark == "<":
            return self._angle(start)
        if mark == "[":
            end = text.find("]", start) if mark not in self.exhausted else -1
            if end < 0:
                self.exhausted.add(mark)
                end = start
            self.pieces.append(text[start : end + 1])
            return end + 1
        if mark == ":":
            self._colon()
        elif mark in ",;":
            self._end_mailbox(separator=mark == ",")
        return start + 1  # a stray > is skipped

    def _closing(self, marks: re.Pattern[str], position: int, mark: str) -> int:
        """Find the end of a quoted string or a comment (they nest); -1 if it has none."""
        if mark in self.exhausted:
            return -1
        depth = 1
        while (match := marks.search(self.text, position)) is not None:
            position = match.end()
            if match[0] == "\\":
                position += 1
            elif match[0] == "(":
                depth += 1
            else:
                depth -= 1
                if depth == 0:
                    return position
        self.exhausted.add(mark)
        return -1

    def _angle(self, start: int) -> int:
        text = self.text
        if self.angle is not None:  # a second address without a comma before it: the words between are its name
            name, self.pieces = self.pieces, []
            self._end_mailbox(separator=False)
            self.pieces = name
        local = self._closing(_QUOTE_OR_ESCAPE, start + 2, '"') if text.startswith('"', start + 1) else -1
        quoted = local >= 0 and _AT.match(text, local) is not None  # a quoted local part may contain brackets
        end = text.find(">", local if quoted else start) if "<" not in self.exhausted else -1
        if end < 0:
            self.exhausted.add("<")
            separator = _SEPARATOR.search(text, start)
            end = len(text) if separator is None else separator.start()
            self.angle = text[start + 1 : end]
            position = end
        else:
            self.angle = text[start + 1 : end] if quoted else text[start + 1 : end].rpartition("<")[2]
            position = end + 1
        self.name = "".join(self.pieces)
        self.pieces.clear()
        return position

    def _colon(self) -> None:
        if not self.addressed:
            self.addressed = self.angle is not None or "@" in "".join(self.pieces)
        if self.addressed:
            self.pieces.append(":")
            return
        self.pieces.clear()  # the name of a group, or mailto:
        self.comments.clear()
        self.held.clear()

    def _end_mailbox(self, *, separator: bool) -> None:
        phrase = "".join(self.pieces)
        self.addressed = False
        if self.angle is None and (not phrase or phrase.isspace()):  # empty, or only a comment
            self.pieces, self.comments, self.quoted_local, self.quoted = [], [], False, False
            self._release()
            return
        comments, angle, quoted_local, quoted = self.comments, self.angle, self.quoted_local, self.quoted
        self.pieces, self.comments, self.angle, self.quoted_local, self.quoted = [], [], None, False, False
        if angle is not None:
            name = _show(", ".join(filter(None, [*self.held, self.name.strip()])) if self.held else self.name)
            self.held.clear()
            trailing = _show(phrase)
            name = " ".join(filter(None, (name, trailing))) if trailing and not name else name
            name = name or _show(" ".join(comments))
            for email in _separated(angle):
                self._add(name, _email(email))
                name = ""
            return
        if "@" not in phrase and separator:
            self.held.append(phrase.strip())
            return
        self._release()
        self._bare(phrase, comments, quoted_local=quoted_local, quoted=quoted)

    def _bare(self, phrase: str, comments: Sequence[str], *, quoted_local: bool, quoted: bool = False) -> None:
        """Read a mailbox without angle brackets: words with an @ are addresses, and so is a single word without one.

        In quotes, an address contains no blanks: those around an @ separate words.
        """
        words = " ".join(phrase.split())
        local = words.rfind('"') + 1
        words = words if quoted else words[:local] + _joined(words[local:])
        if not words:
            return
        name = _show(" ".join(comments))
        shown = _show(words) if "@" not in words or quoted_local else ""
        if "@" in shown and not quoted_local:  # in an encoded word, perhaps with its name
            words = shown
        if "@" not in words or quoted_local:
            if quoted_local or " " not in shown:
                self._add(name, shown)
            elif self.names:
                self._add(shown, "")
            return
        emails = [word for word in words.split(" ") if "@" in word]
        if len(emails) == 1:
            name = name or _show(" ".join([word for word in words.split(" ") if "@" not in word]))
        for email in emails[: self.limit]:  # in quotes there may be brackets and separators: "Ann <ann@example.com>"
            self._add(name if len(emails) == 1 else "", _email(email.strip("<>,;")))

    def _release(self) -> None:
        if self.held:
            held, self.held = self.held, []
            for words in held:
                self._bare(words, (), quoted_local=False)

    def _add(self, name: str, email: str) -> None:
        if email.count("@") > 1:
            local, _, domain = email.rpartition("@")
            if not _QUOTED.match(local):  # a local part with an @ must be quoted
                email = '"' + _SPECIAL_IN_QUOTES.sub(r"\\\1", local) + '"@' + domain
        if email or (name and self.names):
            self.found.append(("" if name.lower() == email.lower() else name, email))


def _show(phrase: str) -> str:
    if not phrase:
        return ""
    if "=?" in phrase:
        phrase = decode_words(phrase)
    return " ".join(clean(phrase).split())


def _separated(angle: str) -> list[str]:
    """Return the addresses in one pair of angle brackets: several if each has its own @, and none is a route."""
    if angle.count("@") < 2 or '"' in angle or angle.lstrip().startswith("@"):
        return [angle]
    parts = [part for part in _SEPARATOR.split(angle) if part.strip()]
    return parts if all(part.count("@") == 1 for part in parts) else [angle]


def _email(text: str) -> str:
    text = without_comments(text).strip()
    if text.startswith("@") and ":" in text:  # a route (RFC 5322 §4.4): <@a,@b:user@host>
        text = text.rpartition(":")[2]
    if text.startswith("[") and text.endswith("]") and "@" in text:  # Ann [mailto:ann@example.com]
        text = text[1:-1]
    text = _SCHEME.sub("", text)
    if text.endswith(":;"):  # an empty group in place of a mailbox
        return ""
    quoted = text.rfind('"') + 1
    if " " in text[quoted:]:  # blanks around dots and @ (RFC 5322 §4.4)
        words = " ".join(text[quoted:].split())
        text = text[:quoted] + words.replace(" .", ".").replace(". ", ".").replace(" @", "@").replace("@ ", "@")
    return _show(text)


def _joined(words: str) -> str:
    """Remove blanks around the @ and the dots of an address (RFC 5322 §4.4), but not in a name: Ann M. a@b."""
    words = words.replace(" @", "@").replace("@ ", "@").replace(" . ", ".").replace(" .", ".")
    head, _, last = words.rpartition(" ")
    return head + last if head.endswith(".") and "@" in head.rpartition(" ")[2] and "@" not in last else words
