"""Each script in `examples` does what its page says, on the test server and on a real one."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from attrs import frozen

from pymailbox import Archive, Mailbox
from pymailbox.testing import Fault, Quirk, Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT
from tests.servers import RealServer, jwt, trusting
from tests.timing import GENEROUS

EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
CODE = b"From: Shop <shop@example.com>\nSubject: Your code\n\nYour code is 471108.\n"


@frozen
class Place:
    """An account on a server, and the directory that a script runs in."""

    environment: dict[str, str]
    #: The messages that are there at the start.
    stored: tuple[bytes, ...]
    #: The messages that are there now.
    left: Callable[[], tuple[bytes, ...]]
    #: A directory; the server serves what is put into it.
    incoming: Path
    directory: Path

    def run(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run an example as a user would."""
        return subprocess.run(
            [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")],
            cwd=self.directory,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=GENEROUS,
            check=False,
        )

    def output(self, name: str, **variables: str) -> str:
        """Run an example that must succeed, and return what it prints."""
        done = self.run(name, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def subjects(self) -> list[str]:
        """Return the subjects at the start, read with the standard library's parser, one line each."""
        return [subject(raw) for raw in self.stored]


def subject(raw: bytes) -> str:
    """Return the subject of a message as the standard library reads it."""
    return str(message_from_bytes(raw, policy=policy.default)["Subject"] or "")


def environment(url: str, password: str, directory: Path, **more: str) -> dict[str, str]:
    """Return an environment with this account and no other."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYMAILBOX_")}
    account = {"PYMAILBOX_URL": url, "PYMAILBOX_PASSWORD": password, "HOME": str(directory)}
    return inherited | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | account | more


@contextmanager
def embedded(directory: Path, quirks: Quirk | None = None, faults: tuple[Fault, ...] = ()) -> Iterator[Place]:
    """Serve the sample messages from a folder."""
    incoming, work = directory / "incoming", directory / "work"
    incoming.mkdir()
    work.mkdir()
    for number, raw in enumerate(SAMPLES):
        (incoming / f"{number:02}.eml").write_bytes(raw)
    with Server(incoming, lock_wait=GENEROUS, quirks=quirks or (), faults=faults) as server:
        yield Place(environment(server.url, "secret", work), server.messages, lambda: server.messages, incoming, work)


def on_dovecot(dovecot: RealServer, directory: Path) -> Place:
    """Return the account of a fresh user, over TLS, whose private authority is in the environment."""
    user, password = dovecot.fresh_user()
    url, authority = dovecot.tls_url.replace(dovecot.user, user), dovecot.ca
    assert authority is not None

    def left() -> tuple[bytes, ...]:
        with Mailbox.from_url(url, password, ssl_context=trusting(authority), read_only=True) as inbox:
            return tuple(message.raw for message in inbox.fetch())

    new = dovecot.log.parent / "mail" / user / "Maildir" / "new"
    variables = environment(url, password, directory, SSL_CERT_FILE=str(authority))
    return Place(variables, dovecot.stored, left, new, directory)


# --- what each script does, wherever it runs ----------------------------------------------------------------------

Check = Callable[[Place], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Register the check of the example with the same name."""
    CHECKS[function.__name__] = function
    return function


@check
def new_mail_once(place: Place) -> None:
    """The first run prints every message, the second none; nothing is deleted."""
    assert len(place.output("new_mail_once").splitlines()) == len(place.stored)
    assert place.output("new_mail_once") == ""
    assert place.left() == place.stored


@check
def save_attachments(place: Place) -> None:
    """Each line names a file that exists, and a second run saves nothing new; nothing is deleted."""
    printed = place.output("save_attachments")
    saved = {path: path.read_bytes() for path in (place.directory / "attachments").iterdir()}
    assert saved
    for path in saved:
        assert f"attachments/{path.name}" in printed
    place.output("save_attachments")
    assert {path: path.read_bytes() for path in (place.directory / "attachments").iterdir()} == saved
    payloads = {
        part.get_payload(decode=True)
        for raw in place.stored
        for part in message_from_bytes(raw, policy=policy.default).walk()
        if not part.is_multipart()
    }
    assert {data for path, data in saved.items() if path.suffix == ".pdf"} <= payloads
    assert place.left() == place.stored


@check
def close_an_account(place: Place) -> None:
    """All messages are in the archive, byte for byte, and the script says so; nothing is deleted."""
    printed = place.output("close_an_account")
    assert f"complete: {len(place.stored)} messages in mail/old-account" in printed
    with Archive(place.directory / "mail" / "old-account") as archive:
        assert sorted(record.raw for record in archive) == sorted(place.stored)
    assert place.left() == place.stored


@check
def make_room(place: Place) -> None:
    """The latest five messages stay, and everything is in the archive."""
    assert place.output("make_room").splitlines()[1].startswith("5 messages, ")
    with Archive(place.directory / "mail" / "me") as archive:
        assert sorted(record.raw for record in archive) == sorted(place.stored)
    assert place.left() == place.stored[-5:]


@check
def wait_for_a_code(place: Place) -> None:
    """It prints the code of the mail that its command has caused, and only that."""
    (place.directory / "code.eml").write_bytes(CODE)
    request = f"cp code.eml {shlex.quote(str(place.incoming / 'code.eml'))}"
    (place.directory / "request-code.sh").write_text(request)
    assert place.output("wait_for_a_code") == "471108\n"
    (place.directory / "request-code.sh").write_text("exit 3\n")
    assert place.run("wait_for_a_code").returncode == 1  # what failed is not waited for


@check
def many_accounts(place: Place) -> None:
    """Accounts that work are printed in their order; one that fails has its error, and makes the status 3."""
    url = place.environment["PYMAILBOX_URL"]
    account = '[account.{}]\nurl = "{}"\npassword = {{ env = "{}" }}\n'
    config = place.directory / "accounts.toml"
    config.write_text(account.format("me", url, "PYMAILBOX_PASSWORD"))
    config.chmod(0o600)
    variables = {"PYMAILBOX_CONFIG": str(config), "WRONG": "wrong"}
    good = f"me: {len(place.stored)} messages, the latest: "
    assert place.output("many_accounts", **variables).startswith(good)
    config.write_text(account.format("bad", url, "WRONG") + account.format("me", url, "PYMAILBOX_PASSWORD"))
    done = place.run("many_accounts", **variables)
    first, second = done.stdout.splitlines()
    assert first.startswith("bad: AuthenticationError: ")
    assert second.startswith(good)
    assert done.returncode == 3


@check
def retry(place: Place) -> None:
    """It prints a line for each message; a refused login is not tried again."""
    assert place.output("retry").count("\n") == len(place.stored)
    assert "AuthenticationError" in place.run("retry", PYMAILBOX_PASSWORD="wrong").stderr


@check
def old_servers(place: Place) -> None:
    """It prints the report of doctor and saves every message as it is; nothing is deleted."""
    assert "The account can be opened" in place.output("old_servers")
    saved = [path.read_bytes() for path in (place.directory / "saved").iterdir()]
    assert set(saved) == set(place.stored)
    assert place.left() == place.stored


@check
def leave_poplib(place: Place) -> None:
    """Every message is in a file with its number, and deleted."""
    assert len(place.output("leave_poplib").splitlines()) == len(place.stored)
    for number, raw in enumerate(place.stored, 1):
        assert (place.directory / f"{number}.eml").read_bytes() == raw
    assert place.left() == ()


@check
def mail_to_pandas(place: Place) -> None:
    """The table has a row for each message, with its size as listed."""
    pytest.importorskip("pandas", reason="pandas is not installed; pip install 'pymailbox[test]'")
    import pandas as pd

    place.output("mail_to_pandas")
    table = pd.read_csv(place.directory / "mail.csv")
    assert len(table) == len(place.stored)
    assert list(table.columns) == ["date", "from", "subject", "size", "uid"]


@check
def schedule(place: Place) -> None:
    """It archives, silently; a refused login has status 77, a server that is down 75, each with one line."""
    assert place.output("schedule") == ""
    with Archive(place.directory / "mail" / "me") as archive:
        assert len(archive) == len(place.stored)
    for status, wrong in (
        (77, {"PYMAILBOX_PASSWORD": "wrong"}),
        (75, {"PYMAILBOX_URL": "pop://me@127.0.0.1:1"}),
    ):
        done = place.run("schedule", **wrong)
        assert (done.returncode, done.stdout) == (status, "")
        assert len(done.stderr.splitlines()) == 1


#: Examples for one kind of server, tested below.
ELSEWHERE = {"gmail", "microsoft_365"}


def test_every_example_is_tested() -> None:
    """Every file in `examples` has a check here."""
    assert set(EXAMPLES) == set(CHECKS) | ELSEWHERE


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_fits_on_a_screen(name: str) -> None:
    """An example has at most 40 lines, says what it does and what it needs, and takes nothing from its arguments."""
    text = (ROOT / "examples" / f"{name}.py").read_text("utf-8")
    assert len(text.splitlines()) <= 40
    assert text.startswith('"""')
    assert "Needs " in text.split('"""')[1]
    assert "argv" not in text


@pytest.mark.parametrize("name", CHECKS)
def test_on_the_test_server(name: str, tmp_path: Path) -> None:
    """The example does what its check says."""
    with embedded(tmp_path) as place:
        CHECKS[name](place)


@pytest.mark.parametrize("name", CHECKS)
def test_on_dovecot(name: str, dovecot: RealServer, tmp_path: Path) -> None:
    """The example does the same over TLS on a real server."""
    CHECKS[name](on_dovecot(dovecot, tmp_path))


# --- what a script does when something is odd or fails ------------------------------------------------------------


def test_retry_tries_again(tmp_path: Path) -> None:
    """What may pass is tried again, after the time that the server names."""
    faults = (
        Fault.refuse("AUTH", text="[IN-USE] locked", session=1),
        Fault.refuse("AUTH", text="[LOGIN-DELAY] wait 1 seconds", session=2),
    )
    with embedded(tmp_path, faults=faults) as place:
        assert place.output("retry").count("\n") == len(SAMPLES)


def test_an_incomplete_archive_is_not_complete(tmp_path: Path) -> None:
    """If the server refuses a message, the script names it, and fails."""
    with embedded(tmp_path, quirks=Quirk.ONE_UNREADABLE) as place:
        done = place.run("close_an_account")
        assert done.returncode == 1
        assert "missing: 1 'Lunch on Thursday?'" in done.stdout
        assert done.stderr.startswith("not complete")


def test_an_odd_server_costs_only_the_message_it_refuses(tmp_path: Path) -> None:
    """Whatever else is odd, the other messages are saved."""
    with embedded(tmp_path, quirks=Quirk.NO_CAPA | Quirk.TOP_TEN_LINES | Quirk.ONE_UNREADABLE) as place:
        assert "message 1: message unavailable" in place.output("old_servers")
        assert len(list((place.directory / "saved").iterdir())) == len(SAMPLES) - 1


def test_gmail_shows_what_was_fetched(tmp_path: Path) -> None:
    """On a server like Gmail, it lists what another program has fetched, and hides nothing itself."""
    with embedded(tmp_path, quirks=Quirk.HIDES_READ | Quirk.OLDEST_250) as place:
        assert place.output("gmail").count("waiting ") == len(SAMPLES)
        place.output("new_mail_once")
        for _ in range(2):
            assert place.output("gmail").count("fetched ") == len(SAMPLES)


#: What msal does for the script, without Microsoft: it checks the arguments, and keeps a token in the cache.
MSAL = """
class SerializableTokenCache:
    held, has_state_changed = "", False
    def serialize(self): return self.held
    def deserialize(self, text): self.held = text

class PublicClientApplication:
    def __init__(self, client_id, authority, token_cache):
        assert client_id == "an-id" and authority == "https://login.microsoftonline.com/common"
        self.cache = token_cache
    def get_accounts(self, username):
        assert username == "me"
        return [username] if self.cache.held else []
    def acquire_token_silent(self, scopes, account): return {"access_token": self.cache.held}
    def initiate_device_flow(self, scopes):
        assert scopes == ["https://outlook.office.com/POP.AccessAsUser.All"]
        return {"message": "To sign in, use a web browser"}
    def acquire_token_by_device_flow(self, flow):
        import os
        if "TOKEN" not in os.environ: return {"error": "expired_token", "error_description": "the code expired"}
        self.cache.held, self.cache.has_state_changed = os.environ["TOKEN"], True
        return {"access_token": self.cache.held}
"""


@pytest.fixture
def signing_in(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the script for Microsoft 365 with a msal that needs no Microsoft."""
    (tmp_path / "msal.py").write_text(MSAL)
    variables = environment("pops://outlook.office365.com", "", tmp_path, CLIENT_ID="an-id", PYMAILBOX_USER="me")
    place = Place(variables | {"PYTHONPATH": str(tmp_path)}, (), tuple, tmp_path, tmp_path)
    return lambda **more: place.run("microsoft_365", **more)


def test_microsoft_365_prints_a_token(
    signing_in: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, dovecot: RealServer
) -> None:
    """The first run says where to sign in, and prints only the token, with which other scripts log in by OAuth2.

    The next run takes it from the cache, which only the user can read.
    """
    with Server(SAMPLES, sasl=["XOAUTH2"], token="a fresh token") as server:
        done = signing_in(TOKEN="a fresh token")
        assert (done.returncode, done.stdout) == (0, "a fresh token\n")
        assert "To sign in" in done.stderr
        again = signing_in()
        assert (again.returncode, again.stdout, again.stderr) == (0, "a fresh token\n", "")
        assert (tmp_path / ".pymailbox-msal.json").stat().st_mode & 0o777 == 0o600
        place = Place(environment(server.url, "", tmp_path), (), tuple, tmp_path, tmp_path)
        assert place.output("new_mail_once", PYMAILBOX_TOKEN=done.stdout.strip()).count("\n") == len(SAMPLES)
    real = on_dovecot(dovecot, tmp_path)
    user = real.environment["PYMAILBOX_URL"].partition("//")[2].partition("@")[0]
    printed = real.output("retry", PYMAILBOX_PASSWORD="", PYMAILBOX_TOKEN=jwt(user), PYMAILBOX_AUTH="XOAUTH2")
    assert printed.count("\n") == len(real.stored)


def test_microsoft_365_without_a_token(signing_in: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """If nobody signs in, it says why, prints no token, and fails."""
    done = signing_in()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("no token: the code expired\n")


def test_msal_has_what_the_script_uses() -> None:
    """The real library has the functions and arguments of the one above."""
    msal = pytest.importorskip("msal", reason="msal is not installed; pip install 'pymailbox[test]'")
    cache = msal.SerializableTokenCache()
    cache.deserialize(cache.serialize())
    assert cache.has_state_changed is False
    for name in ("get_accounts", "acquire_token_silent", "initiate_device_flow", "acquire_token_by_device_flow"):
        assert callable(getattr(msal.PublicClientApplication, name))
