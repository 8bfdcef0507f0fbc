"""Data that breaks the protocol becomes an error that says what happened."""

from hypothesis import given
from hypothesis import strategies as st

from pymailbox.errors import ConnectionLost, ProtocolError
from pymailbox.pop3.violations import bad_status, guess_service, limit_exceeded, truncated, unsolicited
from tests import case


def test_an_exceeded_limit_is_named() -> None:
    """The field to raise is in the text and in an attribute."""
    error = limit_exceeded("message", "a message", "RETR 1")
    assert error.field == "message"
    assert error.command == "RETR 1"
    assert "Limits.message" in str(error)
    assert not error.usable


def test_a_bad_status_shows_the_line() -> None:
    """The server's line is shown, in printable form, with its response code."""
    error = bad_status("no status", b"[SYS/TEMP] \x1b[31m\xff", "NOOP")
    assert error.code == "SYS/TEMP"
    assert str(error).isprintable()


def test_unsolicited_data_ends_the_session() -> None:
    """An unsolicited -ERR is the server closing the session; anything else, or -ERR together with a reply, is a violation."""
    for left, behind, kind, code in (
        (b"-ERR [IN-USE] bye\r\n", None, ConnectionLost, "IN-USE"),
        (b"-err bye\r\nmore", None, ConnectionLost, None),
        (b"+OK 7 7\r\n", None, ProtocolError, None),
        (b"-ERR bye\r\n", "DELE 1", ProtocolError, None),
        (b"x" * 10_000, "DELE 1", ProtocolError, None),
    ):
        with case(left[:30]):
            error = unsolicited(left, "NOOP", after=behind)
            assert type(error) is kind
            assert error.code == code
            assert error.response
            assert len(error.response) <= 500
            assert "\n" not in error.response


def test_the_error_for_a_truncated_stream_says_where_it_ended() -> None:
    """It shows a partial status line, but nothing of a message."""
    for left, midway, greeted, problem in (
        (b"half a mail", True, True, "middle of a message"),
        (b"", False, True, "instead of answering"),
        (b"-ERR [SYS/TEMP] half a li", False, True, "instead of answering"),
        (b"", False, False, "instead of greeting"),
        (b"+O", False, False, "instead of greeting"),
        (b"-ERR too ma", False, False, "instead of greeting"),
        (b"\x15\x03\x03\x00\x02\x02\x28", False, False, "TLS"),
        (b"HTTP/1.1 400", False, False, "HTTP"),
    ):
        with case(left, midway, greeted):
            error = truncated(left, "RETR 1", midway=midway, greeted=greeted)
            assert problem in str(error)
            assert (error.response is None) == (midway or not left)


@given(st.binary(max_size=40))
def test_any_line_gets_a_guess(line: bytes) -> None:
    """No input makes `guess_service` raise."""
    assert guess_service(line)
