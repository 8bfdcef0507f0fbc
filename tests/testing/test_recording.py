"""The file of a recording is exact, readable, and refused if it is not what it says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.testing.recording import RecordedSession, Recording, Step

LINES = st.one_of(st.binary(), st.text().map(str.encode), st.sampled_from([b"\\", b" ", b"\\n", b"\r", b"", b"***"]))
REPLIES = st.lists(st.tuples(LINES, st.sampled_from([b"\r\n", b"\n"])).map(b"".join)).map(b"".join)
COMMANDS = LINES.map(lambda line: line.replace(b"\n", b""))
SESSIONS = st.builds(
    lambda greeting, steps, ended: RecordedSession((Step(None, greeting), *steps), ended),
    st.builds(bytes.__add__, REPLIES, LINES),
    st.lists(st.builds(Step, COMMANDS, st.builds(bytes.__add__, REPLIES, LINES))),
    st.sampled_from(["server", "client"]),
)


@given(st.lists(SESSIONS, min_size=1))
def test_what_is_written_is_read(sessions: list[RecordedSession]) -> None:
    """Any bytes come back exactly, and the text is one that editors and version control leave alone."""
    text = Recording(tuple(sessions)).text()
    assert Recording.parse(text) == Recording(tuple(sessions))
    assert Recording.parse(text.replace("\n", "\r\n")) == Recording(tuple(sessions))
    assert all(line.isprintable() and line == line.rstrip(" ") for line in text.split("\n"))
    assert text.encode().decode() == text


def test_the_format() -> None:
    """The format, version 1: changing it makes recordings in other repositories unreadable."""
    text = """pymailbox-sessions 1
# any comment

session
S: +OK Grüße\\x20
C: NOOP
S: +OK\\n\\
C: TOP 1 0
S: +OK
S:
S: tab\\tand \\\\ and \\xff
S: .
S: cut\\
end server
session
C: QUIT
"""
    first = (
        Step(None, "+OK Grüße \r\n".encode()),
        Step(b"NOOP", b"+OK\n"),
        Step(b"TOP 1 0", b"+OK\r\n\r\ntab\tand \\ and \xff\r\n.\r\ncut"),
    )
    second = (Step(None, b""), Step(b"QUIT", b""))
    assert Recording.parse(text).sessions == (RecordedSession(first, "server"), RecordedSession(second, "client"))
    assert [step.line for step in Recording.parse(text).sessions[0].steps] == [4, 6, 8]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first line must be pymailbox-sessions 1"),
        ("pymailbox-sessions 2\nsession\n", "its first line must be pymailbox-sessions 1"),
        ("pymailbox-sessions 1\n# nothing\n", "contains no session"),
        ("pymailbox-sessions 1\nS: +OK\n", 'line 2: expected the line "session"'),
        ("pymailbox-sessions 1\nsession\n+OK\n", 'line 3: expected "S: ", "C: ",'),
        ("pymailbox-sessions 1\nsession\nS:+OK\n", "line 3: a space must follow 'S:'"),
        ("pymailbox-sessions 1\nsession\nS: \\q\n", "line 3: a backslash must be followed by"),
        ("pymailbox-sessions 1\nsession\nC: NOOP\\\n", "line 3: a backslash must be followed by"),
        ("pymailbox-sessions 1\nsession\nend server\nC: NOOP\n", "line 4: nothing may follow the end of a session"),
        ("pymailbox-sessions 1\nsession\nend\n", "line 3: expected"),
    ],
)
def test_a_wrong_file_is_a_value_error(text: str, message: str, tmp_path: Path) -> None:
    """The error names the file and the line."""
    path = tmp_path / "session.pop3"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        Recording.load(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
