"""Fixtures: runs of an archive in processes of their own, with strace or without."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pymailbox.testing import Server
from tests.archive.runs import MAILS, Outcome, Runner, job
from tests.conftest import missing
from tests.servers import ServerMissingError

#: Runs a job under strace: `traced(log, job, *options of strace)`.
Traced = Callable[..., Outcome]


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Starts runs; all that they import is loaded."""
    with Runner() as one, Server(MAILS, lock=False) as server:
        archive = tmp_path_factory.mktemp("loaded") / "a"
        for verb in ("collect", "read", "rebuild"):
            one.tell(job(archive, server, "nothing", verb))
            assert "error" not in one.answer()
        yield one


@pytest.fixture
def traced(installed: Callable[[str], list[str]], runner: Runner) -> Traced:
    """Runs a job under strace; the test is skipped, or fails, if that is not possible here."""
    strace = installed("strace")

    def trace(log: Path, job: dict[str, Any], *options: str) -> Outcome:
        try:
            return runner.traced(strace, log, job, *options)
        except ServerMissingError as error:
            missing(error)

    return trace
