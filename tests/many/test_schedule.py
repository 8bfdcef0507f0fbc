"""Progress of one account over its tries; `test_collecting.py` runs whole schedules."""

from pymailbox import Account, Progress
from pymailbox.many.schedule import Task


def test_progress_counts_each_session_of_a_run() -> None:
    """A further session of a run, or another try, begins at 0; what arrived before stays counted."""
    task = Task(Account("h", "me", "x"), "me@h")
    assert task.expected == (None, None)
    for seen, arrived, expected in (
        (Progress(0, 90, 0, 9), (0, 0), (90, 9)),
        (Progress(90, 90, 9, 9), (90, 9), (90, 9)),
        (Progress(10, 20, 1, 2), (100, 10), (110, 11)),
        (Progress(20, None, 2, 2), (110, 11), (None, 11)),
    ):
        task.note(seen)
        assert (task.arrived, task.expected) == (arrived, expected)
