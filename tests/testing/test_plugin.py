"""The pytest plugin: its fixtures, its marker, what it costs, and that it keeps out of the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.timing import GENEROUS

RECORDED = """pymailbox-sessions 1

session
S: +OK ready
C: NOOP
S: +OK recorded
end client
"""

FIXTURES = '''
import poplib
import sys

import pytest

NAMES = {"pymailbox", "pymailbox.testing", "pymailbox.testing.plugin"}
EARLY = sorted(name for name in sys.modules if name.startswith("pymailbox"))

from pymailbox import Mailbox


def test_nothing_is_imported_before_it_is_used():
    assert set(EARLY) <= NAMES


def test_a_sample_mailbox(pop3_server, mailbox):
    from pymailbox.testing.samples import SAMPLES

    assert pop3_server.messages == SAMPLES
    assert isinstance(mailbox, Mailbox)
    assert [message.subject for message in mailbox][0] == "Lunch on Thursday?"
    assert "TOP 1 0" in pop3_server.sessions[0].commands


@pytest.mark.parametrize("number", [1, 2])
def test_a_server_of_its_own(pop3_server, mailbox, number):
    """Deletions of one test are not seen by another."""
    assert len(mailbox) == 10
    mailbox[0].delete()
    mailbox.commit()
    assert len(pop3_server.messages) == 9
    assert pop3_server.sessions[0].deleted == (1,)


@pytest.fixture
def kept(pop3_server):
    yield
    assert len(pop3_server.messages) == 10
    assert pop3_server.sessions[0].deleted == ()


def test_nothing_is_deleted_without_commit(kept, mailbox):
    """The mailbox is closed first, and that deletes nothing."""
    mailbox[0].delete()


@pytest.mark.pop3([b"Subject: 1\\r\\n\\r\\n"])
def test_messages(pop3_server):
    assert len(pop3_server.messages) == 1


@pytest.mark.pop3(messages=[b"Subject: 1\\r\\n\\r\\n"], user="ada", password="x", security="tls")
def test_tls(pop3_server, mailbox):
    assert pop3_server.url.startswith("pops://ada@")
    assert len(mailbox) == 1
    assert pop3_server.sessions[0].tls


@pytest.mark.pop3(users={"ada": "1", "bob": "2"}, security="starttls")
def test_users(pop3_server, mailbox):
    assert mailbox.account.user == "ada"
    assert pop3_server.sessions[0].user == "ada"
    assert len(pop3_server.mailbox("bob")) == 10


@pytest.mark.pop3(security="tls")
class TestClass:
    def test_with_the_options_of_the_class(self, pop3_server):
        assert pop3_server.security == "tls"

    @pytest.mark.pop3([], security="none")
    def test_the_closest_wins(self, pop3_server, mailbox):
        assert (pop3_server.security, len(mailbox)) == ("none", 0)

    @pytest.mark.pop3([b"Subject: 1\\r\\n\\r\\n"])
    def test_combined(self, pop3_server, mailbox):
        assert (pop3_server.security, len(mailbox)) == ("tls", 1)


@pytest.mark.pop3(replay="session.pop3", security="none")
def test_a_replay(pop3_server):
    """The path is relative to this file."""
    pop = poplib.POP3(pop3_server.host, pop3_server.port, timeout=60)
    assert pop.noop() == b"+OK recorded"
    pop.close()


class TestOverridden:
    @pytest.fixture
    def pop3_server(self):
        from pymailbox.testing import Server

        with Server([b"Subject: mine\\r\\n\\r\\n"], greeting="mine") as server:
            yield server

    def test_the_mailbox_is_on_it(self, mailbox):
        assert mailbox.greeting.startswith("mine")
        assert [message.subject for message in mailbox] == ["mine"]


class TestUsersOwn:
    @pytest.fixture
    def mailbox(self):
        return "mine"

    def test_their_own_fixture_is_used(self, mailbox):
        assert mailbox == "mine"
'''


def pytest_run(directory: Path, *arguments: str, installed: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the tests in a directory in a process of its own, with no plugin but this one, or with all installed ones."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", "-W", "error"]
    command += [*arguments, "--rootdir", str(directory), str(directory)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
    if not installed:
        command += ["-p", "pymailbox.testing.plugin"]
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=GENEROUS, check=False
    )


@pytest.mark.parametrize("arguments", [[], ["-p", "xdist", "-n", "2"]], ids=["alone", "xdist"])
def test_the_fixtures_do_what_they_say(tmp_path: Path, arguments: list[str]) -> None:
    """Each test has a server and a mailbox of its own, as its markers say, with strict markers and no warnings."""
    (tmp_path / "session.pop3").write_text(RECORDED)
    (tmp_path / "test_it.py").write_text(FIXTURES)
    done = pytest_run(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "14 passed" in done.stdout


@pytest.mark.parametrize(
    ("mark", "problem"),
    [
        ("securty='tls'", "it has no option 'securty'; did you mean 'security'? The options are: apop, "),
        ("zzz=1", "it has no option 'zzz'; The options are: apop, autologout, "),
        ("source=[]", "it has no option 'source'"),
        ("[], []", "it takes one list of messages; the other options have names"),
        ("[], messages=[]", "it takes one list of messages; the other options have names"),
        ("security='tsl'", "security must be one of none, starttls, tls, not 'tsl'"),
        ("messages=b'Subject: x'", "source must be a list of messages or a path"),
        ("messages='missing'", "missing"),
        ("sasl=['NTLM']", "the test server does not support the SASL mechanism NTLM"),
        ("replay='missing.pop3'", "missing.pop3"),
        ("replay='x', messages=[]", "it has no option 'messages' with replay="),
    ],
)
def test_a_wrong_marker_is_an_error_that_says_what_is_allowed(tmp_path: Path, mark: str, problem: str) -> None:
    """The test fails at its setup, with one message and no traceback."""
    source = f"import pytest\n@pytest.mark.pop3({mark})\ndef test_it(pop3_server): ...\n"
    (tmp_path / "test_it.py").write_text(source)
    done = pytest_run(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 error" in done.stdout
    assert f"@pytest.mark.pop3: {problem}" in done.stdout.replace("\nE   ", " ") or problem in done.stdout
    assert "Traceback" not in done.stdout
    assert "plugin.py" not in done.stdout


def test_a_difference_from_the_recording_fails_the_test(tmp_path: Path) -> None:
    """Even if the program under test hides it."""
    (tmp_path / "session.pop3").write_text(RECORDED)
    (tmp_path / "test_it.py").write_text(
        "import poplib, contextlib, pytest\n"
        f"@pytest.mark.pop3(replay={str(tmp_path / 'session.pop3')!r})\n"
        "def test_it(pop3_server):\n"
        "    pop = poplib.POP3(pop3_server.host, pop3_server.port, timeout=60)\n"
        "    with contextlib.suppress(poplib.error_proto):\n"
        "        pop.stat()\n"
        "    pop.close()\n"
    )
    done = pytest_run(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "line 5: expected 'NOOP', received 'STAT'" in done.stdout


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """Installed, the plugin is there without any configuration; with `-p no:pymailbox` it is not."""
    (tmp_path / "test_it.py").write_text("def test_it(mailbox): assert len(mailbox) == 10\n")
    assert "1 passed" in pytest_run(tmp_path, installed=True).stdout
    assert "fixture 'mailbox' not found" in pytest_run(tmp_path, "-p", "no:pymailbox", installed=True).stdout


def test_help_lists_the_marker_and_the_fixtures(tmp_path: Path) -> None:
    """`pytest --markers` and `pytest --fixtures` describe them."""
    assert "@pytest.mark.pop3(messages, *, replay, **options): " in pytest_run(tmp_path, "--markers").stdout
    shown = pytest_run(tmp_path, "--fixtures").stdout
    assert "A running POP3 server with a sample mailbox, for this test only." in shown
    assert "An open `Mailbox` on the server of the fixture `pop3_server`." in shown
