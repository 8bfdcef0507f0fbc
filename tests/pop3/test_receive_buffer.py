"""ReceiveBuffer: what arrives is taken as lines, bodies and octets, however it was cut on its way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.pop3.framing import CRLF, LF
from pymailbox.pop3.receive_buffer import ReceiveBuffer

OCTETS = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"\r\n."]), max_size=40).map(b"".join)
SIZES = st.lists(st.integers(1, 20), min_size=1, max_size=5)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `data` into pieces of these sizes, over and over."""
    found = []
    while data:
        size = sizes[len(found) % len(sizes)]
        found.append(data[:size])
        data = data[size:]
    return found


@given(OCTETS, SIZES, st.integers(1, 12))
def test_lines_come_out_as_they_went_in(data: bytes, sizes: list[int], longest: int) -> None:
    """Every octet is taken once, in order; a line is cut at `longest` octets and ends at its LF."""
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
def test_a_body_stands_between_two_lines(newline: bytes, lines: list[bytes], sizes: list[int]) -> None:
    """However it is cut, a body is unstuffed, ends at its end and leaves the line after it."""
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
    """Later a bare LF does not fit where lines end in CRLF; a CR before the LF does no harm where they end in LF."""
    buffer = ReceiveBuffer()
    assert buffer.fix_line_ends(b"+OK\r\n")
    assert buffer.framing is CRLF
    assert not buffer.fix_line_ends(b"+OK\n")
    buffer.framing = None
    assert buffer.fix_line_ends(b"+OK\n")
    assert buffer.framing is LF
    assert buffer.fix_line_ends(b"+OK\r\n")
    assert buffer.framing is LF


def test_a_body_whose_status_line_is_gone() -> None:
    """`supply_line_end` has an empty body recognized though the line end before it was dropped."""
    buffer = ReceiveBuffer()
    buffer.feed(b"+OK\r\n")
    assert buffer.take_line(100) == b"+OK\r\n"
    buffer.feed(b".\r\nx")
    buffer.supply_line_end()
    buffer.begin_body()
    assert buffer.take_body() == (b"", True)
    assert buffer.take(10) == b"x"


def test_clear() -> None:
    """What was not taken is gone; the end of the stream and the line ends stay known."""
    buffer = ReceiveBuffer()
    buffer.feed(b"+OK\r\nhalf")
    buffer.fix_line_ends(b"+OK\r\n")
    buffer.feed_eof()
    buffer.clear()
    assert (buffer.empty, buffer.rest, buffer.ended, buffer.framing) == (True, b"", True, CRLF)
