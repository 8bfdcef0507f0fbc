"""serve and demo: a POP3 server on this machine, from files or samples, with TLS if wanted."""

import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pymailbox.cli import main
from tests import ROOT
from tests.cli.processes import environment, program, run_in_terminal
from tests.timing import GENEROUS

Captured = pytest.CaptureFixture[str]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_serves_samples_with_tls(
    number: signal.Signals, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It prints what clients need, with the CA to trust; both signals stop it, with status 0, and the CA is removed."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    serving = subprocess.Popen(
        program("serve", "--sample", "--tls", "--user", "robin"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        assert select.select([serving.stdout], [], [], GENEROUS)[0]
        first, second = serving.stdout.readline(), serving.stdout.readline()
        url = re.search(r"^10 messages at (pops://robin@127\.0\.0\.1:\d+) ", first)
        trusted = re.fullmatch(r"clients trust it with --ca (\S+)\n", second)
        assert url is not None
        assert trusted is not None
        assert main(["ls", url[1], "--ca", trusted[1], "--last", "1"]) == 0
        assert capsys.readouterr().out.endswith("1 of 10 messages, 3.9 KB in all\n")
        serving.send_signal(number)
        _, err = serving.communicate(timeout=GENEROUS)
    finally:
        serving.kill()
        serving.communicate()
    assert (serving.returncode, err) == (0, "\nstopped\n")
    assert not Path(trusted[1]).exists()


def test_serve_needs_one_source(capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither or both are usage errors; --commit has to have files; --tls names the extra that is missing."""
    for arguments, told in (
        ([], "either PATH or --sample"),
        (["--sample", str(tmp_path)], "either PATH or --sample"),
        (["--sample", "--commit"], "--commit needs PATH"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["serve", *arguments])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "trustme", None)
    assert main(["serve", "--sample", "--tls"]) == 1
    assert capsys.readouterr().err == "pymailbox: --tls needs trustme: pip install 'pymailbox[testing]'\n"


def test_the_demo_in_a_terminal() -> None:
    """It works in any terminal, and leaves nothing in the directory that it was called in."""
    before = sorted(Path.cwd().iterdir())
    shown, status = run_in_terminal("demo", columns=60)
    assert status == 0
    assert "11 of 11 read" in shown
    assert sorted(Path.cwd().iterdir()) == before


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_units_of_the_page_are_valid(tmp_path: Path) -> None:
    """systemd finds nothing wrong with the units and the timer in docs/cli.md."""
    blocks = re.findall(r"```ini\n(.*?)```", (ROOT / "docs" / "cli.md").read_text("utf-8"), re.DOTALL)
    names = ("pymailbox-watch.service", "pymailbox.service", "pymailbox.timer")  # in the order of the page
    for name, block in zip(names, blocks, strict=True):
        (tmp_path / name).write_text(block)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        env={**environment(), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=GENEROUS,
    )
    assert [line for line in done.stderr.splitlines() if "pymailbox" in line] == []
    assert done.returncode == 0, done.stderr
