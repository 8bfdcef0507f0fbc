"""The pytest plugin starts servers and closes them after the test, and imports nothing if it is not used."""

import os
import subprocess
import sys
from pathlib import Path

from tests import ROOT
from tests.timing import GENEROUS

TESTS = '''
import sys
import uuid

servers = []


def test_nothing_is_imported_before_it_is_used():
    assert "pymailbox.testing.server" not in sys.modules


def test_two_servers(pop3_server):
    """The options are those of Server."""
    from tests.testing.by_hand import is_gone

    one = pop3_server([b"Subject: 1\\r\\n\\r\\n"], greeting=uuid.uuid4().hex)
    two = pop3_server(user="you", greeting=uuid.uuid4().hex)
    assert one.port != two.port
    assert two.url.startswith("pop://you@")
    assert len(one.messages) == 1
    assert not is_gone(one)
    servers.extend((one, two))


def test_they_were_closed():
    from tests.testing.by_hand import is_gone

    assert len(servers) == 2
    assert all(map(is_gone, servers))
'''


def test_the_fixture_starts_and_closes_servers(tmp_path: Path) -> None:
    """The fixture starts servers with any options, they are gone after the test, and nothing is imported before."""
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "pymailbox.testing.plugin",
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
    ]
    root = ROOT
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path / "test_it.py")],
        cwd=root,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=GENEROUS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
