"""Every client doing every work, interleaved: the servers, the measurements, and the ratios they come to.

The clients of one work run one after the other, in another order each round, so that a busy minute of the machine falls
on all of them. Ratios are made within a round; of them the median is taken.
"""

import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

import trustme

from tests import ROOT
from tests.benchmarks.mailbags import shape
from tests.benchmarks.memory_server import PASSWORD
from tests.benchmarks.service import Service

__all__ = ["CLIENTS", "PROGRAMS", "WORKS", "Results", "Stage", "Work", "run_rounds"]

HOST = "127.0.0.1"
DELAY = 0.025  # seconds each way
PATIENCE = 120.0  # seconds one measurement may take
COMPILED = ("pymailbox", "tests/__init__.py", "tests/benchmarks")
#: Of every client. Without glibc's settings it is chance whether each body of 25 MB costs 6,000 page faults.
ENVIRONMENT = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


class Work(NamedTuple):
    """What is to be done: the case of every client, the mailbag, and the way to the server: plain, tls or far."""

    title: str
    case: str
    mailbag: str
    link: str


WORKS = (
    Work("subject, sender, date of 10,000", "headers", "small", "plain"),
    Work("10,000 × 2.2 KB", "bodies", "small", "plain"),
    Work("1,000 × 75 KB", "bodies", "medium", "plain"),
    Work("20 × 25 MB", "bodies", "large", "plain"),
    Work("20 × 25 MB to a file", "stream", "large", "plain"),
    Work("10,000 × 2.2 KB over TLS", "bodies", "small", "tls"),
    Work("1,000 × 75 KB over TLS", "bodies", "medium", "tls"),
    Work("20 × 25 MB over TLS", "bodies", "large", "tls"),
    Work("20 × 25 MB over TLS to a file", "stream", "large", "tls"),
    Work("subject, sender, date of 400 at 50 ms", "headers", "far-small", "far"),
    Work("400 × 2.2 KB at 50 ms", "bodies", "far-small", "far"),
    Work("400 × 75 KB at 50 ms", "bodies", "far-medium", "far"),
)


def curl(service: Service, directory: Path) -> list[str]:
    """RETR every message over one connection."""
    command = ["curl", "--disable", "--silent", "--fail", "--output", service.sink_path]
    command += ["--user", f"{service.user}:{service.password}"]
    if service.certificate:
        command += ["--cacert", service.certificate]
    scheme = "pop3s" if service.certificate else "pop3"
    return [*command, f"{scheme}://{service.host}:{service.port}/[1-{service.count}]"]


def mpop(service: Service, directory: Path) -> list[str]:
    """RETR every message into an mbox, with an empty list of what was seen."""
    seen = directory / "mpop-uids"
    seen.unlink(missing_ok=True)
    command = ["mpop", "--quiet", f"--host={service.host}", f"--port={service.port}", "--auth=user", "--keep=on"]
    command += [f"--user={service.user}", f"--passwordeval=echo {service.password}", "--received-header=off"]
    command += [f"--delivery=mbox,{service.sink_path}", f"--uidls-file={seen}", "--timeout=60"]
    if service.certificate:
        return [*command, "--tls=on", "--tls-starttls=off", f"--tls-trust-file={service.certificate}"]
    return [*command, "--tls=off"]


#: The module and the beginning of the functions of each client in Python.
CLIENTS = {
    "floor": ("floor", ""),
    "Mailbox": ("ours", "mailbox_"),
    "AsyncMailbox": ("ours", "async_"),
    "Connection": ("ours", "connection_"),
    "poplib": ("standard", ""),
}
PROGRAMS = {"curl": curl, "mpop": mpop}


class Results(dict[tuple[str, str], list[float]]):
    """The seconds of each round, by the title of a work and the client."""

    def ratio(self, title: str, client: str, other: str) -> float | None:
        """How many times as long as the other it takes: the median of the rounds; None where one has not run."""
        mine, others = self.get((title, client)), self.get((title, other))
        return statistics.median(a / b for a, b in zip(mine, others, strict=True)) if mine and others else None


class Stage:
    """The server and the delayed way to it, running while the block does."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            subprocess.run([sys.executable, "-m", "compileall", "-q", *COMPILED], check=True, cwd=ROOT, env=ENVIRONMENT)
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(self.directory / "ca.pem"))
            certificate = self.directory / "server.pem"
            authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(certificate))
            command = [sys.executable, "-m", "tests.benchmarks.memory_server", "quick" if self.quick else "full"]
            command += [str(certificate), *dict.fromkeys(work.mailbag for work in WORKS)]
            self.ports = stack.enter_context(serving(command))
            line = [sys.executable, "-m", "tests.benchmarks.delay_line", str(DELAY), str(self.ports["plain"])]
            self.ports |= stack.enter_context(serving(line))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stack.close()

    def service(self, work: Work) -> Service:
        """Give the mailbox that a work reads."""
        certificate = str(self.directory / "ca.pem") if work.link == "tls" else ""
        count = shape(work.mailbag, quick=self.quick).count
        return Service(HOST, self.ports[work.link], work.mailbag, PASSWORD, count, certificate)

    def measure(self, work: Work, client: str) -> tuple[float, int | None]:
        """Run one client once; give its seconds and what it says it read, which programs do not.

        The seconds are those after the login, at 50 ms with the login, and of a program those of the whole process.
        """
        service = self.service(work)
        if client in PROGRAMS:
            command = PROGRAMS[client](service, self.directory)
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE, env=ENVIRONMENT)
            return time.perf_counter() - begin, None
        module, prefix = CLIENTS[client]
        command = [sys.executable, "-m", "tests.benchmarks.child", module, prefix + work.case, *map(str, service[:6])]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=PATIENCE, cwd=ROOT, env=ENVIRONMENT)
        report = json.loads(done.stdout)
        return report["working"] + (report["connecting"] if work.link == "far" else 0), report["tally"]


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[dict[str, int]]:
    """Run a server until the block ends; give the line of JSON it prints when it is ready."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    with process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def run_rounds(stage: Stage, works: Iterable[Work], count: int, say: Callable[[str], object]) -> Results:
    """Run every client that is installed `count` times; ValueError where one did not read what the floor read."""
    works = list(works)
    clients = [*CLIENTS, *filter(shutil.which, PROGRAMS)]
    results = Results()
    for number in range(count):
        for work in works:
            tallies = {}
            for client in random.Random(f"{number} {work.title}").sample(clients, len(clients)):
                if client in PROGRAMS and work.case == "headers":
                    continue
                seconds, tallies[client] = stage.measure(work, client)
                results.setdefault((work.title, client), []).append(seconds)
                say(f"round {number + 1}: {work.title} · {client}: {seconds:.3f} s")
            if len(set(tallies.values()) - {None}) != 1:
                raise ValueError(f"{work.title}: not all clients read the same: {tallies}")
    return results
