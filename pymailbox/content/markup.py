"""Owns HTML as readable text: no tags, no scripts, no styles; blocks on lines of their own.

One linear pass. Nothing is run, loaded or kept of the markup: the result is a plain `str`.
"""

import re

__all__ = ["declared_charset", "readable"]

MAX_CHARACTERS = 4_194_304  # of one HTML part that are turned into text
MAX_TAGS = 200_000  # of one HTML part: after them the text is left out
MAX_REFERENCES = 200_000  # like &amp; in one HTML part: those after are left as they are

_TAG = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:]*)")
_ALT = re.compile(r"""\balt=(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"&#(?=[0-9]{20})0*([0-9]{0,8})[0-9]*")
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_META = re.compile(rb"""<meta[^<>]{0,200}?charset\s{0,5}=\s{0,5}["']?\s{0,5}([A-Za-z0-9_:.\-]{2,40})""", re.IGNORECASE)
_HIDDEN = frozenset({"script", "style", "title", "template", "noscript", "svg", "math", "object", "select", "textarea"})
_BREAKS = {
    "br": 1, "div": 1, "tr": 1, "li": 1, "dt": 1, "dd": 1, "option": 1, "address": 1, "article": 1, "section": 1,
    "header": 1, "footer": 1, "center": 1, "form": 1, "hr": 1, "table": 1, "tbody": 1, "thead": 1, "caption": 1,
    "p": 2, "blockquote": 2, "pre": 2, "ul": 2, "ol": 2, "dl": 2, "h1": 2, "h2": 2, "h3": 2, "h4": 2, "h5": 2, "h6": 2,
}  # fmt: skip


def declared_charset(data: bytes) -> str | None:
    """Name the charset that a `<meta>` near the start declares."""
    match = _META.search(data, 0, 2048)
    return match[1].decode("ascii") if match is not None else None


def readable(html: str) -> str:
    """Turn HTML into the text a person would see, wrapped nowhere, without trailing blanks."""
    from html import unescape

    html = html[:MAX_CHARACTERS]
    escaped = len(html)  # up to where references are resolved
    if html.count("&") > MAX_REFERENCES:
        escaped = len(html) - len(html.split("&", MAX_REFERENCES)[-1]) - 1
    # Python raises for a number of thousands of digits; no character has one of more than seven.
    references = _LONG_NUMBER.sub(r"&#0\1", html[:escaped])
    html = references + html[escaped:]
    escaped = len(references)
    page = _Page()
    unclosed: set[str] = set()  # what is known not to occur any more: keeps the pass linear
    position = 0
    for _ in range(MAX_TAGS):
        start = html.find("<", position)
        text = html[position:start] if start >= 0 else html[position:]
        if text:
            if "&" in text and position < escaped:
                end = escaped - position
                text = unescape(text[:end]) + text[end:]
            page.text(text)
        if start < 0:
            break
        if html.startswith("<!--", start) and "-->" not in unclosed:
            end = html.find("-->", start + 4)
            if end >= 0:
                position = end + 3
                continue
            unclosed.add("-->")
        tag = _TAG.match(html, start + 1)
        if tag is None and not html.startswith(("<!", "<?", "</"), start):
            page.text("<")
            position = start + 1
            continue
        position = _tag_end(html, start + 1)
        if position < 0:
            break
        if tag is None:
            continue
        name = tag[1].lower()
        closing = html.startswith("</", start)
        if name in _HIDDEN and not closing and name not in unclosed:
            close = re.compile(f"</{name}[^>]*>?", re.IGNORECASE).search(html, position)
            if close is None:
                unclosed.add(name)
            else:
                position = close.end()
            continue
        if name == "img" and (alternative := _ALT.search(html, tag.end(), position)) is not None:
            alternative_text = alternative[1] or alternative[2] or ""
            page.text(unescape(alternative_text) if position < escaped else alternative_text)
        page.tag(name, closing)
    return page.finish()


def _tag_end(html: str, start: int) -> int:
    """Find the position after the tag that begins before `start`, a `>` in a quoted attribute passed over."""
    end = html.find(">", start)
    if end >= 0 and html.count('"', start, end) % 2:
        quote = html.find('"', end, end + 2000)
        beyond = html.find(">", quote, quote + 2000) if quote >= 0 else -1
        if beyond >= 0 and html.find("<", end, quote) < 0:
            end = beyond
    return end + 1 if end >= 0 else -1


class _Page:
    """The text so far, and the line breaks and blanks owed before the next of it."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.breaks = 0
        self.blank = False
        self.preformatted = 0

    def text(self, text: str) -> None:
        if self.preformatted:
            self._put(text)
            return
        words = _BLANKS.sub(" ", text)
        if words == " " or not words:
            self.blank = self.blank or bool(words)
            return
        if words.startswith(" "):
            self.blank = True
            words = words[1:]
        ends_blank = words.endswith(" ")
        self._put(words[:-1] if ends_blank else words)
        self.blank = ends_blank

    def _put(self, text: str) -> None:
        if self.breaks:
            if self.pieces:
                self.pieces.append("\n" * self.breaks)
        elif self.blank and self.pieces:
            self.pieces.append(" ")
        self.breaks = 0
        self.blank = False
        self.pieces.append(text)

    def tag(self, name: str, closing: bool) -> None:
        if name == "br":
            self.breaks = min(self.breaks + 1, 3)
        elif (breaks := _BREAKS.get(name)) is not None:
            self.breaks = max(self.breaks, breaks)
            if name == "pre":
                self.preformatted = max(self.preformatted + (-1 if closing else 1), 0)
            elif name == "li" and not closing:
                self._put("- ")
        elif name in ("td", "th"):
            self.blank = True

    def finish(self) -> str:
        text = "".join(self.pieces).replace("\r\n", "\n").replace("\xa0", " ")
        return "\n".join([line.rstrip() for line in text.split("\n")]).strip("\n")
