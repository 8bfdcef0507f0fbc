"""A power cut at any point of a run takes back nothing that was added, and passes nothing over.

A run is recorded, every state that a power cut could have left of its file is made, and `Seen` is opened on each.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pymailbox import Seen
from pymailbox.seen import Listing
from tests.archive.box import disks_that_do_not_wait
from tests.archive.recorder import Missing, Operation, Recorder, State, after, crash_states, recording
from tests.seen.mailboxes import ME

PLACE = Path("of", "the program", "me.seen")
RUNS = 3
LISTING: Listing = [("a", 200), ("b", 201), ("twin", 202), ("twin", 202), *((f"u{n}", 203 + n) for n in range(8))]
#: What is listed in each run.
LISTINGS = [LISTING[:5], LISTING[:9], LISTING]


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    with disks_that_do_not_wait():
        yield


def record(base: Path, *, start: State | None = None, without: Missing | None = None) -> Sequence[Operation]:
    """Run a program a few times: it handles most of what is new, and notes the place of each message that was added."""
    base.mkdir()
    if start is not None:
        start.make(base)
    recorder = Recorder(base, without=without)
    with recording(recorder):
        for listing in LISTINGS:
            seen = Seen(base / PLACE)
            seen._disk = recorder
            with seen:
                messages = seen.of(ME)
                ids = messages.remember(listing)
                for number in messages.waiting(ids):
                    if number % 4:
                        messages.mark([(ids[number - 1], *listing[number - 1])])
                        recorder.add(Operation("quit", gone=(number,)))
    shutil.rmtree(base)
    return recorder.record


def wrong(base: Path, state: State) -> str:
    """Return what is wrong when the next run begins in a state."""
    state.make(base)
    try:
        with Seen(base / PLACE) as seen:
            new = set(seen.of(ME).unseen(LISTING))
        with Seen(base / PLACE) as seen:
            messages = seen.of(ME)
            messages.remember(LISTING)
            assert set(messages.unseen(LISTING)) == new
    finally:
        shutil.rmtree(base / PLACE.parts[0])
    if again := new & state.gone:
        return f"handed out again: {sorted(again)}"
    passed_over = {number for number in range(1, len(LISTING) + 1) if number % 4 == 0} - new
    return f"passed over: {sorted(passed_over)}" if passed_over else ""


def test_a_power_cut_at_any_point(tmp_path: Path) -> None:
    """What `add` has returned for stays added, also if the directories were new; what was not added is handed out."""
    done = record(tmp_path / "first")
    assert {operation.kind for operation in done} >= {"mkdir", "commit", "rename", "sync directory", "quit"}
    (tmp_path / "cut").mkdir()
    states = list(crash_states(done, most=200))
    assert len(states) > sum(operation.kind == "quit" for operation in done)
    assert [problem for state in states if (problem := wrong(tmp_path / "cut", state))] == []


@pytest.mark.slow
def test_a_power_cut_after_a_run_was_killed(tmp_path: Path) -> None:
    """What the killed run had not forced to disk may still be lost while the next one works."""
    killed = record(tmp_path / "first")
    (tmp_path / "cut").mkdir()
    for at in range(1, len(killed)):
        done = [*killed[:at], *record(tmp_path / "second", start=after(killed[:at]))]
        problems = [wrong(tmp_path / "cut", state) for state in crash_states(done, first=at, most=16)]
        assert problems
        assert not any(problems), (at, problems)


def test_the_replay_notices_a_missing_step(tmp_path: Path) -> None:
    """If no directory was forced to disk, the file, and all that was added, may be gone."""
    done = record(tmp_path / "first", without="parents")
    (tmp_path / "cut").mkdir()
    problems = [wrong(tmp_path / "cut", state) for state in crash_states(done, most=200)]
    assert any(problem.startswith("handed out again") for problem in problems)
