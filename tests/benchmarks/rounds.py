"""All measurements of one run: the servers, the rounds, and what they come to.

The cases are interleaved: each round runs every work once, in another order each time, and the clients of one work one
behind the other, so that a busy minute of the machine falls on all of them. Ratios are made within a round; of them
the median is taken.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import trustme

from tests import ROOT
from tests.benchmarks import crowd
from tests.benchmarks.mailbags import fill, shape
from tests.benchmarks.memory_server import PASSWORD
from tests.benchmarks.programs import PROGRAMS
from tests.benchmarks.service import Service
from tests.benchmarks.works import (
    CROWD,
    CROWD_DOVECOT,
    DELAYED,
    DOVECOT,
    LOCKSTEP,
    MEMORY,
    TLS,
    WORKS,
    Run,
    Work,
)
from tests.servers import Login, Mail, ServerFailedError, ServerMissingError, dovecot

__all__ = ["NOT_INSTALLED", "Failure", "Measurement", "Results", "Stage", "Summary", "run_rounds"]

HOST = "127.0.0.1"
DELAY = 0.025  # seconds each way
PATIENCE = 90.0  # seconds one measurement may take
IMPORTS = 7  # fresh interpreters a round
NOT_INSTALLED = "not installed"
UNLIKE = ("headers", "listings")  # works whose clients return different things
HEAVY = ("ssl", "email", "asyncio", "sqlite3")


class Measurement(NamedTuple):
    """What one run took: seconds and octets.

    `seconds` is the time inside the client: after the login where the wire is fast, with the login at 50 ms, the whole
    process for a program, whose memory is not known. `whole` is the process from its start to its end. `tally` is what the client says it read.
    """

    seconds: float
    whole: float
    cpu: float
    server_cpu: float
    peak: int
    over_idle: int
    growth: int
    tally: int


class Failure(Exception):
    """A client did not finish its work: the last line it wrote."""


class Summary(NamedTuple):
    """What one client took in every round, and the medians of it."""

    median: Measurement
    samples: tuple[Measurement, ...]

    @property
    def fastest(self) -> float:
        return min(sample.seconds for sample in self.samples)

    @property
    def slowest(self) -> float:
        return max(sample.seconds for sample in self.samples)

    def ratio(self, other: Summary, *, whole: bool = False) -> float:
        """How many times as long as the other it takes: the median of the rounds' ratios.

        Where one of the two ran in fewer rounds it is the ratio of the medians. `whole`: both as whole processes.
        """
        if len(self.samples) != len(other.samples):
            return took(self.median, whole=whole) / took(other.median, whole=whole)
        pairs = zip(self.samples, other.samples, strict=True)
        return statistics.median(took(mine, whole=whole) / took(theirs, whole=whole) for mine, theirs in pairs)


def took(measurement: Measurement, *, whole: bool) -> float:
    return measurement.whole if whole else measurement.seconds


Results = dict[tuple[str, str], Summary]


class Stage:
    """The server and the delay line, running while the block does."""

    def __init__(self, works: Iterable[Work] = WORKS, *, quick: bool) -> None:
        works = list(works)
        self.mailbags = sorted({work.mailbag for work in works} - {""}) or ["c"]  # it wants one to serve
        self.wires = {work.wire for work in works}
        self.crowd = max((work.count or 0 for work in works if work.wire in (CROWD, CROWD_DOVECOT)), default=0)
        self.quick = quick
        self.stack = contextlib.ExitStack()
        self.ports: dict[str, int] = {}
        self.missing = ""  # why dovecot does not run

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as stack:
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.authority = self.directory / "ca.pem"
            certificate = self.directory / "server.pem"
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(self.authority))
            issued = authority.issue_cert(HOST)
            issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
            command = ["memory_server", "--certificate", str(certificate), *self.mailbags]
            if self.quick:
                command.insert(1, "--quick")
            ports = stack.enter_context(background(command))
            delayed = [str(ports["pipelining"]), str(ports["plain"])]
            far, far_plain = stack.enter_context(background(["delay_line", str(DELAY), *delayed]))
            self.ports = {
                MEMORY: ports["pipelining"],
                TLS: ports["tls"],
                DELAYED: far,
                LOCKSTEP: far_plain,
            }
            if DOVECOT in self.wires:
                self.start_dovecot(stack)
            if CROWD in self.wires:
                served = stack.enter_context(background(["crowd", str(DELAY), str(self.crowd)]))
                self.ports[CROWD] = served["port"]
            if CROWD_DOVECOT in self.wires:
                self.start_crowded_dovecot(stack)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stack.close()

    def start_dovecot(self, stack: contextlib.ExitStack) -> None:
        """Run dovecot with mailbag A in a Maildir, where it is installed."""
        mailbag = fill("a", quick=self.quick)
        mails = [Mail(str(number), mailbag.raw(number)) for number in range(1, len(mailbag) + 1)]
        try:
            server = stack.enter_context(dovecot(mails=mails))
        except (ServerMissingError, ServerFailedError) as exc:
            self.missing = str(exc).splitlines()[0]
            return
        self.ports[DOVECOT] = server.port
        self.dovecot_login = Login(server.user, server.password)

    def start_crowded_dovecot(self, stack: contextlib.ExitStack) -> None:
        """Run dovecot with many users behind a delay line, where it is installed."""
        try:
            server = stack.enter_context(dovecot(mails=[Mail(str(n), raw) for n, raw in enumerate(crowd.MAILS)]))
        except (ServerMissingError, ServerFailedError) as exc:
            self.missing = str(exc).splitlines()[0]
            return
        made = [server.fresh_user() for _ in range(self.crowd)]
        assert made[0].user == f"{crowd.USER}1"
        self.crowd_password = made[0].password
        (self.ports[CROWD_DOVECOT],) = stack.enter_context(background(["delay_line", str(DELAY), str(server.port)]))

    def service(self, work: Work, count: int | None = None) -> Service:
        """Give the service of a work, or of a sample of it."""
        if work.wire in (CROWD, CROWD_DOVECOT):
            password = PASSWORD if work.wire == CROWD else self.crowd_password
            return Service(HOST, self.ports[work.wire], crowd.USER, password, work.count or 1)
        available = shape(work.mailbag, quick=self.quick).count
        count = min(count or work.count or available, available)
        certificate = str(self.authority) if work.wire == TLS else ""
        user, password = self.dovecot_login if work.wire == DOVECOT else (work.mailbag, PASSWORD)
        return Service(HOST, self.ports[work.wire], user, password, count, certificate)

    def server_cpu(self) -> float:
        """Ask the server for the CPU seconds it has used."""
        with socket.create_connection((HOST, self.ports[MEMORY])) as sock, sock.makefile("rb") as file:
            file.readline()
            sock.sendall(b"XCPU\r\nQUIT\r\n")
            return float(file.readline().split()[1])

    def measure(self, work: Work, run: Run) -> Measurement:
        """Run one client once; raise Failure if it did not finish."""
        kind, _, name = run.target.partition(":")
        if kind == "import":
            return measure_import(name)
        if work.wire in (DOVECOT, CROWD_DOVECOT) and self.missing:
            raise Failure(self.missing)
        service = self.service(work, run.count)
        before = self.server_cpu()
        if kind == "program":
            fast = service._replace(port=self.ports[MEMORY])
            command = PROGRAMS[name](service, fast, self.directory)
            before = self.server_cpu()
            whole, cpu, _ = finish(command)
            server_cpu = self.server_cpu() - before
            return Measurement(whole, whole, cpu, server_cpu, 0, 0, 0, 0)
        command = [sys.executable, "-m", "tests.benchmarks.child", run.target, *map(str, service[:5])]
        if service.certificate:
            command.append(service.certificate)
        whole, _, output = finish(command)
        report = json.loads(output)
        scale = self.service(work).count / service.count
        seconds = report["working"] * scale
        if work.wire in (DELAYED, LOCKSTEP):
            seconds += report["connecting"]
        return Measurement(
            seconds,
            whole if scale == 1 else seconds,
            report["cpu"] * scale,
            (self.server_cpu() - before) * scale,
            report["peak"],
            report["peak"] - report["idle"],
            report["at_last"] - report["at_tenth"],
            report["tally"] if scale == 1 else 0,
        )


@contextlib.contextmanager
def background(command: list[str]) -> Iterator[dict[str, int]]:
    """Run a module of this package until the block ends; give the line of JSON it prints when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.{command[0]}", *command[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with process:  # closes its standard input, which ends it
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Failure(f"{command[0]} did not start")
        yield json.loads(line)


def finish(command: list[str]) -> tuple[float, float, bytes]:
    """Run a process to its end: seconds, CPU seconds, what it printed.

    Its ru_maxrss says nothing: on Linux it begins with what this process had when it forked.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    assert process.stdout is not None
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        timer.cancel()
        process.stdout.close()
    whole = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if whole > PATIENCE:
        raise Failure(f"did not finish within {PATIENCE:.0f} s")
    if process.returncode:
        lines = output.decode(errors="replace").strip().splitlines() or ["nothing said"]
        raise Failure(f"exit status {process.returncode}: {lines[-1]}")
    return whole, usage.ru_utime + usage.ru_stime, output


def measure_import(statement: str) -> Measurement:
    """Time a statement in fresh interpreters that have attrs and socket; the tally counts heavy modules it brought."""
    code = (
        "import attrs, socket, sys, time\n"
        "before, had = time.perf_counter(), set(sys.modules)\n"
        f"{statement}\n"
        "took = time.perf_counter() - before\n"
        f"print(took, len(set({HEAVY!r}) & (set(sys.modules) - had)))\n"
    )
    taken = []
    heavy = 0
    for _ in range(IMPORTS):
        output = finish([sys.executable, "-c", code])[2].split()
        taken.append(float(output[0]))
        heavy = int(output[1])
    seconds = statistics.median(taken)
    return Measurement(seconds, seconds, seconds, 0.0, 0, 0, 0, heavy)


def absence(run: Run) -> str:
    """Say why the client of a run cannot run here; empty where it can.

    `NOT_INSTALLED` for a program or a name of pymailbox that does not exist; what went wrong for one that fails.
    """
    kind, _, name = run.target.partition(":")
    if kind == "program":
        return "" if shutil.which(name.partition("_")[0]) else NOT_INSTALLED
    statement = {
        "ours": "from pymailbox import Mailbox",
        "ours_connection": "from pymailbox.pop3 import Connection",
        "ours_async": "from pymailbox import AsyncMailbox",
        "import": name,
    }.get(kind)
    if statement is None:
        return ""
    try:
        finish([sys.executable, "-c", statement])
    except Failure as exc:
        return NOT_INSTALLED if "ImportError: cannot import name" in str(exc) else str(exc)
    return ""


def run_rounds(
    stage: Stage, works: Iterable[Work], count: int, say: Callable[[str], object]
) -> tuple[Results, dict[tuple[str, str], str]]:
    """Run every client of every work `count` times, interleaved; give the summaries, and why others have none."""
    works = list(works)
    missing = {run.target: absence(run) for work in works for run in work.runs.values()}
    taken: dict[tuple[str, str], list[Measurement]] = {}
    failures: dict[tuple[str, str], str] = {}
    for number in range(count):
        order = random.Random(number)
        cases = [
            (work, client, run)
            for work in order.sample(works, len(works))
            for client, run in order.sample(list(work.runs.items()), len(work.runs))
        ]
        for work, client, run in cases:
            key = (work.key, client)
            if key in failures or (run.once and number):
                continue
            if missing[run.target]:
                failures[key] = missing[run.target]
                continue
            try:
                measurement = stage.measure(work, run)
            except Failure as exc:
                failures[key] = str(exc)
                say(f"{work.key} · {client}: {exc}")
                continue
            taken.setdefault(key, []).append(measurement)
            say(f"round {number + 1}: {work.key} · {client}: {measurement.seconds:.3f} s")
    results = {key: summarise(measurements) for key, measurements in taken.items()}
    failures.update(disagreements(results))
    return results, failures


def summarise(measurements: list[Measurement]) -> Summary:
    """Take the median of every figure."""
    columns = zip(*measurements, strict=True)
    return Summary(Measurement(*(statistics.median(column) for column in columns)), tuple(measurements))


def disagreements(results: Results) -> dict[tuple[str, str], str]:
    """Find clients that read another number of octets or entries than the floor did."""
    wrong = {}
    for (work, client), summary in results.items():
        floor = results.get((work, "floor"))
        tally = summary.median.tally
        if floor and not work.startswith(UNLIKE) and tally not in (0, floor.median.tally):
            wrong[work, client] = f"read {tally:,}, the floor {floor.median.tally:,}"
    return wrong
