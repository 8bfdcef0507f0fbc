"""The archive against mpop and against itself without fsync: whole processes, on dovecot over TLS.

A run into an empty directory downloads everything, and a second one finds nothing new. mpop delivers to a Maildir.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from pymailbox import Mailbox
from pymailbox.pop3.tls import private_ca
from tests import ROOT
from tests.benchmarks.mailbags import fill
from tests.servers import RealServer, dovecot, program
from tests.servers.seed import Mail

ENVIRONMENT = dict(os.environ)
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)
TIMEOUT = 300.0  # seconds for one measurement
#: The mailboxes, and the mailbag of each.
TITLES = {"2,000 × 4 KB": "archive-small", "50 × 2 MB": "archive-large"}


class Measured(NamedTuple):
    """One process."""

    seconds: float
    #: Its largest resident memory in bytes.
    memory: int


#: What each program took in each round: by the title of the mailbox, the run (1 or 2) and the program.
Taken = dict[tuple[str, int, str], list[Measured]]


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


PROGRAMS = {
    "Archive": lambda server, directory: ours(server, directory, "pymailbox"),
    "without fsync": lambda server, directory: ours(server, directory, "tests.benchmarks.without_fsync"),
    "mpop": mpop,
}


def where(directory: str) -> str:
    """Describe the file system of a directory, and how long it takes to force 4 KB to disk."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    over = [(len(point), kind) for point, kind in mounts if Path(directory).resolve().is_relative_to(point)]
    times = []
    for number in range(31):
        with Path(directory, f"sync{number}").open("wb") as file:
            file.write(bytes(4096))
            file.flush()
            begin = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begin)
    return f"{max(over)[1]}, fsync of 4 KB in {statistics.median(times) * 1000:.1f} ms"


def measured(command: list[str], server: RealServer) -> Measured:
    """Run a command to its end."""
    environment = ENVIRONMENT | {"PYMAILBOX_PASSWORD": server.password}
    begin, memory = time.perf_counter(), 0
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
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
    return Measured(seconds, memory)


def run_rounds(count: int, *, quick: bool) -> tuple[Taken, str]:
    """Run every program `count` times with every mailbox; return what they took, and on what file system.

    ValueError if one of them did not keep every message once.
    """
    taken: Taken = {}
    compiling = [sys.executable, "-m", "compileall", "-q", "pymailbox", "tests/benchmarks"]
    subprocess.run(compiling, check=True, cwd=ROOT, env=ENVIRONMENT)
    # Nothing is removed before the end: ext4 creates files slowly for some seconds after many were removed.
    with tempfile.TemporaryDirectory() as place:
        for title, mailbag in TITLES.items():
            messages = fill(mailbag, quick=quick).messages()
            mails = [Mail(f"m{number}", raw.replace(b"\r\n", b"\n")) for number, raw in enumerate(messages)]
            with dovecot(mechanisms=["PLAIN"], mails=mails) as server:
                assert server.ca is not None
                with Mailbox.from_url(server.tls_url, server.password, ssl_context=private_ca(server.ca)) as inbox:
                    assert len(inbox.sizes) == len(inbox.uids)  # dovecot computes them once
                for number in range(count):
                    for name in random.Random(f"{number} {title}").sample(list(PROGRAMS), len(PROGRAMS)):
                        directory = Path(tempfile.mkdtemp(dir=place))
                        for run in (1, 2):
                            found = measured(PROGRAMS[name](server, directory), server)
                            taken.setdefault((title, run, name), []).append(found)
                            print(f"round {number + 1}: {title} · run {run} · {name}: {found}", file=sys.stderr)
                        if len(list((directory / "mail" / "new").iterdir())) != len(messages):
                            raise ValueError(f"{title}: {name} did not keep every message once")
        return taken, where(place)


def table(taken: Taken) -> str:
    """Return a table of the medians, and of the ratios within a round; the memory is the most of all rounds."""
    lines = [
        "| mailbox | run | Archive | without fsync | mpop | against without fsync | against mpop | memory | mpop's memory |",
        f"|---|---|{'--:|' * 7}",
    ]
    for title, run in dict.fromkeys((title, run) for title, run, _ in taken):
        rounds = {name: taken[title, run, name] for name in PROGRAMS}
        seconds = [f"{statistics.median(one.seconds for one in rounds[name]):.2f} s" for name in PROGRAMS]
        ratios = [
            f"{statistics.median(a.seconds / b.seconds for a, b in zip(rounds['Archive'], rounds[name], strict=True)):.2f}"
            for name in ("without fsync", "mpop")
        ]
        memory = [f"{max(one.memory for one in rounds[name]) >> 20} MB" for name in ("Archive", "mpop")]
        lines.append(f"| {' | '.join([title, 'first' if run == 1 else 'second', *seconds, *ratios, *memory])} |")
    return "\n".join(lines)
