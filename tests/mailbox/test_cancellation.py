"""A cancellation at any await of a session closes the connection at once, sends nothing and leaves nothing behind."""

import asyncio
import gc
import sys
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from pymailbox import AsyncMailbox
from pymailbox.pop3 import commands
from pymailbox.testing import Server
from tests.timing import GENEROUS

MAILS = [b"Subject: %d\r\n\r\n" % number + b"line\r\n" * 20_000 * (number == 3) for number in range(6)]
DESCRIPTORS = Path("/proc/self/fd")


class CancelledAt:
    """Await a coroutine, and cancel the current task at its k-th suspension."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], k: int) -> None:
        self._coroutine = coroutine
        self._k = k
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, None]:
        task = asyncio.current_task()
        assert task is not None
        inner = self._coroutine.__await__()
        result = None
        thrown: BaseException | None = None
        while True:
            try:
                waited_for = inner.send(result) if thrown is None else inner.throw(thrown)
            except StopIteration:
                return
            thrown = None
            self.suspensions += 1
            if self.suspensions == self._k:
                task.cancel()  # takes effect as soon as the task waits
            try:
                result = yield waited_for
            except BaseException as error:
                thrown = error


class Session:
    """One session that does everything a mailbox can do."""

    def __init__(self, server: Server, folder: Path) -> None:
        context = None if server.security == "none" else server.client_context()
        self.inbox = AsyncMailbox(
            server.host,
            "me",
            "secret",
            port=server.port,
            security=server.security,
            ssl_context=context,
            timeout=GENEROUS,
        )
        self.folder = folder
        self.leaving = False

    async def run(self) -> None:
        """Run the session."""
        async with self.inbox as inbox:
            assert await inbox.size() > 100_000
            assert [await message.subject() async for message in inbox] == list("012345")
            assert len(await inbox.uids()) == 6
            async for message in inbox.fetch(inbox[:3]):
                await message.raw()
            await inbox[4].preview()
            assert await inbox[3].save(self.folder / "mail.eml") == self.folder / "mail.eml"
            assert len([r async for r in inbox.connection.pipeline(map(commands.retr, (1, 2)))]) == 2
            await inbox.delete(inbox[:3])
            await inbox.undelete(inbox[0])
            await inbox[5].delete()
            await inbox.undelete()
            await inbox.keep_alive()
            self.leaving = True


async def attempt(server: Server, folder: Path, k: int) -> tuple[bool, int, Session]:
    """Run a session and cancel it at its k-th suspension.

    Return whether it was cancelled, the number of suspensions, and the session.
    """
    session = Session(server, folder)
    stepper = CancelledAt(session.run(), k)

    async def run() -> None:
        await stepper

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    await asyncio.sleep(0)
    transport = session.inbox.connection._transport
    if transport is not None and transport._transport is not None:
        sock = transport._transport.get_extra_info("socket")
        assert sock is None or sock.fileno() == -1, "the socket is still open"
    assert asyncio.all_tasks() == {asyncio.current_task()}
    if not task.cancelled():
        task.result()
    return task.cancelled(), stepper.suspensions, session


@pytest.mark.threat(13)
@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_cancelled_at_every_await(security: Any, tmp_path: Path) -> None:
    """For every k no socket, task or file is left, QUIT is not sent before the end, and no message is deleted."""
    with Server(MAILS, security=security) as server:
        asyncio.run(attempt(server, tmp_path, 0))  # so that everything that is opened only once is open
        server.wait(GENEROUS)
        (tmp_path / "mail.eml").unlink()
        gc.collect()
        before = len(list(DESCRIPTORS.iterdir())) if DESCRIPTORS.exists() else 0
        k, cancelled = 0, True
        while cancelled:
            k += 1
            sessions = len(server.sessions)
            cancelled, suspensions, session = asyncio.run(attempt(server, tmp_path, k))
            server.wait(GENEROUS)
            assert {path.name for path in tmp_path.iterdir()} <= {"mail.eml"}
            commands_sent = [line for record in server.sessions[sessions:] for line in record.commands]
            if cancelled:
                assert suspensions >= k
                assert session.leaving or "QUIT" not in commands_sent, f"cancelled at {k}"
                assert (
                    session.inbox.connection.session.protocol.failure is not None or not session.inbox.connection.opened
                )
                with pytest.raises(ValueError, match="not open"):
                    len(session.inbox)
            else:
                assert commands_sent[-1] == "QUIT"
                assert k > 30
            assert server.messages == tuple(MAILS)
            del session
        gc.collect()
        if DESCRIPTORS.exists() and sys.platform == "linux":
            assert len(list(DESCRIPTORS.iterdir())) <= before
