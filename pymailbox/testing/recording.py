"""Recorded sessions as values, and the text file that keeps them.

The file is UTF-8, made to be read, edited and committed. Its first line is `pymailbox-sessions 1`, with the version of
the format. Blank lines and lines that begin with `#` mean nothing. Each session begins with the line `session`, and may
end with `end server` or `end client`: who closed the connection first. Between them:

- `S: ` and one line from the server, `C: ` and one line from the client. The first lines are the greeting; the lines
  after a command, up to the next one, are the reply to it, whatever was sent in the meantime.
- A line ends with CRLF unless a backslash stands at its end: `S: text\\n\\` ended with LF only, and `S: text\\` was cut
  off.
- `\\\\`, `\\t`, `\\r`, `\\n` and `\\x00` to `\\xff` stand for one byte each. What is not printable is always written
  so, and so is a space at the end of a line.
- `***` in a line of the client stands for what was redacted.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from attrs import field, frozen

__all__ = ["Ended", "RecordedSession", "Recording", "Step"]

Ended = Literal["server", "client"]

_TITLE = "pymailbox-sessions"
_VERSION = "1"
_LINE = re.compile(r"(?:[^\\]|\\(?:x[0-9a-f]{2}|[\\trn]))*")
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|[\\trn])")
_SHORT = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\r"): "\\r", ord("\n"): "\\n"}
_MEANING = {b"\\": b"\\", b"t": b"\t", b"r": b"\r", b"n": b"\n"}


@frozen
class Step:
    """A command, or None for the greeting, and everything the server sent in answer. `line` is its line in the file."""

    command: bytes | None
    reply: bytes
    line: int = field(default=0, eq=False)


@frozen
class RecordedSession:
    """One session. `ended` says who closed the connection first."""

    steps: tuple[Step, ...]
    ended: Ended = "client"


@frozen
class Recording:
    """Sessions in the order of connecting."""

    sessions: tuple[RecordedSession, ...]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Recording":
        """Read a file. ValueError says which line is wrong."""
        try:
            text = Path(path).read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not a recording: it is not in UTF-8") from error
        return cls.parse(text, os.fspath(path))

    @classmethod
    def parse(cls, text: str, name: str = "recording") -> "Recording":
        """Read the text of a file; `name` is for errors."""
        lines = text.replace("\r\n", "\n").split("\n")
        if lines[0].rstrip().split(" ") != [_TITLE, _VERSION]:
            raise ValueError(f"{name} is not a recording of this version: its first line must be {_TITLE} {_VERSION}")
        sessions: list[RecordedSession] = []
        reader: _Reader | None = None
        for number, line in enumerate(lines[1:], 2):
            try:
                if not line.strip() or line.startswith("#"):
                    continue
                if line == "session":
                    sessions += [reader.session()] if reader else []
                    reader = _Reader(number)
                elif reader is None:
                    raise ValueError('expected the line "session"')
                else:
                    reader.take(line, number)
            except ValueError as error:
                raise ValueError(f"{name}, line {number}: {error}") from None
        sessions += [reader.session()] if reader else []
        if not sessions:
            raise ValueError(f"{name} contains no session")
        return cls(tuple(sessions))

    def text(self) -> str:
        """Return the text of the file."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{_TITLE} {_VERSION}"
        for session in self.sessions:
            yield ""
            yield "session"
            for step in session.steps:
                if step.command is not None:
                    yield f"C: {_escaped(step.command)}".rstrip()
                for line in _split(step.reply):
                    whole = line.endswith(b"\r\n")
                    yield f"S: {_escaped(line[:-2])}".rstrip() if whole else f"S: {_escaped(line)}\\"
            yield f"end {session.ended}"


class _Reader:
    """The lines of one session in a file."""

    def __init__(self, number: int) -> None:
        self._steps: list[tuple[bytes | None, list[bytes], int]] = [(None, [], number)]
        self._ended: Ended | None = None

    def take(self, line: str, number: int) -> None:
        if self._ended is not None:
            raise ValueError("nothing may follow the end of a session")
        if line == "end server":
            self._ended = "server"
        elif line == "end client":
            self._ended = "client"
        elif line.startswith("C:"):
            self._steps.append((_unescaped(_content(line)), [], number))
        elif line.startswith("S:"):
            content = _content(line)
            whole = _LINE.fullmatch(content) is not None
            self._steps[-1][1].append(_unescaped(content) + b"\r\n" if whole else _unescaped(content[:-1]))
        else:
            raise ValueError('expected "S: ", "C: ", "end server", "end client" or "session"')

    def session(self) -> RecordedSession:
        steps = (Step(command, b"".join(reply), line) for command, reply, line in self._steps)
        return RecordedSession(tuple(steps), self._ended or "client")


def _content(line: str) -> str:
    if line[2:3] not in ("", " "):
        raise ValueError(f"a space must follow {line[:2]!r}")
    return line[3:]


def _split(data: bytes) -> list[bytes]:
    """Split after each LF."""
    lines = data.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + lines[-1:] * bool(lines[-1])


def _escaped(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    if not text.isprintable() or "\\" in text:
        text = "".join(char if char.isprintable() and char != "\\" else _escapes(char) for char in text)
    return f"{text[:-1]}\\x20" if text.endswith(" ") else text


def _escapes(char: str) -> str:
    return "".join(_SHORT.get(byte, f"\\x{byte:02x}") for byte in char.encode("utf-8", "surrogateescape"))


def _unescaped(text: str) -> bytes:
    if _LINE.fullmatch(text) is None:
        raise ValueError("a backslash must be followed by x and two digits 0-9a-f, or by one of \\ t r n")
    data = text.encode()
    return _ESCAPE.sub(lambda found: _MEANING.get(found[1]) or bytes([int(found[1][1:], 16)]), data)
