"""Parameters: parses MIME fields like `text/plain; charset=utf-8; name*0=...` (RFC 2045 §5.1, RFC 2231).

Bounded in bytes, parameters and continuations; linear; never raises.
"""

import re
from collections.abc import Callable, Iterable

from . import charset
from .comments import comments
from .words import clean, decode_raw, decode_words, unfold

__all__ = ["parse_parameters"]

MAX_FIELD_BYTES = 65_536
MAX_PARAMETERS = 200  # continuations are counted too

_BLANKS = " \t\r\n"
_AROUND_COMMENTS = frozenset(["", *' \t;=",()/'])
_FILE_NAME = re.compile(r'[ \t]*(?:file)?name(?:\*\d{0,4}\*?)?[ \t]*=(?![ \t]*")[ \t]*', re.IGNORECASE)
_WHOLE_NAME = re.compile(r"[^ \t]+\.[A-Za-z0-9]{1,8}[ \t]+\Z")
_NEXT = re.compile(r"[ \t]*([^ \t]?)")
_VALUE = re.compile(r"[^\s;(/]*(?:[ \t]*/[ \t]*[^\s;(]*)?")
_UNQUOTED = re.compile(r"[^;\"]*")
_FOLLOWER = re.compile(r"[ \t][A-Za-z][A-Za-z0-9*\-]{0,40}=(?!\?)")
_QUOTE_OR_ESCAPE = re.compile(r'"|\\.')
_ESCAPED = re.compile(r"\\(.)")
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?\Z", re.ASCII)
_HEX = re.compile(rb"[0-9A-Fa-f]{2}")


def parse_parameters(raw: bytes, hints: Callable[[], Iterable[str]] | None = None) -> tuple[str, dict[str, str]]:
    """Split a field into its value (lower case) and its parameters (names in lower case, values decoded)."""
    text = decode_raw(unfold(raw[:MAX_FIELD_BYTES]), hints)
    if "(" in text:
        text = _uncommented(text).strip(_BLANKS)
    match = _VALUE.match(text)
    value = match[0] if match is not None else ""
    if "/" not in value.partition("=")[0] and "=" in value:  # parameters without a value before them
        value = ""
    position = len(value)
    value = value.replace(" ", "").replace("\t", "").lower()
    if position == len(text):
        return value, {}
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    for _ in range(MAX_PARAMETERS):
        name, content, position = _next_parameter(text, position)
        if name is None:
            break
        section = _SECTION.match(name)
        if section is None or (section[2] is None and section[3] is None):
            plain[name] = content  # the last of several counts, as in most mail programs
            continue
        index = int(section[2] or 0)
        sections.setdefault(section[1], {}).setdefault(index, (section[3] is not None, content))
    # A boundary may look like an encoded word, but is compared with the bytes of the message.
    parameters = {
        name: clean(decode_words(content) if "=?" in content and name != "boundary" else content)
        for name, content in plain.items()
    }
    for name, found in sections.items():
        parameters[name] = clean(_join_sections(found))
    return value, parameters


def _uncommented(text: str) -> str:
    """Remove the comments (RFC 2045 §5.1), but not from file names and other values that are not quoted.

    Many programs write names and boundaries like `report (1).pdf` and `=_(1)_b` without quotes.
    """
    pieces: list[str] = []
    done = 0  # the text is copied up to here
    passed = parameter = 0  # how far the text is searched; where the current parameter begins
    value = False  # whether the current parameter has its `=`
    for start, end in comments(text):
        if (semicolon := text.rfind(";", passed, start)) >= 0:
            parameter = semicolon + 1
            value = False
        value = value or text.find("=", max(passed, parameter), start) >= 0
        passed = end
        if value and _is_value(text, parameter, start, end):
            continue
        pieces.append(text[done:start])
        done = end
    return " ".join([*pieces, text[done:]]) if pieces else text


def _is_value(text: str, parameter: int, start: int, end: int) -> bool:
    """Return whether what looks like a comment is part of the value of a parameter."""
    named = _FILE_NAME.match(text, parameter, start)
    if named is None:
        return text[start - 1] not in _AROUND_COMMENTS and text[end : end + 1] not in _AROUND_COMMENTS
    match = _NEXT.match(text, end)
    follower = match[1] if match is not None else ""
    # A comment may come before a quoted name, and after a name that ends with an extension.
    if named.end() == start:
        return follower != '"'
    return follower not in ("", ";") or _WHOLE_NAME.match(text, named.end(), start) is None


def _next_parameter(text: str, position: int) -> tuple[str | None, str, int]:
    """Read one `name=value` from `position`; the name is None at the end."""
    while True:
        equals = text.find("=", position)
        if equals < 0:
            return None, "", len(text)
        # Text without a `=` before the next `;` is not a parameter.
        words = text[position:equals].rpartition(";")[2].split()
        position = equals + 1
        if words:
            break
    name = words[-1].lower()
    while text.startswith((" ", "\t"), position):
        position += 1
    if not text.startswith('"', position):
        match = _UNQUOTED.match(text, position)
        end = match.end() if match is not None else position
        content = text[position:end]
        # A blank may separate parameters instead of a `;`, but file names may contain anything.
        if name not in ("filename", "name") and (follower := _FOLLOWER.search(content)) is not None:
            content = content[: follower.start()]
            end = position + follower.start()
        return name, content.strip(_BLANKS), end
    start = position + 1
    position = start
    while (match := _QUOTE_OR_ESCAPE.search(text, position)) is not None:
        position = match.end()
        if match[0] == '"':
            return name, _ESCAPED.sub(r"\1", text[start : position - 1]), position
    # A quoted string that is never closed ends at the next `;` or the end.
    end = text.find(";", start)
    end = len(text) if end < 0 else end
    return name, text[start:end].strip(_BLANKS), end


def _join_sections(found: dict[int, tuple[bool, str]]) -> str:
    """Join the sections of an RFC 2231 value in order; gaps in the numbers are ignored."""
    data: list[bytes] = []
    label: str | None = None
    encoded_any = False
    for number, index in enumerate(sorted(found)):
        encoded, content = found[index]
        if encoded:
            encoded_any = True
            if number == 0 and content.count("'") >= 2:
                label, _, content = content.split("'", 2)
            data.append(_percent_decode(content.encode("utf-8", "surrogateescape")))
        else:
            data.append(content.encode("utf-8", "surrogateescape"))
    text = charset.decode(b"".join(data), label or None)[0]
    if "=?" in text and not (encoded_any and label):  # an encoded word split into sections: no RFC allows it, but seen
        return decode_words(text)
    return text


def _percent_decode(data: bytes) -> bytes:
    first, *rest = data.split(b"%")
    pieces = [first]
    for piece in rest:
        code = piece[:2]
        pieces.append(bytes.fromhex(code.decode("ascii")) + piece[2:] if _HEX.match(code) else b"%" + piece)
    return b"".join(pieces)
