"""Archive an account from cron, a timer or a container: silent unless something is wrong, with a status that says what.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD. Status 75: try again later. 77: somebody has to look. 1: anything else.
"""

import signal
import sys
import threading

from pymailbox import Account, Archive, AuthenticationError, MailboxError

ARCHIVE = "mail/me"

stop = threading.Event()


def end_soon(*_: object) -> None:
    """End the run after the message that is arriving: what systemd and Docker ask for before they kill."""
    stop.set()


signal.signal(signal.SIGTERM, end_soon)
try:
    with Archive(ARCHIVE) as archive:
        result = archive.collect(Account.from_env(), stop=stop)
except AuthenticationError as error:
    print(f"the login was refused: {error}", file=sys.stderr)
    sys.exit(77)
except MailboxError as error:
    print(error, file=sys.stderr)
    sys.exit(75 if error.retryable else 1)
if result.failed or result.set_aside:
    sys.exit(f"some messages could not be archived: {result}")
