"""A session that ends early loses no message, and the next one opens: goodbyes, reopen(), event loops, limits."""

import asyncio
import gc
import io
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pymailbox import (
    Account,
    AsyncMailbox,
    CommitError,
    ConnectionLost,
    LimitExceeded,
    Limits,
    TemporaryFailure,
    Timeout,
)
from pymailbox.pop3.settings import ConnectionSettings
from pymailbox.testing import Fault, Server
from pymailbox.testing.certificates import Certificates
from tests import case
from tests.drivers import Driver
from tests.replay import Replay, Step, reset
from tests.timing import GENEROUS, ended, hurry

MAILS = [b"Subject: %d\r\n\r\nbody %d\r\n" % (number, number) for number in range(3)]


def over(driver: Driver, server: Server, **options: Any) -> Any:
    """Return the mailbox of this server."""
    return driver.Mailbox.from_url(server.url, "secret", **{"timeout": GENEROUS, **options})


# --- a server's goodbye ---------------------------------------------------------------------------------------


def close_notify(sock: socket.socket) -> None:
    """Send close_notify without waiting for the client's, then end the stream."""
    if isinstance(sock, ssl.SSLSocket):
        sock.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            sock.unwrap()
        sock.setblocking(True)
    sock.shutdown(socket.SHUT_WR)


GOODBYES: dict[str, Callable[[socket.socket], object]] = {
    "text": lambda sock: sock.sendall(b"-ERR idle for too long\r\n"),
    "text and the end": lambda sock: (sock.sendall(b"-ERR idle for too long\r\n"), close_notify(sock)),
    "polite text": lambda sock: (sock.sendall(b"+OK bye\r\n"), close_notify(sock)),
    "half a line": lambda sock: (sock.sendall(b"-ER"), close_notify(sock)),
    "the end": close_notify,
    "a ragged end": lambda sock: sock.shutdown(socket.SHUT_RDWR),
    "a reset": reset,
}


@contextmanager
def idle(
    driver: Driver,
    goodbye: Callable[[socket.socket], object],
    *,
    marks: Sequence[int] = (1, 3),
    after: Sequence[Step] = (),
    **options: Any,
) -> Iterator[tuple[Any, Replay]]:
    """Open a mailbox with deletions pending, and return to the caller after the server's goodbye."""
    marked, gone = threading.Event(), threading.Event()

    def leave(sock: socket.socket) -> None:
        assert marked.wait(GENEROUS)
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # send at once, before the last reply is acknowledged
        goodbye(sock)
        gone.set()

    steps = [
        (None, b"+OK ready\r\n"),
        (b"USER me\r\n", b"+OK\r\n"),
        (b"PASS secret\r\n", b"+OK\r\n"),
        (b"STAT\r\n", b"+OK 3 300\r\n"),
        (b"UIDL\r\n", b"+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n"),
        *([(b"LIST\r\n", b"+OK\r\n1 100\r\n2 100\r\n3 100\r\n.\r\n")] if marks else []),
        *((b"DELE %d\r\n" % number, b"+OK\r\n") for number in marks),
        (None, leave),
        *after,
    ]
    with Replay(steps, ending="stay", tcp=True, context=options.pop("server", None)) as replay:
        options = {"security": "none", "capa": False, "timeout": GENEROUS, "sock": replay.client} | options
        inbox = driver.Mailbox("localhost", "me", "secret", **options).open()
        assert inbox.uids == ("a", "b", "c")
        inbox.delete([inbox[number - 1] for number in marks])
        marked.set()
        assert gone.wait(GENEROUS)
        yield inbox, replay


def versions() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield plaintext and each version of TLS, with the options of both ends."""
    yield "none", {}
    with closing(Certificates.make("localhost")) as certificates:
        certificates.context.num_tickets = 2  # under TLS 1.3 a readable socket may hold no data
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server = certificates.context
            server.minimum_version = server.maximum_version = version
            yield version.name, {"security": "tls", "server": server, "ssl_context": certificates.client_context()}


def test_after_a_goodbye_before_quit_nothing_was_deleted(driver: Driver) -> None:
    """QUIT is not sent, so nothing is in doubt: `ConnectionLost` names what was not deleted (decision 5)."""
    for name, options in versions():
        for kind, goodbye in GOODBYES.items():
            with case(name, kind), idle(driver, goodbye, **options) as (inbox, replay):
                with pytest.raises(ConnectionLost, match="none of its 2 deletions was committed") as caught:
                    inbox.commit()
                assert "message 1, uid a; message 3, uid c" in str(caught.value)
                if kind.startswith("text"):
                    assert caught.value.response == "-ERR idle for too long"
            assert b"QUIT" not in replay.received
            assert not replay.problem


def test_a_server_that_is_gone_before_quit_committed_nothing(driver: Driver) -> None:
    """With and without TLS, and with replies of an abandoned iteration still in flight."""
    mails = MAILS * 200
    for security in ("none", "starttls", "tls"):
        for left_early in (False, True):
            with case(security, left_early), Server(mails, security=security) as server:
                context = None if security == "none" else server.client_context()
                inbox = over(driver, server, ssl_context=context).open()
                inbox[0].delete()
                if left_early:
                    next(iter(inbox.fetch(inbox[1:])))
                server.close()
                with pytest.raises(ConnectionLost, match="none of its 1 deletions was committed"):
                    inbox.commit()
                assert "QUIT" not in server.log


def test_an_unanswered_quit_is_in_doubt(driver: Driver) -> None:
    """However the session ends after QUIT was sent: `CommitError` names what is in doubt."""
    for kind, goodbye in GOODBYES.items():
        if kind == "polite text":
            continue  # that is the reply to QUIT
        replies = [(b"QUIT\r\n", goodbye)]
        with case(kind), idle(driver, lambda _: None, after=replies) as (inbox, replay):
            with pytest.raises(CommitError) as caught:
                inbox.commit()
            assert caught.value.unconfirmed == ("a", "c")
            assert caught.value.unconfirmed_numbers == (1, 3)
        assert replay.received.endswith(b"QUIT\r\n")


def test_without_deletions_a_goodbye_is_not_an_error(driver: Driver) -> None:
    """Nothing was pending, so nothing is lost."""
    for kind, goodbye in GOODBYES.items():
        with case(kind), idle(driver, goodbye, marks=()) as (inbox, replay):
            inbox.close()
        assert b"QUIT" not in replay.received


# --- reopen ---------------------------------------------------------------------------------------------------


def test_a_failed_reopen_can_be_repeated(driver: Driver) -> None:
    """As often as it fails, or followed by open(); its errors are `retryable`, so a retry must work."""
    for again in ("reopen", "open"):
        with case(again), Server(MAILS) as server:
            inbox = over(driver, server).open()
            inbox[0].delete()
            server.faults = (Fault.cut(0, session=2), Fault.refuse("STAT", text="[SYS/TEMP] busy", session=3))
            for kind in (ConnectionLost, TemporaryFailure):
                with pytest.raises(kind) as caught:
                    inbox.reopen()
                assert caught.value.retryable
                with pytest.raises(ValueError, match="not open"):
                    len(inbox)
            getattr(inbox, again)()
            assert len(inbox) == 2
            inbox.reopen()
            inbox.close()
            with pytest.raises(ValueError, match="not open"):
                inbox.reopen()


def test_reopen_needs_a_mailbox_that_was_open(driver: Driver) -> None:
    """Without a session to commit it is ValueError, also after a failed open()."""
    with Server(MAILS, faults=[Fault.cut(0)]) as server:
        inbox = over(driver, server)
        with pytest.raises(ValueError, match="not open"):
            inbox.reopen()
        with pytest.raises(ConnectionLost):
            inbox.open()
        with pytest.raises(ValueError, match="not open"):
            inbox.reopen()


def test_reopen_reports_lost_deletions_once(driver: Driver) -> None:
    """Whichever side ended the session, the error names the deletions, and the next call opens."""
    for by_server, closed in ((False, False), (True, False), (True, True)):
        with case(by_server, closed), Server(MAILS, faults=[Fault.drop("NOOP")], lock=False) as server:
            inbox = over(driver, server).open()
            names = inbox.uids
            inbox.delete(inbox[1:])
            if by_server:
                with pytest.raises(ConnectionLost):
                    inbox.keep_alive()
            else:
                inbox.connection.close()
            with pytest.raises(ConnectionLost) as caught:
                if closed:
                    inbox.commit()
                else:
                    inbox.reopen()
            assert f"message 2, uid {names[1]}; message 3, uid {names[2]}" in str(caught.value)
            inbox.reopen()
            assert len(inbox) == 3
            inbox.close()


def test_reopen_reports_deletions_in_doubt_once(driver: Driver) -> None:
    """If QUIT was refused or not answered, in reopen() or in commit(), `CommitError` names them; the next call opens."""
    for fault in (Fault.refuse("QUIT"), Fault.drop("QUIT"), Fault.drop("QUIT", takes_effect=True)):
        for closed in (False, True):
            with case(fault, closed), Server(MAILS, faults=[fault], lock=False) as server:
                inbox = over(driver, server).open()
                names = inbox.uids
                inbox[1].delete()
                if closed:
                    with pytest.raises(CommitError):
                        inbox.commit()
                with pytest.raises(CommitError) as caught:
                    inbox.reopen()
                assert caught.value.unconfirmed == (names[1],)
                inbox.reopen()
                assert len(inbox) == 2 if fault.takes_effect and fault.kind == "drop" else 3
                inbox.rollback()


# --- another event loop ---------------------------------------------------------------------------------------


Part = Callable[[], Coroutine[Any, Any, None]]


def closed(first: Part, then: Part) -> None:
    """The first loop is closed when the second begins."""
    asyncio.run(first())
    asyncio.run(then())


def at_rest(first: Part, then: Part) -> None:
    """The first loop is open, but does not run."""
    with asyncio.Runner() as one, asyncio.Runner() as two:
        one.run(first())
        two.run(then())


def running(first: Part, then: Part) -> None:
    """The first loop runs in another thread."""
    ready, over = threading.Event(), threading.Event()

    async def both() -> None:
        await first()
        ready.set()
        await asyncio.to_thread(over.wait, GENEROUS)

    thread = threading.Thread(target=lambda: asyncio.run(both()))
    thread.start()
    try:
        assert ready.wait(GENEROUS)
        asyncio.run(then())
    finally:
        over.set()
        ended(thread)


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_in_another_event_loop_a_session_is_lost() -> None:
    """Whether the first loop is closed, idle or running: any use is `ConnectionLost`, and nothing is sent."""
    uses: dict[str, Callable[[AsyncMailbox], Coroutine[Any, Any, object]]] = {
        "subject": lambda inbox: inbox[1].subject(),
        "raw": lambda inbox: inbox[1].raw(),
        "fetch": lambda inbox: anext(inbox.fetch()),
        "keep_alive": lambda inbox: inbox.keep_alive(),
        "delete": lambda inbox: inbox[2].delete(),
        "commit": lambda inbox: inbox.commit(),
    }
    for security, names in {"none": tuple(uses), "tls": ("raw", "commit")}.items():
        with Server(MAILS, security=security, lock=False) as server:
            context = server.client_context() if security == "tls" else None
            for name, loops in itertools.product(names, (closed, at_rest, running)):
                with case(security, name, loops):
                    inbox = AsyncMailbox.from_url(server.url, "secret", ssl_context=context)

                    async def begin(inbox: AsyncMailbox = inbox) -> None:
                        await inbox.open()
                        await inbox[0].delete()

                    async def elsewhere(inbox: AsyncMailbox = inbox, name: str = name) -> None:
                        with pytest.raises(ConnectionLost, match="another event loop"):
                            await uses[name](inbox)
                        await inbox.rollback()

                    loops(begin, elsewhere)
                    assert "QUIT" not in server.log
                    assert server.messages == tuple(MAILS)
                    del inbox, begin, elsewhere
                    gc.collect()


def test_reopen_in_another_event_loop_is_a_fresh_session() -> None:
    """The old session is dropped; deletions that were pending there are reported once as not committed."""
    for marked in (False, True):
        with case(marked), Server(MAILS, lock=False) as server:
            inbox = AsyncMailbox.from_url(server.url, "secret")

            async def begin(inbox: AsyncMailbox = inbox, marked: bool = marked) -> None:
                await inbox.open()
                if marked:
                    await inbox[0].delete()

            async def elsewhere(inbox: AsyncMailbox = inbox, marked: bool = marked) -> None:
                if marked:
                    with pytest.raises(ConnectionLost, match="message 1"):
                        await inbox.reopen()
                await inbox.reopen()
                assert await inbox[2].subject() == "2"
                await inbox.close()

            at_rest(begin, elsewhere)
            assert server.messages == tuple(MAILS)


# --- replies to TOP that end in LF . CRLF ---------------------------------------------------------------------

LF_BODIES = (
    b"Subject: x\n\n.\r\n",
    b"Subject: x\n\n.\n",
    b"Subject: x\r\n\n.\r\n",
    b"\n.\r\n",
    b"Subject: x\n\r\n..\n.\r\n",
)


def test_after_a_top_that_ends_in_lf_the_next_session_does_not_use_top(driver: Driver) -> None:
    """If silence or the end of the stream follows LF . CRLF, and status lines end in CRLF, the error says so (decision 6)."""
    ways = itertools.cycle(itertools.product(("reopen", "open"), ("subject", "preview")))
    for body in LF_BODIES:
        wire: tuple[list[Fault], ...] = [], [Fault.cut(len(body) + 5, command="TOP")], [Fault.split(1, command="TOP")]
        for more, (again, read) in zip(wire, ways, strict=False):
            faults = [Fault.replace("TOP", None, reply=b"+OK\r\n" + body), *more]
            with case(body, more, again, read), Server(MAILS, faults=faults, lock=False) as server:
                # The clock of `hurry` runs with each byte that comes alone: that is not to count as dripping.
                inbox = over(driver, server, limits=Limits(minimum_rate=1)).open()
                hurry(inbox.connection)
                with pytest.raises((Timeout, ConnectionLost), match=r"bare LF.*top=False") as caught:
                    _ = inbox[0].subject if read == "subject" else inbox[0].preview(3)
                assert caught.value.command in ("TOP 1 0", "TOP 1 3")
                with pytest.raises(ConnectionLost, match="bare LF"):
                    _ = inbox[1].raw
                if again == "open":
                    inbox.close()
                getattr(inbox, again)()
                assert [message.subject for message in inbox] == ["0", "1", "2"]
                inbox.close()
            assert not any(line.startswith("TOP") for line in server.sessions[1].commands)


def test_silence_elsewhere_in_a_body_is_only_a_timeout(driver: Driver) -> None:
    """Unless the body seems to be complete, the error does not blame line ends, and the next session uses TOP again."""
    for body in (
        b"Subject: x\r\n\r\n",
        b"Subject: x\n\n.",
        b"Subject: x\n\n.\r",
        b"Subject: x\r\n..\r\n",
        b"",
        b".x\r\n",
    ):
        faults = [Fault.replace("TOP", 1, reply=b"+OK\r\n" + body, session=1)]
        with case(body), Server(MAILS, faults=faults, lock=False) as server, over(driver, server) as inbox:
            hurry(inbox.connection)
            with pytest.raises(Timeout) as caught:
                _ = inbox[0].subject
            assert "bare LF" not in str(caught.value)
            inbox.reopen()
            assert inbox[1].subject == "1"
            assert "TOP 2 0" in server.sessions[1].commands


def test_other_replies_that_end_in_lf_are_named_too(driver: Driver) -> None:
    """For RETR, UIDL and LIST there is no replacement, only the explanation in the error."""
    for command, read in (
        ("RETR", lambda inbox: inbox[0].raw),
        ("UIDL", lambda inbox: inbox.uids),
        ("LIST", lambda inbox: inbox[0].size),
    ):
        faults = [Fault.replace(command, 1, reply=b"+OK\r\n1 5\n.\r\n", session=1)]
        with case(command), Server(MAILS, faults=faults, lock=False) as server, over(driver, server) as inbox:
            hurry(inbox.connection)
            with pytest.raises(Timeout, match="bare LF") as caught:
                read(inbox)
            assert "top=False" not in str(caught.value)


def test_top_false_reads_headers_by_retr_from_the_start(driver: Driver) -> None:
    """Headers and previews cost one RETR for each message; TOP is never sent."""
    with Server(MAILS) as server:
        with over(driver, server, top=False) as inbox:
            assert [message.subject for message in inbox] == ["0", "1", "2"]
            assert inbox[2].preview(1).strip() == "body 2"
            assert inbox[2].raw == MAILS[2]
        server.wait(GENEROUS)
        assert server.sessions[0].commands[5:] == ("RETR 1", "RETR 2", "RETR 3", "QUIT")


# --- bodies that were not kept or are too large ---------------------------------------------------------------


def reads(message: Any, directory: Path) -> Iterator[Callable[[], object]]:
    """Yield the ways to read a message or to copy it."""
    yield lambda: message.raw
    yield lambda: message.text
    yield lambda: message.content
    yield lambda: message.attachments
    yield lambda: message.subject
    yield lambda: message.preview()
    yield lambda: message.write_to(io.BytesIO())
    yield lambda: message.save(directory / "copy.eml")


def test_reading_a_dropped_body_after_the_session_names_the_cache(driver: Driver, tmp_path: Path) -> None:
    """After `list(inbox.fetch())` and the end of the session, cached bodies can be read; others name `Limits.cache`."""
    for ending in ("close", "rollback", "lost"):
        with case(ending), Server(MAILS) as server:
            inbox = over(driver, server, limits=Limits(cache=50)).open()
            kept = list(inbox.fetch())
            assert kept[0].raw == MAILS[0]  # requested again
            inbox.connection.close() if ending == "lost" else getattr(inbox, ending)()
            assert kept[0].text == "body 0\n"
            for read in reads(kept[1], tmp_path):
                with pytest.raises(
                    ConnectionLost, match=r"message 2 .*Limits\.cache \(50 bytes\).*raise Limits\.cache"
                ):
                    read()
            assert list(tmp_path.iterdir()) == []
            if ending == "lost":
                inbox.reopen()
                assert inbox[1].raw == MAILS[1]
                inbox.close()


def test_errors_after_the_session_name_what_to_read_before(driver: Driver, tmp_path: Path) -> None:
    """Sizes, uids and file names that were read are still there; otherwise the error says what to read in time."""

    def never(read: Callable[[], object], names: str) -> None:
        with pytest.raises(ConnectionLost, match=rf"read {names} while the session is open") as caught:
            read()
        assert not caught.value.retryable
        assert list(tmp_path.iterdir()) == []

    uids = r"inbox\.uids, message\.uid or message\.filename"
    for ending in ("close", "rollback", "lost"):
        with case(ending), Server(MAILS) as server:
            for asked in (False, True):
                inbox = over(driver, server).open()
                message, other = inbox[0], inbox[1]
                raw = message.raw
                known = (message.size, message.uid, message.filename) if asked else None
                inbox.connection.close() if ending == "lost" else getattr(inbox, ending)()
                if known is None:
                    never(partial(getattr, message, "size"), r"inbox\.sizes or message\.size")
                    for name in ("uid", "filename"):
                        never(partial(getattr, message, name), uids)
                    never(partial(message.save, tmp_path), uids)
                    path = message.save(tmp_path / "copy.eml")  # needs no name
                else:
                    never(partial(getattr, other, "filename"), r"message\.filename")  # its headers were not read
                    assert (message.size, message.uid, message.filename) == known
                    path = message.save(tmp_path)
                    assert path.name == message.filename
                assert path.read_bytes() == raw
                path.unlink()


def test_reading_a_body_that_fetch_did_not_download_names_the_window(driver: Driver, tmp_path: Path) -> None:
    """A message larger than `Limits.window` can be read only while the session is open."""
    mails = [MAILS[0], MAILS[1] + b"x" * 5000 + b"\r\n"]
    with Server(mails) as server:
        inbox = over(driver, server, limits=Limits(window=1000)).open()
        kept = list(inbox.fetch())
        inbox.close()
        assert kept[0].raw == mails[0]
        for read in reads(kept[1], tmp_path):
            with pytest.raises(ConnectionLost, match=r"message 2 .*Limits\.window"):
                read()


def test_a_message_too_large_according_to_list_is_not_requested(driver: Driver, tmp_path: Path) -> None:
    """`LimitExceeded` leaves the session usable; the message can be streamed, and fetch() yields it."""
    mails = [MAILS[0], b"Subject: large\r\n\r\n" + b"x" * 5000 + b"\r\n", MAILS[2]]
    for limits in (Limits(message=1000), Limits(message=1000, window=500)):
        with case(limits), Server(mails) as server:
            with over(driver, server, limits=limits) as inbox:
                assert inbox[1].size == len(mails[1])
                for read in (lambda: inbox[1].raw, lambda: inbox[1].text, lambda: inbox[1].content):
                    with pytest.raises(LimitExceeded, match=r"Limits\.message") as caught:
                        read()
                    error = caught.value
                    assert (error.field, error.usable, error.command) == ("message", True, "RETR 2")
                fetched = inbox.fetch()
                assert next(fetched).raw == mails[0]
                large = next(fetched)
                with pytest.raises(LimitExceeded):
                    _ = large.raw
                assert next(fetched).raw == mails[2]
                assert large.subject == "large"
                large.save(tmp_path / "large.eml")
                assert (tmp_path / "large.eml").read_bytes() == mails[1]
            server.wait(GENEROUS)
            assert [line for line in server.sessions[0].commands if line == "RETR 2"] == ["RETR 2"]
            assert server.sessions[0].ended == "QUIT"
    with Server(mails) as server, over(driver, server, limits=Limits(message=1000), top=False) as inbox:
        assert inbox[0].size
        with pytest.raises(LimitExceeded) as caught:
            _ = inbox[1].subject
        assert caught.value.usable
        assert inbox[2].subject == "2"
    with Server(mails) as server, over(driver, server, limits=Limits(stream=1000)) as inbox:
        assert inbox[0].size
        for copy in (lambda: inbox[1].write_to(io.BytesIO()), lambda: inbox[1].save(tmp_path / "copy.eml")):
            with pytest.raises(LimitExceeded) as caught:
                copy()
            assert (caught.value.field, caught.value.usable) == ("stream", True)
        assert not (tmp_path / "copy.eml").exists()
        assert inbox[1].raw == mails[1]


def test_a_message_that_turns_out_too_large_ends_the_session(driver: Driver) -> None:
    """If LIST was not asked, or gave a smaller size."""
    large = b"Subject: large\r\n\r\n" + b"x" * 5000 + b"\r\n"
    for lie in ([], [Fault.replace("LIST", None, reply=b"+OK\r\n1 10\r\n.\r\n")]):
        with case(lie), Server([large], faults=lie) as server:
            inbox = over(driver, server, limits=Limits(message=1000)).open()
            if lie:
                assert inbox[0].size == 10
            with pytest.raises(LimitExceeded) as caught:
                _ = inbox[0].raw
            assert (caught.value.field, caught.value.usable) == ("message", False)
            with pytest.raises(ConnectionLost):
                inbox.keep_alive()
            inbox.rollback()


def test_the_default_timeout_is_a_minute(driver: Driver) -> None:
    """For all classes, as slow servers can take half a minute to find a large message."""
    account = Account("pop.example.com", "me", "secret")
    for made in (
        driver.Mailbox("pop.example.com"),
        driver.Mailbox.from_url("pops://me@pop.example.com"),
        driver.Mailbox.from_account(account),
    ):
        assert made.connection.timeout == 60.0
    assert driver.Connection("pop.example.com").timeout == 60.0
    assert ConnectionSettings(host="pop.example.com", port=995).timeout == 60.0


def test_an_interrupt_after_the_login_closes_the_connection(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while `open()` finishes its work leaves no socket open."""

    def interrupted(*_: object) -> None:
        raise Interrupted

    class Interrupted(BaseException):
        """As KeyboardInterrupt, which would end an event loop."""

    for module in ("mailbox", "async_mailbox"):
        monkeypatch.setattr(f"pymailbox.mailbox.{module}.OpenMailbox", interrupted)
    with Server(MAILS) as server:
        inbox = over(driver, server)
        with pytest.raises(Interrupted):
            inbox.open()
        server.wait(GENEROUS)
        assert server.log[-1] == "STAT"
        assert server.sessions[0].ended is not None
