"""The drop-in's reader gives the same lines, bodies and file, however the data arrives."""

import io
from collections.abc import Callable
from poplib import error_proto

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.pop3.limits import Limits
from pymailbox.poplib.reader import Reader, lines_by
from tests import case
from tests.timing import assert_linear

#: Messages in which dots and line ends are as frequent as anything else.
MAIL = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"\r\n.", b"\xff"]), max_size=40).map(b"".join)
SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=5)


class Pieces(io.RawIOBase):
    """A file that returns its data in pieces of these sizes, repeated as needed."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.data, self.sizes, self.turn = data, sizes, 0

    def read1(self, size: int) -> bytes:
        self.turn += 1
        size = min(size, self.sizes[self.turn % len(self.sizes)])
        piece, self.data = self.data[:size], self.data[size:]
        return piece


def reader(data: bytes, sizes: list[int]) -> Reader:
    return Reader(Pieces(data, sizes), Limits())


def stuffed(mail: bytes) -> bytes:
    """Return a message as a server sends it (RFC 1939 §3), with a final line end."""
    if not mail.endswith(b"\r\n"):
        mail += b"\r\n"
    return (b"\r\n" + mail).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def parted(mail: bytes) -> list[bytes]:
    """Split at each LF, and remove a CR before it, in the simplest and slowest way."""
    if not mail.endswith(b"\r\n"):
        mail += b"\r\n"
    return [line[:-2] if line.endswith(b"\r\n") else line[:-1] for line in io.BytesIO(mail)]


@given(MAIL, MAIL, SIZES)
def test_any_split_gives_the_same_lines(first: bytes, second: bytes, sizes: list[int]) -> None:
    """Reading a stuffed message returns the lines and the size of the original, and leaves the next reply untouched."""
    with reader(b"+OK\r\n" + stuffed(first) + b"+OK more\r\n" + stuffed(second), sizes) as file:
        file.protocol.expect()
        file.protocol.expect()
        for mail, status in ((first, b"+OK\r\n"), (second, b"+OK more\r\n")):
            assert file.readline() == status
            lines, size = file.lines()
            assert lines == parted(mail)
            assert size == len(mail) + (0 if mail.endswith(b"\r\n") else 2)
        assert file.protocol.quiet


@given(MAIL, SIZES)
def test_a_body_cut_anywhere_is_an_error(mail: bytes, sizes: list[int]) -> None:
    """If any part of a body is missing, even only its last byte, nothing of it is returned."""
    whole = stuffed(mail)
    for cut in range(len(whole)):
        with case(cut), reader(b"+OK\r\n" + whole[:cut], sizes) as file:
            file.readline()
            with pytest.raises(error_proto, match=r"^-ERR EOF$"):
                file.lines()
            with pytest.raises(error_proto, match=r"^-ERR EOF$"):
                file.readline()


@given(MAIL, SIZES, st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=20))
def test_it_is_a_file(mail: bytes, sizes: list[int], asked: list[int | None]) -> None:
    """readline and read, in any order, return the same as with a file of the same content."""
    with reader(mail, sizes) as file:
        other = io.BytesIO(mail)
        for size in asked:
            if size is None:
                assert file.readline(4) == other.readline(4)
            else:
                assert file.read(size) == other.read(size)
        assert file.read() == other.read()
        assert file.read1() == b""
        assert file.readable()


def test_it_has_the_other_methods_of_a_file() -> None:
    """Iteration, readlines and readinto come from the base class; close() also closes the underlying file."""
    source = Pieces(b"+OK\r\na\r\nb\r\nc\r\nrest", [3])
    file = Reader(source, Limits())
    assert next(file) == b"+OK\r\n"
    assert file.readlines(4) == [b"a\r\n", b"b\r\n"]
    buffer = bytearray(2)
    assert file.readinto(buffer) == 2
    assert bytes(buffer) == b"c\r"
    file.close()
    assert source.closed
    file.close()


def long_line(size: int) -> Callable[[int], Callable[[], object]]:
    """Return a function that prepares reading a line of n pieces of that size."""

    def prepare(n: int) -> Callable[[], object]:
        line = b"x" * (n * size)

        class Pieces(io.RawIOBase):
            left = n

            def read1(self, _: int) -> bytes:
                self.left -= 1
                return line[:size] if self.left >= 0 else b"\r\n.\r\n"

        def read() -> None:
            with Reader(Pieces(), Limits()) as file:
                file.protocol.receive_data(b"+OK\r\n")
                file.readline()
                assert file.lines() == ([line], len(line) + 2)

        return read

    return prepare


def test_a_long_line_takes_linear_time() -> None:
    """A line that arrives in many pieces is joined only once, not for each piece."""
    assert_linear(long_line(1 << 11), 500)
    line = b"x" * 1_000_000
    with reader(b"+OK\r\n" + line + b"\r\n.\r\n", [1 << 16]) as file:
        file.readline()
        assert file.lines() == ([line], len(line) + 2)


@pytest.mark.slow
def test_a_very_long_line_can_be_read() -> None:
    """A line of 20 MB arrives whole."""
    line = b"x" * 20_000_000
    with reader(b"+OK\r\n" + line + b"\r\n.\r\n", [1 << 16]) as file:
        file.readline()
        assert file.lines() == ([line], len(line) + 2)


def test_lines_can_be_read_one_at_a_time() -> None:
    """With a subclass's `_getline`, lines are read up to the dot, and a leading dot is removed and not counted."""
    given_lines = iter([(b"a", 3), (b"..b", 5), (b".c", 4), (b".", 3)])
    assert lines_by(lambda: next(given_lines), lambda *_: None) == ([b"a", b".b", b"c"], 10)


def test_an_invalid_source_is_a_type_error() -> None:
    """A source must be a socket or a binary file."""
    with pytest.raises(TypeError, match="expected a socket or a binary file, not <object"):
        Reader(object(), Limits())
