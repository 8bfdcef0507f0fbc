"""Commands: arguments are checked before anything is sent, and replies are read as values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.errors import (
    AuthenticationError,
    CommandError,
    LimitExceeded,
    MailboxError,
    MessageUnavailable,
    ProtocolError,
    TemporaryFailure,
)
from pymailbox.pop3 import commands
from pymailbox.pop3.command import Body, Command
from pymailbox.pop3.limits import Limits
from tests import case
from tests.conversations import outcome, ready, results

NUMBERED: list[Any] = [commands.list, commands.uidl, commands.retr, commands.stream, commands.top, commands.dele]
TEXTUAL: list[Any] = [
    commands.user,
    commands.pass_,
    commands.rpop,
    commands.lang,
    lambda value: commands.auth(value),
    lambda value: commands.apop(value, "secret", b"<a@b>"),
    lambda value: commands.apop("me", value, b"<a@b>"),
]


def read(command: Command[Any], wire: bytes) -> Any:
    return outcome(ready([command]), [wire], eof=False)


def test_a_command_is_one_line() -> None:
    """A command is one line that ends in CRLF, with no trailing space if it has no argument (Q11)."""
    for command, line in (
        (commands.stat(), b"STAT\r\n"),
        (commands.list(), b"LIST\r\n"),
        (commands.list(3), b"LIST 3\r\n"),
        (commands.uidl(), b"UIDL\r\n"),
        (commands.uidl(10**17), b"UIDL 100000000000000000\r\n"),
        (commands.retr(7), b"RETR 7\r\n"),
        (commands.stream(7), b"RETR 7\r\n"),
        (commands.top(7), b"TOP 7 0\r\n"),
        (commands.top(7, 10), b"TOP 7 10\r\n"),
        (commands.dele(7), b"DELE 7\r\n"),
        (commands.rset(), b"RSET\r\n"),
        (commands.noop(), b"NOOP\r\n"),
        (commands.quit(), b"QUIT\r\n"),
        (commands.capa(), b"CAPA\r\n"),
        (commands.stls(), b"STLS\r\n"),
        (commands.utf8(), b"UTF8\r\n"),
        (commands.lang("de"), b"LANG de\r\n"),
        (commands.lang("*"), b"LANG *\r\n"),
        (commands.languages(), b"LANG\r\n"),
        (commands.user("mé"), b"USER m\xc3\xa9\r\n"),
        (commands.pass_(" two  words "), b"PASS  two  words \r\n"),
        (commands.rpop("me"), b"RPOP me\r\n"),
        # RFC 1939 §7, the example
        (
            commands.apop("mrose", "tanstaaf", b"<1896.697170952@dbc.mtview.ca.us>"),
            b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n",
        ),
        (commands.auth("PLAIN"), b"AUTH PLAIN\r\n"),
        (commands.auth("PLAIN", b"\0me\0secret"), b"AUTH PLAIN AG1lAHNlY3JldA==\r\n"),
        (commands.auth("EXTERNAL", b""), b"AUTH EXTERNAL =\r\n"),
        (commands.respond(b"\0me\0secret"), b"AG1lAHNlY3JldA==\r\n"),
        (commands.respond(b""), b"\r\n"),
        (commands.respond(None), b"*\r\n"),
        (commands.greeting(), b""),
    ):
        assert command.line == line


@pytest.mark.threat(121)
def test_message_numbers_out_of_range_are_refused() -> None:
    """Message numbers start at 1 and have at most 18 digits; anything else is ValueError at once."""
    for words, bad in (
        ("0", 0),
        ("-1", -1),
        ("19 digits", 10**18),
        ("5000 digits", 10**5000),
        ("-5000 digits", -(10**5000)),
    ):
        for make in NUMBERED:
            with case(make, words), pytest.raises(ValueError):
                make(bad)


@pytest.mark.threat(121)
def test_message_numbers_must_be_whole_numbers() -> None:
    """Anything but a whole number is TypeError at once."""
    for make in NUMBERED:
        for bad in ("1", 1.0, True, b"1", "１"):
            with case(make, bad), pytest.raises(TypeError):
                make(bad)


def test_top_accepts_zero_lines_or_more() -> None:
    """A negative number of lines for TOP is ValueError."""
    with pytest.raises(ValueError):
        commands.top(1, -1)


def test_no_argument_can_add_a_command() -> None:
    """Any control character (C0 or DEL) in any text argument is ValueError, and the value is not shown."""
    for number, make in enumerate(TEXTUAL):
        for byte in (*range(32), 127):
            with case(number, byte):
                with pytest.raises(ValueError) as caught:
                    make(f"hidden{chr(byte)}DELE 1")
                assert "hidden" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_one_line_or_refused(value: str) -> None:
    """Any text becomes one line in UTF-8, or ValueError."""
    for make in TEXTUAL[:3]:
        try:
            line = make(value).line
        except ValueError:
            continue
        assert line.count(b"\r") == line.count(b"\n") == 1
        assert line.endswith(value.encode() + b"\r\n")


def test_secrets_are_not_shown() -> None:
    """The `repr` and the redacted form of a command contain no secret."""
    for command, shown in (
        (commands.pass_("hunter2"), "PASS ***"),
        (commands.auth("PLAIN", b"hunter2"), "AUTH PLAIN ***"),
        (commands.respond(b"hunter2"), "SASL response ***"),
        (commands.apop("me", "hunter2", b"<a@b>"), "APOP ***"),
        (commands.retr(7), "RETR 7"),
        (commands.greeting(), "greeting"),
    ):
        assert command.redacted == shown
        assert "hunter2" not in repr(command)


# --- replies -----------------------------------------------------------------------------------------------------


def test_stat_needs_a_count_but_no_size() -> None:
    """The count must be a number; an invalid size is None (Q31, Q32)."""
    for wire, count, size in (
        (b"+OK 2 320\r\n", 2, 320),
        (b"+OK 2 320 and more\r\n", 2, 320),
        (b"+OK  2\t320\r\n", 2, 320),
        (b"+OK 2\r\n", 2, None),
        (b"+OK 2 octets\r\n", 2, None),
        (b"+OK 2 -2147483648\r\n", 2, None),
        (b"+OK 2 1_0\r\n", 2, None),
        (b"+OK 0 0\r\n", 0, 0),
    ):
        assert read(commands.stat(), wire) == [commands.Stat(count, size)], wire


def test_stat_without_a_count_is_a_protocol_error() -> None:
    """A count that is not a number is a `ProtocolError` with the server's text."""
    for words in (
        *(b"", b" ", b" two 320", b" -1 320", b" 1_0 320", b" 1.0 3", b" " + b"9" * 5000),
        *("  ٣ 1".encode(), b" 0x2 1"),
    ):
        error = read(commands.stat(), b"+OK" + words + b"\r\n")
        assert isinstance(error, ProtocolError), words
        assert error.command == "STAT", words


@pytest.mark.threat(67)
def test_stat_beyond_the_limit_is_refused() -> None:
    """A count beyond `entries` is `LimitExceeded`, so nothing is allocated for it."""
    error = read(commands.stat(entries=Limits().listing_entries), b"+OK 99999999999999999 1\r\n")
    assert isinstance(error, LimitExceeded)
    assert error.field == "listing_entries"


def test_list_and_uidl_of_one_message() -> None:
    """`LIST n` and `UIDL n` return the size or uid of that message, None if it is missing (Q34, Q42)."""
    for command, wire, value in (
        (commands.list(3), b"+OK 3 120\r\n", 120),
        (commands.list(3), b"+OK 3\t120 octets\r\n", 120),
        (commands.list(3), b"+OK 3\r\n", None),
        (commands.list(3), b"+OK 3 %!d(float64=1)\r\n", None),
        (commands.uidl(3), b"+OK 3 abc\r\n", "abc"),
        (commands.uidl(3), b"+OK 3   two words \r\n", "two words"),
        (commands.uidl(3), b"+OK 3 \xfc\r\n", "\udcfc"),
        (commands.uidl(3), b"+OK 3\r\n", None),
    ):
        assert read(command, wire) == [value], wire


def test_a_reply_about_another_message_is_a_protocol_error() -> None:
    """A reply about a message other than the requested one is a `ProtocolError`: replies may be out of step (Q38)."""
    for command in (commands.list(3), commands.uidl(3)):
        for words in (b"", b" ", b" 4 120", b" 120", b" three 120", b" follows"):
            assert isinstance(read(command, b"+OK" + words + b"\r\n"), ProtocolError), (command, words)


def test_texts_are_decoded() -> None:
    """The text of a reply is UTF-8, or Latin-1 if it is not valid UTF-8."""
    assert results(ready([commands.noop()] * 2), ["+OK grüß\r\n".encode() + b"+OK gr\xfc\xdf\r\n"]) == ["grüß", "grüß"]


def test_lang_returns_tags_with_descriptions() -> None:
    """LANG returns descriptions by tag; blank lines are skipped (RFC 6856 §3)."""
    found = read(commands.languages(), b"+OK\r\nen English\r\n\r\nde  Deutsch \r\nx\r\n.\r\n")
    assert found == [{"en": "English", "de": "Deutsch", "x": ""}]


def test_challenges_are_decoded() -> None:
    """A challenge is decoded, a final +OK is marked as such, and invalid base64 is None, not an error (Q24)."""
    for wire, data, final in (
        (b"+ aGVsbG8=\r\n", b"hello", False),
        (b"+ \r\n", b"", False),
        (b"+\r\n", b"", False),
        (b"+ go ahead\r\n", None, False),
        (b"+OK welcome!\r\n", None, True),
    ):
        assert read(commands.auth("PLAIN"), wire) == [commands.Challenge(data, final)]


def test_a_refusal_is_a_value_of_the_right_error() -> None:
    """-ERR is a value: the error for that command with the server's text. Multi-line commands get no body then."""
    refused: list[tuple[Command[Any], type[CommandError]]] = [
        (commands.greeting(), TemporaryFailure),
        (commands.pass_("x"), AuthenticationError),
        (commands.retr(1), MessageUnavailable),
        (commands.top(1), MessageUnavailable),
        (commands.dele(1), MessageUnavailable),
        (commands.noop(), CommandError),
        (commands.uidl(), CommandError),
    ]
    for command, kind in refused:
        with case(command):
            protocol = ready([command])
            protocol.receive_data(b"-ERR no\r\n")
            reply: Any = protocol.next_event()
            error = command.read(reply, protocol.note)
            assert type(error) is kind
            assert error.response == "no"
            assert error.usable
            assert reply.body is None


@given(st.binary(max_size=60).filter(lambda words: b"\n" not in words), st.binary(max_size=60))
def test_any_reply_is_read_or_refused(words: bytes, body: bytes) -> None:
    """A reply to any command is read, or raises `MailboxError`."""
    for make in (
        commands.stat,
        commands.list,
        commands.uidl,
        commands.capa,
        commands.languages,
        commands.noop,
        lambda: commands.list(3),
        lambda: commands.uidl(3),
        lambda: commands.auth("X"),
    ):
        command: Command[Any] = make()  # type: ignore[operator]
        wire = b"+OK " + words + b"\r\n"
        if command.verb.body is not Body.NONE:
            wire += body.replace(b".", b"..") + b"\r\n.\r\n"
        answer = read(command, wire)
        assert isinstance(answer, list | MailboxError)
