"""fetch() yields the right messages with few commands, writes to sinks and reports progress, with both drivers."""

import asyncio
import contextlib
import io
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from pymailbox import (
    AsyncMailbox,
    ConnectionLost,
    LimitExceeded,
    Limits,
    Mailbox,
    MailboxError,
    MessageUnavailable,
    Progress,
    TemporaryFailure,
)
from pymailbox.testing import Fault, Quirk, Server
from tests import case
from tests.drivers import Driver
from tests.mailbox.test_mailbox import MAILS, over, sent

MANY = [b"Subject: %d\r\n\r\n" % number + b"line\r\n" * (number % 37) for number in range(200)]


class Sinks:
    """A file for each message, in memory."""

    def __init__(self) -> None:
        self.files: dict[int, io.BytesIO] = {}

    def __call__(self, message: Any) -> io.BytesIO:
        assert message.number not in self.files
        self.files[message.number] = io.BytesIO()
        return self.files[message.number]

    def got(self, number: int) -> bytes:
        """Return what was written for a message."""
        return self.files[number].getvalue()


# --- the messages ---------------------------------------------------------------------------------------------


def test_fetching_nothing_sends_nothing(driver: Driver) -> None:
    """No messages, only messages with a cached body, an empty mailbox."""
    with Server(MAILS) as server:
        with over(server, driver) as inbox:
            seen: list[Progress] = []
            for into in (None, Sinks()):
                assert list(inbox.fetch([], into=into, progress=seen.append)) == []
            assert seen == [Progress(0, 0, 0, 0)] * 2
            kept = inbox[1]
            assert kept.raw == MAILS[1]
            assert list(inbox.fetch(kept)) == [kept]
            assert list(inbox.fetch([kept], into=Sinks())) == [kept]
        assert sent(server) == ("RETR 2", "QUIT")
    with Server() as server:
        with over(server, driver) as inbox:
            assert list(inbox.fetch()) == []
        assert sent(server) == ("QUIT",)


def test_deleted_messages_are_skipped(driver: Driver) -> None:
    """Even if they are passed to fetch(); new() skips them, too; plain iteration does not."""
    with Server(MAILS, pipelining=True) as server, over(server, driver) as inbox:
        held = list(inbox)
        assert held[3].raw == MAILS[3]
        inbox.delete([held[0], held[3]])
        for into in (None, Sinks()):
            for chosen in (None, inbox, held[:4]):
                expected = [2, 3] if chosen is not None and chosen is not inbox else [2, 3, 5]
                if isinstance(into, Sinks):
                    into.files.clear()
                assert [message.number for message in inbox.fetch(chosen, into=into)] == expected
        assert list(inbox.fetch(held[0])) == []
        assert [message.number for message in inbox.new(())] == [2, 3, 5]
        assert [message.number for message in inbox] == [1, 2, 3, 4, 5]
        assert held[3].raw == MAILS[3]
        with pytest.raises(MessageUnavailable):
            _ = held[0].raw
        inbox.undelete()
        assert [message.number for message in inbox.fetch()] == [1, 2, 3, 4, 5]


def test_messages_deleted_in_the_loop_are_skipped(driver: Driver) -> None:
    """Each yielded message deletes the next two, which are in flight, cached, or waiting for their turn."""
    for here in (False, True):
        for into in (None, Sinks()):
            with case(here, into), Server(MANY) as server, over(server, driver) as inbox:
                if here:
                    kept = list(inbox.fetch(inbox[50:150]))
                    assert len(kept) == 100
                numbers = []
                for message in inbox.fetch(into=into):
                    numbers.append(message.number)
                    inbox.delete(inbox[message.number : message.number + 2])
                assert numbers == list(range(1, 201, 3))
                assert len(inbox.deleted) == 133
                inbox.undelete()


def test_a_refusal_is_forgotten_by_undelete(driver: Driver) -> None:
    """A refusal that fetch() received is raised once, and not after undelete(): then the server is asked again."""
    for forget in ("read", "undelete", "undelete all"):
        with case(forget), Server(MAILS, faults=[Fault.refuse("RETR", 2)]) as server, over(server, driver) as inbox:
            messages = list(inbox.fetch())
            if forget == "read":
                with pytest.raises(MessageUnavailable):
                    _ = messages[1].raw
            elif forget == "undelete":
                messages[1].delete()
                messages[1].undelete()
            else:
                inbox.undelete()
            assert messages[1].raw == MAILS[1]


def test_the_repr_of_a_message(driver: Driver) -> None:
    """It has the number, the subject if known, and `deleted`; it asks and caches nothing."""
    long = b"Subject: " + b"x" * 5000 + b"\x1b[31m\r\n\r\n"
    with Server([b"Subject: a'b\r\n\r\n", long]) as server:
        with over(server, driver) as inbox:
            name = {"sync": "Message", "async": "AsyncMessage"}[driver.name]
            message, other = inbox[0], inbox[1]
            assert repr(message) == f"<{name} 1>"
            assert message.subject == "a'b"
            assert repr(message) == f'<{name} 1, "a\'b">'
            message.delete()
            assert repr(message) == f'<{name} 1, "a\'b", deleted>'
            assert other.raw == long
            assert repr(other) == f"<{name} 2, '{'x' * 60}…'>"
        assert repr(message) == f'<{name} 1, "a\'b", deleted>'
        assert sent(server) == ("TOP 1 0", "UIDL", "LIST", "DELE 1", "RETR 2", "LIST 2", "QUIT")


# --- sinks ----------------------------------------------------------------------------------------------------


def test_bodies_go_to_sinks_in_a_pipeline(driver: Driver) -> None:
    """When a message is yielded its whole body has been written to its sink, and is kept nowhere else."""
    with Server(MANY) as server, over(server, driver) as inbox:
        sinks = Sinks()
        for number, message in enumerate(inbox.fetch(into=sinks), 1):
            assert message.number == number
            assert sinks.got(number) == MANY[number - 1]
            assert len(sinks.files) == number
            assert message.subject == str(number - 1)  # kept from the body
        assert not any(line.startswith("TOP") for line in server.log)
        before = len(server.log)
        assert inbox[7].raw == MANY[7]
        assert server.log[before:] == ("RETR 8", "LIST 5")
    one_by_one = Server(MANY[:20], quirks=Quirk.DROPS_PIPELINED, pipelining=False)
    with one_by_one as server, over(server, driver) as inbox:
        sinks = Sinks()
        assert len(list(inbox.fetch(into=sinks))) == 20
        assert [sinks.got(number) for number in range(1, 21)] == MANY[:20]


def test_writing_to_something_that_is_not_a_file_is_refused(driver: Driver) -> None:
    """A file name or None instead of a file is TypeError, before anything is sent."""
    with Server(MAILS) as server, over(server, driver) as inbox:
        before = len(server.log)
        for file in ("x.eml", None, 7):
            with pytest.raises(TypeError, match=r"open for writing bytes.*save\(path\)"):
                inbox[0].write_to(file)  # type: ignore[arg-type]
        assert len(server.log) == before
        with pytest.raises(TypeError, match="not str"):
            list(inbox.fetch(into=lambda _: "x.eml"))  # type: ignore[arg-type, return-value]


def test_saving_into_a_directory_after_the_session_needs_the_uids(driver: Driver, tmp_path: Path) -> None:
    """The file name needs the uid: without it the error says to read the uids in time."""
    with Server(MAILS) as server:
        with over(server, driver) as inbox:
            messages = list(inbox.fetch())
        with pytest.raises(ConnectionLost, match=r"read inbox\.uids.* while the session is open"):
            messages[0].save(f"{tmp_path}/")
        with over(server, driver) as inbox:
            messages = list(inbox.fetch())
            assert inbox.uids
        assert messages[0].save(f"{tmp_path}/").read_bytes() == MAILS[0]


def test_a_sink_may_be_a_function_and_accept_parts(driver: Driver) -> None:
    """A callable that takes bytes, or anything with `write`; anything else is TypeError, and nothing is lost."""
    with Server(MAILS) as server, over(server, driver) as inbox:
        got: list[bytes] = []
        assert len(list(inbox.fetch(inbox[:2], into=lambda _: got.append))) == 2
        assert b"".join(got) == MAILS[0] + MAILS[1]

        class Slow:
            data = b""

            def write(self, data: bytes) -> int:
                self.data += data[:5]
                return min(5, len(data))

        slow = Slow()
        list(inbox.fetch(inbox[2], into=lambda _: slow))
        assert slow.data == MAILS[2]
        with pytest.raises(TypeError, match="into"):
            list(inbox.fetch(inbox[3], into=lambda _: None))  # type: ignore[arg-type, return-value]
        with pytest.raises(TypeError, match="into"):
            inbox.fetch(into="mail/")  # type: ignore[arg-type]
        assert inbox[3].raw == MAILS[3]


def test_a_message_larger_than_the_window_is_streamed_to_its_sink(driver: Driver) -> None:
    """In order, at any place among the others, even beyond `Limits.message`; beyond `Limits.stream` it is refused."""
    large = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" + b"more of it\r\n" * 2000
    for limits in (Limits(window=5000), Limits(window=5000, message=5000), Limits(message=5000)):
        for places in ({0}, {5}, {3, 4}, {9}, set(range(10))):
            mails = [large if at in places else MAILS[at % 5] for at in range(10)]
            with case(limits, places), Server(mails) as server, over(server, driver, limits=limits) as inbox:
                sinks = Sinks()
                seen: list[Progress] = []
                numbers = []
                for message in inbox.fetch(into=sinks, progress=seen.append):
                    numbers.append(message.number)
                    assert sinks.got(message.number) == mails[message.number - 1]
                assert numbers == list(range(1, 11))
                total = sum(map(len, mails))
                assert seen[-1] == Progress(total, total, 10, 10)
    bound = Limits(window=5000, stream=6000)
    with Server([MAILS[0], large, MAILS[2]]) as server, over(server, driver, limits=bound) as inbox:
        fetched = inbox.fetch(into=Sinks())
        assert [next(fetched).number, next(fetched).number] == [1, 3]
        with pytest.raises(LimitExceeded):
            next(fetched)
        assert inbox[0].raw == MAILS[0]


def test_without_sizes_bodies_are_streamed_to_sinks(driver: Driver) -> None:
    """If the server has no LIST, any body might be larger than the window."""
    faults = [Fault.refuse("LIST", text="unknown command")]
    with Server(MAILS, faults=faults) as server, over(server, driver) as inbox:
        sinks, seen = Sinks(), list[Progress]()
        for message in inbox.fetch(into=sinks, progress=seen.append):
            assert sinks.got(message.number) == MAILS[message.number - 1]
        assert len(sinks.files) == 5
        assert seen[-1] == Progress(sum(map(len, MAILS)), None, 5, 5)


def test_with_sinks_a_refused_message_is_skipped_and_raised_at_the_end(driver: Driver) -> None:
    """It is not yielded, as its sink would not be complete; all others are, and then the error is raised."""
    refusals = [Fault.refuse("RETR", 2), Fault.refuse("RETR", 4, "[SYS/TEMP] busy")]
    for limits in (Limits(), Limits(window=100)):
        with case(limits), Server(MAILS, faults=refusals) as server:
            with pytest.raises(MessageUnavailable) as caught, over(server, driver, limits=limits) as inbox:
                for message in inbox.fetch(into=(sinks := Sinks())):
                    assert sinks.got(message.number) == MAILS[message.number - 1]
                    message.delete()
            assert list(caught.value.refused) == [2, 4]
            assert isinstance(caught.value.refused[4], TemporaryFailure)
            assert server.messages == MAILS


def test_a_fetch_over_asyncio_can_be_closed() -> None:
    """After `contextlib.aclosing` or `aclose()`, also repeated, it yields no more, and the session stays usable."""

    async def main(server: Server) -> None:
        async with AsyncMailbox.from_url(server.url, "secret") as inbox:
            async with contextlib.aclosing(inbox.fetch()) as fetched:
                async for message in fetched:
                    assert message.number == 1
                    break
            assert [message async for message in fetched] == []
            unused = inbox.fetch()
            for _ in range(2):
                await unused.aclose()
            assert [message async for message in unused] == []
            with pytest.raises(RuntimeError, match="thrown"):
                await inbox.fetch().athrow(RuntimeError("thrown"))
            assert await inbox[3].raw() == MAILS[3]

    with Server(MAILS) as server:
        asyncio.run(main(server))


def test_an_error_of_a_sink_is_raised_unchanged(driver: Driver) -> None:
    """Between replies it leaves the session usable; in the middle of a stream it ends the session."""
    full = OSError(28, "No space left on device")

    def into(message: Any) -> Any:
        def write(_: bytes) -> None:
            raise full

        return write if message.number == 3 else Sinks()(message)

    def refuse(message: Any) -> Any:
        if message.number == 3:
            raise full
        return io.BytesIO()

    for limits, streamed in ((Limits(), False), (Limits(window=100), True)):
        for sink in (into, refuse):
            with case(limits, sink.__name__), Server(MAILS) as server:
                inbox = over(server, driver, limits=limits).open()
                inbox[0].delete()
                fetched = inbox.fetch(into=sink)
                assert next(fetched).number == 2
                with pytest.raises(OSError, match="No space") as caught:
                    next(fetched)
                assert caught.value is full
                with pytest.raises(StopIteration):
                    next(fetched)
                if streamed and sink is into:
                    with pytest.raises(ConnectionLost):
                        _ = inbox[3].raw
                else:
                    assert inbox[3].raw == MAILS[3]
                inbox.rollback()
                server.wait()
                assert server.messages == MAILS


def test_nothing_unverified_reaches_a_sink(driver: Driver) -> None:
    """With a server that loses replies, a sink gets only bytes of its own message, and the rest is an error."""
    for quirk in (Quirk.DROPS_PIPELINED,):
        with case(quirk), Server(MANY, quirks=quirk, lock=False) as server:
            inbox = over(server, driver, timeout=0.5).open()
            sinks = Sinks()
            whole = []
            with pytest.raises(MailboxError):
                for message in inbox.fetch(into=sinks):
                    whole.append(message.number)
            for number in sinks.files:
                assert sinks.got(number) == MANY[number - 1]
            inbox.reopen()
            again = Sinks()
            assert len(list(inbox.fetch(into=again))) == 200
            assert [again.got(number) for number in range(1, 201)] == MANY
            inbox.close()


def test_a_fetch_with_sinks_can_be_left_early(driver: Driver) -> None:
    """The session stays usable, and messages that were not yielded have no sink."""
    with Server(MANY) as server, over(server, driver) as inbox:
        sinks = Sinks()
        for message in inbox.fetch(into=sinks):
            if message.number == 3:
                break
        assert list(sinks.files) == [1, 2, 3]
        assert inbox[150].raw == MANY[150]


def test_bodies_for_sinks_are_not_held(driver: Driver) -> None:
    """40 MB are downloaded in memory bounded by the window."""
    body = b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 12_000
    with Server([body] * 200) as server, over(server, driver, limits=Limits(window=1_000_000)) as inbox:
        counted = 0

        def count(data: bytes) -> None:
            nonlocal counted
            counted += len(data)

        held = list(inbox)
        tracemalloc.start()
        try:
            for _ in inbox.fetch(into=lambda _: count):
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert counted == 200 * len(body)
        assert len(held) == 200
        assert peak < 8_000_000  # of the embedded server's, too


# --- progress -------------------------------------------------------------------------------------------------


def test_progress_of_many(driver: Driver) -> None:
    """Bytes and messages are counted correctly, with messages that are cached, deleted or refused."""
    faults = [Fault.refuse("RETR", 20)]  # the 20th, which is for message 21
    with Server(MANY, faults=faults) as server, over(server, driver) as inbox:
        kept = inbox[4]
        assert kept.raw == MANY[4]
        inbox[0].delete()
        seen: list[Progress] = []
        for message in inbox.fetch(progress=seen.append):
            if message.number == 10:
                inbox[199].delete()
        total = sum(map(len, MANY)) - len(MANY[0]) - len(MANY[199]) - len(MANY[20])
        assert seen[-1] == Progress(total, total, 198, 198)
        assert seen[0].total_messages == 199
        assert [report.bytes for report in seen] == sorted(report.bytes for report in seen)
        inbox.undelete()


def test_an_error_of_progress_leaves_the_session_usable(driver: Driver) -> None:
    """`progress` is called between replies, unless a body is streamed."""
    for into in (None, Sinks()):
        with case(into), Server(MANY) as server, over(server, driver) as inbox:

            def report(_: Progress) -> None:
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                list(inbox.fetch(into=into, progress=report))
            assert inbox[100].raw == MANY[100]


# --- one driver only ------------------------------------------------------------------------------------------


def test_sinks_may_be_coroutine_functions() -> None:
    """`into` and `write` may be coroutine functions, with streaming and without."""

    class File:
        def __init__(self) -> None:
            self.data = b""

        async def write(self, data: bytes) -> int:
            await asyncio.sleep(0)
            self.data += data[:100_000]
            return min(len(data), 100_000)

    async def run(server: Server, limits: Limits) -> None:
        async with AsyncMailbox.from_url(server.url, "secret", limits=limits) as inbox:
            files: dict[int, File] = {}

            async def into(message: Any) -> File:
                await message.uid()  # may ask the server, as no reply is being received
                files[message.number] = File()
                return files[message.number]

            async for message in inbox.fetch(into=into):
                assert files[message.number].data == MAILS[message.number - 1]
            assert len(files) == 5

    for limits in (Limits(), Limits(window=100)):
        with Server(MAILS) as server:
            asyncio.run(run(server, limits))


def test_into_may_use_the_message() -> None:
    """Reading uid, filename or headers works, as the session is free between two bodies."""
    with Server(MANY) as server, Mailbox.from_url(server.url, "secret") as inbox:
        names: list[str] = []

        def into(message: Any) -> io.BytesIO:
            names.append(message.filename)
            return io.BytesIO()

        assert len(list(inbox.fetch(into=into))) == len(MANY)
        assert len(set(names)) == len(MANY)
        assert server.log.count("UIDL") == 1
        assert not any(line.startswith("TOP") for line in server.log)
