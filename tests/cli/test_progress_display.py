"""Progress is shown where a person looks, and fits there; elsewhere there is none."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox import Progress
from pymailbox.cli.interruption import Stop
from pymailbox.cli.progress_display import Speed, progress_line
from pymailbox.display import cells
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES
from tests.cli.processes import environment, run, run_in_terminal
from tests.timing import Clock

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def drawn(shown: str) -> list[str]:
    """Return every line that was drawn at any time, without the codes that position and colour it."""
    return [line.rstrip() for part in shown.split("\n") for line in CONTROLS.sub("", part).split("\r")]


@pytest.fixture(params=["rich", "plain"])
def env(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """With rich, and as if it were not installed."""
    if request.param == "rich":
        return environment()
    (tmp_path / "hidden" / "rich").mkdir(parents=True)
    (tmp_path / "hidden" / "rich" / "__init__.py").write_text("raise ImportError('hidden by a test')\n")
    return environment(PYTHONPATH=f"{tmp_path / 'hidden'}{os.pathsep}{environment()['PYTHONPATH']}")


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """It is unknown at first, follows what happens now, and begins again with another session."""
    clock = Clock()
    speed = Speed(clock)
    speed.add(0)
    assert speed.rate is None
    clock.advance(1)
    speed.add(1000)
    assert speed.rate == 1000
    for _ in range(20):
        clock.advance(1)
        speed.add(round(speed._past[-1][1] + 50))
    assert speed.rate == 50
    speed.add(0)
    assert speed.rate is None


@given(
    st.builds(
        Progress,
        bytes=st.integers(0, 10**13),
        total_bytes=st.none() | st.integers(0, 10**13),
        messages=st.integers(0, 10**7),
        total_messages=st.none() | st.integers(0, 10**7),
        safe=st.none() | st.integers(0, 10**7),
    ),
    st.integers(20, 120),
    st.booleans(),
)
def test_a_line_fits_any_terminal(progress: Progress, width: int, stopping: bool) -> None:
    """Whatever the numbers; what is known is in it as long as there is room."""
    clock, stop = Clock(), Stop()
    speed = Speed(clock)
    speed.add(0)
    clock.advance(1)
    speed.add(progress.bytes)
    if stopping:
        stop.event.set()
    line = progress_line("new", progress, speed, stop, width)
    assert cells(line) < width
    whole = progress_line("new", progress, speed, stop, 500)
    assert whole.count("safe: ") == (progress.safe is not None)
    assert ("left" in whole) == (bool(progress.bytes) and progress.total_bytes is not None)
    assert ("stopping" in whole) == stopping


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_archive_and_verify_in_a_terminal(columns: int, env: dict[str, str], tmp_path: Path) -> None:
    """The header names the account and its mailbox; progress has messages, bytes and what is safe; the result stays."""
    with Server(SAMPLES * 20, user="robin") as server:
        shown, status = run_in_terminal("archive", server.url, "--to", str(tmp_path / "me"), columns=columns, env=env)
    assert status == 0, shown
    lines = drawn(shown)
    assert all(cells(line) <= columns for line in lines)
    assert "robin  127.0.0.1  200 messages, 77.6 KB" in lines
    assert any(re.search(r"new .*200/200  77\.6/77\.6 KB", line) for line in lines)
    assert any(re.search(r"safe: 200\b", line) for line in lines)
    assert lines[-2:] == ["200 new, 77.6 KB; 0 known; nothing deleted", ""]
    shown, status = run_in_terminal("verify", str(tmp_path / "me"), columns=columns, env=env)
    assert status == 0, shown
    assert any("200/200  77.6/77.6 KB" in line for line in drawn(shown))
    assert drawn(shown)[-2] == "200 of 200 read, 77.6 KB; 0 damaged, 0 missing, 0 unknown"


def test_nothing_but_the_result_without_a_terminal(sample: Server, tmp_path: Path) -> None:
    """That is the one line of cron's mail; with --quiet there is none, unless something went wrong."""
    to = str(tmp_path / "me")
    done = run("archive", sample.url, "--to", to)
    assert (done.stdout, done.stderr) == (b"10 new, 3.9 KB; 0 known; nothing deleted\n", b"")
    for command in (["archive", sample.url, "--to", to], ["clean", sample.url, "--to", to, "--keep-latest", "9"]):
        done = run(*command, "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    for command in ("verify", "rebuild"):
        done = run(command, to, "-q")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    damaged = max((tmp_path / "me" / "new").iterdir(), key=lambda path: path.stat().st_size)
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    done = run("verify", to, "--quiet")
    assert done.returncode == 4
    assert done.stdout.decode().splitlines() == [
        "10 of 10 read, 3.9 KB; 1 damaged, 0 missing, 0 unknown",
        f"damaged  {damaged}",
    ]


def test_quiet_json_and_verbose_draw_nothing(sample: Server, tmp_path: Path) -> None:
    """In a terminal, too: progress would be between their lines. Nor does a terminal that cannot move its cursor."""
    shown, status = run_in_terminal("archive", sample.url, "--to", str(tmp_path / "dumb"), env=environment(TERM="dumb"))
    assert (shown, status) == ("10 new, 3.9 KB; 0 known; nothing deleted\n", 0)
    for index, options in enumerate((["--quiet"], ["--json"], ["-v"])):
        shown, status = run_in_terminal("archive", sample.url, "--to", str(tmp_path / str(index)), *options)
        assert status == 0
        assert "safe" not in shown
        assert "\r" not in shown


def test_a_terminal_for_errors_only_still_gets_progress(sample: Server, tmp_path: Path) -> None:
    """`archive > log` shows progress, and the log has the result only, without colours."""
    with (tmp_path / "log").open("wb") as log:
        shown, status = run_in_terminal("archive", sample.url, "--to", str(tmp_path / "me"), stdout=log.fileno())
    assert status == 0
    assert "safe: 10" in shown
    assert (tmp_path / "log").read_text() == "10 new, 3.9 KB; 0 known; nothing deleted\n"


def test_json_results_and_progress(sample: Server, tmp_path: Path) -> None:
    """One object a line: the result last, progress only on request."""
    to = str(tmp_path / "me")
    done = run("archive", sample.url, "--to", to, "--json", "--progress")
    values = [json.loads(line) for line in done.stdout.splitlines()]
    assert [value["type"] for value in values] == ["progress"] * (len(values) - 1) + ["result"]
    assert values[-2] == {
        "type": "progress", "messages": 10, "total_messages": 10, "bytes": 3881, "total_bytes": 3881, "safe": 10,
    }  # fmt: skip
    assert values[-1] == {
        "type": "result", "new": 10, "bytes": 3881, "known": 0, "set_aside": 0, "deleted": 0, "failed": 0, "notes": [],
    }  # fmt: skip
    expected = {
        "clean": {"deleted": 1, "kept": 9, "notes": []},
        "verify": {"read": 10, "bytes": 3881, "messages": 10, "damaged": [], "missing": [], "strangers": 0},
        "rebuild": {"messages": 10, "bytes": 3881, "damaged": [], "old": str(tmp_path / "me/.pymailbox/ledger.old1")},
    }
    for command, value in expected.items():
        more = [sample.url, "--to", to, "--keep-latest", "9"] if command == "clean" else [to]
        done = run(command, *more, "--json")
        assert [json.loads(line) for line in done.stdout.splitlines()] == [{"type": "result", **value}]
    damaged = max((tmp_path / "me" / "new").iterdir(), key=lambda path: path.stat().st_size)
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    done = run("verify", to, "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["damaged"] == [str(damaged)]


def test_a_size_that_is_not_known_is_left_out() -> None:
    """Without LIST there is no total and no time left, and the line says what is known."""
    line = progress_line("new", Progress(1_400_000, None, 7, None, 3), Speed(), None, 80)
    assert line == "new 7  1.4 MB  safe: 3"


def test_the_terminal_is_left_as_it_was(tmp_path: Path) -> None:
    """The cursor is shown again, whatever ends the command."""
    with Server(SAMPLES, password="another") as server:
        shown, status = run_in_terminal("archive", server.url, "--to", str(tmp_path / "me"))
    assert status == 77
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")


@pytest.mark.parametrize("name", ["save", "attachments"])
def test_paths_stay_where_progress_was(name: str, env: dict[str, str], sample: Server, tmp_path: Path) -> None:
    """In a terminal, progress is gone in the end, and each path has a line to itself."""
    to = tmp_path / "new"
    done = run(name, sample.url, "all", "--to", str(to))
    shown, status = run_in_terminal(name, sample.url, "all", "--to", str(to), columns=200, env=env)
    assert status == 0
    assert screen(shown) == done.stdout.decode().splitlines()


def screen(text: str) -> list[str]:
    """Return the lines that a terminal shows after this text, which only removes lines and moves up."""
    lines, row = [""], 0
    for piece in re.findall(r"\x1b\[\??\d*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
        if piece == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif piece in ("\x1b[2K", "\x1b[K"):
            lines[row] = ""
        elif piece == "\x1b[1A":
            row -= 1
        elif not piece.startswith("\x1b") and piece != "\r":
            lines[row] += piece
    return [line for line in lines if line]
