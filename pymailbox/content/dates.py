"""Owns dates: from a Date field as found to an aware `datetime`, or None. Never a naive one."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

__all__ = ["parse_date"]

_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11,
    "dec": 12,
}  # fmt: skip
# RFC 5322 §4.3, and the names that mail in the wild adds. Hours from UTC.
_ZONES = {
    "ut": 0, "utc": 0, "gmt": 0, "z": 0, "wet": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6,
    "pst": -8, "pdt": -7, "cet": 1, "met": 1, "mez": 1, "bst": 1, "west": 1, "cest": 2, "mest": 2, "mesz": 2, "eet": 2,
    "eest": 3, "msk": 3, "msd": 4, "jst": 9, "kst": 9, "akst": -9, "akdt": -8, "hst": -10, "ast": -4, "adt": -3,
    "sast": 2, "hkt": 8, "sgt": 8, "aest": 10, "aedt": 11, "nzst": 12, "nzdt": 13,
}  # fmt: skip

# As RFC 5322 §3.3 wants it; most dates are so, and need no more than this.
_STRICT = re.compile(
    r"(?:[A-Z][a-z]{2}, )?([0-9]{1,2}) ([A-Z][a-z]{2}) ((?:19|20)[0-9]{2})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2})( [+-][0-9]{4})(?: \([A-Z]{1,5}\))?"
)
_TIME = r"(\d{1,2})[:.](\d{1,2})(?:[:.](\d{1,2})(?:[.,]\d{1,9})?)?"
_USUAL = re.compile(
    r"(?:[^\W\d]{2,12}\.?,?[ ,]*)?(\d{1,2})(?:st|nd|rd|th)?[ .\-/]{1,3}([^\W\d]{3})[^\W\d]{0,8}[ .,\-/]{1,3}"
    r"(\d{2,4})[ ,T]{1,3}" + _TIME,
    re.ASCII,
)
_ASCTIME = re.compile(
    r"(?:[^\W\d]{2,12},?[ ,]*)?([^\W\d]{3})[^\W\d]{0,8}[. ]{1,2} ?(\d{1,2})(?:st|nd|rd|th)?,?(?: (\d{4}),?)? " + _TIME,
)
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})[ T]+" + _TIME)
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d{2})(?!\d)")
_HALF = re.compile(r"[ ]?([ap])\.?m\b\.?", re.IGNORECASE)
_OFFSET = re.compile(r"([+-]) ?(\d{1,2}):?(\d{2})?(?!\d)")
_NAME = re.compile(r"[^\W\d_]{1,5}")

MAX_CHARACTERS = 200


def parse_date(text: str) -> datetime | None:
    """Read a date as mail programs write it; None for what is none, has no time, or names an impossible day.

    A time without a zone, or with `-0000` or an unknown zone, is taken as UTC (RFC 5322 §4.3).
    """
    if (match := _STRICT.fullmatch(text)) is not None and match[2].lower() in _MONTHS:
        day, month_name, year, hour, minute, second, zone = match.groups()
        return _moment(int(year), _MONTHS[month_name.lower()], int(day), int(hour), int(minute), int(second), zone)
    text = " ".join(text[:MAX_CHARACTERS].split())
    if (match := _USUAL.match(text)) is not None:
        day, month_name, year, hour, minute, second = match.groups()
        month = _MONTHS.get(month_name.lower())
    elif (match := _ISO.match(text)) is not None:
        year, month_name, day, hour, minute, second = match.groups()
        month = int(month_name)
    elif (match := _ASCTIME.match(text)) is not None:
        month_name, day, year, hour, minute, second = match.groups()
        month = _MONTHS.get(month_name.lower())
        if year is None:
            found = _YEAR.search(text, match.end())
            year = found[1] if found is not None else None
    else:
        return None
    if month is None or year is None:
        return None
    return _combine(int(year), month, int(day), int(hour), int(minute), int(second or 0), text[match.end() :])


def _combine(year: int, month: int, day: int, hour: int, minute: int, second: int, rest: str) -> datetime | None:
    if (half := _HALF.match(rest)) is not None and hour <= 12:
        hour = hour % 12 + (12 if half[1] in "pP" else 0)
        rest = rest[half.end() :]
    if year < 50:
        year += 2000
    elif year < 1000:
        year += 1900  # RFC 5322 §4.3: two digits from 50 on, and three
    return _moment(year, month, day, hour, minute, second, rest[:40])


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int, zone: str) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=_zone(zone))
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def _zone(rest: str) -> timezone:
    """Find the zone behind the time: an offset wherever it stands (`(EDT) -0400`), else a name."""
    if (match := _OFFSET.search(rest)) is not None:
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        if minutes >= 24 * 60:
            return UTC
        return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes)) if minutes else UTC
    for name in _NAME.findall(rest):
        hours = _ZONES.get(name.lower())
        if hours is not None:
            return timezone(timedelta(hours=hours)) if hours else UTC
    return UTC
