"""Checks and redaction of command lines that a program assembles itself.

Pure. `pymailbox.poplib` needs this because programs pass it whole command lines; `pop3.commands` checks each argument.
"""

import re

__all__ = ["checked", "redacted"]

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
#: Commands whose arguments may be shown.
_HARMLESS = frozenset(b"CAPA DELE LANG LIST NOOP QUIT RETR RPOP RSET STAT STLS TOP UIDL USER UTF8".split())


def checked(line: bytes) -> bytes:
    """Return `line`; ValueError if it has a control character, which could end it and begin another command.

    The error's text is that of newer versions of the standard library.
    """
    if _CONTROL.search(line):
        raise ValueError("Control characters not allowed in commands")
    return line


def redacted(line: bytes) -> bytes:
    """Return `line` with `***` in place of arguments that may contain a secret.

    A response in a SASL exchange looks like an unknown command, and is replaced as a whole.
    """
    verb, blank, _ = line.partition(b" ")
    if verb.upper() in _HARMLESS:
        return line
    if verb.upper() in (b"PASS", b"APOP", b"AUTH"):
        return verb + b" ***" if blank else verb
    return b"***"
