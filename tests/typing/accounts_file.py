"""An entry of the accounts file fits the functions that take its parts; a misspelt one is a type error."""

from pymailbox import Archive, Keep, Mailbox
from pymailbox.accounts_file import AccountEntry, AccountsFile


def use(entry: AccountEntry) -> None:
    """Pass every part on."""
    Mailbox.from_account(entry.account, **entry.options())
    if entry.archive is not None:
        Archive(entry.archive).collect(entry.account, keep=Keep(**entry.keep), **entry.options())
    AccountsFile.load().enter("me")  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
