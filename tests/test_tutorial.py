"""docs/tutorial.md runs from top to bottom as its reader would run it."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.timing import GENEROUS

PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
#: Each block that has a name, which is saved under it, or shows commands with what they print.
BLOCKS = re.compile(r'^```(?:python title="(?P<name>[^"]+)"|console)\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
SERVE = "pymailbox serve --sample --port 1110"


def command(typed: str) -> list[str]:
    """Return the program that a reader would run, of this checkout."""
    program, *arguments = shlex.split(typed)
    return [sys.executable, *({"python": [], "pymailbox": ["-m", "pymailbox"]}[program]), *arguments]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[tuple[dict[str, str], list[subprocess.Popen[str]]]]:
    """The environment of a reader in an empty directory, and the servers that were started in it."""
    unset = {"PYTEST_ADDOPTS", "PYMAILBOX_PASSWORD", "PYMAILBOX_URL", "COLUMNS"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "HOME": str(tmp_path / "home")}
    servers: list[subprocess.Popen[str]] = []
    yield environment, servers
    for server in servers:
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=GENEROUS)
        assert errors == "\nstopped\n"


def comparable(text: str, directory: Path) -> str:
    """Return output without what differs between machines: where the script is, carets, and how long pytest took."""
    text = text.replace(f"{directory}{os.sep}", "").replace(os.sep, "/")
    return re.sub(r"^ +[~^]+\n", "", re.sub(r"\bin \d+\.\d+s\b", "in ...", text), flags=re.MULTILINE)


def test_the_tutorial_runs(terminal: tuple[dict[str, str], list[subprocess.Popen[str]]], tmp_path: Path) -> None:
    """Each file is saved and each command run in order; what they print is what the page shows."""
    environment, servers = terminal
    directory, port, ran = tmp_path / "empty", "1110", []
    directory.mkdir()
    for block in BLOCKS.finditer(PAGE):
        text = block["text"]
        if block["name"]:
            (directory / block["name"]).write_text(text.replace("127.0.0.1:1110", f"127.0.0.1:{port}"), "utf-8")
            continue
        for typed, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            ran.append(typed)
            if typed.startswith("python -m pip install"):
                continue  # the tests run with what it installs
            if typed == SERVE:
                server = subprocess.Popen(
                    command(typed.replace("1110", "0")),
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=directory, env=environment,
                )  # fmt: skip
                servers.append(server)
                assert server.stdout is not None
                lines = server.stdout.readline() + server.stdout.readline()
                port = lines.split("127.0.0.1:")[1].split()[0]
                assert lines.replace(port, "1110") == shown
                continue
            done = subprocess.run(
                command(typed),
                cwd=directory, env=environment, capture_output=True, encoding="utf-8", timeout=GENEROUS, check=False,
            )  # fmt: skip
            assert comparable(done.stdout + done.stderr, directory) == shown, typed
    assert len(servers) == 1
    scripts = {path.name for path in directory.glob("*.py")} - {"mine.py"}  # which needs a real account
    assert {name for name in scripts if not any(typed.endswith(f" {name}") for typed in ran)} == set()
    assert {path.name for path in (directory / "attachments").iterdir()} == {"dot.gif", "figures €.csv", "invoice.pdf"}
