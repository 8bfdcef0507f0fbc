"""Links: the URLs in text, the targets of HTML links that are worth showing, and whether a text shows its target."""

import re
from collections.abc import Iterator

from .words import clean

__all__ = ["find_urls", "link_target", "shows"]

_URL = re.compile(
    r"""(?<![A-Za-z0-9])(?:(?:https?|ftp)://|mailto:)[^\s<>"“”«»「」『』【】《》。，、]+""", re.IGNORECASE
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):(/*)")
_TRAILING = frozenset(".,;:!?'*’")
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_CONTROLS = dict.fromkeys([*range(32), 127])
_NOT_LETTERS = re.compile(r"[\W_]+")

#: Schemes that lead nowhere outside the message, or that must not be followed.
_REFUSED = frozenset({
    "javascript", "vbscript", "livescript", "data", "about", "blob", "cid", "mid", "applewebdata",
    "x-apple-data-detectors",
})  # fmt: skip


def find_urls(text: str) -> Iterator[str]:
    """Yield the URLs in text: http, https, ftp and mailto, without the punctuation that follows them."""
    for match in _URL.finditer(text):
        url = match[0]
        end = len(url)
        unpaired = {closing: url.count(closing) - url.count(opening) for closing, opening in _BRACKETS.items()}
        while end:
            last = url[end - 1]
            if unpaired.get(last, 0) > 0:
                unpaired[last] -= 1
            elif last not in _TRAILING:
                break
            end -= 1
        scheme = _SCHEME.match(url)
        if scheme is not None and end > scheme.end():
            yield clean(url[:end])


def link_target(href: str) -> str:
    """Return the URL that a link leads to; "" if it is not worth showing.

    Not worth showing are anchors in the page, relative targets, and schemes such as `javascript:` and `data:`.
    `//example.com` is completed with https, `www.example.com` with http.
    """
    url = href.translate(_CONTROLS).strip()
    if url.startswith("//"):
        url = "https:" + url
    elif url[:4].lower() == "www.":
        url = "http://" + url
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[1].lower() in _REFUSED or scheme.end() == len(url):
        return ""
    return clean(url).replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")


def shows(text: str, url: str) -> bool:
    """Return whether the text of a link shows its target, at least without `https://`, `mailto:` or a final `/`."""
    if url in text:
        return True
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme == "mailto":
        address = rest.partition("?")[0].lower()
        return bool(address) and address in text.lower()
    if scheme in ("tel", "sms", "callto"):
        return _NOT_LETTERS.sub("", rest.replace("%20", "")) == _NOT_LETTERS.sub("", text)
    return _bare(url) == _bare(text)


def _bare(url: str) -> str:
    bare = url.strip().strip("<>").rstrip("/").lower()
    return bare.removeprefix("https://").removeprefix("http://").removeprefix("www.")
