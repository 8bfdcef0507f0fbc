"""A watch with a state file that is killed again and again handles every message at least once."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pymailbox import Watch
from pymailbox.testing import Server
from tests import ROOT
from tests.timing import GENEROUS, eventually
from tests.watching.watches import account_of, mail

SERVICE = """
import os, sys
from pymailbox import Account, Watch
account = Account("127.0.0.1", "me", "secret", port=int(sys.argv[1]), security="none")
log = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
def write(line):
    os.write(log, line.encode() + b"\\n")
    os.fsync(log)
write("started")
with Watch(account, every=0.02, state=sys.argv[2]) as watch:
    for arrival in watch:
        write("handled " + arrival.subject)
        arrival.done()
        write("done " + arrival.subject)
"""


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random(kills: int, tmp_path: Path) -> None:
    """Every message is handled, and twice only if a kill came between its handling and the end of `done()`."""
    state, log = tmp_path / "me.seen", tmp_path / "log"
    log.touch()
    seed = random.randrange(1 << 30)
    chance, delivered, deaths = random.Random(seed), 0, 0

    def lines() -> list[str]:
        return log.read_text().splitlines()

    def start(server: Server) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", SERVICE, str(server.port), str(state), str(log)]
        return subprocess.Popen(command, cwd=ROOT)

    with Server([mail("old 1", 100), mail("old 2", 200)], lock=False) as server:
        with Watch(account_of(server), state=state):
            pass  # the baseline
        for _ in range(kills):
            before = lines().count("started")
            process = start(server)
            for _ in range(chance.randrange(6)):
                server.deliver(mail(str(delivered), 300 + delivered))
                delivered += 1
            eventually(lambda before=before: lines().count("started") > before)  # type: ignore[misc]
            end = time.monotonic() + chance.random() * 0.12
            while time.monotonic() < end:
                if chance.random() < 0.2:
                    server.deliver(mail(str(delivered), 300 + delivered))
                    delivered += 1
                time.sleep(0.005)
            process.kill()
            deaths += process.wait(GENEROUS) == -signal.SIGKILL
            with log.open("a") as file:
                file.write("killed\n")
        assert deaths == kills
        process = start(server)
        try:
            # Not "done": a kill may have come after the commit and before that line.
            wanted = {f"handled {number}" for number in range(delivered)}
            eventually(lambda: wanted <= set(lines()))
            looks = len(server.sessions)
            eventually(lambda: len(server.sessions) > looks + 3)
            assert process.poll() is None
        finally:
            process.kill()
            process.wait(GENEROUS)
        history = lines()
    handled = {line for line in history if line.startswith("handled")}
    assert handled == {f"handled {number}" for number in range(delivered)}, seed
    for number in range(delivered):
        mine = [line.split()[0] for line in history if line in ("killed", f"handled {number}", f"done {number}")]
        for place, word in enumerate(mine):
            rest = mine[place + 1 :]
            if word == "done":
                assert "handled" not in rest, (seed, number)
            elif word == "handled" and "handled" in rest:
                assert "killed" in rest[: rest.index("handled")], (seed, number)
