"""Install the servers, and the programs that the tests use: dovecot as a package, the others unpacked.

The packages of cyrus, courier and popa3d conflict with dovecot. They and their dependencies are downloaded and
unpacked into `cache()`, where `namespace.py` finds them; they are not installed. Programs that the machine lacks
(curl, mpop, notmuch, strace) are also unpacked there, and run with their own libraries. apt resolves the dependencies,
whatever is already installed. This works only on Debian and its derivatives.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .server import ServerMissingError

__all__ = ["PACKAGES", "PROGRAMS", "cache", "install", "program", "unpacked"]

PACKAGES = {
    "courier": ("courier-pop", "courier-authlib-userdb"),
    "cyrus": ("cyrus-pop3d", "cyrus-admin", "sasl2-bin", "libsasl2-modules"),
    "popa3d": ("popa3d",),
    "curl": ("curl",),
    "mpop": ("mpop",),
    "notmuch": ("notmuch",),
    "strace": ("strace",),
}
"""What is unpacked, and the packages it consists of."""

PROGRAMS = ("chromium", "curl", "mpop", "notmuch", "strace")
"""The programs; if the machine has one, that is used."""

INSTALLED = ("dovecot-pop3d", "chromium")
"""Packages that have to be installed, because what is in them contains its own place."""

POLICY = Path("/usr/sbin/policy-rc.d")
ATTEMPTS = 4


def cache() -> Path:
    """Return the directory of unpacked servers: ``$PYMAILBOX_SERVERS``, or one in the user's cache directory."""
    if chosen := os.environ.get("PYMAILBOX_SERVERS"):
        return Path(chosen).absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "pymailbox-servers"


def unpacked(name: str) -> Path:
    """Return the root directory of an unpacked server or program; ServerMissingError if there is none."""
    root = cache() / name
    if not (root / "usr").is_dir():
        raise ServerMissingError(f"{name} is not in {cache()}; run python -m tests.servers install (Debian, as root)")
    return root


def program(name: str) -> list[str]:
    """Return the start of a command line that runs a program; ServerMissingError if there is none."""
    if found := shutil.which(name):
        return [found]
    if name in INSTALLED:
        raise ServerMissingError(
            f"{name} is not installed; run apt-get install {name}, or python -m tests.servers install"
        )
    root = unpacked(name)
    libraries = ":".join({str(path.parent): None for path in root.glob("usr/lib/*/*.so.*")})
    return ["env", f"LD_LIBRARY_PATH={libraries}", str(root / "usr" / "bin" / name)]


def install() -> None:
    """Install dovecot and chromium, and download and unpack the others, unless that was done before. Requires root and apt.

    Two processes at once wait for each other. If something still fails after several attempts, raise
    CalledProcessError; the output of apt has been printed.
    """
    import fcntl  # POSIX only, like apt

    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = [name for name in PACKAGES if not (cache() / name / "usr").is_dir()]
        wanted = [name for name in wanted if name not in PROGRAMS or not shutil.which(name)]
        missing = [name for name in INSTALLED if not (_installed(name) or shutil.which(name))]
        if not missing and not wanted:
            return
        _apt("update")
        if missing:
            with _nothing_starts():
                _apt("install", "-y", "--no-install-recommends", *missing)
        for name in wanted:
            _unpack(name)


def _installed(package: str) -> bool:
    found = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package], capture_output=True, text=True
    )
    return found.stdout == "installed"


def _unpack(name: str) -> None:
    """Download and unpack into a temporary directory, and rename it when it is complete."""
    root = cache() / name
    making = cache() / f"{name}.{os.getpid()}"
    archives = making / "archives"
    (archives / "partial").mkdir(parents=True)
    try:
        _apt(
            "install",
            "-y",
            "--no-install-recommends",
            "--download-only",
            f"--option=Dir::Cache::archives={archives}/",
            "--option=APT::Sandbox::User=root",
            *PACKAGES[name],
        )
        tree = making / "root"
        for package in sorted(archives.glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, tree], check=True, timeout=120)
        for part in ("bin", "lib", "lib64", "sbin"):  # some packages still have /lib instead of /usr/lib
            if (tree / part).is_dir():
                shutil.copytree(tree / part, tree / "usr" / part, symlinks=True, dirs_exist_ok=True)
                shutil.rmtree(tree / part)
        (tree / "etc").mkdir(exist_ok=True)
        tree.rename(root)
    finally:
        shutil.rmtree(making)


def _apt(*arguments: str) -> None:
    command = ["apt-get", "-qq", "--option=DPkg::Lock::Timeout=120", "--option=Acquire::Retries=3", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for attempt in range(1, ATTEMPTS + 1):
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            timeout=600,
        )
        if done.returncode == 0:
            return
        print(f"{' '.join(command)}: attempt {attempt} of {ATTEMPTS} failed\n{done.stdout}", flush=True)
        if attempt < ATTEMPTS:
            time.sleep(5 * attempt)
    done.check_returncode()


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Keep packages from starting what they install, because port 110 is not ours to use."""
    before = POLICY.read_bytes() if POLICY.exists() else None
    POLICY.write_bytes(b"#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            POLICY.unlink()
        else:
            POLICY.write_bytes(before)
