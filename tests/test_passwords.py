"""References to passwords are read at each login, and a secret appears only in what reading returns."""

import asyncio
import os
import pickle
import stat
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pymailbox import (
    Account,
    AsyncMailbox,
    Mailbox,
    NotSupported,
    OAuth2,
    PasswordCommand,
    PasswordEnv,
    PasswordFile,
    PasswordKeyring,
    PasswordNetrc,
    diagnose,
)
from pymailbox.testing import Server
from tests import case
from tests.test_account import HIDDEN, SECRET, exposed
from tests.timing import GENEROUS, eventually_async


def printing(data: bytes) -> list[str]:
    """Return a command that prints these bytes."""
    return [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({data!r})"]


def fails(read: Callable[[], object], problem: str) -> None:
    """Check that reading raises ValueError, with the secret neither in the error nor in its frames or context."""
    with pytest.raises(ValueError, match=problem) as caught:
        read()
    assert type(caught.value) is ValueError
    assert exposed(caught.value) == []
    assert caught.value.__context__ is None


# --- all of them ----------------------------------------------------------------------------------------------


def test_a_reference_is_a_value_that_can_be_shown() -> None:
    """Its repr and its pickle contain the place, not the secret; it compares by value and is immutable."""
    for reference, shown in (
        (PasswordCommand(["pass", "show", "mail"]), "PasswordCommand(['pass', ...])"),
        (PasswordCommand(("pass",), timeout=5), "PasswordCommand(['pass'])"),
        (PasswordEnv("ME"), "PasswordEnv(name='ME')"),
        (PasswordFile("/run/secrets/me"), "PasswordFile(path='/run/secrets/me')"),
        (PasswordFile(Path("secret")), "PasswordFile(path='secret')"),
        (PasswordKeyring("pop.example.com", "me"), "PasswordKeyring(service='pop.example.com', user='me')"),
        (PasswordNetrc(), "PasswordNetrc(path=None)"),
        (PasswordNetrc(Path("netrc")), "PasswordNetrc(path='netrc')"),
    ):
        with case(reference):
            assert repr(reference) == shown
            again = pickle.loads(pickle.dumps(reference))
            assert again == reference
            assert hash(again) == hash(reference)
            with pytest.raises(AttributeError):
                reference.path = "elsewhere"  # type: ignore[union-attr, misc] # misuse
    assert PasswordCommand(["a", "b"]) == PasswordCommand(("a", "b"))
    assert PasswordCommand(["a"]) != PasswordCommand(["b"])


def test_misuse_is_found_when_the_reference_is_made() -> None:
    """TypeError or ValueError, which explains what is expected."""
    make: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: PasswordCommand("pass show mail"), TypeError, r"shlex\.split"),
        (lambda: PasswordCommand([]), TypeError, "the program and its arguments"),
        (lambda: PasswordCommand(["pass", 7]), TypeError, "a list of str"),  # type: ignore[list-item] # misuse
        (lambda: PasswordCommand(None), TypeError, "a list of str"),  # type: ignore[arg-type] # misuse
        (lambda: PasswordCommand([""]), ValueError, "begin with the name of a program"),
        (lambda: PasswordCommand(["a", "b\0"]), ValueError, "NUL"),
        (lambda: PasswordCommand(["a"], timeout=0), ValueError, "more than 0"),
        (lambda: PasswordCommand(["a"], timeout=float("nan")), ValueError, "more than 0"),
        (lambda: PasswordCommand(["a"], timeout="5"), TypeError, "number of seconds"),  # type: ignore[arg-type] # misuse
        (lambda: PasswordEnv(""), ValueError, "name must not be empty"),
        (lambda: PasswordEnv("A=B"), ValueError, "without ="),
        (lambda: PasswordEnv(b"A"), TypeError, "name must be a str, not bytes"),  # type: ignore[arg-type] # misuse
        (lambda: PasswordFile(""), ValueError, "path must not be empty"),
        (lambda: PasswordFile(7), TypeError, "path must be a str, not int"),  # type: ignore[arg-type] # misuse
        (lambda: PasswordFile("a\0"), ValueError, "NUL"),
        (lambda: PasswordKeyring("", "me"), ValueError, "service must not be empty"),
        (lambda: PasswordKeyring("h", None), TypeError, "user must be a str"),  # type: ignore[arg-type] # misuse
        (lambda: PasswordNetrc(""), ValueError, "path must not be empty"),
        (lambda: PasswordNetrc(7), TypeError, "path must be a str"),  # type: ignore[arg-type] # misuse
    ]
    for misuse, error, problem in make:
        with case(problem), pytest.raises(error, match=problem):
            misuse()


def test_the_first_line_is_the_secret(tmp_path: Path) -> None:
    """Of a command and of a file: without line end and byte order mark, with its spaces; as bytes if it is not UTF-8."""
    file = tmp_path / "secret"
    for data, expected in (
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"s3cret\nlogin: me\n", "s3cret"),
        (b" s3 cret \t\n", " s3 cret \t"),
        (b"s3cret\r\r\n", "s3cret\r"),
        (b"\xef\xbb\xbfs3cret\n", "s3cret"),
        ("pässwörd\n".encode(), "pässwörd"),
        ("pässwörd\n".encode("latin-1"), "pässwörd".encode("latin-1")),
    ):
        file.write_bytes(data)
        for reference in (PasswordFile(file), PasswordCommand(printing(data))):
            with case(data, reference):
                found = reference()
                assert found == expected
                assert repr(found) == "<secret ***>"


def open_blocking(account: Account) -> int:
    """Open a mailbox; return how many messages it has."""
    with Mailbox.from_account(account, timeout=GENEROUS) as inbox:
        return len(inbox)


def open_async(account: Account) -> int:
    """The same over asyncio."""

    async def count() -> int:
        async with AsyncMailbox.from_account(account, timeout=GENEROUS) as inbox:
            return len(inbox)

    return asyncio.run(count())


def test_a_reference_logs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyring: dict[tuple[str, str], str]
) -> None:
    """As password and as token, with both drivers and in a diagnosis; it is read at each login, not before."""
    secrets = ["first", "sécond"]
    netrc, file = tmp_path / "netrc", tmp_path / "secret"
    netrc.touch(0o600)
    references = [
        PasswordCommand([sys.executable, "-c", f"print(open({str(file)!r}, encoding='utf-8').read())"]),
        PasswordEnv("ROBIN"),
        PasswordFile(file),
        PasswordKeyring("work", "robin"),
        PasswordNetrc(netrc),
    ]
    for secret in secrets:
        monkeypatch.setenv("ROBIN", secret)
        file.write_text(secret, "utf-8")
        keyring["work", "robin"] = secret
        netrc.write_text(f"machine 127.0.0.1 login robin password {secret}\n", "utf-8")
        with Server([b"x\r\n"], user="robin", password=secret, token=secret, sasl=["PLAIN", "XOAUTH2"]) as server:
            for reference in references:
                options: dict[str, Any] = {"security": "none", "port": server.port}
                account = Account(server.host, "robin", reference, **options)
                with case(reference, secret):
                    for open_it in (open_blocking, open_async):
                        assert open_it(account) == 1
                        assert open_it(Account(server.host, "robin", auth=OAuth2(reference), **options)) == 1
                    assert diagnose(account).opened


def test_bytes_of_a_file_are_sent_as_they_are(tmp_path: Path) -> None:
    """A password in Latin-1, for a server that expects it."""
    file = tmp_path / "secret"
    file.write_bytes("pässwörd\n".encode("latin-1"))
    sent = "pässwörd".encode("latin-1")
    with Server([b"x\r\n"], sasl=[], log_secrets=True) as server:
        account = Account(server.host, "me", PasswordFile(file), security="none", port=server.port)
        with pytest.raises(Exception, match="refused"):
            open_blocking(account)
        server.wait()
        assert any(
            sent in line.encode("latin-1", "replace") or sent in line.encode("utf-8", "surrogateescape")
            for line in server.log
        )
        with pytest.raises(TypeError, match="the token must be a str, not bytes"):
            open_blocking(
                Account(server.host, "me", auth=OAuth2(PasswordFile(file)), security="none", port=server.port)
            )


def test_a_secret_with_control_characters_is_refused(tmp_path: Path) -> None:
    """ValueError before any of it is sent."""
    file = tmp_path / "secret"
    file.write_text(f"{HIDDEN}\rDELE 1\n")
    with Server([b"x\r\n"]) as server:
        account = Account(server.host, "me", PasswordFile(file), security="none", port=server.port)
        for open_it in (open_blocking, open_async):
            with pytest.raises(ValueError, match="control characters"):
                open_it(account)
        assert not any(line.startswith(("AUTH", "PASS")) for line in server.log)


def test_a_slow_reference_does_not_block_the_event_loop(tmp_path: Path) -> None:
    """The command waits for something that only another task of the same loop can do."""
    marker = tmp_path / "marker"
    code = f"import pathlib, time\nwhile not pathlib.Path({str(marker)!r}).exists(): time.sleep(0.01)\nprint('secret')"
    reference = PasswordCommand([sys.executable, "-c", code], timeout=GENEROUS)

    async def main(account: Account) -> int:
        async def release() -> None:
            await eventually_async(lambda: any(line.startswith("CAPA") for line in server.log))
            marker.touch()

        task = asyncio.create_task(release())
        async with AsyncMailbox.from_account(account, timeout=GENEROUS) as inbox:
            await task
            return len(inbox)

    with Server([b"x\r\n"]) as server:
        assert asyncio.run(main(Account(server.host, "me", reference, security="none", port=server.port))) == 1


# --- commands -------------------------------------------------------------------------------------------------


@pytest.mark.threat(36)
def test_a_password_command_runs_without_a_shell(tmp_path: Path) -> None:
    """Shell syntax is passed on as a plain argument."""
    marker = tmp_path / "injected"
    code = "import sys; print(len(sys.argv), sys.argv[1])"
    words = [f"$(touch {marker}); touch {marker}; `touch {marker}`", f"; touch {marker} #", "$(id)"]
    assert PasswordCommand([sys.executable, "-c", code, *words])() == f"4 {words[0]}"
    assert not marker.exists()


def test_a_password_command_that_fails() -> None:
    """ValueError with its name, without its output or its arguments."""
    away = "import sys; print(sys.argv[1]); raise SystemExit(int(sys.argv[2]))"
    for command, problem in (
        ([sys.executable, "-c", away, HIDDEN, "3"], "status 3; run it in a terminal"),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)", HIDDEN], "status -9"),
        ([sys.executable, "-c", "", HIDDEN], "printed nothing.*; it must print the password"),
        ([sys.executable, "-c", f"print(); print({HIDDEN!r})"], "an empty first line"),
        ([sys.executable, "-c", f"print({HIDDEN!r} * 50_000)"], "more than 65536 bytes in its first line"),
        (["/no/such/program", HIDDEN], r"cannot be run \(No such file.*\); install it, or pass"),
        (["/", HIDDEN], r"cannot be run \(Permission denied"),
    ):
        with case(command):
            fails(PasswordCommand(command), f"the password command .*{problem}")


def test_a_password_command_is_bounded_in_time() -> None:
    """ValueError after `timeout` seconds, although the command takes an hour."""
    fails(
        PasswordCommand([sys.executable, "-c", "import time; time.sleep(3600)"], timeout=0.3),
        r"within 0\.3 s; .*timeout=",
    )


def test_a_password_command_is_bounded_in_memory() -> None:
    """Only the first line is kept, and the rest is read, so that the command can end."""
    code = "import sys\nprint('s3cret')\nfor _ in range(100): sys.stdout.write('x' * 1_000_000)"
    tracemalloc.start()
    try:
        assert PasswordCommand([sys.executable, "-c", code])() == "s3cret"
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(os.name != "posix", reason="it needs a shell")
def test_a_child_of_a_password_command_is_not_waited_for() -> None:
    """A child that keeps the output open is a timeout, not a hang."""
    fails(PasswordCommand(["sh", "-c", "sleep 5 & echo x"], timeout=0.3), r"within 0\.3 s")


# --- variables and files --------------------------------------------------------------------------------------


def test_a_variable_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """ValueError with its name and what to do."""
    monkeypatch.delenv("NO_SUCH_PASSWORD", raising=False)
    fails(PasswordEnv("NO_SUCH_PASSWORD"), "variable NO_SUCH_PASSWORD is not set; set it")
    monkeypatch.setenv("NO_SUCH_PASSWORD", "")
    fails(PasswordEnv("NO_SUCH_PASSWORD"), "variable NO_SUCH_PASSWORD is empty; set it")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the environment is text")
def test_a_variable_that_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is returned as the same bytes."""
    monkeypatch.setitem(os.environb, b"LATIN", "pässwörd".encode("latin-1"))
    assert PasswordEnv("LATIN")() == "pässwörd".encode("latin-1")


def test_a_file_without_a_password(tmp_path: Path) -> None:
    """ValueError with its path."""
    file = tmp_path / "secret"
    for data, problem in (
        (b"", "is empty.*; write the password"),
        (b"\n", "begins with an empty line"),
        (b"\r\n" + HIDDEN.encode(), "begins with an empty line"),
        (b"\xef\xbb\xbf\n", "begins with an empty line"),
        (HIDDEN.encode() * 6000, "more than 65536 bytes.*; check the path"),
    ):
        file.write_bytes(data)
        with case(data[:20]):
            fails(PasswordFile(file), f"the password file '{file}' .*{problem}")
    for path, problem in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        ("~nobody-at-all/x", "No such file"),
    ):
        with case(path):
            fails(PasswordFile(path), rf"cannot be read \({problem}.*\); check its path")


def test_a_file_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is expanded when the file is read, so that the reference works in another process, too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "secret").write_text("s3cret\n")
    assert PasswordFile("~/secret")() == "s3cret"


# --- netrc ----------------------------------------------------------------------------------------------------


def netrc(folder: Path, text: str, mode: int = 0o600) -> Path:
    """Write a netrc."""
    file = folder / "netrc"
    file.write_text(text, "utf-8")
    file.chmod(mode)
    return file


def test_the_entry_of_a_netrc(tmp_path: Path) -> None:
    """It is found by host and user; a host may have several logins; an entry without a login is for every user."""
    file = netrc(
        tmp_path,
        "machine pop.example.com login me password first\n"
        f'machine pop.example.com login you password "{SECRET}"  # two at one provider\n'
        "machine pop.example.com login me password again\n"
        "machine other.example.com password anyone\n"
        "macdef init\n\tcd /\n\n"
        "default login guest password default\n",
    )
    reference = PasswordNetrc(file)
    for host, user, expected in (
        ("pop.example.com", "me", "first"),
        ("POP.example.com", "you", SECRET),
        ("pop.example.com", None, "first"),
        ("other.example.com", "me", "anyone"),
        ("other.example.com", None, "anyone"),
        ("third.example.com", "guest", "default"),
    ):
        with case(host, user):
            found = reference.read(host, user)
            assert found == expected
            assert repr(found) == "<secret ***>"


def test_a_netrc_without_the_entry(tmp_path: Path) -> None:
    """ValueError with file, host and user, and the line that is missing."""
    file = netrc(
        tmp_path, f"machine h login me password {HIDDEN}\nmachine i login me\ndefault login guest password {HIDDEN}\n"
    )
    for host, user, problem in (
        ("h", "you", "no entry for 'you' at 'h'; add a line: machine h login you password"),
        ("j", "me", "no entry for 'me' at 'j'"),
        ("i", "me", "an entry for 'me' at 'i', but no password"),
    ):
        with case(host, user):
            fails(lambda host=host, user=user: PasswordNetrc(file).read(host, user), f"'{file}' has {problem}")
    fails(lambda: PasswordNetrc(tmp_path / "none").read("h", "me"), r"cannot be read \(No such file")
    fails(lambda: PasswordNetrc("~nobody-at-all/netrc").read("h", "me"), r"cannot be read \(No such file")


def test_the_netrc_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/.netrc` by default; a file of another user is not trusted, as in the standard library."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    netrc(tmp_path, "machine h login me password x\n").rename(tmp_path / ".netrc")
    assert PasswordNetrc().read("h", "me") == "x"
    if os.name == "posix":
        monkeypatch.setattr("os.getuid", lambda: 12345678)
        fails(lambda: PasswordNetrc().read("h", "me"), "is not trusted .*owner")


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.threat(34)
def test_a_netrc_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """CVE-2005-3088: secrets are for the owner alone; the mode is not changed, as that is up to the owner."""
    for mode in (0o644, 0o640, 0o604):
        file = netrc(tmp_path, f"machine h login me password {HIDDEN}\n", mode)
        with case(oct(mode)):
            fails(lambda file=file: PasswordNetrc(file).read("h", "me"), r"read by others.*chmod 600")
        assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.threat(33)
def test_a_broken_netrc_shows_no_secret(tmp_path: Path) -> None:
    """ValueError with the path. Seen: the UnicodeDecodeError of a file in Latin-1, which contains the whole file."""
    file = netrc(tmp_path, "")
    for data in (
        f"machine h login me password {HIDDEN} {HIDDEN}\n".encode(),
        f"machine h password {HIDDEN} nonsense {HIDDEN}\n".encode(),
        f"{HIDDEN}\n".encode(),
        f"macdef {HIDDEN}\n{HIDDEN}".encode(),
        f"machine h login me password {HIDDEN}\xe4\n".encode("latin-1"),
    ):
        file.write_bytes(data)
        with case(data):
            fails(lambda: PasswordNetrc(file).read("h", "me"), f"'{file}' is not a valid netrc")


# --- keyring --------------------------------------------------------------------------------------------------


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring in memory that replaces the library's module."""
    stored: dict[tuple[str, str], str] = {}
    module = ModuleType("keyring")
    module.get_password = lambda service, user: stored.get((service, user))  # type: ignore[attr-defined] # a module of our own
    monkeypatch.setitem(sys.modules, "keyring", module)
    return stored


def test_an_entry_of_the_keyring(keyring: dict[tuple[str, str], str]) -> None:
    """ValueError if there is none, with the command that stores one."""
    reference = PasswordKeyring("work", "me")
    fails(reference, "no password for the user 'me' of the service 'work'; store it with: keyring set work me")
    keyring["work", "me"] = SECRET
    assert reference() == SECRET
    assert repr(reference()) == "<secret ***>"


def test_a_keyring_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locked, or without a backend: whatever the backend raises becomes ValueError with its text."""
    module = ModuleType("keyring")

    def locked(*_: str) -> str:
        raise RuntimeError("the collection is locked\x1b[2J")

    module.get_password = locked  # type: ignore[attr-defined] # a module of our own
    monkeypatch.setitem(sys.modules, "keyring", module)
    fails(PasswordKeyring("h", "me"), r"cannot read the keyring.*RuntimeError: the collection is locked\\x1b")


def test_without_keyring_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """NotSupported, but only at the login: another process may have the library."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    reference = PasswordKeyring("h", "me")
    with pytest.raises(NotSupported, match=r"pymailbox\[keyring\]"):
        reference()
    with Server() as server:
        account = Account(server.host, "me", reference, security="none", port=server.port)
        for open_it in (open_blocking, open_async):
            with pytest.raises(NotSupported, match=r"pymailbox\[keyring\]"):
                open_it(account)
