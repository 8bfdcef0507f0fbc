"""Fixtures: both kinds of watches, in a time of their own."""

from typing import Any

import pytest

from pymailbox import Account
from tests.watching.watches import KINDS, Blocking, Time


class Opener:
    """Makes watches of one kind; `time` is the time of the last one."""

    def __init__(self, kind: type[Blocking]) -> None:
        self._kind = kind
        self.time = Time()

    def __call__(self, account: Account, *arguments: Any, **options: Any) -> Blocking:
        self.time = Time(self.time.now)
        return self._kind(account, *arguments, time=self.time, **options)


@pytest.fixture(params=sorted(KINDS))
def watch_of(request: pytest.FixtureRequest) -> Opener:
    """`watch_of(account, ...)`: a watch in a time of its own, of each kind in turn."""
    return Opener(KINDS[request.param])
