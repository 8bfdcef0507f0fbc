"""Watch: the messages that arrive in an account, one session after another, over blocking sockets.

It waits and runs sessions; `abstract_watch` decides what to do. Nothing here may hold a lock when a signal handler can
run: `stop()` is called from one.
"""

import contextlib
import os
import queue
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar, Unpack

from pymailbox.account import Account
from pymailbox.errors import CommandError, LimitExceeded, MailboxError
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.watching.abstract_watch import AbstractWatch, Steps, check_wait
from pymailbox.watching.arrival import Arrival
from pymailbox.watching.look import Look

__all__ = ["Watch"]

T = TypeVar("T")


class Watch(AbstractWatch[Mailbox], Iterator[Arrival]):
    """Wait for messages to arrive in an account: an iterator of `Arrival`s that never ends by itself.

    Entering the `with` block takes the baseline: what is listed then is not handed out. The first look follows as soon
    as you iterate or call `wait()`, and further ones `every` seconds after the start of the one before, but never more
    often than the server's LOGIN-DELAY allows. A look is a session of its own that never deletes, and that has ended
    when its messages are handed out: no lock on the server is held while you work, and the connection cannot time out.

    With `state`, the path of a file, nothing is missed between two watches: the baseline is taken only once, and a
    message is handed out again by the next watch with that file until it is `done()`. The file serves several accounts
    but one watch at a time.

    Lost connections, locked mailboxes and other errors that may pass are logged (logger `pymailbox.watching`) and tried
    again for ever, after `retry_after` or a back-off of up to 15 minutes; on entering only five times, for at most a
    minute. A login that may be wrong, as the server hung up on it, is tried again after 15 minutes, three times. A
    refused login and every other error is raised at once; iterating again looks again when that is due.

    At most 100 messages or 32 MiB are downloaded by one look. If more have arrived, the next look follows at once.

    Needs `pip install 'pymailbox[watch]'`, otherwise `NotSupported`. `options` are those of `Mailbox`.

    >>> from pymailbox import Account, Watch
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: old\\r\\n\\r\\n"]) as server:
    ...     account = Account(server.host, "me", "secret", port=server.port, security="none")
    ...     with Watch(account, every=60) as watch:
    ...         server.deliver(b"Subject: Your code\\r\\n\\r\\n4711\\r\\n")
    ...         print(watch.wait(lambda mail: "code" in mail.subject, timeout=120).text)
    4711
    <BLANKLINE>
    """

    def __init__(
        self,
        account: Account,
        every: float = 60.0,
        state: str | os.PathLike[str] | None = None,
        **options: Unpack[MailboxOptions],
    ) -> None:
        super().__init__(Mailbox, account, every, state, options)
        self._alarm: queue.SimpleQueue[None] = queue.SimpleQueue()  # reentrant, unlike threading.Event

    def __enter__(self) -> Self:
        try:
            self._run(self._enter())
        except BaseException:
            self._arrivals.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arrivals.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Arrival:
        arrival = self._run(self._search(None, None))
        if arrival is None:
            raise StopIteration
        return arrival

    def wait(self, predicate: Callable[[Arrival], object] | None = None, *, timeout: float | None = None) -> Arrival:
        """Return the first message that arrived and for which `predicate` is true, by default the first of all.

        Messages that do not match are kept in memory, in order, for the next `wait()` or loop. Raises TimeoutError
        after `timeout` seconds; a look that has begun is finished first. If looks are failing, the last error is its
        `__cause__`. Raises `MailboxError` after `stop()`. What `predicate` raises passes through, and the message is
        kept.
        """
        check_wait(predicate, timeout)
        arrival = self._run(self._search(predicate, timeout))
        if arrival is None:
            raise self._stop_error()
        return arrival

    def stop(self) -> None:
        """End the watch: a loop ends normally, `wait()` and entering raise `MailboxError`.

        May be called from another thread or a signal handler, and again. Takes effect at once between looks and while a
        look waits for a reply; while it connects, after `timeout` at most. The loop body is not interrupted. Messages
        that were not handed out are dropped; with `state=` the next watch has them.
        """
        self._stopped = True
        self._alarm.put(None)
        self._inbox.connection.interrupt()

    # --- the driver ---------------------------------------------------------------------------------------

    def _run(self, steps: Steps[T]) -> T:
        failure: MailboxError | None = None
        try:
            while True:
                try:
                    step = next(steps) if failure is None else steps.throw(failure)
                except StopIteration as end:
                    value: T = end.value
                    return value
                failure = None
                try:
                    if isinstance(step, Look):
                        self._look(step)
                    else:
                        self._pause(step)
                except MailboxError as error:
                    failure = error
        finally:
            steps.close()

    def _pause(self, seconds: float) -> None:
        """Wait for so many seconds, or until `stop()`."""
        if sys.platform == "win32":
            seconds = min(seconds, 1.0)  # Ctrl-C does not end the wait there
        with contextlib.suppress(queue.Empty):
            self._alarm.get(timeout=seconds)

    def _look(self, look: Look) -> None:
        with self._inbox as inbox:
            if look.opened(len(inbox), inbox.capabilities):
                try:
                    inbox.connection.uidl()
                except CommandError as refused:
                    look.refused_uidl(refused)
            uids = inbox.uids
            sizes: tuple[int | None, ...] = (None,) * len(uids)
            with contextlib.suppress(CommandError):
                sizes = inbox.sizes
            numbers = look.plan(uids, sizes)
            for message in inbox.fetch([inbox[number - 1] for number in numbers]):
                try:
                    raw = message.raw
                except (CommandError, LimitExceeded) as refused:
                    look.refuse(refused)
                else:
                    if look.take(raw):
                        break
