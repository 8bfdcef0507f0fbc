"""Ctrl-C and SIGTERM end every command at any moment with one line and their status, and what was safe is safe."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymailbox import Archive
from pymailbox.cli.interruption import Stop, Terminated, stoppable
from pymailbox.testing import Fault, Server
from tests.cli.processes import environment, program, run
from tests.timing import GENEROUS, eventually

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
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends(number: signal.Signals) -> None:
    """Before anything has begun the first one ends it; a command that was asked ends with the same signal."""
    kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
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


# --- the process ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
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


def test_ctrl_c_while_it_starts_shows_no_traceback() -> None:
    """What is imported before a signal can be told is little: nothing of other packages."""
    code = "import sys, pymailbox.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=GENEROUS
    )
    assert not {"attr", "attrs", "argparse", "ssl"} & set(done.stdout.split())
