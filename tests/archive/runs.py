"""Runs of an archive, each in a process of its own, that strace records, kills or lets fail at any system call.

`Runner` starts one process that has loaded all that a run needs. Each run is a fork of it, so a run takes a fraction of
a second and strace sees its own system calls only. In a run groups have three messages and files are forced to disk one
after the other, so the calls come in the same order each time: at once, or as late as a run allows, when the files of
the next group are written already.
"""

import json
import os
import re
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from pymailbox import Account, Archive, Keep, Mailbox, MailboxError, Seen
from pymailbox.archive import writing
from pymailbox.testing import Server
from tests import ROOT
from tests.servers import ServerMissingError
from tests.timing import GENEROUS

MAILS = [
    b"Subject: one\r\n\r\n1\r\n",
    b"Subject: a bare LF\r\n\r\nhere\n it is\r\n",
    b"Subject: a lone CR\r\n\r\nhere\r it is\r\r\n",
    b"Subject: dots\r\n\r\n..\r\n.\r\n",
    b"Subject: long\r\n\r\n" + b"x" * 30_000 + b"\r\n",
    b"Subject: one\r\n\r\n1\r\n",  # the first again: both are archived
]
"""Two groups of three."""

KEEPS = {"everything": Keep.everything(), "nothing": Keep.nothing()}

Outcome = dict[str, Any]


def account_of(server: Server) -> Account:
    """Return the account that a test server has."""
    return Account(server.host, "me", "secret", security="none", port=server.port)


def stored_in(archive: Path) -> list[bytes]:
    """Return the messages that the files of an archive hold, as sent, sorted; whatever the ledger says."""
    found = []
    for directory in ("new", "cur"):
        if (archive / directory).is_dir():
            for path in (archive / directory).iterdir():
                data = path.read_bytes()
                found.append(data.replace(b"\n", b"\r\n") if re.search(r"Fl\.", path.name) else data)
    return sorted(found)


def assert_deleted_is_stored(archive: Path, server: Server) -> None:
    """Whatever the server no longer has is a whole file of the archive."""
    server.wait()
    deleted = Counter(MAILS) - Counter(map(bytes, server.messages))
    assert deleted <= Counter(stored_in(archive)), "deleted on the server and not in the archive"


def assert_clean_run(archive: Path, server: Server, keep: str) -> None:
    """A run that nothing disturbs leaves each message there once, as it was sent, and no traces of the run before."""
    with Archive(archive) as again:
        done = again.collect(account_of(server), keep=KEEPS[keep])
        assert done.notes == ()
        assert stored_in(archive) == sorted(MAILS)
        assert sorted(record.raw for record in again) == sorted(MAILS)
        verified = again.verify()
        assert (bool(verified), verified.read, verified.strangers) == (True, len(MAILS), 0)
    assert list((archive / "tmp").iterdir()) == []
    server.wait()
    assert sorted(map(bytes, server.messages)) == (sorted(MAILS) if keep == "everything" else [])


# --- system calls ---------------------------------------------------------------------------------------------


@frozen
class Call:
    """One system call of a run."""

    name: str
    #: How many calls of that name there had been, with this one: what strace's `when` counts.
    number: int
    arguments: str
    #: What it returned, such as "3" or "-1 EIO"; "?" if the process ended in it.
    result: str

    def touches(self, path: Path) -> bool:
        """Whether it names a file or directory, or something below it."""
        return re.search(rf'[<"]{re.escape(str(path))}[>"/]', self.arguments) is not None

    @property
    def failed(self) -> bool:
        """Whether it returned an error."""
        return self.result.startswith("-")


_LINE = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-1 \w+|\S+)")


def calls_in(log: Path) -> list[Call]:
    """Return the system calls of a run; it begins with getppid, which nothing else calls."""
    counts: Counter[str] = Counter()
    calls, begun = [], False
    for line in log.read_text("utf-8", "replace").splitlines():
        assert "unfinished" not in line or not begun, "a run has one thread"
        if found := _LINE.match(line):
            counts[found[1]] += 1
            if begun:
                calls.append(Call(found[1], counts[found[1]], found[2], found[3]))
            begun = begun or found[1] == "getppid"
    assert begun, log.read_text("utf-8", "replace")[:2000]
    return calls


def injecting(call: Call, what: str) -> list[str]:
    """Return the options with which strace does `what` to one call of a run.

    The other calls that force something to disk do nothing then: a run that is killed, or fails, leaves to the next one
    all that it wrote, forced to disk or not, and trials are much faster.
    """
    forcing = ",".join(sorted({"fsync", "fdatasync"} - {call.name}))
    return ["-e", f"inject={call.name}:{what}:when={call.number}", "-e", f"inject={forcing}:retval=0"]


# --- the test's side --------------------------------------------------------------------------------------------


@define(eq=False)
class Runner:
    """The process whose forks are the runs; a context manager."""

    _process: "subprocess.Popen[str]" = field(init=False)

    def __enter__(self) -> "Runner":
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()  # ends it

    def send(self, request: object) -> None:
        """Send one request."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """Return the next reply."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    @contextmanager
    def running(self, *jobs: dict[str, Any]) -> Iterator[list[Outcome]]:
        """Start runs at the same moment; the list has their outcomes when the block is left."""
        outcomes: list[Outcome] = []
        self.send(jobs)
        self.receive()
        self.send("go")
        yield outcomes
        outcomes += self.receive()

    def run(self, job: dict[str, Any]) -> Outcome:
        """Run one job to its end."""
        with self.running(job) as outcomes:
            pass
        return outcomes[0]

    def traced(self, strace: Sequence[str], log: Path, job: dict[str, Any], *options: str) -> Outcome:
        """Run one job under strace. ServerMissingError if no process may be traced here."""
        self.send([job])
        (process,) = self.receive()
        command = [*strace, "-f", "-y", "-s", "8192", "-o", str(log), *options, "-p", str(process)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracing:
            assert tracing.stderr is not None
            attached = tracing.stderr.readline()
            self.send("go")
            (outcome,) = self.receive()
            tracing.wait(GENEROUS)
            if "attached" not in attached:
                raise ServerMissingError(f"strace may not trace here: {attached.strip()}; run the tests as root")
        assert isinstance(outcome, dict)
        return outcome


def job(
    archive: Path, server: Server, keep: str = "everything", verb: str = "collect", **more: object
) -> dict[str, Any]:
    """Describe a run: `verb` is collect, read, rebuild or, for `Seen`, handle; `archive` is the path that it is about.

    With `markers`, a file, what `Disk` does is marked there; `handle` notes in `log`, a file, what it has done. With
    `late`, files are forced to disk when the next group is full, not while it is downloaded.
    """
    return {"archive": str(archive), "host": server.host, "port": server.port, "keep": keep, "verb": verb, **more}


# --- the side of the runs -----------------------------------------------------------------------------------------


def _perform(job: dict[str, Any]) -> Outcome:
    account = Account(job["host"], "me", "secret", security="none", port=job["port"])
    InOrder.late = bool(job.get("late"))
    if "markers" in job:
        _mark_disk(job["markers"])
    try:
        if job["verb"] == "handle":
            return {"handled": _handle(account, job["archive"], job["log"])}
        with Archive(job["archive"]) as archive:
            match job["verb"]:
                case "collect":
                    done = archive.collect(account, keep=KEEPS[job["keep"]])
                    return {"new": done.new, "known": done.known, "deleted": done.deleted}
                case "read":
                    messages = [record.raw for record in archive]
                    return {"len": len(archive), "read": len(messages), "whole": bool(archive.verify())}
                case _:
                    return {"messages": Archive.rebuild(job["archive"]).messages}
    except (MailboxError, OSError) as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"error": kinds, "text": str(error), "retryable": getattr(error, "retryable", False)}
    except BaseException:
        return {"error": ["unexpected"], "text": traceback.format_exc()}


def _handle(account: Account, path: str, log: str) -> int:
    """Handle what is new: a line of a log each, and one more when it is added."""
    lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        with Seen(path) as seen, Mailbox.from_account(account) as inbox:
            new = seen.new(inbox)
            for message in new:
                os.write(lines, f"handled {message.uid}\n".encode())
                seen.add(message)
                os.write(lines, f"added {message.uid}\n".encode())
            return len(new)
    finally:
        os.close(lines)


def _mark_disk(path: str) -> None:
    """Write a line before and after whatever `Disk` does."""
    from pymailbox.disk import Disk

    markers = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def marked(name: str, method: Any) -> Any:
        def call(*arguments: Any) -> Any:
            os.write(markers, f"enter {name}\n".encode())
            try:
                return method(*arguments)
            finally:
                os.write(markers, b"leave\n")

        return call

    for name, method in list(vars(Disk).items()):
        if not name.startswith("_"):
            setattr(Disk, name, marked(name, method))


def _fork(job: dict[str, Any], released: int, release: int) -> tuple[int, int]:
    """Return the process of a run that waits to be released, and where its outcome can be read."""
    outcome, written = os.pipe()
    process = os.fork()
    if process:
        os.close(written)
        os.read(outcome, 1)
        return process, outcome
    os.close(release)
    os.write(written, b".")  # from here on it waits
    os.read(released, 1)  # nothing, when all are released
    os.getppid()
    try:
        os.write(written, json.dumps(_perform(job)).encode())
    finally:
        os._exit(0)


class _Late(writing._Sync):
    """Files that are forced to disk when a run cannot go on without it: as late as a slow disk would do it."""

    def __init__(self, files: list[FileIO], sync: Callable[[FileIO], None]) -> None:
        super().__init__(files)
        self.sync = sync

    def wait(self) -> None:
        if self.over.locked():
            self.run(self.sync)
        super().wait()


class InOrder(writing._Syncing):
    """Forces files to disk without threads, so that all runs make the same calls: at once, or as late as can be."""

    late = False

    def begin(self, files: list[FileIO]) -> list[writing._Sync]:
        one = _Late(files, self._sync)
        if not self.late:
            one.run(self._sync)
        return [one]


def _serve() -> None:
    """Read requests from standard input: [job, ...], then "go"; or one job, to be run here so that all is loaded."""
    writing._MESSAGES, writing._SECONDS = 3, 1e9
    writing._Syncing = InOrder  # type: ignore[misc]
    for line in sys.stdin:
        jobs = json.loads(line)
        if isinstance(jobs, dict):
            print(json.dumps(_perform(jobs)), flush=True)
            continue
        released, release = os.pipe()
        runs = [_fork(job, released, release) for job in jobs]
        print(json.dumps([process for process, _ in runs]), flush=True)
        sys.stdin.readline()
        os.close(release)
        os.close(released)
        outcomes = []
        for process, outcome in runs:
            with os.fdopen(outcome, "rb") as file:
                reply = file.read()
            _, status = os.waitpid(process, 0)
            outcomes.append(json.loads(reply) if reply else {"killed": os.WIFSIGNALED(status)})
        print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    _serve()
