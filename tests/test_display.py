"""Texts for a terminal: nothing in them that it would obey, columns that are straight, rows as they come."""

import datetime
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.display import cells, escaped, local_time, octets, one_line, table, window


@pytest.fixture(params=["rich", "plain"])
def _both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rich, and on a machine that has no rich."""
    if request.param == "plain":
        for name in ("rich.cells", "rich.console", "rich.text"):
            monkeypatch.setitem(sys.modules, name, None)


# --- texts ----------------------------------------------------------------------------------------------------


@pytest.mark.threat(113)
@given(st.text(st.characters(codec="utf-8", categories=("Cc", "Cf", "Cs", "Co", "Zl", "Zp", "L", "Zs"))))
def test_nothing_that_a_terminal_obeys(text: str) -> None:
    """No C0 but line ends and tabs, no DEL, no C1, no change of direction."""
    shown = escaped(text)
    assert all(character.isprintable() or character in "\n\t" for character in shown)
    assert one_line(text).isprintable()


@given(st.text())
def test_printable_text_stays(text: str) -> None:
    """What is harmless is shown as it is."""
    if all(line.isprintable() for line in text.split("\n")):
        assert escaped(text) == text


def test_one_line_cannot_forge_a_second() -> None:
    """A subject with a line end stays in its line."""
    assert one_line("hi\r\nFrom: boss\u2028x") == "hi\\r\\nFrom: boss\\u2028x"


def test_line_ends_are_one() -> None:
    """CRLF is a line end, a CR that goes back over the line is not."""
    assert escaped("a\r\nb\rc\td\x1b[2J") == "a\nb\\rc\td\\x1b[2J"


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


def test_octets() -> None:
    """A size for people takes eight columns up to a thousand gigabytes."""
    for count, shown in SIZES:
        assert octets(count) == shown, count
        assert len(octets(count)) <= 8 or (count or 0) >= 10**12, count


@given(st.datetimes(timezones=st.just(datetime.UTC)))
def test_local_time(moment: datetime.datetime) -> None:
    """Any moment that a mail can name is shown, in sixteen columns."""
    assert len(local_time(moment)) == 16


def test_no_date() -> None:
    """No date is no text."""
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
    """No line is wider than the window, every column begins where its heading does, each row is one line."""
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
def test_a_table_in_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the output is no terminal nothing is cut: other programs read it."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert window() is None
    lines = shown(capsys)
    assert lines[2] == "  22  " + "山田" * 9 + "  " + ("lang " * 30).rstrip()
    assert not any("\x1b" in line for line in lines)


def test_rows_are_shown_as_they_come(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The first row is out before the second is asked for."""
    monkeypatch.setenv("COLUMNS", "80")

    def rows() -> Iterator[tuple[str, str]]:
        yield "1", "one"
        assert "one" in capsys.readouterr().out
        yield "2", "two"

    table(("No.", "Subject"), rows(), widths=(3,))
    assert capsys.readouterr().out == "2    two\n"
