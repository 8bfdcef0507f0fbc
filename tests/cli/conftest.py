"""What the tests of the command line share."""

from collections.abc import Iterator

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
