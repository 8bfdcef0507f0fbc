"""ReceiveBuffer: lines, bodies and bytes are taken correctly, however the data was cut into packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.pop3.framing import CRLF, LF
from pymailbox.pop3.receive_buffer import ReceiveBuffer

OCTETS = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"\r\n."]), max_size=40).map(b"".join)
SIZES = st.lists(st.integers(1, 20), min_size=1, max_size=5)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `data` into pieces of these sizes, repeated."""
    found = []
    while data:
        size = sizes[len(found) % len(sizes)]
        found.append(data[:size])
        data = data[size:]
    return found


@given(OCTETS, SIZES, st.integers(1, 12))
def test_lines_are_taken_once_and_in_order(data: bytes, sizes: list[int], longest: int) -> None:
    """Every byte is taken once, in order; a line ends at its LF or is cut at `longest` bytes."""
    buffer, lines = ReceiveBuffer(), []
    for piece in pieces(data, sizes):
        buffer.feed(piece)
        while (line := buffer.take_line(longest)) is not None:
            lines.append(line)
    assert b"".join(lines) + buffer.rest == data
    for line in lines:
        assert line.endswith(b"\n") or len(line) == longest
        assert len(line) <= longest
        assert b"\n" not in line[:-1]
    assert b"\n" not in buffer.rest
    assert len(buffer.rest) < longest


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@given(st.lists(st.sampled_from([b"", b".", b"..", b"a", b".a", b"a."]), max_size=12), SIZES)
def test_a_body_is_taken_between_two_lines(newline: bytes, lines: list[bytes], sizes: list[int]) -> None:
    """However it is cut, a body is unstuffed and complete, and the line after it is left."""
    stuffed = b"".join((b"." + line if line[:1] == b"." else line) + newline for line in lines)
    buffer, got, complete = ReceiveBuffer(), [], None
    for piece in pieces(b"+OK" + newline + stuffed + b"." + newline + b"+OK more" + newline, sizes):
        buffer.feed(piece)
        if complete is None and (line := buffer.take_line(100)) is not None:
            assert buffer.fix_line_ends(line)
            buffer.begin_body()
            complete = False
        if complete is False:
            body, complete = buffer.take_body()
            got.append(body)
    assert complete
    assert b"".join(got) == b"".join(line + newline for line in lines)
    assert buffer.take_line(100) == b"+OK more" + newline
    assert buffer.empty


def test_the_first_status_line_fixes_the_line_ends() -> None:
    """If it ends in CRLF, a later bare LF is wrong; if it ends in LF, a later CRLF is fine."""
    buffer = ReceiveBuffer()
    assert buffer.fix_line_ends(b"+OK\r\n")
    assert buffer.framing is CRLF
    assert not buffer.fix_line_ends(b"+OK\n")
    buffer.framing = None
    assert buffer.fix_line_ends(b"+OK\n")
    assert buffer.framing is LF
    assert buffer.fix_line_ends(b"+OK\r\n")
    assert buffer.framing is LF


def test_an_empty_body_is_recognized_after_a_dropped_status_line() -> None:
    """`supply_line_end` restores the line end before a body, which `feed` may have dropped."""
    buffer = ReceiveBuffer()
    buffer.feed(b"+OK\r\n")
    assert buffer.take_line(100) == b"+OK\r\n"
    buffer.feed(b".\r\nx")
    buffer.supply_line_end()
    buffer.begin_body()
    assert buffer.take_body() == (b"", True)
    assert buffer.take(10) == b"x"


def test_clear_drops_only_what_is_not_taken() -> None:
    """The bytes not taken are dropped; the end of the stream and the line ends are kept."""
    buffer = ReceiveBuffer()
    buffer.feed(b"+OK\r\nhalf")
    buffer.fix_line_ends(b"+OK\r\n")
    buffer.feed_eof()
    buffer.clear()
    assert (buffer.empty, buffer.rest, buffer.ended, buffer.framing) == (True, b"", True, CRLF)
