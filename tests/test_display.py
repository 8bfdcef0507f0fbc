"""Text for a terminal has no control characters; tables have straight columns and print each row at once."""

import datetime
import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.display import cells, format_size, local_time, safe_text, table, window
from pymailbox.errors import MailboxError


@pytest.fixture(params=["rich", "plain"])
def _both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rich, and without it."""
    if request.param == "plain":
        for name in ("rich.cells", "rich.console", "rich.text"):
            monkeypatch.setitem(sys.modules, name, None)


# --- texts ----------------------------------------------------------------------------------------------------


TEXTS = [
    ("kurz, süß, 山田", {}, "kurz, süß, 山田"),
    ("hi\r\nFrom: boss\u2028x", {}, "hi\\r\\nFrom: boss\\u2028x"),
    ("\x00\x1b[2J\x7f\x9b31m\u202e", {}, "\\x00\\x1b[2J\\x7f\\x9b31m\\u202e"),
    ("\udcfc", {}, "\\udcfc"),
    ("x" * 501, {}, "x" * 500 + "…"),
    ("x" * 501, {"limit": None}, "x" * 501),
    ("\x1b" * 3, {"limit": 2}, "\\x1b\\x1b…"),
    ("a\r\nb\rc\td\x1b[2J", {"multiline": True}, "a\nb\\rc\td\\x1b[2J"),
    ("\ta\r\n\r\nb\r\n", {"multiline": True}, "\ta\n\nb\n"),
    ("hi\r\n\tFrom: \x9b\u2066boss\x7f\udcfc", {"controls": "drop"}, "hi From: boss \ufffd"),
    ("\x1b]52;c\x07\n", {"controls": "drop"}, "]52;c"),
    ("a\x07b\tc\u202ed\ne\n", {"controls": "drop", "multiline": True}, "a b\tcd\ne\n"),
]


def test_texts_that_are_safe_to_show() -> None:
    """Escaped or dropped, in one line or in several, whole or cut."""
    for text, options, shown in TEXTS:
        assert safe_text(text, **options) == shown, (text, options)


@pytest.mark.threat(113)
@pytest.mark.threat(114)
@given(
    st.text(
        st.characters(codec="utf-8", categories=("Cc", "Cf", "Cs", "Co", "Zl", "Zp", "L", "Zs"))
        | st.sampled_from("\ud800\udfff\r\n\t")
    )
)
def test_safe_text_cannot_control_a_terminal(text: str) -> None:
    """No C0 except line ends and tabs with `multiline`, no DEL, no C1, no change of direction, no second line."""
    assert safe_text(text).isprintable()
    assert all(character.isprintable() or character in "\n\t" for character in safe_text(text, multiline=True))
    for dropped in (safe_text(text, controls="drop"), safe_text(text, controls="drop", multiline=True)):
        dropped.encode()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", dropped)
    assert len(safe_text(text, controls="drop").splitlines()) <= 1


@given(st.text())
def test_safe_text_is_not_changed_again(text: str) -> None:
    """Printable text is shown as it is, and safe text stays the same."""
    if all(line.isprintable() for line in text.split("\n")):
        assert safe_text(text, multiline=True, limit=None) == text
    for controls in ("escape", "drop"):
        shown = safe_text(text, controls=controls, limit=None)
        assert safe_text(shown, controls=controls, limit=None) == shown


@pytest.mark.threat(113)
def test_no_part_of_an_error_reaches_a_terminal_raw() -> None:
    """Text from the server, in the problem or in the response, has its control characters escaped."""
    evil = "\x1b]0;owned\x07\r\nroot\u202e"
    error = MailboxError(f"it advertises {evil}", command=f"USER {evil}", response=evil)
    assert str(error).isprintable()
    assert "\\x1b]0;owned\\x07\\r\\nroot\\u202e" in str(error)


SIZES = [
    (None, "?"),
    (0, "0 B"),
    (999, "999 B"),
    (1000, "1.0 KB"),
    (999_949, "999.9 KB"),
    (999_999, "1.0 MB"),
    (25_300_000, "25.3 MB"),
    (7_000_000_000, "7.0 GB"),
    (10**15, "1000000.0 GB"),
]


def test_sizes_for_people() -> None:
    """A readable size takes at most eight columns up to a thousand gigabytes."""
    for count, shown in SIZES:
        assert format_size(count) == shown, count
        assert len(format_size(count)) <= 8 or (count or 0) >= 10**12, count


@given(st.datetimes(timezones=st.just(datetime.UTC)))
def test_local_time(moment: datetime.datetime) -> None:
    """Any date that a message can have is shown in sixteen columns."""
    assert len(local_time(moment)) == 16


def test_no_date_is_empty() -> None:
    """None is shown as an empty string."""
    assert local_time(None) == ""


@pytest.mark.usefixtures("_both")
def test_cells() -> None:
    """Wide characters take two columns, combining ones none."""
    for text, width in (("", 0), ("abc", 3), ("山田", 4), ("e\u0301", 1), ("Grüße", 5)):
        assert cells(text) == width, text


# --- tables ---------------------------------------------------------------------------------------------------

ROWS = [("1", "Jürgen", "kurz"), ("22", "山田" * 9, "lang " * 30), ("333", "\x1b[31mred\nFrom: x", "a\tb")]


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    table(("No.", "From", "Subject"), ROWS, widths=(4, 10), right=(0,))
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("_both")
@pytest.mark.parametrize("columns", [28, 60, 80, 120])
def test_a_table_in_a_window(columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No line is wider than the window, columns are aligned with their headings, and each row is one line."""
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = shown(capsys)
    assert len(lines) == 4
    assert all(cells(line) <= columns for line in lines)
    assert all(line.isprintable() for line in lines)
    assert lines[0].split() == ["No.", "From", "Subject"]
    assert lines[1] == "   1  Jürgen      kurz"
    assert lines[2].startswith("  22  山田山田…   lang")
    assert lines[2].endswith("…") == (columns < 160)


@pytest.mark.usefixtures("_both")
def test_a_table_without_a_first_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Without rows there are only the headings; if the first row cannot be had, there is nothing but its error."""

    def rows(error: bool) -> Iterator[tuple[str, str]]:
        if error:
            raise MailboxError("no")
        yield from ()

    table(("No.", "Subject"), rows(False), widths=[3])
    assert capsys.readouterr().out == "No.  Subject\n"
    with pytest.raises(MailboxError):
        table(("No.", "Subject"), rows(True), widths=[3])
    assert capsys.readouterr().out == ""


def test_a_table_in_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """If the output is not a terminal nothing is cut, as another program reads it."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert window() is None
    lines = shown(capsys)
    assert lines[2] == "  22  " + "山田" * 9 + "  " + ("lang " * 30).rstrip()
    assert not any("\x1b" in line for line in lines)


def test_rows_are_printed_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The first row is printed before the second is requested."""
    monkeypatch.setenv("COLUMNS", "80")

    def rows() -> Iterator[tuple[str, str]]:
        yield "1", "one"
        assert "one" in capsys.readouterr().out
        yield "2", "two"

    table(("No.", "Subject"), rows(), widths=(3,))
    assert capsys.readouterr().out == "2    two\n"
