"""Fixtures: runs of an archive in processes of their own, with strace or without."""

import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from pymailbox.testing import Server
from tests.archive.runs import MAILS, Call, Outcome, Runner, injecting, job
from tests.conftest import missing
from tests.servers import ServerMissingError

PARTS = 8
#: The whole of a proof is slow, and in parts so that they run in parallel. None: its quick form.
IN_PARTS = pytest.mark.parametrize(
    "part",
    [None, *(pytest.param(part, marks=pytest.mark.slow) for part in range(PARTS))],
    ids=lambda part: "quick" if part is None else f"part {part}",
)
IN_BOTH_MODES = pytest.mark.parametrize("keep", ["everything", "nothing"])


@frozen
class Traced:
    """Runs jobs under strace; the test is skipped, or fails, if that is not possible here."""

    _runner: Runner
    _strace: list[str]

    def __call__(self, log: Path, run: dict[str, Any], *options: str) -> Outcome:
        """Run a job to its end, with these options of strace."""
        try:
            return self._runner.traced(self._strace, log, run, *options)
        except ServerMissingError as error:
            missing(error)

    def killed(self, call: Call, run: dict[str, Any], log: Path) -> bool:
        """Kill a run at a system call, which is not made any more; return whether the run came so far."""
        options = ["-e", f"trace={call.name},fsync,fdatasync", *injecting(call, "signal=SIGKILL")]
        return self(log, run, *options) == {"killed": True}


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Starts runs; all that they import is loaded."""
    with Runner() as one, Server(MAILS, lock=False) as server:
        archive = tmp_path_factory.mktemp("loaded") / "a"
        for verb in ("collect", "read", "rebuild"):
            one.send(job(archive, server, "nothing", verb))
            assert "error" not in one.receive()
        yield one


@pytest.fixture
def traced(installed: Callable[[str], list[str]], runner: Runner) -> Traced:
    """Runs jobs under strace."""
    if platform.machine() != "x86_64":
        missing(ServerMissingError("these tests know the system calls of Linux on x86-64 only"))
    return Traced(runner, installed("strace"))
