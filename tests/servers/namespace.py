"""Run an unpacked server as if it were installed, without affecting the rest of the system.

It runs in a mount and process namespace, with the server's files overlaid on /usr and its settings on /etc. This needs
Linux, root and CAP_SYS_ADMIN. When the first process inside is killed, the kernel ends all of them and unmounts
everything.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from .server import ServerMissingError

__all__ = ["PASSWORD_HASH", "accounts", "command", "require"]

PASSWORD_HASH = "$6$pymailbox$kZfzV90HD0kxIHqwde7CYE.L5TZU54qeYCylthmndYuEt8yi2NKT0G.Aw1EHPKxx.l/OG5xx.nKMLkm4wA5tk0"
"""`server.PASSWORD` hashed by crypt(3) with SHA-512; Python no longer has crypt."""

UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@cache
def require(name: str) -> None:
    """Raise ServerMissingError, with the reason, if namespaces and overlays are not available."""
    hint = f"{name} runs from unpacked packages, which requires Linux, root and CAP_SYS_ADMIN"
    if os.name != "posix" or shutil.which("unshare") is None or os.geteuid() != 0:
        raise ServerMissingError(hint)
    trial = subprocess.run(
        [*UNSHARE, "mount", "-t", "overlay", "-o", "lowerdir=/etc:/usr", "overlay", "/usr"],
        capture_output=True,
        text=True,
        timeout=90,
    )
    if trial.returncode:
        raise ServerMissingError(f"{hint}: {trial.stderr.strip()}")


def accounts(etc: Path, people: Mapping[str, tuple[int, Path]], *, password_hash: str = "*") -> None:
    """Write passwd, shadow and group into `etc`: those of the machine, plus `people` with their id and home."""
    etc.mkdir(parents=True, exist_ok=True)
    passwd, shadow, group = (
        [line for line in Path("/etc", name).read_text().splitlines() if line.partition(":")[0] not in people]
        for name in ("passwd", "shadow", "group")
    )
    for user, (number, home) in people.items():
        passwd.append(f"{user}:x:{number}:{number}::{home}:/bin/sh")
        shadow.append(f"{user}:{password_hash}:19000:0:99999:7:::")
        group.append(f"{user}:x:{number}:")
    for name, lines in (("passwd", passwd), ("shadow", shadow), ("group", group)):
        (etc / name).write_text("\n".join(lines) + "\n")
    (etc / "shadow").chmod(0o600)


def command(home: Path, root: Path, script: str) -> list[str]:
    """Return the command that runs a shell script with `root` installed and `home`/etc as /etc.

    /run and /var/mail are `home`/run and `home`/mail; changes to /etc and /var/lib are discarded.
    """
    for part in ("etc", "run", "mail"):
        (home / part).mkdir(exist_ok=True)
    scratch = home / "scratch"
    scratch.mkdir(exist_ok=True)
    q = shlex.quote
    lines = (
        "set -eu",
        f"cd {q(str(home))}",
        f"mount -t tmpfs -o mode=755 tmpfs {q(str(scratch))}",
        f"cd {q(str(scratch))} && mkdir etc etc.work lib lib.work",
        f"mount -t overlay -o lowerdir={home}/etc:{root}/etc:/etc,upperdir=etc,workdir=etc.work overlay /etc",
        "mount -t overlay -o lowerdir=/var/lib,upperdir=lib,workdir=lib.work overlay /var/lib",
        f"mount -t overlay -o lowerdir={root}/usr:/usr overlay /usr",
        f"mount --bind {q(str(home / 'run'))} /run",
        f"mount --bind {q(str(home / 'mail'))} /var/mail",
        f"cd {q(str(home))}",
        script,
    )
    return [*UNSHARE, "bash", "-c", "\n".join(lines)]
