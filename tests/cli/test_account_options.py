"""Errors and notes are told in the words of the command line, without names of Python."""

import re
from pathlib import Path

import pytest

from pymailbox import OAuth2, PasswordCommand, PasswordEnv
from pymailbox.cli import main, make_parser
from pymailbox.cli.account_options import chosen_account, in_other_words
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES

Captured = pytest.CaptureFixture[str]


def test_errors_name_options_instead_of_python() -> None:
    """Each is what the library says, and what a person at a terminal can do."""
    for library, told in (
        (
            "more than at_most=0.5 allows; nothing was deleted. Pass a larger at_most, or --at-most, if that is",
            "more than --at-most 0.5 allows; nothing was deleted. Pass a larger --at-most if that is",
        ),
        ("Pass renumbered=True, or --renumbered, to recognise", "Pass --renumbered to recognise"),
        (
            "Make a new one with Archive.rebuild('/x (y)'), or `pymailbox rebuild /x`",
            "Make a new one with `pymailbox rebuild /x`",
        ),
        (
            "the server sent a status line beyond Limits.status_line; raise that limit if this server can be trusted",
            "the server sent a status line beyond what pymailbox accepts",
        ),
        (
            "message 1 has 9 bytes according to LIST, more than Limits.message (5); raise that limit",
            "message 1 has 9 bytes according to LIST, beyond what pymailbox accepts (5)",
        ),
        ("free some space, or pass a limit", "free some space, or pass --limit"),
        (
            "run it in a terminal to see why, or pass a longer timeout=",
            "run it in a terminal to see why, or pass a longer --timeout",
        ),
    ):
        assert in_other_words(library) == told


def test_notes_of_a_result_too(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `clean` leaves until the next run is told as `archive`, in JSON as in text."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    with Server(SAMPLES[:2], uidl=False) as server:
        assert main(["archive", server.url, "--to", f"{tmp_path}/me"]) == 0
        for more in ((), ("--json",)):
            assert main(["clean", server.url, "--to", f"{tmp_path}/me", "--keep-latest", "0", *more]) == 0
            assert "stay until `archive` has compared them" in capsys.readouterr().out


def test_a_wrong_variable_is_named(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that does not come from the command line is told with the variable that it comes from."""
    monkeypatch.setenv("PYMAILBOX_URL", "pop.example.com")
    assert main(["ls"]) == 1
    assert re.match("pymailbox: PYMAILBOX_URL: a POP URL must begin with pops://", capsys.readouterr().err)


def test_an_archive_that_is_neither_a_name_nor_a_directory(capsys: Captured) -> None:
    """Both are said, and it is wrong usage, as an unknown account is for every command."""
    for command in ("verify", "rebuild"):
        with pytest.raises(SystemExit) as ended:
            main([command, "nothere"])
        assert ended.value.code == 2
        told = capsys.readouterr().err
        assert told.startswith("pymailbox: there is no directory 'nothere', and there is no account 'nothere'")


def test_an_attachment_without_a_name(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown by its type alone."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    mail = b"Content-Type: application/pdf\r\nContent-Disposition: attachment\r\n\r\nx\r\n"
    with Server([mail]) as server:
        assert main(["show", server.url, "1"]) == 0
    assert "\n[application/pdf, " in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["password", "token", "option", "oauth2"])
def test_a_password_command_may_take_as_long_as_the_server(kind: str, tmp_path: Path) -> None:
    """`--timeout` bounds it, wherever it comes from; without it, it has its own time."""
    path = tmp_path / "accounts.toml"
    keys = {"password": 'password = { command = ["x"] }', "token": 'token = { command = ["x"] }'}
    path.write_text(f'[account.me]\nurl = "pops://me@localhost"\n{keys.get(kind, "")}\n')
    path.chmod(0o600)
    for more, seconds in (([], 60), (["--timeout", "3"], 3), (["--timeout", "300"], 300)):
        words = ["ls", "me", "--config", str(path), *more]
        words += ["--password-command", "x"] if kind in ("option", "oauth2") else []
        words += ["--oauth2"] if kind == "oauth2" else []
        account = chosen_account(make_parser().parse_args(words)).account
        found = account.auth.token if isinstance(account.auth, OAuth2) else account.password
        assert found == PasswordCommand(["x"], timeout=seconds)
    path.write_text('[account.me]\nurl = "pops://me@localhost"\npassword = { env = "X" }\n')
    options = make_parser().parse_args(["ls", "me", "--config", str(path), "--timeout", "3"])
    assert chosen_account(options).account.password == PasswordEnv("X")


def test_a_password_command_that_hangs(capsys: Captured) -> None:
    """The error says what did not end, and what to do."""
    with Server(SAMPLES) as server:
        command = 'sh -c "exec sleep 1000"'
        assert main(["ls", server.url, "--password-command", command, "--timeout", "0.2"]) == 1
    told = "did not end within 0.2 s; run it in a terminal to see why, or pass a longer --timeout"
    assert capsys.readouterr().err == f"pymailbox: the password command 'sh' {told}\n"
