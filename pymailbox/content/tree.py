"""Tree: the MIME structure of a message (RFC 2046 §5.1), with its parts as positions in the message.

One pass looks only at lines that begin with `--`, keeps the open multiparts in a list (there is no recursion), and
copies no body. Whatever exceeds a bound stays an opaque part and is named in `defects`.
"""

import re
from collections.abc import Iterator
from itertools import islice

from attrs import define, field

from .headers import MAX_HEADER_BYTES, Headers, boundaries, find_end, find_start, has_stray_lines, settle
from .parameters import parse_parameters
from .transfer import UuFile, decode_transfer, encoding_name, uu_files
from .words import clean, decode_raw

__all__ = ["MAX_DEPTH", "MAX_PARTS", "Part", "leaves", "parse"]

MAX_DEPTH = 200  # nested multiparts: real mail has fewer than ten, tests of other parsers have 105
MAX_PARTS = 10_000
MAX_MISSES = 500_000  # lines that begin with -- and delimit nothing; after that many, the search ends
MAX_FIELDS = 20  # fields read of a MIME field that occurs more than once
MAX_EMPTY = 1000  # bytes of a text that are decoded to see whether it has any words
MAX_GUESSES = 20  # lines that begin with -- and are tried as the delimiter of a multipart without a boundary

_EMPTY_LINE = re.compile(rb"\n\r*\n")
_DELIMITER_OR_EMPTY_LINE = re.compile(rb"\n(?:--|\r*\n)")
_DASHED_LINE = re.compile(rb"\n--([^\n]*)")
_PART_HEADER = re.compile(rb"\ncontent-[a-z]+[ \t]*:", re.IGNORECASE)
_WORD = re.compile(rb"\S")
_FIRST_LINE = re.compile(rb"\s{0,1000}(--[^\n]*)")
_HTML_START = re.compile(rb"\s{0,200}<(?:!doctype\s{1,9}html|html)\b", re.IGNORECASE)
_TEXTS = {"text/plain": "plain", "text/html": "html"}
_NO_TYPE = "application/octet-stream"  # the type of a part if its own is invalid
_CONTENT_TYPE = re.compile(r"[a-z0-9!#$&^_.+\-]+/[a-z0-9!#$&^_.+\-]+\Z")
_NOT_IN_A_TYPE = re.compile(r"[^a-z0-9!#$&^_.+\-/]+")


@define(eq=False)
class Part:
    """One part of a message: its header, the position of its body, and its children if it is a multipart."""

    headers: Headers
    start: int  # of the body, in the message
    end: int
    content_type: str
    parameters: dict[str, str]
    disposition: str
    filename: str
    children: list["Part"] = field(factory=list)
    main_text: bool = False  # text with a file name that is the text of the message nevertheless

    @property
    def unreadable(self) -> bool:
        """Whether this leaf has an invalid type or is a multipart without parts, so nothing says how to read it."""
        if self.children or self.filename or self.disposition == "attachment":
            return False
        if self.content_type.startswith("multipart/"):
            return True
        return self.content_type == _NO_TYPE and not self.headers.get("content-type", "").lower().startswith(_NO_TYPE)

    @property
    def kind(self) -> str:
        """How to show the part: "multipart", "plain", "html" or "attachment"."""
        if self.children:
            return "multipart"
        if (self.filename and not self.main_text) or self.disposition == "attachment":
            return "attachment"
        if self.content_type.startswith("multipart/"):  # without parts
            return "multipart"
        return _TEXTS.get(self.content_type, "attachment")


def leaves(part: Part) -> Iterator[Part]:
    """Yield the leaves of a tree in the order of the message."""
    stack = [part]
    while stack:
        part = stack.pop()
        if part.children:
            stack.extend(reversed(part.children))
        else:
            yield part


def parse(raw: bytes, defects: list[str]) -> Part:
    """Find the parts of a message, and add everything malformed to `defects`."""
    start = find_start(raw)
    if start:
        defects.append("junk before the header")
    end, body = find_end(raw, start)
    if end - start > MAX_HEADER_BYTES:
        defects.append(f"header longer than {MAX_HEADER_BYTES} bytes")
        if (empty := _EMPTY_LINE.search(raw, start + MAX_HEADER_BYTES)) is not None:
            body = empty.end()
    elif body < len(raw) and body <= end + 1 and start < end:
        defects.append("header without an empty line after it")
    walk = _Walk(raw, defects)
    root = walk.part(start, end, body, "text/plain")
    walk.run(root)
    _find_main_text(raw, root)
    _split_uuencoded(raw, root, defects)
    return root


def _find_main_text(raw: bytes, root: Part) -> None:
    """Mark text with a file name that is the message's own: alternatives, and the beginning of a message without text.

    Parts without any text do not count. What is marked as an attachment stays one; see `Part.kind`.
    """
    nodes = [root]
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if node.content_type == "multipart/alternative":  # each is the same text (RFC 2046 §5.1.4)
            for child in node.children:
                _first_leaf(child).main_text = True
    found = list(leaves(root))
    if any(leaf.kind in ("plain", "html") and not _is_empty(raw, leaf) for leaf in found):
        return
    for leaf in found:
        if leaf.kind not in ("plain", "html"):
            leaf.main_text = True
            break


def _first_leaf(part: Part) -> Part:
    while part.children:
        part = part.children[0]
    return part


def _is_empty(raw: bytes, leaf: Part) -> bool:
    """Return whether a text is blank; it is decoded if it is short."""
    if _WORD.search(raw, leaf.start, leaf.end) is None:
        return True
    if leaf.end - leaf.start > MAX_EMPTY:
        return False
    encoding = leaf.headers.get("content-transfer-encoding", "")
    return not decode_transfer(raw[leaf.start : leaf.end], encoding)[0].strip()


def _split_uuencoded(raw: bytes, root: Part, defects: list[str]) -> None:
    """Split a uuencoded part into one part for each file and for the text around them, unless it is just one file."""
    for leaf in list(leaves(root)):
        if encoding_name(leaf.headers.get("content-transfer-encoding", "")) != "uuencode":
            continue
        files = uu_files(raw, leaf.start, leaf.end)
        if not files:
            continue
        starts = [leaf.start, *[file.end for file in files]]
        ends = [*[file.start for file in files], leaf.end]
        texts = [(start, end) for start, end in zip(starts, ends, strict=True) if raw[start:end].strip()]
        if len(files) == 1 and (not texts or not files[0].ended):
            if leaf.content_type not in _TEXTS and not leaf.filename:
                leaf.filename = _uu_name(files[0])
            continue
        defects.append("several files, or text as well, in a uuencoded part")
        content_type = _NO_TYPE if leaf.content_type in _TEXTS else leaf.content_type
        parts = [
            Part(leaf.headers, file.start, file.end, content_type, {}, "attachment", _uu_name(file) or leaf.filename)
            for file in files
        ]
        parts += [Part(Headers(b""), start, end, "text/plain", leaf.parameters, "", "") for start, end in texts]
        leaf.children = sorted(parts, key=lambda part: part.start)


def _uu_name(file: UuFile) -> str:
    return clean(decode_raw(file.name))


@define(eq=False)
class _Walk:
    raw: bytes
    defects: list[str]
    stack: list[tuple[bytes, Part, int]] = field(factory=list)  # the open multiparts, outermost first
    places: dict[bytes, int] = field(factory=dict)  # boundary -> the innermost multipart on the stack that has it
    current: Part | None = None  # the open part; None after a closed multipart
    closed: tuple[bytes, Part] | None = None  # the multipart just closed; too early if more of its parts follow
    count: int = 1
    misses: int = 0  # lines that look like delimiters but are not
    lines: dict[bytes, int] | None = None  # what follows `--` at the start of a line -> its last position

    def run(self, root: Part) -> None:
        """Find the parts of `root`, and their parts."""
        root.end = len(self.raw)
        self._enter(root)
        self._find_parts(root.start)
        if any(leaf.content_type.startswith("multipart/") for leaf in leaves(root)):
            self.defects.append("multipart without parts")
        if self.stack:
            self.defects.append("multipart without its end")
        if self.misses > MAX_MISSES:
            self.defects.append(f"more than {MAX_MISSES} lines that look like delimiters")

    def _find_parts(self, start: int) -> None:
        raw = self.raw
        position = max(start - 1, 0)
        while self.stack or self.closed is not None:
            # A single boundary is searched for in C; with more than one, every line that begins with -- is read.
            if len(self.stack) + (self.closed is not None) > 1:
                mark = b"\n--"
            else:
                mark = b"\n--" + (self.closed or self.stack[0])[0]
            position = raw.find(mark, position)
            if position < 0 or self.misses > MAX_MISSES:
                break
            place, closing, line_end = self._delimiter(position + 3)
            if place < 0 or (closing and place == len(self.stack)):
                position += 3
                continue
            if place == len(self.stack):
                if not self._is_part(line_end):
                    self.defects.append("delimiter after the end of its multipart")
                    self.misses += 1
                    position = line_end
                    continue
                self._reopen()
            self._end_parts(place, position, line_end)
            if closing:
                self.closed = self._pop()
                position = line_end
                continue
            if self.count >= MAX_PARTS:
                self.defects.append(f"more than {MAX_PARTS} parts")
                break
            position = self._begin_part(self.stack[place][1], line_end)

    def _delimiter(self, start: int) -> tuple[int, bool, int]:
        """Read a line after its `--`: return the place of its boundary on the stack or -1, whether it closes, its end.

        The place after the top of the stack means the multipart that has just been closed.
        """
        raw = self.raw
        end = raw.find(b"\n", start)
        if end < 0:
            end = len(raw)
        line = raw[start:end].rstrip(b"\r")
        trimmed = line.rstrip()  # blanks may have been added (RFC 2046 §5.1.1)
        place = self._place(line, trimmed)
        if place >= 0:
            return place, False, end
        place = self._place(trimmed[:-2], trimmed[:-2].rstrip()) if trimmed.endswith(b"--") else -1
        self.misses += place < 0
        return place, True, end

    def _line(self, start: int) -> bytes:
        end = self.raw.find(b"\n", start)
        return self.raw[start : end if end >= 0 else len(self.raw)].rstrip()

    def _place(self, line: bytes, trimmed: bytes) -> int:
        place = self.places.get(line, self.places.get(trimmed, -1))
        if place < 0 and self.closed is not None and self.closed[0] in (line, trimmed):
            return len(self.stack)
        return place

    def _is_part(self, line_end: int) -> bool:
        """Return whether a delimiter after the end of its multipart begins a part: one with a header, and another end.

        Otherwise the delimiter is part of the epilogue, which is ignored (RFC 2046 §5.1.1).
        """
        match = _DELIMITER_OR_EMPTY_LINE.search(self.raw, line_end)
        header_end = match.start() + 1 if match is not None else len(self.raw)
        return (
            self.closed is not None
            and _PART_HEADER.search(self.raw, line_end, header_end) is not None
            and self._follows(self.closed[0] + b"--", line_end)
        )

    def _reopen(self) -> None:
        """Reopen a multipart that was closed before its last part."""
        if self.closed is not None:
            self.defects.append("parts after the end of their multipart")
            self._push(*self.closed)

    def _push(self, boundary: bytes, part: Part) -> None:
        self.stack.append((boundary, part, self.places.get(boundary, -1)))
        self.places[boundary] = len(self.stack) - 1
        self.closed = None

    def _pop(self) -> tuple[bytes, Part]:
        boundary, part, outer = self.stack.pop()
        if outer >= 0:
            self.places[boundary] = outer
        else:
            del self.places[boundary]
        return boundary, part

    def _end_parts(self, place: int, position: int, line_end: int) -> None:
        """End everything open inside the multipart at `place`, before the line end at `position`.

        That line end counts as CR CR LF only if the delimiter ends in CR CR LF, too, at `line_end`.
        """
        if self.raw.endswith(b"\r\r", 0, position) and self.raw.endswith(b"\r\r", 0, line_end):
            position -= 2
        elif self.raw.endswith(b"\r", 0, position):
            position -= 1
        if self.current is not None:
            self.current.end = max(position, self.current.start)
            self.current = None
        while len(self.stack) > place + 1:
            _, part = self._pop()
            part.end = max(position, part.start)
            self.defects.append("multipart without its end")

    def _begin_part(self, parent: Part, line_end: int) -> int:
        """Read the header of the part after the delimiter that ends at `line_end`; return where to search next."""
        raw = self.raw
        self.closed = None
        start = line_end + 1
        end = body = len(raw)
        position = line_end
        declared: set[bytes] = set()
        runs_on = False
        while (match := _DELIMITER_OR_EMPTY_LINE.search(raw, position)) is not None:
            if not match[0].endswith(b"-"):
                end, body = match.span()
                break
            if raw.find(b"=", position, match.start()) >= 0:
                declared |= boundaries(raw, position, match.start())
            runs_on = bool(declared) and self._line(match.end()) in declared
            # The first part, or the next one, cuts the header off.
            if runs_on or self._delimiter(match.end())[0] >= 0:
                end, body = match.start(), match.start() + 1
                break
            if self.misses > MAX_MISSES:
                break
            position = match.end()
        if start < end:
            found = end, body
            end, body = settle(raw, start, end, body, part=True)
            if end == body == start:
                self.defects.append("part without a header")
            elif runs_on or (end, body) != found:
                self.defects.append("header without an empty line after it")
        default = "message/rfc822" if parent.content_type == "multipart/digest" else "text/plain"
        part = self.part(start, end, body, default)
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
        if boundary != boundary.rstrip() and not self._follows(boundary, part.start - 1):
            boundary = boundary.rstrip()  # the delimiters do not have these blanks
        if not boundary:
            self.defects.append("multipart without a boundary")
            guess = self._guess(part)
            if guess is None:
                return
            boundary = guess
            self.defects.append("multipart whose boundary was guessed from its body")
        elif boundary in self.places:
            self.defects.append("multipart with the boundary of the one around it")
        if len(self.stack) >= MAX_DEPTH:
            self.defects.append(f"more than {MAX_DEPTH} multiparts in each other")
        else:
            self._push(boundary, part)

    def _guess(self, part: Part) -> bytes | None:
        """Guess a boundary: return that of the first `--` line in the body that the header of a part follows.

        A line also counts if its boundary is closed later. The search ends at a delimiter of an open multipart.
        """
        position = max(part.start - 1, 0)
        for _ in range(MAX_GUESSES):
            match = _DASHED_LINE.search(self.raw, position)
            if match is None:
                break
            position = match.end()
            boundary = match[1].rstrip()
            if boundary in self.places or boundary.removesuffix(b"--") in self.places:
                break
            if _PART_HEADER.match(self.raw, position) or (boundary and self._follows(boundary + b"--", position)):
                return boundary
        return None

    def _follows(self, line: bytes, position: int) -> bool:
        """Return whether a `--` line occurs after a position; all such lines are indexed once."""
        if self.lines is None:
            self.lines = {}
            for match in islice(_DASHED_LINE.finditer(self.raw), MAX_MISSES):
                found = match[1].rstrip(b"\r")
                self.lines[found] = self.lines[found.rstrip()] = match.start()
        return self.lines.get(line, -1) >= position

    def part(self, start: int, end: int, body: int, default: str) -> Part:
        """Return a part with the header from `start` to `end` and a body from `body`; the caller sets its end."""
        headers = Headers.between(self.raw, start, end)
        if has_stray_lines(self.raw, start, end):
            self.defects.append("lines in a header that are not fields")
        content_type, parameters = self._content_type(headers, body)
        if not _CONTENT_TYPE.match(content_type):
            if content_type.startswith(("multipart/", "message/")):
                content_type = _NOT_IN_A_TYPE.sub("", content_type)
            elif not content_type:
                content_type = _NO_TYPE if "content-type" in headers else default
            else:
                content_type = content_type.strip("\"';,: ")
                if not _CONTENT_TYPE.match(content_type):
                    content_type = _NO_TYPE
        disposition, named = self._disposition(headers)
        filename = named["filename"] if "filename" in named else parameters.get("name", "")
        if not filename and (disposition == "attachment" or content_type not in _TEXTS):
            # Names in the wrong field are still names, but do not turn text into an attachment.
            filename = parameters.get("name") or named.get("name") or parameters.get("filename") or ""
        return Part(headers, body, body, content_type, parameters, disposition, filename)

    def _several(self, headers: Headers, name: str) -> list[tuple[str, dict[str, str]]]:
        """Read each field of a name that occurs more than once, the last field first."""
        found = [parse_parameters(raw, headers.charsets) for raw in headers.raw(name)[: -MAX_FIELDS - 1 : -1]]
        if any(entry != found[0] for entry in found):
            self.defects.append(f"more than one {name} field")
        return found

    def _content_type(self, headers: Headers, body: int) -> tuple[str, dict[str, str]]:
        """Read Content-Type; of several fields use the one that fits the body, otherwise the last valid one.

        A multipart fits if its boundary occurs in the body or, if another field is not a multipart, begins the body.
        """
        if len(headers.raw("content-type")) < 2:
            return headers.parameters("content-type")
        found = self._several(headers, "Content-Type")
        readable = [entry for entry in found if _CONTENT_TYPE.match(entry[0])]
        leaf_types = [entry for entry in readable if not entry[0].startswith("multipart/")]
        match = _FIRST_LINE.match(self.raw, body)
        first_line = match[1].rstrip() if match is not None else b""
        for entry in readable:
            boundary = entry[1].get("boundary", "").encode("utf-8", "replace").rstrip()
            begins = not leaf_types or first_line == b"--" + boundary
            if entry not in leaf_types and boundary and begins and self._follows(boundary, body - 1):
                return entry
        if _HTML_START.match(self.raw, body):
            leaf_types.sort(key=lambda entry: entry[0] != "text/html")
        return (leaf_types or readable or found)[0]

    def _disposition(self, headers: Headers) -> tuple[str, dict[str, str]]:
        """Read Content-Disposition; of several fields use the last one with a file name, otherwise the last one."""
        if len(headers.raw("content-disposition")) < 2:
            return headers.parameters("content-disposition")
        found = self._several(headers, "Content-Disposition")
        return next((entry for entry in found if entry[1].get("filename")), found[0])
