"""Check a built site: `python -m docs.links SITE` prints what is wrong, and fails if anything is.

Every link and picture inside the site must lead to a file that exists, and every anchor to an element. Opening a page
must not ask another host for anything: only links that a reader clicks may lead elsewhere.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["wrong"]

#: What a browser loads without being asked, and the attribute that says from where.
_LOADED = {
    "img": "src",
    "script": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "link": "href",
}
_IN_STYLES = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")


class _Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "link" and given.get("rel") in ("canonical", "next", "prev"):
            return  # for search engines
        target = given.get(_LOADED.get(tag, ""))
        if target is not None:
            self.loaded.append(target)
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])


def wrong(site: Path) -> Iterator[str]:
    """Yield what is wrong, one line each."""
    pages = {path: _Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        for target in [*page.links, *page.loaded]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if target in page.loaded and parts.scheme != "data":
                    yield f"{path.relative_to(site)} loads {target}"
                continue
            if path.name == "404.html" and parts.path.startswith("/"):
                file = site / parts.path.lstrip("/")
            else:
                file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            if not file.exists():
                yield f"{path.relative_to(site)} leads to {target}, which does not exist"
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors | {"__top"}:
                yield f"{path.relative_to(site)} leads to {target}, which has no such anchor"
    for path in sorted(site.rglob("*")):
        if path.suffix in (".css", ".svg"):
            yield from (f"{path.relative_to(site)} loads {url}" for url in _IN_STYLES.findall(path.read_text("utf-8")))


if __name__ == "__main__":
    found = list(wrong(Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "every link leads somewhere, and nothing is loaded from elsewhere")
    sys.exit(bool(found))
