"""The how-to pages: their scripts, the commands and units they show, the messages they explain, and what runs them."""

import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from pymailbox import CommitError, Mailbox
from pymailbox.cli import main, make_parser
from pymailbox.testing import Fault, Quirk, Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT, case
from tests.cli.processes import environment
from tests.site_blocks import Block, BlockFailed, Page, blocks, free_ports, run_page
from tests.timing import GENEROUS

DIRECTORY = ROOT / "docs" / "how-to"
PAGES = sorted(DIRECTORY.glob("*.md"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
Captured = pytest.CaptureFixture[str]


def fenced(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each block of a page."""
    yield from re.findall(r"^ *```(\w+)[^\n]*\n(.*?)^ *```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_every_example_is_the_script_of_one_page() -> None:
    """A page includes the file itself, under its name; no script stands twice."""
    text = "".join(path.read_text("utf-8") for path in PAGES)
    for path in EXAMPLES:
        block = f'```python title="{path.name}"\n--8<-- "examples/{path.name}"\n```\n'
        assert text.count(block) == 1, path.name
        assert text.count(f'"examples/{path.name}"') == 1, path.name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_blocks_of_a_page_have_no_prompts(path: Path) -> None:
    """So that a block can be copied as it is."""
    for _, block in fenced(path):
        assert not re.search(r"^(\$|>>>) ", block, re.MULTILINE), block


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield each `pymailbox` command of a block of any language, with its page."""
    for path in [*PAGES, DIRECTORY / "try.txt"]:
        for language, block in fenced(path):
            for line in block.splitlines() if language in ("sh", "bash", "ini", "crontab") else ():
                for found in re.findall(r"(?:^|[ (])pymailbox (?!\[|import )(\w.*)", line):
                    yield path.name, shlex.split(re.split(r" [|&>]| 2>|\)$| {2,}#", found)[0])
    for words in re.findall(r'CMD (\[.*"archive".*\])', (DIRECTORY / "schedule.md").read_text("utf-8")):
        yield "schedule.md", shlex.split(words.strip("[]").replace(",", " "))


def test_every_command_of_the_pages_is_valid() -> None:
    """The parser accepts every command, also those in units, in a crontab, and for real accounts."""
    found = list(commands())
    assert len(found) > 25
    for page, words in found:
        with case(page, words):
            make_parser().parse_args(words)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_units_are_valid(tmp_path: Path) -> None:
    """systemd finds nothing wrong with the units and the timer."""
    text = (DIRECTORY / "schedule.md").read_text("utf-8")
    units = re.findall(r'```ini title="(.*?)"\n(.*?)```', text, re.DOTALL)
    assert {name for name, _ in units} == {"pymailbox.service", "pymailbox.timer", "pymailbox-watch.service"}
    for name, unit in units:
        (tmp_path / name).write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        env={**environment(), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=GENEROUS,
    )
    assert [line for line in done.stderr.splitlines() if "pymailbox" in line] == []
    assert done.returncode == 0, done.stderr


def test_the_crontab_is_valid() -> None:
    """Each line sets a variable, or has five fields of time and a command, in which `%` would be a line break."""
    ((_, text),) = [each for each in fenced(DIRECTORY / "schedule.md") if each[0] == "crontab"]
    when = r"(\*(/\d+)?|\d+)"
    for line in text.splitlines():
        assert re.fullmatch(rf"[A-Z_]+=\S+|{when}( {when}){{4}} +[^%]+", line), line


# --- the messages of the page on troubleshooting ------------------------------------------------------------------


def refused(text: str) -> Fault:
    """Return a refusal of the login, in the words of a server."""
    return Fault.refuse("AUTH", text=text)


@contextmanager
def unused() -> Iterator[str]:
    """Yield the URL of a port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    yield f"pop://me@127.0.0.1:{port}"


@contextmanager
def served(scheme: str = "pop", host: str = "127.0.0.1", **options: object) -> Iterator[str]:
    """Serve the sample messages, and yield a URL with this scheme and host."""
    with Server(SAMPLES, **options) as server:  # type: ignore[arg-type]
        yield f"{scheme}://me@{host}:{server.port}"


@contextmanager
def locked() -> Iterator[str]:
    """Yield the URL of a mailbox that another session holds."""
    with served(lock_wait=0.01) as url, Mailbox.from_url(url, "secret"):
        yield url


#: For each message of the page: what causes it, and the command that then prints it.
CAUSES: dict[str, tuple[AbstractContextManager[str], list[str]]] = {
    "cannot find the host 'pop.example.com'": (nullcontext("pops://me@pop.invalid"), ["ls"]),
    "cannot connect to pop.example.com:995 ([Errno 111] Connection refused)": (unused(), ["ls"]),
    "this looks like an IMAP server": (served(quirks=Quirk.GREETS_AS_IMAP), ["ls"]),
    "the server does not speak TLS on this port": (served("pops"), ["ls"]),
    "this is a port that expects TLS from the first byte": (served(security="tls"), ["ls"]),
    "the certificate comes from an unknown authority": (served("pops", "localhost", security="tls"), ["ls"]),
    "the credentials were refused; check the user name and password": (served(password="other"), ["ls"]),
    "this account needs an app password": (
        served(faults=[refused("[AUTH] Application-specific password required")]),
        ["ls"],
    ),
    "POP3 is disabled for this account": (
        served(faults=[refused("[SYS/PERM] Your account is not enabled for POP access")]),
        ["ls"],
    ),
    "the server offers no password login that pymailbox supports": (
        served(sasl=["XOAUTH2"], token="a token", plaintext=False),
        ["ls"],
    ),
    "the access token was refused": (served(sasl=["XOAUTH2"], token="a token"), ["ls", "--oauth2"]),
    "the server closed the connection instead of answering; the login may be wrong": (
        served(faults=[Fault.cut(0, command="AUTH")]),
        ["ls"],
    ),
    "another session holds the mailbox": (locked(), ["ls"]),
    "the server requires more time between logins": (served(faults=[refused("[LOGIN-DELAY] too soon")]), ["ls"]),
    "a password on the command line can be read by others": (nullcontext("pop://me:secret@pop.example.com"), ["ls"]),
    "the server closed the connection in the middle of a message or listing": (
        served(faults=[Fault.cut(20, command="RETR")]),
        ["show", "1"],
    ),
    "unsolicited data from the server": (served(quirks=Quirk.UNSTUFFED_DOTS), ["show", "7"]),
    "message unavailable": (served(quirks=Quirk.ONE_UNREADABLE), ["show", "1"]),
    "the server has no UIDL": (served(uidl=False), ["ls", "--uids"]),
}
#: Messages of the page that are tested in another way.
ELSEWHERE = {
    "pop.example.com:995 did not accept the connection within 60 s",
    "the server did not answer QUIT with 1 deletion pending",
    "messages with new uids are archived under uids that the server no longer lists",
    "read_only=True",
}


def test_every_message_of_the_page_is_tested() -> None:
    """Each message at the start of an entry is one of those below."""
    text = (DIRECTORY / "troubleshooting.md").read_text("utf-8")
    assert set(re.findall(r"^`([^`]+)`[^\n]*\n:   ", text, re.MULTILINE)) == set(CAUSES) | ELSEWHERE


@pytest.mark.parametrize("message", CAUSES)
def test_a_message_is_printed_for_its_cause(message: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line prints the message as the page has it, but for host and port."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    cause, command = CAUSES[message]
    with cause as url, suppress(SystemExit):  # wrong usage
        assert main([command[0], url, *command[1:]]) != 0
    host = url.rpartition("@")[2]
    shown = message.partition(" ([Errno")[0].replace("pop.example.com:995", host).replace("pop.example.com", host)
    assert shown in capsys.readouterr().err


def test_a_commit_without_an_answer() -> None:
    """The message of the page for QUIT is that of `CommitError`."""
    with (
        Server(SAMPLES, quirks=Quirk.QUIT_WITHOUT_REPLY) as server,
        pytest.raises(CommitError, match="the server did not answer QUIT with 1 deletion pending"),
        Mailbox.from_url(server.url, "secret") as inbox,
    ):
        inbox[0].delete()


def test_new_uids(capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of the page for new uids is that of `archive`, which then has status 6."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    with Server(SAMPLES, quirks=Quirk.NEW_UIDS_EACH_SESSION) as server:
        main(["archive", server.url, "--to", f"{tmp_path}/me"])
        assert main(["archive", server.url, "--to", f"{tmp_path}/me"]) == 6
    told = "messages with new uids are archived under uids that the server no longer lists"
    assert told in capsys.readouterr().err


# --- the runner ---------------------------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A page whose `pymailbox` is this checkout's."""
    with free_ports() as ports:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "pymailbox").write_text('#!/bin/sh\nexec python -m pymailbox "$@"\n')
        (tmp_path / "bin" / "pymailbox").chmod(0o755)
        python = str(Path(shutil.which("python") or "").parent)
        found = environment()
        page = Page(tmp_path, found | {"PATH": f"{tmp_path / 'bin'}:{python}:{found['PATH']}"}, ports)
        yield page
        page.close()


def test_blocks_are_found_in_the_html() -> None:
    """Language, title and text of each block, in order, without the marks of the highlighter; inline code is none."""
    html = (
        '<p><code>no</code></p><div class="language-sh highlight"><pre><span></span><code>'
        '<span class="nb">export</span> A=1 &amp;&amp; b\n</code></pre></div><div class="language-python highlight">'
        '<span class="filename">a.py</span><pre><span></span><code>x = &quot;1&quot;\n</code></pre></div>'
    )
    assert blocks(html) == [Block("sh", "", "export A=1 && b\n"), Block("python", "a.py", 'x = "1"\n')]


def test_blocks_run_as_a_reader_would(page: Page) -> None:
    """Exports and `cd` last, titles name files, a server runs until the end, output is compared, ports are free ones."""
    script = "import os\nfrom pymailbox import Account, Mailbox\n"
    script += "with Mailbox.from_account(Account.from_env()) as inbox:\n    print(len(inbox), os.environ['MORE'])\n"
    found = [
        Block("sh", "", "mkdir new\nexport MORE=more\npymailbox serve --sample --port 1110\n"),
        Block("sh", "", "export PYMAILBOX_URL=pop://me@localhost:1110 PYMAILBOX_PASSWORD=secret\n"),
        Block("python", "count.py", script),
        Block("sh", "", "python count.py\necho $PYMAILBOX_URL\ncd new\n"),
        Block("text", "", "10 more\npop://me@localhost:1110\n"),
        Block("sh", "", "basename $PWD\necho passed in 0.07s\n"),
        Block("text", "", "n...w\npassed in 7.70s\n"),
        Block("python", "", script),
        Block(
            "console", "", "$ python ../count.py\n10 more\n$ python -c '1 / 0'\nTraceback ...\nZeroDivisionError: ...\n"
        ),
        Block("bash", "", "pymailbox ls pops://me@pop.example.com  # not run\n"),
        Block("python", "", "Mailbox('pop.example.com').open()  # not run\n"),
        Block("ini", "", "[Unit]\n"),
    ]
    assert run_page(found, page) == 6


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([Block("sh", "", "true\nfalse\ntrue\n")], "status 1"),
        ([Block("sh", "", "false | true\n")], "status 1"),
        ([Block("sh", "", "echo a\n"), Block("text", "", "b\n")], "printed:\na"),
        ([Block("sh", "", "echo ab\n"), Block("text", "", "a\n")], "printed:\nab"),
        ([Block("console", "", "$ echo a\nb\n")], "printed:\na"),
        ([Block("console", "", "$ false\n")], "status 1"),
        ([Block("console", "", "a\n")], "must begin with a command"),
        ([Block("python", "a.py", "def\n")], "invalid syntax"),
        ([Block("python", "", "1 / 0\n")], "ZeroDivisionError"),
        ([Block("bash", "", "if true\n")], "exit status 2"),
        ([Block("perl", "", "die\n")], "no rule for the language 'perl'"),
        ([Block("sh", "", "pymailbox serve nowhere\n")], "the server does not start"),
        ([Block("console", "", "$ pymailbox serve --sample --port 1110\n9 messages\n")], "printed:\n10 messages at"),
    ],
)
def test_a_block_that_fails_is_told(found: list[Block], told: str, page: Page) -> None:
    """Whatever a block does not do as the page says is an error, which shows the block."""
    with pytest.raises(BlockFailed, match=re.escape(told)):
        run_page(found, page)
