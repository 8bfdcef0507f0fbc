"""Each way to end a session sends exactly the right commands: commit, rollback, close, a block, garbage collection."""

import gc
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext

import pytest

from pymailbox import ConnectionLost, Mailbox, Uncommitted
from pymailbox.pop3 import commands
from pymailbox.testing import Fault, Quirk, Server
from tests import case
from tests.drivers import Driver
from tests.mailbox.test_mailbox import MAILS, Trouble, over, sent
from tests.timing import GENEROUS, eventually


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with five messages."""
    with Server(MAILS) as server:
        yield server


def test_how_a_block_ends_and_what_is_sent(driver: Driver) -> None:
    """After an exception QUIT is sent only if it is harmless; after Ctrl-C, `sys.exit()` and the like nothing is."""

    def nothing(inbox: Mailbox) -> None:
        pass

    def top(inbox: Mailbox) -> None:
        assert inbox[0].subject == "s1"

    def retr(inbox: Mailbox) -> None:
        assert inbox[0].raw == MAILS[0]

    def mark(inbox: Mailbox) -> None:
        inbox[0].delete()

    def mark_and_not(inbox: Mailbox) -> None:
        inbox[0].delete()
        inbox.undelete()

    def fail(inbox: Mailbox) -> None:
        inbox.connection.close()

    marked = ("UIDL", "LIST", "DELE 1")
    table: list[tuple[Callable[[Mailbox], None], tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = [
        (nothing, (), ("QUIT",), ("QUIT",)),
        (top, ("TOP 1 0",), ("QUIT",), ("QUIT",)),
        (retr, ("RETR 1",), ("QUIT",), ()),
        (mark, marked, ("QUIT",), ("RSET",)),
        (mark_and_not, (*marked, "RSET"), ("QUIT",), ()),
        (fail, (), (), ()),
    ]
    for use, before, at_a_clean_end, at_an_exception in table:
        for trouble in (None, Trouble, KeyboardInterrupt, SystemExit, GeneratorExit):
            after = at_a_clean_end if trouble is None else at_an_exception if trouble is Trouble else ()
            with case(use.__name__, trouble), Server(MAILS) as server:
                with pytest.raises(trouble) if trouble else nullcontext(), over(server, driver) as inbox:
                    use(inbox)
                    if trouble is not None:
                        raise trouble
                assert sent(server) == (*before, *after)
                assert server.messages == (MAILS[1:] if trouble is None and use is mark else MAILS)


def test_read_only_leaves_no_trace_of_reading(driver: Driver) -> None:
    """After a RETR no QUIT is sent, as some servers then hide what was downloaded (Q63)."""
    with Server(MAILS, quirks=Quirk.HIDES_READ) as server:
        for read, last in ((lambda inbox: inbox[1].subject, "QUIT"), (lambda inbox: inbox[1].raw, "RETR 2")):
            for leave in ("commit", "rollback", "reopen"):
                with over(server, driver, read_only=True) as inbox:
                    assert len(inbox) == len(MAILS)
                    read(inbox)
                    session = len(server.sessions)
                    getattr(inbox, leave)()
                server.wait(GENEROUS)
                assert server.sessions[session - 1].commands[-1] == last


def test_commit_and_rollback_and_close(driver: Driver) -> None:
    """commit() deletes, rollback() and close() do not; only close() warns, with the number of deletions."""
    for leave, deletes in (("commit", True), ("rollback", False), ("close", False)):
        for marks in (0, 1, 3):
            with case(leave, marks), Server(MAILS) as server:
                inbox = over(server, driver).open()
                inbox.delete(inbox[:marks])
                if leave == "close" and marks:
                    with pytest.warns(Uncommitted, match=f"closed with {marks} deletion"):
                        inbox.close()
                else:
                    getattr(inbox, leave)()
                with pytest.raises(ValueError, match="not open"):
                    len(inbox)
                with pytest.raises(ValueError, match="not open"):
                    inbox.commit()
                inbox.close()
                inbox.rollback()
                server.wait(GENEROUS)
                assert server.messages == MAILS[marks if deletes else 0 :]
                inbox.open().close()
    with pytest.raises(ValueError, match="not open"):
        driver.Mailbox("pop.example.com").commit()


def test_commands_on_the_connection_are_part_of_the_transaction(server: Server) -> None:
    """A DELE or RETR on `inbox.connection` counts like the mailbox's own: only a clean end commits it."""
    for mark in (lambda pop: pop.dele(1), lambda pop: list(pop.pipeline([commands.dele(1)]))):
        for leave in ("exception", "rollback", "close", "read_only"):
            with case(leave):
                before = len(server.log)
                with (
                    pytest.raises(Trouble) if leave == "exception" else nullcontext(),
                    over(server, read_only=leave == "read_only") as inbox,
                ):
                    mark(inbox.connection)
                    if leave == "exception":
                        raise Trouble
                    if leave != "read_only":
                        getattr(inbox, leave)()
                server.wait(GENEROUS)
                assert "QUIT" not in server.log[before:]
                assert server.messages == MAILS
    for read_only, last in ((True, "RETR 1"), (False, "QUIT")):
        with over(server, read_only=read_only) as inbox:
            assert inbox.connection.retr(1) == MAILS[0]
        server.wait(GENEROUS)
        assert server.log[-1] == last
    with over(server) as inbox:
        inbox.connection.dele(1)
    assert server.messages == MAILS[1:]


def test_close_wakes_a_waiting_thread() -> None:
    """`close()` ends another thread's reading at once, without TLS and with it."""
    for security in ("none", "tls"):
        with (
            case(security),
            Server(MAILS, security=security, faults=[Fault.stall(10, command="RETR")]) as server,  # type: ignore[arg-type]
            Mailbox.from_url(
                server.url, "secret", timeout=None, ssl_context=server.client_context() if security == "tls" else None
            ) as inbox,
        ):
            caught: list[BaseException] = []

            def read(inbox: Mailbox = inbox, caught: list[BaseException] = caught) -> None:
                try:
                    _ = inbox[0].raw
                except BaseException as error:
                    caught.append(error)

            thread = threading.Thread(target=read)
            thread.start()
            eventually(lambda server=server: "RETR 1" in server.log)  # type: ignore[misc]
            inbox.close()
            thread.join(GENEROUS)
            assert not thread.is_alive()
            assert isinstance(caught[0], ConnectionLost)


def test_close_after_a_failure_deletes_nothing(server: Server) -> None:
    """With `try/finally` and `contextlib.closing` a failure does not commit half of the work."""

    def work() -> None:
        with closing(over(server).open()) as inbox:
            inbox[0].delete()
            raise Trouble

    with pytest.warns(Uncommitted), pytest.raises(Trouble):
        work()
    assert server.messages == MAILS
    inbox = over(server).open()
    inbox[0].delete()
    with pytest.warns(Uncommitted) as caught:
        inbox.close()
    assert caught[0].filename == __file__  # the warning points to the call of close()


def test_close_never_raises(driver: Driver) -> None:
    """Whatever the server does, there is only the warning."""
    faults = [
        Fault.refuse("RSET"),
        Fault.drop("RSET"),
        Fault.cut(0, how="rst", command="RSET"),
        Fault.stall(command="RSET"),
    ]
    for fault in (*faults, None):
        with case(fault), Server(MAILS, faults=[fault] if fault else [], lock=False) as server:
            inbox = over(server, driver).open()
            inbox[0].delete()
            if fault is None:
                inbox.connection.close()
            elif fault.kind == "stall":
                connection = inbox.connection
                getattr(connection, "_inner", connection).timeout = 0.2
            with pytest.warns(Uncommitted, match="1 deletion pending"):
                inbox.close()
            inbox.close()
            with pytest.raises(ValueError, match="not open"):
                inbox.reopen()
            inbox.open().close()
            assert "QUIT" not in server.sessions[0].commands
            assert server.messages == MAILS


@pytest.mark.threat(66)
def test_garbage_collection_commits_nothing(driver: Driver) -> None:
    """It closes the connection, which frees the lock, sends nothing, and warns of deletions or of the open connection."""
    for marks in (0, 2):
        for held in (False, True):
            with case(marks, held), Server(MAILS) as server:
                inbox: Mailbox | None = over(server, driver).open()
                assert inbox is not None
                inbox.delete(inbox[:marks])
                message = inbox[4] if held else None
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    inbox = None
                    gc.collect()
                    message = None  # which kept its session alive
                    gc.collect()
                    with over(server, driver) as other:  # over asyncio the loop must run to close a socket
                        assert len(other) == 5
                assert message is None
                assert [w.category for w in caught] == [Uncommitted if marks else ResourceWarning]
                if marks:
                    assert "dropped without being closed, with 2 deletions pending" in str(caught[0].message)
                assert sent(server) == (("UIDL", "LIST", "DELE 1", "DELE 2") if marks else ())
                assert server.messages == MAILS


def test_messages_outlive_their_mailbox(server: Server) -> None:
    """A message keeps its session alive; deletions through it can no longer be committed, and warn."""
    message = over(server).open()[0]
    gc.collect()
    assert message.raw == MAILS[0]
    message.delete()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del message
        gc.collect()
    assert [w.category for w in caught] == [Uncommitted]
    assert server.messages == MAILS


def test_after_a_proper_end_nothing_warns(driver: Driver) -> None:
    """Messages of a session that was committed or rolled back are collected without a warning."""
    with Server(MAILS) as server:
        for leave in ("commit", "rollback"):
            inbox = over(server, driver).open()
            message = inbox[0]
            message.delete()
            getattr(inbox, leave)()
            del inbox, message
            gc.collect()
