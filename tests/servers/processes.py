"""Start a server, wait until it greets, and end it by process id.

This module manages ports and processes, and knows nothing about particular servers. Several test processes can run at
once: ports are held from the moment they are chosen, directories have unique names, and a process is identified by its
id and its start time, because ids are reused.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from .server import ServerFailedError

__all__ = ["PATIENCE", "Process", "descendants", "held_ports", "serving", "workplace"]

ATTEMPTS = 5  # another program may take a port before the server does
PATIENCE = 90.0  # seconds for something that takes a second or two on an idle machine


@contextmanager
def workplace(name: str, *, in_memory: bool = False) -> Iterator[Path]:
    """Create a directory that unprivileged users can enter (servers drop privileges), and remove it at the end.

    `in_memory`: use a file system in memory if there is one, for a server that waits for each write.
    """
    memory = in_memory and os.access("/dev/shm", os.W_OK)
    directory = Path(tempfile.mkdtemp(prefix=f"pymailbox-{name}-", dir="/dev/shm" if memory else None))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def held_ports(count: int) -> Iterator[tuple[int, ...]]:
    """Choose different TCP ports of 127.0.0.1 that the system gives to no other program until the block ends.

    On Linux, a socket that is bound but never listens keeps a port from programs that ask for any port, but not from a
    server that asks for this port with SO_REUSEADDR, as all of ours do. Elsewhere it would block the server too, so the
    ports are only chosen and not held.
    """
    with ExitStack() as stack:
        holders = [stack.enter_context(socket.socket()) for _ in range(count)]
        for holder in holders:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
        ports = tuple(holder.getsockname()[1] for holder in holders)
        if sys.platform != "linux":
            stack.close()
        yield ports


@contextmanager
def serving(
    launch: Callable[[tuple[int, ...]], Sequence[str]],
    *,
    ports: int,
    log: Path,
    seconds: float = PATIENCE,
    contained: bool = False,
) -> Iterator[tuple[int, ...]]:
    """Run the command that `launch` returns for some free ports, until the block ends.

    Within `seconds`, the first port must greet with ``+OK``, and the others must accept connections. The command must
    stay in the foreground; it ends with this process. `contained`: its first child is the init of a process namespace,
    and killing it ends everything inside. ServerFailedError, with the end of the log, if it does not start.
    """
    for attempt in range(1, ATTEMPTS + 1):
        with held_ports(ports) as chosen:
            process = _start(launch(chosen), log, contained=contained)
            try:
                _await_greeting(process, chosen[0], log, seconds)
                for port in chosen[1:]:
                    _await_port(port, log, seconds)
            except ServerFailedError as failure:
                _stop(process, contained=contained)
                if attempt < ATTEMPTS and "in use" in str(failure):
                    continue
                raise
            except BaseException:
                _stop(process, contained=contained)
                raise
            try:
                yield chosen
            finally:
                _stop(process, contained=contained)
            return


def _start(command: Sequence[str], log: Path, *, contained: bool) -> subprocess.Popen[bytes]:
    if setpriv := shutil.which("setpriv"):  # so that no orphan is left even if the tests are killed
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
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
                greeting = connection.recv(3)
                if greeting == b"+OK":
                    connection.sendall(b"QUIT\r\n")
                    return
                trouble = f"it greeted with {greeting!r}"
        except OSError as error:
            trouble = f"no greeting on port {port}: {error}"
        time.sleep(0.02)
    raise ServerFailedError(f"{process.args!r} did not start: {trouble}\n{tail(log)}")


def _await_port(port: int, log: Path, seconds: float) -> None:
    """Wait until a port accepts connections, because a server may open its ports one after the other."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise ServerFailedError(f"nothing listens on port {port}\n{tail(log)}")


def tail(log: Path, size: int = 4000) -> str:
    """Return the end of a log as text."""
    text = log.read_bytes()[-size:].decode(errors="backslashreplace") if log.exists() else ""
    return f"--- the end of {log.name} ---\n{text or '(empty)'}"


def _stop(process: subprocess.Popen[bytes], *, contained: bool) -> None:
    """End the process and everything it started; when this returns, none of them is running.

    Terminate the parent first, and kill its children a moment later: dovecot waits one second for children that are
    only terminated, and five if they die before it is told. Nothing that they store outlives the session.
    """
    family = descendants(process.pid)
    process.terminate()
    if not contained:
        time.sleep(0.05)
    for member in family[:1] if contained else family:  # the first process of a namespace ends all the others
        member.kill()
    try:
        process.wait(10.0)  # after that, it is one that ignores the request to end
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while any(member.alive for member in family) and time.monotonic() < deadline:
        time.sleep(0.01)


class Process(NamedTuple):
    """Any process: its id, and its start time in clock ticks after boot."""

    pid: int
    began: int

    @property
    def alive(self) -> bool:
        """Whether it is running; a zombie is not."""
        try:
            state, _, began = _status(self.pid)
        except OSError:
            return False
        return began == self.began and state != "Z"

    def kill(self) -> None:
        """Kill it, if it is still running."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _status(pid: int) -> tuple[str, int, int]:
    """Return state, parent and start time of a process (proc(5)); OSError if there is no such process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[19])


def descendants(pid: int) -> tuple[Process, ...]:
    """Return all descendants of a process, nearest first; nothing if there is no /proc."""
    children: dict[int, list[Process]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            _, parent, began = _status(int(entry.name))
            children.setdefault(parent, []).append(Process(int(entry.name), began))
    found = list(children.get(pid, []))
    for child in found:
        found += children.get(child.pid, [])
    return tuple(found)
