"""Sinks: handing octets to the caller's `write` until all of them are taken.

A sink is any callable that takes octets; `write` of a file is the usual one, and a file that is not buffered may take
less than it is given, or nothing. What it returns says how much: a whole number is a count, None from an
`io.RawIOBase` means that it would block, and anything else that all is taken.
"""

import errno
import inspect
import io
from collections.abc import Callable
from typing import Protocol

from pymailbox.display import type_name

__all__ = ["Sink", "Writable", "write_all", "write_all_async", "write_of"]


class Writable(Protocol):
    """A file to write to; over asyncio what `write` returns is awaited where that can be."""

    def write(self, data: bytes, /) -> object:
        """Write some bytes."""


#: A file, or a function that takes bytes.
Sink = Writable | Callable[[bytes], object]


def write_of(file: object) -> Callable[[bytes], object]:
    """Return how a file is written to; TypeError where it is none."""
    write = getattr(file, "write", None)
    if not callable(write):
        raise TypeError(
            f"file must be open for writing bytes, such as open(path, 'wb'), not {type_name(file)};"
            " save(path) takes the name of a file"
        )
    taker: Callable[[bytes], object] = write
    return taker


def write_all(write: Callable[[bytes], object], data: bytes) -> None:
    """Have `write` take all of `data`; OSError where it takes nothing."""
    at, size = 0, len(data)
    while at < len(data):
        piece = data[at : at + size]
        taken = _taken(write, piece, write(piece))
        at, size = at + taken, 2 * taken


async def write_all_async(write: Callable[[bytes], object], data: bytes) -> None:
    """Do the same where `write` may return an awaitable."""
    at, size = 0, len(data)
    while at < len(data):
        piece = data[at : at + size]
        result = write(piece)
        if inspect.isawaitable(result):
            result = await result
        taken = _taken(write, piece, result)
        at, size = at + taken, 2 * taken


def _taken(write: Callable[[bytes], object], piece: bytes, result: object) -> int:
    """Return how many octets of a piece are taken, by what `write` returned."""
    if result is None and isinstance(getattr(write, "__self__", None), io.RawIOBase):
        raise BlockingIOError(errno.EAGAIN, "the file is non-blocking and not ready: it took no bytes")
    if not isinstance(result, int) or isinstance(result, bool):
        return len(piece)
    if result < 1:
        raise OSError(errno.EIO, f"the file took {result} of {len(piece)} bytes")
    return min(result, len(piece))
