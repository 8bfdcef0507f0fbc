"""serve and demo: a POP3 server on this machine, from files or samples, with TLS if wanted."""

import re
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pymailbox import Mailbox
from pymailbox.cli import main
from tests.cli.processes import environment, program, run_in_terminal
from tests.timing import GENEROUS

Captured = pytest.CaptureFixture[str]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serve_serves_samples_with_tls(
    number: signal.Signals, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It prints what clients need, with the CA to trust; each signal stops it, with status 0, and the CA is removed."""
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


@pytest.mark.skipif(sys.platform == "win32", reason="the line is for a POSIX shell")
@pytest.mark.parametrize("given", [None, "my own"])
def test_the_last_line_of_serve_is_for_a_shell(given: str | None) -> None:
    """It tells other commands where the mailbox is, whatever the user's name; a password of your own is not shown."""
    plain = {name: value for name, value in environment().items() if name != "PYMAILBOX_PASSWORD"}
    mine = plain if given is None else {**plain, "PYMAILBOX_PASSWORD": given}
    serving = subprocess.Popen(
        program("serve", "--sample", "--user", "o'neill; $HOME@x"), env=mine, stdout=subprocess.PIPE, text=True
    )
    try:
        assert serving.stdout is not None
        assert select.select([serving.stdout], [], [], GENEROUS)[0]
        told = serving.stdout.readline() + (line := serving.stdout.readline())
        assert "my own" not in told
        done = subprocess.run(
            ["sh", "-c", f"{line}\n{shlex.join(program('ls', '--last', '1'))}"],
            env=mine,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("1 of 10 messages, 3.9 KB in all\n")
    finally:
        serving.kill()
        serving.communicate()


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


def test_serve_imitates_an_odd_server(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows the quirks that are named, in any case, and accepts the OAuth2 token of its environment.

    An unknown quirk is a usage error that names a similar one.
    """
    monkeypatch.setenv("PYMAILBOX_TOKEN", "a token")
    monkeypatch.delenv("PYMAILBOX_PASSWORD", raising=False)
    serving = subprocess.Popen(
        program("serve", "--sample", "--quirk", "NO_CAPA", "--quirk", "oldest-250"),
        env={name: value for name, value in environment().items() if name != "PYMAILBOX_PASSWORD"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        assert select.select([serving.stdout], [], [], GENEROUS)[0]
        url = re.search(r"pop://\S+", serving.stdout.readline())
        assert url is not None
        monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
        assert main(["doctor", url[0]]) == 0
        assert "NO_CAPA" in capsys.readouterr().out
        with Mailbox.from_url(url[0], "a token", auth="XOAUTH2") as inbox:
            assert len(inbox) == 10
    finally:
        serving.kill()
        serving.communicate()
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--sample", "--quirk", "NOCAPA"])
    assert ended.value.code == 2
    assert "unknown quirk: 'NOCAPA'; did you mean NO_CAPA?" in capsys.readouterr().err
