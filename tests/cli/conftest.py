"""What the tests of the command line share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES
from tests.timing import GENEROUS


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve the sample mailbox; the password is in the environment."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    monkeypatch.setenv("COLUMNS", "80")
    with Server(SAMPLES, lock_wait=GENEROUS) as server:
        yield server


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give each test an empty home directory: no accounts, passwords or settings of whoever runs it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("PYMAILBOX_CONFIG", "PYMAILBOX_URL", "PYMAILBOX_HOST", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home
