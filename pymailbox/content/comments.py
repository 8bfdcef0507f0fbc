"""Comments: where they are in structured fields (RFC 5322 §3.2.2). One linear pass; never raises."""

import re
from collections.abc import Iterator

__all__ = ["closing", "comments", "without_comments"]

_OPENING = re.compile(r'["(]')
_CLOSING = {"(": re.compile(r"[()]|\\.", re.DOTALL), '"': re.compile(r'"|\\.', re.DOTALL)}


def comments(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each comment outside quoted strings; comments nest. One that is never closed is text."""
    position = 0
    unclosed: set[str] = set()  # marks known to be never closed: keeps the pass linear
    while (match := _OPENING.search(text, position)) is not None:
        start, position = match.span()
        if (mark := match[0]) in unclosed:
            continue
        end = closing(mark, text, position)
        if end < 0:
            unclosed.add(mark)
            continue
        position = end
        if mark == "(":
            yield start, end


def without_comments(text: str) -> str:
    """Return a text with a blank in place of each comment."""
    pieces: list[str] = []
    position = 0
    for start, end in comments(text) if "(" in text else ():
        pieces.append(text[position:start])
        position = end
    return " ".join([*pieces, text[position:]]) if pieces else text


def closing(mark: str, text: str, position: int) -> int:
    """Return where the comment or quoted string ends whose mark is before `position`; -1 if it is never closed."""
    depth = 1
    while (match := _CLOSING[mark].search(text, position)) is not None:
        position = match.end()
        if match[0] == "(":
            depth += 1
        elif match[0] in ('"', ")"):
            depth -= 1
            if not depth:
                return position
    return -1
