"""The tests of the command line use no accounts, passwords or settings of whoever runs them."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give each test an empty home directory."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("PYMAILBOX_CONFIG", "PYMAILBOX_URL", "PYMAILBOX_HOST", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home
