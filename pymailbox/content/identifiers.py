"""Message identifiers: what Message-ID, In-Reply-To and References contain, in any form.

One left-to-right pass, linear in the text; never raises.
"""

import re

from .comments import closing

__all__ = ["message_ids"]

_TOKEN = re.compile(r'<([^<>]*)(>?)|["(]|[^<"(]+')
_SEPARATORS = re.compile(r"[\s,;>]+")


def message_ids(text: str) -> tuple[str, ...]:
    """Return the identifiers in the value of a field, in order, each as `<id>`.

    Comments, quoted words and everything else outside angle brackets are ignored; a bracket that is never closed ends
    at the next blank, and blanks that folding left inside an identifier are removed. In text without brackets, words
    with an `@` are identifiers, and so is a single word.
    """
    found: list[str] = []
    loose: list[str] = []  # text outside brackets
    unclosed: set[str] = set()  # marks known to be never closed: keeps the pass linear
    position = 0
    while (token := _TOKEN.match(text, position)) is not None:
        start, position = token.span()
        if token[1] is not None:
            words = token[1].split() if token[2] else token[1].split()[:1]
            identifier = token[1].strip() if '"' in token[1] and token[2] else "".join(words)
            if identifier:
                found.append(f"<{identifier}>")
            continue
        mark = token[0]
        if mark in '"(' and mark not in unclosed:
            end = closing(mark, text, position)
            if end < 0:
                unclosed.add(mark)
            else:
                position = end
                quoted = mark == '"' and text.startswith("@", end) and "<" not in text[start:end]
                loose.append(text[start:end] if quoted else " ")
            continue
        loose.append(mark)
    if not found:
        words = [word for word in _SEPARATORS.split("".join(loose)) if word]
        found = [f"<{word}>" for word in words if "@" in word or len(words) == 1]
    return tuple(found)
