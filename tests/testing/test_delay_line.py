"""What goes into a delay line comes out in order, when it is due, and as far as the faults allow."""

from hypothesis import given
from hypothesis import strategies as st

from pymailbox.testing.delay_line import DelayLine
from pymailbox.testing.fault import Fault

pieces = st.lists(st.binary(max_size=20), max_size=20)


def drain(line: DelayLine, now: float, least: int = 1 << 30) -> list[bytes]:
    """Take everything that is due now, at most `least` bytes at a time."""
    out = []
    while head := line.head(now):
        out.append(bytes(head[:least]))
        line.advance(len(out[-1]), now)
    return out


@given(pieces, st.integers(1, 7))
def test_order_is_kept(pushed: list[bytes], least: int) -> None:
    """However little is taken at a time, the bytes come out in the order they went in."""
    line = DelayLine()
    for piece in pushed:
        line.push(piece, 0.0)
    assert line.backlog == sum(map(len, pushed))
    assert b"".join(drain(line, 0.0, least)) == b"".join(pushed)
    assert line.backlog == 0
    assert line.due() is None


@given(pieces)
def test_latency_is_per_piece(pushed: list[bytes]) -> None:
    """Each piece is due one latency after it was pushed; none waits for the one before it."""
    line = DelayLine(5.0)
    for number, piece in enumerate(pushed):
        line.push(piece, float(number))
    for number, piece in enumerate(pushed):
        assert b"".join(drain(line, number + 4.9)) == b""
        assert line.due() == (number + 5.0 if any(pushed[number:]) and piece else line.due())
        assert b"".join(drain(line, number + 5.0)) == piece


@given(pieces, st.integers(0, 200), st.sampled_from(["cut", "stall"]))
def test_nothing_passes_a_cut(pushed: list[bytes], after: int, kind: str) -> None:
    """Exactly the bytes before the mark come out, however they were pushed."""
    line = DelayLine()
    line.arm(Fault.cut(after) if kind == "cut" else Fault.stall(after))
    for piece in pushed:
        line.push(piece, 0.0)
        line.head(0.0)
    whole = b"".join(pushed)
    assert b"".join(drain(line, 0.0)) == whole[:after]
    reached = len(whole) >= after
    assert (line.ended == "fin") == (reached and kind == "cut")
    assert line.stalled == (reached and kind == "stall")


@given(pieces, st.integers(0, 50), st.integers(1, 5))
def test_split_and_drip_limit_the_segment_size(pushed: list[bytes], after: int, size: int) -> None:
    """After the mark, no segment is larger than requested, and a drip pauses between segments."""
    line, slow = DelayLine(), DelayLine()
    line.arm(Fault.split(size, after=after))
    slow.arm(Fault.drip(size, 1.0, after=after))
    whole = b"".join(pushed)
    for piece in pushed:
        line.push(piece, 0.0)
        slow.push(piece, 0.0)
    out = drain(line, 0.0)
    assert b"".join(out) == whole
    position = 0
    for piece in out:
        assert position + len(piece) <= after or len(piece) <= size
        position += len(piece)
    now, got = 0.0, b"".join(drain(slow, 0.0))
    assert whole.startswith(got)
    assert len(whole[:after]) <= len(got) <= after + size
    while (due := slow.due()) is not None:
        assert due == now + 1.0
        now = due
        got += b"".join(drain(slow, now))
    assert got == whole
