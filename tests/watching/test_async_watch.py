"""What only asyncio has: cancellation, an event loop that is not blocked, and `stop()` from wherever it is called."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest

from pymailbox import Account, Arrival, AsyncWatch, ConcurrentUse, MailboxError, Watch
from pymailbox.testing import Fault, Server
from tests.timing import GENEROUS, ended, eventually_async
from tests.watching.watches import account_of, mail


def test_in_real_time() -> None:
    """The smoke test: a mail that arrives while the watch waits is found by the next look."""

    async def main() -> None:
        with Server() as server:
            async with AsyncWatch(account_of(server), every=0.05) as watch:
                waiting = asyncio.create_task(watch.wait(timeout=GENEROUS))
                await eventually_async(lambda: len(server.sessions) > 3)
                server.deliver(mail("one"))
                assert (await waiting).subject == "one"

    asyncio.run(main())


@pytest.mark.parametrize("command", ["GREETING", "AUTH", "UIDL", "RETR", "between looks"])
def test_a_cancellation_loses_nothing(command: str, tmp_path: Path) -> None:
    """At any point: the wait ends at once, and the next one hands out everything that arrived."""

    async def main() -> None:
        with Server([mail("old")], faults=[Fault.stall(command=command, session=2)]) as server:
            options = {"state": tmp_path / "me.seen", "timeout": GENEROUS * 2}
            async with AsyncWatch(account_of(server), every=0.1, **options) as watch:  # type: ignore[arg-type]
                if command == "RETR":
                    server.deliver(mail("one"))
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(None) as timer:
                        waiting = asyncio.get_running_loop()
                        reached = asyncio.create_task(
                            eventually_async(
                                lambda: (
                                    len(server.sessions) > 1
                                    and (
                                        command in ("GREETING", "between looks")
                                        or any(line.startswith(command) for line in server.sessions[1].commands)
                                    )
                                )
                            )
                        )
                        reached.add_done_callback(lambda _: timer.reschedule(waiting.time()))
                        await watch.wait()
                if command != "RETR":
                    server.deliver(mail("one"))
                server.deliver(mail("two"))
                found = [(await anext(watch)).subject for _ in range(2)]
                assert found == ["one", "two"]

    asyncio.run(main())


def test_a_cancelled_block_leaves_cleanly(tmp_path: Path) -> None:
    """No session and no lock is left behind."""

    async def main() -> None:
        with Server([mail("old")], faults=[Fault.stall(command="UIDL", session=2)]) as server:
            entered = asyncio.Event()

            async def service() -> None:
                async with AsyncWatch(account_of(server), state=tmp_path / "me.seen") as watch:
                    entered.set()
                    async for _ in watch:
                        raise AssertionError

            task = asyncio.create_task(service())
            await entered.wait()
            await eventually_async(lambda: "UIDL" in "".join(server.log) and len(server.sessions) > 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.wait, GENEROUS)
            async with AsyncWatch(account_of(server), state=tmp_path / "me.seen"):
                pass

    asyncio.run(main())


@pytest.mark.parametrize("way", ["loop", "thread", "signal", "loop's signal"])
@pytest.mark.parametrize("when", ["between looks", "during a look"])
def test_stop(way: str, when: str) -> None:
    """A loop ends normally and at once; `wait` raises."""

    async def main() -> None:
        faults = [Fault.stall(command="UIDL", session=2)] if when == "during a look" else []
        with Server([mail("old")], faults=faults) as server:
            loop = asyncio.get_running_loop()
            async with AsyncWatch(account_of(server), every=3600, timeout=GENEROUS * 2) as watch:

                async def stop() -> None:
                    await eventually_async(lambda: len(server.sessions) > 1 and "UIDL" in server.sessions[1].commands)
                    if way == "loop":
                        watch.stop()
                    elif way == "thread":
                        thread = threading.Thread(target=watch.stop)
                        thread.start()
                        ended(thread)
                    else:
                        os.kill(os.getpid(), signal.SIGUSR1)

                before = signal.getsignal(signal.SIGUSR1)
                if way == "signal":
                    signal.signal(signal.SIGUSR1, lambda *_: watch.stop())
                elif way == "loop's signal":
                    loop.add_signal_handler(signal.SIGUSR1, watch.stop)
                try:
                    stopping = asyncio.create_task(stop())
                    assert [arrival async for arrival in watch] == []
                    await stopping
                finally:
                    if way == "loop's signal":
                        loop.remove_signal_handler(signal.SIGUSR1)
                    signal.signal(signal.SIGUSR1, before)
                with pytest.raises(MailboxError, match="stopped"):
                    await watch.wait()
        watch.stop()

    asyncio.run(main())


def test_stop_before_and_while_entering() -> None:
    """Entering raises."""

    async def main() -> None:
        with Server([mail("old")], faults=[Fault.stall(command="UIDL", session=1)]) as server:
            watch = AsyncWatch(account_of(server), timeout=GENEROUS * 2)
            server.deliver(mail("one"))
            entering = asyncio.create_task(watch.__aenter__())
            await eventually_async(lambda: "UIDL" in server.log)
            watch.stop()
            with pytest.raises(MailboxError, match="stopped"):
                await entering
            watch = AsyncWatch(account_of(server))
            watch.stop()
            with pytest.raises(MailboxError, match="stopped"):
                await watch.__aenter__()

    asyncio.run(main())


def test_one_task_at_a_time() -> None:
    """A second one gets `ConcurrentUse`; the first is not disturbed."""

    async def main() -> None:
        with Server() as server:
            async with AsyncWatch(account_of(server), every=0.05) as watch:
                waiting = asyncio.create_task(watch.wait())
                await eventually_async(lambda: len(server.sessions) > 1)
                with pytest.raises(ConcurrentUse):
                    await anext(watch)
                server.deliver(mail("one"))
                assert (await waiting).subject == "one"

    asyncio.run(main())


def test_a_coroutine_function_for_the_password() -> None:
    """As in the mailbox; the blocking watch refuses it when it is made."""

    async def password() -> str:
        return "secret"

    async def main(account: Account) -> Arrival:
        async with AsyncWatch(account) as watch:
            server.deliver(mail("one"))
            return await anext(watch)

    with Server() as server:
        account = Account(server.host, "me", password, port=server.port, security="none")
        assert asyncio.run(main(account)).subject == "one"
        with pytest.raises(TypeError, match="coroutine"):
            Watch(account)


def test_many_watches_in_one_loop() -> None:
    """They do not disturb each other."""

    async def one(server: Server, user: str) -> str:
        account = Account(server.host, user, "secret", port=server.port, security="none")
        async with AsyncWatch(account, every=0.05) as watch:
            server.deliver(mail(user), user)
            return (await watch.wait(timeout=GENEROUS)).subject

    async def main() -> None:
        users = {f"user{number}": "secret" for number in range(20)}
        with Server(users=users) as server:
            assert await asyncio.gather(*(one(server, user) for user in users)) == list(users)

    asyncio.run(main())
