"""collect_all: an archive of each account, over any executor. What is here runs in the caller's thread."""

import math
import os
import queue
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from hashlib import sha256
from pathlib import Path
from typing import Unpack
from uuid import uuid4

from attrs import define, field, frozen

from pymailbox.account import Account, account_name, check_pickles
from pymailbox.archive import Archive, Collected, Keep
from pymailbox.archive.collecting import check_collect
from pymailbox.display import safe_text
from pymailbox.errors import AuthenticationError, MailboxError
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.many.arguments import check_number, checked_accounts, default_context, needs_context
from pymailbox.many.schedule import Schedule, Task
from pymailbox.many.worker import collect, collect_elsewhere, is_pickling
from pymailbox.progress import INTERVAL, Meter, Progress

__all__ = ["Outcome", "collect_all"]

_THREADS = 32  # docs/many-accounts.md has the arithmetic
_SUBMITTED = 4096  # to an executor of the caller at most: more than it has workers, and few enough to keep in memory
_TRIES = 3
_BACK_OFF = 15.0  # seconds before the second try if the error names none; four times that before the third
_LONGEST_PAUSE = 3600.0  # seconds; an account that must wait longer gets its outcome instead
_LOOK = 1.0  # seconds: a wait without a timeout could not be interrupted on Windows

_clock = time.monotonic


@frozen
class Outcome:
    """What `collect_all` did for one account: the result of `Archive.collect`, or the error of its last try.

    It prints as one line, without a password.

    >>> from pymailbox import Account, Outcome
    >>> print(Outcome(Account("pop.example.com", "me@example.com"), error=TimeoutError("no reply for 60 s")))
    me@example.com@pop.example.com: TimeoutError: no reply for 60 s
    """

    #: The account.
    account: Account
    #: What was done; None if there was an error. After a second try it does not count what the first one archived.
    result: Collected | None = None
    #: What was raised by the last try; None on success. What was archived before is safe.
    error: BaseException | None = field(default=None, eq=False)

    def __str__(self) -> str:
        said = f"{self.result}"
        if self.error is not None:
            said = f"{type(self.error).__name__}: {safe_text(str(self.error), limit=None)}"
        return f"{safe_text(account_name(self.account))}: {said}"


def collect_all(
    accounts: Iterable[Account],
    root: str | os.PathLike[str],
    *,
    executor: futures.Executor | None = None,
    per_host: int = 4,
    keep: Keep = Keep.everything(),  # noqa: B008 - a frozen value
    progress: Callable[[Progress], None] | None = None,
    **options: Unpack[MailboxOptions],
) -> Iterator[Outcome]:
    """Archive many accounts at once, each in a directory of its own in `root`, and yield an `Outcome` as each ends.

    The directory is named after user and host, such as `me@pop.example.com`: characters other than lower-case ASCII
    letters, digits and `@ . _ + -` are percent-encoded. The port does not count: two accounts of one user at one host
    are the same, which is ValueError. At most `per_host` sessions of a host are open at once, whatever its ports.

    `executor` runs the work: by default 32 threads of its own; otherwise a `ThreadPoolExecutor`, a
    `ProcessPoolExecutor`, the `client.get_executor()` of Dask, or any other, which is never shut down. Executors other
    than threads get the accounts pickled, and a pickle has references to secrets but no secrets: an account with a
    literal password has a ValueError as its outcome, and `ssl_context` is ValueError at once.

    After an error that may pass (`retryable`, or with a `retry_after` of up to an hour), the account is tried again
    after that time, or after about 15 and 60 seconds, three times in all, while others go on. Wrong
    passwords are tried once. The error of one account never affects the others and is not raised.

    Accounts are begun while you ask for the next outcome, none before the first. Leaving early (`close()`, or an
    exception) cancels what has not begun; threads end their runs soon and are waited for, other workers complete
    theirs. `keep` and `options` are those of `Archive.collect`. `progress` is called in your thread for all accounts
    together: in threads as messages arrive, otherwise as accounts end; the totals are None until they are known of
    every account.

    Raises TypeError or ValueError for invalid arguments before anything is connected, after reading all `accounts`.

    >>> import tempfile
    >>> from pymailbox import Account, collect_all
    >>> from pymailbox.testing import Server
    >>> with (
    ...     tempfile.TemporaryDirectory() as root,
    ...     Server([b"Subject: one\\r\\n\\r\\n1\\r\\n"], users={"ann": "1", "bob": "2"}) as server,
    ... ):
    ...     accounts = [Account(server.host, name, "1", security="none", port=server.port) for name in ("ann", "bob")]
    ...     for outcome in sorted(collect_all(accounts, root), key=str):
    ...         print(outcome)
    ann@127.0.0.1: 1 new, 19 B; 0 known; nothing deleted
    bob@127.0.0.1: AuthenticationError: the credentials were refused; check the user name and password ...
    """
    if executor is not None and not isinstance(executor, futures.Executor):
        raise TypeError(
            "executor must be a concurrent.futures.Executor, such as ProcessPoolExecutor() or Dask's"
            f" client.get_executor(), not {type(executor).__name__}"
        )
    check_number("per_host", per_host)
    Meter.check(progress)
    directory = Archive(root).path  # which checks it, and makes it absolute: workers may have another directory
    pickled = executor is not None and is_pickling(executor)
    _check_options(options, pickled=pickled)
    names: set[str] = set()

    def check(account: Account) -> None:
        check_collect(account, keep, options)
        name = account_name(account)
        if name in names:
            raise ValueError(
                f"there are two accounts for {safe_text(name)!r}; user and host say which archive is an account's, so"
                " remove one"
            )
        names.add(name)

    wanted = checked_accounts(accounts, check)
    schedule = Schedule(per_host)
    for account in wanted:
        schedule.add(Task(account, account_name(account)))
    if not pickled and needs_context(wanted, options):
        options["ssl_context"] = default_context()
    return _Run(directory, executor, pickled, schedule, keep, options, progress).outcomes()


def _check_options(options: MailboxOptions, *, pickled: bool) -> None:
    """Raise ValueError for an option that cannot be used for many accounts, or cannot be pickled."""
    if options.get("sock") is not None:
        raise ValueError("sock serves one session, so it cannot be used for many accounts")
    if not pickled:
        return
    if options.get("ssl_context") is not None:
        raise ValueError(
            "ssl_context cannot be sent to another process; set SSL_CERT_FILE to the authority's PEM file in the"
            " environment of the workers, or pass a ThreadPoolExecutor"
        )
    if options.get("auth") is not None:
        check_pickles(Account("localhost", "nobody", auth=options["auth"]))


#: What a worker will return; other errors are raised.
_Future = futures.Future[Collected | MailboxError]


@define(eq=False)
class _Run:
    """One `collect_all`, in the caller's thread."""

    root: Path
    executor: futures.Executor | None
    #: Whether the executor gets everything pickled.
    pickled: bool
    schedule: Schedule
    keep: Keep
    options: MailboxOptions
    progress: Callable[[Progress], None] | None
    #: Names this run to its workers.
    _name: str = field(factory=lambda: uuid4().hex, init=False)
    _stop: threading.Event = field(factory=threading.Event, init=False)
    _running: dict[_Future, Task] = field(factory=dict, init=False)
    _ended: queue.SimpleQueue[_Future] = field(factory=queue.SimpleQueue, init=False)
    #: The error of an executor that can run nothing more.
    _broken: BaseException | None = field(default=None, init=False)
    # Progress: what arrived for accounts that are not running, the last report, and when another may be made.
    _arrived: tuple[int, int] = field(default=(0, 0), init=False)
    _reported: Progress | None = field(default=None, init=False)
    _report_at: float = field(default=0.0, init=False)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcome of each account as it ends."""
        own, most = None, _SUBMITTED
        if (executor := self.executor) is None:
            # A slow host must not be able to take all threads.
            most = min(max(_THREADS, 2 * self.schedule.per_host), max(self.schedule.left, 1))
            executor = own = futures.ThreadPoolExecutor(most, thread_name_prefix="collect_all")
        try:
            while self.schedule.left:
                while len(self._running) < most and (task := self._next()) is not None:
                    refused = self._start(task, executor)
                    if refused is not None:
                        ended = self._outcome(task, error=refused)
                        self._report()
                        yield ended
                future = self._wait()
                outcome = None if future is None else self._end(future)
                self._report()
                if outcome is not None:
                    yield outcome
        finally:
            self._stop.set()
            begun = [future for future in self._running if not future.cancel()]
            if own is not None:
                own.shutdown()
            elif not self.pickled:
                futures.wait(begun)

    def _next(self) -> Task | None:
        return self.schedule.next(_clock() if self._broken is None else math.inf)

    def _start(self, task: Task, executor: futures.Executor) -> BaseException | None:
        """Submit the work for an account; return why that is impossible."""
        if self._broken is not None:
            return self._broken
        path = self.root / _directory_name(task.name)
        try:
            if self.pickled:
                check_pickles(task.account)
                # The name is also what tells this try from others: Dask looks up the result of a call that it knows.
                name = (self._name, task.tries)
                future: _Future = executor.submit(collect_elsewhere, path, task.account, self.keep, self.options, name)
            else:
                progress = None if self.progress is None else task.note
                future = executor.submit(
                    collect, path, task.account, self.keep, self.options, stop=self._stop, progress=progress
                )
        except Exception as error:
            if isinstance(error, RuntimeError):  # also BrokenExecutor: it is broken, or has been shut down
                self._broken = error
            return error
        self._running[future] = task
        future.add_done_callback(self._ended.put)
        return None

    def _wait(self) -> _Future | None:
        """Wait until a worker has ended, or until there is something else to do."""
        if not self._running and self.schedule.due is None:
            return None
        longest = _LOOK
        if self.schedule.due is not None:
            longest = min(longest, max(self.schedule.due - _clock(), 0))
        if self.progress is not None and not self.pickled:
            longest = min(longest, INTERVAL)
        try:
            return self._ended.get(timeout=longest)
        except queue.Empty:
            return None

    def _end(self, future: _Future) -> Outcome | None:
        """Return the outcome of an account whose worker has ended; None if it is to be tried again."""
        task = self._running.pop(future)
        try:
            error = future.exception()
        except futures.CancelledError as cancelled:
            error = cancelled
        if error is None:
            result = future.result()
            if isinstance(result, Collected):
                return self._outcome(task, result)
            error = result
        if isinstance(error, futures.BrokenExecutor):
            self._broken = error
        pause = None if self._broken is not None or task.tries == _TRIES else _pause_after(error, task.tries)
        if pause is None:
            return self._outcome(task, error=error)
        self._count(task.arrived)
        task.seen, task.before = None, (0, 0)
        self.schedule.end(task, again_at=_clock() + pause)
        return None

    def _outcome(self, task: Task, result: Collected | None = None, error: BaseException | None = None) -> Outcome:
        self.schedule.end(task)
        size, messages = task.arrived
        if result is not None:
            size, messages = max(size, result.bytes), max(messages, result.new)
        self._count((size, messages))
        return Outcome(task.account, result, error)

    # --- progress -----------------------------------------------------------------------------------------

    def _count(self, arrived: tuple[int, int]) -> None:
        self._arrived = self._arrived[0] + arrived[0], self._arrived[1] + arrived[1]

    def _report(self) -> None:
        """Call `progress` if that is due; always when the last account has ended."""
        if self.progress is None or (self.schedule.left and _clock() < self._report_at):
            return
        running = self._running.values()
        unknown = [None] if len(running) < self.schedule.left else []  # of accounts that have not begun
        size, messages = self._arrived
        found = Progress(
            size + sum(task.arrived[0] for task in running),
            _total(size, [*unknown, *(task.expected[0] for task in running)]),
            messages + sum(task.arrived[1] for task in running),
            _total(messages, [*unknown, *(task.expected[1] for task in running)]),
        )
        if found != self._reported:
            self._reported, self._report_at = found, _clock() + INTERVAL
            self.progress(found)


def _total(ended: int, expected: list[int | None]) -> int | None:
    return None if None in expected else ended + sum(one or 0 for one in expected)


def _pause_after(error: BaseException, tries: int) -> float | None:
    """Return how many seconds to wait before an account is tried again; None if it is not."""
    if not isinstance(error, MailboxError) or isinstance(error, AuthenticationError):
        return None
    if error.retry_after is not None:
        # A little more than that, and not for all accounts at the same moment.
        return error.retry_after * random.uniform(1, 1.1) if error.retry_after <= _LONGEST_PAUSE else None  # noqa: S311
    return _BACK_OFF * 4 ** (tries - 1) * random.uniform(0.5, 1.5) if error.retryable else None  # noqa: S311


_PLAIN = re.compile(rb"[a-z0-9@._+-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])\.")  # names of devices on Windows, with any extension
_LONGEST_NAME = 128  # characters: paths in it must fit where they may have 260


def _directory_name(name: str) -> str:
    """Return the name of an account's directory, from user@host: the same for no other account, on any file system.

    It is percent-encoded, with lower-case digits, so that it does not depend on the case of letters. A longer one is
    cut, and a hash is added after `~`, which is encoded otherwise.
    """
    raw = name.encode("utf-8", "surrogatepass")
    coded = "".join(chr(byte) if _PLAIN.match(bytes((byte,))) else f"%{byte:02x}" for byte in raw)
    if coded[0] in ".-" or _RESERVED.match(coded):
        coded = f"%{ord(coded[0]):02x}{coded[1:]}"
    if len(coded) <= _LONGEST_NAME:
        return coded
    return f"{coded[: _LONGEST_NAME - 65]}~{sha256(raw).hexdigest()}"
