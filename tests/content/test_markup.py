"""HTML as text has numbered lists, quotes, tables, links and their targets, and nothing that is hidden."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content import Content
from pymailbox.content.markup import MAX_CHARACTERS, MAX_INDENT, MAX_REFERENCES, MAX_TAGS, readable

LISTS = [
    ("<ul><li>one<li>two</ul>x", "- one\n- two\n\nx"),
    ("<ul><li><p>one</p></li><li><p>two</p></li></ul>", "- one\n- two"),
    ("<ul><li><div>one</div></li></ul>", "- one"),
    ("<ul><li><p>one</p><p>more</p></li><li>two</ul><p>x", "- one\n\n  more\n- two\n\nx"),
    ("<ul><li>one<br>more</ul>", "- one\n  more"),
    ("<ul>\n <li>\n  <b>one</b>\n </li>\n</ul>", "- one"),
    ("<ul><li>a<ul><li>b<li>c</ul><li>d</ul>", "- a\n  - b\n  - c\n- d"),
    ("<ul><ul><li>a</ul></ul>", "  - a"),
    ("<ul><li><ul><li>a</ul></ul>", "- - a"),
    ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
    ("<ol><li><p>a</p></li><li><p>b</p></li></ol>", "1. a\n2. b"),
    ("<ol start=9><li>a<li>b<p>c</ol>", "9. a\n10. b\n\n    c"),
    ("<ol start='-1'><li>a<li>b</ol>", "-1. a\n0. b"),
    ("<ol><li>a<li value=7>g<li>h</ol>", "1. a\n7. g\n8. h"),
    ("<ol reversed><li>a<li>b<li>c</ol>", "3. a\n2. b\n1. c"),
    ("<ol reversed><li>a<li>b", "2. a\n1. b"),
    ("<ol reversed start=5><li>a<li>b</ol>", "5. a\n4. b"),
    ("<ol reversed><li>a<ol><li>x</ol><li>b</ol>", "2. a\n   1. x\n1. b"),
    ("<ol type=a><li>x<li value=27>y</ol>", "a. x\naa. y"),
    ("<ol type=I start=4><li>x<li>y</ol>", "IV. x\nV. y"),
    ("<ol type=a start=0><li>x</ol>", "0. x"),
    ("<ol start=x><li value=>a</ol>", "1. a"),
    ("<ol start=99999999999><li>a</ol>", "1. a"),
    ("<ol><li>a<ul><li>b</ul><li>c</ol>", "1. a\n   - b\n2. c"),
    ("<ol><li></li><li>b</ol>", "2. b"),
    ("<ol><li hidden>a<li>b</ol>", "1. b"),
    ("<li>a<li>b", "- a\n- b"),
    ("<dl><dt>a<dd>b<dt>c</dl>", "a\nb\nc"),
]
QUOTES = [
    ("a<blockquote>b</blockquote>c", "a\n\n> b\n\nc"),
    ("<blockquote><p>a</p><p>b<br>c</p></blockquote>", "> a\n>\n> b\n> c"),
    ("<blockquote>a<blockquote>b</blockquote>c</blockquote>", "> a\n>\n>> b\n>\n> c"),
    ("<blockquote><ul><li>a<p>b</ul></blockquote>", "> - a\n>\n>   b"),
    ("<ol><li>a<blockquote>b<p>c</blockquote>d</ol>", "1. a\n\n   > b\n   >\n   > c\n\n   d"),
    ("<blockquote><pre>a\n\n  b</pre></blockquote>c", "> a\n>\n>   b\n\nc"),
    ("<table><tr><td><blockquote>a</td><td>b</table>", "> a\nb"),
    ("<blockquote></blockquote>a", "a"),
    ("<blockquote>a", "> a"),
]
TABLES = [
    ("<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc"),
    ("<table><tr><td><p>a</p></td><td><p>b</p></td></tr><tr><td><p>c</p></td><td>d</td></tr></table>e", "a b\nc d\ne"),
    ("<table><tr><td><p>a</p></td></tr><tr><td><p>b</p></td></tr></table>", "a\n\nb"),
    ("<table><tr><td>a<br>b</td><td>c</td></tr></table>", "a\nb\nc"),
    ("<table><tr><td><table><tr><td>a<td>b</table><td>c</table>d", "a b c\nd"),
    ("<table><tr><td></td><td>a</td></tr><tr><td> </td><td>b</table>", "a\nb"),
    ("<table><caption>x</caption><thead><tr><th>a<tbody><tr><td>b</table>", "x\na\nb"),
    ("<td>a<td>b", "a b"),
    ("</table></td></tr>a", "a"),
]
PREFORMATTED = [
    ("<pre>a\n  b\nc</pre>d", "a\n  b\nc\n\nd"),
    ("x<pre>\na\n</pre>b", "x\n\na\n\nb"),
    ("<pre><b>a</b>\n<i>b</i>\n\nc</pre>", "a\nb\n\nc"),
    ("<pre>a<br>b</pre>", "a\nb"),
    ("<div style='white-space: pre-wrap'>a\n  b</div>", "a\n  b"),
    ("<pre style='white-space:normal'>a\n  b</pre>", "a b"),
]
LINKS = [
    ('<a href="https://a.b/c">here</a>.', "here <https://a.b/c>."),
    ('<a href="https://a.b/c">https://a.b/c</a>', "https://a.b/c"),
    ('<a href="https://www.a.b/">a.b</a>', "a.b"),
    ('<a href="https://a.b/">https://bank.example</a>', "https://bank.example <https://a.b/>"),
    ('<a href="mailto:ann@a.b">ann@a.b</a> <a href="mailto:ann@a.b">Ann</a>', "ann@a.b Ann <mailto:ann@a.b>"),
    ('<a href="javascript:x()">a</a> <a href="data:x">b</a> <a href="#c">c</a> <a name=d>d</a>', "a b c d"),
    ('<a href="https://a.b/"><img alt="Logo"></a>', "Logo <https://a.b/>"),
    ('<a href="https://a.b/"><img src=x></a> <a href="https://a.b/"></a>x', "<https://a.b/> x"),
    ('<p><a href="https://a.b/">x</a></p><p>y</p>', "x <https://a.b/>\n\ny"),
    ('<a href="https://a.b/"><table><tr><td>x</td></tr></table></a>y', "x <https://a.b/>\ny"),
    ('<a href="https://a.b/">x<a href="https://c.d/">y', "x <https://a.b/>y <https://c.d/>"),
    ('<a href="https://a.b/" style="display:none">x</a>y', "y"),
    ("<a href='https://a.b/?x=1&amp;y=2'>x</a>", "x <https://a.b/?x=1&y=2>"),
    ('<a href="https://a.b/" style="font-size:0"><b style="font-size:9px">x</b></a>', "x <https://a.b/>"),
    ('<a href="https://a.b/" style="visibility:hidden">no</a>y', "y"),
    ('<td style="font-size:0"><a href="https://a.b/"><img src=x></a></td>', "<https://a.b/>"),
    ('<map><area href="https://a.b/" alt=A><area href="https://c.d/"></map>x', "A <https://a.b/> <https://c.d/> x"),
    ('<area href="#c" alt=no><area href="https://a.b/" alt=no hidden>x', "x"),
]
# Where a tag ends: after its quoted values, or at the first > if a quote has no end.
ENDS_OF_TAGS = [
    ("<p title='a > b'>x", "x"),
    ("<p title='a > b' data-x = \"c > d\" class=y>x", "x"),
    ('<p title="<b>">x', "x"),
    ("<a href='https://a.b/c>d'>x</a>", "x <https://a.b/c%3Ed>"),
    ("<p title=it's>x y's", "x y's"),
    ('<p title="a>x</p>She said "yes" and left.', 'x\n\nShe said "yes" and left.'),
    ('<a href="https://a.b/>x</a> <b class="y">z</b>', "x z"),
    ("<p title='>x", "x"),
    ("x<br/>y<br title='>'/>z", "x\ny\nz"),
]
SEEN = [
    '<div style="mso-hide:all">seen</div>',
    '<!--[if !mso]><!--><a style="mso-hide:all">seen</a><!--<![endif]-->',
    '<div hidden style="display:block">seen</div>',
    '<div style="display:none;display:block">seen</div>',
    '<div style="/* display:none */">seen</div>',
    '<div style="max-height:0">seen</div>',
    '<span style="height:0;overflow:hidden">seen</span>',
    '<table><tr><td style="height:0;overflow:hidden">seen</table>',
    '<div style="font-size:0"><span style="font-size:12px">seen</span></div>',
    '<table><tr><td style="font-size:0"><table><tr><td>seen</table></table>',
    '<style>.t { font-size: 14px }</style><div style="font-size:0"><b class="t">seen</b></div>',
    '<div style="visibility:hidden"><b style="visibility:visible">seen</b></div>',
    '<div style="opacity:0.5">seen</div>',
    '<div style="font:bold 12px Arial">seen</div>',
    '<p style="display:none">no<p>seen',
    "<div hidden><ul><li>no</div>seen",
    "<table><tr><td hidden>no<td>seen</table>",
    "<table><tr hidden><td>no<tr><td>seen</table>",
    "<table><tr><td><div hidden>no</td><td>seen</table>",
    "<table hidden><tr><td>no</table>seen",
    "<br hidden>seen",
    "<input hidden>seen",
    "<!-->seen<!-- no -->",
    "<p data-hidden=1 title='hidden' class='hidden'>seen",
    "<!-- no --!>seen",
    "<div style='font-size:0'>no<img alt=seen></div>",
    "seen<style>p > b { color: red }",
    "seen<script>if (1 > 0) no()",
    "seen<!-- > <p>no",
]
HIDDEN = [
    '<div style="display:none">no</div>',
    "<div style='DISPLAY : None ! Important; display: block'>no</div>",
    "<p hidden>no</p>",
    "<P HIDDEN=''>no</P>",
    "<p style='/* a /* b */ display: /**/ none /* c'>no</p>",
    '<span style="visibility:hidden">no</span>',
    '<span style="font-size:0">no</span>',
    '<span style="font-size: 0px; line-height: 0">no <b>no</b></span>',
    '<span style="font: 0/0 a">no</span>',
    '<div style="opacity:0">no</div>',
    '<div style="max-height:0;overflow:hidden">no</div>',
    '<div style="display:inline-block;width:0;overflow:hidden">no</div>',
    '<div style="display:none;mso-hide:all;font-size:1px;color:#fff;max-height:0;opacity:0">no <a href="https://a.b/">no</a>&nbsp;&zwnj;</div>',
    "<div hidden><div>no</div>no<br>no<img alt=no></div>",
    "<table><tr><td hidden>no<table><tr><td>no</table>no</table>",
    "<template>no</template><noscript>no</noscript><title>no</title>",
    "<!--[if mso]>no<![endif]-->",
]


@pytest.mark.parametrize(
    "pages",
    [LISTS, QUOTES, TABLES, PREFORMATTED, LINKS, ENDS_OF_TAGS],
    ids=["lists", "quotes", "tables", "pre", "links", "tags"],
)
def test_each_page_reads_as_expected(pages: list[tuple[str, str]]) -> None:
    """Lists, quotes, tables, preformatted text and links."""
    for html, text in pages:
        assert readable(html) == text, html


def test_only_hidden_text_is_dropped() -> None:
    """Text before and after it stays, and so does text that any program shows."""
    for html in HIDDEN:
        assert readable(f"<p>before</p>{html}<p>after</p>") == "before\n\nafter", html
    for html in SEEN:
        assert readable(html) == "seen", html


def test_references_of_any_length_are_read() -> None:
    """A number with thousands of digits is not a character, and does not raise."""
    for number in ("9" * 5000, "0" * 5000 + "65", "x" + "f" * 5000, "X41"):
        assert readable(f"a &#{number}; b")[:2] == "a "
        many = "&" * (MAX_REFERENCES + 1)
        assert readable(f"{many}<p title='&#{number};'>b").endswith("b")


@pytest.mark.parametrize("tag", ["blockquote", "ul><li", "ol><li", "table><tr><td"])
def test_the_indent_of_nested_elements_is_bounded(tag: str) -> None:
    """Text nested thousands of levels deep is shown at a bounded indent."""
    lines = readable(f"<{tag}>" * 5000 + "x" + "<br>y" * 10).split("\n")
    assert [line.lstrip("->1. ") for line in lines] == ["x"] + ["y"] * 10
    assert max(map(len, lines)) <= 4 * MAX_INDENT + 1


def test_text_over_a_bound_is_a_defect() -> None:
    """Text missing from `body` is never dropped silently."""
    head = b"Content-Type: text/html\r\n\r\n"
    for html in (b"x" * (MAX_CHARACTERS + 1), b"<b>x" * (MAX_TAGS + 1)):
        content = Content.from_bytes(head + html)
        assert len(content.body) < len(html)
        assert content.defects == ("HTML too long: the end is not in the body",)
    assert Content.from_bytes(head + b"<b>x").defects == ()


def test_a_link_in_html_does_not_displace_a_short_plain_text() -> None:
    """Link targets do not count when the plain alternative is compared with the HTML."""
    link = b'<a href="https://a.b/' + b"x" * 500 + b'">Open</a>'
    content = Content.from_bytes(
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nOpen it.\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n" + link + b"\r\n--b--\r\n"
    )
    assert content.body == "Open it."


TAGS = [
    "<ul>", "</ul>", "<ol reversed>", "</ol>", "<li>", "</li>", "<blockquote>", "</blockquote>", "<p>", "</p>", "<div hidden>",
    "<div>", "</div>", "<table>", "</table>", "<tr>", "</tr>", "<td>", "</td>", "<a href=http://x/>", "</a>", "<img>", "<pre>",
    "</pre>", "<br>", "<span style='font-size:0'>", "</span>", "text", " ", "\n", "<dd>", "<dt>", "<tbody>", "<caption>",
]  # fmt: skip


@given(st.lists(st.sampled_from(TAGS), max_size=60))
def test_any_order_of_tags_reads(tags: list[str]) -> None:
    """No order of start and end tags raises, and text outside hidden elements is never lost."""
    text = readable("".join(tags))
    if not any("hidden" in tag or "font-size" in tag for tag in tags):
        assert text.count("text") == tags.count("text")
