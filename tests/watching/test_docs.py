"""The scripts of docs/new-mail.md that watch run as they can be copied, but for the account."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pymailbox.testing import Server
from tests import ROOT
from tests.timing import GENEROUS, eventually
from tests.watching.watches import mail

PAGE = (ROOT / "docs" / "new-mail.md").read_text("utf-8")
ACCOUNT = 'Account("pop.example.com", "me@example.com", PasswordEnv("MAIL_PASSWORD"))'


def script_with(word: str, server: Server) -> str:
    """Return the script of the page that contains a word, for a server."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (script,) = [block for block in blocks if word in block]
    assert ACCOUNT in script
    ours = f'Account("{server.host}", "me", PasswordEnv("MAIL_PASSWORD"), port={server.port}, security="none")'
    return script.replace(ACCOUNT, ours)


def started(script: str, home: Path) -> "subprocess.Popen[str]":
    """Run a script in a process of its own."""
    environment = {**os.environ, "MAIL_PASSWORD": "secret", "HOME": str(home), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE
    )


def test_waiting_for_a_code(tmp_path: Path) -> None:
    """It prints the code of the mail that arrives, not of the one that was there."""
    with (
        Server([b"Subject: Your code\r\n\r\nYour code is 1111.\r\n"]) as server,
        started(script_with("timeout=120", server), tmp_path) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "Request the code now.\n"
        server.deliver(b"Subject: Your code\r\n\r\nYour code is 4711.\r\n")
        output, _ = process.communicate(timeout=GENEROUS)
        assert (output, process.returncode) == ("4711\n", 0)


@pytest.mark.parametrize("word", ["logging.basicConfig", "AsyncWatch("])
def test_a_service(word: str, tmp_path: Path) -> None:
    """It prints what arrives, once, whether it runs or not, and ends normally on SIGTERM."""
    with Server([mail("old")]) as server:
        script = script_with(word, server).replace('me.watch"', 'me.watch", every=0.05')
        for run in range(3):
            with started(script, tmp_path) as process:
                assert process.stdout is not None
                if run == 0:
                    eventually(lambda: server.sessions and server.sessions[0].ended)
                    server.deliver(mail("while it ran for the first time"))
                line = process.stdout.readline()
                process.send_signal(signal.SIGTERM)
                rest, _ = process.communicate(timeout=GENEROUS)
                assert (rest, process.returncode) == ("", 0)
                assert line.split(maxsplit=2)[2] == ["while it ran for the first time\n", "1\n", "2\n"][run]
            server.deliver(mail(str(run + 1)))
