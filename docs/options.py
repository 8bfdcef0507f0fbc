"""Write the tables of options in `docs/cli.md` from the parsers of the command: `python -m docs.options`.

A table stands between `<!-- options: NAME -->` and `<!-- end -->`; NAME is a command, or `account` for the options that
all commands on an account have. A test compares the page with the parsers.
"""

import argparse
import re
from pathlib import Path

from pymailbox.cli import make_parser
from pymailbox.cli.account_options import add_account

__all__ = ["PAGE", "commands", "with_tables"]

PAGE = Path(__file__).with_name("cli.md")
_TABLE = re.compile(r"(?<=<!-- options: )([a-z-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """Return the page with every table as the parsers have it."""
    return _TABLE.sub(lambda found: f"{found[1]}{found[2]}{_table(found[1])}", page)


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    (found,) = (action for action in _actions(make_parser()) if isinstance(action.choices, dict))
    return dict(found.choices or {})


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [*parser._get_positional_actions(), *parser._get_optional_actions()]


def _table(name: str) -> str:
    account = argparse.ArgumentParser(add_help=False)
    add_account(account)
    if name == "account":
        rows = list(map(_row, _actions(account)))
    else:
        known = {action.dest for action in _actions(account)} | {"help"}
        own = (action for action in _actions(commands()[name]) if action.help != argparse.SUPPRESS)
        rows = [_row(action) for action in own if action.dest not in known]
    return "".join(["\n| argument | meaning |\n|---|---|\n", *rows, "\n"])


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    if action.nargs in ("+", "*") and not action.option_strings:
        value += "..."
    names = [f"`{f'{option} {value}'.rstrip()}`" for option in action.option_strings] or [f"`{value}`"]
    text = str(action.help).replace("|", "\\|").replace("%%", "%")
    return f"| {', '.join(names)} | {text}{'; required' if action.required and action.option_strings else ''} |\n"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
