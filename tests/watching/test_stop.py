"""`stop()` from a thread, a signal handler, or between any two steps; Ctrl-C; one user at a time. In real time."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pymailbox import ConcurrentUse, MailboxError, Watch
from pymailbox.testing import Fault, Server
from pymailbox.watching import watch as module
from tests.timing import GENEROUS, ended, eventually
from tests.watching.watches import Time, TimedWatch, account_of, mail


@contextmanager
def at_signal(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Handle SIGUSR1 during the block."""
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def soon(action: Callable[[], object], condition: Callable[[], object] = lambda: True) -> threading.Thread:
    """Do something in another thread, shortly after a condition has become true."""

    def work() -> None:
        eventually(condition)
        time.sleep(0.03)
        action()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def signal_main() -> None:
    """Send the signal to the main thread."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


def test_in_real_time() -> None:
    """The smoke test: a mail that arrives while the watch waits is found by the next look."""
    with Server() as server, Watch(account_of(server), every=0.05) as watch:
        thread = soon(lambda: server.deliver(mail("one")), lambda: len(server.sessions) > 3)
        assert watch.wait(timeout=GENEROUS).subject == "one"
        ended(thread)


def test_stop_between_looks() -> None:
    """A loop ends normally, at once, and stays ended; `wait` raises."""
    with Server() as server, Watch(account_of(server), every=3600) as watch:
        thread = soon(watch.stop, lambda: len(server.sessions) > 1)
        assert list(watch) == []
        assert list(watch) == []
        with pytest.raises(MailboxError, match="stopped"):
            watch.wait(timeout=3600)
        assert len(server.sessions) == 2
        ended(thread)


@pytest.mark.parametrize("command", ["GREETING", "PASS", "UIDL", "RETR"])
@pytest.mark.parametrize("way", ["thread", "signal"])
@pytest.mark.parametrize("security", ["none", "tls"])
def test_stop_during_a_look(command: str, way: str, security: Any, tmp_path: Path) -> None:
    """A look that waits for the server ends at once; nothing is lost."""
    with Server(sasl=(), faults=[Fault.stall(command=command, session=2)], security=security) as server:
        from attrs import evolve

        account = evolve(account_of(server), security=security)
        options = {"ssl_context": server.client_context()} if security == "tls" else {}
        state = tmp_path / "me.seen"
        with Watch(account, every=3600, state=state, timeout=3600.0, **options) as watch:
            server.deliver(mail("one"))

            def reached() -> bool:
                if len(server.sessions) < 2:
                    return False
                return command == "GREETING" or any(line.startswith(command) for line in server.sessions[1].commands)

            with at_signal(lambda *_: watch.stop()):
                thread = soon(watch.stop if way == "thread" else signal_main, reached)
                assert list(watch) == []
                ended(thread)
        with Watch(account, every=3600, state=state, **options) as watch:
            assert next(watch).subject == "one"


def test_stop_in_a_signal_handler_between_looks() -> None:
    """The handler runs in the thread that waits."""
    with Server() as server, Watch(account_of(server), every=3600) as watch, at_signal(lambda *_: watch.stop()):
        thread = soon(signal_main, lambda: len(server.sessions) > 1)
        assert list(watch) == []
        ended(thread)


def test_a_signal_handler_may_run_anywhere() -> None:
    """`stop()` called between any two lines of the code that waits and looks neither hangs nor raises.

    As a signal handler does, a trace function runs in the thread itself, whatever locks that holds.
    """
    files = {sys.modules[name].__file__ for name in sys.modules if name.startswith("pymailbox.")}
    files |= {module.__file__, threading.__file__, __import__("queue").__file__}
    steps = 1
    stopped_at: set[tuple[str, int]] = set()
    while True:
        left = [steps]
        with Server() as server, Watch(account_of(server), every=0.01) as watch:
            server.deliver(mail("one"))

            def trace(frame: FrameType, event: str, _: object, left: list[int] = left, watch: Watch = watch) -> Any:
                if frame.f_code.co_filename not in files:
                    return None
                if event == "line":
                    left[0] -= 1
                    if left[0] == 0:
                        stopped_at.add((frame.f_code.co_filename, frame.f_lineno))
                        sys.settrace(None)
                        watch.stop()
                return trace

            before = sys.gettrace()
            sys.settrace(trace)
            try:
                arrived = [arrival.subject for arrival in watch]
            finally:
                sys.settrace(before)
            assert arrived in ([], ["one"])
            if arrived and len(server.sessions) > 2:  # it has handed out the mail, waited, and begun to look again
                break
        steps += 53
    assert len(stopped_at) > 50


def test_stop_on_entering() -> None:
    """Entering raises, between tries and before the first."""
    with Server(faults=[Fault.refuse("AUTH", None, "[IN-USE] locked")]) as server:
        watch = Watch(account_of(server))
        thread = soon(watch.stop, lambda: len(server.sessions) > 0)
        with pytest.raises(MailboxError), watch:
            pass
        ended(thread)
        watch = Watch(account_of(server))
        watch.stop()
        with pytest.raises(MailboxError, match="stopped"), watch:
            pass


def test_stop_drops_what_was_not_handed_out(tmp_path: Path) -> None:
    """The loop ends after its body although more has arrived; with a state file the next watch has the rest."""
    with Server() as server:
        with Watch(account_of(server), state=tmp_path / "me.seen") as watch:
            for subject in ("a", "b"):
                server.deliver(mail(subject))
            for arrival in watch:
                watch.stop()
                arrival.done()
        with Watch(account_of(server), state=tmp_path / "me.seen") as watch:
            assert next(watch).subject == "b"


def test_ctrl_c_leaves_at_once_and_loses_nothing() -> None:
    """Between looks and during one; the watch can be used further."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with (
        Server([mail("old")], faults=[Fault.stall(command="UIDL", session=3)]) as server,
        Watch(account_of(server), every=0.2, timeout=GENEROUS * 2) as watch,
        at_signal(interrupt),
    ):
        for reached in (2, 3):
            thread = soon(signal_main, lambda count=reached: len(server.sessions) >= count)
            with pytest.raises(KeyboardInterrupt):
                next(watch)
            ended(thread)
        server.deliver(mail("one"))
        assert next(watch).subject == "one"


def test_one_user_at_a_time() -> None:
    """A second thread gets `ConcurrentUse`, and so does the predicate; the first is not disturbed."""
    with Server() as server, Watch(account_of(server), every=3600) as watch:

        def second() -> None:
            with pytest.raises(ConcurrentUse):
                watch.wait(timeout=0)
            watch.stop()

        thread = soon(second, lambda: len(server.sessions) > 1)
        assert list(watch) == []
        ended(thread)
    with Server() as server, Watch(account_of(server)) as watch:
        server.deliver(mail("one"))
        with pytest.raises(ConcurrentUse):
            watch.wait(lambda _: watch.wait())
        assert next(watch).subject == "one"


def test_without_stop_no_wait_is_cut_short() -> None:
    """A watch that was stopped before does not end the waits of another."""
    with Server() as server:
        for _ in range(2):
            watch = TimedWatch(account_of(server))
            watch.time = Time()
            with watch:
                with pytest.raises(TimeoutError):
                    watch.wait(timeout=120)
                watch.stop()


def test_the_process_can_be_ended_by_a_signal(tmp_path: Path) -> None:
    """A service that stops its watch on SIGTERM ends normally."""
    import subprocess

    script = (
        "import signal, sys\n"
        "from pymailbox import Account, Watch\n"
        "account = Account('127.0.0.1', 'me', 'secret', port=int(sys.argv[1]), security='none')\n"
        "with Watch(account, every=3600, state=sys.argv[2]) as watch:\n"
        "    signal.signal(signal.SIGTERM, lambda *_: watch.stop())\n"
        "    for arrival in watch:\n"
        "        print(arrival.subject, flush=True)\n"
        "        arrival.done()\n"
        "print('ended', flush=True)\n"
    )
    with Server() as server:
        with Watch(account_of(server), state=tmp_path / "me.seen"):
            server.deliver(mail("one"))
        command = [sys.executable, "-c", script, str(server.port), str(tmp_path / "me.seen")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "one\n"
            os.kill(process.pid, signal.SIGTERM)
            output, _ = process.communicate(timeout=GENEROUS)
            assert (output, process.returncode) == ("ended\n", 0)
