"""The identifiers in Message-ID, In-Reply-To and References are read in any form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content import Headers
from pymailbox.content.identifiers import message_ids

FORMS = [
    ("", ()),
    ("<1@a>", ("<1@a>",)),
    ("<1@a> <2@b>", ("<1@a>", "<2@b>")),
    ("<1@a><2@b>", ("<1@a>", "<2@b>")),
    ("<1@a>, <2@b>; <3@c>", ("<1@a>", "<2@b>", "<3@c>")),
    ("<1@a> <1@a>", ("<1@a>", "<1@a>")),
    ("<1@a> (added by postmaster@a)", ("<1@a>",)),
    ("(see <0@a> (and (more))) <1@a>", ("<1@a>",)),
    ("(never closed <1@a>", ("<1@a>",)),
    ('Your message of "Mon, <0@a>" <1@a>', ("<1@a>",)),
    ('"never closed <1@a>', ("<1@a>",)),
    ("Your message of Mon <1@a>", ("<1@a>",)),
    ("Your message of Mon", ()),
    ("1@a", ("<1@a>",)),
    ("1@a 2@b", ("<1@a>", "<2@b>")),
    ("1@a (a comment)", ("<1@a>",)),
    ("1@a>", ("<1@a>",)),
    ("1234", ("<1234>",)),
    ("<1234>", ("<1234>",)),
    ("< 1@a >", ("<1@a>",)),
    ("<1@\ta>", ("<1@a>",)),
    ("<<1@a>>", ("<1@a>",)),
    ("<1@a <2@b>", ("<1@a>", "<2@b>")),
    ("<1@a and more", ("<1@a>",)),
    ("<1(2)@a>", ("<1(2)@a>",)),
    ('<"1 2"@a>', ('<"1 2"@a>',)),
    ("<>", ()),
    ("<> 1@a", ("<1@a>",)),
    ('"1"@a', ('<"1"@a>',)),
]


def test_every_form_is_read() -> None:
    """Brackets, comments, quotes and blanks, present or missing; each result is in brackets."""
    for text, ids in FORMS:
        assert message_ids(text) == ids, text


def test_the_names_of_a_header() -> None:
    """`message_id` is the first identifier, the others have all of every field; folds are removed."""
    headers = Headers.from_bytes(
        b"Message-ID: <1@a> (x)\r\nIn-Reply-To: <2@a>\r\n <3@a>\r\nReferences: <4@\r\n a>\r\n\t<5@a>\r\nReferences: <6@a>\r\n\r\n"
    )
    assert headers.message_id == "<1@a>"
    assert headers.in_reply_to == ("<2@a>", "<3@a>")
    assert headers.references == ("<4@a>", "<5@a>", "<6@a>")


@pytest.mark.parametrize("field", [b"", b"Message-ID:\n", b"Message-ID: <>\n", b"Message-ID: ()\n"])
def test_none_without_an_identifier(field: bytes) -> None:
    """A header without an identifier gives None and empty tuples."""
    headers = Headers.from_bytes(field + b"X: y\n\n")
    assert (headers.message_id, headers.in_reply_to, headers.references) == (None, (), ())


@given(st.text('<>()"\\ ,;@ab\n'))
def test_any_text_reads(text: str) -> None:
    """Every result is in brackets, and contains neither brackets nor line ends."""
    for identifier in message_ids(text):
        assert identifier[0] == "<"
        assert identifier[-1] == ">"
        assert not set(identifier[1:-1]) & set("<>")
        assert identifier[1:-1]
