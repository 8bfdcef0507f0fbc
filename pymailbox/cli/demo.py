"""The demo: what people use pymailbox for, with a sample mailbox served on this machine.

`python -m pymailbox demo` prints each piece of code, runs it as printed, and prints its output. Nothing leaves this
machine, and nothing stays on it.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from secrets import token_urlsafe
from typing import Any

from pymailbox.display import safe_text, styled
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES

__all__ = ["demonstrate"]

_ARRIVING = b"From: Ada Archer <ada@example.org>\r\nSubject: Lunch on Friday instead?\r\n\r\nFriday?\r\n"

#: What is shown, in order: a sentence, and code that is run as it is.
_STEPS = (
    (
        "Log in and list the messages. Headers arrive ahead of the loop, in a pipeline.",
        """\
from pymailbox import Account, Archive, Keep, Mailbox, PasswordEnv

account = Account.from_url(url, PasswordEnv("DEMO_PASSWORD"))
inbox = Mailbox.from_account(account).open()
print(f"{len(inbox)} messages, {inbox.size:,} bytes")
for message in inbox:
    print(f"{message.number:2} {message.size:4} {message.date and message.date.date()} {message.subject}")""",
    ),
    (
        "Read one.",
        """\
message = inbox[2]
print(message.from_)
print(message.body)
print([(part.filename, part.content_type, part.size) for part in message.attachments])""",
    ),
    (
        "Save it, and its attachments. A copy never replaces another file.",
        """\
print(message.save("saved/"))
for part in message.attachments:
    print(part.save("saved/"))""",
    ),
    (
        "Keep everything for good: each message once, safe from crashes and power cuts.",
        """\
inbox.close()
archive = Archive("archive")
print(archive.collect(account))""",
    ),
    (
        "A message arrives. Read only what is new.",
        """\
arrive()
seen = {record.uid for record in archive}
with Mailbox.from_account(account, read_only=True) as inbox:
    for message in inbox.new(seen):
        print(message.number, message.from_, message.subject)""",
    ),
    (
        "Archive it too, and make room: the server keeps the latest four.",
        "print(archive.collect(account, keep=Keep(latest=4)))",
    ),
    (
        "Verify the archive: every message is read and compared with its hash.",
        """\
print(archive.verify())
archive.close()""",
    ),
)


def demonstrate() -> None:
    """Serve the sample mailbox, and run each step in a temporary directory."""
    password = token_urlsafe(12)
    with (
        tempfile.TemporaryDirectory(prefix="pymailbox-demo-") as directory,
        Server(SAMPLES, user="robin", password=password, lock_wait=10.0) as server,
        _environment(password),
        contextlib.chdir(directory),
    ):
        print(f"A POP3 server with {len(SAMPLES)} sample messages is running at {server.url}")
        names: dict[str, Any] = {"url": server.url, "arrive": lambda: server.deliver(_ARRIVING)}
        try:
            for sentence, code in _STEPS:
                print(f"\n# {sentence}\n{styled(code, 'cyan')}")
                print(_indented(_output(code, names)), end="")
        finally:  # if the output has failed half-way
            for name in {"inbox", "archive"} & names.keys():
                names[name].close()


def _output(code: str, names: dict[str, Any]) -> str:
    """Run some code; return what it prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "<demo>", "exec"), names)  # noqa: S102 - the code above, of this module
    return output.getvalue()


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in safe_text(text, multiline=True, limit=None).splitlines())


@contextlib.contextmanager
def _environment(password: str) -> Iterator[None]:
    os.environ["DEMO_PASSWORD"] = password
    try:
        yield
    finally:
        del os.environ["DEMO_PASSWORD"]
