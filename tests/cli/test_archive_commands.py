"""The commands of archives do what their options say, and their exit status says how it ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymailbox.cli import main
from pymailbox.lock import locked
from pymailbox.testing import Fault, Server
from pymailbox.testing.samples import SAMPLES
from tests import case
from tests.timing import GENEROUS

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the password of the servers in this module."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve the sample mailbox."""
    with Server(SAMPLES, lock_wait=GENEROUS) as running:
        yield running


def test_archive_then_verify_then_rebuild(server: Server, tmp_path: Path, capsys: Captured) -> None:
    """Each prints one line, and a second run downloads nothing."""
    to = str(tmp_path / "me")
    for command, printed in (
        (("archive", server.url, "--to", to, "--dry-run"), "dry run: 10 new, 3.9 KB; 0 known; nothing deleted\n"),
        (("archive", server.url, "--to", to), "10 new, 3.9 KB; 0 known; nothing deleted\n"),
        (("archive", server.url, "--to", to), "0 new, 0 B; 10 known; nothing deleted\n"),
        (("verify", to), "10 of 10 read, 3.9 KB; 0 damaged, 0 missing, 0 unknown\n"),
        (("rebuild", to), "10 messages, 3.9 KB\n"),
        (("archive", server.url, "--to", to), "0 new, 0 B; 10 known; nothing deleted\n"),
        (("archive", server.url, "--to", to, "--keep-latest", "4"), "0 new, 0 B; 10 known; 6 deleted\n"),
        (("clean", server.url, "--to", to, "--keep-latest", "2"), "2 deleted, 2 kept\n"),
        (
            ("clean", server.url, "--to", to, "--keep-days", "0", "--at-most", "1", "--dry-run"),
            "dry run: 2 deleted, 0 kept\n",
        ),
    ):
        with case(*command):
            assert main(command) == 0
            assert capsys.readouterr() == (printed, "")
    assert len(server.messages) == 2


def test_keep_options_add_up(tmp_path: Path, capsys: Captured) -> None:
    """A message goes only if none of them keeps it."""
    mails = [b"Subject: %d\r\n\r\n%s\r\n" % (n, b"x" * 980) for n in range(9)]
    for options, deleted in (
        ((), 0),
        (("--keep-days", "1"), 0),
        (("--keep-bytes", "2k"), 7),
        (("--keep-bytes", "2K", "--keep-latest", "3"), 6),
        (("--keep-bytes", "1MB", "--keep-latest", "3"), 0),
    ):
        with case(*options), Server(mails) as server:
            assert (
                main(["archive", server.url, "--to", str(tmp_path / str(deleted) / "-".join(options)), *options]) == 0
            )
            assert len(server.messages) == 9 - deleted
            capsys.readouterr()


def test_the_exit_status_says_how_it_ended(tmp_path: Path, capsys: Captured) -> None:
    """Each failure has a status of its own, one line that says what to do, and nothing else."""
    to = tmp_path / "me"

    def run(server: Server, *options: str) -> tuple[int, str]:
        status = main(["archive", server.url, "--to", str(to), *options])
        return status, capsys.readouterr().err

    with Server(SAMPLES, lock_wait=GENEROUS) as server:
        assert run(server)[0] == 0
        with locked(to / ".pymailbox" / "lock", "the archive"):
            status, told = run(server)
            assert status == 5
            assert "in use by process" in told
        damaged = next((to / "new").iterdir())
        damaged.write_bytes(b"something else")
        assert main(["verify", str(to)]) == 4
        assert f"damaged  {damaged}" in capsys.readouterr().out
        (to / ".pymailbox" / "ledger.db").write_bytes(b"not a database" * 100)
        status, told = run(server)
        assert status == 1
        assert "pymailbox rebuild" in told
    to = tmp_path / "other"
    with Server(SAMPLES, password="another") as server:
        assert run(server)[0] == 77
    with Server(SAMPLES, faults=[Fault.replace("STAT", None, reply=b"-ERR [SYS/TEMP] busy\r\n")]) as server:
        assert run(server)[0] == 75
    with Server(SAMPLES, faults=[Fault.replace("RETR", None, reply=b"-ERR [SYS/PERM] broken\r\n")]) as server:
        assert run(server)[0] == 3
    assert main(["verify", str(tmp_path / "none")]) == 1
    assert "there is no archive at" in capsys.readouterr().err


def test_a_quoted_tilde_is_the_home_directory_for_each_command(
    server: Server, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for command in (("archive", server.url, "--to", "~/me"), ("verify", "~/me"), ("rebuild", "~/me")):
        assert main(list(command)) == 0
    assert (tmp_path / "me" / "new").is_dir()
    assert main(["verify", "~nobody-of-this-name/me"]) == 1
    assert "no home directory is known" in capsys.readouterr().err


def test_a_directory_that_is_not_an_archive(server: Server, tmp_path: Path, capsys: Captured) -> None:
    """No command puts anything into it, or takes it for an empty archive; what a disk has of itself is nothing."""
    to = tmp_path / "etc"
    (to / "conf.d").mkdir(parents=True)
    for command, told in (
        (["archive", server.url, "--to"], "has other files in it and is not an archive; name a directory of its own"),
        (["archive", server.url, "--dry-run", "--to"], "has other files in it and is not an archive"),
        (["clean", server.url, "--keep-latest", "0", "--to"], "there is no archive at"),
        (["clean", server.url, "--keep-latest", "0", "--dry-run", "--to"], "there is no archive at"),
        (["verify"], "there is no archive at"),
        (["rebuild"], "there is no archive at"),
    ):
        with case(*command):
            assert main([*command, str(to)]) == 1
            assert told in capsys.readouterr().err
            assert [path.name for path in to.iterdir()] == ["conf.d"]
    assert main(["clean", server.url, "--to", str(tmp_path / "nothing"), "--keep-latest", "0"]) == 1
    assert not (tmp_path / "nothing").exists()
    assert server.log == ()
    (to / "conf.d").rmdir()
    assert main(["verify", str(to)]) == 1
    assert "is its disk mounted?" in capsys.readouterr().err
    for name in ("lost+found", ".Trash-1000"):
        (to / name).mkdir()
    assert main(["archive", server.url, "--to", str(to)]) == 0
    (to / "notes").touch()
    assert main(["archive", server.url, "--to", str(to)]) == 0


def test_wrong_options_are_usage_errors(tmp_path: Path, capsys: Captured) -> None:
    """They exit with 2, say what is expected, and touch neither the server nor the disk."""
    to = tmp_path / "me"
    for options, told in (
        ((), "--to"),
        (("--to", ""), "must not be empty"),
        (("--to", str(to), "--keep-latest", "-1"), "invalid number of messages"),
        (("--to", str(to), "--keep-days", "many"), "invalid number of days"),
        (("--to", str(to), "--keep-bytes", "1X"), "invalid size"),
        (("--to", str(to), "--limit", "0"), "1 or more"),
    ):
        with case(*options):
            with pytest.raises(SystemExit) as ended:
                main(["archive", "pop://me@127.0.0.1:1", *options])
            assert ended.value.code == 2
            assert told in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["clean", "pop://me@127.0.0.1:1", "--to", str(to)])
    assert ended.value.code == 2
    assert "--keep-days" in capsys.readouterr().err
    assert not to.exists()
