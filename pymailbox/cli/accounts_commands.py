"""The commands of the accounts file: accounts, accounts add and completion.

`accounts` reads archives without a lock and connects nowhere. `accounts add` asks on the terminal and appends one
account to the file; what the file has stays as it is, byte for byte.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from pymailbox.cli.account_options import (
    accounts_file,
    add_config,
    ask,
    error_text,
    in_other_words,
    without_password,
    wrong_usage,
)
from pymailbox.cli.output_options import add_json, print_json
from pymailbox.display import local_time, safe_text, styled, window

if TYPE_CHECKING:
    from datetime import datetime

    from pymailbox.accounts_file import AccountEntry, AccountsFile
    from pymailbox.archive import FailedRun, LastRun

__all__ = ["add_commands", "not_before"]

_SHELLS = ("bash", "zsh", "fish")
#: Prints the names of the accounts for the completion of a shell, which must not show errors.
_NAMES = "pymailbox accounts --names 2>/dev/null"


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands; `command` adds one with its name, what runs it, and its help."""
    accounts = command("accounts", _accounts, "list the accounts of the accounts file, or add one")
    accounts.add_argument(
        "action", nargs="?", choices=["add"], help="ask for an account, and write it into the accounts file"
    )
    add_json(accounts)
    accounts.add_argument("--names", action="store_true", help=argparse.SUPPRESS)
    add_config(accounts)
    accounts.set_defaults(wrong_usage=accounts.error)

    completion = command("completion", _completion, "print the script that completes commands in a shell")
    completion.add_argument("shell", choices=_SHELLS, help="the shell")
    completion.epilog = (
        'bash: put `eval "$(pymailbox completion bash)"` into ~/.bashrc; zsh: pymailbox completion zsh >'
        " DIR/_pymailbox, with a DIR of $fpath; fish: pymailbox completion fish >"
        " ~/.config/fish/completions/pymailbox.fish"
    )


# --- accounts -------------------------------------------------------------------------------------------------


def _accounts(options: argparse.Namespace) -> int:
    if options.action == "add":
        return _add(options)
    if options.names:
        from pymailbox.accounts_file import names_in

        print("".join(f"{name}\n" for name in names_in(options.config)), end="")
        return 0
    file = accounts_file(options)
    if not file.accounts and not options.json:
        print(f"no accounts in {safe_text(str(file.path))}; add one with `pymailbox accounts add`")
    width = max(map(len, file.accounts), default=0)
    for entry in file.accounts.values():
        _print_json(entry) if options.json else _print_entry(entry, width)
    return 0


@frozen
class _State:
    """What is known of the archive of an account."""

    #: None if there is no archive yet, or it cannot be read.
    messages: int | None = None
    last: "LastRun | None" = None
    failure: "FailedRun | None" = None
    next_try: "datetime | None" = None
    problem: str = ""


def _state_of(entry: "AccountEntry") -> _State:
    from pymailbox.archive import Archive
    from pymailbox.errors import MailboxError

    if entry.archive is None or not (entry.archive / "new").is_dir():
        return _State()
    account = entry.account
    with Archive(entry.archive) as archive:
        tried = archive.last_failure(account), archive.next_try(account)
        try:
            return _State(len(archive), archive.last_run(account), *tried)
        except (MailboxError, OSError) as error:
            return _State(None, None, *tried, error_text(error))


def _print_json(entry: "AccountEntry") -> None:
    from pymailbox.cli.message_list import time_value

    state = _state_of(entry)
    shown = {
        "name": entry.name,
        "url": entry.account.url,
        "archive": None if entry.archive is None else str(entry.archive),
        "messages": state.messages,
        "last_run": state.last and {"ended": state.last.ended.isoformat(), "failed": state.last.failed},
        "last_failure": state.failure and {"at": state.failure.at.isoformat(), "problem": _failure(state.failure)},
        "next_try": time_value(state.next_try),
        "problem": state.problem or None,
    }
    print_json(shown)


def _print_entry(entry: "AccountEntry", width: int) -> None:
    state = _state_of(entry)
    print(f"{entry.name:{width}}  {safe_text(entry.account.url, limit=None)}")
    if entry.archive is None:
        first = "no archive"
    elif state.problem:
        first = state.problem
    elif state.messages is None:
        first = f"{entry.archive}: not archived yet"
    else:
        last = f"last run {local_time(state.last.ended)}: {state.last}" if state.last else "no run has come to its end"
        first = f"{entry.archive}: {state.messages:,} {'message' if state.messages == 1 else 'messages'}; {last}"
    lines = [(first, "red" if state.problem else "")]
    if state.failure is not None:
        lines.append((f"failed {local_time(state.failure.at)}: {_failure(state.failure)}", "red"))
    if state.next_try is not None:
        from datetime import UTC, datetime

        lines.append((f"next run not before {not_before(state.next_try, datetime.now(UTC))}", ""))
    for line, style in lines:
        for piece in _fitting(safe_text(line, limit=None), width + 2):
            print(f"{'':{width}}  {styled(piece, style) if style else piece}")


def _fitting(line: str, indent: int) -> list[str]:
    """Return a line in pieces that fit into the terminal, with that indent; elsewhere nothing is broken."""
    if not sys.stdout.isatty():
        return [line]
    import textwrap

    room = max((window() or 80) - indent, 20)
    return textwrap.wrap(line, room, break_long_words=False, break_on_hyphens=False) or [line]


def _failure(failure: "FailedRun") -> str:
    return in_other_words(without_password(failure.problem))


def not_before(moment: "datetime", now: "datetime") -> str:
    """Return the first whole minute that is not before a time, without the date if that is today's."""
    from datetime import timedelta

    date, _, clock = local_time(moment + timedelta(seconds=59)).partition(" ")
    return clock if date == local_time(now).partition(" ")[0] else f"{date} {clock}"


# --- accounts add ---------------------------------------------------------------------------------------------


def _add(options: argparse.Namespace) -> int:
    from pymailbox.accounts_file import AccountsFile

    if options.json or options.names:
        wrong_usage(options, "--json is not for accounts add")
    if sys.stdin is None or not sys.stdin.isatty():
        wrong_usage(options, "accounts add asks questions, so it needs a terminal; or write the accounts file yourself")
    file = accounts_file(options)
    print(f"This adds an account to {safe_text(str(file.path))}; Ctrl-C ends it, and nothing is written.")
    name = _answer("Name of the account, such as me or work: ", lambda word: _checked_name(file, word))
    table = _asked_table(file, name)
    text = f"[account.{name}]\n" + "".join(f"{key} = {value}\n" for key, value in table)
    entry = AccountsFile.parse(text, file.path).entry(name)
    if _yes("Log in now, to see whether it works?") and not _logs_in(entry) and not _yes("Write it anyway?", no=True):
        print("nothing was written")
        return 1
    path = _append(file.path, name, text)
    print(f"written to {safe_text(str(path))}; try: pymailbox ls {name}")
    return 0


def _checked_name(file: "AccountsFile", word: str) -> str:
    from pymailbox.accounts_file import is_name

    if not is_name(word):
        raise ValueError("a name has letters, digits, - and _ only")
    if word in file.accounts:
        raise ValueError(f"the account {word!r} exists already; choose another name")
    return word


def _asked_table(file: "AccountsFile", name: str) -> list[tuple[str, str]]:
    """Ask for an account; return its keys and their values in TOML."""
    import shlex

    from pymailbox.account import Account

    user = _answer("User name, often the whole address: ", _checked_text)
    url = _answer("POP3 server, such as pop.example.com: ", _checked_server)
    host = Account.from_url(url).host
    print("The file never has a password in it. Where is it to be found?")
    places = [
        ("a command prints it, such as: pass show mail/me", "command"),
        (f"in the keyring of this system (to store it: keyring set {host} {shlex.quote(user)})", "keyring"),
        ("in an environment variable", "env"),
        ("in a file of its own", "file"),
        ("in ~/.netrc", "netrc"),
        ("nowhere: ask each time", ""),
    ]
    for number, (what, _) in enumerate(places, 1):
        print(f"  {number}  {safe_text(what)}")
    kind = places[int(_answer("Number: ", lambda word: _checked_number(word, len(places)))) - 1][1]
    table = [("url", _toml(url)), ("user", _toml(user))]
    if kind in ("keyring", "netrc"):
        table.append(("password", f"{{ {kind} = true }}"))
    elif kind:
        prompt = {"command": "Command: ", "env": "Variable: ", "file": "File: "}[kind]
        value = _answer(prompt, lambda word: _checked_value(kind, word))
        table.append(("password", f"{{ {kind} = {value} }}"))
    usual = (file.default_archive or "~/mail/{name}").replace("{name}", name)
    archive = _answer(f"Archive directory [{usual}]: ", lambda word: _checked_value("archive", word), usual)
    if archive != _toml(usual) or file.default_archive is None:
        table.append(("archive", archive))
    return table


def _answer(prompt: str, check: Callable[[str], str], default: str = "") -> str:
    """Ask until the answer is valid; what is wrong is said."""
    while True:
        try:
            given = ask(prompt, none="nothing was written").strip() or default
        except UnicodeDecodeError:
            print("the answer is not valid text; try again", file=sys.stderr)
            continue
        try:
            return check(given)
        except ValueError as error:
            print(error_text(error), file=sys.stderr)


def _yes(question: str, *, no: bool = False) -> bool:
    def check(word: str) -> str:
        if word.lower() not in ("y", "yes", "n", "no"):
            raise ValueError("answer y or n")
        return word.lower()

    return _answer(f"{question} {'[y/N]' if no else '[Y/n]'} ", check, "n" if no else "y").startswith("y")


def _checked_text(word: str) -> str:
    if not word or not word.isprintable():
        raise ValueError("expected some text, without control characters")
    return word


def _checked_number(word: str, most: int) -> str:
    if not (word.isascii() and word.isdigit() and len(word) < 3 and 1 <= int(word) <= most):
        raise ValueError(f"expected a number from 1 to {most}")
    return word


def _checked_server(word: str) -> str:
    from pymailbox.account import Account

    account = Account.from_url(_checked_text(word) if "://" in word else f"pops://{word}", refuse_password=True)
    if account.user is not None:
        raise ValueError("expected the server without a user name")
    return word if "://" in word else account.url


#: What is expected of the answers that end up as values of these keys.
_EXPECTED = {
    "command": "a program and its arguments, quoted as in a shell",
    "env": "the name of an environment variable",
    "file": "an absolute path, or one that begins with ~/",
    "archive": "an absolute path, or one that begins with ~/",
}


def _checked_value(key: str, word: str) -> str:
    """Return the value of a key of an account, or of its password, in TOML."""
    import shlex

    from pymailbox.accounts_file import AccountsFile

    _checked_text(word)
    try:
        value = f"[{', '.join(map(_toml, shlex.split(word)))}]" if key == "command" else _toml(word)
        table = f"archive = {value}" if key == "archive" else f"password = {{ {key} = {value} }}"
        AccountsFile.parse(f'account.me = {{ url = "pops://me@localhost", {table} }}')
    except ValueError:
        raise ValueError(f"expected {_EXPECTED[key]}") from None
    return value


def _toml(text: str) -> str:
    """Return printable text as a TOML string, which JSON's is if nothing but quotes and backslashes is escaped."""
    import json

    return json.dumps(text, ensure_ascii=False)


def _logs_in(entry: "AccountEntry") -> bool:
    """Log in once, and say what came of it."""
    from pymailbox.cli.account_options import with_password
    from pymailbox.display import format_size
    from pymailbox.errors import MailboxError
    from pymailbox.mailbox.mailbox import Mailbox

    try:
        with Mailbox.from_account(with_password(entry.account), read_only=True, **entry.options()) as inbox:
            print(f"it works: {len(inbox):,} {'message' if len(inbox) == 1 else 'messages'}, {format_size(inbox.size)}")
    except (MailboxError, ValueError, OSError) as error:
        print(f"pymailbox: {error_text(error)}", file=sys.stderr)
        return False
    return True


def _append(path: Path, name: str, text: str) -> Path:
    """Write the file with an account more, whole or not at all; return where it is."""
    from pymailbox.accounts_file import AccountsFile, read_file
    from pymailbox.content.saving import SavedFile

    path = path.resolve()  # a link stays one, even if its target does not exist yet
    before = read_file(path) or b""
    file = AccountsFile.parse(before, path)
    _checked_name(file, name)
    gap = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
    after = before + gap + text.encode()
    try:
        names = list(AccountsFile.parse(after, path).accounts)
    except ValueError:  # such as accounts that are written as one inline table
        names = []
    if names != [*file.accounts, name]:
        raise ValueError(f"nothing was written: [account.{name}] cannot follow what is in {path}; add it by hand")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with SavedFile(path, overwrite=True) as saved:  # with the mode 0600
        saved.write(after)
        return saved.publish()


# --- completion -----------------------------------------------------------------------------------------------


def _completion(options: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError as error:
        from pymailbox.errors import NotSupported

        raise NotSupported("completion needs the library shtab: pip install 'pymailbox[cli]'") from error
    names = shtab.cmd(_NAMES)
    kinds = {
        "ACCOUNT": names,
        "NAME_OR_DIR": _NAMES_AND_DIRECTORIES,
        "FILE": shtab.FILE,
        "PATH": shtab.FILE,
        "WHERE": shtab.FILE,
        "DIR": shtab.DIRECTORY,
    }
    for action in options.parser.actions():
        if action.metavar in kinds:
            action.complete = kinds[action.metavar]
    script = shtab.complete(options.parser, options.shell)
    if options.shell == "zsh":  # shtab 1.13 has only the first of several arguments completed there
        script = script.replace('"(*)::', '"*:').replace('"(*):', '"*:')
    print(script)
    return 0


#: What shtab lacks: the names of accounts together with directories, in the form of `shtab.cmd`.
_NAMES_AND_DIRECTORIES = {
    "bash": "_pymailbox_archives",
    "zsh": "_pymailbox_archives",
    "fish": f"({_NAMES}) (__fish_complete_directories)",
    "preamble": {
        "bash": f"""
_pymailbox_archives() {{
  compgen -W "$({_NAMES})" -- $1
  _shtab_compgen_dirs $1
}}""",
        "zsh": f"""
_pymailbox_archives() {{
  local -a names=($({_NAMES}))
  _alternative "accounts:account:($names)" "directories:directory:_files -/"
}}""",
    },
}
