"""Pieces are joined in order, and need little more memory than their content."""

import tracemalloc
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pymailbox.pop3.pieces import Pieces
from tests import case
from tests.timing import assert_linear


@given(st.lists(st.lists(st.integers(0, 40_000).map(bytes), max_size=5), max_size=4))
def test_pieces_are_joined_in_order(rounds: list[list[bytes]]) -> None:
    """`take` returns everything added since the last call."""
    pieces = Pieces()
    for number, added in enumerate(rounds):
        given_pieces = [bytes([number]) + piece + bytes([len(piece) % 256]) for piece in added]
        for piece in given_pieces:
            pieces.add(piece)
        assert pieces.size == sum(map(len, given_pieces))
        assert pieces.take() == b"".join(given_pieces)
        assert pieces.size == 0


def test_one_large_piece_is_not_copied() -> None:
    """In the common case, a message that arrives at once, joining costs nothing."""
    piece, pieces = bytes(100_000), Pieces()
    pieces.add(piece)
    assert pieces.take() is piece


def test_memory_is_proportional_to_the_content() -> None:
    """For pieces of any size and order it is 1.2 times their content, and 2.3 times while they are taken."""
    total, room = 1 << 19, 1 << 16
    for sizes in ((1,), (2,), (16,), (100,), (1, 20_000), (16_383,), (16_384,), (1 << 17,), (1, 3, 16_384, 7)):
        with case(sizes):
            pieces = Pieces()
            tracemalloc.start()
            while pieces.size < total:
                for size in sizes:
                    pieces.add(b"x" * size)
            held = tracemalloc.get_traced_memory()[0]
            pieces.take()
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert held <= 1.2 * total + room
            assert most <= 2.3 * total + room


def test_time_is_proportional_to_the_content() -> None:
    """Twice as many pieces take twice as long."""

    def adding(sizes: tuple[int, ...]) -> Callable[[int], Callable[[], object]]:
        def prepare(n: int) -> Callable[[], object]:
            made = [b"x" * size for size in sizes] * n

            def work() -> None:
                pieces = Pieces()
                for piece in made:
                    pieces.add(piece)
                pieces.take()

            return work

        return prepare

    for sizes in ((1,), (1, 16_384)):
        with case(sizes):
            assert_linear(adding(sizes), 2000)
