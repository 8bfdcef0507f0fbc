"""The commands that wait for mail: watch, which runs a command for each mail, and wait, which prints one.

Nothing is deleted, and no session is open while a command runs or while nothing happens. A command gets a mail on its
standard input. What it gets in its environment is one line without control characters; no shell interprets anything.
"""

import argparse
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from pymailbox.cli.account_options import (
    VARIABLE,
    ChosenAccount,
    add_account,
    chosen_account,
    error_text,
    in_other_words,
    mailbox_options,
    seconds,
    wrong_usage,
)
from pymailbox.cli.choosing import file_name
from pymailbox.cli.exit_status import DONE, FAILED, LATER
from pymailbox.cli.interruption import Stop, held_back, stoppable
from pymailbox.cli.output_options import add_json, add_quiet, add_verbose, log_shown, print_json
from pymailbox.cli.parser import Parser
from pymailbox.display import local_time, safe_text, styled
from pymailbox.errors import DiskFull, MailboxError, NotSupported

if TYPE_CHECKING:
    import subprocess

    from pymailbox.watching import Arrival, Watch

__all__ = ["add_commands"]

_FIELDS = ("subject", "from", "date", "body", "text", "html", "links", "uid", "raw")

_FIRST_PAUSE = 60.0  # seconds before a command that failed is run again; doubled each time
_LONGEST_PAUSE = 3600.0
_TRIES = 10  # some five hours
_HELD_MESSAGES = 100  # mails that wait for another try, in memory: as many as one look may bring
_HELD_BYTES = 32 * 1024 * 1024
_FACT = 500  # characters of a value in the environment
#: Variables that a command does not inherit, as they may have the password.
_SECRET = {VARIABLE, "PYMAILBOX_URL"}


def add_commands(command: Callable[..., Parser]) -> None:
    """Add the commands; `command` adds one with its name, what runs it, and its help."""
    for added in (_watch_command(command), _wait_command(command)):
        add_verbose(added)


def _watch_command(command: Callable[..., Parser]) -> Parser:
    watch = command(
        "watch",
        _watch,
        "run a command for each mail that arrives",
        "It gets the mail on standard input, and has handled it if it exits with 0. Nothing is deleted on the server.",
    )
    add_account(watch)
    watch.add_command("the command, with its arguments; no shell interprets them")
    watch.add_argument(
        "--every", type=seconds, default=60.0, metavar="SECONDS", help="look every SECONDS (default: 60)"
    )
    watch.add_argument(
        "--state",
        type=file_name,
        metavar="FILE",
        help="remember in FILE what was handled, so that nothing is missed between two runs (default: for an account of"
        " the accounts file, NAME.watch in the user's state directory; for others none)",
    )
    add_json(watch)
    add_quiet(watch)
    watch.set_defaults(interrupted="with a state file, the next watch continues from here")
    return watch


def _wait_command(command: Callable[..., Parser]) -> Parser:
    wait = command(
        "wait", _wait, "wait for one mail, and print a part of it", "Mail that is already there does not count."
    )
    add_account(wait, silence=False)
    wait.add_command("run this command once the wait has begun, such as one that requests the mail")
    wait.add_argument("--subject", type=_regex, metavar="RE", help="wait for a subject in which RE is found")
    wait.add_argument(
        "--from",
        dest="sender",
        type=_regex,
        metavar="RE",
        help="wait for a sender, name or address, in which RE is found",
    )
    wait.add_argument(
        "--timeout", dest="within", type=seconds, metavar="SECONDS", help="give up after SECONDS (default: never)"
    )
    wait.add_argument("--every", type=seconds, default=10.0, metavar="SECONDS", help="look every SECONDS (default: 10)")
    part = wait.add_mutually_exclusive_group()
    part.add_argument(
        "--print",
        dest="field",
        choices=_FIELDS,
        default="body",
        metavar="FIELD",
        help=f"print this part of the mail: {', '.join(_FIELDS)} (default: body)",
    )
    part.add_argument(
        "--find",
        type=_regex,
        metavar="RE",
        help="wait for a body in which RE is found, and print what it finds: its first group, if it has one",
    )
    add_json(wait)
    return wait


def _regex(value: str) -> re.Pattern[str]:
    r"""Read a regular expression; it ignores case unless it has a capital, other than in `\S` or `(?P<name>`."""
    import warnings

    capital = any(map(str.isupper, re.sub(r"\\.|\(\?P", "", value, flags=re.DOTALL)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it will mean in a later Python
            return re.compile(value, 0 if capital else re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"invalid regular expression {value!r}: {error}") from None


@contextlib.contextmanager
def _warnings_shown() -> Iterator[None]:
    """Show in this block what the watch logs: what failed, and when it looks again."""
    import logging

    class Line(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            text = safe_text(in_other_words(record.getMessage()), limit=None)
            return f"{styled('pymailbox:', 'red', sys.stderr)} {text}"

    with log_shown("pymailbox.watching", logging.WARNING, Line()):
        yield


def _complain(text: str) -> None:
    print(f"{styled('pymailbox:', 'red', sys.stderr)} {text}", file=sys.stderr, flush=True)


def _check_command(words: Sequence[str]) -> None:
    import shutil

    if shutil.which(words[0]) is None:
        raise ValueError(f"the command {words[0]!r} cannot be found, or is not a program")


# --- watch ----------------------------------------------------------------------------------------------------


@define(eq=False)
class _Attempt:
    """A mail and the tries of its command."""

    mail: "Arrival"
    #: How often the command was run.
    tries: int = 0
    #: When it is to be run again.
    due: float = 0.0
    #: Whether the command has succeeded; that could not be remembered yet.
    succeeded: bool = False


@define(eq=False)
class _Attempts:
    """The mails of a watch, each until its command has succeeded or was tried often enough."""

    _watch: "Watch"
    _stop: Stop
    _failed: list[_Attempt] = field(factory=list, init=False)  # in memory, so there is a bound
    #: Whether a command is running.
    running: bool = field(default=False, init=False)

    def __iter__(self) -> Iterator[_Attempt]:
        while not self._stop.event.is_set():
            first = min(self._failed, key=lambda one: one.due, default=None)
            now = time.monotonic()
            if first is not None and first.due <= now:
                self._failed.remove(first)
                yield first
                continue
            try:
                mail = self._watch.wait(timeout=None if first is None else first.due - now)
            except MailboxError:
                if self._stop.event.is_set():
                    return
                raise
            except TimeoutError:
                continue
            yield _Attempt(mail)

    def end(self) -> None:
        """Stop the watch; a signal handler calls it, while any stream may be in use."""
        self._watch.stop()
        if self.running:
            with contextlib.suppress(OSError):  # it was closed
                os.write(sys.stderr.fileno(), b"pymailbox: waiting for the command to finish; Ctrl-C again ends it\n")

    def again(self, attempt: _Attempt) -> float | None:
        """Plan another try of a mail whose command has failed; return the seconds until then, None if there is none."""
        held = sum(one.mail.size for one in self._failed) + attempt.mail.size
        if attempt.tries >= _TRIES or len(self._failed) >= _HELD_MESSAGES or held > _HELD_BYTES:
            return None
        pause = min(_FIRST_PAUSE * 2.0 ** (attempt.tries - 1), _LONGEST_PAUSE)
        self._failed.append(evolve(attempt, due=time.monotonic() + pause))
        return pause


def _watch(options: argparse.Namespace) -> int:
    from pymailbox.watching import Watch

    if not options.words:
        wrong_usage(options, "watch needs a command to run for each mail: pymailbox watch ACCOUNT -- COMMAND")
    one = chosen_account(options)
    _check_command(options.words)
    state = options.state or _usual_state(one)
    with _warnings_shown(), stoppable() as stop:
        watch = Watch(one.account, options.every, state, **mailbox_options(options, read_only=True))
        with watch:
            attempts = _Attempts(watch, stop)
            stop.begun, stop.then = True, attempts.end
            for attempt in attempts:
                _handle(options, one, attempt, attempts, kept=state is not None)
        stop.check()
    return DONE


def _usual_state(one: ChosenAccount) -> Path | None:
    """Return the state file of an account of the accounts file; None for another account."""
    if one.name is None:
        return None
    try:
        from platformdirs import user_state_path
    except ImportError as error:
        raise NotSupported("the place of the state file needs the extra: pip install 'pymailbox[cli]'") from error
    return user_state_path("pymailbox", appauthor=False) / f"{one.name}.watch"


def _handle(
    options: argparse.Namespace, one: ChosenAccount, attempt: _Attempt, attempts: _Attempts, kept: bool
) -> None:
    """Run the command for a mail, and say what became of it."""
    mail, problem = attempt.mail, _try(options, one, attempt, attempts)
    date, sender, subject = local_time(mail.date), str(mail.from_ or ""), mail.subject
    if options.json:
        print_json({**_summary(mail), "done": not problem, "tries": attempt.tries})
    elif not problem and not options.quiet:
        print("  ".join(safe_text(text) for text in (date, sender, subject) if text))
    sys.stdout.flush()
    if problem:
        pause = attempts.again(attempt)
        then = "the next watch runs it again" if kept else "it is not tried again"
        if pause is not None:
            then = f"trying again in {pause:.0f} s"
        which = " ".join(safe_text(text, limit=100) for text in ("the mail", mail.uid or "", subject) if text)
        _complain(f"{one.label}: the command for {which} {problem}; {then}")


def _try(options: argparse.Namespace, one: ChosenAccount, attempt: _Attempt, attempts: _Attempts) -> str:
    """Run the command for a mail until it has succeeded, and remember that then; return how this failed, or ""."""
    if not attempt.succeeded:
        attempt.tries += 1
        attempts.running = True
        try:
            problem = _run(options.words, attempt.mail.raw, _facts(one, attempt.mail), apart=options.json)
        except OSError as error:
            problem = f"could not be run: {error_text(error)}"
        attempts.running = False
        if problem:
            return problem
        attempt.succeeded = True
    try:
        attempt.mail.done()
    except DiskFull:  # running the command once more would not help
        return "has succeeded, but the disk of the state file is full"
    return ""


def _summary(mail: "Arrival") -> dict[str, object]:
    from pymailbox.cli.message_list import address_values, time_value

    return {
        "uid": mail.uid,
        "size": mail.size,
        "date": time_value(mail.date),
        "from": next(iter(address_values(filter(None, [mail.from_]))), None),
        "to": address_values(mail.to),
        "subject": mail.subject,
        "message_id": mail.message_id,
    }


def _facts(one: ChosenAccount, mail: "Arrival") -> dict[str, str]:
    """Return what the command finds in its environment of a mail that anybody may have sent."""
    facts = {
        "ACCOUNT": one.label,
        "UID": mail.uid or "",
        "SIZE": str(mail.size),
        "SUBJECT": mail.subject,
        "FROM": mail.from_.email if mail.from_ else "",
    }
    return {f"PYMAILBOX_{name}": safe_text(value, controls="drop", limit=_FACT) for name, value in facts.items()}


def _run(words: Sequence[str], data: bytes, facts: dict[str, str], *, apart: bool) -> str:
    """Run a command to its end, with `data` on its standard input; return how it failed, or "".

    On POSIX it has a process group of its own, so Ctrl-C does not reach it, and what is being handled is finished. If
    this process has to end at once, the group is killed. `apart` sends what it prints to standard error.
    """
    import subprocess

    inherited = {name: value for name, value in os.environ.items() if name not in _SECRET}
    with contextlib.ExitStack() as ended:
        process = None
        try:
            with held_back():  # or it may be started, and nobody know it
                process = subprocess.Popen(  # noqa: S603 - what the user wants to run
                    words,
                    stdin=subprocess.PIPE,
                    stdout=_standard_error(subprocess.DEVNULL) if apart else None,
                    env={**inherited, **{name: os.fsdecode(fact.encode()) for name, fact in facts.items()}},  # UTF-8
                    process_group=None if sys.platform == "win32" else 0,
                )
                ended.enter_context(process)
            process.communicate(data)
        except BaseException:
            if process is not None:
                _kill(process)
            raise
    if process.returncode < 0:
        return f"was ended by signal {-process.returncode}"
    return f"failed with exit status {process.returncode}" if process.returncode else ""


def _standard_error(nowhere: int) -> int:
    try:
        return sys.stderr.fileno()
    except OSError:  # the caller closed it
        return nowhere


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if sys.platform == "win32":
        process.kill()
    elif process.returncode is None:  # otherwise its number may be that of another process
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()  # after Ctrl-C, Popen does not


# --- wait -----------------------------------------------------------------------------------------------------


def _wait(options: argparse.Namespace) -> int:
    from pymailbox.watching import Watch

    if options.json and options.field != "body":
        wrong_usage(options, "argument --json: not allowed with argument --print")
    one = chosen_account(options)
    if options.words:
        _check_command(options.words)
    with (
        _warnings_shown(),
        Watch(one.account, options.every, **mailbox_options(options, read_only=True)) as watch,
    ):
        if options.words and (problem := _run(options.words, b"", {}, apart=True)):
            _complain(f"the command {safe_text(options.words[0])} {problem}")
            return FAILED
        try:
            mail = watch.wait(lambda mail: _matches(options, mail), timeout=options.within)
        except TimeoutError as error:
            if isinstance(error, MailboxError):  # of a look
                raise
            _complain(error_text(error))
            return LATER
    _print(options, mail)
    return DONE


def _matches(options: argparse.Namespace, mail: "Arrival") -> bool:
    return (
        (options.subject is None or options.subject.search(mail.subject) is not None)
        and (options.sender is None or options.sender.search(str(mail.from_ or "")) is not None)
        and (options.find is None or options.find.search(mail.body) is not None)
    )


def _found(options: argparse.Namespace, mail: "Arrival") -> str:
    found = options.find.search(mail.body)
    return str(found[1] or "") if options.find.groups else str(found[0])


def _print(options: argparse.Namespace, mail: "Arrival") -> None:
    if options.json:
        found = {"found": _found(options, mail)} if options.find else {}
        print_json({**_summary(mail), "body": mail.body, "links": list(mail.links), **found})
    elif options.find:
        print(safe_text(_found(options, mail), multiline=True, limit=None))
    elif options.field == "raw":
        sys.stdout.flush()
        sys.stdout.buffer.write(mail.raw)
        sys.stdout.buffer.flush()
    elif text := _text_of(options.field, mail):
        multiline = options.field in ("body", "text", "html", "links")
        print(safe_text(text, multiline=multiline, limit=None).rstrip("\n"))


def _text_of(name: str, mail: "Arrival") -> str:
    """Return a part of a mail; "" if it has none."""
    if name == "links":
        return "\n".join(mail.links)
    if name == "date":
        return mail.date.isoformat() if mail.date else ""
    value = mail.from_ if name == "from" else getattr(mail, name)
    return "" if value is None else str(value)
