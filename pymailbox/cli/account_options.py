"""The account that a command works on: an argument, the options that go with it, and how errors are shown.

The argument is the NAME of an account in the accounts file (a word without a dot), a URL, or a host; without one the
environment says which account it is. Options override what the file says. A password comes from, in this order:
`--password-command`, PYMAILBOX_PASSWORD, the accounts file (or the rest of the environment), `~/.netrc`, the keyring, a
prompt.
"""

import argparse
import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from attrs import evolve, field, frozen

from pymailbox.account import Account, OAuth2, needs_user
from pymailbox.display import safe_text, without_errno
from pymailbox.errors import NotSupported
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.passwords import PasswordCommand, PasswordEnv, PasswordKeyring, keyring_password, netrc_password

if TYPE_CHECKING:
    import ssl

    from pymailbox.accounts_file import AccountsFile, KeepOptions

__all__ = [
    "VARIABLE",
    "ChosenAccount",
    "account_of",
    "accounts_file",
    "add_account",
    "add_config",
    "archive_of",
    "ask",
    "chosen_account",
    "chosen_accounts",
    "error_text",
    "filled",
    "in_other_words",
    "mailbox_options",
    "named_archive",
    "seconds",
    "with_password",
    "without_password",
    "wrong_usage",
]

#: The environment variable that may hold the password.
VARIABLE = "PYMAILBOX_PASSWORD"

_SECRET_IN_URL = re.compile(r"(://[^/\s:@]*):[^\s@]*@")

#: Parts of error messages that name Python arguments, and the options of the command line that replace them.
_IN_OTHER_WORDS = (
    ('security="tls" or "starttls", or pass allow_plaintext=True', "pops:// or pop+starttls://, or --allow-plaintext"),
    ('security="starttls"', "pop+starttls://"),
    ('security="tls"', "pops://"),
    ("tls.private_ca(path)", "--ca FILE"),
    ("tls.pinned(fingerprint) with ", "--pin "),
    ("tls.pinned(fingerprint)", "--pin SHA256"),
    ("auth=OAuth2(token)", "--oauth2"),
    ('auth="PLAIN"', "a URL like pops://user;auth=PLAIN@host"),
    ("Pass renumbered=True, or --renumbered,", "Pass --renumbered"),
    ("Pass a larger at_most, or --at-most,", "Pass a larger --at-most"),
    ("at_most=", "--at-most "),
    ("or pass a limit", "or pass --limit"),
    ("or pass a longer timeout=", "or pass a longer --timeout"),
    ("until collect has", "until `archive` has"),
)

#: The same, for what is different each time.
_PATTERNS = (
    (re.compile(r"Archive\.rebuild\(.*?\), or (?=`pymailbox rebuild )"), ""),
    (re.compile(r"(?:beyond|more than|exceeds?|less than|within) Limits\.\w+"), "beyond what pymailbox accepts"),
    (re.compile(r"[;,] raise (?:that limit|Limits\.\w+)(?: if this server can be trusted)?"), ""),
)


def error_text(error: Exception) -> str:
    """Return what to print of an error, in the words of the command line."""
    return in_other_words(without_password(without_errno(error)))


def without_password(text: str) -> str:
    """Return a text safe to print, and without the password of a URL."""
    return safe_text(_SECRET_IN_URL.sub(r"\1:***@", text))


def in_other_words(text: str) -> str:
    """Replace the Python arguments in a text by the options that stand for them."""
    for python, here in _IN_OTHER_WORDS:
        text = text.replace(python, here)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


# --- the arguments --------------------------------------------------------------------------------------------


def add_account(parser: argparse.ArgumentParser, *, several: bool = False, silence: bool = True) -> None:
    """Add the argument and the options of an account to a command, or of several.

    Without `silence` there is no --timeout, so that the command can have another one; the option is then None.
    """
    parser.add_argument(
        "accounts" if several else "account",
        metavar="ACCOUNT",
        nargs="*" if several else "?",
        type=_account,
        help="the name of an account in the accounts file, a URL such as pops://user@host, or a host (default:"
        " $PYMAILBOX_URL)",
    )
    if several:
        parser.add_argument("--all", action="store_true", help="work on every account in the accounts file")
    parser.add_argument(
        "--user", type=filled, help="log in as USER, instead of the user in the URL or the accounts file"
    )
    parser.add_argument(
        "--password-command",
        metavar="COMMAND",
        type=_words,
        help=f"run COMMAND to get the password from its first line of output (default: ${VARIABLE}, the accounts file,"
        " ~/.netrc, the keyring, or else a prompt)",
    )
    parser.add_argument("--oauth2", action="store_true", help="use the password as an OAuth2 access token")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca", type=_authority, metavar="FILE", help="trust the private certificate authority in FILE (PEM)"
    )
    trust.add_argument("--pin", type=_pin, metavar="SHA256", help="trust only the certificate with this fingerprint")
    if silence:
        parser.add_argument(
            "--timeout",
            type=seconds,
            metavar="SECONDS",
            help="give up after SECONDS of silence (default: 60); a password command may take as long",
        )
    else:
        parser.set_defaults(timeout=None)
    parser.add_argument(
        "--allow-plaintext", action="store_true", help="allow sending the password unencrypted to another machine"
    )
    add_config(parser)
    parser.set_defaults(wrong_usage=parser.error)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the accounts file."""
    parser.add_argument(
        "--config",
        type=filled,
        metavar="FILE",
        help="read accounts from FILE (default: $PYMAILBOX_CONFIG, or accounts.toml in the user's configuration"
        " directory)",
    )


def filled(value: str) -> str:
    """Return an argument that must not be empty, as an unset variable of a script is."""
    if not value:
        raise argparse.ArgumentTypeError("it must not be empty")
    return value


def _misused(error: Exception) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(error_text(error))


def _account(value: str) -> Account | str:
    """Return the account of a URL or host; a NAME as it is, since the file may be named by a later argument."""
    if "." not in value:  # names have none, so most hosts and URLs do not need the module
        from pymailbox.accounts_file import is_name

        if is_name(value):
            return value
    url = value if "://" in value else f"pops://{value}"
    if _SECRET_IN_URL.search(url):
        raise argparse.ArgumentTypeError(
            f"a password on the command line can be read by others; set {VARIABLE} or use --password-command"
        )
    try:
        return Account.from_url(url, refuse_password=True)
    except (ValueError, TypeError) as error:
        raise _misused(error) from None


def wrong_usage(options: argparse.Namespace, problem: str) -> NoReturn:
    """Print the usage of the command and what is wrong, and exit with 2."""
    end: Callable[[str], NoReturn] = options.wrong_usage
    end(problem)


# --- the account ----------------------------------------------------------------------------------------------


@frozen(eq=False, repr=False)
class ChosenAccount:
    """An account that a command works on."""

    #: Its name in the accounts file; None if it is not from there.
    name: str | None
    #: With how to get its password.
    account: Account
    #: The options of its mailbox: those of the accounts file, overridden by those of the command.
    options: MailboxOptions
    #: Its archive according to the accounts file.
    archive: Path | None = None
    #: The arguments of `Keep` according to the accounts file.
    keep: "KeepOptions" = field(factory=dict)  # type: ignore[assignment] # without importing the class
    #: Why it cannot be used, if it is one of several; the others can be.
    problem: ValueError | None = None

    @property
    def label(self) -> str:
        """Its name, or its URL."""
        return self.name or self.account.url


def accounts_file(options: argparse.Namespace) -> "AccountsFile":
    """Return the accounts file of a command."""
    from pymailbox.accounts_file import AccountsFile

    return AccountsFile.load(options.config)


def chosen_account(options: argparse.Namespace) -> ChosenAccount:
    """Return the account that a command works on; a usage error if none is named."""
    if not hasattr(options, "chosen"):  # reading the file and asking for a user happen once
        given: Account | str | None = options.account
        options.chosen = _chosen(options, given, accounts_file(options) if isinstance(given, str) else None)
    found: ChosenAccount = options.chosen
    return found


def chosen_accounts(options: argparse.Namespace) -> list[ChosenAccount]:
    """Return the accounts that a command works on, each once."""
    given: list[Account | str | None] = list(dict.fromkeys(options.accounts))
    if options.all and given:
        wrong_usage(options, "--all and the name of an account exclude each other")
    file = accounts_file(options) if options.all or any(isinstance(one, str) for one in given) else None
    if options.all:
        assert file is not None
        given = list(file.accounts)
        if not given:
            raise ValueError(f"there are no accounts in {file.path}; add one with `pymailbox accounts add`")
    several = len(given) > 1
    for name in ("user", "password_command", "oauth2") if several else ():
        if getattr(options, name):
            wrong_usage(options, f"--{name.replace('_', '-')} is for one account only")
    return [_chosen(options, one, file, several=several) for one in given or [None]]


def _chosen(
    options: argparse.Namespace, given: Account | str | None, file: "AccountsFile | None", *, several: bool = False
) -> ChosenAccount:
    """Return an account with the options of the command; PYMAILBOX_PASSWORD is not sent to several servers."""
    found: MailboxOptions = {}
    if isinstance(given, str):
        assert file is not None
        if given not in file.accounts:
            wrong_usage(options, f"{file.missing(given)}; for the host of that name, write pops://{given}")
        entry = file.entry(given)
        one = ChosenAccount(given, entry.account, found, entry.archive, entry.keep)
    else:
        entry = None
        one = ChosenAccount(None, _from_environment(options) if given is None else given, found)
    try:
        if entry is not None:
            found.update(cast(MailboxOptions, entry.options()))
        account = _with_password(options, one.account, several)
    except ValueError as error:
        if not several:
            raise
        return evolve(one, problem=error)
    if options.timeout is not None:
        found["timeout"] = options.timeout
        account = _bounded(account, options.timeout)
    if options.ca or options.pin:
        found["ssl_context"] = options.ca or options.pin
    if options.allow_plaintext:
        found["allow_plaintext"] = True
    return evolve(one, account=account)


def _from_environment(options: argparse.Namespace) -> Account:
    if not (os.environ.get("PYMAILBOX_URL") or os.environ.get("PYMAILBOX_HOST")):
        wrong_usage(options, "name an account (from the accounts file, a URL or a host), or set PYMAILBOX_URL")
    return Account.from_env()


def account_of(options: argparse.Namespace) -> Account:
    """Return the account that the options name, with how to get its password."""
    return chosen_account(options).account


def mailbox_options(options: argparse.Namespace, *, read_only: bool = False) -> MailboxOptions:
    """Return the options of its mailbox."""
    return {**chosen_account(options).options, "read_only": read_only}


def archive_of(options: argparse.Namespace) -> Path | None:
    """Return its archive according to the accounts file; None if that has none."""
    return chosen_account(options).archive


def named_archive(options: argparse.Namespace, word: str) -> Path:
    """Return the archive of an account in the accounts file, or the directory with that name; else a usage error."""
    from pymailbox.accounts_file import is_name

    if not is_name(word):
        return Path(word)
    try:
        file = accounts_file(options)
    except NotSupported:  # without the extra `cli` there are only directories
        if Path(word).is_dir():
            return Path(word)
        raise
    if word not in file.accounts and Path(word).is_dir():
        return Path(word)
    if word not in file.accounts:
        wrong_usage(options, f"there is no directory {word!r}, and {file.missing(word)}")
    found = file.entry(word).archive
    if found is None:
        wrong_usage(
            options, f"the account {word!r} has no archive in {file.path}; add one, or name the directory ./{word}"
        )
    return found


# --- passwords ------------------------------------------------------------------------------------------------


def with_password(account: Account) -> Account:
    """Return an account of the accounts file with where its password is looked for, without any option."""
    if account.password is not None or isinstance(account.auth, OAuth2):
        return account
    return evolve(account, password=_looked_for(account, "Password"))


def _with_password(options: argparse.Namespace, account: Account, several: bool) -> Account:
    """Return the account with its user and with where its password is looked for."""
    user = options.user or account.user
    if user is None and not (isinstance(account.auth, str) and not needs_user(account.auth)):
        user = ask(f"User at {account.host}: " if several else "User: ")
        if not user:
            raise ValueError("the account has no user name; use pops://user@host or --user")
    if user != account.user and isinstance(account.password, PasswordKeyring):
        account = evolve(account, password=evolve(account.password, user=str(user)))
    account = evolve(account, user=user)
    given: PasswordCommand | PasswordEnv | None = options.password_command
    if given is None and not several and os.environ.get(VARIABLE):
        given = PasswordEnv(VARIABLE)
    if given is None:
        if isinstance(account.auth, OAuth2) or (account.password is not None and not options.oauth2):
            return account
        secret = account.password or _looked_for(account, "Token" if options.oauth2 else "Password")
    else:
        secret = given
    token = options.oauth2 or isinstance(account.auth, OAuth2)
    return evolve(account, password=None if token else secret, auth=OAuth2(secret) if token else account.auth)  # type: ignore[arg-type] # a token is looked for like a password


def _bounded(account: Account, timeout: float) -> Account:
    """Return the account with a password command, if it has one, that may take so many seconds."""
    if isinstance(account.password, PasswordCommand):
        account = evolve(account, password=evolve(account.password, timeout=timeout))
    if isinstance(account.auth, OAuth2) and isinstance(account.auth.token, PasswordCommand):
        account = evolve(account, auth=OAuth2(evolve(account.auth.token, timeout=timeout)))
    return account


def _looked_for(account: Account, what: str) -> Callable[[], str | bytes]:
    """Return a function that looks for a password where the user may keep it, and else asks for it, once."""

    @functools.cache
    def look() -> str | bytes:
        for place in (netrc_password, keyring_password):
            try:
                found = place(account.host, account.user)
            except ValueError as error:
                print(f"pymailbox: {error_text(error)}", file=sys.stderr)
            else:
                if found:
                    return found
        return ask(f"{what} of {account.user} at {account.host}: ", hidden=True)

    return look


def ask(prompt: str, *, hidden: bool = False, none: str = "") -> str:
    """Ask on the terminal, even if the output is redirected; ValueError, with the text `none`, without an answer."""
    import getpass
    import warnings

    problem = "no password was given" if hidden else "the account has no user name"
    try:
        if hidden:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)  # it cannot hide what is typed
                return getpass.getpass(safe_text(prompt))
        if sys.stdin is not None and sys.stdin.isatty():
            print(safe_text(prompt), end="", file=sys.stderr, flush=True)
            return input()
    except EOFError:
        print(file=sys.stderr)  # after the prompt
    except getpass.GetPassWarning:
        problem = "no terminal to ask for the password"
    if none:
        raise ValueError(none)
    if hidden:
        raise ValueError(
            f"{problem}; set {VARIABLE}, use --password-command, or say in the accounts file where the password is"
        )
    raise ValueError(f"{problem}; use pops://user@host or --user")


def seconds(value: str) -> float:
    """Read a number of seconds."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"invalid number of seconds: {value!r} (more than 0)")
    return number


def _words(value: str) -> PasswordCommand:
    import shlex

    try:
        return PasswordCommand(shlex.split(value))
    except ValueError as error:
        raise _misused(error) from None
    except TypeError:
        raise argparse.ArgumentTypeError("the command must not be empty") from None


def _authority(value: str) -> "ssl.SSLContext":
    from pymailbox.pop3 import tls

    try:
        return tls.private_ca(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value} contains no PEM certificate") from None
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{value}: {error.strerror}") from None


def _pin(value: str) -> "ssl.SSLContext":
    from pymailbox.pop3 import tls

    try:
        return tls.pinned(value)
    except ValueError as error:
        raise _misused(error) from None
