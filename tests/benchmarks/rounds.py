"""Run every client with every work, in a different order each round, so that a busy minute affects all of them."""

import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import trustme

from tests import ROOT
from tests.benchmarks.case import Report, Service
from tests.benchmarks.mailbags import shape
from tests.benchmarks.memory_server import PASSWORD
from tests.servers import ServerMissingError, program

HOST = "127.0.0.1"
TIMEOUT = 300.0  # seconds for one measurement
#: For every client. Without these settings for glibc, a body of 25 MB costs 6,000 page faults or none, by chance.
ENVIRONMENT = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


class Work(NamedTuple):
    """One work: the case that every client runs, the mailbag, and the port of the server: plain, tls or far."""

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
    """Return a command that reads every message over one connection."""
    scheme, tls = ("pop3s", ["--cacert", service.certificate]) if service.certificate else ("pop3", [])
    command = ["curl", "--disable", "--silent", "--fail", "--output", service.sink_path, *tls]
    command += ["--user", f"{service.user}:{service.password}"]
    return [*command, f"{scheme}://{service.host}:{service.port}/[1-{service.count}]"]


def mpop(service: Service, directory: Path) -> list[str]:
    """Return a command that reads every message into an mbox, with an empty list of known uids."""
    seen = directory / "mpop-uids"
    seen.unlink(missing_ok=True)
    command = ["mpop", "--quiet", f"--host={service.host}", f"--port={service.port}", "--auth=user", "--keep=on"]
    command += [f"--user={service.user}", f"--passwordeval=echo {service.password}", "--received-header=off"]
    command += [f"--delivery=mbox,{service.sink_path}", f"--uidls-file={seen}", "--timeout=60"]
    tls = ["--tls=on", "--tls-starttls=off", f"--tls-trust-file={service.certificate}"]
    return [*command, *(tls if service.certificate else ["--tls=off"])]


#: The module of each client in Python, and the prefix of its functions.
CLIENTS = {
    "floor": ("floor", ""),
    "Mailbox": ("ours", "mailbox_"),
    "AsyncMailbox": ("ours", "async_"),
    "Connection": ("ours", "connection_"),
    "poplib": ("standard", ""),
}
PROGRAMS = {"curl": curl, "mpop": mpop}


def run_case(case: str, service: Service, root: Path = ROOT) -> Report:
    """Run a case (`module.function`) once, with the package of the checkout at `root`."""
    command = [sys.executable, "-m", "tests.benchmarks.case", *case.split("."), json.dumps(service)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=TIMEOUT, cwd=root, env=ENVIRONMENT)
    if done.returncode:
        raise ValueError(f"{case} failed with the package in {root}; the traceback is above")
    return Report(*json.loads(done.stdout))


#: The seconds of each round, by the title of a work and the client.
Results = dict[tuple[str, str], list[float]]


class Stage(NamedTuple):
    """A running server, and the files of its clients."""

    directory: Path
    ports: dict[str, int]
    quick: bool

    def service(self, work: Work) -> Service:
        """Return the mailbox that a work reads."""
        certificate = str(self.directory / "ca.pem") if work.link == "tls" else ""
        count, _, _ = shape(work.mailbag, quick=self.quick)
        return Service(HOST, self.ports[work.link], work.mailbag, PASSWORD, count, certificate)

    def measure(self, work: Work, client: str) -> tuple[float, int | None]:
        """Run one client once; return its seconds, and its tally of what it read, which programs do not have.

        The time does not include the login, except on the port `far`; for a program it is that of the whole process.
        """
        service = self.service(work)
        if client in PROGRAMS:
            command = [*program(client), *PROGRAMS[client](service, self.directory)[1:]]
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=TIMEOUT, cwd=ROOT, env=ENVIRONMENT)
            return time.perf_counter() - begin, None
        report = run_case(".".join(CLIENTS[client]) + work.case, service)
        return report.seconds + (report.connecting if work.link == "far" else 0), report.tally


def compile_package(root: Path) -> None:
    command = [sys.executable, "-m", "compileall", "-q", "pymailbox", "tests/benchmarks"]
    subprocess.run(command, check=True, cwd=root, env=ENVIRONMENT)


@contextlib.contextmanager
def package_of(commit: str) -> Iterator[Path]:
    """Have the package of a commit in a directory named after it, with the tests of today, until the block ends."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, f"pymailbox of {commit}")
        root.mkdir(parents=True)
        files = subprocess.run(["git", "archive", commit, "pymailbox"], check=True, stdout=subprocess.PIPE, cwd=ROOT)
        with tarfile.open(fileobj=io.BytesIO(files.stdout)) as archive:
            archive.extractall(root, filter="data")
        (root / "tests").symlink_to(ROOT / "tests")
        compile_package(root)
        yield root


@contextlib.contextmanager
def staged(works: Iterable[Work], *, quick: bool) -> Iterator[Stage]:
    """Run the server with the mailboxes of these works until the block ends."""
    with tempfile.TemporaryDirectory() as name:
        compile_package(ROOT)
        authority, certificate = trustme.CA(), f"{name}/server.pem"
        authority.cert_pem.write_to_path(f"{name}/ca.pem")
        authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(certificate)
        command = [sys.executable, "-m", "tests.benchmarks.memory_server", "quick" if quick else "full", certificate]
        command += dict.fromkeys(work.mailbag for work in works)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as server:
            assert server.stdout is not None
            try:
                yield Stage(Path(name), json.loads(server.stdout.readline()), quick)
            finally:
                server.kill()


def _is_there(name: str) -> bool:
    with contextlib.suppress(ServerMissingError):
        return bool(program(name))
    return False


def run_rounds(stage: Stage, works: Iterable[Work], count: int) -> Results:
    """Run every installed client `count` times; ValueError if they did not all read the same."""
    works = list(works)
    clients = [*CLIENTS, *filter(_is_there, PROGRAMS)]
    results: Results = {}
    for number in range(count):
        for work in works:
            if work.link == "far" and number:
                continue  # it consists of waiting, which is the same each time
            tallies = {}
            for client in random.Random(f"{number} {work.title}").sample(clients, len(clients)):
                if client in PROGRAMS and work.case == "headers":
                    continue
                seconds, tallies[client] = stage.measure(work, client)
                results.setdefault((work.title, client), []).append(seconds)
                print(f"round {number + 1}: {work.title} · {client}: {seconds:.3f} s", file=sys.stderr)
            if len(set(tallies.values()) - {None}) != 1:
                raise ValueError(f"{work.title}: not all clients read the same: {tallies}")
    return results
