"""Dates in any form that mail programs write are aware, or None."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content.dates import parse_date

DATES = [
    ("Mon, 2 Jun 2025 10:00:00 +0200", "2025-06-02T08:00:00"),
    ("2 Jun 2025 10:00 +0200", "2025-06-02T08:00:00"),
    ("Mon, 02 June 2025 10:00:00 GMT", "2025-06-02T10:00:00"),
    ("Mon,2 Jun 2025 10:00:00 -0000", "2025-06-02T10:00:00"),
    ("Mon, 2 Jun 2025 10:00:00", "2025-06-02T10:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 (EDT) -0400", "2025-06-02T14:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 -0400 (EDT)", "2025-06-02T14:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 EDT", "2025-06-02T14:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 GMT+1", "2025-06-02T09:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 +02:00", "2025-06-02T08:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 PM +0000", "2025-06-02T22:00:00"),
    ("Mon, 2 Jun 2025 12:00:00 am +0000", "2025-06-02T00:00:00"),
    ("Mon, 2 Jun 25 10:00:00 +0000", "2025-06-02T10:00:00"),
    ("Mon, 2 Jun 99 10:00:00 +0000", "1999-06-02T10:00:00"),
    ("Mon, 2 Jun 102 10:00:00 +0000", "2002-06-02T10:00:00"),
    ("02-Jun-2025 10:00:00 +0000", "2025-06-02T10:00:00"),
    ("Mon Jun  2 10:00:00 2025", "2025-06-02T10:00:00"),
    ("Mon Jun  2 10:00:00 EDT 2025", "2025-06-02T14:00:00"),
    ("2025-06-02T10:00:00Z", "2025-06-02T10:00:00"),
    ("2025-06-02 10:00:00.123 +0200", "2025-06-02T08:00:00"),
    ("Mon, 2 Jun 2025 10:00:60 +0000", "2025-06-02T10:00:59"),
    ("2 Jun 2025", "2025-06-02T00:00:00"),
    ("June 2, 2025", "2025-06-02T00:00:00"),
    ("2025-06-02", "2025-06-02T00:00:00"),
    ("Jun 2, 2025 10:00 AM", "2025-06-02T10:00:00"),
    ("2025-Jun-02 10:00:00", "2025-06-02T10:00:00"),
    ("2 Jun 10:00:00 +0200 2025", "2025-06-02T08:00:00"),
    ("Mon, 2 Jun 2025 24:00:00 +0200", "2025-06-02T22:00:00"),
    ("Mon, 2 Jun 2025 10: 00: 00 +0200", "2025-06-02T08:00:00"),
    ("Mon, 2 Jun 2025 10.00.00 +0200", "2025-06-02T08:00:00"),
    ("Mon (today), 2 (of) Jun (y) 2025 10:00:00 +0200", "2025-06-02T08:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 (CEST)", "2025-06-02T10:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 GMT (UTC+02:00)", "2025-06-02T10:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 GMT +0200", "2025-06-02T10:00:00"),
    ("Mon, 2 Jun 2025 10:00:00 GMT+0200", "2025-06-02T08:00:00"),
    (", 2 Jun 2025 10:00:00 +0200", "2025-06-02T08:00:00"),
    ("Date: Mon, 2 Jun 2025 10:00:00 +0200", "2025-06-02T08:00:00"),
    ('"Mon, 2 Jun 2025 10:00:00 +0200"', "2025-06-02T08:00:00"),
    ("Thu, 13 Feb 1969 23:32 -0330 (Newfoundland Time)", "1969-02-14T03:02:00"),
]


def test_dates_read_as_meant() -> None:
    """Every form seen in mail gives the instant it means; UTC without a usable zone."""
    for text, expected in DATES:
        read = parse_date(text)
        assert read is not None, text
        assert read.tzinfo is not None, text
        assert read == datetime.fromisoformat(expected).replace(tzinfo=UTC), text


NO_DATES = [
    "",
    "yesterday",
    "Mon, 31 Feb 2025 10:00:00 +0000",
    "Mon, 2 Jun 2025 25:00:00 +0000",
    "Mon, 2 Foo 2025 10:00:00 +0000",
    "2 Jun 2025 1000:00",
    "2 Jun 202 10:00:00",
    "2 Jun 12025 10:00:00",
    "Mon, 2 Jun 2025 24:00:01 +0000",
    "0 Jun 0 0:0:0",
    "2025-13-02 10:00:00",
    "Mon Jun  2 10:00:00",
]


def test_text_that_is_not_a_date_is_none() -> None:
    """Impossible days and hours, and mere words, give no date."""
    for text in NO_DATES:
        assert parse_date(text) is None, text


def test_the_offset_is_kept() -> None:
    """The value keeps the zone of the sender."""
    read = parse_date("Mon, 2 Jun 2025 10:00:00 -0330")
    assert read is not None
    assert read.utcoffset() == -timedelta(hours=3, minutes=30)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(9998, 12, 31)),
    st.integers(-14 * 60, 14 * 60),
)
def test_a_well_written_date_is_read_back(instant: datetime, offset: int) -> None:
    """A date written as in RFC 5322 is read as the same instant and offset."""
    written = instant.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=offset)))
    sign, minutes = ("-", -offset) if offset < 0 else ("+", offset)
    text = f"{written:%d} {['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'][written.month - 1]} {written.year:04} "
    text += f"{written:%H:%M:%S} {sign}{minutes // 60:02}{minutes % 60:02}"
    read = parse_date(text)
    assert read == written
    assert read is not None
    assert read.utcoffset() == written.utcoffset()


@given(st.text(max_size=80))
def test_any_text_reads(text: str) -> None:
    """Any text gives an aware value or None."""
    read = parse_date(text)
    assert read is None or read.utcoffset() is not None


@given(
    st.lists(
        st.sampled_from(["Mon,", " ", "2", "Jun", "2025", "10:00", ":99", "+9999", "-", "GMT", "AM", "0", "/", "."])
    )
)
def test_dates_built_of_their_own_parts_read(parts: list[str]) -> None:
    """Every order of the parts of a date gives an aware value or None."""
    read = parse_date("".join(parts))
    assert read is None or read.utcoffset() is not None


@given(
    st.integers(0, 40), st.sampled_from(["Jan", "Feb", "Jun", "Sep", "Dec", "Foo"]), st.integers(1900, 2099),
    st.integers(0, 25), st.integers(0, 61), st.integers(0, 61), st.sampled_from(["+0000", "-0000", "+0530", "-1130", "+9999"]),
)  # fmt: skip
def test_the_fast_path_agrees_with_the_slow_one(
    day: int, month: str, year: int, hour: int, minute: int, second: int, zone: str
) -> None:
    """A date as in the RFC is read the same with an extra blank, which makes the fast path fail."""
    text = f"Mon, {day} {month} {year} {hour:02}:{minute:02}:{second:02} {zone}"
    assert parse_date(text) == parse_date(text.replace(" ", "  ", 1))
