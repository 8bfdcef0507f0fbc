"""Fixtures: a box and its server, and a `Seen` in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymailbox import Seen
from pymailbox.testing import Server
from tests.archive.box import Box, message, serve


@pytest.fixture
def box() -> Box:
    """Three messages of different sizes."""
    box = Box()
    for number in range(3):
        box.put(f"u{number}", message(number, 200 + number))
    return box


@pytest.fixture
def server(box: Box) -> Iterator[Server]:
    with serve(box) as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "me.seen"


@pytest.fixture
def memory() -> Iterator[Seen]:
    """One in memory, whose clock the test moves: `memory._clock`."""
    with Seen.in_memory() as seen:
        yield seen
