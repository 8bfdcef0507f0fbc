"""The examples do what they say, on a real server too."""

import os
import subprocess
import sys

import pytest

from pymailbox import Mailbox
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT
from tests.servers import RealServer, trusting
from tests.timing import GENEROUS


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example as its user does, with the password in the environment."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | variables
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=GENEROUS,
        check=False,
    )


def test_every_example_is_tested() -> None:
    """A new example needs a test here."""
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {"quickstart.py"}


def test_quickstart_on_the_embedded_server() -> None:
    """It lists, reads and deletes."""
    with Server(SAMPLES, user="robin", password="secret") as server:
        done = run("examples/quickstart.py", server.url, PYMAILBOX_PASSWORD="secret", DELETE="3")
        assert done.returncode == 0, done.stderr
        assert "Lunch on Thursday?" in done.stdout
        assert len(server.messages) == len(SAMPLES) - 3


@pytest.mark.parametrize(("fails", "left"), [("", 3), ("1", 0)])
def test_quickstart_on_dovecot(dovecot: RealServer, fails: str, left: int) -> None:
    """Over TLS with a private authority: reads all, deletes three and commits; after an exception deletes none."""
    user, password = dovecot.fresh_user()
    url = dovecot.tls_url.replace(dovecot.user, user)
    done = run("examples/quickstart.py", url, str(dovecot.ca), PYMAILBOX_PASSWORD=password, DELETE="3", FAIL=fails)
    assert (done.returncode == 0) is (fails == "")
    assert f"{sum(map(len, dovecot.stored)):,} bytes read" in done.stdout
    assert dovecot.ca is not None
    with Mailbox.from_url(url, password, ssl_context=trusting(dovecot.ca)) as inbox:
        assert len(inbox) == len(dovecot.stored) - left
        assert tuple(message.raw for message in inbox.fetch()) == dovecot.stored[left:]
