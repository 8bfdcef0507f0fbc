"""Parser: the parser of the command and of each of its commands; Formatter: how their help is laid out."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from pymailbox.cli.account_options import without_password
from pymailbox.display import columns, styled

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

__all__ = ["Formatter", "Parser"]


class Formatter(argparse.HelpFormatter):
    """A formatter that leaves room for the longest command: argparse forgets that commands are indented."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns(sys.stdout) - 2)  # argparse would import shutil to know it

    def add_argument(self, action: argparse.Action) -> None:
        """Add an argument to the help."""
        super().add_argument(action)
        if isinstance(action.choices, dict):
            self._action_max_length += 2


class Parser(argparse.ArgumentParser):
    """A parser that takes options and arguments in any order, and shows no passwords or control characters.

    After `--` come the words of a command to run, if it takes one; they are left as they are, in `options.words`.
    """

    _runs = False
    _inside = False

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=Formatter, **options)

    def add_command(self, help: str) -> None:
        """Take a command to run, with its arguments, after `--`."""
        self.add_argument("words", nargs="*", metavar="-- COMMAND", help=help)
        self._runs = True

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        """Print the help or the version; argparse itself ignores a full disk."""
        if file is not None and file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong in one line, and exit with 2."""
        problem = f"{without_password(message)}; `{self.prog} --help` shows the usage"
        self.exit(2, f"{styled('pymailbox:', 'red', sys.stderr)} {problem}\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; by itself argparse takes `show NAME --raw 7` for a message called NAME, as NAME can be left out."""
        whole = any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in self._actions)
        if whole or self._inside:
            return super().parse_known_args(args, namespace)
        words: list[str] = []
        if self._runs and "--" in args:
            at = args.index("--")
            args, words = args[:at], args[at + 1 :]
        self._inside = True  # the method below calls this one
        try:
            options, rest = self.parse_known_intermixed_args(args, namespace)
        except AttributeError as error:  # of argparse, when it tidies up after an interrupt
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise
        finally:
            self._inside = False
        if self._runs:
            if options.words:
                self.error(f"unexpected argument: {options.words[0]!r}; write -- before the command to run")
            options.words = words
        return options, rest

    def actions(self) -> Iterator[argparse.Action]:
        """Yield the options and arguments of this parser and of those inside it."""
        for action in self._actions:
            yield action
            for inner in action.choices.values() if isinstance(action.choices, dict) else ():
                if isinstance(inner, Parser):
                    yield from inner.actions()
