"""An archive takes memory for its list of messages, not for their content, and a run without news asks for no more
than the uids."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pymailbox import Archive
from pymailbox.testing import Server
from tests import ROOT
from tests.archive.box import Box, account_of, message, serve

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's counts are those of Linux")
MEBI = 1 << 20


def collect(server: Server, archive: Path, *, room: int) -> tuple[int, int, int, float]:
    """Archive a mailbox in a process with `room` MiB for data.

    Return the numbers of new and known messages, the most bytes of memory it had, and its seconds of CPU.
    """
    command = [sys.executable, "-m", "tests.archive.limited", server.host, str(server.port), str(archive), str(room)]
    environment = os.environ | {"MALLOC_ARENA_MAX": "1"}  # an arena for each thread would take address space only
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=550)
    assert not done.returncode, done.stderr
    new, known, memory, seconds = json.loads(done.stdout)
    return new, known, memory, seconds


def test_a_run_that_finds_nothing_new_asks_for_the_uids_only(tmp_path: Path) -> None:
    """STAT is as it was, so LIST has nothing to add."""
    with Server([message(number) for number in range(500)]) as server, Archive(tmp_path / "a") as archive:
        assert archive.collect(account_of(server)).new == 500
        second = archive.collect(account_of(server))
        assert (second.new, second.known) == (0, 500)
        said = [command.split()[0] for command in server.sessions[-1].commands]
        assert said[said.index("STAT") :] == ["STAT", "UIDL", "QUIT"]


@LINUX
@pytest.mark.parametrize(
    ("count", "size"), [(2, 100), pytest.param(20, 200, marks=pytest.mark.slow)], ids=["2 of 100 MB", "20 of 200 MB"]
)
def test_a_message_is_never_in_memory(tmp_path: Path, count: int, size: int) -> None:
    """Messages are archived by a process that has no room for one of them."""
    box = Box()
    large = message(1, size * MEBI)
    for number in range(count):
        box.put(str(number), large)
    with serve(box) as server:
        assert collect(server, tmp_path / "a", room=size - 20)[:2] == (count, 0)
        assert {path.stat().st_size for path in (tmp_path / "a" / "new").iterdir()} == {size * MEBI - 4}
    with Archive(tmp_path / "a") as archive:
        assert archive.verify().read == count


@LINUX
@pytest.mark.slow
def test_a_hundred_thousand_messages(tmp_path: Path) -> None:
    """The first run needs little more memory than the second, which takes 90 MB and 1.5 s of CPU at most."""
    count = 100_000
    with Server([b"Subject: %d\r\n\r\n.\r\n" % number for number in range(count)]) as server:
        new, known, memory, _ = collect(server, tmp_path / "a", room=200)  # of which 64 for the stacks of threads
        assert (new, known) == (count, 0)
        assert memory <= 110_000_000
        new, known, memory, seconds = collect(server, tmp_path / "a", room=80)
        assert (new, known) == (0, count)
        assert memory <= 90_000_000
        assert seconds <= 1.5
