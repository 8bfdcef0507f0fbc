"""How often a message is stored twice when the program that downloads it is killed: ours, and mpop.

A program is killed after one to thirty messages, again and again, and then runs once to its end.
"""

import random
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from pymailbox import Mailbox
from pymailbox.pop3.tls import private_ca
from tests import ROOT
from tests.benchmarks.archive import ENVIRONMENT, PROGRAMS, TIMEOUT, measured
from tests.benchmarks.mailbags import fill
from tests.servers import RealServer, dovecot
from tests.servers.seed import Mail

NAMES = ("Archive", "mpop")


def stored(directory: Path) -> list[Path]:
    """Return the files of the messages in this directory's Maildir."""
    return list((directory / "mail" / "new").glob("*"))


def begun(directory: Path) -> int:
    """Return how many messages are stored, or on their way."""
    return len(stored(directory)) + len(list((directory / "mail" / "tmp").glob("*")))


def killed(command: list[str], server: RealServer, directory: Path, after: int) -> bool:
    """Run a command, and kill it after this many more messages; return whether that was before its end."""
    environment = ENVIRONMENT | {"PYMAILBOX_PASSWORD": server.password}
    end, wanted = time.monotonic() + TIMEOUT, begun(directory) + after
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet) as process:
        while process.poll() is None and begun(directory) < wanted and time.monotonic() < end:
            time.sleep(0.0005)
        process.kill()
        return process.wait() < 0


class Killed(NamedTuple):
    """What a program stored, although it was killed again and again."""

    kills: int
    #: The messages that were not stored.
    missing: int
    #: The files of messages that other files hold as well.
    again: int


def run(count: int, messages: int) -> dict[str, Killed]:
    """Kill each program up to `count` times while it downloads this many messages, and let it come to its end."""
    found = {}
    raws = [raw.replace(b"\r\n", b"\n") for raw in fill("archive-small").messages()[:messages]]
    mails = [Mail(f"m{number}", raw) for number, raw in enumerate(raws)]
    with dovecot(mechanisms=["PLAIN"], mails=mails) as server, tempfile.TemporaryDirectory() as place:
        assert server.ca is not None
        with Mailbox.from_url(server.tls_url, server.password, ssl_context=private_ca(server.ca)) as inbox:
            assert len(inbox.sizes) == len(inbox.uids)  # dovecot computes them once
        for name in NAMES:
            chance, directory, kills = random.Random(name), Path(place, name), 0
            directory.mkdir()
            for _ in range(count):
                kills += killed(PROGRAMS[name](server, directory), server, directory, chance.randint(1, 30))
            measured(PROGRAMS[name](server, directory), server.password)
            files = stored(directory)
            different = len({path.read_bytes() for path in files})
            found[name] = Killed(kills, messages - different, len(files) - different)
    return found


def table(found: dict[str, Killed]) -> str:
    """Return a table of what became of the messages."""
    lines = ["| program | kills | messages missing | stored again |", "|---|--:|--:|--:|"]
    return "\n".join(
        [*lines, *(f"| {name} | {one.kills} | {one.missing} | {one.again} |" for name, one in found.items())]
    )
