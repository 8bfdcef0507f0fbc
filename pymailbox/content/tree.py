"""Owns the MIME structure (RFC 2046 §5.1): one pass over the octets of a mail, giving its parts as positions.

The pass looks at the lines that begin with `--` and at nothing else, keeps the open multiparts on a list of its
own (no recursion), and copies no body. What is over a bound stays an opaque part and is named in `defects`.
"""

import re

from attrs import define, field

from .headers import MAX_OCTETS, Headers, find_end, find_start

__all__ = ["MAX_DEPTH", "MAX_PARTS", "Part", "parse"]

MAX_DEPTH = 200  # multiparts in multiparts: real mail has less than ten, other parsers' tests have 105
MAX_PARTS = 10_000
MAX_MISSES = 500_000  # lines that begin with -- and delimit nothing; after so many, nothing is looked for

_EMPTY_LINE = re.compile(rb"\n\r?\n")
_DELIMITER_OR_EMPTY_LINE = re.compile(rb"\n(?:--|\r?\n)")
_TEXTS = {"text/plain": "plain", "text/html": "html"}
_NO_TYPE = "application/octet-stream"  # what a part is given whose type cannot be read
_CONTENT_TYPE = re.compile(r"[a-z0-9!#$&^_.+\-]+/[a-z0-9!#$&^_.+\-]+\Z")
_NOT_IN_A_TYPE = re.compile(r"[^a-z0-9!#$&^_.+\-/]+")


@define(eq=False)
class Part:
    """One part of a mail: its header, where its body stands, and its children if it is a multipart."""

    headers: Headers
    start: int  # of the body, in the mail
    end: int
    content_type: str
    parameters: dict[str, str]
    disposition: str
    filename: str
    children: list["Part"] = field(factory=list)

    @property
    def unreadable(self) -> bool:
        """Whether the header does not tell what this leaf is: an invalid type, a multipart without parts."""
        if self.children or self.filename or self.disposition == "attachment":
            return False
        if self.content_type.startswith("multipart/"):
            return True
        return self.content_type == _NO_TYPE and not self.headers.get("content-type", "").lower().startswith(_NO_TYPE)

    @property
    def kind(self) -> str:
        """What the part is to a reader: "multipart", "plain", "html" or "attachment"."""
        if self.children:
            return "multipart"
        if self.filename or self.disposition == "attachment":
            return "attachment"
        if self.content_type.startswith("multipart/"):  # without parts
            return "multipart"
        return _TEXTS.get(self.content_type, "attachment")


def parse(raw: bytes, defects: list[str]) -> Part:
    """Find the parts of a mail; what is malformed is added to `defects`."""
    start = find_start(raw)
    if start:
        defects.append("junk before the header")
    end, body = find_end(raw, start)
    if end - start > MAX_OCTETS:
        defects.append(f"header longer than {MAX_OCTETS} octets")
        if (empty := _EMPTY_LINE.search(raw, start + MAX_OCTETS)) is not None:
            body = empty.end()
    root = _part(Headers.between(raw, start, end), body, "text/plain")
    root.end = len(raw)
    _Walk(raw, root, defects).run()
    return root


def _part(headers: Headers, start: int, default: str) -> Part:
    content_type, parameters = headers.parameters("content-type")
    if not _CONTENT_TYPE.match(content_type):
        if content_type.startswith(("multipart/", "message/")):
            content_type = _NOT_IN_A_TYPE.sub("", content_type)
        elif not content_type:
            content_type = _NO_TYPE if "content-type" in headers else default
        else:
            content_type = content_type.strip("\"';,: ")
            if not _CONTENT_TYPE.match(content_type):
                content_type = _NO_TYPE
    disposition, named = headers.parameters("content-disposition")
    filename = named["filename"] if "filename" in named else parameters.get("name", "")
    if not filename and (disposition == "attachment" or content_type not in _TEXTS):
        # Not where names belong, but names. They do not make an attachment of text.
        filename = parameters.get("name") or named.get("name") or parameters.get("filename") or ""
    return Part(headers, start, start, content_type, parameters, disposition, filename)


@define(eq=False)
class _Walk:
    raw: bytes
    root: Part
    defects: list[str]
    stack: list[tuple[bytes, Part]] = field(factory=list)  # the open multiparts, the outermost first
    places: dict[bytes, int] = field(factory=dict)  # their boundaries -> where they stand on the stack
    current: Part | None = None  # the part that goes on now; None after a closed multipart
    count: int = 1
    misses: int = 0  # lines that looked like delimiters

    def run(self) -> None:
        raw = self.raw
        self._enter(self.root)
        position = max(self.root.start - 1, 0)
        while self.stack:
            # With one multipart open its boundary is searched for in C; with more, every line that may be one is read.
            position = raw.find(b"\n--" if len(self.stack) > 1 else b"\n--" + self.stack[0][0], position)
            if position < 0 or self.misses > MAX_MISSES:
                break
            place, closing, line_end = self._delimiter(position + 3)
            if place < 0:
                position += 3
                continue
            self._end_parts(place, position)
            if closing:
                boundary, _ = self.stack.pop()
                del self.places[boundary]
                position = line_end
                continue
            if self.count >= MAX_PARTS:
                self.defects.append(f"more than {MAX_PARTS} parts")
                break
            position = self._begin_part(self.stack[place][1], line_end)
        if self.stack:
            self.defects.append("multipart without its end")
        if self.misses > MAX_MISSES:
            self.defects.append(f"more than {MAX_MISSES} lines that look like delimiters")
        if not self.root.children and self.root.content_type.startswith("multipart/"):
            self.defects.append("multipart without parts")

    def _delimiter(self, start: int) -> tuple[int, bool, int]:
        """Read the line whose `--` ends at `start`: the place of its boundary or -1, whether it closes, its end."""
        raw = self.raw
        end = raw.find(b"\n", start)
        if end < 0:
            end = len(raw)
        line = raw[start:end].removesuffix(b"\r")
        trimmed = line.rstrip()  # blanks may have been added on the way (RFC 2046 §5.1.1)
        place = self.places.get(line, self.places.get(trimmed, -1))
        if place >= 0:
            return place, False, end
        place = self.places.get(trimmed[:-2], -1) if trimmed.endswith(b"--") else -1
        self.misses += place < 0
        return place, True, end

    def _end_parts(self, place: int, position: int) -> None:
        """End what is open inside the multipart at `place` before the line end at `position`."""
        if self.raw[position - 1 : position] == b"\r":
            position -= 1
        if self.current is not None:
            self.current.end = max(position, self.current.start)
            self.current = None
        while len(self.stack) > place + 1:
            boundary, part = self.stack.pop()
            part.end = max(position, part.start)
            del self.places[boundary]
            self.defects.append("multipart without its end")

    def _begin_part(self, parent: Part, line_end: int) -> int:
        """Read the header of the part after the delimiter that ends at `line_end`; give where to look on from."""
        raw = self.raw
        end = body = len(raw)
        position = line_end
        while (match := _DELIMITER_OR_EMPTY_LINE.search(raw, position)) is not None:
            if not match[0].endswith(b"-"):
                end, body = match.span()
                break
            if self._delimiter(match.end())[0] >= 0:  # a header that is cut off by the next part
                end, body = match.start(), match.start() + 1
                break
            if self.misses > MAX_MISSES:
                break
            position = match.end()
        default = "message/rfc822" if parent.content_type == "multipart/digest" else "text/plain"
        part = _part(Headers.between(raw, line_end + 1, end), body, default)
        part.end = len(raw)
        parent.children.append(part)
        self.count += 1
        self._enter(part)
        return max(body - 1, line_end)

    def _enter(self, part: Part) -> None:
        self.current = part
        if not part.content_type.startswith("multipart/"):
            return
        boundary = part.parameters.get("boundary", "").encode("utf-8", "replace")
        if not boundary:
            self.defects.append("multipart without a boundary")
        elif boundary in self.places:
            self.defects.append("multipart with the boundary of the one around it")
        elif len(self.stack) >= MAX_DEPTH:
            self.defects.append(f"more than {MAX_DEPTH} multiparts in each other")
        else:
            self.places[boundary] = len(self.stack)
            self.stack.append((boundary, part))
