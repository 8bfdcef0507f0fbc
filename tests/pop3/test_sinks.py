"""Every byte is written to the caller's file, or an error is raised, whichever call writes it."""

import asyncio
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pymailbox.content import saving
from pymailbox.pop3.sinks import write_all, write_all_async
from pymailbox.testing import Server
from tests import case
from tests.drivers import Driver
from tests.timing import assert_linear

MAIL = b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 20_000


class Short:
    """A file that writes at most so many bytes at a time, and returns the count."""

    def __init__(self, most: int) -> None:
        self.most, self.got = most, bytearray()

    def write(self, data: bytes) -> int:
        self.got += data[: self.most]
        return min(len(data), self.most)


class ShortRaw(Short, io.RawIOBase):
    """The same, as a subclass of the standard library's RawIOBase."""


class Silent(Short):
    """A file that writes everything and returns None, as simple classes do."""

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.got += data


class Boastful(Short):
    """A file with an unusual result: a count beyond what it was given, or True."""

    def write(self, data: bytes) -> Any:
        self.got += data
        return self.most if self.most > len(data) else True


class Stuck(io.RawIOBase):
    """A non-blocking file that writes nothing once it is full."""

    def __init__(self, room: int, then: int | None) -> None:
        self.room, self.then, self.got = room, then, bytearray()

    def write(self, data: Any) -> int | None:
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.got += taken
        return len(taken) or self.then


def takers() -> list[Any]:
    """Return files that write everything, each in its own way."""
    return [
        io.BytesIO(),
        Silent(0),
        Boastful(0),
        Boastful(1 << 40),
        *[kind(n) for kind in (Short, ShortRaw) for n in (7_001, 1 << 17)],
    ]


def got(file: Any) -> bytes:
    """Return what was written to a file."""
    return file.getvalue() if isinstance(file, io.BytesIO) else bytes(file.got)


def stuck() -> list[Stuck]:
    """Return files that write some bytes and then none."""
    return [Stuck(room, then) for room in (0, 10, 50_000) for then in (None, 0, -1)]


def every_way(driver: Driver, server: Server) -> dict[str, Callable[[Any], object]]:
    """Return the calls that write the message to a file: streamed, from the cache, by the connection."""

    def mailbox(*, cached: bool) -> Callable[[Any], object]:
        def write(file: Any) -> object:
            with driver.Mailbox(server.host, "me", "secret", port=server.port, security="none") as inbox:
                message = inbox[0]
                assert not cached or message.raw == MAIL
                return message.write_to(file)

        return write

    def connection(file: Any) -> object:
        with driver.Connection(server.host, server.port, security="none") as pop:
            pop.login("me", "secret")
            return pop.retr(1, sink=file.write)

    return {"streamed": mailbox(cached=False), "cached": mailbox(cached=True), "sink": connection}


@pytest.mark.threat(94)
def test_short_writes_are_completed(driver: Driver) -> None:
    """The rest of a partial write is written again, and the returned count is correct."""
    with Server([MAIL]) as server:
        for name, write in every_way(driver, server).items():
            for file in takers():
                with case(name, type(file).__name__, getattr(file, "most", None)):
                    assert write(file) == len(MAIL)
                    assert got(file) == MAIL


def test_a_file_that_writes_nothing_is_an_error(driver: Driver) -> None:
    """0 bytes, or None from a raw file, is OSError at once: unwritten bytes are never counted."""
    with Server([MAIL]) as server:
        for name, write in every_way(driver, server).items():
            for file in stuck():
                with case(name, file.room, file.then):
                    with pytest.raises(OSError, match="took"):
                        write(file)
                    assert MAIL.startswith(file.got)


def test_a_full_non_blocking_pipe_is_an_error(driver: Driver) -> None:
    """The error is BlockingIOError, and the pipe then holds the beginning of the message."""
    with Server([MAIL]) as server:
        for name, write in every_way(driver, server).items():
            with case(name):
                reading, writing = os.pipe()
                os.set_blocking(writing, False)
                with os.fdopen(reading, "rb") as outlet:
                    with os.fdopen(writing, "wb", buffering=0) as inlet, pytest.raises(BlockingIOError):
                        write(inlet)
                    held = outlet.read()
                assert MAIL.startswith(held)
                assert len(held) < len(MAIL)


def test_save_completes_short_writes(driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A saved file is complete if the system writes in parts; if it writes nothing, there is no file."""

    class Disk(io.FileIO):
        most = 1000

        def write(self, data: Any) -> int:
            return super().write(data[: self.most])

    monkeypatch.setattr(saving.os, "fdopen", lambda descriptor, *_, **__: Disk(descriptor, "wb"))
    with Server([MAIL]) as server:
        for most in (1000, 0):
            Disk.most = most
            path = tmp_path / str(most)
            with case(most), driver.Mailbox(server.host, "me", "secret", port=server.port, security="none") as inbox:
                if most:
                    assert inbox[0].save(path) == path
                    assert path.read_bytes() == MAIL
                    continue
                with pytest.raises(OSError, match="took"):
                    inbox[0].save(path)
                assert list(tmp_path.iterdir()) == [tmp_path / "1000"]


def test_any_callable_is_a_sink() -> None:
    """None (except from a raw file) and any other result that is not an int mean that everything was written."""
    for result in (None, True, False, "x", 2.5, object()):
        seen: list[bytes] = []
        with case(result):
            write_all(lambda data, seen=seen, result=result: (seen.append(data), result)[1], b"abc")  # type: ignore[misc]
            assert seen == [b"abc"]
    write_all(lambda _: 1 / 0, b"")
    asyncio.run(write_all_async(lambda _: 1 / 0, b""))


def test_an_awaited_write_may_be_short_too() -> None:
    """A coroutine function as a sink is awaited, and its count is used."""
    for most in (1, 3, 100):
        with case(most):
            file = Short(most)

            async def write(data: bytes, file: Short = file) -> int:
                await asyncio.sleep(0)
                return file.write(data)

            asyncio.run(write_all_async(write, b"abcdefghij"))
            assert file.got == b"abcdefghij"


def test_short_writes_take_linear_time() -> None:
    """The rest is not copied again for each byte written."""

    def prepare(n: int) -> Callable[[], object]:
        data, file = b"x" * n, Short(1)
        return lambda: write_all(file.write, data)

    assert_linear(prepare, 20_000)
