"""`body` is what a person reads: text, HTML as text, flowed lines joined, and the best of the alternatives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content import Content
from pymailbox.content.body import unflow
from pymailbox.content.markup import declared_charset, readable


def alternative(*parts: tuple[bytes, bytes]) -> Content:
    """Return a message with alternatives, each a type and a text."""
    body = b"".join(b"--b\r\nContent-Type: %s\r\n\r\n%s\r\n" % part for part in parts)
    return Content.from_bytes(b"Content-Type: multipart/alternative; boundary=b\r\n\r\n" + body + b"--b--\r\n")


PAGES = [
    ("", ""),
    ("plain", "plain"),
    ("<p>one</p><p>two</p>", "one\n\ntwo"),
    ("one<br>two<br/><br>three", "one\ntwo\n\nthree"),
    ("<b>a</b> <i>b</i>  c\n d", "a b c d"),
    ("<b>a </b>b", "a b"),
    ("a<div>b</div>c", "a\nb\nc"),
    ("<ul><li>one<li>two</ul>x", "- one\n- two\n\nx"),
    ("<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc"),
    ("<style>p { color: red }</style>a<script>if (a < b) alert('<p>')</script>b", "ab"),
    ("<title>No</title><body>Yes", "Yes"),
    ("<!-- no <b>no</b> -->a<!DOCTYPE html>b", "ab"),
    ("&lt;b&gt; &amp; caf&eacute;&nbsp;&#8364;", "<b> & café €"),
    ("a < b and 1<2", "a < b and 1<2"),
    ('<a title="x > y" href=z>link</a>', "link"),
    ("<img alt='A cat'><img alt=\"\">", "A cat"),
    ("<pre>a\n  b\nc</pre>d", "a\n  b\nc\n\nd"),
    ("<h1>T</h1>x", "T\n\nx"),
    ("<p>unclosed <b", "unclosed"),
    ("<p title=\"a > b\" alt='<i>'>one <i title='>'>two</i>", "one two"),
    ("<img alt='a > b <i>'>", "a > b <i>"),
    ('<p a="x>y"b="<">one', "one"),
    ('<b title="x>one</b> <a href="http://x/">two</a>', "one two <http://x/>"),
    ("x<SCRIPT>never closed a", "x"),
    ("x<style>p {} <p>y", "x"),
    ("x<!--never closed <p>y", "x"),
    ("<p>a</p><o:p>&nbsp;</o:p><p>b</p>", "a\n\n\n\nb"),
]


def test_html_reads_as_text() -> None:
    """Blocks on separate lines, blanks collapsed, no scripts, styles or comments."""
    for html, text in PAGES:
        assert readable(html) == text, html


@given(
    st.lists(
        st.sampled_from(
            ["<", ">", "!--", "-->", "/", "p", "script", '"', "'", "=", "&", "lt;", "#", " ", "\n", "br", "pre", "a"]
        )
    )
)
def test_any_markup_reads(parts: list[str]) -> None:
    """Marks of HTML in any order are read."""
    readable("".join(parts))


@given(st.text("abc<>&\"' é", max_size=60))
def test_escaped_text_is_read_back(text: str) -> None:
    """Text escaped as HTML is read as the same text, with blanks collapsed."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert readable(f"<p>{escaped}</p>").split() == text.split()


def test_a_meta_tag_declares_the_charset_if_there_is_no_label() -> None:
    """HTML without a charset parameter is decoded as its `<meta>` declares."""
    assert declared_charset(b'<meta http-equiv=x content="text/html; charset=koi8-r">') == "koi8-r"
    html = b"Content-Type: text/html\r\n\r\n<meta charset=koi8-r>" + "Привет".encode("koi8-r")
    assert Content.from_bytes(html).body == "Привет"


def test_the_plain_alternative_is_read() -> None:
    """Text that the sender wrote is preferred to HTML."""
    content = alternative((b"text/plain", b"Hello Ann"), (b"text/html", b"<p>Hello <b>Ann</b></p>"))
    assert content.body == "Hello Ann"
    assert content.html == "<p>Hello <b>Ann</b></p>"


def test_html_is_read_if_the_plain_alternative_is_useless() -> None:
    """A blank plain part is skipped, and so is a stub next to a long HTML part."""
    assert alternative((b"text/plain", b" \r\n"), (b"text/html", b"<p>Hello</p>")).body == "Hello"
    assert alternative(
        (b"text/plain", b"Use another reader."), (b"text/html", b"<p>" + b"word " * 200)
    ).body.startswith("word word")
    assert alternative((b"text/html", b"<p>Hello</p>")).body == "Hello"


def test_parts_of_a_mixed_message_are_read_in_order() -> None:
    """Text before and after an attachment is read, with HTML converted to text."""
    mail = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: image/png\r\n\r\n\x89\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two</p>\r\n--b--\r\n"
    assert Content.from_bytes(mail).body == "one\n\ntwo"


@pytest.mark.parametrize(
    ("text", "delete_blank", "expected"),
    [
        ("one \ntwo\nthree", False, "one two\nthree"),
        ("one \ntwo", True, "onetwo"),
        ("> a \n> b\n>> c", False, "> a b\n>> c"),
        ("> a\n>\n> b\n> \n>>", False, "> a\n>\n> b\n>\n>>"),
        ("a \n> b", False, "a \n> b"),
        (" > stuffed", False, "> stuffed"),
        ("text\n-- \nAnn", False, "text\n-- \nAnn"),
        ("text \n-- \nAnn", False, "text \n-- \nAnn"),
    ],
)
def test_flowed_lines_are_joined(text: str, delete_blank: bool, expected: str) -> None:
    """A line that ends in a blank continues; quotes keep their depth; a signature is never joined (RFC 3676)."""
    assert unflow(text, delete_blank=delete_blank) == expected


def test_flowed_text_keeps_its_lines_in_text() -> None:
    """`text` is as sent, `body` has the lines joined."""
    content = Content.from_bytes(b"Content-Type: text/plain; format=flowed\r\n\r\none \r\ntwo\r\n")
    assert content.text == "one \ntwo\n"
    assert content.body == "one two"
