"""Body: the text a person reads, from the parts of a message that are text or HTML, and the links in it.

A leaf is text if it is `text/plain` or `text/html`, has no file name, and is not marked as an attachment; every other
leaf is an attachment, unless it is the text of the message despite its file name (see `tree`). An attached message is
one attachment: its text is not part of the outer message's text.
"""

import re

from . import charset
from .links import find_urls
from .markup import declared_charset, exceeds_limits, link_targets, readable
from .transfer import choose_encoding, decode_transfer, encoding_name, is_plain_message
from .tree import Part, leaves

__all__ = ["decode_leaf", "decode_text", "read_body", "read_links", "read_text"]

MAX_FLOWED_LINES = 500_000
_MAX_RECURSION = 40  # nested multiparts; deeper ones are read as a flat list of leaves
_STUB = 300  # characters: a shorter plain alternative may only say "your reader cannot show HTML"
_TARGET = re.compile(r" ?<[^\s<>]+>")


def decode_leaf(raw: bytes, part: Part, defects: list[str]) -> bytes:
    """Return the decoded bytes of a leaf."""
    encoded = raw[part.start : part.end]
    encodings = part.headers.get_all("content-transfer-encoding")
    encoding = encodings[0] if encodings else ""
    if len(set(encodings)) > 1:
        defects.append("more than one Content-Transfer-Encoding field")
        encoding = choose_encoding(encoded, encodings)
    if part.content_type.startswith("message/") and is_plain_message(encoded, encoding):
        defects.append(f"message labelled {encoding_name(encoding)} but not encoded")
        return encoded
    data, defect = decode_transfer(encoded, encoding)
    if defect is not None:
        defects.append(defect)
    return data


def read_text(raw: bytes, part: Part, hints: tuple[str, ...], defects: list[str]) -> str:
    """Decode a text leaf, with newlines as line ends."""
    data = decode_leaf(raw, part, defects)
    return decode_text(data, part.content_type, part.parameters.get("charset"), hints, defects)


def decode_text(data: bytes, content_type: str, label: str | None, hints: tuple[str, ...], defects: list[str]) -> str:
    """Decode text, with newlines as line ends."""
    if content_type == "text/html" and label is None and (declared := declared_charset(data)) is not None:
        hints = (declared, *hints)
    text, fits = charset.decode(data, label, hints)
    if content_type == "text/html" and exceeds_limits(text):
        defects.append("HTML too long: the end is not in the body")
    if not fits:
        defects.append(f"text read in spite of its charset, {(label or 'none')[:40]!a}")
    if "\r" in text:
        if "\r\r\n" in text:
            defects.append("lines that end in CR CR LF")
            text = text.replace("\r\r\n", "\n")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def read_body(raw: bytes, part: Part, hints: tuple[str, ...]) -> str:
    """Return what a person would read, from text or HTML; "" if there is no text.

    If there is nothing else, a part with an invalid type, or a multipart without parts, is read as text.
    """
    text = _read(raw, part, hints, 0).strip("\n")
    if text:
        return text
    lost = [read_text(raw, leaf, hints, []).strip("\n") for leaf in leaves(part) if leaf.unreadable]
    return "\n\n".join(lost)


def read_links(raw: bytes, part: Part, hints: tuple[str, ...]) -> tuple[str, ...]:
    """Return the URLs of text and HTML in the order of the message, each once."""
    found: dict[str, None] = {}
    for leaf in leaves(part):
        if leaf.kind == "plain":
            found |= dict.fromkeys(find_urls(_read_plain(raw, leaf, hints)))
        elif leaf.kind == "html":
            found |= dict.fromkeys(link_targets(read_text(raw, leaf, hints, [])))
    return tuple(found)


def _read_plain(raw: bytes, part: Part, hints: tuple[str, ...]) -> str:
    text = read_text(raw, part, hints, [])
    if part.parameters.get("format", "").lower() == "flowed" and text.count("\n") <= MAX_FLOWED_LINES:
        return unflow(text, delete_blank=part.parameters.get("delsp", "").lower() == "yes")
    return text


def _read(raw: bytes, part: Part, hints: tuple[str, ...], depth: int) -> str:
    kind = part.kind
    if kind == "plain":
        return _read_plain(raw, part, hints)
    if kind == "html":
        return readable(read_text(raw, part, hints, []))
    if kind == "attachment":
        return ""
    if depth < _MAX_RECURSION:
        if part.content_type == "multipart/alternative":
            return _best(raw, part, hints, depth)
        children = part.children
    else:
        children = [leaf for leaf in leaves(part) if leaf is not part]
    texts = [_read(raw, child, hints, depth + 1).strip("\n") for child in children]
    return "\n\n".join([text for text in texts if text and not text.isspace()])


def _best(raw: bytes, part: Part, hints: tuple[str, ...], depth: int) -> str:
    """Choose among alternatives: the plain one, unless it is blank or only a stub compared with the last one."""
    plain = ""
    for child in part.children:
        if child.kind == "plain":
            plain = _read(raw, child, hints, depth + 1)
            if plain and not plain.isspace():
                break
    if len(plain) > _STUB:
        return plain
    for child in reversed(part.children):
        if child.kind == "plain":
            continue
        rich = _read(raw, child, hints, depth + 1)
        if rich and not rich.isspace():
            return plain if len(plain.strip()) * 10 > len(_TARGET.sub("", rich)) else rich
    return plain


def unflow(text: str, *, delete_blank: bool) -> str:
    """Join the lines of format=flowed paragraphs (RFC 3676 §4); quotes keep their depth."""
    paragraphs: list[str] = []
    pieces: list[str] = []  # of the open paragraph
    open_depth = -1  # quote depth of the open paragraph; -1 if the last line ended it
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")
        flows = content.endswith(" ") and content != "-- "
        if open_depth == depth and content != "-- ":
            pieces.append(content)
        else:
            paragraphs.append("".join(pieces))
            pieces = [(">" * depth + " " if depth and content else ">" * depth) + content]
        if flows and delete_blank:
            pieces[-1] = pieces[-1][:-1]
        open_depth = depth if flows else -1
    paragraphs.append("".join(pieces))
    return "\n".join(paragraphs[1:])  # the first is empty: nothing comes before the first line
