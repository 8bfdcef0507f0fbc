"""Ctrl-C, SIGTERM and SIGHUP end every command at any moment with one line and their status, and what was safe is safe."""

import ctypes
import gc
import json
import operator
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pymailbox import Account, Archive
from pymailbox.cli import main
from pymailbox.cli.interruption import Stop, Terminated, stoppable, terminable
from pymailbox.testing import Fault, Server
from tests import ROOT
from tests.cli.processes import environment, program, run
from tests.timing import GENEROUS, ended, eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

MAILS = [b"Subject: %d\r\n\r\n%s\r\n" % (number, b"x" * 500) for number in range(600)]
TOLD = "pymailbox: interrupted; what was archived is safe; run it again for the rest\n"


def started(*arguments: str) -> "subprocess.Popen[str]":
    """Start a command without a terminal."""
    command = [sys.executable, *program(*arguments)[5:]]  # without -X dev: a socket may be made and not yet be anyone's
    return subprocess.Popen(
        command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def files(archive: Path) -> int:
    """Return how many messages have their place; the ledger may learn of the last ones in the next run."""
    return len(list((archive / "new").iterdir())) if archive.exists() else 0


# --- the rule -------------------------------------------------------------------------------------------------


@pytest.fixture
def _handlers() -> Iterator[None]:
    """Check that the handlers are what they were."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_ends(number: signal.Signals) -> None:
    """Before anything has begun the first one ends it; a command that was asked ends with the same signal."""
    kind = KeyboardInterrupt if number == signal.SIGINT else Terminated
    with pytest.raises(kind), stoppable():
        signal.raise_signal(number)
    with pytest.raises(kind), stoppable() as stop:
        stop.begun = True
        signal.raise_signal(number)
        assert stop.event.is_set()
        signal.raise_signal(number)
    with stoppable() as stop:
        stop.begun = True
        stop.check()
        signal.raise_signal(number)
    with pytest.raises(kind):
        stop.check()
    Stop().check()


@pytest.mark.usefixtures("_handlers")
def test_an_ignored_signal_stays_ignored() -> None:
    """As under nohup, or in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable() as stop:
            stop.begun = True
            signal.raise_signal(signal.SIGINT)
            assert not stop.event.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


# --- no signal is lost ----------------------------------------------------------------------------------------


def too_late(number: int, call: Callable[[], object]) -> None:
    """Make a call just before which a signal arrives: Python has looked for signals, and does so again after it.

    The C library's `raise` and the call follow each other without an instruction of Python between them.
    """
    send = getattr(ctypes.PyDLL(None), "raise")
    deque(map(operator.call, (partial(send, number), call)), maxlen=0)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_just_before_a_call_that_waits(number: signal.Signals) -> None:
    """The call ends, as it does if the signal comes during it."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, end)
    ours, theirs = socket.socketpair()
    try:
        with ours, theirs:
            for call in (partial(time.sleep, 3600), partial(ours.recv, 1), threading.Lock().acquire):
                if not isinstance(call, partial):
                    call()  # now it is taken
                with pytest.raises(KeyboardInterrupt), terminable():
                    too_late(number, call)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_destructor(number: signal.Signals) -> None:
    """Python drops what its handler raises there; it is sent again, until what it raises arrives."""

    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt) as caught, terminable():
        Dying()
        time.sleep(3600)
    assert getattr(caught.value, "number", signal.SIGINT) == number


def test_what_else_a_destructor_raises_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is without this; and afterwards all is as before."""
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: reported.append(args.exc_type))

    class Dying:
        def __del__(self) -> None:
            raise ValueError

    threads, hook = threading.active_count(), sys.unraisablehook
    with terminable():
        Dying()
    assert reported == [ValueError]
    assert (threading.active_count(), sys.unraisablehook) == (threads, hook)
    assert signal.set_wakeup_fd(-1) == -1


def test_ctrl_c_just_before_the_wait_for_a_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command ends at once."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")

    class Poll:
        def __init__(self) -> None:
            self.real = poll()
            self.register = self.real.register

        def poll(self, seconds: float) -> None:
            too_late(signal.SIGINT, partial(self.real.poll, seconds))

    poll = select.poll
    monkeypatch.setattr(select, "poll", Poll)
    for arguments in (["ls"], ["archive", "--to", str(tmp_path / "me")], ["doctor"], ["wait"]):
        with Server(MAILS, faults=[Fault.stall(command="STAT", nth=None)]) as server:
            assert main([*arguments, server.url]) == 130


def interrupted(
    arguments: Sequence[str], number: int, steps: int, files: Collection[str], server: Server
) -> int | None:
    """Run a command, with a signal at one of the lines of these files; return its status, None if it has fewer lines.

    As a signal handler does, a trace function runs in the thread itself, wherever that is.
    """
    left, idle, over = steps, False, threading.Event()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if not any(map(frame.f_code.co_filename.endswith, files)):
            return None
        left -= event == "line" and not idle
        if left == 0:
            sys.settrace(None)
            signal.raise_signal(number)
        return trace

    def end() -> None:
        nonlocal idle
        eventually(lambda: server.log.count("STAT") or over.is_set())
        before = 0
        while before != left and not over.wait(0.1):  # until it waits for the silent server
            before = left
        if left > 0 and not over.is_set():
            idle = True
            signal.pthread_kill(main_thread, signal.SIGINT)

    def early(*_: object) -> None:
        raise KeyboardInterrupt

    main_thread, thread, before = threading.get_ident(), threading.Thread(target=end), sys.gettrace()
    handler = signal.signal(signal.SIGTERM, early)  # by default it ends a process that has not begun
    thread.start()
    sys.settrace(trace)
    try:
        status = main(arguments)
    except KeyboardInterrupt:  # before anything has begun; `program` catches it
        status = -1
    finally:
        sys.settrace(before)
        over.set()
        ended(thread)
        signal.signal(signal.SIGTERM, handler)
        gc.collect()  # what was left open
    return None if left > 0 else status


PYMAILBOX = {str(path.relative_to(ROOT)) for path in (ROOT / "pymailbox").rglob("*.py")}


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket")  # one may be made and not yet be anyone's
@pytest.mark.parametrize("part", [8, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("command", "number", "files", "stride"),
    [
        ("archive", signal.SIGINT, PYMAILBOX, 83),
        ("archive", signal.SIGTERM, {"contextlib.py", "weakref.py"}, 2),
        ("watch", signal.SIGTERM, PYMAILBOX, 83),
        ("ls", signal.SIGINT, {"argparse.py"}, 199),
        ("wait", signal.SIGTERM, {"subprocess.py"}, 1),
    ],
    ids=[
        "archive",
        "archive, inside what it uses",
        "watch",
        "ls, while it reads its arguments",
        "wait, while it starts its command",
    ],
)
def test_a_signal_between_any_two_lines(
    command: str, number: signal.Signals, files: Collection[str], stride: int, part: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Of pymailbox, and of what it uses: the command ends with one line, and leaves nothing open or running.

    Not of threading: a trace function can raise before the `__exit__` of a lock, where no signal handler runs.
    """
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    more = {
        "archive": ["--to", str(tmp_path / "me")],
        "watch": ["--state", str(tmp_path / "me.watch"), "--", "true"],
        "ls": [],
        "wait": ["--", "sleep", "600"],
    }[command]
    faults = [] if command == "wait" else [Fault.stall(command="STAT", nth=None)]
    told: list[tuple[int, int]] = []
    for steps in count(1, stride * part):
        with Server(MAILS[:1], faults=faults) as server:
            status = interrupted([command, server.url, *more], number, steps, files, server)
        err = capsys.readouterr().err
        if status is None:
            break
        told.append((status, err.count("\n")))
    expected = (130 if number == signal.SIGINT else 143, 1)
    assert set(told) <= {expected, (-1, 0)}
    assert told.count(expected) > 3


# --- the process ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_command_that_waits_ends_at_once(number: signal.Signals, status: int, tmp_path: Path) -> None:
    """While the server is silent, with one line; nothing has been changed."""
    with Server(MAILS, faults=[Fault.stall(command="STAT")]) as server:
        for arguments, told in (
            (["ls", server.url], "pymailbox: interrupted; nothing was changed\n"),
            (["archive", server.url, "--to", str(tmp_path / "me")], TOLD),
        ):
            seen = server.log.count("STAT")
            process = started(*arguments)
            eventually(lambda seen=seen: server.log.count("STAT") > seen)  # type: ignore[misc]
            process.send_signal(number)
            out, err = process.communicate(timeout=GENEROUS)
            assert (process.returncode, out, err) == (status, "", told)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_archive_stops_with_what_is_safe(number: signal.Signals, status: int, tmp_path: Path) -> None:
    """The message that is arriving is still archived, the result is printed, and the next run does the rest."""
    with Server(MAILS, latency=0.005, pipelining=False) as server:
        process = started("archive", server.url, "--to", str(tmp_path / "me"))
        eventually(lambda: "RETR 20" in server.log)
        process.send_signal(number)
        out, err = process.communicate(timeout=GENEROUS)
        assert (process.returncode, err) == (status, TOLD)
        with Archive(tmp_path / "me") as archive:
            new = len(archive)
        assert 0 < new < len(MAILS)
        assert out.startswith(f"{new} new, ")
        server.wait()
        done = run("archive", server.url, "--to", str(tmp_path / "me"))
        assert done.stdout.decode().startswith(f"{len(MAILS) - new} new, ")


@pytest.mark.parametrize("rich", [True, False])
def test_a_terminal_that_is_closed_ends_archive_as_ctrl_c_does(rich: bool, tmp_path: Path) -> None:
    """Nothing can be shown any more, but what has arrived is stored, and the run counts as one that has ended."""
    ours, theirs = os.openpty()
    controlled = ["sh", "-c", f'exec "$@" < {os.ttyname(theirs)} > {os.ttyname(theirs)} 2>&1', "sh"]
    without = "import sys; sys.modules['rich.live'] = None; from pymailbox.cli import program; program()"
    me = tmp_path / "me"
    with Server(MAILS, latency=0.005, pipelining=False, lock_wait=GENEROUS) as server:
        command = program("archive", server.url, "--to", str(me))
        process = subprocess.Popen(
            [
                *controlled,
                *(command if rich else [sys.executable, "-c", without, *command[command.index("archive") :]]),
            ],
            env=environment(),
            start_new_session=True,
        )
        eventually(lambda: len(server.sessions) > 0)  # by then it has the terminal open
        os.close(theirs)
        try:
            shown = b""
            while b"new " not in shown:
                shown += os.read(ours, 65536)
            eventually(lambda: "RETR 5" in server.log)
        finally:
            os.close(ours)
        assert process.wait(GENEROUS) == 129
        server.wait()
        account = Account.from_url(server.url)
        with Archive(me) as archive:
            assert 0 < len(archive) == files(me) < len(MAILS)
            assert archive.last_run(account) is not None
            assert archive.last_failure(account) is None


def test_the_second_ctrl_c_does_not_wait_for_the_server(tmp_path: Path) -> None:
    """A message that never arrives completely keeps the first one waiting, but not the second."""
    with Server(MAILS, pipelining=False, faults=[Fault.stall(200, command="RETR", nth=20)]) as server:
        process = started("archive", server.url, "--to", str(tmp_path / "me"), "--json", "--progress")
        eventually(lambda: "RETR 20" in server.log)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=GENEROUS)
    assert (process.returncode, err) == (130, TOLD)
    assert files(tmp_path / "me") >= json.loads(out.splitlines()[-1])["safe"]


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 20))]
)  # fmt: skip
def test_archive_can_be_interrupted_at_any_moment(seed: int, tmp_path: Path) -> None:
    """No traceback; what was shown as safe is in the archive, and the next run completes it, each message once."""
    moment = random.Random(seed)
    with Server(MAILS, latency=0.01, lock_wait=GENEROUS) as server:
        process = started("archive", server.url, "--to", str(tmp_path / "me"), "--json", "--progress")
        eventually(lambda: len(server.sessions) > 0)
        time.sleep(moment.uniform(0, 0.6))
        for _ in range(moment.choice([1, 1, 2])):
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=GENEROUS)
        values = [json.loads(line) for line in out.splitlines()]
        assert process.returncode in (0, 130)
        assert err == ("" if process.returncode == 0 else TOLD)
        kept = files(tmp_path / "me")
        assert kept >= max([value["safe"] for value in values if value["type"] == "progress"], default=0)
        assert kept >= sum(value["new"] for value in values if value["type"] == "result")
        if process.returncode == 0:
            assert kept == len(MAILS)
        assert run("archive", server.url, "--to", str(tmp_path / "me")).returncode == 0
        with Archive(tmp_path / "me") as archive:
            assert sorted(record.raw for record in archive) == sorted(MAILS)
            assert archive.verify()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_two_signals_at_once_have_the_status_of_one(number: signal.Signals, tmp_path: Path) -> None:
    """Whatever the second one interrupts, such as the report of the first."""
    with Server(MAILS, faults=[Fault.stall(command="STAT")]) as server:
        for pause in (0.0, 0.001, 0.003, 0.01, 0.03):
            seen = server.log.count("STAT")
            process = started("archive", server.url, "--to", str(tmp_path / "me"))
            eventually(lambda seen=seen: server.log.count("STAT") > seen)  # type: ignore[misc]
            process.send_signal(number)
            time.sleep(pause)
            process.send_signal(number)
            out, err = process.communicate(timeout=GENEROUS)
            assert (process.returncode, out) == (128 + number, "")
            assert err in ("", TOLD)


def test_ctrl_c_while_it_starts_shows_no_traceback() -> None:
    """What is imported before a signal can be told is little: nothing of other packages."""
    code = "import sys, pymailbox.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=GENEROUS
    )
    assert not {"attr", "attrs", "argparse", "ssl"} & set(done.stdout.split())
