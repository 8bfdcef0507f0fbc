"""A recorder changes nothing for its client, and what it wrote can be replayed to the same client and to others."""

import contextlib
import os
import poplib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymailbox import Mailbox, MailboxError
from pymailbox.testing import Fault, Proxy, Quirk, Recorder, Server
from pymailbox.testing.recording import Recording
from pymailbox.testing.samples import SAMPLES
from tests import ROOT
from tests.servers import RealServer, trusting
from tests.testing.by_hand import MAILS, Hand, settle
from tests.timing import GENEROUS

Seen = list[bytes]

MOST = 100_000  # bytes of a message to read; the real servers have some that are larger

#: Some members of `Quirk` need another client or wait for the clock.
SHOWN = [
    Quirk.LF_LINES,
    Quirk.SPACES_BEFORE_UID,
    Quirk.BARE_STATUS,
    Quirk.ONE_UNREADABLE,
    Quirk.EXTRA_BLANK_LINE,
    Quirk.QUIT_WITHOUT_REPLY,
    Quirk.WRONG_MESSAGE,
]


def with_mailbox(host: str, port: int, user: str, password: str) -> Seen:
    """Read everything with pymailbox."""
    with Mailbox(host, user, password, port=port, security="none", timeout=GENEROUS) as inbox:
        seen = [",".join(map(str, inbox.uids)).encode()]
        for message in inbox:
            try:
                seen.append(message.raw if (message.size or 0) < MOST else b"")
            except MailboxError as error:
                seen.append(type(error).__name__.encode())
        return seen


def with_poplib(host: str, port: int, user: str, password: str) -> Seen:
    """Read everything with the standard library."""
    pop = poplib.POP3(host, port, timeout=GENEROUS)
    seen = [pop.getwelcome(), pop.user(user), pop.pass_(password)]
    for line in pop.list()[1]:
        number, size = map(int, line.split())
        if size > MOST:
            continue
        try:
            answer, lines, _ = pop.retr(number)
        except poplib.error_proto as error:
            answer, lines = str(error).encode(), []
        seen += [answer, *lines]
    with contextlib.suppress(poplib.error_proto):  # no reply to QUIT
        seen.append(pop.quit())
    pop.close()
    return seen


CLIENTS = {"pymailbox": with_mailbox, "poplib": with_poplib}


@pytest.fixture
def with_mpop(installed: Callable[[str], list[str]], tmp_path: Path) -> Callable[..., Seen]:
    """Read everything with mpop, a client in C, which pipelines."""

    def read(host: str, port: int, user: str, password: str) -> Seen:
        mbox, uids = tmp_path / "mbox", tmp_path / "uids"
        for file in (mbox, uids):
            file.unlink(missing_ok=True)
        command = [*installed("mpop"), "--quiet", f"--host={host}", f"--port={port}", f"--user={user}", "--auth=user"]
        command += [f"--passwordeval=echo {password}", "--received-header=off", "--keep=on", "--tls=off"]
        command += [f"--delivery=mbox,{mbox}", f"--uidls-file={uids}", f"--timeout={GENEROUS:.0f}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GENEROUS, check=False)
        assert done.returncode == 0, done.stderr
        return re.split(rb"(?m)^From .*\n", mbox.read_bytes())  # those lines have the time

    return read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the recording is written."""
    return tmp_path / "session.pop3"


@pytest.fixture(autouse=True)
def long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a line of more than 2048 bytes, poplib would read the rest of the mail as replies."""
    monkeypatch.setattr(poplib, "_MAXLINE", 1 << 24)


def there_and_back(
    path: Path, client: Callable[..., Seen], server: Any, login: tuple[str, str], size: int = 7, **options: Any
) -> None:
    """What a client sees through the recorder is what it sees of the replay, however that is split."""
    options = {"security": "none", "port": server.port, "bodies": "keep", "keep_user": True} | options
    with Recorder(path, server.host, options.pop("port"), **options) as recorder:
        seen = client(recorder.host, recorder.port, *login)
    for faults in ([], [Fault.split(size), Fault.split(3, toward="server")]):
        with Server.replay(path, faults=faults, password="another") as replay:
            assert client(replay.host, replay.port, login[0], "another") == seen


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("quirk", [None, *SHOWN], ids=str)
def test_a_session_with_the_test_server(path: Path, client: Callable[..., Seen], quirk: Quirk | None) -> None:
    """A replay is what was recorded, byte for byte, also of a server with quirks."""
    with Server(SAMPLES, quirks=quirk or ()) as server:
        there_and_back(path, client, server, ("me", "secret"))


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_session_with_a_real_server(
    path: Path, client: Callable[..., Seen], security: str, real_server: RealServer
) -> None:
    """Over each kind of connection; the file never contains the password."""
    if {"starttls": "stls", "tls": "tls", "none": "user"}[security] not in real_server.features:
        pytest.skip(f"{real_server.name} has no {security}")
    context = trusting(real_server.ca) if real_server.ca else None
    port = real_server.tls_port if security == "tls" else real_server.port
    login = real_server.fresh_user()
    there_and_back(path, client, real_server, login, 10_000, security=security, ssl_context=context, port=port)
    assert real_server.password.encode() not in path.read_bytes()


def test_a_session_of_mpop(path: Path, with_mpop: Callable[..., Seen], dovecot: RealServer, tmp_path: Path) -> None:
    """A client of another kind, with the test server and with dovecot."""
    with Server(SAMPLES) as server:
        there_and_back(path, with_mpop, server, ("me", "secret"))
    there_and_back(path, with_mpop, dovecot, dovecot.fresh_user(), 10_000)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mails=st.lists(st.lists(st.binary(max_size=30), max_size=6).map(b"\r\n".join), max_size=12),
    sizes=st.tuples(st.integers(1, 50), st.integers(1, 20)),
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12).map("secret-".__add__),
)
def test_any_mails_in_any_pieces(path: Path, mails: list[bytes], sizes: tuple[int, int], password: str) -> None:
    """Whatever the mails are and however the bytes are split, both ways, the replay is what was recorded."""
    pieces = [Fault.split(sizes[0]), Fault.split(sizes[1], toward="server")]
    with (
        Server(mails, password=password) as server,
        Proxy(server.host, server.port, faults=pieces) as proxy,
        Recorder(path, proxy.host, proxy.port, security="none", bodies="keep", keep_user=True) as recorder,
    ):
        seen = with_mailbox(recorder.host, recorder.port, "me", password)
    assert Recording.load(path).text().encode() == path.read_bytes()
    assert password.encode() not in path.read_bytes()
    with Server.replay(path, faults=pieces[::-1]) as replay:
        assert with_mailbox(replay.host, replay.port, "me", "any") == seen


def test_pipelined_and_unpipelined(path: Path) -> None:
    """The commands of a client that pipelines, recorded and replayed to one that does not, and the other way round."""
    lines = [b"USER me", b"PASS secret", b"LIST", b"RETR 1", b"UIDL", b"TOP 2 0", b"RETR 9", b"NOOP", b"QUIT"]

    def at_once(address: Any) -> bytes:
        with Hand(address) as hand:
            hand.send(*lines)
            return hand.rest()

    def one_by_one(address: Any) -> bytes:
        with Hand(address) as hand:
            said = hand.until()
            for line in lines:
                long = line in (b"LIST", b"RETR 1", b"UIDL", b"TOP 2 0")
                said += hand.ask(line, b"\r\n.\r\n" if long else b"\r\n")
            return said + hand.rest()

    files = []
    for talk in (at_once, one_by_one):
        with Server(MAILS) as server, Recorder(path, server.host, server.port, security="none", bodies="keep") as one:
            said = talk(one)
        files.append(path.read_text())
        for other in (at_once, one_by_one):
            with Server.replay(path) as replay:
                assert other(replay) == said
    assert files[0] == files[1]


def test_each_connection_is_a_session(path: Path) -> None:
    """Sessions are recorded, and replayed, in the order of connecting; how they ended is recorded, too."""
    with Server(MAILS) as server, Recorder(path, server.host, server.port, security="none") as recorder:
        with Hand(recorder) as first, Hand(recorder) as second:
            assert second.until() == first.until()
            assert second.ask(b"USER second")
            first.ask(b"USER me")
            first.ask(b"PASS secret")
            first.ask(b"QUIT")
        recorder.wait(GENEROUS)
        assert recorder.sessions == 2
    recording = Recording.load(path)
    assert [len(session.steps) for session in recording.sessions] == [4, 2]
    assert [session.ended for session in recording.sessions] == ["server", "client"]


def test_a_server_that_hangs_up(path: Path) -> None:
    """Whatever the server said before it closed or reset the connection is recorded, also an unfinished line."""
    for fault in (Fault.cut(10, command="LIST"), Fault.drop("LIST"), Fault.replace("LIST", reply=b"+OK\r\n1 1")):
        faults = [fault, Fault.drop("NOOP")]
        with (
            Server(MAILS, faults=faults) as server,
            Recorder(path, server.host, server.port, security="none") as recorder,
            Hand(recorder) as hand,
        ):
            hand.login().send(b"LIST", b"NOOP")
            said = hand.rest()
        with Server.replay(path) as replay, Hand(replay) as hand:
            hand.login().send(b"LIST", b"NOOP")
            assert hand.rest() == said
        assert Recording.load(path).sessions[0].ended == "server"


def test_a_client_that_hangs_up(path: Path) -> None:
    """If a client closes its connection, so does the recorder, and the session ends for the server, too."""
    with Server(MAILS) as server, Recorder(path, server.host, server.port, security="none") as recorder:
        with Hand(recorder) as hand:
            hand.login()
        settle(server)
        assert server.sessions[0].ended == "EOF"
        with Hand(recorder) as hand:  # one that closes only its own direction still gets the replies
            hand.until()
            hand.send(b"USER me", b"PASS secret", b"LIST")
            hand.sock.shutdown(socket.SHUT_WR)
            assert hand.rest().endswith(b"\r\n.\r\n")


def test_the_client_learns_why_there_is_no_server(path: Path) -> None:
    """If the server cannot be reached or trusted or refuses STLS, the client gets an error, and nothing is written."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nothing listens there, and nothing else can
        with Recorder(path, "127.0.0.1", taken.getsockname()[1], security="none") as recorder, Hand(recorder) as hand:
            assert hand.rest().startswith(b"-ERR [SYS/TEMP] the recorder cannot reach the server: ")
    with (
        Server(MAILS, security="tls") as server,
        Recorder(path, server.host, server.port) as recorder,
        Hand(recorder) as hand,
    ):
        assert b"CERTIFICATE_VERIFY_FAILED" in hand.rest()
    with (
        Server(MAILS) as server,
        Recorder(path, server.host, server.port, security="starttls") as recorder,
        Hand(recorder) as hand,
    ):
        assert b"STLS was refused: -ERR" in hand.rest()
    assert not path.exists()


def test_misuse_is_an_error_at_once(tmp_path: Path) -> None:
    """Before anything is recorded: options that do not exist, a directory that does not exist, opening it twice."""
    with pytest.raises(ValueError, match="security must be one of none, starttls, tls, not 'ssl'"):
        Recorder(tmp_path / "s", "localhost", security="ssl")  # type: ignore[arg-type] # misuse
    with pytest.raises(ValueError, match="bodies must be one of keep, blank, not 'none'"):
        Recorder(tmp_path / "s", "localhost", bodies="none")  # type: ignore[arg-type] # misuse
    with pytest.raises(TypeError, match="redact must be a list of strings"):
        Recorder(tmp_path / "s", "localhost", redact="host")
    with pytest.raises(FileNotFoundError):
        Recorder(tmp_path / "missing" / "s", "localhost").open()
    recorder = Recorder(tmp_path / "s", "localhost")
    with pytest.raises(ValueError, match="not open"):
        _ = recorder.port
    with recorder, pytest.raises(ValueError, match="already open"):
        recorder.open()
    recorder.close()
    assert not (tmp_path / "s").exists()


@pytest.fixture
def program(path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start `python -m pymailbox.testing` with arguments; it is ended after the test."""
    started = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "error", "-m", "pymailbox.testing", *arguments]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-1, text=True, env=os.environ))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_program_records_until_a_signal(path: Path, program: Any, how: signal.Signals) -> None:
    """It prints where to connect, and SIGINT or SIGTERM write the file."""
    with Server(MAILS, security="tls", user="ada") as server:
        process = program(
            server.host, str(path), "--port", str(server.port), "--ca", str(server.ca), "--redact", "ready"
        )
        address = re.search(r"recording at (.*):(\d+), without TLS", process.stdout.readline())
        assert address is not None, process.communicate()
        with_poplib(address[1], int(address[2]), "ada", "secret")
        process.send_signal(how)
        out, errors = process.communicate(timeout=GENEROUS)
        assert (process.returncode, errors, out) == (0, "", f"1 sessions in {path}\n")
    assert path.read_text().startswith(
        "pymailbox-sessions 1\n\nsession\nS: +OK pymailbox test server ***\nC: USER ***\n"
    )


def test_the_program_reports_misuse(tmp_path: Path, program: Any) -> None:
    """A missing directory or file is one line of an error, with exit status 1."""
    for arguments in (["localhost", str(tmp_path / "a" / "b")], ["localhost", "x", "--ca", str(tmp_path / "missing")]):
        process = program(*arguments)
        out, errors = process.communicate(timeout=GENEROUS)
        assert (process.returncode, out, errors.count("\n")) == (1, "", 1)
        assert errors.startswith("error: ")
