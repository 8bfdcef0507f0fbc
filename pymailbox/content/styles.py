"""Styles: what the attributes of an HTML element do to its text: whether it is shown, and whether line breaks count.

Reads `style` and `hidden`, but no style sheets. If in doubt, text is shown. `mso-hide` alone hides nothing here: it is
for text that only Outlook hides, such as the HTML version of a button drawn for Outlook.
"""

import re

from attrs import evolve, frozen

__all__ = ["Style", "attributes_of", "style_of"]

_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++)))?""")
_RELEVANT = re.compile(r"none|hidden|visib|collapse|font|opacity|white-space|:\s*+0", re.IGNORECASE)
_ZERO = re.compile(r"[+-]?0*+\.?0*+(?:px|pt|pc|in|cm|mm|em|rem|ex|ch|vw|vh|%)?")
_RELATIVE = re.compile(r"(?:[\d.]+(?:em|ex|ch|%)|smaller|larger|inherit|unset)")
_FONT_SIZE = re.compile(r"(?<!\S)(0|[\d.]+(?:[a-z]+|%))(?=/|\s)")
_BLOCKS = frozenset({
    "div", "p", "section", "article", "header", "footer", "center", "blockquote", "ul", "ol", "li", "dl", "dt", "dd",
    "h1", "h2", "h3", "h4", "h5", "h6", "form",
})  # fmt: skip
_KEPT = frozenset({"pre", "pre-wrap", "pre-line", "break-spaces"})


@frozen
class Style:
    """How the text of an element is shown; children inherit it."""

    removed: bool = False  # display:none or similar: nothing in the element is shown
    invisible: bool = False  # visibility:hidden, which a child can undo
    tiny: bool = False  # font-size:0, which a child can undo
    preformatted: bool = False

    @property
    def shown(self) -> bool:
        """Whether text is shown."""
        return not (self.removed or self.invisible or self.tiny)


def attributes_of(tag: str) -> dict[str, str]:
    """Return the attributes of a tag by lower-case name; of two with the same name the first, as in browsers."""
    from html import unescape

    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(tag):
        name = match[1].lower()
        if name not in found:
            value = match[2] or match[3] or match[4] or ""
            found[name] = unescape(value) if "&" in value else value
    return found


def style_of(name: str, attributes: dict[str, str], inherited: Style, *, sheets: bool) -> Style:
    """Return the style of an element. `sheets`: the page has style sheets, which may undo inherited styles."""
    if name == "pre" and not inherited.preformatted:
        inherited = evolve(inherited, preformatted=True)
    # Tables do not inherit font sizes in quirks mode, which many programs use to show mail.
    if inherited.tiny and (
        name == "table" or (sheets and (name in _BLOCKS or "class" in attributes or "id" in attributes))
    ):
        inherited = evolve(inherited, tiny=False)
    style = attributes.get("style", "")
    hidden = "hidden" in attributes
    declared = _declarations(style) if style and (hidden or _RELEVANT.search(style)) else {}
    hidden = hidden and "display" not in declared
    if not hidden and not declared:
        return inherited
    removed = inherited.removed or hidden or _removes(name, declared)
    invisible, tiny, preformatted = inherited.invisible, inherited.tiny, inherited.preformatted
    if visibility := declared.get("visibility"):
        invisible = visibility in ("hidden", "collapse") if visibility != "inherit" else invisible
    if size := declared.get("font-size") or _size_of_font(declared.get("font", "")):
        tiny = _is_zero(size) or (tiny and _RELATIVE.fullmatch(size) is not None)
    if space := declared.get("white-space"):
        preformatted = space in _KEPT if space != "inherit" else preformatted
    return Style(removed, invisible, tiny, preformatted)


def _declarations(style: str) -> dict[str, str]:
    """Return the declarations of a style attribute: of each name the last one, unless an earlier one is !important."""
    declared: dict[str, str] = {}
    important: set[str] = set()
    style, *comments = style.split("/*")
    style += "".join([comment.partition("*/")[2] for comment in comments])
    for declaration in style.lower().split(";"):
        name, _, value = declaration.partition(":")
        name, (value, bang, _) = name.strip(), value.partition("!")
        value = value.strip()
        if value and (bang or name not in important):
            declared[name] = value
            if bang:
                important.add(name)
    return declared


def _removes(name: str, declared: dict[str, str]) -> bool:
    if declared.get("display") == "none" or _is_zero(declared.get("opacity", "1")):
        return True
    # A box without height or width hides overflowing text. Inline elements and table cells grow instead.
    if not (name in _BLOCKS or declared.get("display", "").endswith("block")):
        return False
    if declared.get("overflow", "").partition(" ")[0] not in ("hidden", "clip"):
        return False
    return any(_is_zero(declared.get(side, "")) for side in ("height", "max-height", "width", "max-width"))


def _is_zero(value: str) -> bool:
    return "0" in value and _ZERO.fullmatch(value) is not None


def _size_of_font(font: str) -> str:
    """Return the size in a `font` declaration; "" if there is none."""
    match = _FONT_SIZE.search(font[:200])
    return match[1] if match is not None else ""
