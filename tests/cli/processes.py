"""The command line in a process of its own: in pipes, in a shell, or in a terminal of any width."""

import os
import shlex
import struct
import subprocess
import sys
from collections.abc import Mapping

from tests import ROOT
from tests.timing import GENEROUS

__all__ = ["environment", "program", "run", "run_in_shell", "run_in_terminal"]


def program(*arguments: str) -> list[str]:
    """Return the command line that runs pymailbox in a separate process."""
    return [sys.executable, "-X", "dev", "-W", "error", "-m", "pymailbox", *arguments]


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which nothing says how to print."""
    without = {
        "COLUMNS",
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "FORCE_COLOR",
        "PYTHONUTF8",
        "PYTHONIOENCODING",
        "PYTHONUNBUFFERED",
    }
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYMAILBOX_PASSWORD": "secret", "TERM": "xterm", **more}


def run(*arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end, without a terminal."""
    return subprocess.run(
        program(*arguments),
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=GENEROUS,
        start_new_session=True,
    )


def run_in_shell(
    *arguments: str, after: str, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command in a shell, followed by a pipe or a redirection; the status is that of the command."""
    line = f"{shlex.join(program(*arguments))} {after}"
    return subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=GENEROUS,
    )


def run_in_terminal(
    *arguments: str, columns: int = 80, env: Mapping[str, str] | None = None, stdout: int | None = None
) -> tuple[str, int]:
    """Run a command in a pseudo-terminal; return what it showed, and its status."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        program(*arguments),
        env=env or environment(),
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            shown += data
        status = process.wait(GENEROUS)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return shown.decode().replace("\r\n", "\n"), status
