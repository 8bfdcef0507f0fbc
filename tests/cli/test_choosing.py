"""Words and options choose the messages that their help says, and nothing else."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox import Archive, Mailbox, Seen
from pymailbox.cli import main
from pymailbox.cli.choosing import Choice, choice, chosen
from pymailbox.testing import Server
from pymailbox.testing.stored_mail import StoredMail
from tests import case
from tests.archive.box import Box, message, put_before, serve
from tests.testing.by_hand import settle

Captured = pytest.CaptureFixture[str]


def numbers(out: str) -> list[int]:
    """Return the numbers of the messages in a table."""
    rows = out.splitlines()[1:]
    return [int(line.split()[0]) for line in rows[: rows.index("")]] if rows else []


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
    for options in (["--new"], ["--to", to]):
        with pytest.raises(SystemExit) as ended:
            main(["ls", sample.url, *options])
        assert ended.value.code == 2
        assert "--new and --to DIR or --state FILE are used together" in capsys.readouterr().err


def test_what_new_compares_with_is_checked_first(capsys: Captured, tmp_path: Path) -> None:
    """What is not an archive, or not a state file, is an error that says so before a server is asked: nothing is listed
    as new that nothing was compared with."""
    (tmp_path / "mail").mkdir()
    (tmp_path / "file").write_text("hello\n" * 1000)
    for option, name, problem in (
        ("--to", "none", "there is no archive at"), ("--to", "mail", "`pymailbox archive`"),
        ("--to", "file", "there is no archive at"), ("--to", "~nobody-of-this-name/mail", "no home directory"),
        ("--state", "none", "there is no file of seen messages"), ("--state", "mail", "or name another file"),
        ("--state", "file", "or name another file"), ("--state", "~nobody-of-this-name/x", "no home directory"),
    ):  # fmt: skip
        with case(option, name):
            where = name if name.startswith("~") else str(tmp_path / name)
            assert main(["ls", "pop://me@127.0.0.1:1", "--new", option, where]) == 1
            captured = capsys.readouterr()
            assert (captured.out, captured.err.count("\n")) == ("", 1)
            assert problem in captured.err


def test_nothing_new_is_one_line(sample: Server, capsys: Captured, tmp_path: Path) -> None:
    """For people a sentence without a heading, for programs nothing; so is what no filter leaves."""
    to, state = str(tmp_path / "me"), str(tmp_path / "me.seen")
    assert main(["archive", sample.url, "--to", to, "--quiet"]) == 0
    with Seen(state) as seen, Mailbox.from_url(sample.url, "secret") as inbox:
        seen.add(inbox)
    for options in (["--to", to], ["--state", state]):
        assert main(["ls", sample.url, "--new", *options]) == 0
        assert capsys.readouterr().out == "no new messages; 10 messages, 3.9 KB in all\n"
        assert main(["ls", sample.url, "--new", *options, "--json"]) == 0
        assert capsys.readouterr().out == ""
    with Server([b"Date: Mon, 01 Jun 2026 07:30:00 +0200\r\n\r\n"]) as old, Server([]) as empty:
        assert main(["ls", old.url, "--since", "2030-01-01"]) == 0
        assert capsys.readouterr().out.startswith("no messages match; 1 message, ")
        assert main(["ls", empty.url, "--last", "1"]) == 0
        assert capsys.readouterr().out == "0 messages, 0 B\n"


def test_new_is_what_archive_would_fetch(capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if uids are used again, shared or blank, and after a rebuild, when only the names of files have them."""
    monkeypatch.setenv("PYMAILBOX_PASSWORD", "secret")
    to, box = tmp_path / "me", Box()
    for uid, number in (("a", 1), ("b", 2), ("twin", 3)):
        box.put(uid, message(number, 200 + number))
    with serve(box) as server:
        assert main(["archive", server.url, "--to", str(to), "--quiet"]) == 0
        for rebuilt in (False, True):
            if rebuilt:
                Archive.rebuild(to)
            put_before(server, box)
            assert main(["ls", server.url, "--new", "--to", str(to)]) == 0
            assert numbers(capsys.readouterr().out) == []
            other = Box(box.mails.copy())
            other.mails[1] = StoredMail(b"b", 400, content=message(4, 400))  # another message has its uid
            other.put("twin", message(5, 205))
            other.put("new", message(6, 206))
            put_before(server, other)
            assert main(["ls", server.url, "--new", "--to", str(to)]) == 0
            assert numbers(capsys.readouterr().out) == [2, 3, 4, 5]  # which of the twins is new, only the content tells
            if not rebuilt:
                assert main(["archive", server.url, "--to", str(to), "--dry-run", "--json"]) == 0
                assert json.loads(capsys.readouterr().out)["new"] == 4


def test_wrong_dates_are_usage_errors(capsys: Captured) -> None:
    """The error shows what a date looks like."""
    for date in ("", "soon", "7", "7y", "2026-13-01", "99999999w", "-1d"):
        with case(date):
            with pytest.raises(SystemExit) as ended:
                main(["ls", "pop://me@127.0.0.1:1", f"--since={date}"])
            assert ended.value.code == 2
            assert "expected one such as 2026-06-01" in capsys.readouterr().err
