"""Hostile messages: reading them never raises, and no name takes more than linear time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from random import Random
from typing import Any

import pytest
from attrs import define, frozen

from pymailbox.content import Attachment, Content, Headers, headers, markup, parameters, tree
from pymailbox.content.filenames import safe_name
from pymailbox.content.tree import MAX_DEPTH, MAX_MISSES, MAX_PARTS
from pymailbox.mailbox.reading import first_lines
from tests import timing
from tests.timing import Clock, assert_linear

SECONDS = 10.0  # of CPU for one name of one megabyte: only catches endless loops; `Growth` judges the rest
MEASURABLE = 0.02  # seconds of CPU; a reading that takes less for a flood is not judged

SLOW = pytest.mark.slow
GROWTH = pytest.mark.growth

Readings = dict[str, Callable[[Content], object]]
Make = Callable[[int], bytes]

OF_THE_HEADER: Readings = {
    "headers": lambda content: content.headers,
    "subject": lambda content: content.subject,
    "from_": lambda content: content.from_,
    "to": lambda content: content.to,
    "cc": lambda content: content.cc,
    "bcc": lambda content: content.bcc,
    "reply_to": lambda content: content.reply_to,
    "date": lambda content: content.date,
    "date_str": lambda content: content.date_str,
    "sender": lambda content: content.sender,
    "received": lambda content: content.received,
    "hops": lambda content: content.headers.hops,
    "message_id": lambda content: content.message_id,
    "in_reply_to": lambda content: content.in_reply_to,
    "references": lambda content: content.references,
    "repr": repr,
    "repr of headers": lambda content: repr(content.headers),
    "names": lambda content: list(content.headers),
    "items": lambda content: content.headers.items(),
}
OF_THE_BODY: Readings = {
    "text": lambda content: content.text,
    "html": lambda content: content.html,
    "body": lambda content: content.body,
    "links": lambda content: content.links,
    "attachments": lambda content: content.attachments,
    "defects": lambda content: content.defects,
}
NAMES = OF_THE_HEADER | OF_THE_BODY


def of_fields(name: str) -> Readings:
    """Return each way to read all fields of one name."""
    return {
        "get": lambda content: content.headers.get(name),
        "get_all": lambda content: content.headers.get_all(name),
        "raw": lambda content: content.headers.raw(name),
        "addresses": lambda content: content.headers.addresses(name),
        "parameters": lambda content: content.headers.parameters(name),
    }


def spent(raw: bytes, case: object = "", readings: Readings = NAMES) -> dict[str, float]:
    """Read every name of a message, each within a generous bound; return the seconds of CPU of each."""
    content = Content.from_bytes(raw)
    taken: dict[str, float] = {}
    for name, reading in readings.items():
        begun = time.thread_time()
        reading(content)
        taken[name] = time.thread_time() - begun
        assert taken[name] < SECONDS * max(1.0, len(raw) / 1e6), f"{name} of {case} took {taken[name]:.1f} s of CPU"
    return taken


def read(raw: bytes, case: object = "") -> Content:
    """Read every name of a message; return the message for further assertions."""
    spent(raw, case)
    return Content.from_bytes(raw)


@define
class Growth:
    """Judges how the time for reading each name grows with the message.

    Each name is read once for a flood of `size` bytes and once for a quarter of it. If the first takes at least six
    times as long (linear is 4, quadratic 16), `assert_linear` decides. If `thorough`, floods are twice as large, and
    five times as long is enough; whatever `assert_linear` rejects takes at least nine times as long.
    """

    thorough: bool

    def judge(self, make: Make, size: int, readings: Readings, case: object) -> None:
        """Assert that no name takes much more than twice as long for a message twice the size."""
        size *= 1 + self.thorough
        quarter = spent(make(size // 4), case, readings)
        for name, seconds in spent(make(size), case, readings).items():
            if seconds < MEASURABLE or seconds < (6 - self.thorough) * quarter[name]:
                continue
            start = max(16, int(size * MEASURABLE / seconds))
            try:
                assert_linear(prepared(make, readings[name]), start)
            except AssertionError as error:
                error.add_note(f"{name} of {case}")
                raise


def prepared(make: Make, reading: Callable[[Content], object]) -> Callable[[int], Callable[[], object]]:
    """Return a function that makes a message of a given size, and returns the reading of one name of it."""

    def prepare(size: int) -> Callable[[], object]:
        content = Content.from_bytes(make(size))
        return lambda: reading(content)

    return prepare


@pytest.fixture(params=[pytest.param("quick", marks=GROWTH), pytest.param("thorough", marks=[GROWTH, SLOW])])
def growth(request: pytest.FixtureRequest) -> Growth:
    """The judge of growth."""
    return Growth(request.param == "thorough")


def flood(mark: bytes, size: int) -> bytes:
    """Repeat a mark up to a number of bytes."""
    return mark * (size // len(mark))


def nested(depth: int, kind: bytes = b"mixed") -> bytes:
    """Return nested multiparts."""
    heads = b"".join(b'Content-Type: multipart/%s; boundary="b%d"\n\n--b%d\n' % (kind, n, n) for n in range(depth))
    return b"Subject: x\n" + heads + b"\nhello"


# --- growth ---------------------------------------------------------------------------------------------------

KOI8 = b"Content-Type: text/plain; charset=koi8-r\n"
FIELDS = [
    b"To: a@b\n", b"To:\n", b"To: a b\n", b"To: <>\n", b"To: \xe9 a\n", b"To: a,\n b@c\n", b"To: =?x?q?a?= <a@b>\n",
    b"From: a@b\n", b"Cc: a@b\n", b"Reply-To: a@b\n", b"Received: from a by b\n", b"References: <a@b>\n",
    b"Message-ID: <a@b>\n", b"Subject: a\n", b"Date: 2 Jun 2025 10:00\n", b"Content-Type: text/plain; a=b\n", b"X:\n",
    b" \nX: a\n", b"no field\n", b"\xff\xfe\n", b"no-field   \n", b" indented: a\n",
]  # fmt: skip
JUNK = [
    b"From : x\n",
    b"a\r\r",
    b"\r\r\n",
    b"a\r",
    b"--a\n",
    b"boundary=a\n--b\n",
    b"From x\n",
    b"+OK\n",
    b"\n",
    b"\r",
    b"junk\n",
    b" ",
    b"a",
    b"a ",
    b":",
    b"\0\n",
    b"From x\n\n",
    b" \n",
]
ADDRESSES = [
    b" .", b". ", b"a@b .c ", b"a@b. ", b"<a@b\n c>", b"<a (b)@ c>", b"a@b@c,", b'"a" @b,', b"<(",
    b",", b";", b"(", b")", b"<", b">", b'"', b"\\", b":", b"@", b"[", b" ", b"a@b,", b"a@b ", b"a b@c ", b"a:b@c ",
    b"a,", b"Ann <a@b>, ", b"Ann <a@b> ", b'"A, B" <a@b>,', b'"a\\" (', b"((a)", b"(a)<", b"<,", b"<;", b" @", b"g: a@b;",
    b"a@[b],", b"=?a?q?", b"=?a?q?x", b"=?utf-8?q?a?= ", b"=?utf-8?q?a?= <a@b>,", b"\n a@b,", b"\xe9", b"\xe2\x80\xae",
]  # fmt: skip
AROUND = [  # the text before a flood, the flood, the text after it
    (b"a", b" ", b"b"), (b"a", b"\t", b"<"), (b"", b"=?x?q?a", b"?="), (b"(", b"\\(", b")"), (b'"', b'\\"', b'"'),
    (b"<", b"<", b">"), (b"[", b"[", b"]"), (b'""' * 999, b":", b"@"), (b"@", b":", b""), (b"<a>", b"<", b""),
    (b"a,", b"b,", b"c <d>"), (b"=?", b"a", b"?q?"), (b"x", b"=? ", b"?="), (b"=?x?b?", b"Y", b""),
]  # fmt: skip
WORDS = [
    b"=?utf-8?q?=41?= ", b"=?utf-8?b?YQ==?=", b"=?utf-8?b?w6?= ", b"=?utf-8?q?=C3?= =?koi8-r?b?YQ==?= ", b"=?utf-8?q?",
    b"=?utf-8?q?a", b"=?x?b?Y", b"=?", b"?=", b"=? ?", b"=?x?b?A?= ", b"\x1b$B", b"\x1b$B\xe9",
]  # fmt: skip
IDENTIFIERS = [
    b"<a@b> ", b"<a@b", b"<", b">", b"(", b"()", b"((a)", b'"', b'\\"', b'"\\"', b"a ", b"a@b ", b"<a\n @b>", b'<"a" @b> ', b'"<',
]  # fmt: skip
HOPS = [
    b"from a ",
    b"by b ",
    b"(",
    b"(a)",
    b")",
    b";",
    b"; 2 Jun 2025 10:00:00 ",
    b"2 Jun 2025 10:00 ",
    b"for <a> ",
    b"2 Jun ",
]
PARAMETERS = ["(", ")", "(c)", " (c)", "a(c)b", "; a=b (c)", "; name=a (c)", "; name=(c)", '("', "(;", "\\(", "; a=b", '; a="b"', "; f*{0}*=%41", "; f*{0}=a", "; f{0}=a", "=", ";", '"', "%41", "; a=b c=d", "\\", '; a="\\', "/", "*", "; =?x?q?a?="]  # fmt: skip
PARTS = [
    b"--b\n\nx\n", b"--b\n", b"--b\nA: b\n", b"--b\nx\n", b"--c\n", b"--b--\n", b"--b" + b" " * 50 + b"\n", b"\n",
    b"--b\nContent-Type: multipart/mixed; boundary=b\n\n", b"--b\nContent-Type: message/rfc822\n\nx\n",
    b"--b\nContent-Type: text/html\n\n<p>x\n", b"--b\nContent-Type: x\n\nx\n", b"--b\nContent-Type: image/png\n\nx\n",
    b"--b\nContent-Type: text/plain; charset=koi8-r\n\n\xe9\n", b"--b\n\n\xe9\n", b"--b--\n--b\n", b"--b\nboundary=x\n--x\n",
    b"--b\nContent-Type: multipart/mixed\n\n--x%d\n", b"--b\nContent-Type: multipart/mixed\n\n", b"boundary=x\n--y\n",
    b"--b\nContent-Type: multipart/mixed; boundary=x\nContent-Type: a/b\n\n", b"--b\nContent-Type: a/b\nx\n",
    b'--b\nContent-Type: multipart/mixed; boundary="x "\n\n', b"--b\nContent-Type: text/plain; name=a\n\nx\n",
    b"--b\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n", b"--b\nContent-Type: message/rfc822\n"
    b"Content-Transfer-Encoding: quoted-printable\n\nA: =x\n", b"--b\nx\n\r\r\n", b"begin 644 x\n", b"begin 644 x\n`\nend\n",
]  # fmt: skip
MARKUP = [
    "<", "<!--", "<!-- -->", "<a ", '<a b="', '<a b=">', "<a:", "<b>x", "&", "&#x", "&#9", "&lt", "&lt;", "<script>",
    "<script></script ", "<script>x</script>", " \n", "<br>", "<li>", "<pre>", "<pre>\n", "<img alt=", "<img alt='a'>",
    '<img alt="', "<![", "<?", "</", "<meta ", '<a "> ', "<title>x", "\r\n", "\xa0", "word ",
    "<a href=http://x/>y", "<a href=http://x/>y</a>", "<a href=http://x/><img></a>", "http://x/ ", "http://", "<blockquote>x",
    "<blockquote>x</blockquote>", "<ol><li>x", "<ol reversed><li>x", "<ol reversed><li>x</ol>", "<ul>", "<li value=9>x",
    "<li><p>x</p>", "<table><tr><td>x", "<td>x", "<td><p>x</p></td>", "<table>", "</table>", "<table><td>x</table>", "</p>",
    "</li>", "<p style='display:none'>x", "<b style='font-size:0;", "<p style='font:0 a'>x", "<i hidden>x", "<i hidden>x</i>",
    "<p style='white-space:pre'>\nx", "<dd>x<dt>", "<div><p><span>x", "<a b='c\" d", "<a b   ", "<!-->", "&#9999999999999999999999;",
]  # fmt: skip
ESCAPES = [
    b"begin 644 x\n", b"end\n", b"`\n", b"M\n", b"\r\r\n", b"\r", b"=\r\r\n", b"=", b"=A", b"= ", b"= \n", b"=41", b"AA==", b"A", b"QUJD\n", b"#86)C\n", b"\n", b"\xff", b"\x1b$B", b"> ", b">", b"a \n",
    b"> a \n", b"-- \n", b"\xc3\xa9\xff", b"--",
]  # fmt: skip
ENCODINGS = [b"base64", b"quoted-printable", b"x-uuencode", b"7bit"]
CHARSETS = [
    "", "utf-8", "us-ascii", "gb2312", "big5", "shift_jis", "iso-2022-jp", "utf-7", "utf-16", "utf-32", "koi8-r", "hz", "viscii",
    "iso-2022-cn",
]  # fmt: skip
UNFIT = [b"\xff", b"\xe9a", bytes(range(128, 256))]
SHIFTS = [b"\x1b$B", b"\x1b$B\xe9\x0e", b"+A", b"\x1b$)A\x0eDc\x0f", b"\x0e", b"\x1bNab"]


@pytest.mark.threat(106)
def test_many_fields(growth: Growth) -> None:
    """Each name takes linear time for many fields of one name, and for lines that are not fields."""
    for line in FIELDS:
        name = line.partition(b":")[0].strip().decode("latin-1")
        readings = {name: OF_THE_HEADER[name] for name in ("headers", "from_", "to", "date", "names", "items")}
        growth.judge(lambda size, line=line: KOI8 + flood(line, size), 50_000, readings | of_fields(name), line)


@pytest.mark.threat(106)
def test_junk_before_the_header(growth: Growth) -> None:
    """Each name takes linear time for anything before the header, or in place of one."""
    readings = {name: NAMES[name] for name in ("headers", "subject", "names", "items", "text", "defects")}
    for mark in JUNK:
        growth.judge(lambda size, m=mark: flood(m, size) + b"Subject: z\n\nhello", 150_000, readings, mark)


ONE_FIELD = {name: OF_THE_HEADER[name] for name in ("subject", "from_", "to", "date", "items")}


def long_fields(value: bytes) -> bytes:
    """Return a message that has a value in fields of each kind."""
    return b"".join([b"%s: %s\n" % (name, value) for name in (b"From", b"To", b"Subject", b"Date")]) + b"\nhello"


@pytest.mark.threat(107)
def test_long_address_lists(growth: Growth) -> None:
    """Each name takes linear time for fields of many addresses, and of marks of their syntax."""
    for mark in ADDRESSES:
        growth.judge(lambda size, m=mark: long_fields(flood(m, size)), 15_000, ONE_FIELD, mark)


@pytest.mark.threat(107)
@pytest.mark.threat(122)
def test_floods_between_two_marks(growth: Growth) -> None:
    """No mark starts another search for the end of what is open, or the start of what ends."""
    for before, mark, after in AROUND:
        case = (before[:9], mark, after)
        growth.judge(
            lambda size, b=before, m=mark, a=after: long_fields(b + flood(m, size) + a), 15_000, ONE_FIELD, case
        )


@pytest.mark.threat(107)
def test_many_identifiers(growth: Growth) -> None:
    """Each name takes linear time for fields of many identifiers, and for marks of their syntax."""
    readings = {name: OF_THE_HEADER[name] for name in ("message_id", "in_reply_to", "references")}
    fields = (b"Message-ID", b"In-Reply-To", b"References")
    for mark in IDENTIFIERS:
        growth.judge(
            lambda size, m=mark: b"".join([b"%s: %s\n" % (name, flood(m, size)) for name in fields]) + b"\nhello",
            50_000,
            readings,
            mark,
        )


@pytest.mark.threat(107)
def test_many_hops(growth: Growth) -> None:
    """Each name takes linear time for long Received fields, and for many of them."""
    readings = {name: OF_THE_HEADER[name] for name in ("received", "hops")}
    for mark in HOPS:
        for make in (
            lambda size, m=mark: b"Received: " + flood(m, size) + b"\n\nhello",
            lambda size, m=mark: flood(b"Received: " + m * 9 + b"\n", size) + b"\nhello",
        ):
            growth.judge(make, 50_000, readings, mark)


@pytest.mark.threat(108)
def test_many_encoded_words(growth: Growth) -> None:
    """Each name takes linear time for encoded words, whole and broken."""
    for mark in WORDS:
        growth.judge(lambda size, m=mark: long_fields(flood(m, size)), 15_000, ONE_FIELD, mark)


def with_parameters(mark: str, size: int) -> bytes:
    """Return a message with floods of a mark in its structured fields."""
    fields = "".join([mark.format(number) for number in range(size // len(mark))]).encode()
    return b"Content-Type: text/plain%s\nContent-Disposition: inline%s\n\nhello" % (fields, fields)


@pytest.mark.threat(108)
def test_many_parameters(growth: Growth) -> None:
    """Each name takes linear time for parameters and sections (RFC 2231)."""
    readings = of_fields("Content-Type") | {name: NAMES[name] for name in ("items", "text", "attachments")}
    for mark in PARAMETERS:
        growth.judge(lambda size, m=mark: with_parameters(m, size), 30_000, readings, mark)


MIXED = b"Content-Type: multipart/mixed; boundary=b\n\n"


@pytest.mark.threat(105)
def test_many_parts(growth: Growth) -> None:
    """Each name takes linear time for parts, and for lines that look like delimiters."""
    readings = {name: OF_THE_BODY[name] for name in ("text", "body", "attachments", "defects")}
    for head in (MIXED, MIXED + b"--b\nContent-Type: multipart/alternative; boundary=c\n\n"):
        for part in PARTS:
            growth.judge(lambda size, h=head, p=part: h + flood(p, size), 25_000, readings, (head, part))


@pytest.mark.threat(111)
def test_many_charsets(growth: Growth) -> None:
    """Parts without a label are not tried with the labels of all the others."""

    def make(size: int) -> bytes:
        part = b"--b\nContent-Type: text/plain; charset=x%d\n\nx\n--b\n\n\xff\xe9\x81\n"
        return MIXED + b"".join([part % number for number in range(size // len(part))])

    growth.judge(make, 50_000, OF_THE_BODY, "charsets")


@pytest.mark.threat(103)
def test_deep_structures(growth: Growth) -> None:
    """Each name takes linear time for nested multiparts, and for text that closes and reopens them."""
    deep = nested(MAX_DEPTH - 1)
    for mark in (b"\n--b7\n\nx", b"\n--b0\nContent-Type: multipart/mixed; boundary=x\n\n", b"\n--zz", b"\n--b9--"):
        growth.judge(lambda size, m=mark: deep + flood(m, size), 50_000, OF_THE_BODY, mark)
    for kind in (b"mixed", b"alternative"):
        growth.judge(lambda size, k=kind: nested(size // 60, k), 50_000, OF_THE_BODY, kind)
    growth.judge(lambda size: flood(b"Content-Type: message/rfc822\n\n", size), 200_000, OF_THE_BODY, "messages")


@pytest.mark.threat(111)
def test_much_markup(growth: Growth) -> None:
    """Each name takes linear time for HTML of many tags, comments, attributes and references."""
    for mark in MARKUP:
        growth.judge(lambda size, m=mark: page(m, size), 100_000, OF_THE_BODY, mark)


def page(mark: str, size: int) -> bytes:
    """Return an HTML message that repeats one mark."""
    return b"Content-Type: text/html\n\n" + flood(mark.encode(), size)


def encoded(encoding: bytes, mark: bytes, size: int) -> bytes:
    """Return a message that repeats one mark under a transfer encoding."""
    head = b"Content-Type: text/plain; format=flowed\nContent-Transfer-Encoding: %s\n\n" % encoding
    return head + (b"begin 644 x\n" if encoding == b"x-uuencode" else b"") + flood(mark, size)


def labelled(charset: str, mark: bytes, size: int) -> bytes:
    """Return a message that repeats one mark under the label of a charset."""
    return f"Subject: x\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode() + flood(mark, size)


@pytest.mark.threat(111)
def test_much_that_is_escaped(growth: Growth) -> None:
    """Each name takes linear time for each transfer encoding, well-formed and damaged."""
    for encoding in ENCODINGS:
        for mark in ESCAPES:
            growth.judge(lambda size, e=encoding, m=mark: encoded(e, m, size), 200_000, OF_THE_BODY, (encoding, mark))


@pytest.mark.threat(111)
def test_much_that_does_not_fit_its_charset(growth: Growth) -> None:
    """`text` takes linear time for bytes that are not text in the charset of their label."""
    readings = {"text": OF_THE_BODY["text"]}
    for charset in CHARSETS:
        for mark in UNFIT + SHIFTS:
            growth.judge(lambda size, c=charset, m=mark: labelled(c, m, size), 250_000, readings, (charset, mark))


# --- a family that is generated -------------------------------------------------------------------------------

NAMES_OF_FIELDS = [
    b"From", b"To", b"Cc", b"Bcc", b"Reply-To", b"Sender", b"Subject", b"Date", b"Message-ID", b"In-Reply-To",
    b"References", b"Received", b"Content-Type", b"Content-Disposition", b"Content-Transfer-Encoding", b"Content-ID",
]  # fmt: skip
IN_A_FIELD = [
    *ADDRESSES, *WORDS, *[mark.format(7).encode() for mark in PARAMETERS], b"\n ", b"\r\n\t", b"<a@b> ", b"<a@b>", b"from a by b; ",
    b"2 Jun 2025 10:00:00 +0200 ", b"Mon, ", b"10:", b"99", b"=?x?q?a=?b?= ", b"=?a?b", b"=?utf-8?q?a?==?koi8-r?b?YQ==?=",
    b"a=?b", b"?=?", b"=?=?", b"text/plain; ", b"charset=", b"boundary=", b"multipart/mixed",
]  # fmt: skip
IN_A_BODY = [
    *PARTS,
    *[mark.encode() for mark in MARKUP],
    *ESCAPES,
    *UNFIT,
    *SHIFTS,
    b"http://a/ ",
    b"http://",
    b"://",
    b"begin 644 x\n",
    b"end\n",
]
HEADS_OF_BODIES = [
    b"", MIXED, b"Content-Type: multipart/alternative; boundary=b\n\n--b\n\n", b"Content-Type: text/html\n\n",
    b"Content-Type: text/plain; format=flowed; delsp=yes\n\n", b"Content-Type: message/rfc822\n\n",
    b"Content-Type: text/html; charset=gb2312\nContent-Transfer-Encoding: quoted-printable\n\n",
    b"Content-Type: text/plain; charset=utf-7\nContent-Transfer-Encoding: base64\n\n",
    b"Content-Type: application/x\nContent-Transfer-Encoding: x-uuencode\n\n", MIXED + b"--b\nContent-Type: text/html\n\n",
]  # fmt: skip

#: Not readings of ours: constructors, plain attributes, and the parser of the standard library.
NOT_READ = {"from_bytes", "between", "email", "raw"}


def public(kind: type) -> list[str]:
    """Return the public names of a class and its bases."""
    return [name for name in dir(kind) if not name.startswith("_") and name not in NOT_READ]


def called(value: object, *arguments: object) -> object:
    """Return a value, or the result if it is a method."""
    return value(*arguments) if callable(value) else value


def everything(name: bytes) -> Readings:
    """Return every public reading of a message, found by inspection, so that new ones are judged at once."""
    field = name.decode()
    readings: Readings = {
        "repr": repr,
        "repr of headers": lambda content: repr(content.headers),
        "names": lambda content: (list(content.headers), len(content.headers), field in content.headers),
        "raw of headers": lambda content: content.headers.raw(field),
        "written": lambda content: [str(address) for address in content.headers.addresses(field)],
        "the first lines": lambda content: Content.from_bytes(first_lines(content.raw, 10)).body,
        "attachments": lambda content: [
            (safe_name(attachment.filename), [getattr(attachment, part) for part in public(Attachment)])
            for attachment in content.attachments
        ],
    }
    for reading in public(Content):
        readings[reading] = lambda content, reading=reading: called(getattr(content, reading))  # type: ignore[misc]
    for reading in set(public(Headers)) - set(public(Content)):
        named = callable(getattr(Headers, reading)) and "name" in signature(getattr(Headers, reading)).parameters
        arguments = (field,) if named else ()
        readings[f"headers.{reading}"] = lambda content, reading=reading, arguments=arguments: called(  # type: ignore[misc]
            getattr(content.headers, reading), *arguments
        )
    return readings


@frozen
class Generated:
    """One message of the family: the text before a flood, the flood, the text after it."""

    name: bytes
    before: bytes
    unit: bytes
    after: bytes

    def make(self, size: int) -> bytes:
        """Return the message with a flood of that size."""
        return self.before + flood(self.unit, size) + self.after


def generated(seed: int) -> Iterator[Generated]:
    """Yield a family of messages in which each fragment leads one flood, joined by others at random."""
    chance = Random(seed)

    def some(fragments: list[bytes], least: int, most: int) -> bytes:
        return b"".join(chance.choices(fragments, k=chance.randint(least, most)))

    for fragment in IN_A_FIELD:
        name = chance.choice(NAMES_OF_FIELDS)
        before, unit, after = some(IN_A_FIELD, 0, 2), fragment + some(IN_A_FIELD, 0, 2), some(IN_A_FIELD, 0, 2)
        if chance.random() < 0.5:  # one long field
            yield Generated(name, b"%s: %s" % (name, before), unit, after + b"\nX: y\n\nhello")
        else:  # many short ones
            yield Generated(name, before + b"\n", b"%s: %s\n" % (name, unit), after + b"\n\nhello")
    for fragment in JUNK + FIELDS:
        unit = fragment + some([*JUNK, *FIELDS], 0, 2)
        yield Generated(b"Subject", some(JUNK, 0, 1), unit, b"Subject: z\n\nhello")
    for fragment in IN_A_BODY:
        head, unit = chance.choice(HEADS_OF_BODIES), fragment + some(IN_A_BODY, 0, 2)
        yield Generated(b"Content-Type", head + some(IN_A_BODY, 0, 2), unit, some(IN_A_BODY, 0, 2))


@GROWTH
@pytest.mark.threat(106)
@pytest.mark.threat(111)
def test_every_reading_of_a_generated_family() -> None:
    """Each public reading takes linear time for floods of fragments of mail, joined at random."""
    for case in generated(1):
        Growth(thorough=False).judge(case.make, 20_000, everything(case.name), case)


@pytest.mark.slow
def test_every_reading_of_a_larger_family() -> None:
    """The same for another family, and more of each fragment."""
    for case in generated(2):
        Growth(thorough=False).judge(case.make, 30_000, everything(case.name), case)


def looks_back(known: Callable[..., object]) -> Callable[..., object]:
    """Return a function that does the same, but also searches the rest of its text for every few marks."""

    def slow(text: Any, *arguments: Any, **options: Any) -> object:
        for at in range(0, len(text), 4):
            text.find(text[:1] * 3 + text[-1:], at)
        return known(text, *arguments, **options)

    return slow


def test_a_quadratic_reading_is_told_from_a_linear_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge finds what takes four times as long for a message twice the size, by a clock that only readings move."""
    clock = Clock()
    monkeypatch.setattr(time, "thread_time", clock)
    case = next(generated(1))
    linear: Readings = {"linear": lambda content: clock.advance(len(content.raw) / 100_000)}
    Growth(thorough=False).judge(case.make, 20_000, linear, case)
    quadratic: Readings = {"quadratic": lambda content: clock.advance((len(content.raw) / 100_000) ** 2)}
    with pytest.raises(AssertionError, match="of CPU time"):
        Growth(thorough=False).judge(case.make, 20_000, quadratic, case)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name"),
    [("headers", "decode_text"), ("headers", "find_start"), ("address", "decode_raw"), ("words", "decode_words")],
)
def test_a_reading_that_became_quadratic_is_found(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The family finds whichever part of the reading searches the rest of its text for each mark."""
    monkeypatch.setattr(timing, "_TRIES", 1)
    owner = import_module(f"pymailbox.content.{module}")
    monkeypatch.setattr(owner, name, looks_back(getattr(owner, name)))
    with pytest.raises(AssertionError, match="of CPU time"):
        test_every_reading_of_a_generated_family()


# --- bounds ---------------------------------------------------------------------------------------------------


@pytest.mark.threat(103)
@pytest.mark.parametrize("depth", [300, pytest.param(3000, marks=SLOW)])
def test_nested_multiparts(depth: int) -> None:
    """Nested multiparts are read up to a depth; the rest is opaque, and that is a defect."""
    for kind in (b"mixed", b"alternative"):
        content = read(nested(depth, kind), kind)
        assert f"more than {MAX_DEPTH} multiparts in each other" in content.defects, kind
        assert read(nested(MAX_DEPTH - 1, kind), kind).text == "hello", kind


@pytest.mark.threat(104)
def test_nested_messages() -> None:
    """Messages attached to each other are one attachment, however deep."""
    content = read(b"Content-Type: message/rfc822\n\n" * 3000 + b"hello")
    assert len(content.attachments) == 1


@pytest.mark.threat(105)
@pytest.mark.parametrize("count", [MAX_PARTS + 1, pytest.param(100_000, marks=SLOW)])
def test_parts_are_counted(count: int) -> None:
    """Nothing is read after the limit, and that is a defect."""
    for part in (b"--b\n\nx\n", b"--b\n", b"--b\nA: b\n"):
        content = read(MIXED + part * count, part)
        assert f"more than {MAX_PARTS} parts" in content.defects, part


@pytest.mark.threat(105)
@pytest.mark.parametrize("cap", [5_000, pytest.param(MAX_MISSES, marks=SLOW)])
def test_lines_like_delimiters_are_counted(cap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that only look like delimiters cost little, and are ignored after a limit, which is a defect."""
    monkeypatch.setattr(tree, "MAX_MISSES", cap)
    for head in (b"", b"--b\n", b"--b\nContent-Type: multipart/mixed; boundary=c\n\n"):
        content = read(MIXED + head + b"--d\n" * (cap * 4), head)
        assert isinstance(content.body, str), head
        named = f"more than {cap} lines that look like delimiters" in content.defects
        assert named == bool(head), head  # with one open multipart, only its own boundary is searched for


@pytest.mark.threat(106)
@pytest.mark.parametrize("size", [1_100_000, pytest.param(5_000_000, marks=SLOW)])
def test_huge_headers(size: int) -> None:
    """Fields are read up to a limit in bytes; the body after a huge header is found."""
    assert size > headers.MAX_HEADER_BYTES
    for case, raw in {
        "fields": flood(b"X-A: b\n", size) + b"Subject: z\n\nhello",
        "long": b"Subject: " + flood(b"a b ", size) + b"\n\nhello",
        "folds": b"Subject: a" + flood(b"\n a", size) + b"\n\nhello",
        "blank folds": b"Subject: a" + flood(b"\n ", size),
        "blanks": b"Subject: a\n" + flood(b" ", size),
        "no line": flood(b"a", size),
        "newlines": flood(b"\n", size),
        "mbox lines": flood(b"From x\n", size),
    }.items():
        content = read(raw, case)
        if raw.endswith(b"hello"):
            assert content.text == "hello", case


# The headers in `test_huge_headers` exceed the limit; a hundred thousand short fields do not.
@pytest.mark.threat(106)
@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=SLOW)])
def test_a_hundred_thousand_fields(count: int) -> None:
    """All of them are read."""
    content = read(b"X-A: b\n" * count + b"Subject: z\n\nhello")
    assert (len(content.headers), content.subject, content.text) == (count + 1, "z", "hello")


@pytest.mark.threat(107)
@pytest.mark.parametrize("size", [5_000, pytest.param(30_000, marks=SLOW)])
def test_floods_in_address_fields(size: int) -> None:
    """Floods of address marks in every address field."""
    for mark in ADDRESSES:
        value = flood(mark, size)
        fields = (b"From", b"To", b"Cc", b"Bcc", b"Reply-To")
        read(b"".join([b"%s: %s\n" % (name, value) for name in fields]) + b"\n", mark)


@pytest.mark.threat(108)
@pytest.mark.parametrize("size", [10_000, pytest.param(100_000, marks=SLOW)])
def test_floods_of_encoded_words(size: int) -> None:
    """Floods of encoded words in subjects, names, dates and file names."""
    for mark in WORDS:
        words = flood(mark, size)
        head = b"Subject: %s\nFrom: %s\nDate: %s\nContent-Disposition: attachment; filename=%s\n\n"
        read(head % (words, words, words, words), mark)


@pytest.mark.threat(108)
@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=SLOW)])
def test_floods_of_parameters(count: int) -> None:
    """Floods of parameters and sections (RFC 2231)."""
    for mark in PARAMETERS:
        read(with_parameters(mark, count * len(mark)), mark)


@pytest.mark.threat(109)
def test_addresses_are_for_display() -> None:
    """An address that would confuse a parser is a name here (CVE-2023-27043); the raw field is available."""
    content = read(b"From: alice@example.org <mallory@example.net>\n\n")
    assert content.from_ is not None
    assert content.from_.email == "mallory@example.net"
    assert content.headers.raw("From") == (b"alice@example.org <mallory@example.net>",)


@pytest.mark.threat(110)
@pytest.mark.threat(114)
def test_encoded_line_breaks() -> None:
    """No decoded field contains a line break, so none can become a second field or a second log line."""
    content = read(b"Subject: =?utf-8?q?a=0D=0ABcc:_x=40y?=\nFrom: =?utf-8?q?a=0Ab?= <a@b>\n\n")
    assert content.subject == "a Bcc: x@y"
    assert str(content.from_) == "a b <a@b>"
    assert content.bcc == ()


@pytest.mark.threat(111)
def test_bad_labels() -> None:
    """Charsets and encodings that do not exist or do not fit still give text, and are defects."""
    charsets = [b"no-such", b"zlib", b"utf-7", b"utf-16", b"iso-2022-jp", b"hz", b"\xff", b'"', b"idna"]
    for charset in charsets:
        for encoding in (b"base64", b"quoted-printable", b"x-uuencode", b"nonsense", b"\xff"):
            head = b"Content-Type: text/plain; charset=%s\nContent-Transfer-Encoding: %s\nDate: nonsense\n\n"
            content = read(head % (charset, encoding) + b"begin 644 x\n=\xff=ZZ\x1b$B\xe9!\n", (charset, encoding))
            assert content.text is not None, (charset, encoding)
            assert content.date is None, (charset, encoding)
            assert content.defects, (charset, encoding)


@SLOW
@pytest.mark.threat(111)
def test_floods_of_markup() -> None:
    """Half a megabyte of HTML that repeats one mark (`test_much_markup` reads less of it)."""
    for mark in MARKUP:
        read(page(mark, 500_000), mark)


@pytest.mark.threat(111)
@pytest.mark.parametrize(("cap", "count"), [(10_000, 15_000), pytest.param(200_000, 300_000, marks=SLOW)])
def test_references_are_resolved_up_to_a_bound(cap: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """References after the bound stay as written; nothing is lost."""
    assert markup.MAX_REFERENCES == 200_000
    monkeypatch.setattr(markup, "MAX_REFERENCES", cap)
    body = read(b"Content-Type: text/html\n\n" + b"&lt;b&gt;" * count).body
    assert body.startswith("<b><b>")
    assert body.endswith("&lt;b&gt;&lt;b&gt;")
    assert body.count("b") == count


@pytest.mark.threat(111)
def test_references_with_endless_numbers() -> None:
    """A number too long for Python is a character that cannot be shown; leading zeros change nothing."""
    for number, expected in {
        b"9" * 5_000: "\ufffd",
        b"0" * 5_000 + b"65": "A",
        b"0" * 30 + b"65": "A",
        b"0" * 5_000: "\ufffd",
        b"1" * 19: "\ufffd",
        b"1" * 20: "\ufffd",
        b"x" + b"F" * 5_000: "\ufffd",
    }.items():
        for text in (b"&#%s;", b"<img alt='&#%s;'>"):
            raw = b"Content-Type: text/html\n\n" + text % number + b"!"
            assert read(raw, number[:30]).body == expected + "!", number[:30]


@SLOW
@pytest.mark.threat(111)
def test_floods_of_escapes() -> None:
    """Half a megabyte of one escape under each transfer encoding (`test_much_that_is_escaped` reads less of them)."""
    for encoding in ENCODINGS:
        for mark in ESCAPES:
            read(encoded(encoding, mark, 500_000), (encoding, mark))


@pytest.mark.parametrize("size", [2_500_000, pytest.param(50_000_000, marks=SLOW)])
def test_much_ordinary_base64(size: int) -> None:
    """A message with ordinary base64 is read, up to 50 MB."""
    body = flood(b"QUJD" * 19 + b"\r\n", size)
    head = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: image/png\r\n'
    content = read(head + b"Content-Transfer-Encoding: base64\r\n\r\n" + body + b"--b--\r\n")
    assert content.text == "hi"
    assert content.attachments[0].payload.startswith(b"ABC")


@pytest.mark.parametrize("size", [1_100_000, pytest.param(5_000_000, marks=SLOW)])
def test_bytes_that_do_not_fit_their_charset(size: int) -> None:
    """Megabytes that are not text in the charset of their label are read, too."""
    for charset in CHARSETS:
        for mark in UNFIT:
            raw = labelled(charset, mark, size)
            assert read(raw, (charset, mark)).text, (charset, mark)


@pytest.mark.threat(111)
@pytest.mark.parametrize("scale", [1, pytest.param(20, marks=SLOW)])
def test_charsets_declared_elsewhere_are_tried_a_few_times_only(scale: int) -> None:
    """Neither one long text nor thousands of short ones without a label are tried with every label of the message."""
    labels = ["gb18030", "big5", "euc-kr", "shift_jis", "euc-jp", "johab", "hz", "iso-2022-kr"]
    part = "--b\r\nContent-Type: text/plain; charset=%s\r\n\r\nx\r\n"
    head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    declared = (head + "".join(part % label for label in labels)).encode()
    read(declared + b"--b\r\n\r\n" + b"ab \n" * (250_000 * scale) + b"\xff\x81")
    short = [(part % f"x{number}").encode() + b"--b\r\n\r\n\xff\xe9\x81\r\n" for number in range(245 * scale)]
    read(head.encode() + b"".join(short))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Record each value that is parsed for its parameters."""
    values: list[bytes] = []
    parse = parameters.parse_parameters

    def parse_parameters(raw: bytes, *hints: Callable[[], tuple[str, ...]]) -> tuple[str, dict[str, str]]:
        values.append(raw)
        return parse(raw, *hints)

    with monkeypatch.context() as patch:
        patch.setattr(parameters, "parse_parameters", parse_parameters)
        yield values


@pytest.mark.threat(106)
def test_the_declared_charset_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long Content-Type is parsed once, not again for each of many fields with unlabelled bytes."""
    many = b"; ".join(b"a%d=%s" % (number, b"x" * 300) for number in range(190))
    head = b"Content-Type: text/plain; " + many + b"; charset=koi8-r\r\n"
    for field in (b"A: \xff\xfe\x81\r\n", b"To: \xff\xfe\x81 a b\r\n", b"Cc: \xff\x81 a,\r\n"):
        raw = head + flood(field, 45_000) + b"\r\nx"
        read(raw, field)
        name = field.partition(b":")[0].decode()
        readings = {"items": NAMES["items"]} | of_fields(name)
        for reading in ("items", "get_all", "addresses"):
            with counted(monkeypatch) as values:
                readings[reading](Content.from_bytes(raw))
            assert len(values) == 1, (field, reading)


@pytest.mark.threat(111)
@pytest.mark.parametrize("lines", [20_000, pytest.param(400_000, marks=SLOW)])
def test_one_endless_flowed_paragraph(lines: int) -> None:
    """A paragraph with the maximum number of lines is joined in one go."""
    raw = b"Content-Type: text/plain; format=flowed\n\n" + b"> a \n" * lines
    assert len(read(raw).body) == 2 + 2 * lines


@pytest.mark.parametrize("size", [2_500_000, pytest.param(50_000_000, marks=SLOW)])
def test_megabytes_on_one_line(size: int) -> None:
    """Of a message without a line end, no more is searched than the maximum length of a header."""
    assert len(read(b"x" * size).body) == size
