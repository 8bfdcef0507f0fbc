"""Words and options choose the messages that their help says, and nothing else."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox import Mailbox
from pymailbox.cli import main
from pymailbox.cli.choosing import Choice, choice, chosen
from pymailbox.testing import Server
from tests import case
from tests.testing.by_hand import settle

Captured = pytest.CaptureFixture[str]


def numbers(out: str) -> list[int]:
    """Return the numbers of the messages in a table."""
    rows = out.splitlines()[1:]
    return [int(line.split()[0]) for line in rows[: rows.index("")]]


@given(st.text(max_size=30))
def test_any_word_is_a_choice_or_wrong_usage(word: str) -> None:
    """Nothing else is raised; a uid is taken as it is."""
    try:
        found = choice(word)
    except argparse.ArgumentTypeError:
        return
    assert found.uid is None or word in (found.uid, f"uid:{found.uid}")


def test_words_stand_for_numbers_ranges_and_uids() -> None:
    """Digits are a number, digits with a dash a range; anything else, and anything after `uid:`, is a uid."""
    for word, meant in (
        ("7", Choice(7, 7)),
        ("-1", Choice(-1, -1)),
        ("3-7", Choice(3, 7)),
        ("7-7", Choice(7, 7)),
        ("all", Choice(1, -1)),
        ("UID7-128989901", Choice(uid="UID7-128989901")),
        ("00005-1a", Choice(uid="00005-1a")),
        ("uid:7", Choice(uid="7")),
        ("uid:3-7", Choice(uid="3-7")),
        ("uid:all", Choice(uid="all")),
        ("uid:uid:7", Choice(uid="uid:7")),
        ("\u0663", Choice(uid="\u0663")),  # a digit, but not of ASCII
    ):
        assert choice(word) == meant, word


def test_messages_are_found_by_number_from_either_end_and_by_uid(sample: Server) -> None:
    """Each message comes once, in the order of the words; one that is not there is named."""
    with Mailbox.from_url(sample.url, "secret", read_only=True) as inbox:

        def found(*words: str) -> list[int]:
            return [message.number for message in chosen(inbox, map(choice, words))]

        assert found("2", "-1", "9-10", "2-4") == [2, 10, 9, 3, 4]
        assert found("all") == list(range(1, 11))
        uid = inbox.uids[4]
        assert uid is not None
        assert found(uid, f"uid:{uid}") == [5]
        for word, told in (
            ("11", "there is no message 11; the last one is 10"),
            ("-11", "there is no message -11; the last one is 10"),
            ("9-11", "there is no message 11; the last one is 10"),
            ("uid:3", "there is no message with the uid '3'"),
        ):
            with case(word), pytest.raises(ValueError, match=told):
                found(word)


def test_an_empty_mailbox_has_all_messages_but_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """`all` of nothing is nothing; any number is missing."""
    with Server([]) as server, Mailbox.from_url(server.url, "secret") as inbox:
        assert chosen(inbox, [choice("all")]) == []
        with pytest.raises(ValueError, match="there is no message 1; the mailbox is empty"):
            chosen(inbox, [choice("1")])


def test_wrong_words_are_usage_errors(capsys: Captured) -> None:
    """They exit with 2 before any connection is made."""
    for command in (["show", "pop://me@127.0.0.1:1"], ["save", "pop://me@127.0.0.1:1", "--to", "x"]):
        for word, told in (
            ("0", "1 or more, or -1"),
            ("7-3", "the smaller number first"),
            ("0-3", "1 or more"),
            ("", "expected a number"),
        ):
            with case(*command, word):
                with pytest.raises(SystemExit) as ended:
                    main([*command, word])
                assert ended.value.code == 2
                assert told in capsys.readouterr().err


# --- options --------------------------------------------------------------------------------------------------


def test_last_asks_for_the_headers_of_the_last_messages_only(sample: Server, capsys: Captured) -> None:
    """The total says how many of how many are listed."""
    assert main(["ls", sample.url, "--last", "3"]) == 0
    out = capsys.readouterr().out
    assert numbers(out) == [8, 9, 10]
    assert out.splitlines()[-1] == "3 of 10 messages, 3.9 KB in all"
    settle(sample)
    assert {line.split()[1] for line in sample.log if line.startswith("TOP")} == {"8", "9", "10"}
    assert main(["ls", sample.url, "--last", "99"]) == 0
    assert numbers(capsys.readouterr().out) == list(range(1, 11))


def test_since_compares_dates_in_any_form(sample: Server, capsys: Captured) -> None:
    """The date of the message counts, in its own zone; a message without a date is included."""
    for date, first in (
        ("2026-06-08", 8),
        ("2026-06-08T14:30:00+02:00", 8),
        ("2026-06-08T12:30:01Z", 9),
        ("2026-06-07", 7),
        ("today", 10),
        ("1000w", 1),
    ):
        with case(date):
            assert main(["ls", sample.url, "--since", date]) == 0
            assert numbers(capsys.readouterr().out) == list(range(first, 11))


def test_relative_dates_are_counted_back_from_now(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """`yesterday` begins at midnight; 12h, 7d and 2w are exact."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    now = datetime.now(UTC)
    mails = [
        f"Date: {now - timedelta(hours=hours):%a, %d %b %Y %H:%M:%S +0000}\r\n\r\n".encode()
        for hours in (24 * 15, 24 * 8, 24 * 6, 13, 1)
    ]
    with Server(mails) as server:
        for date, expected in (("2h", [5]), ("12h", [5]), ("7d", [3, 4, 5]), ("2w", [2, 3, 4, 5])):
            with case(date):
                assert main(["ls", server.url, "--since", date]) == 0
                assert numbers(capsys.readouterr().out) == expected
        assert main(["ls", server.url, "--since", "yesterday"]) == 0
        assert numbers(capsys.readouterr().out)[-2:] == [4, 5]


def test_new_compares_with_an_archive(sample: Server, capsys: Captured, tmp_path: Path) -> None:
    """Messages are listed until they are archived; filters combine; an archive that is not there is an error."""
    to = str(tmp_path / "me")
    assert main(["archive", sample.url, "--to", to, "--limit", "7"]) == 0
    capsys.readouterr()
    assert main(["ls", sample.url, "--new", "--to", to]) == 0
    out = capsys.readouterr().out
    assert numbers(out) == [8, 9, 10]
    assert main(["ls", sample.url, "--new", "--to", to, "--last", "2"]) == 0
    assert numbers(capsys.readouterr().out) == [9, 10]
    assert main(["ls", sample.url, "--new", "--to", str(tmp_path / "none")]) == 1
    assert "there is no archive at" in capsys.readouterr().err
    for options in (["--new"], ["--to", to]):
        with pytest.raises(SystemExit) as ended:
            main(["ls", sample.url, *options])
        assert ended.value.code == 2
        assert "--new and --to DIR or --state FILE are used together" in capsys.readouterr().err


def test_wrong_dates_are_usage_errors(capsys: Captured) -> None:
    """The error shows what a date looks like."""
    for date in ("", "soon", "7", "7y", "2026-13-01", "99999999w", "-1d"):
        with case(date):
            with pytest.raises(SystemExit) as ended:
                main(["ls", "pop://me@127.0.0.1:1", f"--since={date}"])
            assert ended.value.code == 2
            assert "expected one such as 2026-06-01" in capsys.readouterr().err
