"""Many accounts by `collect_all`: in threads, in processes and by Dask, on embedded servers in a process of their own.

    python -m tests.benchmarks.accounts serve ACCOUNTS MESSAGES LATENCY
    python -m tests.benchmarks.accounts collect EXECUTOR DIRECTORY SERVICE

`serve` prints the addresses as JSON, then, for each line that it reads, the largest number of sessions that each host
has had at once since the last one. `collect` prints what it took. Both are started by `run`.

Four accounts are bad: one has a wrong password, one is locked for good, one has a LOGIN-DELAY that passes, and the host
of one is dead.
"""

import hashlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from pymailbox import Account, Archive, PasswordEnv, collect_all
from pymailbox.many import collecting
from pymailbox.testing import Fault, Server
from tests import ROOT
from tests.benchmarks.archive import ENVIRONMENT
from tests.session_counts import SessionCount

HOSTS = 10
PER_HOST = 4
WORKERS = 8  # processes, or threads of Dask
SIZE = 4096  # bytes of a message
TIMEOUT = 1200.0  # seconds for one measurement
PASSWORD = PasswordEnv("PYMAILBOX_BENCHMARK_PASSWORD")
#: How each executor is called in the table, and the one-way delay in seconds.
ROWS = {
    "threads": ("32 threads (the default)", 0.0),
    "processes": (f"ProcessPoolExecutor({WORKERS})", 0.0),
    "dask": ("Dask: 2 workers of 4 threads", 0.0),
    "threads at 50 ms": ("32 threads, round trips of 50 ms", 0.025),
}


class Run(NamedTuple):
    """One `collect_all`, in a process of its own."""

    #: Until the last good account had ended.
    seconds: float
    #: CPU seconds of the program and its worker processes, with their start.
    cpu: float
    messages: int
    #: Outcomes by the name of their error, or "done".
    outcomes: dict[str, int]
    #: The largest resident memory in bytes: of the program and, added to it, of its worker processes.
    memory: int
    workers: int
    #: The most sessions of a host at once.
    peaks: list[int]


class Measured(NamedTuple):
    """A first run and a second one, which finds nothing new."""

    first: Run
    second: Run
    #: A hash over all archives.
    digest: str
    #: Bytes that the archives take on disk.
    disk: int


# --- the servers ----------------------------------------------------------------------------------------------


def message(number: int) -> bytes:
    start = b"Message-ID: <%d@example.com>\r\nSubject: message %d\r\n\r\n" % (number, number)
    return start + (b"%d " % number * SIZE)[: SIZE - len(start) - 2] + b"\r\n"


def serve(accounts: int, messages: int, latency: float) -> None:
    """Serve that many good accounts and the bad ones until standard input ends."""
    mails = [message(number) for number in range(messages)]
    users = {f"user{number}": "secret" for number in range(accounts // HOSTS)}
    with ExitStack() as stack:

        def start(host: int, names: dict[str, str], faults: tuple[Fault, ...] = ()) -> Server:
            address = f"127.0.0.{host + 1}"
            server = Server(mails, host=address, users=names, latency=latency, lock_wait=0, faults=faults)
            return stack.enter_context(server)

        servers = [start(host, users | ({"locked": "secret"} if host == 0 else {})) for host in range(HOSTS)]
        delay = Fault.refuse("AUTH", text="[LOGIN-DELAY] wait 2 seconds", session=1)
        delayed = start(HOSTS, {"delayed": "secret"}, (delay,))
        counts = [SessionCount() for _ in servers]
        for count, server in zip(counts, servers, strict=True):
            count.watch(server)
        servers[0].maildrop("locked").lock.acquire()
        counts[0].now = 0  # what holds the lock is not a session of ours
        good = [(server.host, server.port, user) for user in users for server in servers]
        bad = [(servers[0].host, servers[0].port, "refused"), (servers[0].host, servers[0].port, "locked")]
        bad.append((f"127.0.0.{HOSTS + 2}", servers[0].port, "dead"))
        print(json.dumps([*bad, (delayed.host, delayed.port, "delayed"), *good]), flush=True)
        for _ in sys.stdin:
            print(json.dumps([count.most for count in counts]), flush=True)
            for count in counts:
                count.most = count.now


# --- the client -----------------------------------------------------------------------------------------------


@contextmanager
def executor_of(kind: str) -> Iterator[Executor | None]:
    if kind == "processes":
        with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
            yield pool
    elif kind == "dask":
        from distributed import Client, LocalCluster

        local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(n_workers=2, threads_per_worker=WORKERS // 2, **local) as cluster, Client(cluster) as client:
            yield client.get_executor()
    else:
        yield None


def collect(kind: str, root: str, service: str) -> None:
    """Archive all accounts and print what it took; the time starts when the workers are ready."""
    collecting._BACK_OFF = 0.5  # the accounts that never recover would add 75 seconds to each run
    accounts = [Account(host, user, PASSWORD, port=port, security="none") for host, port, user in json.loads(service)]
    names: Counter[str] = Counter()
    messages, last = 0, 0.0
    with executor_of(kind) as executor:
        if executor is not None:
            list(executor.map(time.sleep, [0.2] * WORKERS))
        begin = time.perf_counter()
        for outcome in collect_all(accounts, root, executor=executor, per_host=PER_HOST):
            names["done" if outcome.error is None else type(outcome.error).__name__] += 1
            if outcome.result is not None:
                last = time.perf_counter()
                messages += outcome.result.new
    print(json.dumps([last - begin, messages, names]))


# --- both -----------------------------------------------------------------------------------------------------


def memory_of(pid: int) -> Iterator[tuple[int, int]]:
    """Yield the largest resident memory so far, in bytes, of a process and of each of its descendants."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        tasks = [path.name for path in Path(f"/proc/{pid}/task").iterdir() if path.name != str(pid)]
        children += [one for task in tasks for one in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except FileNotFoundError:  # it has just ended
        return
    for line in status.splitlines():
        if line.startswith("VmHWM"):
            yield pid, int(line.split()[1]) * 1024
    for child in children:
        yield from memory_of(int(child))


def measured(kind: str, root: Path, service: str, server: "subprocess.Popen[str]") -> Run:
    """Run `collect` in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.accounts", "collect", kind, str(root), service]
    environment = ENVIRONMENT | {PASSWORD.name: "secret"}
    deadline, memory, cpu = time.monotonic() + TIMEOUT, dict[int, int](), cpu_of_children()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            memory |= dict(memory_of(process.pid))
            if time.monotonic() > deadline:
                process.kill()
                raise TimeoutError(f"{kind} took more than {TIMEOUT:.0f} seconds")
            time.sleep(0.05)
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[:6])
    seconds, messages, outcomes = json.loads(printed)
    own = memory.pop(process.pid)
    cpu = cpu_of_children() - cpu  # the server is counted when it has ended
    return Run(seconds, cpu, messages, outcomes, own + sum(memory.values()), len(memory), asked(server))


def cpu_of_children() -> float:
    """Return the CPU seconds of all child processes that have ended, and of those of their own."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def asked(server: "subprocess.Popen[str]") -> list[int]:
    """Return the peaks of each host since this was last asked."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("\n")
    server.stdin.flush()
    peaks: list[int] = json.loads(server.stdout.readline())
    return peaks


def digest_of(root: Path) -> tuple[str, int]:
    """Verify all archives; return a hash over their names and contents, and the bytes that they take on disk."""
    found, disk = hashlib.sha256(), 0
    for path in sorted(root.iterdir()):
        with Archive(path) as archive:
            if not len(archive):
                continue  # of a bad account
            if not archive.verify():
                raise ValueError(f"{path} is damaged")
            found.update("".join([path.name, *sorted(record.sha256 for record in archive)]).encode())
        for directory, _, names in os.walk(path):
            disk += sum(os.lstat(Path(directory, name)).st_blocks * 512 for name in (".", *names))
    return found.hexdigest(), disk


def run(accounts: int, messages: int, rows: Iterator[str] | None = None) -> dict[str, Measured]:
    """Measure each row. ValueError if an archive differs, or an account did not end as it should."""
    results: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as place:
        for row in rows or iter(ROWS):
            command = [sys.executable, "-m", "tests.benchmarks.accounts", "serve"]
            command += [str(accounts), str(messages), str(ROWS[row][1])]
            pipe = subprocess.PIPE
            with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdin=pipe, stdout=pipe, text=True) as server:
                assert server.stdout is not None
                service, root = server.stdout.readline(), Path(place, row)
                kind = row.split()[0]
                first = measured(kind, root, service, server)
                second = measured(kind, root, service, server)
                server.communicate()
            results[row] = Measured(first, second, *digest_of(root))
            print(f"{row}: {results[row]}", file=sys.stderr)
            good = accounts // HOSTS * HOSTS + 1
            expected = {"done": good, "AuthenticationError": 1, "MailboxLocked": 1, "ConnectionLost": 1}
            if first.outcomes != expected or first.messages != good * messages or second.messages:
                raise ValueError(f"{row}: the accounts did not end as they should: {results[row]}")
            if second.outcomes != expected or max(first.peaks + second.peaks) > PER_HOST:
                raise ValueError(f"{row}: the accounts did not end as they should: {results[row]}")
    if len({one.digest for one in results.values()}) != 1:
        raise ValueError("the archives differ")
    return results


def disk(results: dict[str, Measured]) -> str:
    """Return what an archive takes on disk."""
    row = next(iter(results.values()))
    return f"{row.disk / row.first.outcomes['done'] / 1000:.0f} KB on disk for each archive"


def table(results: dict[str, Measured]) -> str:
    """Return the results as a table; all archives are the same, or `run` would have failed."""
    lines = [
        "| | first run | messages/s | CPU | second run | accounts/s | CPU | memory | worker processes | most sessions of a"
        " host |",
        f"|---|{'--:|' * 9}",
    ]
    for row, (first, second, _, _) in results.items():
        cells = [
            ROWS[row][0],
            f"{first.seconds:.1f} s",
            f"{first.messages / first.seconds:,.0f}",
            f"{first.cpu:.1f} s",
            f"{second.seconds:.1f} s",
            f"{second.outcomes['done'] / second.seconds:,.0f}",
            f"{second.cpu:.1f} s",
            f"{max(first.memory, second.memory) >> 20} MB",
            str(max(first.workers, second.workers)),
            str(max(first.peaks + second.peaks)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    else:
        collect(*sys.argv[2:])
