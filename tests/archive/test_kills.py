"""A run that is killed at any system call loses no message, stores none twice and alters none: the next run is whole."""

from pathlib import Path

import pytest

from pymailbox.testing import Server
from tests import case
from tests.archive.conftest import Traced
from tests.archive.runs import MAILS, Call, assert_clean_run, assert_deleted_is_stored, calls_in, injecting, job

PARTS = 8  # of the full form, so that they run in parallel
#: Calls that change nothing, on disk or on the wire: killed there, a run leaves what the one before left.
IDLE = frozenset(
    "access brk fcntl fstat futex getdents64 geteuid getpid getpeername getrandom getsockopt ioctl lseek lstat madvise"
    " mmap mprotect munmap newfstatat poll pread64 read readlink recvfrom rt_sigaction setsockopt stat statfs uname".split()
)


def points(traced: Traced, directory: Path, keep: str) -> list[Call]:
    """Return the system calls of a run that nothing disturbs."""
    with Server(MAILS, lock=False) as server:
        outcome = traced(directory / "log", job(directory / "archive", server, keep))
    assert outcome == {"new": len(MAILS), "known": 0, "deleted": 0 if keep == "everything" else len(MAILS)}
    return calls_in(directory / "log")


@pytest.mark.parametrize("keep", ["everything", "nothing"])
@pytest.mark.parametrize(
    "part", [None, *(pytest.param(part, marks=pytest.mark.slow) for part in range(PARTS))], ids=lambda part: f"part {part}"
)
def test_a_run_killed_at_any_call_loses_and_doubles_nothing(
    traced: Traced, tmp_path: Path, keep: str, part: int | None
) -> None:
    calls = points(traced, tmp_path, keep)
    changing = [call for call in calls if call.name not in IDLE]
    assert len(changing) > 200
    chosen = changing[3::10] if part is None else calls[part::PARTS]
    killed = 0
    for at, call in enumerate(chosen):
        with case(keep, call), Server(MAILS, lock=False) as server:
            archive = tmp_path / str(at)
            options = ["-e", f"trace={call.name},fsync,fdatasync", *injecting(call, "signal=SIGKILL")]
            outcome = traced(tmp_path / "killed", job(archive, server, keep), *options)
            killed += outcome == {"killed": True}
            assert_deleted_is_stored(archive, server)
            assert_clean_run(archive, server, keep)
    assert killed > 0.9 * len(chosen)  # how often a socket is polled is not the same each time
