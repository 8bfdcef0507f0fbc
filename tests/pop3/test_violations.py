"""Violations: octets that do not fit, as errors that say what happened."""

from hypothesis import given
from hypothesis import strategies as st

from pymailbox.errors import ConnectionLost, ProtocolError
from pymailbox.pop3.violations import bad_status, guess_service, limit_exceeded, truncated, unsolicited
from tests import case


def test_exceeded_names_the_field() -> None:
    """The field to raise is named in the text and as an attribute."""
    error = limit_exceeded("message", "a message", "RETR 1")
    assert error.field == "message"
    assert error.command == "RETR 1"
    assert "Limits.message" in str(error)
    assert not error.usable


def test_strange_shows_the_line() -> None:
    """What the server said is shown, printable, with its response code."""
    error = bad_status("no status", b"[SYS/TEMP] \x1b[31m\xff", "NOOP")
    assert error.code == "SYS/TEMP"
    assert str(error).isprintable()


def test_unasked() -> None:
    """-ERR out of the blue is the server's leave-taking; anything else, or beside a reply, is out of step."""
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


def test_truncated() -> None:
    """The end of the stream is told by where it came; of a mail nothing is shown."""
    for left, midway, greeted, said in (
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
            assert said in str(error)
            assert (error.response is None) == (midway or not left)


@given(st.binary(max_size=40))
def test_any_octets_have_an_answer(line: bytes) -> None:
    """No octets raise."""
    assert guess_service(line)
