"""Accounts by name: the accounts file, where passwords are found, several accounts, adding one, and completion."""

import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from attrs import fields

from pymailbox.accounts_file import AccountsFile, tables
from pymailbox.cli import main
from pymailbox.cli.accounts_commands import not_before
from pymailbox.cli.exit_status import most_serious
from pymailbox.lock import locked
from pymailbox.testing import Fault, Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT, case
from tests.cli.processes import environment, run_in_terminal
from tests.testing.by_hand import settle
from tests.timing import GENEROUS

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without a password, in a window of 80 columns."""
    monkeypatch.delenv("PYMAILBOX_PASSWORD", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("SECRET", "secret")


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve the sample mailbox."""
    with Server(SAMPLES, lock_wait=GENEROUS) as running:
        yield running


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that writes the accounts file."""
    path = tmp_path / "config" / "accounts.toml"
    path.parent.mkdir(mode=0o700)
    monkeypatch.setenv("PYMAILBOX_CONFIG", str(path))

    def write(text: str) -> Path:
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


def account(name: str, server: Server, *more: str) -> str:
    """Return the table of an account in the file."""
    return "\n".join([f"[account.{name}]", f'url = "{server.url}"', *more, ""])


KNOWN = 'password = { env = "SECRET" }'


def usage(*arguments: str) -> int:
    """Run a command that exits in the argument parser; return its status."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def logins(server: Server) -> int:
    """Return how many times a client logged in, or tried to."""
    settle(server)
    return len([line for line in server.log if line.startswith(("AUTH", "PASS"))])


# --- which account --------------------------------------------------------------------------------------------


def test_a_name_is_an_account_of_the_file(server: Server, write: Callable[[str], Path], capsys: Captured) -> None:
    """Its URL, its password and its options are those of the file, which --config can name, too."""
    path = write(account("me", server, KNOWN, "top = false"))
    for arguments in (("ls", "me"), ("show", "me", "1"), ("doctor", "me"), ("ls", "--config", str(path), "me")):
        with case(*arguments):
            assert main(arguments) == 0
            capsys.readouterr()
    other = path.with_name("other.toml")
    other.write_text("")
    other.chmod(0o600)
    assert usage("ls", "me", "--config", str(other)) == 2
    assert f"{other} has no accounts" in capsys.readouterr().err
    assert main(["ls", "me"]) == 0
    assert not any(line.startswith("TOP") for line in server.log[-20:])


def test_an_unknown_name_is_wrong_usage(write: Callable[[str], Path], capsys: Captured) -> None:
    """The last line names the file, a similar name, and what to write for a host of that name; nothing is asked."""
    assert usage("ls", "me") == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "does not exist; add one with `pymailbox accounts add`" in told
    assert "for the host of that name, write pops://me; `pymailbox ls --help` shows the usage" in told
    path = write('[account.work]\nurl = "pops://h"\n')
    assert usage("ls", "worc") == 2
    assert f"there is no account 'worc' in {path}; did you mean work?" in capsys.readouterr().err


def test_a_wrong_file_is_one_line(write: Callable[[str], Path], capsys: Captured) -> None:
    """The status is 1; a URL needs no file, so it works beside a wrong one."""
    write('[account.me]\nurl = "pops://h"\nx = 1\n')
    assert main(["ls", "me"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "account.me.x is not a known key" in err
    assert main(["ls", "pops://me@no-such-host.invalid"]) == 75
    assert "no-such-host.invalid" in capsys.readouterr().err


def test_a_bare_host_is_a_url(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a dot, a port or a user it is `pops://`; a password in it is refused."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    with Server(SAMPLES, security="tls") as server:
        for host in (f"me@localhost:{server.port}", f"pops://me@localhost:{server.port}"):
            with case(host):
                assert main(["ls", "--ca", str(server.ca), host]) == 0
        assert main(["ls", "--ca", str(server.ca), "--user", "me", f"localhost:{server.port}"]) == 0
        capsys.readouterr()
    for host in ("no-such-host.invalid", "me@no-such-host.invalid", "no-such-host.invalid:995"):
        with case(host):
            assert main(["ls", "--user", "me", host]) == 75
            assert "cannot find the host 'no-such-host.invalid'" in capsys.readouterr().err
    assert usage("ls", "me:hunter2@pop.example.com") == 2
    err = capsys.readouterr().err
    assert "a password on the command line" in err
    assert "hunter2" not in err
    assert usage("ls", "a/b") == 2


def test_without_an_argument_the_environment_names_the_account(
    server: Server, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYMAILBOX_URL, with what else `Account.from_env` reads; `show 3` is then message 3."""
    assert usage("ls") == 2
    assert "set PYMAILBOX_URL" in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.setenv("PYMAILBOX_URL", server.url)
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    for arguments in (("ls",), ("show", "1"), ("show", "--headers", "1"), ("show", "1", "--headers")):
        with case(*arguments):
            assert main(arguments) == 0
            assert "Lunch on Thursday?" in capsys.readouterr().out
    monkeypatch.setenv("PYMAILBOX_URL", server.url.replace("me@", "me:secret@"))
    monkeypatch.delenv("PYMAILBOX_PASSWORD")
    assert main(["ls"]) == 0


def test_options_and_arguments_come_in_any_order(
    server: Server, write: Callable[[str], Path], capsys: Captured
) -> None:
    """`show NAME --headers N` is `show NAME N --headers`."""
    write(account("me", server, KNOWN))
    for arguments in (("me", "--headers", "1"), ("--headers", "me", "1"), ("me", "1", "--headers")):
        with case(*arguments):
            assert main(["show", *arguments]) == 0
            assert "Subject: Lunch on Thursday?" in capsys.readouterr().out


def test_options_override_the_file(write: Callable[[str], Path], capsys: Captured) -> None:
    """A fingerprint on the command line replaces that of the file, --user the user."""
    with Server(SAMPLES, security="tls", users={"you": "secret"}) as server:
        write(account("me", server, KNOWN, f'pin = "{"ab" * 32}"').replace("me@", ""))
        assert main(["ls", "me", "--user", "you"]) == 1
        assert "differs from the pinned one" in capsys.readouterr().err
        url = server.url.replace("127.0.0.1", "localhost")
        write(f'[account.me]\nurl = "{url}"\n{KNOWN}\npin = "{"ab" * 32}"\n')
        assert main(["ls", "me", "--user", "you", "--ca", str(server.ca)]) == 0


# --- passwords ------------------------------------------------------------------------------------------------


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A keyring in memory that replaces the library; `problem` is raised if it is set."""
    errors: Any = ModuleType("keyring.errors")
    errors.NoKeyringError = type("NoKeyringError", (RuntimeError,), {})
    module: Any = ModuleType("keyring")
    module.errors, module.known, module.problem = errors, {}, None

    def get_password(service: str, user: str) -> str | None:
        if module.problem is not None:
            raise module.problem
        found: str | None = module.known.get((service, user))
        return found

    module.get_password = get_password
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return module


def netrc(text: str) -> Path:
    """Write ~/.netrc."""
    path = Path.home() / ".netrc"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_where_a_password_is_looked_for(
    server: Server, write: Callable[[str], Path], capsys: Captured, monkeypatch: pytest.MonkeyPatch, keyring: Any
) -> None:
    """The command, PYMAILBOX_PASSWORD, the file, ~/.netrc, the keyring: the first that has one counts."""
    for good in range(5):
        with case(good):
            command, variable, reference, file, ring = ["none"] * good + ["secret"] + ["bad"] * (4 - good)
            arguments = [] if command == "none" else ["--password-command", f"echo {command}"]
            monkeypatch.setenv("PYMAILBOX_PASSWORD", variable.removeprefix("none"))
            monkeypatch.setenv("SECRET", reference)
            write(account("me", server, *([] if reference == "none" else [KNOWN])))
            netrc(f"machine 127.0.0.1 login {'you' if file == 'none' else 'me'} password {file}")
            keyring.known = {("127.0.0.1", "me"): ring}
            assert main(["ls", "me", *arguments]) == 0
            assert capsys.readouterr().err == ""


def test_a_place_that_cannot_be_read_is_told(
    server: Server, write: Callable[[str], Path], capsys: Captured, monkeypatch: pytest.MonkeyPatch, keyring: Any
) -> None:
    """The search goes on, and says why that place was passed over; no keyring at all is not worth a word."""
    write(account("me", server))
    netrc("machine 127.0.0.1 login me password bad").chmod(0o644)
    keyring.known = {("127.0.0.1", "me"): "secret"}
    assert main(["ls", "me"]) == 0
    assert "can be read by others; make it private" in capsys.readouterr().err
    netrc("")
    monkeypatch.setattr("sys.stdin", None)
    for problem, told in ((RuntimeError("locked"), "unlock the keyring"), (keyring.errors.NoKeyringError(), "")):
        keyring.problem = problem
        done = without_terminal("ls", "me", keyring_problem=type(problem).__name__)
        assert done.returncode == 1
        assert ("unlock the keyring" in done.stderr) == bool(told)
        assert "no terminal to ask for the password" in done.stderr


KEYRING = """
import sys
from types import ModuleType
errors, module = ModuleType("keyring.errors"), ModuleType("keyring")
errors.NoKeyringError = type("NoKeyringError", (RuntimeError,), {})
def get_password(service, user):
    raise errors.NoKeyringError() if sys.argv[1] == "NoKeyringError" else RuntimeError("locked")
module.get_password, module.errors = get_password, errors
sys.modules.update({"keyring": module, "keyring.errors": errors})
from pymailbox.cli import main
from pymailbox.cli.accounts_commands import not_before
sys.exit(main(sys.argv[2:]))
"""


def without_terminal(*arguments: str, keyring_problem: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a process without a terminal, with a keyring that fails."""
    return subprocess.run(
        [sys.executable, "-c", KEYRING, keyring_problem, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=GENEROUS,
        start_new_session=True,
    )


def test_a_token_of_the_file_is_sent_as_one(write: Callable[[str], Path]) -> None:
    """`token` logs in by OAuth2; a password command then gives a token, too."""
    with Server(SAMPLES, sasl=["XOAUTH2"], token="secret") as server:
        write(account("me", server, 'token = { env = "SECRET" }'))
        assert main(["ls", "me"]) == 0
        write(account("me", server, 'token = { env = "NONE" }'))
        assert main(["ls", "me", "--password-command", "echo secret"]) == 0


# --- archives -------------------------------------------------------------------------------------------------


def test_archive_takes_place_and_keep_from_the_file(
    server: Server, write: Callable[[str], Path], tmp_path: Path, capsys: Captured
) -> None:
    """`archive NAME`, `clean NAME`, `verify NAME` and `rebuild NAME` need no more; options override the file."""
    to = tmp_path / "mail" / "me"
    defaults = f'[defaults]\narchive = "{tmp_path}/mail/{{name}}"\n'
    write(defaults + account("me", server, KNOWN, "keep = { latest = 8 }"))
    for arguments, printed in (
        (("archive", "me", "--keep-latest", "9"), "10 new, 3.9 KB; 0 known; 1 deleted\n"),
        (("archive", "me"), "0 new, 0 B; 9 known; 1 deleted\n"),
        (("clean", "me", "--keep-latest", "7"), "1 deleted, 7 kept\n"),
        (("clean", "me"), "0 deleted, 7 kept\n"),
        (("verify", "me"), "10 of 10 read, 3.9 KB; 0 damaged, 0 missing, 0 unknown\n"),
        (("verify", str(to)), "10 of 10 read, 3.9 KB; 0 damaged, 0 missing, 0 unknown\n"),
        (("rebuild", "me"), "10 messages, 3.9 KB\n"),
        (("archive", "me", "--to", str(tmp_path / "other"), "--keep-days", "1"), "7 new"),
    ):
        with case(*arguments):
            assert main(arguments) == 0
            out, err = capsys.readouterr()
            assert (out[: len(printed)], err) == (printed, "")
    write(account("me", server, KNOWN))
    for command in ("archive", "clean"):
        assert usage(command, "me", "--keep-latest", "1") == 2
        assert "me has no archive in the accounts file; pass --to DIR" in capsys.readouterr().err
    assert usage("verify", "me") == 2
    assert "has no archive in" in capsys.readouterr().err


def test_verify_takes_a_directory_where_there_is_no_such_account(
    server: Server, write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """A word that is an account is that account; otherwise it is a directory, and an error names both."""
    write(account("me", server, KNOWN, f'archive = "{tmp_path}/a"'))
    assert main(["archive", "me"]) == 0
    assert main(["archive", "me", "--to", str(tmp_path / "b"), "--limit", "3"]) == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    for word, count in (("me", 10), ("a", 10), ("b", 3), ("./b", 3)):
        assert main(["verify", word]) == 0
        assert capsys.readouterr().out.startswith(f"{count} of {count} read")
    assert usage("verify", "c") == 2
    assert "there is no account 'c' in" in capsys.readouterr().err


def test_several_accounts_are_archived_one_after_the_other(
    write: Callable[[str], Path], tmp_path: Path, capsys: Captured
) -> None:
    """Each line begins with a name; an error of one does not stop the others, and the status is 3."""
    with ExitStack() as stack:
        one, two, wrong = (stack.enter_context(Server(SAMPLES, password=word)) for word in ("secret", "secret", "x"))
        write(
            f'[defaults]\narchive = "{tmp_path}/{{name}}"\npassword = {{ env = "SECRET" }}\n'
            + account("one", one)
            + account("wrong", wrong)
            + account("second", two)
        )
        for arguments in (("one", "wrong", "second", "one"), ("--all",)):
            with case(*arguments):
                assert main(["archive", *arguments]) == 3
                out, err = capsys.readouterr()
                assert [line.split()[0] for line in out.splitlines()] == ["one", "second"]
                assert err.count("\n") == 1
                assert err.startswith("pymailbox: wrong: ")
        assert main(["archive", "one", "second", "--json"]) == 0
        rows = list(map(json.loads, capsys.readouterr().out.splitlines()))
        assert [(row["type"], row["account"]) for row in rows] == [("result", "one"), ("result", "second")]
        assert main(["archive", "one", "second"]) == 0
        assert main(["archive", "wrong"]) == 77
        with locked(tmp_path / "one" / ".pymailbox" / "lock", "the archive"):
            assert main(["archive", "one", "wrong"]) == 77
            assert main(["archive", "one", "second"]) == 3
    assert len(list((tmp_path / "second" / "new").iterdir())) == len(SAMPLES)


def test_the_status_of_several_accounts() -> None:
    """0 if all succeeded, 3 if some did, else the most serious: what must not be repeated before what may pass."""
    for statuses, status in (
        ([0, 0], 0),
        ([0, 3], 3),
        ([3, 3], 3),
        ([0, 77], 3),
        ([75, 5], 5),
        ([75, 1, 5], 1),
        ([1, 6], 6),
        ([6, 77, 1], 77),
    ):
        assert most_serious(statuses) == status, statuses


def test_wrong_use_of_several_accounts_touches_nothing(
    server: Server, write: Callable[[str], Path], tmp_path: Path, capsys: Captured
) -> None:
    """What is for one account only, an unknown name, an account without an archive: 2, before anything is archived."""
    known = f'archive = "{tmp_path}/{{name}}"'
    write(account("a", server, KNOWN, known) + account("b", server, KNOWN, known) + account("c", server, KNOWN))
    for arguments, told in (
        (("a", "b", "--to", str(tmp_path / "to")), "--to is for one account only"),
        (("a", "b", "--user", "me"), "--user is for one account only"),
        (("a", "b", "--password-command", "echo x"), "--password-command is for one account only"),
        (("a", "b", "--oauth2"), "--oauth2 is for one account only"),
        (("a", "x"), "there is no account 'x'"),
        (("a", "c"), "c has no archive"),
        (("a", "--all"), "exclude each other"),
        (("--all",), "c has no archive"),
        ((), "name an account"),
    ):
        with case(*arguments):
            assert usage("archive", *arguments) == 2
            assert told in capsys.readouterr().err.splitlines()[-1]
    assert server.log == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config"]
    write("")
    assert main(["archive", "--all"]) == 1
    assert "there are no accounts in" in capsys.readouterr().err


def test_an_account_that_cannot_be_used_does_not_stop_the_others(
    server: Server, write: Callable[[str], Path], tmp_path: Path, capsys: Captured
) -> None:
    """Every line about one of several accounts begins with its name, also if it failed before it was connected to."""
    known = f'archive = "{tmp_path}/{{name}}"'
    nobody = f'[account.nobody]\nurl = "pop://127.0.0.1:{server.port}"\n{known}\n'
    lost = account("lost", server, 'password = { env = "PYMAILBOX_NOT_SET" }', known)
    write(nobody + account("ca", server, KNOWN, known, 'ca = "/not/here"') + lost + account("me", server, KNOWN, known))
    assert main(["archive", "--all"]) == 3
    out, err = capsys.readouterr()
    assert out == "me      10 new, 3.9 KB; 0 known; nothing deleted\n"
    assert [line.split(": ")[:2] for line in err.splitlines()] == [
        ["pymailbox", name] for name in ("nobody", "ca", "lost")
    ]
    assert main(["archive", "nobody", "ca"]) == 1
    assert main(["archive", "ca"]) == 1


def test_one_password_is_not_sent_to_several_servers(
    write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYMAILBOX_PASSWORD is for one account; with several, each has its own, and one without is not asked for."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "hunter2")
    with Server(SAMPLES) as one, Server(SAMPLES, password="hunter2") as two:
        known = f'archive = "{tmp_path}/{{name}}"'
        write(account("one", one, KNOWN, known) + account("two", two, known))
        monkeypatch.setattr("getpass.getpass", lambda _: (_ for _ in ()).throw(EOFError))
        assert main(["archive", "one", "two"]) == 3
        assert (logins(one), logins(two)) == (2, 0)
        assert main(["archive", "two"]) == 0


# --- the list -------------------------------------------------------------------------------------------------


def test_accounts_lists_what_there_is(
    server: Server, write: Callable[[str], Path], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name, URL, archive, messages and the last run: without a lock, a connection or a secret; a bad ledger is told."""
    assert main(["accounts"]) == 0
    assert "no accounts in" in capsys.readouterr().out
    assert main(["accounts", "--json"]) == 0
    assert main(["accounts", "--names"]) == 0
    assert capsys.readouterr().out == ""
    known = f'archive = "{tmp_path}/{{name}}"'
    path = write(
        account("me", server, 'password = { command = ["echo", "secret"] }', known)
        + account("fresh", server, known)
        + account("plain", server)
        + account("bad", server, KNOWN, known)
    )
    faults = [Fault.replace("RETR", None, reply=b"-ERR [SYS/PERM] broken\r\n")]
    with Server(SAMPLES, faults=faults) as other:
        write(path.read_text() + account("partly", other, KNOWN, known))
        assert main(["archive", "me", "bad", "partly"]) == 3
    (tmp_path / "bad" / ".pymailbox" / "ledger.db").write_bytes(b"x" * 5000)
    settle(server)
    asked = len(server.log)
    capsys.readouterr()
    with locked(tmp_path / "me" / ".pymailbox" / "lock", "the archive"):
        assert main(["accounts"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == f"me      {server.url}"
    assert re.fullmatch(rf" {{8}}{tmp_path}/me: 10 messages; last run \d{{4}}-\d\d-\d\d \d\d:\d\d: done", lines[1])
    assert lines[3] == f"        {tmp_path}/fresh: not archived yet"
    assert lines[5] == "        no archive"
    assert "pymailbox rebuild" in lines[7]
    assert re.search(r"/partly: 0 messages; last run .*: 10 failed$", lines[9])
    assert "secret" not in out
    assert main(["accounts", "--json"]) == 0
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(rows) == ["me", "fresh", "plain", "bad", "partly"]
    assert rows["me"] | {"last_run": None} == {
        "name": "me",
        "url": server.url,
        "archive": str(tmp_path / "me"),
        "messages": 10,
        "last_run": None,
        "last_failure": None,
        "next_try": None,
        "problem": None,
    }
    assert rows["me"]["last_run"]["ended"].endswith("+00:00")
    assert rows["partly"]["last_run"]["failed"] == 10
    assert rows["plain"]["archive"] is None
    assert "rebuild" in rows["bad"]["problem"]
    assert main(["accounts", "--names"]) == 0
    assert capsys.readouterr().out == "me\nfresh\nplain\nbad\npartly\n"
    settle(server)
    assert len(server.log) == asked


def test_accounts_say_how_the_last_run_failed(write: Callable[[str], Path], tmp_path: Path, capsys: Captured) -> None:
    """In one line, in the words of the command line, below the last run that succeeded; and when to run again."""
    known = f'archive = "{tmp_path}/{{name}}"'
    faults = [Fault.refuse("PASS", None, "[LOGIN-DELAY] wait \x1b[2J 5 minutes")]
    with Server(SAMPLES) as server, Server(SAMPLES, sasl=(), faults=faults) as busy:
        write(account("me", server, KNOWN, known))
        assert main(["archive", "me"]) == 0
        write(account("me", busy, KNOWN, known))
        assert main(["archive", "me"]) == 75
        capsys.readouterr()
        assert main(["accounts"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert re.fullmatch(r".*/me: 10 messages; last run .*: done", lines[1])
        assert re.match(r" {4}failed \d{4}-\d\d-\d\d \d\d:\d\d: the server requires more time", lines[2])
        assert "\\x1b[2J 5 minutes" in lines[2]
        assert re.fullmatch(r" {4}next run not before (\d{4}-\d\d-\d\d )?\d\d:\d\d", lines[3])
        assert len(lines) == 4
        assert main(["accounts", "--json"]) == 0
        row = json.loads(capsys.readouterr().out)
        failed, again = (datetime.fromisoformat(text) for text in (row["last_failure"]["at"], row["next_try"]))
        assert again - failed == timedelta(minutes=5)
        assert row["last_failure"]["problem"].startswith("the server requires more time")
        assert row["last_run"]["failed"] == 0


def test_accounts_in_a_narrow_terminal(server: Server, write: Callable[[str], Path], tmp_path: Path) -> None:
    """A line that is too long goes on below its beginning; no word is broken, and no path."""
    path = write(account("me", server, KNOWN, f'archive = "{tmp_path}/me"'))
    runs = tmp_path / "me" / ".pymailbox" / "runs.json"
    runs.parent.mkdir(parents=True)
    (tmp_path / "me" / "new").mkdir()
    problem = "the server closed the connection; " + "x" * 70 + " some servers hang up on a wrong password"
    runs.write_text(json.dumps({"me@127.0.0.1": {"failed": 1_000, "problem": problem}}))
    shown, status = run_in_terminal(
        "accounts", columns=60, env=environment(PYMAILBOX_CONFIG=str(path), TZ="UTC", NO_COLOR="1")
    )
    assert status == 0
    told = [line for line in shown.splitlines() if line.startswith("    ")]
    assert " ".join(line.strip() for line in told).endswith(f"failed 1970-01-01 00:16: {problem}")
    assert all(len(line) <= 60 or " " not in line.strip() for line in told)


def test_the_time_of_the_next_run() -> None:
    """The first whole minute that is not too early; with its date if that is not today's."""
    now = datetime(2026, 11, 27, 14, 10).astimezone()
    for after, shown in (
        (timedelta(minutes=10), "14:20"),
        (timedelta(seconds=1), "14:11"),
        (timedelta(hours=10), "2026-11-28 00:10"),
    ):
        assert not_before(now + after, now) == shown


# --- adding one -----------------------------------------------------------------------------------------------


class Terminal:
    """A command in a pseudo-terminal, which is answered question by question."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "pymailbox", *arguments]
        inner = f"import pty, os, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn({command!r})))"
        self.process = subprocess.Popen(
            [sys.executable, "-c", inner], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.shown = ""

    def until(self, text: str) -> None:
        """Read until this text is on the screen."""
        assert self.process.stdout is not None
        begun = len(self.shown)
        while text not in self.shown[begun:]:
            assert select.select([self.process.stdout], [], [], GENEROUS)[0], self.shown
            data = self.process.stdout.read(1)
            assert data, self.shown
            self.shown += data.decode("latin-1")

    def answer(self, question: str, text: str, end: str = "\n") -> None:
        """Wait for a question, and type the answer."""
        self.until(question)
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + end.encode())

    def ended(self) -> int:
        """Wait for the end; return the status."""
        out, _ = self.process.communicate(timeout=GENEROUS)
        self.shown += out.decode("latin-1")
        return self.process.returncode


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Return a function that starts a command in a pseudo-terminal; it is killed at the end."""
    if sys.platform == "win32":
        pytest.skip("there are no pseudo-terminals")
    running: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        running.append(Terminal(*arguments))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.communicate()


def test_add_asks_tries_and_writes(
    server: Server,
    terminal: Callable[..., Terminal],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    """A wrong answer is asked again; the login is tried once; the file is made with the mode 0600, and works."""
    path = tmp_path / "new" / "accounts.toml"
    monkeypatch.setenv("PYMAILBOX_CONFIG", str(path))
    adding = terminal("accounts", "add")
    adding.answer("Name of the account", "a.b")
    adding.until("letters, digits")
    adding.answer("Name of the account", "me")
    adding.answer("User name", "me")
    adding.answer("POP3 server", "imap://host")
    adding.answer("POP3 server", f"pop://127.0.0.1:{server.port}")
    adding.answer("Number: ", "7")
    adding.answer("Number: ", "3")
    adding.answer("Variable: ", "A=B")
    adding.until("expected the name of an environment variable")
    adding.answer("Variable: ", "SECRET")
    adding.answer("Archive directory [~/mail/me]: ", "mail")
    adding.answer("Archive directory [~/mail/me]: ", "")
    adding.answer("Log in now, to see whether it works? [Y/n] ", "")
    adding.until("it works: 10 messages, 3.9 KB")
    assert adding.ended() == 0
    assert path.read_text() == (
        f'[account.me]\nurl = "pop://127.0.0.1:{server.port}"\nuser = "me"\npassword = {{ env = "SECRET" }}\n'
        'archive = "~/mail/me"\n'
    )
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]
    assert logins(server) == 1
    assert main(["ls", "me"]) == 0
    assert "secret" not in adding.shown.replace("SECRET", "")


def test_add_keeps_what_is_there_byte_for_byte(
    terminal: Callable[..., Terminal], write: Callable[[str], Path], tmp_path: Path
) -> None:
    """Comments, CRLF and a missing last line end stay; an existing name is refused; a link stays a link."""
    before = '# mine\r\n[defaults] # all\r\narchive = "/srv/{name}"\r\n[account.me]\r\nurl = "pops://h" # no line end'
    path = write(before)
    target = path.with_name("target.toml")
    path.rename(target)
    path.symlink_to(target)
    before = target.read_bytes().decode()
    adding = terminal("accounts", "add")
    adding.answer("Name of the account", "me")
    adding.until("exists already")
    adding.answer("Name of the account", "work")
    adding.answer("User name", 'a"b\\é@example.com')
    adding.answer("POP3 server", "pop.example.com")
    adding.answer("Number: ", "1")
    adding.answer("Command: ", "pass 'show")
    adding.answer("Command: ", "pass 'a b'")
    adding.answer("Archive directory [/srv/work]: ", "")
    adding.answer("[Y/n] ", "n")
    assert adding.ended() == 0
    after = target.read_bytes().decode()
    assert path.is_symlink()
    assert after == before + (
        '\n\n[account.work]\nurl = "pops://pop.example.com:995"\nuser = "a\\"b\\\\é@example.com"\n'
        'password = { command = ["pass", "a b"] }\n'
    )
    assert list(AccountsFile.load().accounts) == ["me", "work"]
    assert AccountsFile.load().entry("work").archive == Path("/srv/work")


def test_add_after_a_failed_login_writes_only_if_told_to(
    terminal: Callable[..., Terminal], server: Server, write: Callable[[str], Path]
) -> None:
    """The error is shown; by default nothing is written, and the status is 1."""
    path = write("# mine\n")
    for answer, status in (("", 1), ("y", 0)):
        adding = terminal("accounts", "add")
        adding.answer("Name of the account", "me")
        adding.answer("User name", "you")
        adding.answer("POP3 server", f"pop://127.0.0.1:{server.port}")
        adding.answer("Number: ", "3")
        adding.answer("Variable: ", "SECRET")
        adding.answer("Archive directory", "/srv/me")
        adding.answer("[Y/n] ", "y")
        adding.answer("Write it anyway? [y/N] ", answer)
        assert adding.ended() == status
        assert "refused" in adding.shown
        assert ("[account.me]" in path.read_text()) == (status == 0)


def test_add_that_is_left_writes_nothing(
    terminal: Callable[..., Terminal], write: Callable[[str], Path], tmp_path: Path
) -> None:
    """Ctrl-C ends with 130, Ctrl-D with 1; the file stays as it was."""
    path = write("# mine\n")
    for key, status, told in (("\x03", 130, "interrupted; nothing was changed"), ("\x04", 1, "nothing was written")):
        adding = terminal("accounts", "add")
        adding.answer("Name of the account", "me")
        adding.answer("User name", key, end="")
        assert adding.ended() == status
        assert told in adding.shown
        assert "Traceback" not in adding.shown
        assert path.read_text() == "# mine\n"


def test_add_refuses_a_file_that_cannot_take_a_table(
    terminal: Callable[..., Terminal], write: Callable[[str], Path]
) -> None:
    """Accounts in one inline table cannot be followed by another; the file stays as it was."""
    path = write('account = { me = { url = "pops://h" } }\n')
    adding = terminal("accounts", "add")
    for question, answer in (
        ("Name of the account", "work"),
        ("User name", "me"),
        ("POP3 server", "pop.example.com"),
        ("Number: ", "6"),
        ("Archive directory", ""),
        ("[Y/n] ", "n"),
    ):
        adding.answer(question, answer)
    assert adding.ended() == 1
    assert "cannot follow what is in" in adding.shown
    assert path.read_text() == 'account = { me = { url = "pops://h" } }\n'


def test_add_needs_a_terminal(write: Callable[[str], Path], capsys: Captured) -> None:
    """Without one it is wrong usage; so is what it does not take."""
    path = write("")
    done = subprocess.run(
        [sys.executable, "-m", "pymailbox", "accounts", "add"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=GENEROUS,
    )
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    assert usage("accounts", "add", "--json") == 2
    assert "--json is not for accounts add" in capsys.readouterr().err
    assert path.read_text() == ""


# --- completion -----------------------------------------------------------------------------------------------


@pytest.fixture
def shell(write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that gives the completion of a shell as a file; two accounts, and a directory `inner`."""
    write('[account.me]\nurl = "pops://h"\n[account.work]\nurl = "pops://h"\n')
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pymailbox").write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m pymailbox "$@"\n')
    (programs / "pymailbox").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    (tmp_path / "work" / "inner").mkdir(parents=True)
    (tmp_path / "work" / "intro.txt").write_text("")
    monkeypatch.chdir(tmp_path / "work")

    def script(name: str) -> Path:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        done = subprocess.run(
            ["pymailbox", "completion", name], capture_output=True, text=True, timeout=GENEROUS, check=True
        )
        path = tmp_path / f"completion.{name}"
        path.write_text(done.stdout)
        subprocess.run([name, "-n", str(path)], timeout=GENEROUS, check=True)
        return path

    return script


COMPLETED = [
    (("ar",), {"archive"}),
    (("ls", ""), {"me", "work"}),
    (("ls", "w"), {"work"}),
    (("ls", "--tim"), {"--timeout"}),
    (("archive", "me", "w"), {"work"}),
    (("archive", "--to", "in"), {"inner"}),
    (("ls", "--config", "in"), {"inner", "intro.txt"}),
    (("watch", "w"), {"work"}),
    (("watch", "--state", "in"), {"inner", "intro.txt"}),
    (("wait", "me", "--print", "su"), {"subject"}),
    (("verify", "w"), {"work"}),
    (("verify", "in"), {"inner"}),
    (("accounts", ""), {"add"}),
    (("completion", ""), {"bash", "zsh", "fish"}),
]


def test_bash_completes(shell: Callable[[str], Path]) -> None:
    """Commands, options, files, directories and the names of accounts."""
    path = shell("bash")
    for words, found in COMPLETED:
        with case(*words):
            script = (
                f'source {path}; complete -p pymailbox >/dev/null || exit 9; COMP_WORDS=(pymailbox "$@"); COMP_CWORD=$#;'
                ' COMPREPLY=(); "$(complete -p pymailbox | sed "s/.*-F \\([^ ]*\\).*/\\1/")"; printf "%s\\n" "${COMPREPLY[@]}"'
            )
            done = subprocess.run(
                ["bash", "-c", script, "bash", *words], capture_output=True, text=True, timeout=GENEROUS
            )
            assert done.returncode == 0
            assert {line.rstrip("/") for line in done.stdout.split()} == found


def test_fish_completes(shell: Callable[[str], Path]) -> None:
    """The same in fish."""
    path = shell("fish")
    for words, found in COMPLETED:
        with case(*words):
            line = " ".join(("pymailbox", *words))
            done = subprocess.run(
                ["fish", "--no-config", "-c", f"source {path}; complete -C '{line}'"],
                capture_output=True,
                text=True,
                timeout=GENEROUS,
            )
            assert {line.split("\t")[0].rstrip("/") for line in done.stdout.splitlines()} == found


@pytest.mark.slow
def test_zsh_completes(shell: Callable[[str], Path]) -> None:
    """In an interactive zsh, Tab completes commands, names, options and directories."""
    path = shell("zsh")
    inner = "import pty, os, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(['zsh', '-f', '-i'])))"
    process = subprocess.Popen(
        [sys.executable, "-c", inner],
        env={**os.environ, "TERM": "dumb", "PS1": "> "},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    shown = ""

    def see(text: str) -> None:
        nonlocal shown
        while text not in shown:
            assert select.select([process.stdout], [], [], GENEROUS)[0], shown
            data = os.read(process.stdout.fileno(), 4096)
            assert data, shown
            shown += data.decode("utf-8", "replace")

    try:
        path.rename(path.with_name("_pymailbox"))
        begin = f"fpath=({path.parent} $fpath); autoload -U compinit; compinit -D -u; echo rea''dy\n"
        process.stdin.write(begin.encode())
        see("ready")
        see("\x1b[?2004h")  # the prompt: the terminal takes single keys
        for typed, completed in (
            ("pymailbox arc", "archive"),
            ("pymailbox ls wo", "work"),
            ("pymailbox ls --tim", "--timeout"),
            ("pymailbox archive me wo", "work"),
            ("pymailbox archive --to inn", "inner"),
            ("pymailbox verify inn", "inner"),
        ):
            with case(typed):
                shown = ""
                process.stdin.write(f"{typed}\t".encode())
                see(f"{typed.rpartition(' ')[0]} {completed}")
                process.stdin.write(b"\x15")  # Ctrl-U: forget the line
    finally:
        process.kill()
        process.communicate()


def test_a_completion_without_its_library_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "pip install 'pymailbox[cli]'" in capsys.readouterr().err


# --- start-up and documentation -------------------------------------------------------------------------------


def test_help_imports_no_library_of_the_extra() -> None:
    """Neither --help nor a URL needs cattrs, platformdirs, shtab or tomllib."""
    for arguments in (["--help"], ["ls", "--help"], ["ls", "pop://me@127.0.0.1:1"]):
        script = (
            "import sys, pymailbox.cli\n"
            f"try: pymailbox.cli.main({arguments!r})\n"
            "except SystemExit: pass\n"
            "print([name for name in ('cattrs', 'platformdirs', 'shtab', 'tomllib') if name in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYMAILBOX_PASSWORD": "x"},
            capture_output=True,
            text=True,
            timeout=GENEROUS,
        )
        assert done.stdout.splitlines()[-1] == "[]", done


def test_the_documentation_has_every_key() -> None:
    """The tables of keys in docs/cli.md are those that the file may have, in their order, and its example is valid."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    section = page[page.index("\n## Accounts\n") :]
    for kind, heading in (
        (tables.DefaultsTable, "[defaults]"),
        (tables.AccountTable, "[account.NAME]"),
        (tables.SecretTable, "password and token"),
        (tables.KeepTable, "keep"),
        (tables.HostTable, '[host."NAME"]'),
    ):
        table = re.search(rf"^\| {re.escape(heading)} \| meaning \|\n\|[-|]+\|\n((?:\|.*\n)+)", section, re.MULTILINE)
        assert table is not None, heading
        documented = re.findall(r"^\| `(\w+)` \|", table[1], re.MULTILINE)
        assert documented == [one.name for one in fields(kind)], heading
    (example,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    assert list(AccountsFile.parse(example).accounts) == ["me", "work"]


def test_the_program_of_the_documentation_runs(
    server: Server, write: Callable[[str], Path], tmp_path: Path, capsys: Captured
) -> None:
    """It opens and archives the account that the file calls me."""
    write(account("me", server, KNOWN, f'archive = "{tmp_path}/me"', "keep = { latest = 3 }"))
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page[page.index("\n## Accounts\n") :], re.DOTALL)
    exec(program, {})
    assert capsys.readouterr().out == "10\n"
    assert len(server.messages) == 3
    assert len(list((tmp_path / "me" / "new").iterdir())) == 10
