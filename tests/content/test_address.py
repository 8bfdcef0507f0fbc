"""Addresses are read as mail programs write them, and no list of addresses is unbounded."""

import base64
import re
from email.utils import getaddresses

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pymailbox.content import Address, Headers
from pymailbox.content.address import _written, parse_addresses
from pymailbox.display import safe_text

LISTS = [
    (b"ann@example.com", [("", "ann@example.com")]),
    (b"<ann@example.com>", [("", "ann@example.com")]),
    (b"Ann Lee <ann@example.com>", [("Ann Lee", "ann@example.com")]),
    (b'"Lee, Ann" <ann@example.com>', [("Lee, Ann", "ann@example.com")]),
    (b'"Ann \\"A\\" Lee" <ann@example.com>', [('Ann "A" Lee', "ann@example.com")]),
    (b'First "M." Last <a@b>', [("First M. Last", "a@b")]),
    (b"ann@example.com (Ann Lee)", [("Ann Lee", "ann@example.com")]),
    (b"(Ann (A.) Lee) ann@example.com", [("Ann (A.) Lee", "ann@example.com")]),
    (b"Ann Lee ann@example.com", [("Ann Lee", "ann@example.com")]),
    (b"Lee, Ann <ann@example.com>", [("Lee, Ann", "ann@example.com")]),
    (b"Lee, Ann <a@b>, Ray, Bob <c@d>", [("Lee, Ann", "a@b"), ("Ray, Bob", "c@d")]),
    (b"a@b, c@d", [("", "a@b"), ("", "c@d")]),
    (b"a@b; c@d;", [("", "a@b"), ("", "c@d")]),
    (b"a@b c@d", [("", "a@b"), ("", "c@d")]),
    (b"A <a@b> C <c@d>", [("A", "a@b"), ("C", "c@d")]),
    (b",, a@b ,,", [("", "a@b")]),
    (b"Friends: Ann <a@b>, c@d;, e@f", [("Ann", "a@b"), ("", "c@d"), ("", "e@f")]),
    (b"undisclosed-recipients:;", []),
    (b"Undisclosed recipients: ;", []),
    (b"<undisclosed-recipients:;>", []),
    (b'=?"utf-8"?q?Caf=C3=A9?= <a@b>', [("Café", "a@b")]),
    (b"", []),
    (b" \t ", []),
    (b"<>", []),
    (b"foo", [("", "foo")]),
    (b"To whom it may concern", []),
    (b"<@relay,@other:ann@example.com>", [("", "ann@example.com")]),
    (b"mailto:ann@example.com", [("", "ann@example.com")]),
    (b"Ann <MailTo:ann@example.com>", [("Ann", "ann@example.com")]),
    (b"<<ann@example.com>>", [("", "ann@example.com")]),
    (b"Ann <SMTP:ann@example.com>", [("Ann", "ann@example.com")]),
    (b"Ann [mailto:ann@example.com], Bob [c@d]", [("Ann", "ann@example.com"), ("Bob", "c@d")]),
    (b"Ann [IT] <a@b>", [("Ann [IT]", "a@b")]),
    (b"Ann, <a@b>, C, D <c@d>", [("Ann", "a@b"), ("C, D", "c@d")]),
    (b"<a@b,c@d>", [("", "a@b"), ("", "c@d")]),
    (b"Ann <a@b; c@d;>", [("Ann", "a@b"), ("", "c@d")]),
    (b"<a,b@c> <a@b,c>", [("", "a,b@c"), ("", "a@b,c")]),
    (b'"Lee, Ann <a@b>", "<c@d>"', [("Lee, Ann", "a@b"), ("", "c@d")]),
    (b"=?utf-8?q?Ann_=3Ca=40b=3E?=, =?utf-8?q?c=40d?=", [("Ann", "a@b"), ("", "c@d")]),
    (b"Ann <ann@example.com", [("Ann", "ann@example.com")]),
    (b"ann @ example.com", [("", "ann@example.com")]),
    (b"Pete <pete(his account)@silly.test(his host)>", [("Pete", "pete@silly.test")]),
    (b'"ann lee"@example.com', [("", '"ann lee"@example.com')]),
    (b"ann@[192.0.2.1]", [("", "ann@[192.0.2.1]")]),
    (b'"ann@example.com" <ann@example.com>', [("", "ann@example.com")]),
    (b"=?utf-8?q?Caf=C3=A9=2C_Ann?= <a@b>", [("Café, Ann", "a@b")]),
    (b"=?utf-8?q?Lee, Ann (A)?= <a@b>", [("Lee, Ann (A)", "a@b")]),
    (b'"=?utf-8?q?Caf=C3=A9?=" <a@b>', [("Café", "a@b")]),
    (b"=?utf-8?q?A?= =?utf-8?q?B?= <a@b>", [("AB", "a@b")]),
    ("Café <café@example.com>".encode(), [("Café", "café@example.com")]),
    (b"Ann\r\n Lee <a@b>,\r\n\tc@d", [("Ann Lee", "a@b"), ("", "c@d")]),
    (b'"Ann <a@b>', [("Ann", "a@b")]),
    (b"Ann (A <a@b>", [("Ann (A", "a@b")]),
    (b"g: Ann <a@b>: x, c@d:e f@g", [("Ann", "a@b"), ("", "c@d:e"), ("", "f@g")]),
    (b"Ann <a@b; c@d", [("Ann", "a@b"), ("", "c@d")]),
    (b"Ann  \t <a@b>", [("Ann", "a@b")]),
    (b'"a" <"x>y"@r.org>', [("a", '"x>y"@r.org')]),
    (b'<"x, <y>"@r.org>, c@d', [("", '"x, <y>"@r.org'), ("", "c@d")]),
    (b'<"a@b>, "Bob" <c@d>', [("", '"a@b'), ("Bob", "c@d")]),
    (b"jdoe@test  . example", [("", "jdoe@test.example")]),
    (b"john . doe@test.example", [("", "john.doe@test.example")]),
    (b"Ann M. Lee ann@test . example", [("Ann M. Lee", "ann@test.example")]),
    (b"<user-from (comment)@ (comment) domain.org>", [("", "user-from@domain.org")]),
    (b"<john(the (first)) . doe @ test.example>", [("", "john.doe@test.example")]),
    (b"Mary <jdoe@machine(comment).  example>", [("Mary", "jdoe@machine.example")]),
    (b"jdoe@machine(comment).  example", [("comment", "jdoe@machine.example")]),
    (b"john(c).doe@example.com, <a@b . c>", [("c", "john.doe@example.com"), ("", "a@b.c")]),
    (b'"ann lee" @example.com', [("", '"ann lee"@example.com')]),
    (b'<"ann lee" @ example . com>', [("", '"ann lee"@example.com')]),
    (b"<hello@example.emai\r\n \r\n l>, <a@b\r\n c@d>", [("", "hello@example.email"), ("", '"a@b c"@d')]),
    (b"a@b@c", [("", '"a@b"@c')]),
    (b"Ann <a@b@c>", [("Ann", '"a@b"@c')]),
    (b'<"a@b"@c>', [("", '"a@b"@c')]),
    (b'"Mary Smith @node.test"', [("Mary Smith", "@node.test")]),
    (b'"Mary Smith @", "c@d"', [("Mary Smith", "@"), ("", "c@d")]),
    (b"Mary Smith <@node.test>", [("Mary Smith", "@node.test")]),
    (b'Mary "Smith" m @ node.test', [("Mary Smith", "m@node.test")]),
]


def test_addresses_read_as_meant() -> None:
    """Groups, comments, routes, odd separators, missing marks, and encoded words in any place."""
    for raw, expected in LISTS:
        assert [(address.name, address.email) for address in parse_addresses(raw)] == expected, raw


def test_from_may_be_a_name_alone() -> None:
    """`from_` returns the name if there is no address; lists of recipients ignore such words."""
    headers = Headers.from_bytes(b"From: The Management\r\nTo: All of you\r\n\r\n")
    assert headers.from_ == Address("The Management", "")
    assert headers.to == ()


def test_str_is_name_and_address() -> None:
    """`str()` is `Name <email>`, or only the name or the email if the other is empty."""
    assert str(Address("Ann", "a@b")) == "Ann <a@b>"
    assert str(Address("", "a@b")) == "a@b"
    assert str(Address("Ann", "")) == "Ann"
    assert str(Address("", "")) == ""


def test_str_is_a_mailbox() -> None:
    """Characters with a meaning are quoted (RFC 5322 §3.4); text that is not an address is quoted like a name."""
    written = [
        (("Lee, Ann", "a@b"), '"Lee, Ann" <a@b>'),
        (("x <evil@e.com>, y", "a@b"), '"x <evil@e.com>, y" <a@b>'),
        (("Ann M. Lee", "a@b"), '"Ann M. Lee" <a@b>'),
        (('Ann "A" \\ Lee', "a@b"), '"Ann \\"A\\" \\\\ Lee" <a@b>'),
        (("evil@e.com", "a@b"), '"evil@e.com" <a@b>'),
        (("Ann\r\nBcc: evil@e.com", "a@b"), '"Ann Bcc: evil@e.com" <a@b>'),
        (
            ("=?utf-8?q?x?=", "a@b"),
            "=?utf-8?q?=3D=3F=75=74=66?= =?utf-8?q?=2D=38=3F=71=3F?= =?utf-8?q?=78=3F=3D?= <a@b>",
        ),
        (("=?utf-8?", "a@b"), "=?utf-8? <a@b>"),
        (("山田　太郎", "a@b"), "山田　太郎 <a@b>"),
        (("Management, The", ""), '"Management, The"'),
        (("", "a@b\r\nBcc: evil@e.com"), '"a@b Bcc: evil"@e.com'),
        (("", "a@b@c"), '"a@b"@c'),
        (("", "a..b@c"), '"a..b"@c'),
        (("", 'a."b \\"c".d@e'), '"a.b \\"c.d"@e'),
        (("Ann", '"a b"@c'), 'Ann <"a b"@c>'),
        (("", '"a"b"@c'), '"\\"a\\"b\\""@c'),
        (("", "a@[192.0.2.1]"), "a@[192.0.2.1]"),
        (("", "a@example.com."), "a@example.com"),
        (("Ann", "ann"), "Ann <ann>"),
        (("Ann", "a@b c"), '"Ann a@b c"'),
        (("", "@b"), '"@b"'),
        (("", "<a@b>, c"), '"<a@b>, c"'),
    ]
    for (name, email), expected in written:
        assert str(Address(name, email)) == expected, (name, email)


ATOM = r"""[^\x00-\x20\x7f()<>\[\]:;@\\,."]+"""
STRING = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
PHRASE = rf"(?:{ATOM}|{STRING})(?: (?:{ATOM}|{STRING}))*"
SPEC = rf"(?:{ATOM}(?:\.{ATOM})*|{STRING})(?:@(?:{ATOM}(?:\.{ATOM})*|\[[^\[\]\\\s]*\]))?"
MAILBOX = re.compile(rf"(?:(?:{PHRASE} )?<{SPEC}>|{SPEC}|{PHRASE})?\Z")
MARKS = st.lists(st.sampled_from([*'<>@,;:"\\()[]. aé\r\n\t\0\x7f\x85\u2028\ud800', "=?", "?=", "a@b", "c.d"])).map(
    "".join
)


@given(st.one_of(MARKS, st.text(max_size=20)), st.one_of(MARKS, st.text(max_size=20)))
def test_any_address_is_written_as_a_mailbox(name: str, email: str) -> None:
    """Any name and email make one mailbox on one line, without control characters."""
    written = str(Address(name, email))
    assert MAILBOX.match(written), written
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", written)


EMAILS = st.one_of(
    st.sampled_from(
        ["a@b.c", '"a b"@c', '"<x@y>"@c', "a.b@c", "ann", "a@[192.0.2.1]", "a@b@c", "a..b@c", "a b@c", ".@c"]
    ),
    st.builds("{}@c.d".format, MARKS),
)


@given(st.one_of(MARKS, st.text(max_size=20)), EMAILS)
def test_an_address_that_is_written_is_read_back(name: str, email: str) -> None:
    """Parsing `str(address)` gives the address again, except for blanks in the name and quotes in the email."""
    bare = _written(" ".join(safe_text(email, controls="drop", limit=None).split()))
    assume(bare is not None)
    written = str(Address(name, email))
    found = parse_addresses(written.encode("utf-8", "replace"), names=True)
    assert [again.email for again in found] == [bare]
    shown = " ".join(safe_text(name, controls="drop", limit=None).split())
    assert found[0].name == ("" if shown.lower() == found[0].email.lower() else shown)
    assert parse_addresses(str(found[0]).encode()) == found


@pytest.mark.parametrize("email", ["@node.t--b", "@", "ann@", "@[192.0.2.1]"])
def test_half_an_address_is_read_back(email: str) -> None:
    """A name and half an address, as read from a message, never become an address that nobody wrote."""
    for name in ("", "Mary", "Mary Smith", "Smith, Mary"):
        address = Address(name, email)
        assert parse_addresses(str(address).encode()) == (address,)


@given(st.one_of(st.binary(max_size=200), MARKS.map(lambda text: text.encode("utf-8", "replace"))))
def test_an_address_that_is_read_is_written_and_read_again(raw: bytes) -> None:
    """Any address read from a message is the same after it is written and read."""
    for address in parse_addresses(raw):
        if (bare := _written(address.email)) is not None:
            assert parse_addresses(str(address).encode()) == (Address(address.name, bare),)


@given(MARKS, st.sampled_from(["a@b.c", '"a b"@c', '"<x@y>"@c', "a.b@c"]))
def test_a_name_never_changes_the_address(name: str, email: str) -> None:
    """A written address is read as one address, the same one, by us and by the standard library."""
    written = str(Address(name, email))
    assert [found[1] for found in getaddresses([written])] == [email]
    assert [found.email for found in parse_addresses(written.encode("utf-8", "replace"))] == [email]


@given(st.binary(max_size=200))
def test_any_address_that_was_read_is_written_as_a_mailbox(raw: bytes) -> None:
    """Addresses of any message can be written."""
    for address in parse_addresses(raw):
        assert MAILBOX.match(str(address)), address


@pytest.mark.threat(107)
@pytest.mark.parametrize("size", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_floods_of_marks_are_bounded_in_addresses(size: int) -> None:
    """However often a mark of the address syntax occurs, at most ten thousand addresses are read.

    How long that takes is judged in `test_growth.test_long_address_lists`.
    """
    marks = [
        ",",
        ";",
        "(",
        ")",
        "<",
        ">",
        '"',
        "\\",
        ":",
        "@",
        "[",
        " ",
        "a@b,",
        '"a\\" (',
        "(a)<",
        " @",
        "a b@c ",
        "=?a?q?",
    ]
    for mark in marks:
        found = parse_addresses((mark * (size // len(mark))).encode())
        assert len(found) <= 10_000, mark
    assert len(parse_addresses(b"a@b," * (size // 4))) == 10_000


@pytest.mark.threat(109)
def test_a_name_that_looks_like_an_address_is_a_name() -> None:
    """Text in quotes, comments or encoded words never becomes the address (CVE-2023-27043)."""
    assert parse_addresses(b'"boss@bank.example" <evil@x.example>') == (Address("boss@bank.example", "evil@x.example"),)
    assert parse_addresses(b"=?utf-8?q?boss=40bank.example=2C?= <evil@x.example>")[0].email == "evil@x.example"
    assert parse_addresses(b"alice@example.org)bob@example.net")[0].email != "alice@example.org"


@given(st.binary(max_size=200))
def test_any_bytes_read(raw: bytes) -> None:
    """No bytes raise, and no control character is shown."""
    for address in parse_addresses(raw):
        assert address.name or address.email
        assert (address.name + address.email).replace("\xa0", "").isprintable() or all(
            ord(character) > 0x9F for character in address.name + address.email if not character.isprintable()
        )


@given(
    st.lists(
        st.sampled_from(['"', "(", ")", "<", ">", ",", ";", ":", "@", "a", " ", "\\", "[", "]", "=?utf-8?q?", "?="])
    )
)
def test_lists_built_of_their_own_marks_read(parts: list[str]) -> None:
    """Marks of the address syntax in any order are read."""
    parse_addresses("".join(parts).encode())


@given(
    st.lists(
        st.tuples(st.text('abc, ()<>@"', max_size=8), st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.test", fullmatch=True)),
        max_size=6,
    )
)
@example([("@  @", "a@a.test")])
def test_a_well_written_list_is_read_back(pairs: list[tuple[str, str]]) -> None:
    """A list with each name quoted as in RFC 5322 is read as the same names and addresses."""
    written = ", ".join('"' + name.replace('"', '\\"') + f'" <{email}>' for name, email in pairs)
    read = [(address.name, address.email) for address in parse_addresses(written.encode())]
    assert read == [(" ".join(name.split()) if name.lower() != email else "", email) for name, email in pairs]


@given(
    st.lists(
        st.tuples(st.text(max_size=12), st.sampled_from("bq"), st.sampled_from(["", " ", "\t"])), min_size=1, max_size=4
    )
)
@example([('Lee, Ann" <x@example.com>', "b", " ")])
@example([("ann@example.com", "q", "")])
def test_an_encoded_name_reads_alone_as_among_others(words: list[tuple[str, str, str]]) -> None:
    """The form of most names that are not ASCII has a way of its own; in a list, the general one reads it."""
    name = b""
    for text, encoding, blank in words:
        data = text.encode("utf-8", "replace")
        coded = b"".join(b"=%02X" % byte for byte in data) if encoding == "q" else base64.b64encode(data)
        name += b"=?utf-8?%s?%s?=%s" % (encoding.encode(), coded, blank.encode())
    raw = name + b"<ann@example.com>"
    assert parse_addresses(raw) == parse_addresses(raw + b", bob@example.com")[:1]
