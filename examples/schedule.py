"""Archive an account from cron, a timer or a container: silent unless it went wrong.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD. The status says what to do: 75, try again
later; 77, look before the account is locked; 1, look.
"""

import signal
import sys
import threading

from pymailbox import Account, Archive, AuthenticationError, MailboxError

ARCHIVE = "mail/me"

stop = threading.Event()


def end_soon(*_: object) -> None:
    """End after the message that is arriving, as systemd and Docker ask for first."""
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
