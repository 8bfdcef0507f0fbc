"""Dates: a Date field as an aware `datetime`, or None if it is not a date. Never naive."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from .comments import without_comments

__all__ = ["parse_date"]

_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11,
    "dec": 12,
}  # fmt: skip
# RFC 5322 §4.3, and names seen in real mail. Hours from UTC.
_ZONES = {
    "ut": 0, "utc": 0, "gmt": 0, "z": 0, "wet": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6,
    "pst": -8, "pdt": -7, "cet": 1, "met": 1, "mez": 1, "bst": 1, "west": 1, "cest": 2, "mest": 2, "mesz": 2, "eet": 2,
    "eest": 3, "msk": 3, "msd": 4, "jst": 9, "kst": 9, "akst": -9, "akdt": -8, "hst": -10, "ast": -4, "adt": -3,
    "sast": 2, "hkt": 8, "sgt": 8, "aest": 10, "aedt": 11, "nzst": 12, "nzdt": 13,
}  # fmt: skip

# RFC 5322 §3.3: matches most dates.
_STRICT = re.compile(
    r"(?:[A-Z][a-z]{2}, )?([0-9]{1,2}) ([A-Z][a-z]{2}) ((?:19|20)[0-9]{2})"
    r" ((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]) ([+-](?:0[0-9]|1[0-4])[0-5][0-9])(?: \([A-Z]{1,5}\))?"
)
_MONTH_NUMBERS = {name.title(): f"{number:02}" for name, number in _MONTHS.items()}
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)[ T]*", re.ASCII)
_MONTH = re.compile(rf"(?<![^\W\d_])({'|'.join(_MONTHS)})", re.IGNORECASE)
_TIME = re.compile(r"(?<![\d:])(\d{1,3}) ?: ?(\d{1,2})(?: ?: ?(\d{1,2})(?:[.,]\d{1,9})?)?", re.ASCII)
_DOTTED_TIME = re.compile(r"(?<![\d.])(\d{1,2})\.(\d{1,2})(?:\.(\d{1,2}))?(?![\d.])", re.ASCII)
_NUMBER = re.compile(r"(?<!\d)\d{1,4}(?!\d)", re.ASCII)
_HALF = re.compile(r"[ ]?([ap])\.?m\b\.?", re.IGNORECASE)
_STANDARD_ZONE = re.compile(r" ?(utc?|gmt|z|[ecmp][sd]t)\b(?! ?[+-]\d{1,2}\b)(?![+-])", re.IGNORECASE)
_OFFSET = re.compile(r"([+-]) ?(\d{1,2}):?(\d{2})?(?!\d)")
_NAME = re.compile(r"[^\W\d_]{1,5}")

MAX_CHARACTERS = 200


def parse_date(text: str) -> datetime | None:
    """Parse a date in any form that mail programs write; None if it is not a date or the day does not exist.

    A time without a zone, or with `-0000` or an unknown zone, is in UTC (RFC 5322 §4.3); a day without a time means
    midnight. Comments are ignored.
    """
    if (match := _STRICT.fullmatch(text)) is not None and match[2] in _MONTH_NUMBERS:
        day, name, year, clock, zone = match.groups()
        try:
            return datetime.fromisoformat(f"{year}-{_MONTH_NUMBERS[name]}-{day:0>2}T{clock}{zone}")
        except ValueError:  # a day that does not exist
            return None
    text = text[:MAX_CHARACTERS]
    text = " ".join(without_comments(text).split())
    if (match := _ISO.match(text)) is not None:
        time = _TIME.match(text, match.end()) or _DOTTED_TIME.match(text, match.end())
        rest = text[time.end() if time is not None else match.end() :]
        return _combine(int(match[1]), int(match[2]), int(match[3]), time, rest)
    month = _MONTH.search(text)
    if month is None:
        return None
    time = _TIME.search(text) or _DOTTED_TIME.search(text, month.end())
    if time is None and ":" in text[month.end() :]:  # an invalid time
        return None
    rest = text[time.end() :] if time is not None else ""
    numbers = _numbers(text, time)
    before = [number for position, number in numbers if position < month.start()]
    after = [number for position, number in numbers if position > month.start()]
    if before and (not after or int(before[-1]) <= 31):  # 2 Jun 2025
        days, years = before[-1:], after
    else:  # Jun 2 2025, 2025 Jun 2
        days, years = after, before or after[1:]
    if not days or not years:
        return None
    return _combine(int(years[0]), _MONTHS[month[1].lower()], int(days[0]), time, rest)


def _numbers(text: str, time: re.Match[str] | None) -> list[tuple[int, str]]:
    """Find the numbers that are not part of the time or the zone, each with its position."""
    if time is None:
        return [(match.start(), match[0]) for match in _NUMBER.finditer(text)]
    numbers = [(match.start(), match[0]) for match in _NUMBER.finditer(text, 0, time.start())]
    zone = _OFFSET.sub(lambda match: " " * len(match[0]), text[time.end() :])
    return numbers + [(time.end() + match.start(), match[0]) for match in _NUMBER.finditer(zone) if len(match[0]) == 4]


def _combine(year: int, month: int, day: int, time: re.Match[str] | None, rest: str) -> datetime | None:
    hour, minute, second = (int(number or 0) for number in time.groups()) if time is not None else (0, 0, 0)
    if (half := _HALF.match(rest)) is not None and hour <= 12:
        hour = hour % 12 + (12 if half[1] in "pP" else 0)
        rest = rest[half.end() :]
    if year < 50:
        year += 2000
    elif year < 150:
        year += 1900  # RFC 5322 §4.3: two digits from 50, or three digits counted from 1900
    elif year < 1000:
        return None
    return _moment(year, month, day, hour, minute, second, rest[:40])


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int, zone: str) -> datetime | None:
    if (year, month) == (9999, 12) and day >= 30:  # converting these to some zones would raise
        return None
    try:
        if hour == 24 and minute == second == 0:  # midnight at the end of the day
            return datetime(year, month, day, tzinfo=_zone(zone)) + timedelta(days=1)
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=_zone(zone))
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def _zone(rest: str) -> timezone:
    """Find the zone after the time: a name from RFC 5322, an offset anywhere, or another name."""
    if (match := _STANDARD_ZONE.match(rest)) is not None:
        return _named(match[1])
    if (match := _OFFSET.search(rest)) is not None:
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        if minutes >= 24 * 60:
            return UTC
        return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes)) if minutes else UTC
    for name in _NAME.findall(rest):
        if name.lower() in _ZONES:
            return _named(name)
    return UTC


def _named(name: str) -> timezone:
    hours = _ZONES[name.lower()]
    return timezone(timedelta(hours=hours)) if hours else UTC
