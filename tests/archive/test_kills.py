"""A run that is killed at any system call loses no message, stores none twice and alters none: the next run is whole."""

from pathlib import Path

from pymailbox.testing import Server
from tests import case
from tests.archive.conftest import IN_BOTH_MODES, IN_PARTS, PARTS, Traced
from tests.archive.runs import MAILS, Call, assert_clean_run, assert_deleted_is_stored, calls_in, job

#: Calls that change nothing, on disk or on the wire: killed there, a run leaves what the one before left.
IDLE = (
    "access brk fcntl fstat futex getdents64 geteuid getpid getpeername getrandom getsockopt ioctl lseek lstat madvise"
    " mmap mprotect munmap newfstatat poll pread64 read readlink recvfrom rt_sigaction setsockopt stat statfs uname"
)


def chosen(calls: list[Call], part: int | None) -> list[Call]:
    """Return the calls at which a run is killed."""
    return [call for call in calls if call.name not in IDLE.split()][3::10] if part is None else calls[part::PARTS]


@IN_BOTH_MODES
@IN_PARTS
def test_a_run_killed_at_any_call_loses_and_doubles_nothing(
    traced: Traced, tmp_path: Path, keep: str, part: int | None
) -> None:
    """Files are forced to disk as late as can be: those of two groups are on their way at the same time."""
    log = tmp_path / "log"
    with Server(MAILS, lock=False) as server:
        outcome = traced(log, job(tmp_path / "archive", server, keep, late=True))
    assert outcome == {"new": len(MAILS), "known": 0, "deleted": 0 if keep == "everything" else len(MAILS)}
    calls = chosen(calls_in(log), part)
    assert len(calls) > 20
    deaths = 0
    for at, call in enumerate(calls):
        with case(keep, call), Server(MAILS, lock=False) as server:
            archive = tmp_path / str(at)
            deaths += traced.killed(call, job(archive, server, keep, late=True), log)
            assert_deleted_is_stored(archive, server)
            assert_clean_run(archive, server, keep)
    assert deaths > 0.9 * len(calls)  # how often a socket is polled is not the same each time


@IN_BOTH_MODES
@IN_PARTS
def test_a_run_killed_while_it_repairs_what_a_killed_run_left_does_no_harm(
    traced: Traced, tmp_path: Path, keep: str, part: int | None
) -> None:
    """The first run is killed when one file of its second group has its name and two have not."""
    log, second = tmp_path / "log", Call("rename", len(MAILS) // 2 + 2, "", "?")
    with Server(MAILS, lock=False) as server:
        run = job(tmp_path / "archive", server, keep)
        assert traced.killed(second, run, log)
        assert traced(log, run) == {"new": 0, "known": len(MAILS), "deleted": 0 if keep == "everything" else len(MAILS)}
    calls = chosen(calls_in(log), part)
    deaths = 0
    for at, call in enumerate(calls):
        with case(keep, call), Server(MAILS, lock=False) as server:
            archive = tmp_path / str(at)
            run = job(archive, server, keep)
            assert traced.killed(second, run, log)
            deaths += traced.killed(call, run, log)
            assert_deleted_is_stored(archive, server)
            assert_clean_run(archive, server, keep)
    assert deaths > 0.9 * len(calls)
