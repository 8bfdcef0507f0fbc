"""Try a session again after a lost connection, a locked mailbox or a busy server.

Needs `pip install pymailbox stamina`, PYMAILBOX_URL and PYMAILBOX_PASSWORD.
"""

import stamina
from pymailbox import Account, Mailbox, MailboxError


def may_pass(error: Exception) -> bool | float:
    """Say whether to try again, or in how many seconds; not after a refused login."""
    if not isinstance(error, MailboxError) or not error.retryable:
        return False
    return True if error.retry_after is None else error.retry_after


@stamina.retry(on=may_pass, attempts=5, timeout=600, wait_initial=2, wait_max=60)
def subjects(account: Account) -> list[str]:
    """Return the subjects. All of it runs again, so it does what may be done twice."""
    with Mailbox.from_account(account, timeout=30) as inbox:
        return [message.subject for message in inbox]


print("\n".join(subjects(Account.from_env())))
