"""The tools of the site: what is copied from examples, and the check of a built site."""

import html
import re
from pathlib import Path

import pygments
import pytest
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from docs.copying import on_page_content
from docs.links import wrong
from tests import ROOT

BLOCK = re.compile(r"^```(pycon|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def block(kind: str, text: str) -> str:
    """Return a block of code as a page of the site has it."""
    coloured = pygments.highlight(text, get_lexer_by_name(kind, stripnl=False), HtmlFormatter(nowrap=True))
    return f'<div class="highlight"><pre><span></span><code>{coloured}</code></pre></div>'


def copied(page: str) -> str:
    """Return what the button of a block copies: what is left when extra.css hides prompts and output."""
    styles = (ROOT / "docs" / "extra.css").read_text("utf-8")
    assert re.search(r"\[data-md-copying\] \.gp,\n\[data-md-copying\] \.output \{\n  display: none;", styles)
    without_output = re.sub(r'<span class="output">.*?\n</span>', "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r'<span class="gp">.*?</span>', "", without_output))).rstrip()


def test_an_example_is_copied_without_prompts_and_output() -> None:
    """What is copied of each block in the pages is its input, line for line."""
    tried = 0
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for kind, text in BLOCK.findall(page.read_text("utf-8")):
            prompt = r"(?:>>>|\.\.\.)(?: (.*))?" if kind == "pycon" else r"[$>] (.*)"
            typed = [found[1] or "" for line in text.splitlines() if (found := re.fullmatch(prompt, line))]
            assert copied(on_page_content(block(kind, text))) == "\n".join(typed).rstrip(), f"{page.name}: {text}"
            tried += 1
    assert tried > 80


def test_a_traceback_is_output() -> None:
    """Also where it looks like code."""
    text = ">>> 1 / 0\nTraceback (most recent call last):\n    1 / 0\nZeroDivisionError: division by zero\n>>> 2\n2\n"
    assert copied(on_page_content(block("pycon", text))) == "1 / 0\n2"


def test_an_option_in_text_is_marked() -> None:
    """An option of the command line in a sentence is marked, so that no line ends between its dashes; other code is not."""
    page = "<p><code>--ca FILE</code> and <code>-v</code>, <code>ls --new</code></p>"
    marked = '<p><code class="option">--ca FILE</code> and <code class="option">-v</code>, <code>ls --new</code></p>'
    assert on_page_content(page) == marked


def test_a_block_without_prompts_is_left_alone() -> None:
    """A script is copied as it is."""
    page = block("python", "print(1)\n\nprint(2)\n")
    assert on_page_content(page) == page


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('<a href="#here">', None),
        ('<a href="other/#there">', None),
        ('<a href="https://example.com/">', None),
        ('<img src="data:,x">', None),
        ('<a href="none/">', "leads to none/, which does not exist"),
        ('<img src="none.svg">', "leads to none.svg, which does not exist"),
        ('<a href="#none">', "leads to #none, which has no such anchor"),
        ('<a href="other/#here">', "leads to other/#here, which has no such anchor"),
        ('<script src="https://example.com/x.js"></script>', "loads https://example.com/x.js"),
        ('<link rel="stylesheet" href="//example.com/x.css">', "loads //example.com/x.css"),
    ],
)
def test_a_wrong_link_is_found(text: str, problem: str | None, tmp_path: Path) -> None:
    """A link without a target, an anchor that does not exist, and everything that is loaded from another host."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<p id="there"></p>')
    (tmp_path / "index.html").write_text(f'<p id="here"></p>{text}')
    assert list(wrong(tmp_path)) == ([f"index.html {problem}"] if problem else [])


def test_a_style_that_loads_from_elsewhere_is_found(tmp_path: Path) -> None:
    """Fonts and pictures of styles are loaded, too."""
    (tmp_path / "a.css").write_text("p { background: url(here.png) } @font-face { src: url('https://example.com/f') }")
    assert list(wrong(tmp_path)) == ["a.css loads https://example.com/f"]
