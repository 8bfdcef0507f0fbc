"""Sinks: passing data to the caller's `write` until all of it is written.

A sink is any callable that takes bytes, usually the `write` of a file. An unbuffered file may write only part of the
data, or nothing. The return value tells: an int is a count of bytes, None from an `io.RawIOBase` means that it would
block, and anything else means that all was written.
"""

import errno
import inspect
import io
from collections.abc import Callable
from typing import Protocol

from pymailbox.display import type_name

__all__ = ["Sink", "Writable", "write_all", "write_all_async", "write_of"]


class Writable(Protocol):
    """A file to write to; over asyncio, `write` may return an awaitable."""

    def write(self, data: bytes, /) -> object:
        """Write `data`, and return how many bytes were written."""


#: A file, or a function that takes bytes.
Sink = Writable | Callable[[bytes], object]


def write_of(file: object) -> Callable[[bytes], object]:
    """Return the `write` of a file; TypeError if it has none."""
    write = getattr(file, "write", None)
    if not callable(write):
        raise TypeError(
            f"file must be open for writing bytes, such as open(path, 'wb'), not {type_name(file)}; to write to a path,"
            " use save(path)"
        )
    taker: Callable[[bytes], object] = write
    return taker


def write_all(write: Callable[[bytes], object], data: bytes) -> None:
    """Pass all of `data` to `write`, in as many calls as it needs; OSError if it writes nothing."""
    at, size = 0, len(data)
    while at < len(data):
        piece = data[at : at + size]
        taken = _taken(write, piece, write(piece))
        at, size = at + taken, 2 * taken


async def write_all_async(write: Callable[[bytes], object], data: bytes) -> None:
    """Pass all of `data` to a `write` that may return an awaitable; OSError if it writes nothing."""
    at, size = 0, len(data)
    while at < len(data):
        piece = data[at : at + size]
        result = write(piece)
        if inspect.isawaitable(result):
            result = await result
        taken = _taken(write, piece, result)
        at, size = at + taken, 2 * taken


def _taken(write: Callable[[bytes], object], piece: bytes, result: object) -> int:
    """Return how many bytes of a piece were written, given the result of `write`."""
    if result is None and isinstance(getattr(write, "__self__", None), io.RawIOBase):
        raise BlockingIOError(errno.EAGAIN, "the file is non-blocking and not ready, and took no bytes")
    if not isinstance(result, int) or isinstance(result, bool):
        return len(piece)
    if result < 1:
        raise OSError(errno.EIO, f"the file took {result} of {len(piece)} bytes")
    return min(result, len(piece))
