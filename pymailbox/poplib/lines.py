"""Outgoing: lines on their way to a server that a caller has put together himself.

Pure. Used by `pymailbox.poplib`, whose callers give whole command lines; `commands` checks each argument instead.
"""

import re

__all__ = ["checked", "redacted"]

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
#: Commands whose arguments may be shown.
_HARMLESS = frozenset(b"CAPA DELE LANG LIST NOOP QUIT RETR RPOP RSET STAT STLS TOP UIDL USER UTF8".split())


def checked(line: bytes) -> bytes:
    """Return `line`; ValueError if it has a control character, which could be the end of one command and begin another.

    The text is that of the standard library's newer versions.
    """
    if _CONTROL.search(line):
        raise ValueError("Control characters not allowed in commands")
    return line


def redacted(line: bytes) -> bytes:
    """Return `line` as it may be shown: the arguments of a command that may carry a secret are `***`.

    An answer in a SASL exchange looks like a command that nobody knows, and is `***` altogether.
    """
    verb, blank, _ = line.partition(b" ")
    if verb.upper() in _HARMLESS:
        return line
    if verb.upper() in (b"PASS", b"APOP", b"AUTH"):
        return verb + b" ***" if blank else verb
    return b"***"
