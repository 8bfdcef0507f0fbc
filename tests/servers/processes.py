"""Start a server, wait until it greets, and end it by its own process id.

Owns ports and processes; knows nothing of any particular server. Several may do so at once, in as many processes: ports
are held from the moment they are chosen, directories have names of their own, and a process is known by its id and the
moment it began, as ids are given again.
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

ATTEMPTS = 5  # another program may take a port between our look and the server's
PATIENCE = 90.0  # seconds for what takes a second or two on a machine with nothing else to do


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


@contextmanager
def held_ports(count: int) -> Iterator[tuple[int, ...]]:
    """Choose TCP ports of 127.0.0.1, all different, that the system gives to nobody else until the block is left.

    On Linux, a socket that is bound and never listens keeps a port from those who take any, and not from a server that
    asks for this one with SO_REUSEADDR, as all of ours do. Elsewhere it would, so there the ports are only looked up.
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
    """Run the command that `launch` returns for some free ports, until the block is left.

    The first port must greet with ``+OK`` within `seconds`, and the others take connections. The command must stay in the foreground; it dies with this
    process. `contained`: its first child is the init of a process namespace, and ends everything in there when killed.
    ServerFailedError with the end of the log if it does not come up.
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
    """Wait until a port takes connections: a server may open its ports one after the other."""
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
    """End the process and what it started; after it returns, none of them is left.

    The parent is asked first and its children are killed a moment later: dovecot waits a second for children that are
    only asked, and five when they are gone before it knows why. Nothing they hold outlives the session.
    """
    family = descendants(process.pid)
    process.terminate()
    if not contained:
        time.sleep(0.05)
    for member in family[:1] if contained else family:  # the first of a namespace takes the others with it
        member.kill()
    try:
        process.wait(10.0)  # then it is one that does not end because it is asked
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while any(member.alive for member in family) and time.monotonic() < deadline:
        time.sleep(0.01)


class Process(NamedTuple):
    """A process of whoever's: its id, and when it began, in ticks since the machine did."""

    pid: int
    began: int

    @property
    def alive(self) -> bool:
        """Whether it runs; one that ended and was not waited for does not."""
        try:
            state, _, began = _status(self.pid)
        except OSError:
            return False
        return began == self.began and state != "Z"

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _status(pid: int) -> tuple[str, int, int]:
    """Return state, parent and beginning of a process (proc(5)); OSError where there is none."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[19])


def descendants(pid: int) -> tuple[Process, ...]:
    """Return the processes below this one, nearest first; nothing where there is no /proc."""
    children: dict[int, list[Process]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            _, parent, began = _status(int(entry.name))
            children.setdefault(parent, []).append(Process(int(entry.name), began))
    found = list(children.get(pid, []))
    for child in found:
        found += children.get(child.pid, [])
    return tuple(found)
