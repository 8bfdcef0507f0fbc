"""Received: the servers that a message passed, one for each Received field (RFC 5321 §4.4).

Anyone can write a Received field: trust only the topmost ones, which your own servers added.
"""

import re
from typing import TYPE_CHECKING

from attrs import frozen

from .dates import parse_date

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Hop", "parse_hop"]

MAX_CHARACTERS = 10_000  # of one field

_COMMENT = re.compile(r"\([^()]*\)")
_CLAUSE = re.compile(r"(?<!\S)(from|by|via|with|id|for)(?=\s)|;", re.IGNORECASE)
_DATE = re.compile(r"\b\d{1,2} [A-Za-z]{3} \d{2,4} \d{1,2}:\d\d", re.ASCII)


@frozen
class Hop:
    """One server that a message passed: who sent it there, who received it, and when.

    >>> from pymailbox.content import Headers
    >>> headers = Headers.from_bytes(
    ...     b"Received: from mx (mx.example.net [192.0.2.7])\\r\\n"
    ...     b" by pop.example.com with ESMTP; Mon, 2 Jun 2025 10:00:00 +0200\\r\\n"
    ... )
    >>> (hop,) = headers.hops
    >>> hop.from_, hop.by, hop.date.isoformat()
    ('mx (mx.example.net [192.0.2.7])', 'pop.example.com', '2025-06-02T10:00:00+02:00')
    """

    #: Who sent it, as written, including the comment with the address; "" if there is none.
    from_: str
    #: Who received it, as written; "" if there is none.
    by: str
    #: When, always aware; None if there is no valid date.
    date: "datetime | None"


def parse_hop(text: str) -> Hop:
    """Read the value of one Received field."""
    text = text[:MAX_CHARACTERS]
    # Words inside comments are not clauses; one level of nested comments is handled.
    masked = _COMMENT.sub(_mask, _COMMENT.sub(_mask, text))
    clauses: dict[str, str] = {}
    name, start = "", 0
    for match in _CLAUSE.finditer(masked):
        if name:
            clauses.setdefault(name, text[start : match.start()].strip())
        name, start = (match[1] or "").lower(), match.end()
    if name:
        clauses.setdefault(name, text[start:].strip())
    date = parse_date(text[masked.rfind(";") + 1 :].strip())
    if (date is None or ";" not in masked) and (written := _DATE.search(masked)) is not None:
        date = parse_date(text[written.start() :])
    elif ";" not in masked:
        date = None
    return Hop(clauses.get("from", ""), clauses.get("by", ""), date)


def _mask(comment: re.Match[str]) -> str:
    return "x" * len(comment[0])
