"""Mailbox and Message return the right results with few commands, and refuse misuse; on the embedded server."""

import copy
import gc
import io
import os
import pickle
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pymailbox import (
    AsyncMailbox,
    CommandError,
    ConcurrentUse,
    ConnectionLost,
    Limits,
    Mailbox,
    MessageUnavailable,
    NotSupported,
    OAuth2,
    PasswordCommand,
    PasswordEnv,
    PasswordFile,
    PasswordKeyring,
    PasswordNetrc,
    TemporaryFailure,
    Timeout,
    Uncommitted,
)
from pymailbox.pop3.deadlines import Left
from pymailbox.pop3.transport import Transport
from pymailbox.testing import Fault, Quirk, Server
from tests import case
from tests.drivers import Blocking, Driver
from tests.timing import GENEROUS, ended, eventually, hurry

LOGIN = 5  # CAPA, UTF8, AUTH, CAPA, STAT


def mail(number: int, lines: int = 20) -> bytes:
    head = b"From: A <a@example.com>\r\nSubject: s%d\r\n\r\nbody %d\r\n" % (number, number)
    return head + b"line\r\n" * lines


MAILS = tuple(map(mail, range(1, 6)))


def over(server: Server, driver: Any = Blocking, **options: Any) -> Mailbox:
    mailbox: Mailbox = driver.Mailbox.from_url(server.url, "secret", **options)
    return mailbox


def sent(server: Server, session: int = 0) -> tuple[str, ...]:
    """Return the commands of a session after the login."""
    server.wait(GENEROUS)
    return server.sessions[session].commands[LOGIN:]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(MAILS) as server:
        yield server


# --- the sequence ---------------------------------------------------------------------------------------------


def test_a_sequence_costs_nothing(server: Server) -> None:
    with over(server) as inbox:
        assert len(inbox) == 5
        assert inbox.size == sum(map(len, MAILS))
        assert [m.number for m in inbox] == [1, 2, 3, 4, 5]
        assert [m.number for m in reversed(inbox)] == [5, 4, 3, 2, 1]
        assert [m.number for m in inbox[::-2]] == [5, 3, 1]
        assert isinstance(inbox[-2:], tuple)
        assert inbox[3:1] == ()
        assert inbox[-1] in inbox
        assert 1 not in inbox
        assert None not in inbox
        assert inbox.index(inbox[2]) == 2
        for index in (5, -6, 10**30):
            with pytest.raises(IndexError):
                inbox[index]
    assert sent(server) == ("QUIT",)


def test_an_empty_mailbox_needs_no_commands() -> None:
    with Server([], quirks=Quirk.EMPTY_LIST_REFUSED) as server:
        with over(server) as inbox:
            assert not inbox
            assert inbox.size == 0
            assert inbox.uids == ()
            assert inbox.new([]) == ()
            assert list(inbox.fetch()) == []
            assert inbox[:] == ()
            assert inbox.deleted == ()
            inbox.delete(inbox)
            inbox.undelete()
        assert sent(server) == ("QUIT",)


@pytest.mark.parametrize("index", [1.0, "1", None])
def test_an_index_is_a_whole_number(server: Server, index: Any) -> None:
    with over(server) as inbox, pytest.raises(TypeError):
        inbox[index]


def test_an_object_with_index_is_an_index(server: Server) -> None:
    class Third:
        def __index__(self) -> int:
            return 2

    third: Any = Third()
    with over(server) as inbox:
        assert inbox[third] is inbox[2]


def test_a_message_is_the_same_object_while_it_is_referenced(server: Server) -> None:
    with over(server) as inbox:
        held = inbox[3]
        assert held is inbox[3] is inbox[-2] is inbox[3:4][0] is list(inbox)[3]
        gone = weakref.ref(inbox[0])
        assert gone() is None
        last = weakref.ref(inbox[0])
        assert inbox[1].raw
        assert last() is None


@pytest.mark.threat(119)
def test_sessions_cannot_be_pickled_or_copied(server: Server) -> None:
    with over(server) as inbox:
        for thing in (inbox, inbox[0]):
            for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="cannot be pickled or copied"):
                    attempt(thing)
        assert pickle.loads(pickle.dumps(inbox[0].content)).subject == "s1"


def test_using_a_mailbox_that_is_not_open_is_refused(server: Server) -> None:
    inbox = over(server)
    uses: list[Callable[[], object]] = [
        lambda: len(inbox),
        lambda: inbox[0],
        lambda: iter(inbox),
        lambda: inbox.uids,
        lambda: inbox.size,
        lambda: inbox.fetch(),
        lambda: inbox.new([]),
        lambda: inbox.delete([]),
        inbox.keep_alive,
        inbox.reopen,
    ]
    for _ in range(2):
        for use in uses:
            with pytest.raises(ValueError, match="not open"):
                use()
        inbox.close()
        inbox.rollback()
        with inbox:
            pass
    assert "not open" in repr(inbox)


# --- sizes, uids, headers, bodies -----------------------------------------------------------------------------


def test_sizes_and_uids_cost_one_command_each(server: Server) -> None:
    with over(server) as inbox:
        assert [m.size for m in inbox] == list(map(len, MAILS))
        assert tuple(m.uid for m in inbox) == inbox.uids
        assert inbox.by_uid(inbox.uids[2] or "") is inbox[2]
        for missing in ("nobody", None):
            with pytest.raises(KeyError):
                inbox.by_uid(missing)
        for seen in (inbox.uids[:2], list(inbox.uids[:2]), set(inbox.uids[:2]), dict.fromkeys(inbox.uids[:2])):
            assert [m.number for m in inbox.new(seen)] == [3, 4, 5]
        for wrong in ("uid", b"uid"):
            with pytest.raises(TypeError):
                inbox.new(wrong)
    assert sent(server) == ("LIST", "UIDL", "QUIT")


def test_a_blank_uid_is_none() -> None:
    with Server(MAILS, quirks=Quirk.BLANK_UID) as server, over(server) as inbox:
        assert inbox[0].uid is None
        with pytest.raises(KeyError):
            inbox.by_uid(None)


def test_without_uidl_there_are_no_uids_and_deleting_works() -> None:
    with Server(MAILS, uidl=False) as server:
        with over(server) as inbox:
            with pytest.raises(NotSupported):
                _ = inbox.uids
            with pytest.raises(NotSupported):
                inbox.new([])
            inbox[0].delete()
        assert sent(server) == ("UIDL", "LIST", "DELE 1", "QUIT")


def test_a_temporary_failure_of_uidl_is_not_remembered() -> None:
    with Server(MAILS, faults=[Fault.refuse("UIDL", text="[SYS/TEMP] busy")]) as server, over(server) as inbox:
        with pytest.raises(TemporaryFailure):
            _ = inbox.uids
        assert len(inbox.uids) == 5


def test_a_marked_message_keeps_its_uid_and_its_size(driver: Driver) -> None:
    """UIDL and LIST omit marked messages (RFC 1939 §5), so they are asked before the first DELE."""
    with Server(MAILS) as server:
        with over(server, driver) as inbox:
            inbox[0].delete()
            assert inbox.sizes == tuple(map(len, MAILS))
            assert inbox[0].size == len(MAILS[0])
            assert inbox[0].uid == inbox.uids[0]
            inbox[1].delete()
            inbox.undelete()
            assert inbox[0].size == len(MAILS[0])
        assert sent(server) == ("UIDL", "LIST", "DELE 1", "DELE 2", "RSET", "QUIT")


def test_listings_may_omit_marked_messages(driver: Driver) -> None:
    """If LIST was refused before the DELE, a later LIST does not have the marked message."""
    faults = [Fault.refuse("LIST", text="[SYS/TEMP] busy")]
    with Server(MAILS, faults=faults) as server, over(server, driver) as inbox:
        inbox[0].delete()
        assert inbox[1].size == len(MAILS[1])
        assert inbox[0].size is None
        assert "COUNTS_DIFFER" not in inbox.connection.quirks
        inbox.undelete()
        assert inbox[0].size == len(MAILS[0])


def test_without_top_headers_are_read_by_retr_and_the_body_is_kept() -> None:
    with Server(MAILS, top=False) as server:
        with over(server) as inbox:
            for message in inbox:
                assert (message.subject, message.raw) == (f"s{message.number}", MAILS[message.number - 1])
        assert sent(server) == ("TOP 1 0", *(f"RETR {number}" for number in range(1, 6)), "QUIT")


@pytest.mark.parametrize("lf", [False, True])
def test_nothing_is_prefetched_if_top_sends_bodies(lf: bool) -> None:
    quirks = Quirk.TOP_IGNORES_COUNT | Quirk.LF_LINES if lf else Quirk.TOP_IGNORES_COUNT
    with Server(MAILS, quirks=quirks) as server:
        with over(server) as inbox:
            assert [message.subject for message in inbox[:3]] == ["s1", "s2", "s3"]
        assert sent(server) == ("TOP 1 0", "TOP 2 0", "TOP 3 0", "QUIT")


@pytest.mark.parametrize(
    ("quirks", "top", "asked"),
    [
        ((), True, ("TOP 1 2",)),
        ((Quirk.TOP_TEN_LINES,), True, ("TOP 1 2",)),
        ((Quirk.TOP_IGNORES_COUNT,), True, ("TOP 1 2",)),
        ((), False, ("TOP 1 2", "RETR 1")),
    ],
)
def test_a_preview_has_the_requested_number_of_lines(
    quirks: tuple[Quirk, ...], top: bool, asked: tuple[str, ...]
) -> None:
    with Server(MAILS, quirks=quirks, top=top) as server:
        with over(server) as inbox:
            message = inbox[0]
            assert message.preview(2) == "body 1\nline"
        assert sent(server) == (*asked, "QUIT")


def test_a_preview_of_a_cached_message_sends_nothing(server: Server) -> None:
    with over(server) as inbox:
        message = inbox[0]
        assert message.raw
        assert message.preview(1) == "body 1"
        for wrong, error in ((-1, ValueError), ("3", TypeError), (True, TypeError)):
            with pytest.raises(error):
                message.preview(wrong)
    assert message.preview(0) == ""
    assert len(message.preview(1000).splitlines()) == 21
    assert sent(server) == ("RETR 1", "QUIT")


def test_after_the_session_what_was_read_stays_readable(server: Server) -> None:
    with over(server) as inbox:
        read, unread = inbox[0], inbox[1]
        assert read.raw
    assert read.body.startswith("body 1")
    assert read.subject == "s1"
    assert read.write_to(io.BytesIO()) == len(MAILS[0])
    for ask in (lambda: unread.raw, lambda: unread.subject, lambda: unread.uid, unread.preview, unread.delete):
        with pytest.raises(ConnectionLost):
            ask()


def test_a_deleted_message_is_not_requested(server: Server, tmp_path: Path) -> None:
    with over(server) as inbox:
        message = inbox[0]
        message.delete()
        for ask in (
            lambda: message.raw,
            lambda: message.subject,
            message.preview,
            lambda: message.save(tmp_path / "a"),
        ):
            with pytest.raises(MessageUnavailable):
                ask()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.threat(43)
def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    with (
        Server(MAILS, faults=[Fault.cut(30, command="RETR")]) as server,
        over(server) as inbox,
        pytest.raises(ConnectionLost),
    ):
        inbox[0].save(tmp_path / "a.eml")
    assert list(tmp_path.iterdir()) == []


# --- fetch ----------------------------------------------------------------------------------------------------


def test_a_refusal_in_fetch_is_raised_when_the_message_is_read() -> None:
    with Server(MAILS, faults=[Fault.refuse("RETR", 2)]) as server, over(server) as inbox:
        read = []
        for message in inbox.fetch():
            try:
                read.append(message.raw)
            except MessageUnavailable:
                assert message.number == 2
        assert read == [MAILS[0], *MAILS[2:]]
        assert inbox[1].raw == MAILS[1]


def test_the_mailbox_can_be_used_inside_fetch(server: Server) -> None:
    with over(server) as inbox:
        numbers = []
        for message in inbox.fetch():
            numbers.append(message.number)
            inbox.keep_alive()
            assert inbox[4].subject == "s5"
            assert message.raw == MAILS[message.number - 1]
            message.delete()
        assert numbers == [1, 2, 3, 4, 5]
        assert len(inbox.deleted) == 5
        inbox.undelete()
        pairs = [(a.number, b.raw) for a, b in zip(inbox.fetch(), inbox.fetch(reversed(inbox)), strict=True)]
        assert pairs == [(n, MAILS[5 - n]) for n in range(1, 6)]
        assert next(inbox.fetch()).number == 1  # left early
        assert [m.number for m in inbox.fetch(m for m in inbox if m.number > 3)] == [4, 5]


def test_fetch_does_not_download_messages_larger_than_the_window(tmp_path: Path) -> None:
    mails = [mail(1), mail(2, 5000), mail(3)]
    with Server(mails) as server:
        with over(server, limits=Limits(window=2000)) as inbox:
            for message in inbox.fetch():
                assert message.save(tmp_path / "a.eml", overwrite=True) == tmp_path / "a.eml"
        assert sent(server) == ("LIST", "RETR 1", "RETR 3", "LIST 1", "RETR 2", "LIST 3", "QUIT")


# --- deletion -------------------------------------------------------------------------------------------------


def test_only_messages_of_this_session_can_be_deleted(server: Server) -> None:
    with over(server) as inbox:
        old = inbox[0]
        inbox.reopen()
        for foreign in (old, [inbox[1], old]):
            with pytest.raises(ValueError, match="another session"):
                inbox.delete(foreign)
        for wrong in (1, None, "1", [1], {"a": 1}):
            with pytest.raises(TypeError):
                inbox.delete(wrong)
        assert inbox.deleted == ()
        inbox.delete(m for m in inbox if m.number % 2)
        inbox[0].delete()
        inbox[0].undelete()
        inbox.undelete(inbox[4:])
        assert [m.number for m in inbox.deleted] == [3]
        assert len(inbox) == 5
    assert server.messages == (*MAILS[:2], *MAILS[3:])


def test_refused_deletions_are_reported_by_number() -> None:
    with Server(MAILS, faults=[Fault.refuse("DELE", 2, "[SYS/TEMP] no"), Fault.refuse("DELE", 4)]) as server:
        with over(server) as inbox:
            with pytest.raises(TemporaryFailure) as caught:
                inbox.delete(inbox)
            assert list(caught.value.refused) == [2, 4]
            assert [m.number for m in inbox.deleted] == [1, 3, 5]
        assert server.messages == (MAILS[1], MAILS[3])


def test_read_only_deletes_nothing(server: Server) -> None:
    with over(server, read_only=True) as inbox:
        for delete in (lambda: inbox.delete(inbox), inbox[0].delete):
            with pytest.raises(ValueError, match="read_only"):
                delete()
    assert sent(server) == ("QUIT",)


# --- the end of a session -------------------------------------------------------------------------------------


class Trouble(Exception):
    """An exception of the caller's own code."""


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (lambda inbox: inbox[0].subject, ("TOP 1 0", "RSET")),
        (lambda inbox: inbox[0].raw, ("RETR 1", "RSET")),
    ],
)
@pytest.mark.threat(66)
@pytest.mark.threat(88)
def test_an_exception_removes_the_marks(
    server: Server, reading: Callable[[Mailbox], object], expected: tuple[str, ...]
) -> None:
    with pytest.raises(Trouble), over(server) as inbox:
        reading(inbox)
        inbox.delete(inbox[1:3])
        raise Trouble
    asked = [line for line in sent(server) if not line.startswith(("UIDL", "LIST", "DELE"))]
    assert tuple(asked) == expected
    assert server.messages == MAILS


def test_a_refused_rset_ends_the_session() -> None:
    with Server(MAILS, faults=[Fault.refuse("RSET", None)]) as server:
        with pytest.raises(Trouble) as caught, over(server) as inbox:
            inbox[0].delete()
            raise Trouble
        assert "RSET" in caught.value.__notes__[0]
        with pytest.raises(CommandError), over(server) as inbox:
            inbox[0].delete()
            inbox.rollback()
        assert "QUIT" not in sent(server) + sent(server, 1)
        assert server.messages == MAILS


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
@pytest.mark.threat(13)
def test_after_an_interruption_inside_a_command_nothing_is_sent() -> None:
    waiting = threading.get_ident()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def later() -> None:
        eventually(lambda: "RETR 2" in server.log)
        time.sleep(0.1)
        signal.pthread_kill(waiting, signal.SIGALRM)

    with Server(MAILS, faults=[Fault.stall(command="RETR")]) as server:
        before = signal.signal(signal.SIGALRM, interrupt)
        sending = threading.Thread(target=later)
        try:
            with pytest.raises(KeyboardInterrupt), over(server, timeout=None) as inbox:
                inbox[0].delete()
                sending.start()
                _ = inbox[1].raw
        finally:
            ended(sending)
            signal.signal(signal.SIGALRM, before)
        assert sent(server) == ("UIDL", "LIST", "DELE 1", "RETR 2")
        assert server.messages == MAILS


def test_a_session_that_broke_before_quit_deleted_nothing() -> None:
    with Server(MAILS, faults=[Fault.drop("RETR")]) as server:
        inbox = over(server).open()
        inbox[0].delete()
        with pytest.raises(ConnectionLost):
            _ = inbox[1].raw
        with pytest.raises(ConnectionLost, match="none of its 1 deletions was committed"):
            inbox.commit()
        assert server.messages == MAILS


def test_reopen_commits_and_sees_new_messages(server: Server) -> None:
    with over(server) as inbox:
        old = inbox[1]
        assert old.raw
        inbox[0].delete()
        server.deliver(mail(6))
        inbox.reopen()
        assert len(inbox) == 5
        assert old not in inbox
        assert old.raw == MAILS[1]
    assert server.messages == (*MAILS[1:], mail(6))


def test_a_mailbox_with_a_given_socket_has_one_session(server: Server) -> None:
    sock = socket.create_connection((server.host, server.port))
    with over(server, sock=sock) as inbox:
        inbox[0].delete()
        with pytest.raises(ValueError, match="new socket"):
            inbox.reopen()
        assert inbox[0].deleted
        assert server.messages == MAILS
        inbox.rollback()
        with pytest.raises(ValueError, match="new socket"):
            inbox.open()


def test_closing_while_another_thread_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go, exchange = threading.Event(), threading.Event(), Transport.exchange

    def held(transport: Transport, to_send: bytes, left: Left) -> bytes:
        data = exchange(transport, to_send, left)
        reading.set()
        assert go.wait(GENEROUS)
        return data

    with Server(MAILS, faults=[Fault.drip(20, 0.01, command="RETR")]) as server:
        with over(server) as inbox:
            inbox[0].delete()
            monkeypatch.setattr(Transport, "exchange", held)
            read: list[bytes] = []
            thread = threading.Thread(target=lambda: read.append(inbox[1].raw))
            thread.start()
            assert reading.wait(GENEROUS)
            for leave in (inbox.commit, inbox.rollback, inbox.reopen):
                with pytest.raises(ConcurrentUse):
                    leave()
            go.set()
            ended(thread)
            assert read == [MAILS[1]]
            assert inbox[0].deleted
        assert server.messages == MAILS[1:]


def test_close_from_a_sink_ends_the_session_at_once(server: Server) -> None:
    """close() does not raise although the session is in use, and the command that uses it fails."""
    inbox = over(server).open()
    inbox[1].delete()

    def close(_: bytes) -> None:
        with pytest.warns(Uncommitted):
            inbox.close()

    with pytest.raises(ConnectionLost):
        inbox.connection.retr(1, sink=close)
    assert "QUIT" not in sent(server)
    assert server.messages == MAILS


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_sends_nothing(server: Server) -> None:
    with over(server) as inbox:
        inbox[0].delete()
        child = os.fork()
        if child == 0:
            try:
                inbox.close()
                del inbox
                gc.collect()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert inbox[1].subject == "s2"
    assert sent(server) == ("UIDL", "LIST", "DELE 1", "TOP 2 0", "LIST 2", "QUIT")


def test_headers_of_an_unreferenced_message_are_requested_once() -> None:
    """`inbox[0].subject` and then `inbox[0].date` is one TOP, as the message read last is kept."""
    with Server([b"Subject: one\r\nDate: Mon, 02 Jan 2023 10:00:00 +0000\r\n\r\n"] * 3) as server:
        with Mailbox.from_url(server.url, "secret") as inbox:
            assert inbox[0].subject == "one"
            assert inbox[0].date is not None
        assert sum(line.startswith("TOP") for line in server.log) == 1


def test_the_number_of_a_message_cannot_be_changed() -> None:
    """Otherwise deleting it could delete another message."""
    with Server([b"\r\n"]) as server, Mailbox.from_url(server.url, "secret") as inbox, pytest.raises(AttributeError):
        inbox[0].number = 2  # type: ignore[misc]


@pytest.mark.parametrize("option", ["limits", "sock", "ssl_context", "source_address"])
def test_an_option_of_the_wrong_type_is_refused_at_once(option: str) -> None:
    """TypeError when the mailbox is made, not when it is opened."""
    with pytest.raises(TypeError, match=option):
        Mailbox("pop.example.com", "me", "secret", **{option: 5})


@pytest.mark.parametrize("option", ["read_only", "allow_plaintext", "utf8", "capa", "top", "pipelining"])
def test_a_switch_must_be_true_or_false(option: str) -> None:
    """Otherwise TypeError names the option; 0 and "no" are not accepted, and None only for `pipelining`."""
    for value in (0, 1, "no", "", b"", *(() if option == "pipelining" else (None,))):
        for kind in (Mailbox, AsyncMailbox):
            with case(value, kind), pytest.raises(TypeError, match=f"^{option} must be True"):
                kind("pop.example.com", "me", "secret", **{option: value})


def test_a_class_instead_of_a_reference_is_refused() -> None:
    """`PasswordEnv` instead of `PasswordEnv("NAME")`, as password and as token."""
    for kind in (PasswordCommand, PasswordEnv, PasswordFile, PasswordKeyring, PasswordNetrc):
        with case(kind), pytest.raises(TypeError, match=rf"^password must be .* {kind.__name__}\("):
            Mailbox("pop.example.com", "me", kind)
        with case(kind), pytest.raises(TypeError, match=rf"^token must be .* {kind.__name__}\("):
            OAuth2(kind)


@pytest.mark.threat(55)
def test_after_a_stalled_pipeline_the_next_session_does_not_pipeline() -> None:
    """open() works, the first pipeline is a `Timeout` that explains it, and reopen() works without pipelining."""
    mails = [b"Subject: %d\r\n\r\n" % number for number in range(5)]
    with Server(mails, quirks=Quirk.DROPS_PIPELINED) as server:
        inbox = Mailbox.from_url(server.url, "secret").open()
        first = inbox[0]
        assert first.subject == "0"  # by itself; the next ones are pipelined
        hurry(inbox.connection)
        with pytest.raises(Timeout, match="PIPELINING"):
            _ = [message.subject for message in inbox]
        inbox.reopen()
        assert [message.subject for message in inbox] == ["0", "1", "2", "3", "4"]
        inbox.close()


def test_a_host_name_may_end_in_a_dot() -> None:
    """The certificate for `localhost` is valid for `localhost.`, too."""
    with Server([b"\r\n"], security="tls") as server:
        sock = socket.create_connection((server.host, server.port))
        inbox = Mailbox("localhost.", "me", "secret", ssl_context=server.client_context(), sock=sock)
        with inbox:
            assert len(inbox) == 1
