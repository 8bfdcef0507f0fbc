"""The URLs of text and HTML in order, each once, without those that lead nowhere."""

import pytest

from pymailbox.content import Content
from pymailbox.content.links import find_urls, link_target, shows

IN_TEXT = [
    ("see http://a.b/c.", ["http://a.b/c"]),
    ("(https://a.b/c_(d)), <HTTP://A.b>; ftp://a/b!", ["https://a.b/c_(d)", "HTTP://A.b", "ftp://a/b"]),
    ("https://a.b/?q=1&r=2#s 'http://c'", ["https://a.b/?q=1&r=2#s", "http://c"]),
    ("mailto:ann@a.b?subject=x mailto: http:// https://.", ["mailto:ann@a.b?subject=x"]),
    ("https://a.b/é “https://c.d/” 「https://e.f」。", ["https://a.b/é", "https://c.d/", "https://e.f"]),
    ("xhttp://a www.a.b javascript:x ann@a.b", []),
    ("[1]: https://a.b/c]", ["https://a.b/c"]),
]
TARGETS = [
    ("https://a.b/c", "https://a.b/c"),
    (" ht\ntp://a.b/c d ", "http://a.b/c%20d"),
    ("//a.b/c", "https://a.b/c"),
    ("www.a.b", "http://www.a.b"),
    ("mailto:ann@a.b", "mailto:ann@a.b"),
    ("tel:+1", "tel:+1"),
    ("https://a.b/\u202e<x>", "https://a.b/%3Cx%3E"),
    ("#top", ""), ("", ""), ("x.html", ""), ("/x", ""), ("http://", ""), ("C:\\x", ""),
    ("javascript:alert(1)", ""), (" JAVA\tSCRIPT:alert(1)", ""), ("data:text/html,x", ""), ("vbscript:x", ""), ("cid:1", ""),
]  # fmt: skip
SHOWN = [
    ("https://a.b/c", "https://a.b/c", True), ("Go to https://a.b/c now", "https://a.b/c", True),
    ("a.b", "https://a.b/", True), ("www.a.b", "https://a.b", True), ("A.B/c/", "http://a.b/c", True),
    ("a", "https://a.b/", False), ("a.b", "https://a.b.c/", False), ("https://bank.example", "https://a.b/", False),
    ("ann@a.b", "mailto:ann@a.b?subject=x", True), ("Ann <ann@a.b>", "mailto:Ann@a.b", True), ("Ann", "mailto:ann@a.b", False),
    ("+1 (2) 3", "tel:+1-2-3", True), ("call", "tel:+1", False),
]  # fmt: skip


def test_urls_are_found_in_text() -> None:
    """The punctuation of the sentence around a URL is not part of it."""
    for text, urls in IN_TEXT:
        assert list(find_urls(text)) == urls, text


def test_targets_that_lead_nowhere_are_dropped() -> None:
    """Scripts, data and anchors are dropped; all others can be printed on one line."""
    for href, target in TARGETS:
        assert link_target(href) == target, href


def test_a_text_that_shows_its_target() -> None:
    """The text may lack the scheme and the final slash, or contain the whole target."""
    for text, url, shown in SHOWN:
        assert shows(text, url) is shown, (text, url)


@pytest.mark.parametrize(
    ("html", "links"),
    [
        (
            '<a href="https://a/">x</a> <area href="https://b/"> <a href="https://a/">y</a>',
            ("https://a/", "https://b/"),
        ),
        ("see https://a/b &amp; <b>https://c/?d=1&amp;e=2</b>", ("https://a/b", "https://c/?d=1&e=2")),
        ('<a href="https://a/?b=1&amp;c=2">https://d/</a>', ("https://a/?b=1&c=2",)),
        ('<div style="display:none"><a href="https://a/">x</a></div>', ("https://a/",)),
        ("<script>https://a/</script><!-- https://b/ --><style>url(https://c/)</style>", ()),
        ('<a href="#x">x</a><a name="y">y</a><a href="javascript:z()">z</a><img src="https://a/b.png">', ()),
    ],
)
def test_links_of_html(html: str, links: tuple[str, ...]) -> None:
    """The targets of links, hidden ones too, and URLs in plain text."""
    assert Content.from_bytes(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()).links == links


def test_links_of_a_whole_message() -> None:
    """In the order of the parts, each once; not those of attachments; a flowed URL is whole."""
    content = Content.from_bytes(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; format=flowed; delsp=yes\r\n\r\n"
        b"https://a/long \r\ner https://b/\r\n--b\r\nContent-Type: text/html\r\n\r\n<a href=https://b/>b</a><a href=https://c/>c</a>"
        b"\r\n--b\r\nContent-Type: text/plain; name=x\r\nContent-Disposition: attachment\r\n\r\nhttps://d/\r\n--b--\r\n"
    )
    assert content.links == ("https://a/longer", "https://b/", "https://c/")
