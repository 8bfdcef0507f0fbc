"""A progress bar by tqdm, in a notebook or a terminal."""

import importlib.util
import sys
from types import TracebackType
from typing import Any, Self, TextIO

from attrs import define, field

from pymailbox.progress import Progress

__all__ = ["ProgressBar", "progress_bar"]


@define(eq=False)
class ProgressBar:
    """A progress bar by tqdm that can be passed as `progress=`; made by `progress_bar()`."""

    _options: dict[str, Any]
    _bar: Any = field(default=None, init=False)

    def __call__(self, progress: Progress) -> None:
        """Show how far it is; the bar closes when everything has arrived."""
        if self._bar is None:
            if progress.total_messages == 0:
                return
            self._bar = _tqdm()(**{"unit": "B", "unit_scale": True, "file": _stream(), **self._options})
        bar = self._bar
        bar.total = progress.total_bytes
        total = "?" if progress.total_messages is None else f"{progress.total_messages:,}"
        bar.set_postfix_str(f"{progress.messages:,}/{total} messages", refresh=False)
        if progress.bytes < bar.n:  # another session
            bar.reset(progress.total_bytes)
        bar.update(progress.bytes - bar.n)
        complete = progress.messages == progress.total_messages and progress.bytes == progress.total_bytes
        if complete and progress.safe in (None, progress.messages):
            self.close()

    def close(self) -> None:
        """Leave the bar as it is; the next report starts another one."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.refresh()
            bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def progress_bar(**options: Any) -> ProgressBar:
    """Return a progress bar for `progress=`, in a notebook or a terminal; `options` are those of tqdm.

    It needs tqdm, which is in the extra `notebook`. In a notebook it is a widget if ipywidgets is installed, otherwise
    text. It closes when everything has arrived, and can be used again. In a `with` block it also closes after an error.

    >>> import io
    >>> from pymailbox import Mailbox
    >>> from pymailbox.notebook import progress_bar
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: one\\r\\n\\r\\n1\\r\\n"]) as server, Mailbox.from_url(server.url, "secret") as inbox:
    ...     shown = io.StringIO()
    ...     messages = list(inbox.fetch(progress=progress_bar(desc="mail", file=shown)))
    >>> "1/1 messages" in shown.getvalue()
    True
    """
    _tqdm()
    return ProgressBar(options)


def _stream() -> TextIO:
    # A notebook shows standard error on red.
    return sys.stdout if "ipykernel" in sys.modules else sys.stderr


def _tqdm() -> Any:
    try:
        if importlib.util.find_spec("ipywidgets") is None:  # tqdm.auto would warn in a notebook
            from tqdm.std import tqdm
        else:
            from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress_bar() needs tqdm: pip install 'pymailbox[notebook]'") from None
    return tqdm
