"""What `collect_all` runs in a worker: one run of one archive, in a thread of this process or anywhere else."""

import functools
import pickle
import threading
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING

from pymailbox.account import Account
from pymailbox.archive import Archive, Collected, Keep
from pymailbox.errors import MailboxError
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.many.arguments import default_context, needs_context
from pymailbox.progress import Progress

if TYPE_CHECKING:
    import ssl

__all__ = ["collect", "collect_elsewhere", "is_pickling"]


def collect(
    path: Path,
    account: Account,
    keep: Keep,
    options: MailboxOptions,
    *,
    stop: threading.Event | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Collected:
    """Collect in a thread of this process, or where `collect_elsewhere` is."""
    with Archive(path) as archive:
        return archive.collect(account, keep=keep, stop=stop, progress=progress, **options)


def collect_elsewhere(
    path: Path, account: Account, keep: Keep, options: MailboxOptions, name: tuple[str, int]
) -> Collected | MailboxError:
    """Collect in another process; `name` is that of the run and the number of the try.

    An expected error is returned: Dask logs one that is raised as a failure of the worker, with its traceback.
    """
    if needs_context([account], options):
        options = {**options, "ssl_context": _context_of(name[0])}
    try:
        return collect(path, account, keep, options)
    except MailboxError as error:
        found = error
    except Exception as error:
        if _can_return(error):
            raise
        found = MailboxError(f"{type(error).__name__}: {error}")
    found.__cause__ = found.__context__ = None  # which could not be pickled, perhaps; nor could the traceback
    return found.with_traceback(None)


def _can_return(error: Exception) -> bool:
    """Whether an exception can be pickled and unpickled; one that cannot would break a pool of processes."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)  # noqa: S301 - our own
    except Exception:  # whatever its class raises
        return False


@functools.lru_cache(maxsize=1)
def _context_of(_: str) -> "ssl.SSLContext":
    """Return the context that the accounts of a run share in this process; the next run loads the authorities anew."""
    return default_context()


def is_pickling(executor: futures.Executor) -> bool:
    """Whether an executor pickles what it is given; only threads are known not to."""
    interpreters = getattr(futures, "InterpreterPoolExecutor", ())  # from Python 3.14
    return not isinstance(executor, futures.ThreadPoolExecutor) or isinstance(executor, interpreters)
