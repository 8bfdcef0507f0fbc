"""Damaged messages: each kind of damage is repaired, and the repair is named in `defects`."""

import binascii
from email.message import EmailMessage
from typing import Any

import pytest
from attrs import frozen

from pymailbox.content import Content, Headers
from pymailbox.content.tree import MAX_DEPTH

MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
PDF = b"Content-Type: application/pdf; name=a.pdf\r\n\r\nPDF\r\n"
ATTACHED = [("a.pdf", b"PDF")]


@frozen
class Case:
    """A message, and the values expected of it."""

    raw: bytes
    text: str | None = None
    html: str | None = None
    attached: Any = ()
    defects: tuple[str, ...] = ()

    def check(self) -> None:
        """Compare each name with the expected value."""
        content = Content.from_bytes(self.raw)
        assert content.text == self.text, self.raw
        assert content.html == self.html, self.raw
        assert [(each.filename, each.payload) for each in content.attachments] == list(self.attached), self.raw
        assert content.defects == self.defects, self.raw


# --- line ends --------------------------------------------------------------------------------------------------

LINES = "From: a@example.org\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nHi\nyou\n--b\n"
LINES += "Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\nUE\nRG\n--b--\n"


def test_line_ends_of_every_kind_and_mixed() -> None:
    """Header and body may each end their lines in LF, CR LF, CR CR LF or CR; the last two are defects."""
    head, _, body = LINES.partition("\n\n")
    for before in ("\n", "\r\n", "\r\r\n", "\r"):
        for after in ("\n", "\r\n", "\r\r\n", "\r"):
            for last in ("", "\r\n"):
                raw = (f"{head}\n\n".replace("\n", before) + body.replace("\n", after) + last).encode()
                content = Content.from_bytes(raw)
                case = (before, after, last)
                assert (content.subject, content.headers.from_) == ("s", Headers.from_bytes(raw).from_), case
                assert content.text == "Hi\nyou", case
                assert [(each.filename, each.payload) for each in content.attachments] == ATTACHED, case
                odd = {"\r\r\n": "lines that end in CR CR LF", "\r": "lines that end in CR alone"}
                assert set(content.defects) <= set(odd.values()), case
                assert {odd[end] for end in (before, after) if end in odd} >= set(content.defects), case
                assert bool(content.defects) is (before in odd or after in odd), case
                assert content.raw == raw, case


def test_fields_added_by_a_server_may_have_other_line_ends() -> None:
    """A header with CR or CR CR LF is read after fields with CR LF."""
    for ending in ("\r", "\r\r\n"):
        content = Content.from_bytes(b"Received: x\r\nReceived: y\r\n" + LINES.replace("\n", ending).encode())
        assert (content.subject, content.text, len(content.attachments)) == ("s", "Hi\nyou", 1)


def test_cr_is_data_in_a_header_with_other_line_ends() -> None:
    """A CR inside a line does not begin a field, and a binary body keeps its bytes."""
    content = Content.from_bytes(b"Subject: a\rBcc: x@y\r\nContent-Type: image/png\r\n\r\n\r\r\n\r\x00\n\r\r\n")
    assert (content.subject, content.bcc) == ("a Bcc: x@y", ())
    assert content.attachments[0].payload == b"\r\r\n\r\x00\n\r\r\n"


# --- headers ----------------------------------------------------------------------------------------------------


def test_from_with_a_blank_before_its_colon_is_a_field() -> None:
    """`From :` (RFC 5322 §4.5) is not an mbox line, whether it is folded or comes after a real mbox line."""
    for field in (b"From : Ann <a@b>", b"From\t:Ann <a@b>", b"From   :\r\n Ann\r\n <a@b>"):
        for before in (b"", b"Subject: x\r\n", b"From ann Mon Jun  2 10:00:00 2025\r\n"):
            content = Content.from_bytes(before + field + b"\r\nTo: c@d\r\n\r\ny")
            assert str(content.from_) == "Ann <a@b>", (before, field)
            assert content.defects == (("junk before the header",) if before.startswith(b"From") else ())


def test_the_message_id_is_the_identifier_alone() -> None:
    """Words and comments around it and blanks inside it are dropped, and missing brackets are added."""
    for value, identifier in (
        (b"<1@example.com>", "<1@example.com>"),
        (b"<1@example.com> (added by postmaster@example.com)", "<1@example.com>"),
        (b"(a <comment@x>) <1@example.com>", "<1@example.com>"),
        (b"1@example.com", "<1@example.com>"),
        (b" 1@example.com (c)", "<1@example.com>"),
        (b"< 1@example.com >", "<1@example.com>"),
        (b"<1@\r\n example.com>", "<1@example.com>"),
        (b"<1@example.com", "<1@example.com>"),
        (b"unique", "<unique>"),
        (b"", None),
        (b"<>", None),
    ):
        assert Headers.from_bytes(b"Message-ID: " + value + b"\r\n\r\n").message_id == identifier, value


NO_EMPTY_LINE = "header without an empty line after it"
STRAY = "lines in a header that are not fields"
NO_HEADER = "part without a header"
RUN_ON = b"Content-Type: multipart/alternative; boundary=c\r\n%s--c\r\n\r\none\r\n--c\r\nContent-Type: text/html\r\n\r\ntwo\r\n--c--\r\n"

HEADERS = [
    Case(MIXED + b"--b\r\nThe text\r\n--b--\r\n", "The text", defects=(NO_HEADER,)),
    Case(MIXED + b"--b\r\nThe text\r\n\r\nmore\r\n--b--\r\n", "The text\n\nmore", defects=(NO_HEADER,)),
    Case(MIXED + b"--b\r\nNote: text\r\n--b--\r\n", "Note: text", defects=(NO_HEADER,)),
    Case(MIXED + b"--b\r\nThe te", "The te", defects=(NO_HEADER, "multipart without its end")),
    Case(MIXED + b"--b\r\nContent-Ty", "", defects=(STRAY, "multipart without its end")),
    Case(MIXED + b"--b\r\nContent-Type: text/html\r\nHi\r\n--b--\r\n", None, "Hi", defects=(NO_EMPTY_LINE,)),
    Case(
        MIXED + b"--b\r\nContent-Type: text/html\r\nHi\r\n\r\nyou\r\n--b--\r\n",
        None,
        "Hi\n\nyou",
        defects=(NO_EMPTY_LINE,),
    ),
    Case(MIXED + b"--b\r\nContent-Type: text/html;\r\n x=y\r\n--b--\r\n", None, ""),
    Case(b"Subject: s\r\nHi\r\n\r\nyou\r\n", "Hi\n\nyou\n", defects=(NO_EMPTY_LINE,)),
    Case(b"Subject: s\r\nHi\r\nyou\r\n", "Hi\nyou\n", defects=(NO_EMPTY_LINE,)),
    Case(b"Subject: s\r\nHi\r\nTo: a@b\r\n\r\nyou\r\n", "you\n", defects=(STRAY,)),
    *[
        Case(before + stray + b"\r\nContent-Type: text/html\r\n\r\nHi\r\n" + after, None, "Hi" + end, defects=(STRAY,))
        for before, after, end in ((b"", b"", "\n"), (MIXED + b"--b\r\n", b"--b--\r\n", ""))
        for stray in (b"words", b"\r<p>words</p>", b" words", b"\r\t words\r\n more", b": words", b"X: y\r\n\rwords")
    ],
    Case(b"Subject: s\r\nTo: a@b\r\nDat", "", defects=(STRAY,)),
    Case(b"Subject: s\r\n" + RUN_ON % b"", "one", "two", defects=(NO_EMPTY_LINE,)),
    Case(b"Subject: s\r\n" + RUN_ON % b"This is a message in MIME.\r\n", "one", "two", defects=(NO_EMPTY_LINE,)),
    Case(RUN_ON.replace(b"=c", b"=c (c)") % b"", "one", "two", defects=(NO_EMPTY_LINE,)),
    Case(MIXED + b"--b\r\n" + RUN_ON % b"" + b"--b\r\n" + PDF + b"--b--\r\n", "one", "two", ATTACHED, (NO_EMPTY_LINE,)),
]


@pytest.mark.parametrize("case", HEADERS)
def test_headers_without_an_empty_line(case: Case) -> None:
    """A header ends before its first delimiter or after its last field; text without a field is a body."""
    case.check()


def test_a_header_without_an_empty_line_has_only_its_own_fields() -> None:
    """`Headers` reads no field of the first part."""
    headers = Headers.from_bytes(b"Subject: s\r\n" + RUN_ON % b"")
    assert headers.parameters("Content-Type") == ("multipart/alternative", {"boundary": "c"})


COMMENTED = [
    b"multipart/mixed; boundary=b (the boundary)", b"multipart/mixed; boundary=b(the boundary)", b"(c) multipart/mixed; boundary=b",
    b"multipart/(c)mixed (c (d; boundary=x)); boundary=b", b"multipart/mixed; (c) boundary (c) = (c) b (c)",
    b'multipart/mixed; boundary=(c)"b"', b'multipart/mixed; boundary="b" (c)', b"multipart/mixed (\\) c);\r\n (c\r\n d)\r\n boundary=b",
    b'multipart/mixed (a " quote); boundary=b', b"multipart/mixed; boundary=b; (c)",
]  # fmt: skip


@pytest.mark.parametrize("value", COMMENTED)
def test_comments_in_content_type(value: bytes) -> None:
    """A comment may come before and after each word (RFC 2045 §5.1), and may contain anything."""
    Case(
        b"Content-Type: " + value + b"\r\n\r\n--b\r\n\r\nHi\r\n--b\r\n" + PDF + b"--b--\r\n", "Hi", None, ATTACHED
    ).check()


def test_comments_in_other_mime_fields() -> None:
    """Comments are read in the type of a leaf, its charset, its encoding, its disposition and its id."""
    Case(b"Content-Type: (really) text/html\r\n\r\nHi", None, "Hi").check()
    Case(b"Content-Type: text/plain; charset=koi8-r (Russian)\r\n\r\n\xf0", "П").check()
    Case(b"Content-Transfer-Encoding: (a (b)) base64 (c)\r\n\r\nSGk=", "Hi").check()
    (attached,) = Content.from_bytes(
        b"Content-Disposition: (c) attachment (d)\r\nContent-ID: <a@b> (c)\r\n\r\nx"
    ).attachments
    assert attached.content_id == "a@b"


TWICE = "more than one Content-Type field"
TYPES = (
    b"Content-Type: multipart/mixed; boundary=%s\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=%s\r\n\r\n"
)
BODY = b"--b\r\n\r\nHi\r\n--b\r\n" + PDF + b"--b--\r\n"
REPEATED = [
    Case(TYPES % (b"b", b"c") + BODY, "Hi", None, ATTACHED, (TWICE,)),
    Case(TYPES % (b"c", b"b") + BODY, "Hi", None, ATTACHED, (TWICE,)),
    Case(TYPES % (b"b", b"b") + BODY, "Hi", None, ATTACHED),
    Case(b"Content-Type: text/plain\r\n" + MIXED + BODY, "Hi", None, ATTACHED, (TWICE,)),
    Case(MIXED[:-2] + b"Content-Type: text/plain\r\n\r\n" + BODY, "Hi", None, ATTACHED, (TWICE,)),
    Case(MIXED[:-2] + b"Content-Type: text/plain\r\n\r\nHi\n\n--b\nfooter", "Hi\n\n--b\nfooter", defects=(TWICE,)),
    Case(MIXED[:-2] + b"Content-Type: text/plain\r\n\r\nHi", "Hi", defects=(TWICE,)),
    Case(b"Content-Type: text/html\r\nContent-Type: nonsense\r\n\r\nHi", None, "Hi", defects=(TWICE,)),
    Case(b"Content-Type: text/html\r\nContent-Type: text/plain\r\n\r\nHi", "Hi", defects=(TWICE,)),
    Case(b"Content-Type: text/html\r\nContent-Type: text/plain\r\n\r\n\n<HTML>", None, "\n<HTML>", defects=(TWICE,)),
    Case(
        b"Content-Disposition: attachment; filename=a.pdf\r\nContent-Disposition: inline\r\nContent-Type: a/b\r\n\r\nPDF",
        attached=ATTACHED,
        defects=("more than one Content-Disposition field",),
    ),
]
ENCODED_TWICE = [
    (b"7bit", b"base64", b"SGVsbG8=", "Hello"), (b"base64", b"7bit", b"SGVsbG8=", "Hello"), (b"base64", b"8bit", b"Hello!", "Hello!"),
    (b"8bit", b"quoted-printable", b"a=3Db", "a=b"), (b"quoted-printable", b"7bit", b"a = b", "a = b"),
    (b"base64", b"quoted-printable", b"a=3Db!", "a=b!"), (b"x-uuencode", b"7bit", b"begin 644 x\n#86)C\n`\nend\n", "abc"),
]  # fmt: skip


def test_fields_that_occur_twice() -> None:
    """Of two Content-Type, -Disposition or -Transfer-Encoding fields, the one that fits the body counts."""
    for case in REPEATED:
        case.check()
    for first, second, body, text in ENCODED_TWICE:
        head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n"
        Case(head % (first, second) + body, text, defects=("more than one Content-Transfer-Encoding field",)).check()


# --- boundaries -------------------------------------------------------------------------------------------------

SAME = "multipart with the boundary of the one around it"
INNER = b"--b\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n"
LATE = "parts after the end of their multipart"
EPILOGUE = "delimiter after the end of its multipart"
ENDED = b"--b\r\n\r\none\r\n--b--\r\nsignature\r\n"
NO_BOUNDARY = "multipart without a boundary"
GUESSED = (NO_BOUNDARY, "multipart whose boundary was guessed from its body")
NO_PARTS = "multipart without parts"


def of_boundary(parameter: bytes, mark: bytes, end: bytes) -> bytes:
    """Return a multipart with a boundary parameter as given, and delimiters as given."""
    return b"Content-Type: multipart/mixed%s\r\n\r\npre\r\n%s\r\nContent-Type: text/plain\r\n\r\nHi\r\n%s\r\n" % (
        parameter,
        mark,
        end,
    )


BOUNDARIES = [
    Case(MIXED + INNER + b"--b--\r\n\r\n--b\r\n" + PDF + b"--b--\r\n", "one", "two", ATTACHED, (SAME,)),
    Case(MIXED + INNER + b"--b\r\n" + PDF + b"--b--\r\n", "one", "two", ATTACHED, (SAME, "multipart without its end")),
    Case(MIXED + ENDED + b"--b\r\n" + PDF + b"--b--\r\n", "one", None, ATTACHED, (LATE,)),
    Case(
        MIXED + ENDED + b"--b\r\n" + PDF + b"--b--\r\n--b\r\n" + PDF + b"--b--\r\n", "one", None, ATTACHED * 2, (LATE,)
    ),
    Case(MIXED + ENDED + b"--b\r\n\r\ntwo\r\n", "one", defects=(EPILOGUE,)),
    Case(MIXED + ENDED + b"--b\r\n\r\ntwo\r\n--b--\r\n", "one", defects=(EPILOGUE,)),
    Case(MIXED + ENDED + b"--b\r\n" + PDF, "one", defects=(EPILOGUE,)),
    Case(MIXED + ENDED + b"--b\r\n--b\r\n" + PDF + b"--b--\r\n", "one", None, ATTACHED, (EPILOGUE, LATE)),
    Case(MIXED + ENDED + b"--b--\r\n", "one"),
    Case(
        MIXED + b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\nlost\r\n--b\r\n\r\nHi\r\n--b--\r\n",
        "Hi",
        defects=("multipart without its end", NO_PARTS),
    ),
    Case(of_boundary(b'; boundary=""', b"--x", b"--x--"), "Hi", defects=GUESSED),
    Case(of_boundary(b'; boundary=""', b"--", b"----"), "Hi", defects=GUESSED),
    Case(of_boundary(b"; charset=utf-8", b"--x y", b"--x y--"), "Hi", defects=GUESSED),
    Case(of_boundary(b"", b"--x", b"you"), "Hi\nyou\n", defects=(*GUESSED, "multipart without its end")),
    Case(of_boundary(b'; boundary="b "', b"--b", b"--b--"), "Hi"),
    Case(of_boundary(b'; boundary="b "', b"--b ", b"--b --"), "Hi"),
    Case(of_boundary(b'; boundary="b "', b"--b", b"--b --"), "Hi"),
    Case(of_boundary(b"; boundary=b", b"--b ", b"--b--\t"), "Hi"),
    Case(b"Content-Type: multipart/mixed\r\n\r\nHi\r\n-- \r\nAnn\r\n--\r\n", None, defects=(NO_BOUNDARY, NO_PARTS)),
    Case(
        MIXED + b"--b\r\nContent-Type: multipart/mixed\r\n\r\n--x\r\n\r\nHi\r\n--x--\r\n--b\r\n" + PDF + b"--b--\r\n",
        "Hi",
        None,
        ATTACHED,
        GUESSED,
    ),
]


@pytest.mark.parametrize("case", BOUNDARIES)
def test_boundaries_that_are_shared_missing_or_padded(case: Case) -> None:
    """The innermost multipart with a boundary gets the next part; a missing boundary is guessed from the delimiters."""
    case.check()


# --- bodies -----------------------------------------------------------------------------------------------------


ENDLESS = "multipart without its end"
ALTERNATIVE = (
    b"Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: %s\r\n\r\none\r\n--c\r\nContent-Type: %s\r\n\r\n"
    b"two\r\n--c--\r\n"
)
RELATED = b"multipart/related; boundary=d\r\n\r\n--d\r\nContent-Type: text/html; name=b\r\n\r\none\r\n--d\r\nContent-Type: image/png"
NAMED = [
    Case(b'Content-Type: text/plain; name="a.txt"\r\n\r\nHi', "Hi"),
    Case(b'Content-Type: text/html; name="a.html"\r\n\r\nHi', None, "Hi"),
    Case(b"Content-Disposition: inline; filename=a.txt\r\n\r\nHi", "Hi"),
    Case(b"Content-Disposition: attachment; filename=a.txt\r\n\r\nHi", attached=[("a.txt", b"Hi")]),
    Case(b"Content-Type: text/csv; name=a.csv\r\n\r\nHi", attached=[("a.csv", b"Hi")]),
    Case(
        MIXED + b"--b\r\nContent-Type: text/plain; name=a\r\n\r\nHi\r\n--b\r\n" + PDF + b"--b--\r\n",
        "Hi",
        None,
        ATTACHED,
    ),
    Case(
        MIXED + b"--b\r\n" + PDF + b"--b\r\nContent-Type: text/plain; name=a\r\n\r\nHi\r\n--b--\r\n",
        attached=[*ATTACHED, ("a", b"Hi")],
    ),
    Case(
        MIXED + b"--b\r\n\r\nHi\r\n--b\r\nContent-Type: text/plain; name=a\r\n\r\nyou\r\n--b--\r\n",
        "Hi",
        attached=[("a", b"you")],
    ),
    Case(
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; name=a\r\n\r\none\r\n"
        b"--b\r\nContent-Type: text/html; name=b\r\n\r\ntwo\r\n--b--\r\n",
        "one",
        "two",
    ),
    Case(ALTERNATIVE % (b"text/plain", b"text/html; name=b"), "one", "two"),
    Case(ALTERNATIVE % (b"text/plain; name=a", b"text/html"), "one", "two"),
    Case(
        MIXED + b"--b\r\n" + ALTERNATIVE % (b"text/plain", b"text/html; name=b") + b"--b\r\n" + PDF + b"--b--\r\n",
        "one",
        "two",
        ATTACHED,
    ),
    Case(ALTERNATIVE % (b"text/plain", RELATED), "one", "one", [("", b"two")], (ENDLESS,)),
    Case(ALTERNATIVE % (b"text/plain", b"text/calendar; name=b"), "one", None, [("b", b"two")]),
    Case(
        ALTERNATIVE % (b"text/plain", b"text/html\r\nContent-Disposition: attachment; filename=b"),
        "one",
        attached=[("b", b"two")],
    ),
    *[
        Case(MIXED + b"--b\r\n" + empty + b"\r\n--b\r\nContent-Type: text/plain; name=a\r\n\r\nHi\r\n--b--\r\n", "Hi")
        for empty in (b"\r\n", b"\r\n \r\n\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=20=\r\n=0A")
    ],
    Case(
        MIXED + b"--b\r\n\r\n--b\r\n" + PDF + b"--b\r\nContent-Type: text/plain; name=a\r\n\r\nHi\r\n--b--\r\n",
        "",
        attached=[*ATTACHED, ("a", b"Hi")],
    ),
]


@pytest.mark.parametrize("case", NAMED)
def test_the_text_of_a_message_may_have_a_name(case: Case) -> None:
    """Alternatives are text, and so is what a message without other text begins with, unless marked as an attachment."""
    case.check()


INSIDE = b"From: in@example.org\r\nSubject: inner\r\n\r\nwords"
LABELLED = [
    ("base64", INSIDE, INSIDE, True),
    ("x-uuencode", INSIDE, INSIDE, True),
    ("base64", binascii.b2a_base64(INSIDE), INSIDE, False),
    (
        "quoted-printable",
        INSIDE.replace(b"inner", b"=?utf-8?q?=41?="),
        INSIDE.replace(b"inner", b"=?utf-8?q?=41?="),
        True,
    ),
    ("quoted-printable", INSIDE.replace(b"inner", b"a=3Db=\r\nc"), INSIDE.replace(b"inner", b"a=bc"), False),
    ("quoted-printable", INSIDE + b"=20x", INSIDE + b" x", False),
    ("quoted-printable", INSIDE + b" a = b", INSIDE + b" a = b", True),
]
QUOTED = b"Content-Transfer-Encoding: quoted-printable\r\n\r\nCaf=C3=A9"
LABELLED += [
    ("quoted-printable", QUOTED, QUOTED, True),
    ("quoted-printable", QUOTED.replace(b"=", b"=3D"), QUOTED, False),
]


def test_an_attached_message_labelled_as_encoded() -> None:
    """An attached message is decoded only if it is really encoded (RFC 2046 §5.2.1)."""
    for encoding, body, payload, named in LABELLED:
        head = b"--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\n"
        name = "uuencode" if "uu" in encoding else encoding
        defects = (f"message labelled {name} but not encoded",) if named else ()
        Case(MIXED + head + body + b"\r\n--b--\r\n", attached=[("", payload)], defects=defects).check()


def test_the_standard_library_gets_what_it_can_parse() -> None:
    """`email` never raises; if parts are nested too deep for the standard library, the body is one string."""
    depth = 3000
    heads = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(depth))
    content = Content.from_bytes(b"Subject: x\n" + heads + b"\nhello")
    assert content.email["Subject"] == "x"
    assert not content.email.is_multipart()
    assert content.email.get_payload().endswith("hello")
    assert f"more than {MAX_DEPTH} multiparts in each other" in content.defects
    assert Content.from_bytes(MIXED + BODY).email.is_multipart()
    for field in (
        b"Content-Type: text/plain; a=",
        b"Content-Type: ",
        b"Content-Transfer-Encoding: ",
        b"MIME-Version: ",
    ):
        read = Content.from_bytes(b"Subject: x\r\n" + field + b"(" * 5_000 + b"\r\n\r\nhello").email
        assert isinstance(read, EmailMessage)
        assert read["Subject"] == "x"
    flood = b"Content-Type: text/plain" + b";" * 1_000_000 + b"\r\nSubject: x\r\n\r\nhello"  # hours
    assert Content.from_bytes(flood).email["Subject"] == "x"
    assert not Content.from_bytes(MIXED + b"--b\r\n" + flood + b"\r\n--b--\r\n").email.is_multipart()
