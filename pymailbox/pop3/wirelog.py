"""Wirelog: the log `pymailbox.wire`, with one line for each command and reply, fit for a bug report.

Lines are at level DEBUG. Secrets appear as `***`, even if a server echoes them. Challenges and bodies appear only by
their length, so the log contains no mail. It does contain user names and the servers' own texts: read it before you
post it.
"""

import sys

from pymailbox.display import Secrets, safe_text
from pymailbox.pop3.command import Command, Reply

__all__ = ["listening", "received", "sent"]


def listening() -> bool:
    """Whether the log is enabled."""
    logging = sys.modules.get("logging")  # a program that has not imported it has no handler
    return logging is not None and bool(logging.getLogger("pymailbox.wire").isEnabledFor(logging.DEBUG))


def _log(text: str, *values: object) -> None:
    import logging

    logging.getLogger("pymailbox.wire").debug(text, *values)


def sent(command: Command[object]) -> None:
    """Log a command about to be sent."""
    _log("C: %s", safe_text(command.redacted))


def received(reply: Reply, secrets: Secrets) -> None:
    """Log a complete reply."""
    status = reply.status.decode("ascii")
    if status == "+":
        _log("S: + (%d characters)", len(reply.text))
        return
    text = safe_text(secrets.redact(reply.message))
    _log("S: %s%s%s", status, text and f" {text}", f" (and {reply.octets} bytes)" if reply.octets else "")
