"""watch runs a command for each mail, and wait prints one; whatever happens, no mail is lost and nothing is left running."""

import errno
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pymailbox import Account, Mailbox, Seen, Watch
from pymailbox.cli import main, watching_commands
from pymailbox.seen.file import SeenFile
from pymailbox.testing import Fault, Quirk, Server
from tests import case
from tests.cli.processes import environment, program, run, run_in_shell, run_in_terminal
from tests.timing import GENEROUS, ended, eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and shells are POSIX")

Captured = pytest.CaptureFixture[str]
OLD = b"Subject: old\r\n\r\nold\r\n"
EVIL = "\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202e"
CODE = (
    "From: =?utf-8?q?Caf=C3=A9?= <cafe@example.org>\r\nTo: me@example.org\r\nSubject: Your code\r\n"
    "Date: Mon, 01 Jun 2026 07:30:00 +0200\r\nMessage-ID: <1@example.org>\r\n"
    "Content-Type: multipart/alternative; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "Der Schlüssel: 4711\r\nhttps://example.org/a?b=1\r\n"
    "--b\r\nContent-Type: text/html\r\n\r\n<p>Key: <b>4711</b> <a href='https://example.org/c'>here</a></p>\r\n--b--\r\n"
).encode()
OFTEN = ["--every", "0.02"]


def mail(subject: str, body: str = "text") -> bytes:
    """Return a mail."""
    return f"From: Ada <ada@example.org>\r\nSubject: {subject}\r\n\r\n{body}\r\n".encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve a mailbox with one mail."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    with Server([OLD], lock_wait=GENEROUS) as running:
        yield running


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Return a function that starts a command without a terminal; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, *program(*arguments)[5:]], env=environment(**variables), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def looked(server: Server, times: int = 1) -> None:
    """Wait until that many looks have begun and ended; the first one takes the baseline."""
    eventually(lambda: sum("UIDL" in record.commands and bool(record.ended) for record in server.sessions) >= times)


def stopped(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> tuple[str, str]:
    """Send a signal; return what was printed."""
    process.send_signal(number)
    out, err = process.communicate(timeout=GENEROUS)
    assert process.returncode == 128 + number, err
    assert err.endswith("pymailbox: interrupted; with a state file, the next watch continues from here\n")
    return out, err


def lines(path: Path) -> list[str]:
    """Return the lines of a file, none if there is none."""
    return path.read_text().splitlines() if path.exists() else []


# --- watch ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_runs_a_command_for_each_mail(
    number: int, server: Server, start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """Byte for byte on standard input, one line for each on standard output, until a signal ends it; nothing deleted."""
    script = f'cat > {tmp_path}/$PYMAILBOX_SIZE; echo "$PYMAILBOX_SUBJECT" >> {tmp_path}/log'
    watch = start("watch", server.url, *OFTEN, "--", "sh", "-c", script)
    looked(server)
    exact = b"Subject: 8 bits\r\n\r\n.dot\r\nno end\xfe" + b"x" * 200_000 + b"\r\n"
    server.deliver(exact)
    server.deliver(mail("two"))
    eventually(lambda: len(lines(tmp_path / "log")) == 2)
    server.deliver(mail("the third"))
    eventually(lambda: len(lines(tmp_path / "log")) == 3)
    looked(server, 4)
    out, _ = stopped(watch, number)
    assert (tmp_path / str(len(exact))).read_bytes() == exact
    assert [line.rpartition("  ")[2] for line in out.splitlines()] == ["8 bits", "two", "the third"]
    assert out.splitlines()[1] == "Ada <ada@example.org>  two"
    assert len(server.messages) == 4
    assert "DELE" not in " ".join(server.log)


def test_what_failed_is_handed_out_again_at_the_next_start(
    server: Server, start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """A mail is done when its command has exited with 0, not before; also if the watch was killed meanwhile."""
    log, state = tmp_path / "log", str(tmp_path / "me.watch")
    fails = f'echo "$PYMAILBOX_SUBJECT" >> {log}; test "$PYMAILBOX_SUBJECT" != bad'
    watch = start("watch", server.url, *OFTEN, "--state", state, "--", "sh", "-c", fails)
    looked(server)
    server.deliver(mail("bad"))
    server.deliver(mail("good"))
    eventually(lambda: lines(log) == ["bad", "good"])
    looked(server, 3)
    out, err = stopped(watch)
    assert out == "Ada <ada@example.org>  good\n"
    assert err.splitlines()[0].endswith(" bad failed with exit status 1; trying again in 60 s")

    server.deliver(mail("while none ran"))
    hangs = f'echo $$ > {tmp_path}/pid; echo "$PYMAILBOX_SUBJECT" >> {log}; exec sleep 600 >&- 2>&-'
    watch = start("watch", server.url, *OFTEN, "--state", state, "--", "sh", "-c", hangs)
    eventually(lambda: lines(log) == ["bad", "good", "bad"])
    watch.kill()
    watch.communicate(timeout=GENEROUS)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)  # a command outlives a watch that is killed
    server.wait()

    watch = start("watch", server.url, *OFTEN, "--state", state, "--", "sh", "-c", f"{fails} || true")
    eventually(lambda: len(lines(log)) == 5)
    looked(server, len(server.sessions) + 1)
    assert stopped(watch)[0].count("\n") == 2
    assert lines(log)[3:] == ["bad", "while none ran"]

    watch = start("watch", server.url, *OFTEN, "--state", state, "--", "sh", "-c", fails)
    looked(server, len(server.sessions) + 2)
    assert stopped(watch)[0] == ""
    assert len(lines(log)) == 5


def in_a_thread(server: Server, work: Callable[[], object]) -> threading.Thread:
    """Do some work while the main thread runs a command, and then end that with SIGTERM."""

    def then_stop() -> None:
        try:
            work()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    looks = len(server.sessions) + 2  # the watch is entered when the second one begins

    def run_it() -> None:
        looked(server, looks)
        then_stop()

    thread = threading.Thread(target=run_it)
    thread.start()
    return thread


def test_a_command_that_fails_is_tried_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """In the same run, with growing pauses, while other mails are handled; after the last try it is left."""
    monkeypatch.setattr(watching_commands, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(watching_commands, "_TRIES", 4)
    log = tmp_path / "log"
    script = (
        f'echo "$PYMAILBOX_SUBJECT" >> {log}; n=$(grep -c "^$PYMAILBOX_SUBJECT" {log});'
        ' test "$PYMAILBOX_SUBJECT" = good || { test "$PYMAILBOX_SUBJECT" = twice && test $n = 3; }'
    )

    def deliver() -> None:
        for subject in ("never", "twice", "good"):
            server.deliver(mail(subject))
        eventually(lambda: len(lines(log)) == 8)
        looked(server, len(server.sessions) + 3)

    thread = in_a_thread(server, deliver)
    state = tmp_path / "me.watch"
    assert main(["watch", server.url, *OFTEN, "--state", str(state), "--json", "--", "sh", "-c", script]) == 143
    ended(thread)
    captured = capsys.readouterr()
    told = [json.loads(line) for line in captured.out.splitlines()]
    assert sorted((value["subject"], value["tries"], value["done"]) for value in told) == [
        ("good", 1, True), ("never", 1, False), ("never", 2, False), ("never", 3, False), ("never", 4, False),
        ("twice", 1, False), ("twice", 2, False), ("twice", 3, True),
    ]  # fmt: skip
    assert captured.err.count("trying again in 0 s") == 5
    assert "never failed with exit status 1; the next watch runs it again" in captured.err
    with Seen(state) as seen, Mailbox.from_url(server.url, "secret") as inbox:
        assert [message.subject for message in seen.new(inbox)] == ["never"]


def test_what_waits_for_another_try_has_a_bound(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """In messages and in bytes: others are left at once, and it is said so."""
    monkeypatch.setattr(watching_commands, "_HELD_MESSAGES", 2)
    monkeypatch.setattr(watching_commands, "_HELD_BYTES", 1000)

    def deliver() -> None:
        for subject, size in (("a", 500), ("b", 500), ("c", 5), ("d", 5)):
            server.deliver(mail(subject, "x" * size))
        looked(server, len(server.sessions) + 3)

    thread = in_a_thread(server, deliver)
    assert main(["watch", server.url, *OFTEN, "--", "false"]) == 143
    ended(thread)
    err = capsys.readouterr().err.splitlines()
    assert [line.rpartition("; ")[2] for line in err[:4]] == [
        "trying again in 60 s", "it is not tried again", "trying again in 60 s", "it is not tried again",
    ]  # fmt: skip


def test_what_the_command_finds_in_its_environment(server: Server, tmp_path: Path, capsys: Captured) -> None:
    """Uid, size, subject, sender and account: one line each, no control characters, of bounded length, in UTF-8; and
    not the password."""
    encoded = "=?utf-8?q?" + "".join(f"={byte:02X}" for byte in f"Grüße{EVIL}\n\0x".encode()) + "?="
    evil = f"From: {encoded} <a@b.c>\r\nSubject: {encoded}{'y' * 5000}\r\n\r\n".encode()
    path = tmp_path / "environment"

    def deliver() -> None:
        server.deliver(evil)
        eventually(lambda: path.exists() and path.read_bytes().endswith(b"end\0"))

    thread = in_a_thread(server, deliver)
    script = f"env -0 > {path}.new; printf 'end\\0' >> {path}.new; mv {path}.new {path}"
    assert main(["watch", server.url, *OFTEN, "--", "sh", "-c", script]) == 143
    ended(thread)
    values = dict(line.partition(b"=")[::2] for line in path.read_bytes().split(b"\0"))
    found = {name.decode(): value.decode() for name, value in values.items() if name.startswith(b"PYMAILBOX_")}
    found = {name: value for name, value in found.items() if not name.endswith("SERVERS")}  # of this suite
    assert found.keys() == {f"PYMAILBOX_{name}" for name in ("ACCOUNT", "UID", "SIZE", "SUBJECT", "FROM")}
    assert found["PYMAILBOX_ACCOUNT"] == server.url
    assert found["PYMAILBOX_SIZE"] == str(len(evil))
    assert found["PYMAILBOX_FROM"] == "a@b.c"
    assert found["PYMAILBOX_SUBJECT"].startswith("Grüße")
    assert len(found["PYMAILBOX_SUBJECT"]) == 501
    assert all(value.isprintable() for value in found.values())
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.rstrip("\n").isprintable()


def test_a_sender_cannot_add_lines_or_options(server: Server, tmp_path: Path, capsys: Captured) -> None:
    """No shell sees anything of a mail, and the command has exactly the arguments that were given."""
    path = tmp_path / "arguments"

    def deliver() -> None:
        server.deliver(mail(f"$(touch {tmp_path}/bad); `touch {tmp_path}/bad`"))
        eventually(path.exists)

    thread = in_a_thread(server, deliver)
    script = f"import os, sys; open({str(path)!r} + '.new', 'w').write(repr(sys.argv[1:])); os.rename({str(path)!r} + '.new', {str(path)!r})"
    words = ["--json", "$HOME", "*", "--", "a b"]
    assert main(["watch", server.url, *OFTEN, "--", sys.executable, "-c", script, *words]) == 143
    ended(thread)
    assert path.read_text() == repr(words)
    assert "touch" in capsys.readouterr().out
    assert not (tmp_path / "bad").exists()


def test_what_the_command_prints(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    """Goes where this command prints, before its line; with --json to standard error, and --quiet prints nothing else."""
    for option, out, err in (
        ([], ["out", "Ada <ada@example.org>  hello"], ["err"]),
        (["--quiet"], ["out"], ["err"]),
        (["--json"], ["{"], ["out", "err"]),
    ):
        with case(*option):

            def deliver() -> None:
                server.deliver(mail("hello"))
                looked(server, len(server.sessions) + 3)

            thread = in_a_thread(server, deliver)
            script = "cat > /dev/null; echo out; echo err >&2"
            assert main(["watch", server.url, *OFTEN, *option, "--", "sh", "-c", script]) == 143
            ended(thread)
            captured = capfd.readouterr()
            assert [line[:1] if line[0] == "{" else line for line in captured.out.splitlines()] == out
            assert captured.err.splitlines()[:-1] == err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_lets_the_command_finish(
    number: int, server: Server, start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """Ctrl-C reaches the whole foreground group, but the command is not in it; its mail is done, others come later.

    A line says what is waited for. A terminal that is closed ends a watch likewise.
    """
    begun, go, state = tmp_path / "begun", tmp_path / "go", tmp_path / "me.watch"
    script = f"touch {begun}; while ! test -e {go}; do sleep 0.01; done"
    watch = start("watch", server.url, *OFTEN, "--state", str(state), "--", "sh", "-c", script)
    looked(server)
    server.deliver(mail("one"))
    server.deliver(mail("two"))
    eventually(begun.exists)
    watch.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        watch.wait(0.05)
    go.touch()
    out, err = watch.communicate(timeout=GENEROUS)
    assert watch.returncode == 128 + number
    assert err.startswith("pymailbox: waiting for the command to finish; Ctrl-C again ends it\n")
    assert out.count("\n") in (1, 2)  # the second may have come with a later look
    with Seen(state) as seen, Mailbox.from_url(server.url, "secret") as inbox:
        assert [message.subject for message in seen.new(inbox)] == ["two"][: 2 - out.count("\n")]


def test_a_full_disk_does_not_run_the_command_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """It has succeeded; only what could not be remembered is tried again, and nothing is run twice."""
    monkeypatch.setattr(watching_commands, "_FIRST_PAUSE", 0.001)
    log, state, save, refused = tmp_path / "log", tmp_path / "me.watch", SeenFile.save, []

    def full(*arguments: Any) -> None:
        if log.exists() and len(refused) < 3:
            refused.append(1)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(*arguments)

    def deliver() -> None:
        server.deliver(mail("one"))
        eventually(lambda: len(refused) == 3)
        looked(server, len(server.sessions) + 3)

    monkeypatch.setattr(SeenFile, "save", full)
    thread = in_a_thread(server, deliver)
    script = f'echo "$PYMAILBOX_SUBJECT" >> {log}'
    assert main(["watch", server.url, *OFTEN, "--state", str(state), "--", "sh", "-c", script]) == 143
    ended(thread)
    captured = capsys.readouterr()
    assert captured.err.count("has succeeded, but the disk of the state file is full; trying again in 0 s\n") == 3
    assert captured.out == "Ada <ada@example.org>  one\n"
    assert lines(log) == ["one"]
    with Seen(state) as seen, Mailbox.from_url(server.url, "secret") as inbox:
        assert seen.new(inbox) == ()


def test_the_second_signal_ends_the_command_too(
    server: Server, start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """With all that it has started; its mail is not done."""
    state, pids = tmp_path / "me.watch", tmp_path / "pids"
    script = f"sleep 600 & echo $! > {pids}.new; mv {pids}.new {pids}; wait"
    watch = start("watch", server.url, *OFTEN, "--state", str(state), "--", "sh", "-c", script)
    looked(server)
    server.deliver(mail("one"))
    eventually(pids.exists)
    watch.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        watch.wait(0.05)
    out, _ = stopped(watch, signal.SIGINT)
    assert out == ""

    def gone() -> bool:
        stat = Path("/proc") / pids.read_text().strip() / "stat"
        try:
            return stat.read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    if Path("/proc/self/stat").exists():
        eventually(gone)
    with Seen(state) as seen, Mailbox.from_url(server.url, "secret") as inbox:
        assert [message.subject for message in seen.new(inbox)] == ["one"]


def test_ctrl_c_in_a_look_ends_it(start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path) -> None:
    """While the server is silent, in the first look and in a later one."""
    for session in (1, 2):
        with Server([OLD], faults=[Fault.stall(command="STAT", session=session)]) as server:
            watch = start("watch", server.url, *OFTEN, "--", "true")
            eventually(lambda server=server: "STAT" in server.log)  # type: ignore[misc]
            eventually(lambda server=server, session=session: server.log.count("STAT") == session)  # type: ignore[misc]
            stopped(watch, signal.SIGINT)


def test_errors_that_may_pass_are_shown(start: Callable[..., "subprocess.Popen[str]"]) -> None:
    """On standard error, one line, with when the next look is; the watch goes on."""
    refusal = Fault.replace("STAT", reply=b"-ERR [SYS/TEMP] busy\x1b[2J\r\n", session=2)
    with Server([OLD], faults=[refusal]) as server:
        watch = start("watch", server.url, *OFTEN, "--", "true")
        looked(server)
        eventually(lambda: len(server.sessions) > 2)
        _, err = stopped(watch)
    first, *rest = err.splitlines()
    assert first.startswith(f"pymailbox: {server.url}: ")
    assert "busy" in first
    assert "; looking again in " in first
    assert first.isprintable()
    assert len(rest) == 1


def test_errors_that_do_not_pass_end_it(server: Server, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the status that the error has in every command."""
    with Server([OLD], uidl=False) as without:
        assert main(["watch", without.url, "--", "true"]) == 1
        assert "UIDL" in capsys.readouterr().err
    for command in ("watch", "wait"):
        monkeypatch.setenv("PYMAILBOX_PASSWORD", "wrong")
        assert main([command, server.url, "--", "true"]) == 77
        assert capsys.readouterr().err.count("\n") == 1


def test_the_state_file(server: Server, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account of the accounts file has one in the state directory, another account has none; one watch at a time."""
    config = tmp_path / "accounts.toml"
    config.write_text(f'[account.me]\nurl = "{server.url}"\n')
    config.chmod(0o600)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYMAILBOX_CONFIG", str(config))
    for where, there in ((server.url, False), ("me", True)):
        thread = in_a_thread(server, lambda: None)
        assert main(["watch", where, *OFTEN, "--", "true"]) == 143
        ended(thread)
        assert (tmp_path / "state").exists() == there
        assert capsys.readouterr().err.count("\n") == 1
    state = tmp_path / "state" / "pymailbox" / "me.watch"
    with Seen(state):
        assert main(["watch", "me", "--", "true"]) == 5
        assert f"{str(state)!r} is in use by process {os.getpid()}" in capsys.readouterr().err
    state.write_bytes(b"x")
    assert main(["watch", "me", "--", "true"]) == 1
    assert "cannot be used" in capsys.readouterr().err


MISUSE = [
    (["watch", "pops://me@h"], "pymailbox watch ACCOUNT -- COMMAND"),
    (["watch", "pops://me@h", "--"], "pymailbox watch ACCOUNT -- COMMAND"),
    (["watch", "pops://me@h", "cat"], "unexpected argument: 'cat'; write -- before the command"),
    (["watch", "pops://me@h", "--every", "0", "--", "cat"], "invalid number of seconds: '0'"),
    (["watch", "pops://me@h", "--state", "", "--", "cat"], "must not be empty"),
    (["watch", "--", "cat"], "name an account"),
    (["wait", "pops://me@h", "--subject", "("], "invalid regular expression '('"),
    (["wait", "pops://me@h", "--from", "*"], "invalid regular expression '*'"),
    (["wait", "pops://me@h", "--find", "x{2,1}"], "invalid regular expression"),
    (["wait", "pops://me@h", "--find", "x", "--print", "uid"], "not allowed with argument"),
    (["wait", "pops://me@h", "--json", "--print", "uid"], "not allowed with argument"),
    (["wait", "pops://me@h", "--print", "size"], "invalid choice: 'size'"),
    (["wait", "pops://me@h", "--timeout", "soon"], "invalid number of seconds: 'soon'"),
]


def test_wrong_usage_is_explained(capsys: Captured) -> None:
    """The status is 2, and the last line says what is wrong."""
    for arguments, word in MISUSE:
        with case(arguments):
            with pytest.raises(SystemExit) as end:
                main(arguments)
            assert end.value.code == 2
            assert word in capsys.readouterr().err.splitlines()[-1]


def test_a_command_that_is_not_there(server: Server, tmp_path: Path, capsys: Captured) -> None:
    """Is told before anything is asked; one that vanishes later has failed."""
    for command in ("watch", "wait"):
        assert main([command, server.url, "--", "/no/such/program"]) == 1
        assert "'/no/such/program' cannot be found" in capsys.readouterr().err
    assert server.log == ()
    vanishing = tmp_path / "program"
    vanishing.write_text("#!/bin/sh\n")
    vanishing.chmod(0o700)

    def deliver() -> None:
        vanishing.unlink()
        server.deliver(mail("x"))
        looked(server, len(server.sessions) + 3)

    thread = in_a_thread(server, deliver)
    assert main(["watch", server.url, *OFTEN, "--", str(vanishing)]) == 143
    ended(thread)
    assert f"could not be run: {vanishing}: No such file or directory; trying again" in capsys.readouterr().err


def test_the_output_of_watch_fails(
    server: Server, tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """`| head -n 1` and a full disk end it with 1; a mail whose line could not be printed is done all the same."""
    state = tmp_path / "me.watch"
    with Seen(state) as seen, Mailbox.from_url(server.url, "secret") as inbox:
        seen.add(seen.new(inbox))
    cases = [("| head -n 1", ""), ("> /dev/full", "pymailbox: the output cannot be written: No space left on device\n")]
    for after, err in cases if Path("/dev/full").exists() else cases[:1]:
        server.deliver(mail(f"before {after}"))
        begun = threading.Event()

        def keep_delivering(begun: threading.Event = begun) -> None:
            while not begun.wait(0.02):
                server.deliver(mail("more"))

        thread = threading.Thread(target=keep_delivering)
        thread.start()
        try:
            done = run_in_shell("watch", server.url, *OFTEN, "--state", str(state), "--", "true", after=after)
        finally:
            begun.set()
            ended(thread)
        assert (done.returncode, done.stderr.decode()) == (1, err)
        with Seen(state) as seen, Mailbox.from_url(server.url, "secret") as inbox:
            assert f"before {after}" not in [message.subject for message in seen.new(inbox)]
            seen.add(inbox)


# --- wait -----------------------------------------------------------------------------------------------------


def deliver_when(server: Server, true: Callable[[], object], *mails: bytes) -> threading.Thread:
    """Deliver mails once a condition is true."""

    def deliver() -> None:
        eventually(true)
        for one in mails:
            server.deliver(one)

    thread = threading.Thread(target=deliver)
    thread.start()
    return thread


def after_look(server: Server) -> Callable[[], bool]:
    """Return a condition: the mailbox was listed once more than now."""
    before = server.log.count("UIDL")
    return lambda: server.log.count("UIDL") > before


FIELDS = {
    "subject": "Your code",
    "from": "Café <cafe@example.org>",
    "date": "2026-06-01T07:30:00+02:00",
    "body": "Der Schlüssel: 4711\nhttps://example.org/a?b=1",
    "text": "Der Schlüssel: 4711\nhttps://example.org/a?b=1",
    "html": "<p>Key: <b>4711</b> <a href='https://example.org/c'>here</a></p>",
    "links": "https://example.org/c\nhttps://example.org/a?b=1",
}


def test_wait_prints_a_part_of_the_mail(server: Server, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The text unless a part is named; what was there before and what does not match is passed over; nothing deleted."""
    for options, expected in (
        ([], FIELDS["body"]),
        *((["--print", name], value) for name, value in FIELDS.items()),
        (["--find", r"\d{4}"], "4711"),
        (["--find", r"schlüssel:\s(\d+)"], "4711"),
        (["--find", r"Der (?P<word>\S+)"], "Schlüssel:"),
    ):
        with case(*options):
            thread = deliver_when(server, after_look(server), mail("another"), CODE)
            assert main(["wait", server.url, *OFTEN, "--subject", "code", *options, "--timeout", "60"]) == 0
            ended(thread)
            out = capfdbinary.readouterr().out.decode()
            assert sorted(out.splitlines()) == sorted(expected.splitlines())
    thread = deliver_when(server, after_look(server), CODE)
    assert main(["wait", server.url, *OFTEN, "--print", "raw"]) == 0
    ended(thread)
    assert capfdbinary.readouterr().out == CODE
    thread = deliver_when(server, after_look(server), CODE)
    assert main(["wait", server.url, *OFTEN, "--print", "uid"]) == 0
    ended(thread)
    with Mailbox.from_url(server.url, "secret") as inbox:
        assert capfdbinary.readouterr().out.decode() == f"{inbox[-1].uid}\n"
    assert "DELE" not in " ".join(server.log)


def test_wait_as_json(server: Server, capsys: Captured) -> None:
    """One object, with what --find has found if it was given."""
    for options, more in (([], {}), (["--find", "[0-9]+"], {"found": "4711"})):
        thread = deliver_when(server, after_look(server), CODE)
        assert main(["wait", server.url, *OFTEN, "--json", *options]) == 0
        ended(thread)
        value = json.loads(capsys.readouterr().out)
        assert len(value.pop("uid")) > 4
        assert sorted(value.pop("links")) == sorted(FIELDS["links"].splitlines())
        assert value.pop("body").rstrip() == FIELDS["body"]
        assert value == {
            "size": len(CODE), "date": FIELDS["date"], "from": {"name": "Café", "email": "cafe@example.org"},
            "to": [{"name": "", "email": "me@example.org"}], "subject": "Your code",
            "message_id": "<1@example.org>", **more,
        }  # fmt: skip


def test_a_mail_without_the_part_prints_nothing(server: Server, capsys: Captured) -> None:
    """It is what was waited for, so the status is 0."""
    for name in ("html", "links", "date", "from", "subject", "body", "text"):
        thread = deliver_when(server, after_look(server), b"X: y\r\n\r\n")
        assert main(["wait", server.url, *OFTEN, "--print", name]) == 0
        ended(thread)
        assert capsys.readouterr().out == "", name


@pytest.mark.parametrize(
    ("options", "matches"),
    [
        (["--subject", "hello"], True),
        (["--subject", "^Hel+o W"], True),
        (["--subject", "hello w"], True),
        (["--subject", "hello World$"], False),  # a capital: case counts
        (["--subject", r"^\S+\sworld$"], True),  # but not that of \\S
        (["--subject", "(?P<a>h)ELLO"], False),
        (["--subject", "(?P<a>h)ello"], True),
        (["--from", "ada@example"], True),
        (["--from", "^ada <"], True),
        (["--from", "bob"], False),
        (["--subject", "hello", "--from", "bob"], False),
        (["--find", "second line"], True),
        (["--find", "^second"], False),
        (["--find", "(?m)^second"], True),
        (["--subject", "[[a]hello"], True),  # a FutureWarning of Python
    ],
)
def test_which_mail_matches(options: list[str], matches: bool, server: Server, capsys: Captured) -> None:
    """Regular expressions are searched, all have to match, and case counts only if one has a capital."""
    wanted = b"From: Ada <ada@example.org>\r\nSubject: Hello World\r\n\r\nfirst line\r\nsecond line\r\n"
    if options[-1] == "hello World$":
        wanted = wanted.replace(b"Hello", b"Hullo")
    last = b"From: Ada bob <ada@example.org>\r\nSubject: hello World hELLO\r\n\r\nsecond\r\n"
    if options[-1] == "hello World$":
        last = last.replace(b" hELLO", b"")
    if options[-1] == "[[a]hello":
        wanted = wanted.replace(b"Hello", b"ahello")
    thread = deliver_when(server, after_look(server), wanted, last)
    assert main(["wait", server.url, *OFTEN, *options, "--json", "--timeout", "60"]) == 0
    ended(thread)
    expected = wanted if matches else last
    assert f"Subject: {json.loads(capsys.readouterr().out)['subject']}\r\n".encode() in expected


def test_wait_gives_up(server: Server, capsys: Captured) -> None:
    """After --timeout, with 75 and one line; if looks were failing, it says why."""
    assert main(["wait", server.url, *OFTEN, "--timeout", "0.05"]) == 75
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "pymailbox: no matching message within 0.05 s: none arrived\n")
    thread = deliver_when(server, after_look(server), mail("other"))
    assert main(["wait", server.url, *OFTEN, "--subject", "code", "--timeout", "0.5"]) == 75
    ended(thread)
    assert "1 arrived that did not match" in capsys.readouterr().err
    busy = Fault.replace("STAT", reply=b"-ERR [SYS/TEMP] busy\r\n", session=2)
    with Server([OLD], faults=[busy]) as failing:
        assert main(["wait", failing.url, *OFTEN, "--timeout", "0.0001"]) == 75


def test_wait_runs_the_command_that_requests_the_mail(server: Server, tmp_path: Path) -> None:
    """Once the baseline is taken, so the mail cannot come too early; what it prints goes to standard error."""
    asked = tmp_path / "asked"
    script = f'echo asking; test -z "$PYMAILBOX_PASSWORD" && touch {asked} && sleep 0.05; cat'
    thread = deliver_when(server, asked.exists, CODE)
    done = run("wait", server.url, *OFTEN, "--find", "[0-9]+", "--", "sh", "-c", script)
    ended(thread)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"4711\n", b"asking\n")
    assert server.log.count("UIDL") >= 2
    done = run("wait", server.url, *OFTEN, "--", "sh", "-c", "exit 3")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"pymailbox: the command sh failed with exit status 3\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_wait(number: int, server: Server, start: Callable[..., "subprocess.Popen[str]"]) -> None:
    """At once, between looks, with one line."""
    wait = start("wait", server.url, "--every", "600")
    looked(server, 2)
    wait.send_signal(number)
    out, err = wait.communicate(timeout=GENEROUS)
    assert (wait.returncode, out, err) == (128 + number, "", "pymailbox: interrupted; nothing was changed\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_of_wait(
    number: int, server: Server, start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    """With all that it has started, as nothing waits for what it was to cause."""
    begun, alive = tmp_path / "begun", tmp_path / "alive"
    os.mkfifo(alive)
    script = f"exec 3> {alive}; sleep 600 & touch {begun}; wait"
    reading = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    try:
        wait = start("wait", server.url, "--every", "600", "--", "sh", "-c", script)
        eventually(begun.exists)
        wait.send_signal(number)
        _, err = wait.communicate(timeout=GENEROUS)
        assert (wait.returncode, err) == (128 + number, "pymailbox: interrupted; nothing was changed\n")
        os.set_blocking(reading, True)
        assert select.select([reading], [], [], GENEROUS)[0]  # nothing has it open any more
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_nothing_printed_controls_the_terminal(server: Server, capsys: Captured) -> None:
    """Whatever the part; only `raw` is as sent."""
    evil = (
        f"From: {EVIL} <{EVIL}@b>\r\nSubject: {EVIL}\r\nContent-Type: text/html\r\n\r\n"
        f"<p>{EVIL}<a href='https://e.org/{EVIL}'>x</a></p>\r\n"
    ).encode()
    for options in (*(["--print", name] for name in FIELDS), ["--find", "(?s).+"], ["--json"]):
        thread = deliver_when(server, after_look(server), evil)
        assert main(["wait", server.url, *OFTEN, *options]) == 0
        ended(thread)
        captured = capsys.readouterr()
        assert all(character.isprintable() or character == "\n" for character in captured.out + captured.err)


def test_wait_without_a_terminal_or_utf8(server: Server) -> None:
    """In the C locale what it lacks is escaped, and into a closed pipe or a full disk the status is 1."""
    for variables in ({"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}):
        thread = deliver_when(server, after_look(server), CODE)
        done = run("wait", server.url, *OFTEN, "--print", "from", env=environment(**variables))
        ended(thread)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout in ("Café <cafe@example.org>\n".encode(), b"Caf\\xe9 <cafe@example.org>\n")
    for after, statuses in (("| head -n 1", (0, 1)), ("| true", (0, 1)), ("> /dev/full", (1,))):
        if "full" not in after or Path("/dev/full").exists():
            thread = deliver_when(server, after_look(server), CODE)
            done = run_in_shell("wait", server.url, *OFTEN, after=after)
            ended(thread)
            assert done.returncode in statuses
            assert b"Traceback" not in done.stderr
    thread = deliver_when(server, after_look(server), CODE)
    shown, status = run_in_terminal("wait", server.url, *OFTEN, "--print", "subject")
    ended(thread)
    assert (shown, status) == ("Your code\n", 0)


def test_watch_in_the_c_locale(server: Server, start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path) -> None:
    """The command still gets its facts in UTF-8."""
    path = tmp_path / "subject"
    script = f'printf %s "$PYMAILBOX_SUBJECT" > {path}.new; mv {path}.new {path}'
    watch = start(
        "watch",
        server.url,
        *OFTEN,
        "--",
        "sh",
        "-c",
        script,
        LC_ALL="C",
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    looked(server)
    server.deliver(mail("お元気"))
    eventually(path.exists)
    looked(server, len(server.sessions) + 1)
    out, _ = stopped(watch)
    assert path.read_text("utf-8") == "お元気"
    assert out == "Ada <ada@example.org>  \\u304a\\u5143\\u6c17\n"


# --- ls --new --state -----------------------------------------------------------------------------------------


def subjects(capsys: Captured) -> list[str]:
    """Return the subjects that `ls --json` has printed."""
    return [json.loads(line)["subject"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("uids", [True, False])
def test_ls_new_by_a_state_file(uids: bool, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a watch would hand out; the file is not changed, and may be in use."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    state = tmp_path / "me.watch"
    with Server([OLD], lock_wait=GENEROUS, quirks=Quirk(0) if uids else Quirk.BLANK_UID) as server:
        account = Account(server.host, "me", "secret", port=server.port, security="none")
        listing = ["ls", server.url, "--new", "--state", str(state), "--json"]
        with Watch(account, every=0.02, state=state) as watch:
            server.deliver(mail("one"))
            server.deliver(mail("the second"))
            next(watch).done()
            before = state.read_bytes()
            assert main(listing) == 0
            assert subjects(capsys) == ["the second"]
            next(watch).done()
            assert main(listing) == 0
            assert subjects(capsys) == []
        assert main(listing) == 0
        assert subjects(capsys) == []
        server.deliver(mail("a third"))
        before = state.read_bytes()
        for _ in range(2):
            assert main(listing) == 0
            assert subjects(capsys) == ["a third"]
        assert state.read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["me.watch", "me.watch-journal", "me.watch.lock"]


def test_a_state_file_that_says_nothing(server: Server, tmp_path: Path, capsys: Captured) -> None:
    """One that is missing is an error and is not made; damage and new uids are told; an unknown account is all new."""
    state = tmp_path / "me.seen"
    listing = ["ls", server.url, "--new", "--state", str(state), "--json"]
    assert main(listing) == 1
    assert f"there is no file of seen messages at {str(state)!r}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with Seen(state):
        pass
    assert main(listing) == 0
    assert subjects(capsys) == ["old"]
    state.write_bytes(b"SQLite format 3")
    assert main(listing) == 1
    assert "cannot be used" in capsys.readouterr().err
    mails = [mail(str(number), "x" * number) for number in range(4)]
    state = tmp_path / "other.seen"
    with Server(mails, faults=[Fault.new_uids(session=2)], lock_wait=GENEROUS) as changing:
        with Seen(state) as seen, Mailbox.from_url(changing.url, "secret") as inbox:
            seen.add(seen.new(inbox))
        assert main(["ls", changing.url, "--new", "--state", str(state)]) == 6
        assert "new uids" in capsys.readouterr().err
        assert main(["ls", changing.url, "--new", "--state", str(state)]) == 0
    for options in (["--state", str(state)], ["--new", "--state", str(state), "--to", "x"]):
        with pytest.raises(SystemExit) as end:
            main(["ls", server.url, *options])
        assert end.value.code == 2
