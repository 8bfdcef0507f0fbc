"""Listings: LIST and UIDL bodies become dictionaries, and an odd line affects no other (decision 9)."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymailbox.pop3 import listings
from pymailbox.pop3.listings import number_of, read_sizes, read_uids
from tests import case
from tests.timing import assert_linear


class Notes(dict[str, str]):
    """Collects the quirks noted, each with its first occurrence."""

    def __call__(self, quirk: str, seen: str) -> None:
        self.setdefault(quirk, seen)


def slowly(body: bytes, *, sizes: bool) -> dict[int, object]:
    """Read a listing line by line, as a plain statement of the rules."""
    found: dict[int, object] = {}
    for line in body.split(b"\n"):
        line = line.removesuffix(b"\r")
        if line.lstrip()[:3].upper() == b"+OK" and line.split()[0].upper() == b"+OK":
            line = line.lstrip()[3:]
        words = line.split(None, 1)
        if not words or not words[0].isdigit() or len(words[0]) > 18 or int(words[0]) == 0:
            continue
        value: object = None
        if len(words) > 1 and sizes:
            first = words[1].split()[0]
            value = int(first) if first.isdigit() and len(first) <= 18 else None
        elif len(words) > 1:
            value = words[1].rstrip(b" \t").decode("utf-8", "surrogateescape") or None
        number = int(words[0])
        found[number] = value if number not in found or found[number] == value else None
    return found


WORD = st.sampled_from(
    [
        b"1",
        b"2",
        b"3",
        b"07",
        b"0",
        b"-1",
        b"abc",
        b"",
        b" ",
        b"\t",
        b"+OK",
        b"\xff",
        b"\xc2\x85",
        b"1e3",
        b"9" * 19,
        b"\x0b",
    ]
)
ODD_LINE = st.lists(WORD, max_size=4).map(b" ".join)
LINES = st.lists(st.one_of(ODD_LINE, st.integers(0, 30).map(lambda n: b"%d %d" % (n, n * 7))), max_size=12)


@given(LINES, st.sampled_from([b"\r\n", b"\n"]), st.booleans(), st.integers(1, 40))
@settings(max_examples=400)
def test_any_listing_reads_as_line_by_line(lines: list[bytes], newline: bytes, regular: bool, slab: int) -> None:
    """The fast and the slow reader agree on any listing, in slabs of any size."""
    if regular:
        lines = [b"%d %d" % (number, len(line)) for number, line in enumerate(lines, 1)]
    body = b"".join(line + newline for line in lines)
    kept, listings._SLAB = listings._SLAB, slab
    try:
        assert read_sizes(body, Notes()) == slowly(body, sizes=True)
        assert read_uids(body, Notes()) == slowly(body, sizes=False)
    finally:
        listings._SLAB = kept


def test_a_number_repeated_across_slabs_has_no_value() -> None:
    """A number that comes again after a smaller one has no value, even if its slab by itself is regular (Q47)."""
    kept, listings._SLAB = listings._SLAB, 1
    try:
        assert read_sizes(b"2 9\r\n1 3\r\n2 14\r\n", Notes()) == {2: None, 1: 3}
    finally:
        listings._SLAB = kept


def test_a_regular_listing_notes_no_quirk() -> None:
    """A regular listing notes no quirk."""
    notes = Notes()
    assert read_sizes(b"1 120\r\n2 200\r\n", notes) == {1: 120, 2: 200}
    assert read_uids(b"1 whqtswO00WBw418f9t5JxYwZ\r\n2 QhdPYR:00WBw1Ph7x7\r\n", notes) == {
        1: "whqtswO00WBw418f9t5JxYwZ",
        2: "QhdPYR:00WBw1Ph7x7",
    }
    assert read_sizes(b"", notes) == {}
    assert not notes


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_an_odd_line_of_list_affects_no_other(newline: bytes) -> None:
    """An odd line of LIST is noted, and skipped or without a size; the rest is read (Q34, Q36, Q46, Q47)."""
    for body, found, noted in (
        (b"1\n2 200\n", {1: None, 2: 200}, "LIST_WITHOUT_SIZE"),
        (b"1 %!d(float64=5461)\n2 200\n", {1: None, 2: 200}, "LIST_JUNK_SIZE"),
        (b"1 -5\n2 200\n", {1: None, 2: 200}, "LIST_JUNK_SIZE"),
        (b"1 1_0\n2 200\n", {1: None, 2: 200}, "LIST_JUNK_SIZE"),
        (b"1 120 seen 0\n2 200\n", {1: 120, 2: 200}, "LIST_EXTRA_FIELDS"),
        (b"1  \t 120\n2\t200\n", {1: 120, 2: 200}, "LIST_EXTRA_SPACES"),
        (b"\n1 120\n", {1: 120}, "BLANK_LINE_IN_LISTING"),
        (b"0 5\n-1 5\nx 5\n1 120\n", {1: 120}, "UNKNOWN_NUMBER_IN_LIST"),
        (b"2 200\n1 120\n", {2: 200, 1: 120}, "UNORDERED_LIST"),
        (b"1 120\n1 121\n2 200\n1 120\n", {1: None, 2: 200}, "NUMBER_TWICE_IN_LISTING"),
        (b"1 " + b"9" * 5000 + b"\n2 200\n", {1: None, 2: 200}, "LIST_JUNK_SIZE"),
    ):
        notes = Notes()
        with case(body):
            assert read_sizes(body.replace(b"\n", newline), notes) == found
            assert noted in notes


@pytest.mark.parametrize(
    ("body", "found", "noted"),
    [
        (b"1   abc\r\n2   def\r\n", {1: "abc", 2: "def"}, "SPACES_BEFORE_UID"),
        (b"+OK 1 abc\r\n+OK 2 def\r\n", {1: "abc", 2: "def"}, "OK_PREFIX_ON_UIDL"),
        (b"1 \r\n2 def\r\n3\r\n", {1: None, 2: "def", 3: None}, "BLANK_UID"),
        (b"0 stranger\r\n1 abc\r\n", {1: "abc"}, "UNKNOWN_NUMBER_IN_UIDL"),
        (b"2 def\r\n1 abc\r\n", {1: "abc", 2: "def"}, "UNORDERED_UIDL"),
    ],
)
@pytest.mark.threat(73)
def test_an_odd_line_of_uidl_affects_no_other(body: bytes, found: dict[int, str | None], noted: str) -> None:
    """An odd line of UIDL is noted, and at most that line is lost (Q40, Q41, Q42, Q47)."""
    notes = Notes()
    assert read_uids(body, notes) == found
    assert noted in notes


@pytest.mark.threat(76)
def test_uids_keep_every_byte() -> None:
    """A uid may have inner spaces, 8-bit bytes, NUL, ESC and 200 characters, and encodes back to the same bytes."""
    uids = {
        1: b"two words",
        2: b"\xfcber",
        3: "ü".encode(),
        4: b"a\0b\x1bc",
        5: b"x" * 200,
        6: b"../../etc",
        7: b"a\xc2\x85b",
    }
    body = b"".join(b"%d %s\r\n" % pair for pair in uids.items())
    found = read_uids(body, Notes())
    assert {number: uid.encode("utf-8", "surrogateescape") for number, uid in found.items() if uid} == uids


@pytest.mark.threat(75)
def test_equal_uids_are_kept_apart_by_number() -> None:
    """Two messages may have the same uid (RFC 1939 §7; Q43)."""
    assert read_uids(b"1 a\r\n2 a\r\n", Notes()) == {1: "a", 2: "a"}


def test_a_lost_line_end_loses_one_line() -> None:
    """If a server loses the line end between two lines, the second message is missing and the rest is read (Q46)."""
    assert read_uids(b"1 abc2 def\r\n3 ghi\r\n", Notes()) == {1: "abc2 def", 3: "ghi"}


def test_numbers_are_ascii_digits() -> None:
    """A number has at most 18 ASCII digits and nothing else."""
    for token, number in (
        (b"7", 7),
        (b"007", 7),
        (b"9" * 18, 10**18 - 1),
        (b"9" * 19, None),
        (b"", None),
        (b"+7", None),
        (b"-7", None),
        (b"1_0", None),
        ("٣".encode(), None),
        (b" 7", None),
    ):
        assert number_of(token) == number, token


def test_the_cost_of_a_listing_is_linear() -> None:
    """A listing twice as long costs no more per line, whether it is regular or odd."""

    def regular(n: int) -> Callable[[], object]:
        body = b"".join(b"%d %d\r\n" % (k, k * 3) for k in range(1, n + 1))
        assert len(read_sizes(body, Notes())) == n
        return lambda: read_sizes(body, Notes())

    def odd(n: int) -> Callable[[], object]:
        body = b"".join(b"%d  x%d\r\n" % (k, k) for k in range(1, n + 1))
        assert len(read_uids(body, Notes())) == n
        return lambda: read_uids(body, Notes())

    assert_linear(regular, 5_000)
    assert_linear(odd, 5_000)
