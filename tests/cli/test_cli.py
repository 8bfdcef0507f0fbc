"""The command line prints, asks, exits and talks to the server as documented."""

import contextlib
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.options import PAGE, commands, with_tables
from pymailbox import Mailbox
from pymailbox.cli import main
from pymailbox.display import cells, safe_text
from pymailbox.testing import Fault, Quirk, Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT, case
from tests.servers import RealServer
from tests.testing.by_hand import settle
from tests.timing import GENEROUS, eventually

SECRET = "correct-Horse-battery-staple"
EVIL = "\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202e"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the password of the servers in this module, and a window of 80 columns."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", SECRET)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve the sample mailbox."""
    with Server(SAMPLES, password=SECRET, lock_wait=GENEROUS) as running:
        yield running


def usage(*arguments: str) -> int:
    """Run a command that exits in the argument parser; return its status."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def program(*arguments: str) -> list[str]:
    """Return the command line that runs pymailbox in a separate process."""
    return [sys.executable, "-X", "dev", "-W", "error", "-m", "pymailbox", *arguments]


def first_line(process: subprocess.Popen[Any]) -> Any:
    """Return the first line that a process prints."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], GENEROUS)[0], "it prints nothing"
    return process.stdout.readline()


def verbs(server: Server) -> list[str]:
    """Wait until all sessions have ended; return the commands that the server received."""
    settle(server)
    return [line.partition(" ")[0] for line in server.log]


# --- ls -------------------------------------------------------------------------------------------------------


def test_ls_lists_the_messages(server: Server, capsys: Captured) -> None:
    """It prints one line per message and a total; it reads headers with TOP, and does nothing else."""
    assert main(["ls", server.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["No.", "Size", "Date", "From", "Subject"]
    assert re.match(r"  1     329 B  2026-06-01 \d\d:\d\d  Ada Archer +Lunch on Thursday\?$", lines[1])
    assert lines[-1] == "10 messages, 3.9 KB"
    assert len(lines) == 13
    assert set(verbs(server)) == {"CAPA", "UTF8", "AUTH", "STAT", "LIST", "TOP", "QUIT"}


@pytest.mark.parametrize("columns", [20, 30, 40, 50])
def test_ls_leaves_out_columns_rather_than_the_subject(
    columns: int, server: Server, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a very narrow window too, every row fits into one line, with the number and a part of the subject."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["ls", server.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(cells(line) <= columns for line in lines[:-1])
    assert lines[1].split()[0] == "1"
    assert "Lunch on" in lines[1]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_ls_fits_the_window(columns: int, server: Server, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row fits into one line, with at least a part of sender and subject."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["ls", server.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= columns for line in lines)
    assert "Ada Archer" in lines[1]
    assert "Lunch on Thurs" in lines[1]
    assert ("<ada@example.org>" in lines[1]) == (columns == 120)


def test_ls_of_an_empty_mailbox_prints_only_the_total(capsys: Captured) -> None:
    """There is no table and no error."""
    with Server([], password=SECRET, quirks=Quirk.EMPTY_LIST_REFUSED) as server:
        assert main(["ls", server.url]) == 0
    assert capsys.readouterr().out == "0 messages, 0 B\n"


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_ls_lists_thousands_of_messages(count: int, capsys: Captured) -> None:
    """Each message is one line."""
    mails = [b"From: a@example.org\r\nSubject: %04d\r\n\r\n" % number for number in range(count)]
    with Server(mails, password=SECRET) as server:
        assert main(["ls", server.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + count + 2
    assert lines[count].split() == [str(count), "38", "B", "a@example.org", f"{count - 1:04d}"]


def test_ls_continues_after_a_refused_message(capsys: Captured) -> None:
    """Its row says so, and the other rows follow."""
    faults = [Fault.refuse("TOP", nth=3, text="Can't get the letter"), Fault.refuse("RETR", nth=None)]
    with Server(SAMPLES, password=SECRET, faults=faults) as server:
        assert main(["ls", server.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "(refused: Can't get the" in lines[3]
    assert "Grüße aus München" in lines[4]
    assert lines[-1].startswith("10 messages")


@pytest.mark.threat(89)
def test_ls_without_top_does_not_send_quit(capsys: Captured) -> None:
    """If headers need RETR, there is no QUIT, because some servers then hide or delete what was read."""
    with Server(SAMPLES, password=SECRET, top=False, quirks=Quirk.DELETES_READ) as server:
        assert main(["ls", server.url]) == 0
        assert "QUIT" not in verbs(server)
        assert len(server.messages) == len(SAMPLES)
    assert "Lunch on Thursday?" in capsys.readouterr().out


def test_ls_shows_what_arrived_before_an_error(capsys: Captured) -> None:
    """If the connection breaks, the error follows the rows that arrived before."""
    with Server(SAMPLES, password=SECRET, pipelining=False, faults=[Fault.drop("TOP", nth=4)]) as server:
        assert main(["ls", server.url]) == 75
    captured = capsys.readouterr()
    assert "Lunch on Thursday?" in captured.out
    assert captured.err.startswith("pymailbox: ")


# --- show -----------------------------------------------------------------------------------------------------


def test_show_prints_a_message(server: Server, capsys: Captured) -> None:
    """It prints addresses, date, subject, text and attachments, and leaves no trace on the server."""
    assert main(["show", server.url, "3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("From:    Bookkeeping <books@example.com>\nTo:      Robin Reader <robin@example.org>\nDate: ")
    assert "\nSubject: Invoice 2026-117, with the figures\n\nPlease find the invoice" in out
    assert out.endswith("[figures €.csv: text/csv, 36 B]\n[invoice.pdf: application/pdf, 15 B]\n")
    assert "QUIT" not in verbs(server)


def test_show_headers_does_not_download_the_message(server: Server, capsys: Captured) -> None:
    """It prints all header fields without sending RETR."""
    assert main(["show", "--headers", server.url, "1"]) == 0
    assert "Subject: Lunch on Thursday?\n" in capsys.readouterr().out
    assert "RETR" not in verbs(server)


def test_show_raw_and_save_are_byte_exact(
    server: Server, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    """Standard output and the file have exactly the bytes of the message."""
    done = subprocess.run(program("show", server.url, "7", "--raw"), capture_output=True, check=True, timeout=GENEROUS)
    assert done.stdout == SAMPLES[6]
    assert main(["save", server.url, "7", "--to", str(tmp_path / "new" / "one")]) == 0
    (saved,) = (tmp_path / "new" / "one").iterdir()
    assert saved.read_bytes() == SAMPLES[6]
    assert capfdbinary.readouterr().out.decode() == f"{saved}\n"


def test_save_says_what_failed(capsys: Captured, tmp_path: Path) -> None:
    """The error names a path that cannot be written as it was given; a lost connection does not blame the file."""
    with Server(SAMPLES, password=SECRET, faults=[Fault.cut(5, command="RETR", nth=None)]) as server:
        assert main(["save", server.url, "1", "--to", str(tmp_path / "mail")]) == 75
        assert "closed the connection" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with Server(SAMPLES, password=SECRET) as server:
        assert main(["save", server.url, "1", "--to", str(tmp_path / "file")]) == 1
        assert f"{tmp_path / 'file'}/: " in capsys.readouterr().err


def test_show_refuses_a_number_that_does_not_exist(server: Server, capsys: Captured) -> None:
    """0 is wrong usage (status 2); 999 depends on the mailbox (status 1)."""
    assert usage("show", server.url, "0") == 2
    assert "invalid message number: '0' (1 or more, or -1 for the last message)" in capsys.readouterr().err
    assert usage("show", server.url, "9" * 5000) == 2
    capsys.readouterr()
    assert main(["show", server.url, "999"]) == 1
    assert capsys.readouterr().err == "pymailbox: there is no message 999; the last one is 10\n"


# --- control characters ---------------------------------------------------------------------------------------


@pytest.mark.threat(113)
@pytest.mark.parametrize("command", [["ls"], ["show"], ["show", "--headers"], ["doctor"], ["doctor", "--json"]])
def test_control_characters_of_messages_and_servers_are_escaped(command: list[str], capsys: Captured) -> None:
    """No text from a message or a server controls the terminal or forges a line."""
    encoded = "=?utf-8?q?" + "".join(f"={byte:02X}" for byte in f"{EVIL}\nFrom: boss\n".encode()) + "?="
    mail = (
        f"From: {encoded} <{EVIL}@example.org>\r\nSubject: {encoded}\r\nDate: {EVIL}\r\nX-{EVIL}: {EVIL}\r\n"
        f'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{EVIL}\r\n--b\r\nContent-Type: a/b{EVIL}; name="{EVIL}"\r\n'
        f'Content-Disposition: attachment; filename="{EVIL}"\r\n\r\nx\r\n--b--\r\n'
    ).encode("utf-8", "surrogateescape")
    faults = [Fault.refuse("TOP", nth=2, text=EVIL), Fault.refuse("RETR", nth=2, text=EVIL)]
    lines = ["TOP", "UIDL", "USER", f"X{EVIL} {EVIL}"]
    with Server([mail, mail], password=SECRET, greeting=EVIL, capabilities=lines, faults=faults) as server:
        number = ["1"] if command[0] == "show" else []
        assert main([*command, server.url, *number]) == 0
    captured = capsys.readouterr()
    assert all(character.isprintable() or character in "\n\t" for character in captured.out + captured.err)
    assert not captured.out.count("\nFrom: boss")


def test_control_characters_of_a_refusal_are_escaped(capsys: Captured) -> None:
    """A server's text in an error does not control the terminal."""
    with Server(SAMPLES, password=SECRET, faults=[Fault.refuse("STAT", text=EVIL)]) as server:
        assert main(["ls", server.url]) == 1
    err = capsys.readouterr().err
    assert safe_text(EVIL) in err
    assert err.rstrip("\n").isprintable()


# --- errors ---------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_an_error(server: Server, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to check, and does not contain the password."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "wrong-one")
    assert main(["ls", server.url]) == 77
    err = capsys.readouterr().err
    assert "the credentials were refused; check the user name and password" in err
    assert "wrong-one" not in err


@pytest.mark.parametrize("url", [f"pops://me:{SECRET}@host", f"pops://me:{SECRET}@[host", f"pops://me:{SECRET}@host:x"])
def test_a_password_in_a_url_is_refused(url: str, capsys: Captured) -> None:
    """The error does not repeat the password, wherever it is on the command line."""
    for arguments in (["ls", url], ["show", url, "1"], ["doctor", url], [url], ["ls", "pops://me@host", url]):
        assert usage(*arguments) == 2
        captured = capsys.readouterr()
        assert SECRET not in captured.out + captured.err
    assert usage("ls", f"pops://me:{SECRET}@host") == 2
    assert "set PYMAILBOX_PASSWORD or use --password-command" in capsys.readouterr().err


MISUSE: list[tuple[list[str], str]] = [
    ([], "COMMAND"),
    (["ls"], "PYMAILBOX_URL"),
    (["ls", "host"], "pops://"),
    (["ls", "imap://host"], "not 'imap'"),
    (["ls", "pops://me@host:99999"], "not a valid POP URL"),
    (["ls", "--ca", "/no/such/file", "pops://h"], "/no/such/file: No such file"),
    (["ls", "--ca", __file__, "pops://h"], "contains no PEM certificate"),
    (["ls", "--pin", "12:34", "pops://h"], "invalid SHA-256 fingerprint"),
    (["ls", "--timeout", "soon", "pops://h"], "invalid number of seconds: 'soon'"),
    (["ls", "--timeout", "nan", "pops://h"], "invalid number of seconds: 'nan'"),
    (["ls", "--password-command", "'", "pops://h"], "quotation"),
    (["ls", "--password-command", "", "pops://h"], "empty"),
    (["serve", "--port", "70000", "."], "invalid port: '70000' (0 to 65535)"),
    (["serve", "", "--commit"], "argument PATH: it must not be empty"),  # not the current directory
    (["ls", "--user", "", "pops://h"], "argument --user: it must not be empty"),
    (["ls", "--config", "", "me"], "argument --config: it must not be empty"),
]


def test_wrong_usage_is_explained(capsys: Captured) -> None:
    """The status is 2, and one line says what is wrong and what shows the usage."""
    for arguments, word in MISUSE:
        with case(arguments):
            assert usage(*arguments) == 2
            told = capsys.readouterr().err
            assert (told.startswith("pymailbox: "), told.count("\n")) == (True, 1)
            assert word in told
            assert f"`{' '.join(['pymailbox', *arguments[:1]])} --help` shows the usage" in told


@pytest.mark.parametrize(
    ("scheme", "security", "seconds", "word"),
    [
        ("pops", "none", 60, "needs pop+starttls://"),
        ("pop+starttls", "none", 60, "try pops://"),
        ("pops", "tls", 60, "--ca FILE or --pin SHA256"),
        ("pop", "tls", 2, "a port that expects TLS"),  # which both sides wait for
    ],
)
def test_the_wrong_kind_of_port_is_explained(
    scheme: str, security: Any, seconds: int, word: str, capsys: Captured
) -> None:
    """The error says what to do in terms of the command line, not of Python arguments."""
    with Server(SAMPLES, password=SECRET, security=security) as server:
        assert main(["ls", "--timeout", str(seconds), f"{scheme}://me@localhost:{server.port}"]) == 1
    err = capsys.readouterr().err
    assert word in err
    assert "security=" not in err


def test_an_unknown_host_is_named(capsys: Captured) -> None:
    """The error contains the host name."""
    assert main(["ls", "pops://me@no-such-host.invalid"]) == 75
    assert "cannot find the host 'no-such-host.invalid'" in capsys.readouterr().err


def test_a_private_authority_or_a_pin_can_be_trusted(capsys: Captured) -> None:
    """--ca takes a file, --pin takes the fingerprint that the doctor shows."""
    with Server(SAMPLES, password=SECRET, security="tls") as server:
        assert main(["ls", "--ca", str(server.ca), server.url]) == 0
        capsys.readouterr()
        assert main(["doctor", "--json", server.url]) == 1
        fingerprint = json.loads(capsys.readouterr().out)["encryption"]["certificate"]["fingerprint"]
        assert main(["ls", "--pin", fingerprint, server.url]) == 0


# --- passwords ------------------------------------------------------------------------------------------------


def test_a_password_command_is_run(server: Server, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of its output is the password; it runs without a shell; its failure is an error."""
    monkeypatch.delenv("PYMAILBOX_PASSWORD")
    words = [sys.executable, "-c", f"print({SECRET!r}); print('more')"]
    assert main(["ls", "--password-command", shlex.join(words), server.url]) == 0
    capsys.readouterr()
    assert main(["ls", "--password-command", "false", server.url]) == 1
    assert "the password command 'false' failed with exit status 1" in capsys.readouterr().err
    assert main(["ls", "--password-command", "echo $HOME; true", server.url]) == 77
    assert "refused" in capsys.readouterr().err


def test_oauth2_sends_the_password_as_a_token(capsys: Captured) -> None:
    """With --oauth2 the password is an access token."""
    with Server(SAMPLES, sasl=["XOAUTH2"], token=SECRET) as server:
        assert main(["ls", "--oauth2", server.url]) == 0
        assert any(line.startswith("AUTH XOAUTH2") for line in server.log)


def test_without_a_terminal_it_does_not_prompt(server: Server) -> None:
    """In a cron job, the error says what to do, without hanging and without a traceback."""
    environment = {name: value for name, value in os.environ.items() if name != "PYMAILBOX_PASSWORD"}
    for url, word in ((server.url, "set PYMAILBOX_PASSWORD"), (server.url.replace("me@", ""), "--user")):
        done = subprocess.run(
            program("ls", url),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GENEROUS,
            start_new_session=True,
        )
        assert done.returncode == 1
        assert word in done.stderr
        assert (done.stderr.startswith("pymailbox: "), done.stderr.count("\n")) == (True, 1)
        assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_it_prompts_for_user_and_password(server: Server) -> None:
    """At a terminal it asks for what is missing, and hides the password while it is typed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYMAILBOX_PASSWORD"}
    inner = f"import pty, sys; sys.exit(pty.spawn({program('ls', server.url.replace('me@', ''))!r}) >> 8)"
    terminal = subprocess.Popen(
        [sys.executable, "-c", inner], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert terminal.stdin is not None
    assert terminal.stdout is not None
    shown = b""
    try:
        for prompt, answer in ((b"User: ", b"me\n"), (b"Password of me at 127.0.0.1: ", SECRET.encode() + b"\n")):
            while not shown.endswith(prompt):
                assert select.select([terminal.stdout], [], [], GENEROUS)[0], shown
                byte = terminal.stdout.read(1)
                assert byte, shown
                shown += byte
            terminal.stdin.write(answer)
        rest, _ = terminal.communicate(timeout=GENEROUS)
    finally:
        terminal.kill()
        terminal.wait()
    assert terminal.returncode == 0
    assert "Grüße aus München".encode() in rest
    assert SECRET.encode() not in shown + rest


# --- the process ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_it_works_in_a_locale_without_utf8(encoding: str, server: Server) -> None:
    """Characters that the terminal's encoding does not have are escaped."""
    done = subprocess.run(
        program("ls", server.url),
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=GENEROUS,
        check=True,
    )
    out = done.stdout.decode(encoding)
    assert ("お元気ですか" in out) == (encoding == "utf-8")
    assert ("Grüße" in out) == (encoding != "ascii")
    assert done.stderr == b""


@pytest.mark.skipif(sys.platform == "win32", reason="head and signals are POSIX")
def test_a_closed_pipe_ends_it_quietly() -> None:
    """`ls | head -1` prints no error."""
    mails = [b"Subject: %d\r\n\r\n" % number for number in range(3000)]
    with Server(mails, password=SECRET) as server:
        listing = subprocess.Popen(program("ls", server.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert listing.stdout is not None
        first_line(listing)
        listing.stdout.close()
        assert listing.communicate(timeout=GENEROUS)[1] == b""
        assert listing.returncode == 1


@pytest.mark.threat(102)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_ends_it_with_one_line() -> None:
    """The status is 130, and the session is closed."""
    with Server(SAMPLES, password=SECRET, faults=[Fault.stall(command="STAT")]) as server:
        listing = subprocess.Popen(program("ls", server.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        eventually(lambda: "STAT" in server.log)
        listing.send_signal(signal.SIGINT)
        out, err = listing.communicate(timeout=GENEROUS)
        assert (listing.returncode, out) == (130, "")
        assert err.strip() == "pymailbox: interrupted; nothing was changed"


# --- serve ----------------------------------------------------------------------------------------------------


def kept(kind: str, folder: Path) -> Path:
    """Write two messages as a Maildir, an mbox or a folder of .eml files; return its path."""
    mails = [b"Subject: one\n\n1\n", b"Subject: two\n\n2\n"]
    if kind == "mbox":
        (folder / "box").write_bytes(b"".join(b"From a@b Mon Jan  1 00:00:00 2026\n" + mail + b"\n" for mail in mails))
        return folder / "box"
    inner = folder / "cur" if kind == "maildir" else folder
    for name in ("cur", "new", "tmp") if kind == "maildir" else ():
        (folder / name).mkdir()
    for number, mail in enumerate(mails):
        (inner / (f"{number}.x.y:2,S" if kind == "maildir" else f"{number}.eml")).write_bytes(mail)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("kind", ["maildir", "mbox", "eml"])
def test_serve_serves_any_store_until_ctrl_c(kind: str, tmp_path: Path, capsys: Captured) -> None:
    """The password comes from the environment, and Ctrl-C is not an error."""
    path = kept(kind, tmp_path)
    serving = subprocess.Popen(program("serve", str(path)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = first_line(serving)
        told = re.fullmatch(
            r"2 messages at (pop://me@127\.0\.0\.1:\d+) \(password: (.+)\); press Ctrl-C to stop\n", line
        )
        assert told is not None, line
        assert told[2] == "$PYMAILBOX_PASSWORD"
        assert main(["ls", told[1]]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[-1] for line in lines[1:3]] == ["one", "two"]
        serving.send_signal(signal.SIGINT)
        _, err = serving.communicate(timeout=GENEROUS)
    finally:
        serving.kill()
        serving.communicate()
    assert serving.returncode == 0
    assert err == "\nstopped\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("commit", [False, True])
def test_serve_deletes_files_only_with_commit(commit: bool, tmp_path: Path) -> None:
    """What a client deletes is deleted from the files only with --commit."""
    command = program("serve", str(kept("eml", tmp_path)), *(["--commit"] if commit else []))
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with Mailbox.from_url(first_line(serving).split()[3], SECRET) as inbox:
            inbox[0].delete()
        assert len(list(tmp_path.iterdir())) == (1 if commit else 2)
    finally:
        serving.kill()
        serving.communicate()


def test_serve_explains_why_it_cannot_serve(tmp_path: Path, capsys: Captured) -> None:
    """A missing path and a port in use are named."""
    assert main(["serve", str(tmp_path / "nothing")]) == 1
    assert f"{tmp_path / 'nothing'} does not exist; expected a Maildir" in capsys.readouterr().err
    with Server() as other:
        assert main(["serve", str(tmp_path), "--port", str(other.port)]) == 1
    assert f"port {other.port} is in use; pass another --port" in capsys.readouterr().err


# --- demo and doctor ------------------------------------------------------------------------------------------


def test_demo_shows_a_whole_session(capsys: Captured) -> None:
    """It lists, reads, saves, archives, reads what is new, makes room and verifies, and each step prints something."""
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    steps = [
        "10 messages, 3,881 bytes", "Lunch on Thursday?", "Please find the invoice", "saved/invoice.pdf", "10 new, 3.9 KB",
        "11 Ada Archer <ada@example.org> Lunch on Friday instead?", "1 new, 82 B; 10 known; 7 deleted",
        "11 of 11 read, 4.0 KB; 0 damaged, 0 missing",
    ]  # fmt: skip
    places = [out.index(f"    {step}" if number != 1 else step) for number, step in enumerate(steps)]
    assert places == sorted(places)


def test_doctor_prints_a_report(server: Server, capsys: Captured) -> None:
    """The report is text or JSON; the status is 0 if the account can be opened."""
    assert main(["doctor", server.url]) == 0
    assert "The account can be opened: 10 messages, 3,881 bytes." in capsys.readouterr().out
    assert main(["doctor", server.url, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["opened"] is True
    assert report["probes"]["PIPELINING"] == {
        "listed": True,
        "works": True,
        "detail": "24 pipelined commands were answered in order",
    }
    assert "DELE" not in verbs(server)


def test_doctor_explains_why_an_account_cannot_be_opened(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report names options of the command line and contains no secret; the status is 1."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "wrong-one")
    with Server(SAMPLES, password=SECRET, security="tls") as server:
        assert main(["doctor", server.url]) == 1
        out = capsys.readouterr().out
        assert "The account cannot be opened: the TLS handshake failed." in out
        assert "--pin" in out
        assert main(["doctor", "--ca", str(server.ca), server.url]) == 1
        out += capsys.readouterr().out
    assert "The account cannot be opened: the login failed." in out
    assert "wrong-one" not in out


def test_every_command_explains_itself(capsys: Captured) -> None:
    """--help of each command prints its usage, and exits with 0."""
    for command in ("demo", "ls", "show", "serve", "doctor"):
        assert usage(command, "--help") == 0
        assert f"usage: pymailbox {command}" in capsys.readouterr().out


def test_it_works_with_dovecot(dovecot: RealServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """ls, show and doctor work with an independent server."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", dovecot.password)
    trust = ["--ca", str(dovecot.ca)]
    assert main(["ls", *trust, dovecot.tls_url]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{len(dovecot.stored)} messages")
    for number in range(1, len(dovecot.stored) + 1, 7):
        assert main(["show", *trust, dovecot.tls_url, str(number)]) == 0
    out = capsys.readouterr().out
    assert all(character.isprintable() or character in "\n\t" for character in out)
    assert main(["doctor", *trust, dovecot.tls_url]) == 0
    assert dovecot.password not in capsys.readouterr().out


# --- the page -------------------------------------------------------------------------------------------------


def comparable(text: str) -> str:
    """Return output without what differs from run to run: the time of a round trip."""
    return re.sub(r"\d+\.\d ms", "0.1 ms", text.strip())


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set")
def test_the_page_shows_what_happens(capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every example with output in docs/cli.md prints exactly that."""
    page = (ROOT / "docs" / "cli.md").read_text()
    blocks = re.findall(r"```console\n((?:.*\n)*?)```", page)
    examples = re.findall(r"^\$ pymailbox (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE)
    assert len(examples) > 8
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        with Server(SAMPLES, user="robin", password=SECRET, lock_wait=GENEROUS) as server:
            for arguments, output in examples:
                here = f"127.0.0.1:{server.port}"
                with contextlib.suppress(SystemExit):  # wrong usage
                    main(shlex.split(arguments.replace("localhost:1110", here)))
                captured = capsys.readouterr()
                shown = (captured.out + captured.err).replace(here, "localhost:1110").replace("127.0.0.1", "localhost")
                assert comparable(shown) == comparable(output), arguments
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_tables_of_options_are_those_of_the_parsers() -> None:
    """Every command has its table in docs/cli.md, as `python -m docs.options` writes it."""
    page = PAGE.read_text("utf-8")
    assert with_tables(page) == page, "run python -m docs.options"
    tables = set(re.findall(r"<!-- options: (.*) -->", page))
    assert tables >= {name for name, parser in commands().items() if len(parser._actions) > 1} - {
        "attachments"
    }  # as for save


@pytest.mark.slow
def test_the_pictures_show_what_the_commands_print(tmp_path: Path) -> None:
    """`python -m docs.pictures` draws what is committed, apart from how this version of rich draws it."""

    def texts(directory: Path) -> dict[str, str]:
        return {
            path.name: re.sub(
                r"<style.*?</style>|<defs.*?</defs>|<[^>]*>", "", path.read_text("utf-8"), flags=re.DOTALL
            )
            for path in directory.glob("*.svg")
        }

    subprocess.run(
        [sys.executable, "-c", f"from docs.pictures import *; main(Path({str(tmp_path / 'new')!r}))"],
        cwd=ROOT,
        check=True,
        timeout=600,
    )
    assert texts(tmp_path / "new") == texts(ROOT / "docs" / "pictures")
