"""A week of `pymailbox archive NAME` from cron: what a person would read of it, and that every mail is archived once."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from pymailbox import Archive
from pymailbox.lock import locked
from pymailbox.testing import Fault, Server
from tests import case
from tests.cli.processes import environment, program, run
from tests.timing import GENEROUS, eventually

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")]

RUNS = 30
#: What goes wrong in which run; the others are undisturbed.
TROUBLE = {
    2: "down", 3: "down", 6: "refused", 8: "cut", 9: "cut", 12: "killed", 15: "locked", 17: "busy",
    19: "killed", 20: "killed", 22: "terminated", 24: "silent", 26: "cut", 28: "down",
}  # fmt: skip
FAULTS = {
    "refused": [Fault.refuse("AUTH", None), Fault.refuse("PASS", None)],
    "busy": [Fault.refuse("STAT", None, "[IN-USE] the mailbox is locked")],
    "cut": [Fault.cut(300, command="RETR", nth=3)],
    "silent": [Fault.stall(200, command="RETR", nth=2)],
    "killed": [Fault.stall(200, command="RETR", nth=4)],
    "terminated": [Fault.drip(10, 0.02, command="RETR", nth=4)],
}
#: The status of a run in trouble, and words of its only line.
EXPECTED = {
    "down": (75, "Connection refused"),
    "refused": (77, "the server refused the login"),
    "busy": (75, "[IN-USE]"),
    "cut": (75, "closed the connection"),
    "silent": (75, "0.5 s"),
    "locked": (5, "is in use by process"),
    "killed": (-9, ""),
    "terminated": (143, "what was archived is safe"),
}


def arrivals() -> Iterator[list[bytes]]:
    """Yield what arrives before each run: mails that differ only in their text, at least five before a run in trouble."""
    dice = random.Random(7)
    for number in range(RUNS):
        lengths = [dice.randrange(400, 4000) for _ in range(dice.choice([5, 7] if number in TROUBLE else [0, 0, 4, 9]))]
        texts = (bytes(dice.choices(b"abcdef ", k=length)) for length in lengths)
        yield [b"Subject: Report\r\n\r\n%s\r\n" % text for text in texts]


def cron(config: Path, *, quiet: bool) -> "subprocess.Popen[str]":
    """Start a run as cron does: no terminal, few variables, both streams in one log."""
    few = {name: os.environ[name] for name in ("PATH", "HOME")}
    variables = {"PYTHONPATH": environment()["PYTHONPATH"], "ME_PASSWORD": "secret", "PYMAILBOX_CONFIG": str(config)}
    return subprocess.Popen(
        [sys.executable, *program("archive", "me", "--timeout", "0.5", *(["--quiet"] if quiet else []))[5:]],
        env={**few, **variables}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def report(trouble: str, status: int, out: str, *, quiet: bool) -> None:
    """Assert that a run has printed what a person needs to read of it, and no more."""
    assert all(line.isprintable() for line in out.splitlines())
    if trouble:
        expected, words = EXPECTED[trouble]
        assert status == expected
        *before, last = out.splitlines() or [""]
        assert last.startswith("pymailbox: ") == bool(words)
        assert words in last
        # A run that was asked to stop has a result, too, and then says that there is more to do.
        assert len(before) == (1 if trouble == "terminated" and not quiet else 0)
    else:
        assert status == 0
        assert re.fullmatch(r"\d+ new, [\d.]+ K?B; \d+ known; (\d+|nothing) deleted\n", out) or (quiet and not out)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_week_from_cron(quiet: bool, tmp_path: Path) -> None:
    """Each run prints a line or two, and says what went wrong; what it could not do, a later one does."""
    config, archive = tmp_path / "accounts.toml", tmp_path / "mail" / "me"
    arrived: list[bytes] = []
    mailbox: list[bytes] = []
    for number, batch in enumerate(arrivals()):
        arrived += batch
        trouble = TROUBLE.get(number, "")
        with (
            Server([*mailbox, *batch], faults=FAULTS.get(trouble, []), pipelining=False, lock_wait=GENEROUS) as server,
            socket.socket() as nobody,
            locked(archive / ".pymailbox" / "lock", "it") if trouble == "locked" else nullcontext(),
        ):
            nobody.bind(("127.0.0.1", 0))  # a port at which nobody listens
            port = nobody.getsockname()[1] if trouble == "down" else server.port
            config.write_text(
                f'[account.me]\nurl = "pop://me@127.0.0.1:{port}"\npassword = {{ env = "ME_PASSWORD" }}\n'
                f'archive = "{archive}"\nkeep = {{ latest = 20 }}\n'
            )
            config.chmod(0o600)
            process = cron(config, quiet=quiet)
            if trouble in ("killed", "terminated"):
                eventually(lambda server=server: sum(line.startswith("RETR") for line in server.log) >= 4)  # type: ignore[misc]
                process.send_signal(signal.SIGKILL if trouble == "killed" else signal.SIGTERM)
            out, _ = process.communicate(timeout=GENEROUS)
            server.wait()
            mailbox = list(server.messages)
        with case(number, trouble, out):
            report(trouble, process.returncode, out, quiet=quiet)
    with Archive(archive) as kept:
        assert sorted(record.raw for record in kept) == sorted(arrived)
        assert kept.verify()
    assert set(arrived) - set(mailbox)  # room was made on the server
    assert len(mailbox) >= 20
    done = run("verify", "me", env=environment(PYMAILBOX_CONFIG=str(config)))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().startswith(f"{len(arrived)} of {len(arrived)} read, ")
    assert done.stdout.decode().endswith("; 0 damaged, 0 missing, 0 unknown\n")
    assert set(TROUBLE.values()) == EXPECTED.keys()
