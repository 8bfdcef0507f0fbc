"""The options that say which account a command works on, and how errors are told to whoever gave them."""

import argparse
import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve

from pymailbox.account import Account, OAuth2
from pymailbox.display import safe_text
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.passwords import PasswordCommand, PasswordEnv

if TYPE_CHECKING:
    import ssl

__all__ = ["VARIABLE", "account_of", "add_account", "in_other_words", "mailbox_options", "told", "without_password"]

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
)


def told(error: Exception) -> str:
    """Return what to print of an error, in the words of the command line."""
    return in_other_words(without_password(str(error)))


def without_password(text: str) -> str:
    """Return a text safe to print, and without the password of a URL."""
    return safe_text(_SECRET_IN_URL.sub(r"\1:***@", text))


def in_other_words(text: str) -> str:
    """Replace the Python arguments in a text by the options that stand for them."""
    for python, here in _IN_OTHER_WORDS:
        text = text.replace(python, here)
    return text


def add_account(parser: argparse.ArgumentParser) -> None:
    """Add the options of an account to a command."""
    parser.add_argument(
        "url", metavar="URL", type=_url, help="the account, as pops://user@host (or pop+starttls://, pop://)"
    )
    parser.add_argument("--user", help="log in as USER, if the URL has no user name")
    parser.add_argument(
        "--password-command",
        metavar="COMMAND",
        type=_words,
        help=f"run COMMAND to get the password from its first line of output (default: ${VARIABLE}, or else a prompt)",
    )
    parser.add_argument("--oauth2", action="store_true", help="use the password as an OAuth2 access token")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca", type=_authority, metavar="FILE", help="trust the private certificate authority in FILE (PEM)"
    )
    trust.add_argument("--pin", type=_pin, metavar="SHA256", help="trust only the certificate with this fingerprint")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="give up after SECONDS of silence (default: 60)",
    )
    parser.add_argument(
        "--allow-plaintext", action="store_true", help="allow sending the password unencrypted to another machine"
    )


def _misused(error: Exception) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(told(error))


def _url(value: str) -> Account:
    if _SECRET_IN_URL.search(value):
        raise argparse.ArgumentTypeError(
            f"a password on the command line can be read by others; set {VARIABLE} or use --password-command"
        )
    try:
        return Account.from_url(value, refuse_password=True)
    except (ValueError, TypeError) as error:
        raise _misused(error) from None


def account_of(options: argparse.Namespace) -> Account:
    """Return the account that the options name, with how to get its password."""
    account: Account = options.url
    user = options.user or account.user or _asked("User: ")
    secret = _password(options, f"{'Token' if options.oauth2 else 'Password'} of {user} at {account.host}: ")
    return evolve(
        account,
        user=user,
        password=None if options.oauth2 else secret,
        auth=OAuth2(secret) if options.oauth2 else account.auth,
    )


def mailbox_options(options: argparse.Namespace, *, read_only: bool = False) -> MailboxOptions:
    """Return the options of a mailbox that were given."""
    return {
        "ssl_context": options.ca or options.pin,
        "timeout": options.timeout,
        "allow_plaintext": options.allow_plaintext,
        "read_only": read_only,
    }


def _password(options: argparse.Namespace, prompt: str) -> PasswordCommand | PasswordEnv | Callable[[], str]:
    if options.password_command is not None:
        command: PasswordCommand = options.password_command
        return command
    return PasswordEnv(VARIABLE) if os.environ.get(VARIABLE) else lambda: _asked(prompt, hidden=True)


def _asked(prompt: str, *, hidden: bool = False) -> str:
    """Ask on the terminal, even if the output is redirected; ValueError if there is no terminal."""
    import getpass
    import warnings

    try:
        if hidden:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)  # it cannot hide what is typed
                return getpass.getpass(safe_text(prompt))
        print(safe_text(prompt), end="", file=sys.stderr, flush=True)
        return input()
    except (EOFError, getpass.GetPassWarning):
        print(file=sys.stderr)
    if hidden:
        raise ValueError(f"no terminal to ask for the password; set {VARIABLE} or use --password-command")
    raise ValueError("the URL has no user name; use pops://user@host or --user")


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"invalid number of seconds: {value!r} (more than 0)")
    return seconds


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
