"""HTML for Jupyter, from plain values: tables, cards, and HTML mail in a frame that runs and loads nothing.

Mailboxes, messages, archives and reports have a `_repr_html_`, which takes what they know apart and calls a function
here; nothing here reads mail or asks a server. Every value from outside is escaped, control characters and overrides
of the direction are shown as escapes, and every length is bounded. The outputs that a notebook saves are these strings,
so a saved notebook is as safe as the live one.

HTML from a message is shown in two frames, one inside the other, both with a sandbox that allows nothing. The
content policy comes before the first byte of the message. The inner frame inherits it and cannot loosen it; the outer
one forbids the inner one to go anywhere else, so that links do nothing either.
"""

import html
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from attrs import define, frozen

from pymailbox.display import format_size

__all__ = ["Card", "facts", "listing", "mail"]

#: Characters of a value in a table or in the header of a card.
_VALUE = 300
_VALUES = 100  # lines in a card: fields, attachments, notes
_TEXT = 100_000  # characters of the text of a message
_HTML = 500_000  # characters of the HTML of a message, all parts together
_FRAMES = 10  # parts of HTML in one card
_IMAGES = 2_000_000  # bytes of inline images in one card, each as often as it is shown

#: What could forge or hide text. Marks without a lasting effect (U+200E) and joiners stay: scripts need them.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
#: NUL is U+FFFD in HTML, and a lone surrogate cannot be saved.
_UNSAVABLE = re.compile("[\x00\ud800-\udfff]")
_BREAKS = re.compile("[\t\n]")

#: An image in the message itself, by its Content-ID: in an attribute or in a style.
_CID = re.compile(r"""((?:=|url\()\s{0,9}(?:["']|&quot;)?\s{0,9})cid:([^"'\s<>()]{1,500})""", re.IGNORECASE)
_PICTURES = frozenset({"image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp", "image/bmp"})

# Sandbox and policy stop every request. But a browser connects, and so looks up the name, before the policy is asked:
# for `<link rel="preconnect">`, a frame, and a link that was clicked. Tags and attributes with these names must contain
# exactly these characters, so after they are replaced there are none.
_TAGS = re.compile(r"<(?=(?:meta|base|i?frame|frameset|fencedframe|portal|object|embed)(?![a-z0-9-]))", re.IGNORECASE)
_TARGETS = re.compile(r"href(?=\s*=)", re.IGNORECASE)
#: A style sheet elsewhere: `<link rel="stylesheet" href="...">`, in any order.
_SHEET = re.compile(r"<link(?=[^>]{1,300}?\brel\s{0,9}=\s{0,9}[\"']?stylesheet[\"'\s/>])[^>]{1,900}>", re.IGNORECASE)
_SHEET_ADDRESS = re.compile(r"""\shref\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.IGNORECASE)

_POLICY = "default-src 'none'; img-src data:{sources}; style-src 'unsafe-inline'{sources}; form-action 'none'"
_SOURCES = " https: http:"
_URL = ":/?#[]@!$&'()*+,;=%-._~"  # the characters of a URL (RFC 3986)
_HEAD = (
    '<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="{policy}">'
    '<meta name="referrer" content="no-referrer"><meta http-equiv="x-dns-prefetch-control" content="off">'
    '<base href="about:invalid" target="_blank">'
)
_PAGE = (
    "<style>html{color-scheme:light;background:#fff;color:#000}body{margin:8px;font-family:sans-serif}"
    "a{color:#00e;text-decoration:underline}</style>"
)
_OUTER = "<style>html,body{margin:0;height:100%;overflow:hidden}iframe{border:0;width:100%;height:100%}</style>"

# The class is repeated because the style sheets of notebooks name theirs twice.
_STYLE = """<style>
.pymailbox.pymailbox.pymailbox{container-type:inline-size;max-width:72em;margin:4px 0;font-size:13px;line-height:1.45;
 text-align:left;color:inherit;color:var(--jp-content-font-color1,inherit)}
.pymailbox.pymailbox.pymailbox table{width:100%;table-layout:fixed;border-collapse:collapse;border:0;margin:4px 0;
 font-size:inherit;color:inherit}
.pymailbox.pymailbox.pymailbox :is(th,td){text-align:left;vertical-align:top;padding:3px 8px;border:0;color:inherit;
 background:none;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;max-width:none}
.pymailbox.pymailbox.pymailbox tr{background:none;border:0;border-bottom:1px solid rgba(128,128,128,.3)}
.pymailbox.pymailbox.pymailbox th{font-weight:600}
.pymailbox.pymailbox.pymailbox .pm-facts th{width:8.5em;opacity:.75;font-weight:400}
.pymailbox.pymailbox.pymailbox .pm-facts td{white-space:pre-wrap;overflow-wrap:anywhere}
.pymailbox.pymailbox.pymailbox .pm-right{text-align:right;font-variant-numeric:tabular-nums}
.pymailbox.pymailbox.pymailbox .pm-gone td{opacity:.65;text-decoration:line-through}
.pymailbox.pymailbox.pymailbox .pm-gone td.pm-mark{text-decoration:none}
.pymailbox.pymailbox.pymailbox .pm-more td{text-align:center;opacity:.75}
.pymailbox.pymailbox.pymailbox .pm-title{font-weight:600;overflow-wrap:anywhere}
.pymailbox.pymailbox.pymailbox .pm-note{margin:4px 0;padding:0;opacity:.85;overflow-wrap:anywhere}
.pymailbox.pymailbox.pymailbox .pm-text{white-space:pre-wrap;overflow-wrap:anywhere;max-height:30em;overflow:auto;
 margin:8px 0;padding:0;font:inherit;color:inherit;background:none;border:0}
.pymailbox.pymailbox.pymailbox summary{cursor:pointer;margin:4px 0}
.pymailbox.pymailbox.pymailbox .pm-frame{height:20em;resize:vertical;overflow:hidden;margin:8px 0;
 border:1px solid rgba(128,128,128,.4)}
.pymailbox.pymailbox.pymailbox iframe{display:block;border:0;width:100%;height:100%;background:#fff}
@container (max-width:34em){.pymailbox.pymailbox.pymailbox .pm-wide{display:none}
 .pymailbox.pymailbox.pymailbox :is(th,td){padding:3px 4px}
 .pymailbox.pymailbox.pymailbox .pm-facts th{width:6.5em}}
</style>"""


@frozen(repr=False)
class Card:
    """What a notebook shows of a message; `html` is all of it, for a file or another display.

    >>> from pymailbox import Content
    >>> card = Content.from_bytes(b"Subject: Lunch\\r\\n\\r\\nAt noon?\\r\\n").show()
    >>> card, "At noon?" in card.html
    (<Card of <Content: 28 bytes, subject 'Lunch'>>, True)
    """

    html: str
    _text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<Card of {self._text}>"


# --- texts ----------------------------------------------------------------------------------------------------


def _visible(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _escaped(text: str) -> str:
    """Return text from outside as HTML: no markup, no control characters, no overrides of direction."""
    return html.escape(_UNSAFE.sub(_visible, text))


def _line(text: str, limit: int = _VALUE) -> str:
    """Return a value as HTML on one line, cut to a length."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return _BREAKS.sub(_visible_break, _escaped(cut))


def _visible_break(match: re.Match[str]) -> str:
    return "\\n" if match[0] == "\n" else "\\t"


def _box(*parts: str) -> str:
    # A notebook would set what is between two dollar signs as a formula, if these classes did not say otherwise.
    return f'<div class="pymailbox tex2jax_ignore mathjax_ignore">{_STYLE}{"".join(parts)}</div>'


def _title(text: str) -> str:
    return f'<div class="pm-title" dir="auto">{_line(text)}</div>' if text else ""


def _notes(notes: Iterable[str]) -> str:
    return "".join(f'<p class="pm-note" dir="auto">{_line(note, 1000)}</p>' for note in _bounded(list(notes)))


def _bounded(lines: Sequence[Any]) -> Sequence[Any]:
    return lines[:_VALUES]


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Return names and values as a table; a row without a name has its value alone."""
    cells = [
        f'<tr><th>{_line(name)}</th><td dir="auto">{_line(value, 2000)}</td></tr>'
        if name
        else f'<tr><td colspan="2" dir="auto">{_line(value, 2000)}</td></tr>'
        for name, value in _bounded(list(rows))
        if value
    ]
    return f'<table class="pm-facts"><tbody>{"".join(cells)}</tbody></table>' if cells else ""


# --- tables and facts -----------------------------------------------------------------------------------------


def listing(
    title: str, rows: Sequence[tuple[int, str, str, str, int | None, bool]], count: int, notes: Iterable[str] = ()
) -> str:
    """Return a table of messages: number, date, from, subject, size, and whether it is deleted.

    `rows` are all `count` of them, or the first and the last.
    """
    marks = any(row[-1] for row in rows)
    widths = (f"{max(3, len(str(count))) + 1}em", "10.5em", "29%", "", "6.5em", *(("5.5em",) if marks else ()))
    kinds = ("pm-right", "pm-wide", "", "", "pm-right pm-wide", *(("pm-mark pm-wide",) if marks else ()))
    heads = ("No.", "Date", "From", "Subject", "Size", *(("Deleted",) if marks else ()))
    lines, last = [], 0
    for number, date, sender, subject, size, deleted in rows:
        values = [str(number), date, sender, subject, "" if size is None else format_size(size)]
        values += ["deleted" if deleted else ""] if marks else []
        cells = [
            f'<td class="{kind}" dir="auto" title="{_line(value)}">{_line(value)}</td>'
            if index in (2, 3)
            else f'<td class="{kind}">{_line(value)}</td>'
            for index, (kind, value) in enumerate(zip(kinds, values, strict=True))
        ]
        if number != last + 1:
            lines.append(f'<tr class="pm-more"><td colspan="{len(heads)}">… {count - len(rows):,} more …</td></tr>')
        kind = ' class="pm-gone"' if deleted else ""
        lines.append(f"<tr{kind}>{''.join(cells)}</tr>")
        last = number
    styles = [f' style="width:{width}"' if width else "" for width in widths]
    head = "".join(
        f'<th class="{kind}"{style}>{name}</th>' for name, kind, style in zip(heads, kinds, styles, strict=True)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>" if lines else ""
    return _box(_title(title), table, _notes(notes))


def facts(title: str, sections: Iterable[tuple[str, Iterable[tuple[str, str]]]], notes: Iterable[str] = ()) -> str:
    """Return a card of names and values, in sections with or without a title."""
    parts = []
    for name, rows in sections:
        table = _pairs(rows)
        parts += [_title(name), table] if table else []
    return _box(_title(title), _notes(notes), *parts)


# --- a message ------------------------------------------------------------------------------------------------


def mail(
    fields: Iterable[tuple[str, str]],
    text: str | None,
    pages: Sequence[str],
    attachments: Sequence[tuple[str, str, int]],
    images: Mapping[str, tuple[str, bytes]],
    *,
    title: str = "",
    notes: Sequence[str] = (),
    remote: bool = False,
) -> str:
    """Return the card of a message.

    `pages` are its HTML parts, each shown in a frame of its own. `attachments` have a name, a type and a size.
    `images` are shown where the HTML refers to their Content-ID.
    """
    notes = list(notes)
    frames, room, inline = [], _HTML, _InlineImages(images)
    for page in pages[:_FRAMES]:
        if len(page) > room:
            notes.append(f"The HTML is cut after {_HTML:,} characters; the property html has all of it.")
        shown = page[:room]
        room -= len(shown)
        if shown:
            frames.append(_frame(inline.put_into(shown), remote))
    if len(pages) > _FRAMES:
        notes.append(f"Only {_FRAMES} of {len(pages):,} HTML parts are shown; the property html has all of them.")
    if inline.omitted:
        notes.append(f"Inline images of more than {format_size(_IMAGES)} together are not shown.")
    body = "" if text is None else _text(text)
    if body and frames:
        body = f"<details><summary>As text</summary>{body}</details>"
    files = [
        f'<tr><td dir="auto" title="{_line(name)}">{_line(name) or "(no name)"}</td><td>{_line(kind)}</td>'
        f'<td class="pm-right">{format_size(size)}</td></tr>'
        for name, kind, size in _bounded(attachments)
    ]
    if len(attachments) > _VALUES:
        notes.append(f"Only {_VALUES} of {len(attachments):,} attachments are shown.")
    table = (
        "<table><thead><tr><th>Attachment</th><th style='width:30%'>Type</th>"
        f'<th class="pm-right" style="width:6.5em">Size</th></tr></thead><tbody>{"".join(files)}</tbody></table>'
    )
    return _box(_title(title), _pairs(fields), _notes(notes), *frames, body, table if files else "")


def _text(text: str) -> str:
    more = len(text) - _TEXT
    rest = f"… {more:,} more characters; the property body has all of them." if more > 0 else ""
    return f'<div class="pm-text" dir="auto">{_escaped(text[:_TEXT])}</div>{_notes([rest] if rest else [])}'


@define
class _InlineImages:
    """The images of a message, for all its pages."""

    #: Type and bytes by Content-ID.
    images: Mapping[str, tuple[str, bytes]]
    #: How many more bytes may be shown.
    room: int = _IMAGES
    #: Whether one was not shown because of that.
    omitted: bool = False

    def put_into(self, page: str) -> str:
        """Return HTML with the images in it that refer to a Content-ID."""
        return _CID.sub(self._as_data, page) if self.images else page

    def _as_data(self, match: re.Match[str]) -> str:
        name = match[2]
        kind, payload = self.images.get(name) or self.images.get(unquote(html.unescape(name))) or ("", b"")
        if kind not in _PICTURES:
            return match[0]
        if self.omitted or len(payload) > self.room:
            self.omitted = True
            return match[0]
        self.room -= len(payload)
        return f"{match[1]}data:{kind};base64,{b64encode(payload).decode('ascii')}"


def _frame(page: str, remote: bool) -> str:
    """Return HTML from a message in a frame that runs nothing, and loads nothing unless it is to load images."""
    if remote:
        page = _SHEET.sub(_imported, page)
    page = _UNSAVABLE.sub("\ufffd", _TARGETS.sub("x-href", _TAGS.sub("<x-", page)))
    head = _HEAD.format(policy=_POLICY.format(sources=_SOURCES if remote else ""))
    inner = head + _PAGE + page
    attributes = 'sandbox="" referrerpolicy="no-referrer" title="HTML of the message"'
    outer = f'{head}{_OUTER}<iframe {attributes} srcdoc="{_quoted(inner)}"></iframe>'
    return f'<div class="pm-frame"><iframe {attributes} srcdoc="{html.escape(outer)}"></iframe></div>'


def _imported(match: re.Match[str]) -> str:
    """Return a link to a style sheet as a style that imports it: the only links that a page may have."""
    found = _SHEET_ADDRESS.search(match[0])
    address = "" if found is None else html.unescape(found[1] or found[2] or found[3] or "")
    return f'<style>@import "{quote(address, safe=_URL)}";</style>' if address.lower().startswith("http") else ""


def _quoted(text: str) -> str:
    """Return text as the value of an attribute in double quotes: no other character can end it."""
    return text.replace("&", "&amp;").replace('"', "&quot;")
