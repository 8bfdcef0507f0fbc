"""AsyncMailbox and AsyncMessage behave well in an event loop: tasks, cancellation, timeouts, files that are awaited.

Tests of what both mailboxes share run over both (`test_conformance`, `tests.over_asyncio`).
"""

import asyncio
import gc
import io
import os
import pickle
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pymailbox import (
    AsyncMailbox,
    AsyncMessage,
    ConcurrentUse,
    ConnectionLost,
    Limits,
    Mailbox,
    MailboxError,
    MessageUnavailable,
    Timeout,
)
from pymailbox.mailbox import async_message
from pymailbox.testing import Fault, Server
from tests.timing import GENEROUS, eventually_async, hurry

MAILS = [b"Subject: %d\r\nFrom: a@example.com\r\n\r\n.%d\r\n" % (number, number) for number in range(200)]
LARGE = b"Subject: large\r\n\r\n" + b"0123456789012345678901234567890123456789\r\n" * 50_000


def over(
    use: Callable[[AsyncMailbox], Awaitable[Any]], mails: list[bytes] = MAILS, *, faults: Any = (), **options: Any
) -> Server:
    """Open a mailbox with these messages and use it; return the server, closed, with its log."""

    async def run() -> None:
        async with AsyncMailbox.from_url(server.url, "secret", **({"timeout": GENEROUS} | options)) as inbox:
            await use(inbox)

    with Server(mails, faults=faults) as server:
        asyncio.run(run(), debug=True)
        server.wait(GENEROUS)
    return server


# --- the session -----------------------------------------------------------------------------------------------------


def test_headers_are_prefetched() -> None:
    """`async for` keeps TOPs in flight, and never prefetches with RETR."""
    waits = []

    async def use(inbox: AsyncMailbox) -> None:
        transport = inbox.connection._transport
        assert transport is not None
        wait = transport._wait

        async def counted(seconds: float | None) -> None:
            waits.append(seconds)
            await wait(seconds)

        transport._wait = counted  # type: ignore[method-assign]
        assert [await message.subject() async for message in inbox] == [str(n) for n in range(200)]

    log = over(use).log
    assert [line for line in log if line.startswith("TOP")] == [f"TOP {n} 0" for n in range(1, 201)]
    assert not any(line.startswith("RETR") for line in log)
    assert len(waits) < 50


def test_a_message_is_the_same_object_while_it_is_referenced() -> None:
    """By indexing, iteration and fetch; without a reference it is not kept."""

    async def use(inbox: AsyncMailbox) -> None:
        third = inbox[2]
        assert inbox[2] is third
        assert [message async for message in inbox][2] is third
        assert [message async for message in inbox.fetch(inbox[:5])][2] is third
        assert third in inbox
        del third
        gc.collect()
        assert len(inbox._require_open().state.cache) <= 1  # the last one read

    over(use)


@pytest.mark.threat(63)
def test_a_second_task_in_a_session_is_refused() -> None:
    """It gets `ConcurrentUse`, and the first task is not affected (decision 10)."""

    async def use(inbox: AsyncMailbox) -> None:
        outcomes = await asyncio.gather(*(inbox[n].raw() for n in range(5)), return_exceptions=True)
        assert outcomes[0] == MAILS[0]
        assert all(isinstance(outcome, ConcurrentUse) for outcome in outcomes[1:])
        assert await inbox[1].raw() == MAILS[1]

    over(use)


def test_closing_while_another_task_reads_is_refused() -> None:
    """`commit`, `rollback` and `reopen` are refused, too: nothing is sent, and the marks stay (decision 10)."""

    async def use(inbox: AsyncMailbox) -> None:
        await inbox[0].delete()
        reading = asyncio.create_task(inbox[1].raw())
        await eventually_async(lambda: inbox.connection._owner)
        for leave in (inbox.commit, inbox.rollback, inbox.reopen):
            with pytest.raises(ConcurrentUse):
                await leave()
        assert await reading == LARGE
        assert inbox[0].deleted

    mails = [MAILS[0], LARGE]
    server = over(use, mails, faults=[Fault.drip(200_000, 0.05, command="RETR")])
    assert server.messages == (LARGE,)


def test_fetch_can_be_left_early() -> None:
    """Replies in flight are dropped, and the session stays usable."""

    async def use(inbox: AsyncMailbox) -> None:
        async for message in inbox.fetch():
            if message.number == 3:
                break
        assert await inbox[150].subject() == "150"
        assert [m.number async for m in inbox.fetch(inbox[-2:])] == [199, 200]

    assert "QUIT" in over(use).log


def test_fetch_yields_large_messages_without_their_bodies(tmp_path: Path) -> None:
    """A message larger than the window is not downloaded, so that `save` streams it (decision 11)."""

    async def use(inbox: AsyncMailbox) -> None:
        async for message in inbox.fetch():
            if message.number == 2:
                assert message._body is None or message._body.raw is None
                assert await message.save(tmp_path / "large.eml") == tmp_path / "large.eml"
            else:
                assert message._body is not None
                assert message._body.raw is not None

    over(use, [MAILS[0], LARGE, MAILS[2]], limits=Limits(window=100_000))
    assert (tmp_path / "large.eml").read_bytes() == LARGE


def test_a_refusal_belongs_to_its_message() -> None:
    """After a fetch, -ERR is raised when that message is read, not by the iterator."""

    async def use(inbox: AsyncMailbox) -> None:
        async for message in inbox.fetch(inbox[:4]):
            if message.number == 2:
                with pytest.raises(MessageUnavailable):
                    await message.raw()
            else:
                assert await message.raw() == MAILS[message.number - 1]

    over(use, faults=[Fault.refuse("RETR", 2)])


def test_after_the_session_what_was_read_stays_readable() -> None:
    """Reading more is `ConnectionLost`, and using the mailbox is ValueError."""

    async def run() -> None:
        with Server(MAILS) as server:
            inbox = AsyncMailbox.from_url(server.url, "secret")
            with pytest.raises(ValueError, match="not open"):
                len(inbox)
            await inbox.open()
            with pytest.raises(ValueError, match="already open"):
                await inbox.open()
            message, other = inbox[0], inbox[1]
            raw = await message.raw()
            await inbox.close()
            await inbox.close()
            await inbox.rollback()
            assert await message.raw() == raw
            assert await message.subject() == "0"
            with pytest.raises(ConnectionLost):
                await other.raw()
            with pytest.raises(ValueError, match="not open"):
                await inbox.keep_alive()
            await inbox.open()
            assert len(inbox) == 200
            await inbox.reopen()
            assert message not in inbox
            await inbox.rollback()

    asyncio.run(run())


@pytest.mark.threat(119)
def test_only_content_pickles() -> None:
    """A mailbox, its connection and its messages belong to a session; content is a value."""

    async def use(inbox: AsyncMailbox) -> None:
        for thing in (inbox, inbox[0], inbox.connection):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(thing)
        content = await inbox[0].content()
        assert pickle.loads(pickle.dumps(content)).subject == "0"
        assert "AsyncMessage 1" in repr(inbox[0])
        assert "200 messages" in repr(inbox)

    over(use)


# --- leaving the block ------------------------------------------------------------------------------------------------


def leave_with(error: BaseException, *, after: str = "") -> Server:
    """Mark two messages, perhaps read one, and leave the block with an exception."""

    async def use(inbox: AsyncMailbox) -> None:
        await inbox.delete(inbox[:2])
        if after == "RETR":
            await inbox[5].raw()
        raise error

    with Server(MAILS) as server:

        async def run() -> None:
            async with AsyncMailbox.from_url(server.url, "secret") as inbox:
                await use(inbox)

        with pytest.raises(type(error)) as caught:
            asyncio.run(run())
        assert caught.value is error or isinstance(error, asyncio.CancelledError)
        server.wait(GENEROUS)
    assert server.messages == tuple(MAILS)
    return server


def test_an_exception_removes_the_marks() -> None:
    """RSET is sent, and QUIT is not (decision 1)."""
    assert leave_with(KeyError()).log[-1] == "RSET"
    assert leave_with(KeyError(), after="RETR").log[-1] == "RSET"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()])
def test_a_base_exception_sends_nothing(error: BaseException) -> None:
    """After a cancellation, Ctrl-C or `sys.exit()` between two commands the connection is closed at once."""
    assert leave_with(error).log[-1] == "DELE 2"


def test_a_timeout_in_a_command_never_commits() -> None:
    """`asyncio.timeout` ends the session; if it is caught in the block, the end of the block is `ConnectionLost`."""

    async def use(inbox: AsyncMailbox) -> None:
        await inbox.delete(inbox[:2])
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await inbox[7].raw()
        assert not isinstance(caught.value, MailboxError)
        with pytest.raises(ConnectionLost):
            await inbox[8].raw()

    with Server(MAILS, faults=[Fault.stall(command="RETR")]) as server:

        async def run() -> None:
            async with AsyncMailbox.from_url(server.url, "secret") as inbox:
                await use(inbox)

        with pytest.raises(ConnectionLost):
            asyncio.run(run())
        server.wait(GENEROUS)
        assert "QUIT" not in server.log
        assert server.messages == tuple(MAILS)


def test_silence_is_a_timeout() -> None:
    """If the server is silent for `timeout` seconds, `Timeout` is raised."""

    async def use(inbox: AsyncMailbox) -> None:
        clock = hurry(inbox.connection)  # from here on
        with pytest.raises(Timeout):
            await inbox[0].raw()
        assert clock() > inbox.connection.timeout

    assert "QUIT" not in over(use, faults=[Fault.stall(command="RETR")]).log


def test_a_failed_open_leaves_nothing_open() -> None:
    """A refused login closes the connection, and the mailbox can be opened again."""

    async def run() -> None:
        with Server(MAILS) as server:
            passwords = iter(["wrong", "secret"])
            inbox = AsyncMailbox.from_url(server.url, lambda: next(passwords))
            with pytest.raises(MailboxError) as caught:
                await inbox.open()
            assert not caught.value.usable
            await inbox.open()
            assert len(inbox) == 200
            await inbox.close()
            server.wait(GENEROUS)
            assert [record.ended for record in server.sessions] == ["EOF", "QUIT"]

    asyncio.run(run())


# --- to disk -----------------------------------------------------------------------------------------------------------


def test_write_to_blocking_and_asynchronous_files() -> None:
    """`write` may be a function or a coroutine function, and may accept less than it was given."""

    class Slow:
        def __init__(self) -> None:
            self.got = b""

        async def write(self, data: bytes) -> int:
            await asyncio.sleep(0)
            self.got += data[:50_000]
            return min(len(data), 50_000)

    async def use(inbox: AsyncMailbox) -> None:
        plain, slow = io.BytesIO(), Slow()
        assert await inbox[0].write_to(plain) == len(LARGE) == await inbox[0].write_to(slow)
        assert plain.getvalue() == LARGE == slow.got
        await inbox[0].raw()
        again = Slow()
        assert await inbox[0].write_to(again) == len(LARGE)
        assert again.got == LARGE

    over(use, [LARGE])


def test_an_error_of_the_file_is_raised_unchanged() -> None:
    """A full disk, for example; as the message was still arriving, it ends the session."""

    class Full:
        async def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

    async def use(inbox: AsyncMailbox) -> None:
        with pytest.raises(OSError, match="No space left"):
            await inbox[0].write_to(Full())
        with pytest.raises(ConnectionLost):
            await inbox[0].raw()

    over(use, [LARGE])


def test_save_is_whole_or_nothing(tmp_path: Path) -> None:
    """With `overwrite` an existing file is replaced; a lost connection or a cancellation leaves it, and nothing else."""
    path = tmp_path / "mail.eml"
    path.write_bytes(b"old")

    async def cut(inbox: AsyncMailbox) -> None:
        with pytest.raises(ConnectionLost):
            await inbox[0].save(path, overwrite=True)

    async def cancelled(inbox: AsyncMailbox) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await inbox[0].save(path, overwrite=True)

    async def saved(inbox: AsyncMailbox) -> None:
        assert await inbox[0].save(str(path), overwrite=True) == path

    over(cut, [LARGE], faults=[Fault.cut(100_000, command="RETR")])
    over(cancelled, [LARGE], faults=[Fault.stall(100_000, command="RETR")])
    assert path.read_bytes() == b"old"
    over(saved, [LARGE])
    assert path.read_bytes() == LARGE
    assert [entry.name for entry in tmp_path.iterdir()] == ["mail.eml"]


def test_a_cancellation_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread cannot be stopped, so the cancellation is raised after it, and the file is complete or does not exist."""
    path = tmp_path / "mail.eml"
    working, go = threading.Event(), threading.Event()

    def slowly(descriptor: int) -> None:
        working.set()
        assert go.wait(GENEROUS)

    async def use(inbox: AsyncMailbox) -> None:
        monkeypatch.setattr(os, "fsync", slowly)
        task = asyncio.ensure_future(inbox[0].save(path))
        await eventually_async(working.is_set)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [entry.name for entry in tmp_path.iterdir()] == ["mail.eml"]
        assert path.read_bytes() == MAILS[0]
        assert await inbox[1].raw() == MAILS[1], "the session was not in use when the task was cancelled"

    over(use)


@pytest.mark.threat(94)
def test_an_error_of_the_disk_is_raised_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error of fsync nothing is left; if the task was cancelled, the cancellation is raised instead."""
    go = threading.Event()

    def failing(descriptor: int) -> None:
        assert go.wait(GENEROUS)
        raise OSError(5, "Input/output error")

    async def use(inbox: AsyncMailbox) -> None:
        monkeypatch.setattr(os, "fsync", failing)
        go.set()
        with pytest.raises(OSError, match="Input/output"):
            await inbox[0].save(tmp_path / "mail.eml")
        go.clear()
        task = asyncio.ensure_future(async_message._in_thread(lambda: failing(0)))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(tmp_path.iterdir()) == []

    over(use)


# --- both kinds at once -----------------------------------------------------------------------------------------------


def test_a_message_of_the_other_kind_is_refused() -> None:
    """A blocking message does not belong to an async mailbox, nor the other way round."""

    async def use(inbox: AsyncMailbox) -> None:
        with Server(MAILS[:2]) as other, Mailbox.from_url(other.url, "secret") as blocking:
            assert blocking[0] not in inbox
            assert inbox[0] not in blocking
            with pytest.raises(TypeError, match="AsyncMessage"):
                await inbox.delete(blocking[0])  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="Message"):
                blocking.delete([inbox[0]])  # type: ignore[list-item]
        assert isinstance(inbox[0], AsyncMessage)

    over(use)
