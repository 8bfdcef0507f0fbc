"""The arguments of both functions, checked before anything is connected; and the TLS context that accounts share."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pymailbox.account import Account, account_name, check_account
from pymailbox.display import safe_text
from pymailbox.mailbox.options import MailboxOptions

if TYPE_CHECKING:
    import ssl

__all__ = ["check_number", "checked_accounts", "default_context", "needs_context"]


def check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, not {value}")


def checked_accounts(accounts: Iterable[Account], check: Callable[[Account], object]) -> list[Account]:
    """Return the accounts; an invalid option is the caller's error, not an account's, and is raised without any.

    A note says which account was checked, as the text of an error may fit any of 100,000.
    """
    wanted = list(accounts)
    if not wanted:
        check(Account("localhost", "nobody", ""))
    for index, account in enumerate(wanted):
        try:
            check_account(account)
            check(account)
        except (TypeError, ValueError) as error:
            name = f" ({safe_text(account_name(account))})" if isinstance(account, Account) else ""
            error.add_note(f"while checking accounts[{index}]{name}")
            raise
    return wanted


def default_context() -> "ssl.SSLContext":
    """Return a default context for many accounts: loading the system's authorities takes longer than a login."""
    from pymailbox.pop3.tls import verified

    return verified()


def needs_context(accounts: Iterable[Account], options: MailboxOptions) -> bool:
    security = options.get("security")
    return options.get("ssl_context") is None and any((security or one.security) != "none" for one in accounts)
