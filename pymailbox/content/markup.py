"""Markup: HTML as readable text, without tags, scripts, styles and hidden text.

Blocks are on separate lines, list items begin with `-` or their number, and quoted lines with `>`. A link is followed
by its target, as `text <url>`, unless its text shows the target already. One linear pass; nothing is run or loaded.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

from attrs import define, evolve, field, frozen

from .links import find_urls, link_target, shows
from .styles import Style, attributes_of, style_of

__all__ = ["declared_charset", "exceeds_limits", "link_targets", "readable"]

MAX_CHARACTERS = 4_194_304  # of one HTML part that are converted to text
MAX_TAGS = 200_000  # in one HTML part: the text after them is dropped
MAX_REFERENCES = 200_000  # like &amp; in one HTML part: later ones are not resolved
MAX_TAG = 10_000  # characters of a tag with a < in a quoted value
MAX_BAD_TAGS = 1000  # tags that are longer, or in which a quote is not closed; after that many, no value contains a <
MAX_INDENT = 10  # nested quotes and list items that are shown by an indent
MAX_WIDTH = 18  # characters of an indent; that of nested list items does not get wider

_TAG = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:]*)")
# A quoted value may contain a `>` (HTML §13.2.5.36), and also a `<` if a blank, `/` or `>` follows the closing quote.
# Otherwise the quote was never closed, and the tag ends at the first `>`.
_TAG_END = re.compile(r"""(?:[^<>=]++|=\s*+(?:"(?:[^"<]*+"|[^"]*+"(?=[\s/>]))|'(?:[^'<]*+'|[^']*+'(?=[\s/>])))|=)*+>""")
_PLAIN_TAG_END = re.compile(r"""(?:[^<>=]++|=\s*+"[^"<]*+"|=\s*+'[^'<]*+'|=)*+>""")
_COMMENT_END = re.compile(r"--!?>")
_LONG_NUMBER = re.compile(r"&#(?=[0-9]{20})0*([0-9]{0,8})[0-9]*")
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_META = re.compile(rb"""<meta[^<>]{0,200}?charset\s{0,5}=\s{0,5}["']?\s{0,5}([A-Za-z0-9_:.\-]{2,40})""", re.IGNORECASE)
_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,9})(?![0-9])")
_HIDDEN = frozenset({"script", "style", "title", "template", "noscript", "svg", "math", "object", "select", "textarea"})
_RAW = frozenset({"script", "style"})  # they hide everything up to their end tag, or the end of the page
_BREAKS = {
    "br": 1, "div": 1, "tr": 1, "li": 1, "dt": 1, "dd": 1, "option": 1, "address": 1, "article": 1, "section": 1,
    "header": 1, "footer": 1, "center": 1, "form": 1, "hr": 1, "table": 1, "tbody": 1, "thead": 1, "caption": 1,
    "tfoot": 1, "aside": 1, "main": 1, "nav": 1, "figcaption": 1, "fieldset": 1, "legend": 1, "details": 1,
    "summary": 1, "p": 2, "blockquote": 2, "pre": 2, "ul": 2, "ol": 2, "menu": 2, "dir": 2, "dl": 2, "figure": 2,
    "h1": 2, "h2": 2, "h3": 2, "h4": 2, "h5": 2, "h6": 2,
}  # fmt: skip
_VOID = frozenset({
    "br", "img", "hr", "wbr", "input", "meta", "link", "area", "base", "col", "embed", "source", "track", "param",
})  # fmt: skip
_IGNORED = frozenset({"html", "head", "body"})
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_CELLS = frozenset({"td", "th", "caption"})
_ROWS = frozenset({"tr", "tbody", "thead", "tfoot"})
_CLOSES_P = _BREAKS.keys() - {"br", "tr", "tbody", "thead", "tfoot", "caption", "option", "legend"}
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
    (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


def declared_charset(data: bytes) -> str | None:
    """Return the charset that a `<meta>` near the start declares."""
    match = _META.search(data, 0, 2048)
    return match[1].decode("ascii") if match is not None else None


def readable(html: str) -> str:
    """Return the text a person would see, not wrapped, without trailing blanks."""
    page = _Page(sheets="<style" in html or "<STYLE" in html)
    _read(html, page)
    return page.finish()


def link_targets(html: str) -> list[str]:
    """Return the targets of all links in order, hidden ones included, and the URLs in text outside links."""
    page = _Page(sheets=True, urls=True)
    _read(html, page)
    page.finish()
    return page.targets


def exceeds_limits(html: str) -> bool:
    """Return whether some of the text is dropped."""
    return len(html) > MAX_CHARACTERS or html.count("<") > MAX_TAGS


def _read(html: str, page: "_Page") -> None:
    """Read HTML once from start to end, and pass its text and tags to `page`."""
    from html import unescape

    # Python raises for a number with thousands of digits; that of a character has seven at most.
    html = _LONG_NUMBER.sub(r"&#0\1", html[:MAX_CHARACTERS].replace("\r\n", "\n"))
    escaped = len(html)  # references in text are resolved up to here
    if html.count("&") > MAX_REFERENCES:
        escaped = len(html) - len(html.split("&", MAX_REFERENCES)[-1]) - 1
    unclosed: set[str] = set()  # tags known to be never closed: keeps the pass linear
    bad_tags = 0
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
        if html.startswith("<!--", start):
            comment = _COMMENT_END.search(html, start + 2)  # <!--> is a whole comment
            if comment is None:
                break
            position = comment.end()
            continue
        tag = _TAG.match(html, start + 1)
        if tag is None and not html.startswith(("<!", "<?", "</"), start):
            page.text("<")
            position = start + 1
            continue
        tag_end = _TAG_END.match(html, start + 1, start + MAX_TAG) if bad_tags < MAX_BAD_TAGS else None
        if tag_end is None:
            bad_tags += 1
            tag_end = _PLAIN_TAG_END.match(html, start + 1)
        position = tag_end.end() if tag_end is not None else html.find(">", start) + 1
        if not position:
            break
        if tag is None:
            continue
        name = tag[1].lower()
        if html.startswith("</", start):
            page.close(name)
            continue
        if name in _HIDDEN and name not in unclosed:
            close = re.compile(f"</{name}[^>]*>?", re.IGNORECASE).search(html, position)
            if close is None and name in _RAW:
                break
            if close is None:
                unclosed.add(name)
            else:
                position = close.end()
            continue
        page.open(name, attributes_of(html[tag.end() : position - 1]) if position - tag.end() > 1 else {})


def _numeral(number: int, kind: str) -> str:
    """Write the number of a list item in the style of its list: 1, a, A, i or I."""
    text = ""
    if kind in ("a", "A") and 0 < number < 18_279:
        while number:
            number, letter = divmod(number - 1, 26)
            text = chr(ord("a") + letter) + text
    elif kind in ("i", "I") and 0 < number < 4000:
        for value, letters in _ROMAN:
            text += letters * (number // value)
            number %= value
    else:
        return str(number)
    return text.upper() if kind.isupper() else text


@define(eq=False)
class _List:
    """An ordered or unordered list, and its items so far."""

    ordered: bool = False
    number: int | None = 0  # of the last item; None if it depends on the final count (reversed, without a start)
    step: int = 1
    kind: str = "1"
    count: int = 0
    unnumbered: list[tuple[int, int]] = field(factory=list)  # markers to fill in at the end: their places and items

    @classmethod
    def of(cls, name: str, attributes: dict[str, str]) -> "_List":
        """Read the start tag of a list."""
        step = -1 if "reversed" in attributes else 1
        start = _INTEGER.match(attributes.get("start", ""))
        number = int(start[1]) - step if start is not None else None if step < 0 else 0
        return cls(name == "ol", number, step, attributes.get("type", "1").strip())

    def item(self, attributes: dict[str, str]) -> "_Item":
        """Count one more item and return it."""
        self.count += 1
        if not self.ordered:
            return _Item("- ", self)
        value = _INTEGER.match(attributes.get("value", ""))
        if value is not None:
            self.number = int(value[1])
        elif self.number is not None:
            self.number += self.step
        return _Item("0. " if self.number is None else f"{_numeral(self.number, self.kind)}. ", self, self.count)


@define(eq=False)
class _Item:
    """A list item, with its marker until that has been written."""

    marker: str
    list: _List
    place: int = 0  # in an ordered list, from 1
    width: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.width = len(self.marker)


_Indent = tuple[str | _Item, ...]  # ">" for each quote, blanks or an item for lists; outermost first


_SEEN = Style()


@frozen
class _Context:
    """What an element passes on to its children; the outer one is restored at its end."""

    style: Style = _SEEN
    indent: _Indent = ()
    list: _List | None = None
    item: str = ""  # the kind of item that is open in the nearest list: "li", "dd" or ""


@define(eq=False)
class _Frame:
    """The open elements that an end tag can end: those of the page, of a table outside its cells, or of one cell."""

    kind: str  # "page", "table" or "cell"
    outer: _Context
    lines: int = 0  # begun before the cell
    pieces: int = 0  # written before the cell
    elements: list[tuple[str, _Context]] = field(factory=list)  # each with the context to restore at its end
    counts: dict[str, int] = field(factory=dict)
    row_cells: int = 0  # cells with text in the current row
    row_breaks: int = 0  # pending after the current row


@define(eq=False)
class _Link:
    target: str
    text: list[str] = field(factory=list)
    image: bool = False


class _Page:
    """The text so far, the line breaks and blanks pending before more text, and the open elements."""

    def __init__(self, *, sheets: bool, urls: bool = False) -> None:
        self.sheets = sheets
        self.urls = urls  # look for URLs in the text
        self.targets: list[str] = []
        self.pieces: list[str] = []
        self.breaks = 0
        self.blank = False
        self.lines = 0
        self.fresh = False  # no text since a list item or a table cell began
        self.pre_begins = False
        self.line_indent: _Indent = ()  # of the last line
        self.link: _Link | None = None
        self.context = _Context()
        self.frames = [_Frame("page", self.context)]

    def finish(self) -> str:
        """End all open elements, and return the text."""
        while len(self.frames) > 1:
            self._end_frame()
        self._end_elements()
        text = "".join(self.pieces).replace("\r\n", "\n").replace("\xa0", " ")
        return "\n".join([line.rstrip() for line in text.split("\n")]).strip("\n")

    # --- text ---------------------------------------------------------------------------------------------

    def text(self, text: str) -> None:
        """Add the text between two tags."""
        style = self.context.style
        if not style.shown:
            return
        if self.urls and self.link is None and ":" in text:
            self.targets += find_urls(text)
        if style.preformatted:
            self._preformatted(text)
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

    def _preformatted(self, text: str) -> None:
        if self.pre_begins:  # a line break right after <pre> does not count
            self.pre_begins = False
            text = text.removeprefix("\n")
        inner = text.lstrip("\n")
        self.breaks += len(text) - len(inner)
        inner = inner.rstrip("\n")
        if not inner:
            return
        trailing = len(text) - len(text.rstrip("\n"))
        first, more, rest = inner.partition("\n")
        self._put(first)
        if more:
            indent = "\n" + self._write_indent()
            self._put(indent + rest.replace("\n", indent))
            self.lines += 1
        self.breaks = trailing

    def _put(self, text: str) -> None:
        if self.context.indent is not self.line_indent and not self.breaks:  # a quote that ends without a line break
            self.breaks = 1
        if self.breaks or not self.pieces:
            self._begin_line()
        elif self.blank:
            self.pieces.append(" ")
        self.breaks = 0
        self.blank = False
        self.fresh = False
        self.pieces.append(text)
        if self.link is not None:
            self.link.text.append(text)

    def _begin_line(self) -> None:
        indent = self.context.indent
        if self.pieces:
            self.lines += 1
            common = [
                one
                for one, other in takewhile(
                    lambda pair: pair[0] is pair[1], zip(indent, self.line_indent, strict=False)
                )
            ]
            between = _quotes(common) if self.breaks > 1 else ""
            self.pieces.append("\n" + (between + "\n") * (self.breaks - 1))
        self.line_indent = indent
        if indent:
            self.pieces.append(self._write_indent())

    def _write_indent(self) -> str:
        """Return what a line begins with, including the markers of items that have not been written yet."""
        written = ""
        room = _room(self.context.indent)
        for token in self.context.indent:
            if isinstance(token, str) or not token.marker:
                written, room = _indented(written, token, room)
                continue
            if written.endswith(">"):
                written += " "
            room -= token.width
            if token.place and token.list.number is None:
                self.pieces.append(written)
                token.list.unnumbered.append((len(self.pieces), token.place))
                self.pieces.append("")
                written = ""
            else:
                written += token.marker
            token.marker = ""
        return written + " " if written.endswith(">") else written

    # --- tags ---------------------------------------------------------------------------------------------

    def open(self, name: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        self.pre_begins = False
        if name in _VOID:
            self._void(name, attributes)
            return
        if name in _IGNORED:
            return
        self._end_implied(name)
        if name in _CELLS and self.frames[-1].kind != "table":
            self.blank = True
            return
        outer = self.context
        style = (
            style_of(name, attributes, outer.style, sheets=self.sheets)
            if attributes or name == "pre" or outer.style.tiny
            else outer.style
        )
        context = outer if style is outer.style else evolve(outer, style=style)
        if name == "table" or name in _CELLS:
            self._begin_frame(name, context)
            return
        frame = self.frames[-1]
        frame.elements.append((name, outer))
        frame.counts[name] = frame.counts.get(name, 0) + 1
        breaks = _BREAKS.get(name, 0)
        if name == "a":
            self._begin_link(attributes.get("href", ""), style)
        elif name in _LISTS:
            breaks = 2 if outer.list is None else 1
            inside = outer.list is not None and not outer.item  # a list directly in a list is indented like an item
            context = evolve(
                context,
                list=_List.of(name, attributes),
                item="",
                indent=_deeper(outer.indent, "  ") if inside else outer.indent,
            )
        elif name == "li":
            if style.shown:
                item = (outer.list or _List()).item(attributes)
                context = evolve(context, indent=_deeper(outer.indent, item))
            context = evolve(context, item="li")
        elif name in ("dt", "dd"):
            context = evolve(context, item="dd")
        elif name == "blockquote":
            context = evolve(context, indent=_deeper(outer.indent, ">"), item="")
        elif name == "pre":
            self.pre_begins = True
        self.context = context
        if breaks and style.shown:
            self._break(breaks, least=1 if name in ("li", "blockquote", "pre") else 0)
        if name == "li":
            self.fresh = True

    def close(self, name: str) -> None:
        """End an element, and everything open inside it."""
        self.pre_begins = False
        frame = self.frames[-1]
        style = self.context.style
        if name in _IGNORED:
            return
        if name in _CELLS:
            if frame.kind == "cell":
                self._end_frame()
        elif name in _ROWS:
            self._end_row(name)
        elif name == "table":
            if len(self.frames) > 1:
                while self.frames[-1].kind != "table":
                    self._end_frame()
                self._end_frame()
                style = self.context.style
        elif frame.counts.get(name):
            style = self._end_element(name).style
        if name in _LISTS and self.context.list is not None:
            self._break(1)
        elif style.shown and (breaks := _BREAKS.get(name)) is not None:
            self._break(breaks)

    def _void(self, name: str, attributes: dict[str, str]) -> None:
        style = style_of(name, attributes, self.context.style, sheets=self.sheets) if attributes else self.context.style
        if name == "area":  # of an image map: a link in the place of part of an image
            self._begin_link(attributes.get("href", ""), style)
            if self.link is not None:
                self.blank = True
                self._image(attributes, style)
                self._end_link()
                self.blank = True
        elif name == "img":
            self._image(attributes, style)
        elif not style.shown:
            return
        elif name == "br":
            if style.preformatted or (self.breaks < 3 and not self.fresh):
                self.breaks += 1
        elif name == "hr":
            self._break(1)

    def _image(self, attributes: dict[str, str], style: Style) -> None:
        """Add the description of an image, which no size of text hides."""
        if style.removed or style.invisible:
            return
        if self.link is not None:
            self.link.image = True
        if alternative := attributes.get("alt", ""):
            outer, self.context = self.context, evolve(self.context, style=evolve(style, tiny=False))
            self.text(alternative)
            self.context = outer

    def _break(self, breaks: int, *, least: int = 0) -> None:
        """Add pending line breaks, only `least` of them at the beginning of a list item or a table cell."""
        self.breaks = max(self.breaks, least if self.fresh else breaks)

    def _end_implied(self, name: str) -> None:
        """End the elements that the start tag `name` ends without an end tag."""
        if name in _CLOSES_P and self.frames[-1].counts.get("p") and self._end_element("p").style.shown:
            self._break(2)
        if name == "li" and self.context.item == "li":
            self._end_element("li")
        elif name in ("dt", "dd") and self.context.item == "dd":
            self._end_element("dt", "dd")
        elif name == "a" and self.frames[-1].counts.get("a"):
            self._end_element("a")
        elif name in _CELLS and self.frames[-1].kind == "cell":
            self._end_frame()
        elif name in _ROWS:
            self._end_row(name)
        elif name == "table" and self.frames[-1].kind == "table":
            self._end_frame()

    def _end_element(self, *names: str) -> _Context:
        """End the innermost element of one of these names, and everything open inside it; return its context."""
        frame = self.frames[-1]
        while True:
            name, outer = frame.elements.pop()
            frame.counts[name] -= 1
            own, self.context = self.context, outer
            if name == "a":
                self._end_link()
            elif name == "li":
                if not self.fresh:
                    self.breaks = min(self.breaks, 1)  # no empty line after an item that ends with a paragraph
                self.fresh = False
            elif name == "ol" and own.list is not None:
                for place, number in own.list.unnumbered:
                    self.pieces[place] = f"{_numeral(own.list.count + 1 - number, own.list.kind)}. "
            if name in names:
                return own

    def _end_elements(self) -> None:
        frame = self.frames[-1]
        while frame.elements:
            self._end_element(frame.elements[-1][0])
        if self.link is not None and len(self.frames) == 1:
            self._end_link()

    # --- tables -------------------------------------------------------------------------------------------

    def _begin_frame(self, name: str, context: _Context) -> None:
        table = self.frames[-1]
        if name == "table":
            if context.style.shown:
                self._break(1)
            self.frames.append(_Frame("table", self.context))
        else:
            if table.row_cells:
                self.blank = True
            begins_line = bool(self.breaks and self.pieces)
            self.frames.append(_Frame("cell", self.context, self.lines + begins_line, len(self.pieces)))
            self.fresh = True
        self.context = evolve(context, item="")

    def _end_frame(self) -> None:
        """End the innermost table or cell."""
        frame = self.frames[-1]
        if frame.kind == "table":
            self._finish_row(frame)
        self._end_elements()
        self.frames.pop()
        self.context = frame.outer
        if frame.kind == "table":
            return
        self.fresh = False
        if len(self.pieces) == frame.pieces:
            return
        table = self.frames[-1]
        table.row_cells += 1
        if self.lines == frame.lines:  # the cell is one line: the row continues on it
            table.row_breaks = max(table.row_breaks, self.breaks)
            self.breaks = 0
            self.blank = True
        else:
            self.breaks = max(self.breaks, 1)

    def _end_row(self, name: str) -> None:
        if self.frames[-1].kind == "cell":
            self._end_frame()
        frame = self.frames[-1]
        if frame.kind == "table":
            self._finish_row(frame)
            for part in ("tr",) if name == "tr" else ("tr", "tbody", "thead", "tfoot"):
                if frame.counts.get(part):
                    self._end_element(part)

    def _finish_row(self, table: _Frame) -> None:
        """Add the pending line break after a row, and those of its only cell."""
        if table.row_cells:
            self.breaks = max(self.breaks, 1, table.row_breaks if table.row_cells == 1 else 0)
        table.row_cells = table.row_breaks = 0

    # --- links --------------------------------------------------------------------------------------------

    def _begin_link(self, href: str, style: Style) -> None:
        self._end_link()
        target = link_target(href) if href else ""
        if target:
            self.targets.append(target)
            if not style.removed:  # a child can be seen in what is invisible or tiny itself
                self.link = _Link(target)

    def _end_link(self) -> None:
        link, self.link = self.link, None
        if link is None:
            return
        if link.text:
            if not shows("".join(link.text), link.target):
                self.pieces.append(f" <{link.target}>")
        elif link.image:
            self._put(f"<{link.target}>")


def _deeper(indent: _Indent, token: str | _Item) -> _Indent:
    return (*indent, token) if len(indent) < MAX_INDENT else indent


def _quotes(indent: Sequence[str | _Item]) -> str:
    """Return what an empty line begins with, between two lines that share this indent."""
    written = ""
    room = _room(indent)
    for token in indent:
        written, room = _indented(written, token, room)
    return written.rstrip()


def _room(indent: Sequence[str | _Item]) -> int:
    """Return how many blanks an indent may have beside its quotes."""
    return MAX_WIDTH - sum([mark == ">" for mark in indent])


def _indented(written: str, mark: str | _Item, room: int) -> tuple[str, int]:
    """Add the `>` of a quote or the blanks of a list or item to an indent; return it and the room left for blanks."""
    if mark == ">":
        return written + ">", room
    blanks = mark if isinstance(mark, str) else " " * (mark.width + written.endswith(">"))
    blanks = blanks[: max(room, 0)]
    return written + blanks, room - len(blanks)
