"""The password of the accounts."""

import pytest

from tests.many.servers import PASSWORD


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret that `PASSWORD` refers to, for other processes, too."""
    monkeypatch.setenv(PASSWORD.name, "secret")
