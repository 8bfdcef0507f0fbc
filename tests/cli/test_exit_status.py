"""Every failure has the documented exit status and one line, in every command."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pymailbox import Account, Archive, errors
from pymailbox.cli import main
from pymailbox.cli.exit_status import status_of
from pymailbox.errors import MailboxError
from pymailbox.lock import locked
from pymailbox.testing import Fault, Server
from pymailbox.testing.samples import SAMPLES
from tests import case
from tests.cli.processes import environment, run, run_in_shell

Captured = pytest.CaptureFixture[str]
EVERY = [
    "ls",
    "show",
    "headers",
    "save",
    "attachments",
    "archive",
    "clean",
    "verify",
    "rebuild",
    "doctor",
    "demo",
    "accounts",
    "completion",
    "help",
]


def commands(server: Server, directory: Path) -> dict[str, list[str]]:
    """Return one call of every command; the archive is made by `archive`."""
    to = str(directory / "me")
    return {
        "ls": ["ls", server.url],
        "show": ["show", server.url, "3"],
        "headers": ["show", server.url, "1", "--headers"],
        "save": ["save", server.url, "1-3", "--to", str(directory / "saved")],
        "attachments": ["attachments", server.url, "all", "--to", str(directory / "files")],
        "archive": ["archive", server.url, "--to", to],
        "clean": ["clean", server.url, "--to", to, "--keep-latest", "9"],
        "verify": ["verify", to],
        "rebuild": ["rebuild", to],
        "doctor": ["doctor", server.url],
        "demo": ["demo"],
        "accounts": ["accounts", "--config", str(directory / "accounts.toml")],
        "completion": ["completion", "zsh"],
        "help": ["--help"],
    }


def test_the_status_of_every_error() -> None:
    """The lock, new uids, a refused login and what may pass have numbers of their own; a full disk does not pass."""
    expected = {"ArchiveLocked": 5, "UidsChanged": 6, "AuthenticationError": 77, "DiskFull": 1}
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, MailboxError) and name != "LimitExceeded":
            error = kind("no")
            assert status_of(error) == expected.get(name, 75 if error.retryable else 1), name
    assert status_of(errors.ConnectionLost("the login may be wrong", retryable=False, retry_after=900)) == 1
    assert status_of(ValueError("no")) == status_of(OSError("no")) == 1


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (lambda: Server(SAMPLES, password="another"), 77),
        (lambda: Server(SAMPLES, faults=[Fault.replace("STAT", None, reply=b"-ERR [SYS/TEMP] busy\r\n")]), 75),
        (lambda: Server(SAMPLES, faults=[Fault.replace("STAT", None, reply=b"-ERR [SYS/PERM] broken\r\n")]), 1),
        (lambda: Server(SAMPLES, faults=[Fault.replace("STAT", None, reply=b"+OK many\r\n")]), 1),
        (lambda: Server(SAMPLES, faults=[Fault.cut(0, command="STAT", nth=None)]), 75),
    ],
    ids=["refused", "busy", "broken", "nonsense", "cut"],
)
def test_a_failure_of_the_account_in_every_command(
    make: Callable[[], Server], status: int, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status does not depend on the command; the error is one line on standard error."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    with make() as server:
        for name in ("ls", "show", "save", "attachments", "archive", "clean"):
            with case(name):
                assert main(commands(server, tmp_path)[name]) == status
                captured = capsys.readouterr()
                assert captured.out == ""
                assert captured.err.startswith("pymailbox: ")
                assert captured.err.count("\n") == 1


def test_a_locked_archive(sample: Server, tmp_path: Path, capsys: Captured) -> None:
    """archive, clean and rebuild wait for nothing; reading takes no lock."""
    to = tmp_path / "me"
    assert main(["archive", sample.url, "--to", str(to)]) == 0
    with locked(to / ".pymailbox" / "lock", "the archive"):
        for name in ("archive", "clean", "rebuild"):
            assert main(commands(sample, tmp_path)[name]) == 5
        assert main(["verify", str(to)]) == 0


# --- the output -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("name", EVERY)
def test_a_full_disk(name: str, sample: Server, tmp_path: Path) -> None:
    """If the output cannot be written, the error is one line, the status 1, and what was archived is safe."""
    if name in ("clean", "verify", "rebuild"):
        run(*commands(sample, tmp_path)["archive"])
    command = commands(sample, tmp_path)[name]
    told = "pymailbox: the output cannot be written: No space left on device\n"
    done = run_in_shell(*command, after="> /dev/full")
    assert (done.returncode, done.stderr.decode()) == (1, told)
    done = run_in_shell(*command, after="> /dev/full", env=environment(PYTHONUNBUFFERED="1"))
    assert (done.returncode, done.stderr.decode()) == (1, told)
    done = run_in_shell(*command, after="> /dev/full 2>&1")
    assert done.returncode == 1
    if name == "archive":
        assert run("verify", str(tmp_path / "me")).stdout.startswith(b"10 of 10 read")
        assert run_in_shell(*command, after="2> /dev/full").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("name", ["archive", "verify", "rebuild"])
def test_progress_that_cannot_be_written(name: str, sample: Server, tmp_path: Path) -> None:
    """Is a failure of the output, not of the archive: not of its disk, nor one that `accounts` shows."""
    place = tmp_path / "me"
    if name != "archive":
        run("archive", sample.url, "--to", str(place))
    command = [*commands(sample, tmp_path)[name], "--json", "--progress"]
    told = b"pymailbox: the output cannot be written: No space left on device\n"
    for after, statuses, error in (("> /dev/full", {1}, told), ("| true", {0, 1}, b"")):
        done = run_in_shell(*command, after=after, env=environment(PYTHONUNBUFFERED="1"))
        assert done.returncode in statuses
        assert done.stderr == error
        with Archive(place) as archive:
            assert archive.last_failure(Account.from_url(sample.url)) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_hides_no_version() -> None:
    """--version and the help of a command fail like everything else that is printed."""
    for arguments in (("--version",), ("ls", "--help")):
        done = run_in_shell(*arguments, after="> /dev/full")
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


@pytest.mark.parametrize("name", EVERY)
def test_a_reader_that_stops_reading(name: str, sample: Server, tmp_path: Path) -> None:
    """`| head -n 1` prints one line, `| true` nothing, and neither an error."""
    if name in ("clean", "verify", "rebuild"):
        run(*commands(sample, tmp_path)["archive"])
    for reader, lines in (("head -n 1", 1), ("true", 0)):
        done = run_in_shell(*commands(sample, tmp_path)[name], after=f"| {reader}")
        assert done.returncode in (0, 1)
        assert (done.stderr, done.stdout.count(b"\n")) == (b"", lines)


@pytest.mark.parametrize("name", EVERY)
def test_the_c_locale(name: str, sample: Server, tmp_path: Path) -> None:
    """If a terminal has only ASCII, other characters are escaped, and everything else is as usual."""
    if name in ("clean", "verify", "rebuild"):
        run(*commands(sample, tmp_path)["archive"])
    for variables in ({"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}):
        done = run(*commands(sample, tmp_path)[name], env=environment(**variables))
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout
        assert done.stdout.isascii() or len(variables) == 1


def test_file_names_that_the_locale_cannot_write(sample: Server, tmp_path: Path) -> None:
    """Where file names are not UTF-8, other characters are replaced, and every message and attachment is saved."""
    plain = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    for command, name in (("save", "2026-06-02 The summer menu _ "), ("attachments", "figures _.csv")):
        to = tmp_path / command
        done = run(command, sample.url, "all", "--to", str(to), env=plain)
        assert (done.returncode, done.stderr) == (0, b"")
        assert any(path.name.startswith(name) for path in to.iterdir())


def test_closed_streams(sample: Server, tmp_path: Path) -> None:
    """A caller that closes standard output, error or input changes neither the work nor the status."""
    for after in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        done = run_in_shell("archive", sample.url, "--to", str(tmp_path / "me"), after=after)
        assert (done.returncode, done.stderr) == (0, b"")
        assert run_in_shell("show", sample.url, "99", after=after).returncode == 1
        assert run_in_shell("show", sample.url, "1", "--raw", after=after).returncode in (0, 1)
        assert run_in_shell("accounts", "add", after=after).returncode == 2


def test_help_imports_neither_rich_nor_the_archive() -> None:
    """What is run most often imports little: no archive, no rich, no TLS, no server."""
    import subprocess
    import sys

    script = (
        "import sys\nfrom pymailbox.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = ('rich', 'sqlite3', 'ssl', 'email', 'asyncio', 'json', 'logging', 'subprocess', 'pymailbox.archive', 'pymailbox.watching', 'pymailbox.mailbox.mailbox',"
        " 'pymailbox.testing', 'pymailbox.diagnosis')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment())
    assert done.stderr.strip() == "[]"
    assert "COMMAND" in done.stdout
