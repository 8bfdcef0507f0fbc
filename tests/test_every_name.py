"""`tests/typing/every_name.py` uses every public name, and does what it says, also on a real server."""

import ast
import inspect
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pymailbox import Mailbox, Message
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT
from tests.servers import RealServer, trusting
from tests.timing import GENEROUS

EXAMPLE = "tests/typing/every_name.py"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would, with the password in the environment."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | variables
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=GENEROUS,
        check=False,
    )


def used(source: str) -> set[str]:
    """Return the names, attributes and arguments that a program uses."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg:
            names.add(node.arg)
        elif isinstance(node, ast.alias | ast.Name):
            names.add(node.name if isinstance(node, ast.alias) else node.id)
    return names


def test_every_name_example_is_complete() -> None:
    """The example uses every public name of a mailbox and a message, including the reading names."""
    names = used((ROOT / EXAMPLE).read_text("utf-8"))
    for kind in (Mailbox, Message):
        assert {name for name in dir(kind) if not name.startswith("_")} - names - {"close"} == set(), kind
    for function in (Message.save, Message.write_to, Mailbox.fetch):
        keywords = inspect.signature(function).parameters.values()
        assert {each.name for each in keywords if each.kind is each.KEYWORD_ONLY} <= names, function


def check_every_name(done: subprocess.CompletedProcess[str], directory: Path, stored: Sequence[bytes]) -> None:
    """Check that five messages were saved unchanged, each in its own file, and the last one once more."""
    assert done.returncode == 0, done.stderr
    assert "refused as expected" in done.stdout
    assert f"{len(stored[-1])} of {len(stored[-1])} bytes, 1 of 1 messages" in done.stdout
    copies = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert copies.pop("last.eml") == stored[-1]
    assert sorted(copies.values()) == sorted(stored[-5:])


def test_every_name_on_the_test_server(tmp_path: Path) -> None:
    """The example runs, saves five messages and deletes one."""
    with Server(SAMPLES, user="robin", password="secret", lock_wait=GENEROUS) as server:
        done = run(EXAMPLE, server.url, str(tmp_path), PYMAILBOX_PASSWORD="secret")
        check_every_name(done, tmp_path, SAMPLES)
        assert server.messages == tuple(SAMPLES[1:])


def test_every_name_on_dovecot(dovecot: RealServer, tmp_path: Path) -> None:
    """The example does the same over TLS, with a private authority."""
    user, password = dovecot.fresh_user()
    url = dovecot.tls_url.replace(dovecot.user, user)
    done = run(EXAMPLE, url, str(tmp_path), str(dovecot.ca), PYMAILBOX_PASSWORD=password)
    check_every_name(done, tmp_path, dovecot.stored)
    assert dovecot.ca is not None
    with Mailbox.from_url(url, password, ssl_context=trusting(dovecot.ca)) as inbox:
        assert tuple(message.raw for message in inbox.fetch()) == dovecot.stored[1:]
