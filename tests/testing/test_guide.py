"""The tests that docs/testing.md shows pass as they are shown; its interactive examples run in `tests/test_docs.py`."""

import re
from pathlib import Path
from typing import Any

import pytest

from pymailbox import testing
from pymailbox.testing import Recorder, Server
from pymailbox.testing.recording import Recording
from tests import ROOT
from tests.testing.test_plugin import pytest_run

PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
BLOCKS = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if ">>>" not in block]


def test_the_tests_of_the_guide_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block is a file of tests; the one that records does so with the test server, and its session is replayed."""
    (recording,) = [block for block in BLOCKS if "Recorder(" in block]
    tests = [block for block in BLOCKS if "def test_" in block]
    assert len(tests) == len(BLOCKS) - 1

    def local(path: str, host: str) -> Recorder:
        assert host == "pop.example.com"
        return Recorder(tmp_path / path, server.host, server.port, ssl_context=server.client_context())

    names: dict[str, Any] = {}
    with Server([b"Subject: one\r\n\r\n"], user="me@example.com", password="app-password", security="tls") as server:
        monkeypatch.setattr(testing, "Recorder", local, raising=False)
        exec(recording, names)
    assert names["subjects"] == ["one"]
    for number, block in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(block)
    done = pytest_run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(block.count('def test_') for block in tests)} passed" in done.stdout


def test_the_recording_of_the_guide_is_one() -> None:
    """The example of the format can be read, and is how it would be written."""
    (text,) = re.findall(r"```text\n(pymailbox-sessions.*?)```", PAGE, re.S)
    assert Recording.parse(text).text() == text.replace("# A comment.\n", "")
