"""docs/session.md is true: what each line sends, and what each end of a session deletes."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from pymailbox import CommitError, ConnectionLost, Mailbox, Uncommitted
from pymailbox.testing import Fault, Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT, case
from tests.timing import GENEROUS

PAGE = (ROOT / "docs" / "session.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table in a section."""
    section = PAGE[PAGE.index(f"\n## {heading}\n") :].split("\n## ")[1]
    lines = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def commands(cell: str) -> list[str]:
    """Return the commands in a cell."""
    return [] if cell == "nothing" else cell.split(", ")


def test_each_line_sends_what_the_table_says() -> None:
    """The lines are one program; after each, the server has received the commands in its row and no others."""
    first, *lines, last = rows("What is sent, and when")
    assert last[0] == "*the block ends*"
    program = [first[0].strip("`"), *(f"    {line[0].strip('`')}\n    sent.append(heard())" for line in lines)]
    program.insert(1, "    sent.append(heard())")
    with Server(SAMPLES) as server:
        before = 0

        def heard() -> list[str]:
            nonlocal before
            new, before = server.log[before:], len(server.log)
            return [re.sub(r" \*+$", "", command) for command in new]

        sent: list[list[str]] = []
        exec("\n".join(program), {"Mailbox": Mailbox, "url": server.url, "sent": sent, "heard": heard})
        sent.append(heard())
        assert sent == [commands(row[1]) for row in (first, *lines, last)]
        assert server.messages == tuple(SAMPLES[1:])


def ends(inbox: Mailbox) -> None:
    """Leave the block at its end."""


def returns(inbox: Mailbox) -> None:
    """Leave the block by `return`."""
    with inbox:
        return


def leave(error: BaseException) -> Callable[[Mailbox], None]:
    """Return what leaves the block by this exception."""

    def end(inbox: Mailbox) -> None:
        with inbox:
            raise error

    return end


def clean(use: Callable[[Mailbox], Any]) -> Callable[[Mailbox], None]:
    """Return what uses the mailbox and ends the block."""

    def end(inbox: Mailbox) -> None:
        with inbox:
            use(inbox)

    return end


def collected(inbox: Mailbox) -> None:
    """The caller drops its reference."""


#: How each row is made to happen, and what is raised.
ENDINGS: dict[str, tuple[Callable[[Mailbox], None], type[BaseException] | None]] = {
    "the block ends": (clean(ends), None),
    "`return` or `break` leaves the block": (returns, None),
    "`inbox.commit()`": (Mailbox.commit, None),
    "`inbox.reopen()`": (Mailbox.reopen, None),
    "an exception leaves the block": (leave(RuntimeError()), RuntimeError),
    "`inbox.rollback()`": (Mailbox.rollback, None),
    "`inbox.close()`": (Mailbox.close, Uncommitted),
    "`inbox.undelete()`, then the block ends": (clean(Mailbox.undelete), None),
    "Ctrl-C": (leave(KeyboardInterrupt()), KeyboardInterrupt),
    "`sys.exit()`, also `sys.exit(0)`": (leave(SystemExit(0)), SystemExit),
    "the mailbox is garbage-collected": (collected, Uncommitted),
    "the server closes the connection, then the block ends": (clean(ends), ConnectionLost),
    "the server refuses QUIT": (clean(ends), CommitError),
    "the reply to QUIT is lost": (clean(ends), CommitError),
}
FAULTS = {
    "the server closes the connection, then the block ends": Fault.drop("NOOP"),
    "the server refuses QUIT": Fault.refuse("QUIT"),
    "the reply to QUIT is lost": Fault.cut(0, command="QUIT"),
}
KILLED = """
import os, signal, sys
from pymailbox import Mailbox
with Mailbox.from_url(sys.argv[1], "secret") as inbox:
    inbox[0].delete()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_each_end_deletes_what_the_table_says() -> None:
    """For each row: what is sent after the mark, what is left on the server, and what the program gets."""
    table = rows("What deletes, and what does not")
    assert [row[0] for row in table if row[0] != "the process is killed"] == list(ENDINGS)
    for ending, sent, deleted, outcome in table:
        if ending == "the process is killed":
            continue
        end, error = ENDINGS[ending]
        faults = [FAULTS[ending]] if ending in FAULTS else []
        with case(ending), Server(SAMPLES[:2], faults=faults, lock_wait=GENEROUS) as server:
            inbox = Mailbox.from_url(server.url, "secret").open()
            inbox[0].delete()
            if error is ConnectionLost:
                with pytest.raises(ConnectionLost):
                    inbox.keep_alive()
            before = len(server.sessions[0].commands)
            with warnings.catch_warnings():
                warnings.simplefilter("error" if error is Uncommitted and end is not collected else "always")
                if end is collected:
                    held = [inbox]
                    del inbox
                    with pytest.warns(Uncommitted):
                        held.clear()
                else:
                    with pytest.raises(error) if error else contextlib.nullcontext():
                        end(inbox)
            assert error is None or error.__name__ in outcome or outcome == "your exception"
            if end is not collected:
                inbox.close()
            with Mailbox.from_url(server.url, "secret") as later:  # the session before it has ended
                left = len(later)
            assert list(server.sessions[0].commands[before:]) == commands(sent)
            assert deleted == "nobody knows" or left == (1 if deleted == "yes" else 2)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed in another way")
def test_a_killed_process_deletes_nothing() -> None:
    """The row of a killed process."""
    (row,) = [row for row in rows("What deletes, and what does not") if row[0] == "the process is killed"]
    assert row == ["the process is killed", "nothing", "no", ""]
    with Server(SAMPLES[:2], lock_wait=GENEROUS) as server:
        done = subprocess.run(
            [sys.executable, "-c", KILLED, server.url],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=GENEROUS, check=False,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL
        with Mailbox.from_url(server.url, "secret") as later:
            assert len(later) == 2
        assert server.sessions[0].commands[-1] == "DELE 1"


def test_the_script_tells_what_is_left(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """After a lost reply to QUIT, the script of the page says how many messages are still there."""
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with Server(SAMPLES[:3], faults=[Fault.cut(0, command="QUIT", nth=1)]) as server:
        ours = script.replace("Mailbox(*account)", f'Mailbox.from_url("{server.url}", "secret")')
        assert ours.count(server.url) == 2
        exec(ours, {})
        assert capsys.readouterr().out == f"{len(server.messages)} of 3 messages are still there\n"
