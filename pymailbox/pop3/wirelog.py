"""Wirelog: the log `pymailbox.wire`, one line for each command and reply, fit to be pasted into a bug report.

At level DEBUG. Secrets are `***`, also where a server echoes them; of challenges and bodies only the length is there,
so no mail is. User names and what servers say of themselves are there: read it before you paste it.
"""

import sys

from pymailbox.display import Secrets, safe_text
from pymailbox.pop3.command import Command, Reply

__all__ = ["listening", "received", "sent"]


def listening() -> bool:
    """Whether anybody reads this log."""
    logging = sys.modules.get("logging")  # who has not imported it has no handler
    return logging is not None and bool(logging.getLogger("pymailbox.wire").isEnabledFor(logging.DEBUG))


def _log(text: str, *values: object) -> None:
    import logging

    logging.getLogger("pymailbox.wire").debug(text, *values)


def sent(command: Command[object]) -> None:
    """Note that a command goes out."""
    _log("C: %s", safe_text(command.redacted))


def received(reply: Reply, secrets: Secrets) -> None:
    """Note that a reply has come in, whole."""
    status = reply.status.decode("ascii")
    if status == "+":
        _log("S: + (%d characters)", len(reply.text))
        return
    said = safe_text(secrets.redact(reply.message))
    _log("S: %s%s%s", status, said and f" {said}", f" (and {reply.octets} octets)" if reply.octets else "")
