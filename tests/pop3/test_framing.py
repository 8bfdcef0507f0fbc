"""Framing: bodies are read as a simple line-by-line reader reads them (RFC 1939 §3; decision 6)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymailbox.pop3.framing import CRLF, LF, Framing, longest_line
from tests import case
from tests.conversations import stuffed

PARTS = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"x", b"..", b"\r\n.", b"\n."]), max_size=60).map(
    b"".join
)


def slowly(data: bytes, framing: Framing) -> tuple[bytes, int] | None:
    """Return the body at the start of `data` and the position after it, reading line by line; None if it has no end."""
    body, at = b"", 0
    while (end := data.find(framing.newline, at)) >= 0:
        line = data[at:end]
        at = end + len(framing.newline)
        if line == b"." or (framing is LF and line == b".\r"):
            return body, at
        body += line.removeprefix(b".") + framing.newline
    return None


@pytest.mark.parametrize("framing", [CRLF, LF], ids=["CRLF", "LF"])
@given(data=PARTS, end=st.booleans(), behind=st.sampled_from([b"", b"+OK\r\n", b".\r\n"]))
@settings(max_examples=400)
def test_a_body_is_read_as_line_by_line(framing: Framing, data: bytes, end: bool, behind: bytes) -> None:
    """For any bytes the fast reader takes what the slow one takes, or the part of it that is certain."""
    data += framing.newline + b"." + framing.newline + behind if end else b""
    wire = b"+OK" + framing.newline + data
    start = len(b"+OK" + framing.newline)
    body, at, ended = framing.take(wire, start, len(framing.newline))
    expected = slowly(data, framing)
    assert ended == (expected is not None)
    if expected is not None:
        assert (body, at - start) == expected
    else:
        rest = wire[max(at, start) :]
        assert len(rest) <= 4
        whole = slowly(data + framing.newline + b"." + framing.newline, framing)
        assert whole is not None
        assert whole[0].startswith(body)


@pytest.mark.parametrize("framing", [CRLF, LF], ids=["CRLF", "LF"])
def test_each_stuffed_line_loses_one_dot(framing: Framing) -> None:
    """Each stuffed line loses one dot, whether there are few or many, and wherever the body is cut."""
    for count in (1, 63, 64, 65, 200, 5000):
        body = b"".join((b".dotted" if n % 3 else b"plain") + framing.newline for n in range(count))
        wire = framing.newline + stuffed(body, framing.newline)
        taken = framing.take(wire, len(framing.newline), len(framing.newline))
        assert taken == (body, len(wire), True), count
        for cut in range(max(len(wire) - 12, 2 * len(framing.newline)), len(wire)):
            with case(count, cut):
                part, at, ended = framing.take(wire[:cut], len(framing.newline), len(framing.newline))
                assert not ended
                rest, _, ended = framing.take(wire, at)
                assert ended
                assert part + rest == body


@given(st.lists(st.integers(0, 12), max_size=20), st.integers(1, 10), st.integers(0, 10))
def test_the_unfinished_line_is_measured(lengths: list[int], most: int, begun: int) -> None:
    """The result is the length of the unfinished last line, or more than the bound if any line exceeds it."""
    begun = min(begun, most)
    piece = b"\n".join(b"x" * length for length in lengths)
    lines = [len(line) for line in piece.split(b"\n")]
    lines[0] += begun
    found = longest_line(piece, begun, most)
    if max(lines) > most:
        assert found > most
    else:
        assert found == lines[-1]
