"""-v shows the conversation without secrets; colours appear only where they are wanted."""

import pytest

from pymailbox.cli import main
from pymailbox.testing import Server
from tests import case
from tests.cli.processes import environment, run, run_in_terminal

Captured = pytest.CaptureFixture[str]


def test_verbose_shows_the_redacted_conversation(sample: Server, capsys: Captured) -> None:
    """On standard error: commands and replies, no password, no mail; the output is as without it, and it ends there."""
    assert main(["show", sample.url, "1"]) == 0
    plain = capsys.readouterr()
    assert plain.err == ""
    assert main(["show", "-v", sample.url, "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == plain.out
    assert "C: AUTH PLAIN ***" in captured.err
    assert "C: RETR 1\nS: +OK" in captured.err
    assert "secret" not in captured.err
    assert "Lunch" not in captured.err
    assert main(["ls", sample.url]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
        (False, {"CLICOLOR_FORCE": "1"}, True),
        (False, {"CLICOLOR_FORCE": "0"}, False),
    ],
)
def test_colours(terminal: bool, variables: dict[str, str], coloured: bool, sample: Server) -> None:
    """Only on a terminal; NO_COLOR turns them off and CLICOLOR_FORCE on, as elsewhere."""
    env = environment(**variables)
    for command in (["ls", sample.url], ["show", sample.url, "3"], ["show", sample.url, "99"]):
        with case(*command):
            if terminal:
                shown, _ = run_in_terminal(*command, env=env)
            else:
                done = run(*command, env=env)
                shown = (done.stdout + done.stderr).decode()
            assert ("\x1b[" in shown) == coloured
            assert shown.count("\x1b[0m") * 2 == shown.count("\x1b[")
