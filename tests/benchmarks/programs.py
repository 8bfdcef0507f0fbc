"""Programs doing the same work, as whole processes: curl and mpop, where they are installed.

Each function gives the command line that reads a mailbox and throws the mail away; `fast` is the same mailbox without
the delay, for what has to be prepared before the clock starts.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.benchmarks.service import Service

__all__ = ["PROGRAMS", "curl", "mpop", "mpop_deletions"]


def curl(service: Service, fast: Service, directory: Path) -> list[str]:
    """RETR every message over one connection, to /dev/null."""
    scheme = "pop3s" if service.certificate else "pop3"
    command = ["curl", "--disable", "--silent", "--fail", "--output", "/dev/null"]
    command += ["--user", f"{service.user}:{service.password}"]
    if service.certificate:
        command += ["--cacert", service.certificate]
    return [*command, f"{scheme}://{service.host}:{service.port}/[1-{service.count}]"]


def mpop(service: Service, fast: Service, directory: Path) -> list[str]:
    """RETR every message into an mbox that is /dev/null, with an empty list of what was seen."""
    seen = directory / "mpop-uids"
    seen.unlink(missing_ok=True)
    return [*mpop_command(service, seen), "--keep=on"]


def mpop_deletions(service: Service, fast: Service, directory: Path) -> list[str]:
    """DELE every message: all of them were fetched, without the delay, before the clock started."""
    subprocess.run(mpop(fast, fast, directory), check=True, timeout=120)
    return [*mpop_command(service, directory / "mpop-uids"), "--keep=off"]


def mpop_command(service: Service, seen: Path) -> list[str]:
    command = [
        "mpop",
        "--quiet",
        f"--host={service.host}",
        f"--port={service.port}",
        "--auth=user",
        f"--user={service.user}",
        f"--passwordeval=echo {service.password}",
        "--received-header=off",
        "--delivery=mbox,/dev/null",
        f"--uidls-file={seen}",
        "--timeout=60",
    ]
    if service.certificate:
        return [*command, "--tls=on", "--tls-starttls=off", f"--tls-trust-file={service.certificate}"]
    return [*command, "--tls=off"]


PROGRAMS = {"curl": curl, "mpop": mpop, "mpop_deletions": mpop_deletions}
