"""StreamCheck: no byte of a body that may be a stray reply reaches the sink, and every byte of a message does."""

import pytest

from pymailbox.errors import ProtocolError
from pymailbox.pop3 import commands
from pymailbox.pop3.command import Chunk, Reply
from pymailbox.pop3.stream_check import StreamCheck
from tests import case

STREAM = commands.stream(1)


def streamed(check: StreamCheck, body: bytes, *, size: int, text: bytes = b"", wanted: bool = True) -> bytes | None:
    """Pass a body on in chunks of `size`; return what the sink was given, None if the command must be sent again."""
    passed = [
        chunk.data
        for at in range(0, len(body), size)
        if (chunk := check.pass_on(Chunk(STREAM, body[at : at + size]), text, b"1 50")) is not None
    ]
    if check.end(Reply(STREAM, b"+OK", text, octets=len(body)), wanted=wanted):
        assert passed == []
        return None
    return b"".join(passed)


@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize("body", [b"", b"Subject: a\r\n\r\nb\r\n", b"+\r\n", b"+O\r\n", b"+O+OK\r\n", b"-ERR\r\n"])
def test_a_message_is_passed_on_whole(body: bytes, size: int) -> None:
    """A body that does not begin with +OK reaches the sink in full, however short its chunks are."""
    assert streamed(StreamCheck(), body, size=size) == body


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_a_body_that_looks_like_a_reply_is_requested_again(size: int) -> None:
    """The first is dropped; the second, if it begins so too and has the same size, is the message."""
    check = StreamCheck()
    body = b"+OK 1 20\r\nSubject: a\r\n"
    assert streamed(check, body, size=size) is None
    assert streamed(check, body, size=size) == body
    assert streamed(check, b"next\r\n", size=size) == b"next\r\n"


def test_a_different_second_body_is_an_error() -> None:
    """The first body was a stray reply, or the second is: nothing can be matched any more."""
    for second in (b"Subject: abc\r\n", b"+OK\r\n" * 2):
        with case(second):
            check = StreamCheck()
            assert streamed(check, b"+OK\r\nSubject\r\n", size=50) is None
            with pytest.raises(ProtocolError, match="out of step"):
                streamed(check, second, size=50)


def test_a_copy_of_the_last_checkpoint_is_an_error() -> None:
    """A body that looks like a reply, after a status line with the text of the last checkpoint's reply."""
    with pytest.raises(ProtocolError, match="out of step"):
        streamed(StreamCheck(), b"+OK\r\nSubject\r\n", size=50, text=b"1 50")


def test_a_body_that_is_no_longer_wanted_is_not_requested_again() -> None:
    """And the next body is a first one again."""
    check = StreamCheck()
    assert streamed(check, b"+OK\r\nSubject\r\n", size=50, wanted=False) == b""
    assert streamed(check, b"next\r\n", size=50) == b"next\r\n"
