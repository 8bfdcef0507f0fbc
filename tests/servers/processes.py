"""Start a server, wait until it greets, and end it by its own process id.

Owns ports and processes; knows nothing of any particular server.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .server import ServerFailedError

__all__ = ["alive", "descendants", "free_ports", "serving", "workplace"]

ATTEMPTS = 5  # another program may take a port between our look and the server's


@contextmanager
def workplace(name: str, *, in_memory: bool = False) -> Iterator[Path]:
    """Make a directory that users without rights may enter (servers drop theirs), and remove it at the end.

    `in_memory`: on a file system without a disk where there is one, for a server that waits for each write.
    """
    memory = in_memory and os.access("/dev/shm", os.W_OK)
    directory = Path(tempfile.mkdtemp(prefix=f"pymailbox-{name}-", dir="/dev/shm" if memory else None))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def free_ports(count: int) -> tuple[int, ...]:
    """Return TCP ports of 127.0.0.1, all different, that nothing listened on a moment ago."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return tuple(listener.getsockname()[1] for listener in listeners)


@contextmanager
def serving(
    launch: Callable[[tuple[int, ...]], Sequence[str]],
    *,
    ports: int,
    log: Path,
    seconds: float = 20.0,
    contained: bool = False,
) -> Iterator[tuple[int, ...]]:
    """Run the command that `launch` returns for some free ports, until the block is left.

    The first port must greet with ``+OK`` within `seconds`. The command must stay in the foreground; it dies with this
    process. `contained`: its first child is the init of a process namespace, and ends everything in there when killed.
    ServerFailedError with the end of the log if it does not come up.
    """
    for attempt in range(1, ATTEMPTS + 1):
        chosen = free_ports(ports)
        process = _start(launch(chosen), log, contained=contained)
        try:
            _await_greeting(process, chosen[0], log, seconds)
        except ServerFailedError as failure:
            _stop(process, contained=contained)
            if attempt < ATTEMPTS and "in use" in str(failure):
                continue
            raise
        except BaseException:
            _stop(process, contained=contained)
            raise
        break
    try:
        yield chosen
    finally:
        _stop(process, contained=contained)


def _start(command: Sequence[str], log: Path, *, contained: bool) -> subprocess.Popen[bytes]:
    if setpriv := shutil.which("setpriv"):  # no orphan, even when the tests are killed
        command = [setpriv, "--pdeathsig", "KILL" if contained else "TERM", "--", *command]
    with log.open("ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)


def _await_greeting(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    trouble = "it never listened"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            trouble = f"it ended with exit status {process.returncode}"
            break
        try:
            with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
                connection.settimeout(5.0)
                greeting = connection.recv(3)
                if greeting == b"+OK":
                    connection.sendall(b"QUIT\r\n")
                    return
                trouble = f"it greeted with {greeting!r}"
        except OSError as error:
            trouble = f"no greeting on port {port}: {error}"
        time.sleep(0.02)
    raise ServerFailedError(f"{process.args!r} did not start: {trouble}\n{tail(log)}")


def tail(log: Path, size: int = 4000) -> str:
    """Return the end of a log as text."""
    text = log.read_bytes()[-size:].decode(errors="backslashreplace") if log.exists() else ""
    return f"--- the end of {log.name} ---\n{text or '(empty)'}"


def _stop(process: subprocess.Popen[bytes], *, contained: bool) -> None:
    """End the process and what it started; after it returns, none of them is left.

    The parent is asked first and its children are killed a moment later: dovecot waits a second for children that are
    only asked, and five when they are gone before it knows why. Nothing they hold outlives the session.
    """
    family = descendants(process.pid)
    process.terminate()
    if not contained:
        time.sleep(0.05)
    for pid in family[:1] if contained else family:  # the first of a namespace takes the others with it
        _kill(pid)
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5.0)
    deadline = time.monotonic() + 5.0
    while any(map(alive, family)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except OSError:
        return False


def descendants(pid: int) -> tuple[int, ...]:
    """Return the process ids below this one, nearest first; nothing where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found = list(children.get(pid, []))
    for child in found:
        found += children.get(child, [])
    return tuple(found)
