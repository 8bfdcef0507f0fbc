"""The archive against mpop and against itself without fsync: whole processes, on dovecot over TLS.

A run into an empty directory downloads everything, and a second one finds nothing new. mpop delivers to a Maildir.
`verify` reads what the first run stored, without the start of Python; so does sha256sum. Its files are in the cache.
"""

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pymailbox import Mailbox
from pymailbox.pop3.tls import private_ca
from tests import ROOT
from tests.benchmarks.case import Report, Service
from tests.benchmarks.mailbags import fill
from tests.benchmarks.report import number, ratio
from tests.benchmarks.rounds import compile_package, run_case
from tests.servers import RealServer, dovecot, program
from tests.servers.seed import Mail

ENVIRONMENT = dict(os.environ)
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)
TIMEOUT = 300.0  # seconds for one measurement
#: The mailboxes, and the mailbag of each; the last one is measured in the first round only.
TITLES = {"2,000 × 4 KB": "archive-small", "50 × 2 MB": "archive-large", "100,000 × 1 KB": "many"}
#: The most that a first run should take of mpop's time.
GOALS = {"2,000 × 4 KB": 0.5, "50 × 2 MB": 1.0}
VERIFY_GOAL = 1.25  # of the CPU of sha256sum
#: What each program took in each round: by the title of the mailbox, the run (first, second or verify) and the program.
Taken = dict[tuple[str, str, str], list[Report]]


def ours(server: RealServer, directory: Path, module: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        module,
        "archive",
        server.tls_url,
        "--ca",
        str(server.ca),
        "--to",
        f"{directory}/mail",
    ]


def mpop(server: RealServer, directory: Path) -> list[str]:
    for name in ("new", "cur", "tmp"):
        (directory / "mail" / name).mkdir(parents=True, exist_ok=True)
    command = [*program("mpop"), "--quiet", f"--host={server.host}", f"--port={server.tls_port}", "--auth=user"]
    command += [f"--user={server.user}", f"--passwordeval=echo {server.password}", "--keep=on", "--timeout=60"]
    command += ["--tls=on", "--tls-starttls=off", f"--tls-trust-file={server.ca}", "--received-header=off"]
    return [*command, f"--delivery=maildir,{directory}/mail", f"--uidls-file={directory}/uids"]


def sha256sum(directory: Path) -> list[str]:
    return ["find", f"{directory}/mail/new", "-type", "f", "-exec", "sha256sum", "{}", "+"]


PROGRAMS = {
    "Archive": lambda server, directory: ours(server, directory, "pymailbox"),
    "before": lambda server, directory: ours(server, directory, "pymailbox"),
    "without fsync": lambda server, directory: ours(server, directory, "tests.benchmarks.without_fsync"),
    "mpop": mpop,
}


def where(directory: str) -> str:
    """Describe the file system of a directory, and how long it takes to force 4 KB to disk."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    over = [(len(point), kind) for point, kind in mounts if Path(directory).resolve().is_relative_to(point)]
    times = []
    for again in range(31):
        with Path(directory, f"sync{again}").open("wb") as file:
            file.write(bytes(4096))
            file.flush()
            begin = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begin)
    return f"{max(over)[1]}, fsync of 4 KB in {statistics.median(times) * 1000:.1f} ms"


def measured(command: list[str], password: str = "", root: Path = ROOT, tally: int = 0) -> Report:
    """Run a command to its end in this directory; the tally is what it is known to read."""
    environment = ENVIRONMENT | {"PYMAILBOX_PASSWORD": password}
    before, begin, memory = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL) as process:
        # The rusage of a child counts the memory of the parent that it was forked from, so ask the kernel meanwhile.
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            found = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
            memory = int(found[0].split()[1]) * 1024 if found else memory
            if time.perf_counter() > begin + TIMEOUT:
                process.kill()
                raise TimeoutError(f"{command[0]} took more than {TIMEOUT:.0f} seconds")
            time.sleep(0.003)
        seconds = time.perf_counter() - begin
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Report(0, seconds, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, memory, tally)


def run_rounds(count: int, before: Path | None = None, *, quick: bool) -> tuple[Taken, str]:
    """Run every program `count` times with every mailbox; return what they took, and on what file system.

    `before`: the checkout of an earlier package. ValueError if one of them did not keep every message once.
    """
    taken: Taken = {}
    programs = [name for name in PROGRAMS if name != "before" or before]
    roots = {"before": before or ROOT}
    compile_package(ROOT)

    def take(round: int, title: str, run: str, name: str, report: Report) -> None:
        taken.setdefault((title, run, name), []).append(report)
        print(f"round {round + 1}: {title} · {run} · {name}: {report}", file=sys.stderr)

    # Nothing is removed before the end: ext4 creates files slowly for some seconds after many were removed.
    with tempfile.TemporaryDirectory() as place:
        for title, mailbag in TITLES.items():
            messages = fill(mailbag, quick=quick).messages()
            mails = [Mail(f"m{index}", raw.replace(b"\r\n", b"\n")) for index, raw in enumerate(messages)]
            with dovecot(mechanisms=["PLAIN"], mails=mails) as server:
                assert server.ca is not None
                with Mailbox.from_url(server.tls_url, server.password, ssl_context=private_ca(server.ca)) as inbox:
                    assert len(inbox.sizes) == len(inbox.uids)  # dovecot computes them once
                for round in range(1 if mailbag == "many" else count):
                    chance = random.Random(f"{round} {title}")
                    directories = {name: Path(tempfile.mkdtemp(dir=place)) for name in programs}
                    for name in chance.sample(programs, len(programs)):
                        directory, root = directories[name], roots.get(name, ROOT)
                        for run in ("first", "second"):
                            command = PROGRAMS[name](server, directory)
                            take(round, title, run, name, measured(command, server.password, root, len(messages)))
                        if len(list((directory / "mail" / "new").iterdir())) != len(messages):
                            raise ValueError(f"{title}: {name} did not keep every message once")
                    directory = directories["Archive"]
                    service = Service("", 0, "", "", len(messages), directory=str(directory))
                    readers = [name for name in (*programs, "sha256sum") if name in ("Archive", "before", "sha256sum")]
                    for name in chance.sample(readers, len(readers)):
                        if name == "sha256sum":
                            report = measured(sha256sum(directory))
                        else:
                            report = run_case("ours.archive_verify", service, roots.get(name, ROOT))
                        take(round, title, "verify", name, report)
        return taken, where(place)


def table(taken: Taken) -> str:
    """Return tables of the medians, and of the ratios within a round; the memory is the most of all rounds."""
    lines = [
        "| mailbox | run | Archive | its CPU | without fsync | mpop | against before | against without fsync | against mpop"
        " | memory | mpop's memory |",
        f"|---|---|{'--:|' * 9}",
    ]

    def seconds(title: str, run: str, name: str) -> str:
        return f"{statistics.median(one.seconds for one in taken[title, run, name]):.2f} s"

    def against(title: str, run: str, name: str, goal: float | None = None, value: str = "seconds") -> str:
        mine, others = ([getattr(one, value) for one in taken.get((title, run, who), [])] for who in ("Archive", name))
        return number(ratio(mine, others)) + (f" (goal {number(goal)})" if goal else "")

    titles = list(dict.fromkeys(title for title, _, _ in taken))
    for title in titles:
        for run in ("first", "second"):
            cells = [title, run, seconds(title, run, "Archive")]
            cells.append(f"{statistics.median(one.cpu for one in taken[title, run, 'Archive']):.2f} s")
            cells += [seconds(title, run, name) for name in ("without fsync", "mpop")]
            cells += [against(title, run, name) for name in ("before", "without fsync")]
            cells.append(against(title, run, "mpop", GOALS.get(title) if run == "first" else None))
            for name in ("Archive", "mpop"):
                cells.append(f"{max(one.memory for one in taken[title, run, name]) >> 20} MB")
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| | `verify` | sha256sum | CPU against before | CPU against sha256sum |", f"|---|{'--:|' * 4}"]
    for title in titles:
        cells = [title, seconds(title, "verify", "Archive"), seconds(title, "verify", "sha256sum")]
        cells.append(against(title, "verify", "before", None, "cpu"))
        cells.append(against(title, "verify", "sha256sum", VERIFY_GOAL, "cpu"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", bound(taken, titles[-1])])


def bound(taken: Taken, title: str) -> str:
    """Say what the first run of the largest mailbox waited for."""
    one, free = (taken[title, "first", name][0] for name in ("Archive", "without fsync"))
    return (
        f"{title}, first run: {one.tally / one.seconds:,.0f} messages a second. Of {one.seconds:.1f} s, Python's CPU was busy"
        f" for {one.user:.1f} s in the program and {one.system:.1f} s in the kernel; without fsync it took"
        f" {free.seconds:.1f} s, of which {free.seconds - free.cpu:.1f} s were spent waiting for the server."
    )
