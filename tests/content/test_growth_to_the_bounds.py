"""Every reading takes linear time, for headers of up to 1 MiB and bodies of up to 50 MB.

`python -m tests.content.test_growth_to_the_bounds [WORD]` measures all families of messages (or those whose description
contains WORD), doubling the size up to the bounds, and lists the largest ratios; it takes an hour or so. A single doubling
may cost more (a bound is reached, a cache is full), so a ratio counts as growth if a neighbouring doubling has it as well.
The slow tests judge the same families at smaller sizes.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

import pytest
from attrs import frozen

from pymailbox.content import Content, Headers
from tests.content.test_growth import Growth, Readings, everything, flood, public
from tests.timing import Clock

Reading = Callable[[Content], object]

MOST = 2.6  # T(2n)/T(n): linear is 2, quadratic 4
MEASURABLE = 0.05  # seconds of CPU; the ratio of less is that of allocating memory
HEADER = 1_048_576
BODY = 50_000_000
DOUBLINGS = 4


@frozen
class Family:
    """Messages of any size: a prefix, a repeated unit (`{n}` is its number), as many `close`, a suffix."""

    field: str
    before: bytes
    unit: bytes
    close: bytes = b""
    after: bytes = b""

    @property
    def bound(self) -> int:
        """The largest size to measure, in bytes."""
        return BODY if b"\n\n" in self.before else HEADER

    def make(self, size: int) -> bytes:
        """Return a message of about that size."""
        count = size // len(self.unit + self.close)
        if b"{n}" in self.unit:
            middle = b"".join([self.unit.replace(b"{n}", b"%d" % number) for number in range(count)])[:size]
        else:
            middle = flood(self.unit, count * len(self.unit))
        return b"".join([self.before, middle, self.close * count, self.after])

    def __str__(self) -> str:
        return f"{self.field}, {self.before[-60:]!r} {self.unit[:50]!r} {self.close!r}"


LONG_FIELDS: dict[str, list[bytes]] = {
    "To": [
        b",", b";", b"(", b")", b"<", b">", b'"', b"\\", b":", b"@", b"[", b"]", b" ", b".", b"a@b, ", b"Ann Lee <a@b>, ",
        b'"Lee, Ann" <a@b>, ', b"g: a@b; ", b"g:;", b"(c (d)) ", b"<a@b ", b"a, b, c <d@e>, ", b'"\\" ', b"<@a,@b:c@d>, ",
        b"a (c) . b @ (d) e . f, ", b"=?utf-8?q?a,?= <a@b>, ", b"=?utf-8?q?a", b"\xe9 <a@b>, ", b"a@b c@d ", b"a . ", b"\n a@b,",
        b"<a@b> <c@d> ", b'"a"@b, ', b'"a" . ', b"(\\", b"mailto:a@b, ", b"<<a@b>> ", b"'a' ", b"a <", b"> a", b"\xe2\x80\xae",
    ],
    "Subject": [
        b"=?utf-8?q?=41?= ", b"=?utf-8?b?w6?= ", b"=?utf-8?b?YQ==?=", b"=?utf-8?q?", b"=?", b"?=", b"=?x?b?Y", b"=?utf-8?q?=C3?= =?koi8-r?b?YQ==?= ",
        b"\n a", b"\r\n\t", b"\xe9 ", b"\x1b$B", b"\x1b$B$\"\x1b(B ", b"=?iso-2022-jp?b?GyRC?= ", b"_", b"=?utf-8*en?q?a?= ", b"=?utf-7?q?+AOk?= ", b"\0",
    ],
    "Date": [b"10:", b"Mon, ", b"(", b"(a) ", b"2 Jun 2025 10:00:00 +0200 ", b"0", b"+", b"Jun ", b"9-", b" . "],
    "Received": [b"from a by b; ", b";", b"(", b"(c) ", b"Mon, 2 Jun 2025 10:00:00 +0200 ", b"\n\tid 1; ", b'"', b'"\\', b"\\"],
    "References": [b"<a@b> ", b"<{n}@b> ", b"<", b">", b"<>", b"\n <a@b>", b"(c) ", b"(", b"<a b>", b"<a@b", b'"<a>" ', b"<a\n @b> ", b"a@b ", b"=?utf-8?q?<a@b>?= "],
    "Message-ID": [b"<a@b> ", b"<", b">", b"(c) ", b"(", b"<a ", b"a> ", b" ", b'"'],
    "Content-Type": [
        b"; a{n}=b", b"; f*{n}*=%41", b"; f*{n}=a", b"; f*0*=''%41", b";", b"=", b'"', b"%41", b"\\", b'; a="\\', b"(c) ", b"(", b")", b"/", b"*",
        b"; charset=x", b"; boundary={n}", b"; a=b c=d", b"; =?x?q?a?=", b"; a='", b'; a="b" ', b"; a=(c) b",
    ],
    "Content-Disposition": [b"; filename*{n}*=%E9", b"; filename*{n}=\"a\"", b"; filename=a", b"; filename=\"=?utf-8?q?a?=\"", b"../", b"; filename*=utf-8''%", b"\xff"],
}  # fmt: skip
MANY_FIELDS = [
    b"To: a@b\n", b"From: a\n", b"Received: from a by b; Mon, 2 Jun 2025 10:00:00 +0200\n", b"Received: a\n", b"X-{n}: y\n",
    b"References: <a@b>\n", b"Message-ID: <a@b>\n", b"In-Reply-To: a <b@c>\n", b"Subject: =?x?q?a?=\n", b"Date: 2 Jun 2025\n",
    b"Content-Type: multipart/mixed; boundary=b{n}\n", b"Content-Type: text/plain; charset=x{n}\n", b"Content-Type: text/plain (c)\n",
    b"Content-Transfer-Encoding: base64\n", b"Content-Disposition: attachment; filename=a{n}\n", b"no field\n", b"From : a@b\n", b" \nX: a\n",
    b"From a b\n", b"\r\r\n", b"X: a\r\r\n", b": a\n", b" a\n", b"X\n", b"--b\n", b"--b\nX: y\n", b"\r", b"X: a\r", b"\xff: a\n",
]  # fmt: skip

HTML = b"Content-Type: text/html; charset=utf-8\n\n"
MIXED = b"Content-Type: multipart/mixed; boundary=b\n\n"
FLOWED = b"Content-Type: text/plain; format=flowed; delsp=yes\n\n"
BASE64 = b"Content-Type: application/x\nContent-Transfer-Encoding: base64\n\n"
QUOTED = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
UU = b"Content-Type: application/x\nContent-Transfer-Encoding: x-uuencode\n\n"
MARKUP = [
    b"<", b"&", b"&amp;", b"&#1", b"&#99999999999;", b"&#x", b"<!--", b"<!-- -->", b"<!", b"<?", b"<![CDATA[", b"</", b"</p>", b"<a ", b"<p a=b>", b'<a b="',
    b'<a b=">', b"<a b='", b"<br>", b"<p>x", b"<li>x", b"<ul><li><p>x</p></li></ul>", b"<ol><li>x</li></ol>", b"<li><b>x</b></li>", b"<tr><td>a<td>b",
    b"<table><tr><td>a</td></tr></table>", b"<blockquote>x</blockquote>", b'<a href="http://x/{n}">t</a> ', b'<a href="http://x/">', b"<a href=http://x/>http://x/</a>",
    b"http://x/{n} ", b"http://", b"://", b'<div style="display:none">a</div>', b'<div style="display:none">', b"<p hidden>a</p>", b"<p hidden>", b"<style>",
    b"<style>x</style>", b"<script></script ", b"<title>x", b"<pre>\n", b"<pre>", b"<pre>x\nx\nx\n</pre>", b'<img alt="', b"<img alt='a'>", b"<img src='http://x/{n}'>", b" \n", b"\xc2\xa0", b"&nbsp;", b"&zwnj;",
    b"<select><option>x", b"<meta charset=", b"</blockquote>", b"</ul>", b"</div>", b"<o:p>", b"<font color=red>word</font> ", b"word ", b"<ol start=9>", b"<base href=http://x/>",
]  # fmt: skip
NESTED = [
    (b"<div>", b"</div>"), (b"<blockquote>", b"</blockquote>"), (b"<ul><li>", b"</li></ul>"), (b"<ol><li>", b"</ol>"), (b"<table><tr><td>", b"</td></tr></table>"),
    (b"<div hidden>", b"</div>"), (b'<span style="display:none">', b"</span>"), (b"<a href='http://x/'>", b"</a>"), (b"<b>", b"</i>"), (b"<pre>", b"</pre>"), (b"<blockquote>x\n", b"</blockquote>x\n"),
]  # fmt: skip
ATTRIBUTES = [
    b" a=b",
    b" a",
    b' a="b"',
    b" style='x:y'",
    b" href=http://x/",
    b'"',
    b"'",
    b"=",
    b" alt=a",
    b" hidden=",
    b"/",
    b"x",
    b" style=display:none",
    b" b=\"<a c='>' \"",
    b' b="<"c',
]
STYLES = [b"x:y;", b"display:", b"display :none;", b";", b" ", b"/*", b"none;", b"&quot;", b"\n"]
PARTS = [
    b"--b\n\nx\n", b"--b\n", b"--b\nA: b\n", b"--b\nx\n", b"--c\n", b"--bb\n", b"--b--\n", b"--b \n", b"--b--x\n", b"--", b"\n--", b"-", b"--b\r", b"--b\r\r\n\r\r\nx\r\r\n",
    b"--b\nContent-Type: multipart/mixed; boundary=b\n\n", b"--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n", b"--b\nContent-Type: message/rfc822\n\nSubject: x\n\nx\n",
    b"--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nSubject: x\n\nx\n", b"--b\nContent-Type: text/html\n\n<p>x\n", b"--b\nContent-Type: text/plain; name=a\n\nx\n",
    b"--b\nContent-Type: text/plain; charset=x{n}\n\n\xe9\n--b\n\n\xff\xe9\n", b"--b\nContent-Type: image/png; name={n}\n\nx\n", b"--b\nContent-Type: message/delivery-status\n\nA: b\n\nC: d\n",
    b"--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\nx\n--c\nContent-Type: text/html\n\n<p>x\n--c--\n", b"--b\nContent-Type: multipart/mixed; boundary=c{n}\n\n--c{n}\n\nx\n--c{n}--\n",
    b"--b\nContent-Type: multipart/mixed; boundary=c{n}\n\n--c{n}\n", b"--b\nContent-Type: multipart/mixed; boundary=\n\n", b'--b\nContent-Type: multipart/mixed; boundary="c "\n\n--c \n\nx\n',
    b"--b\nContent-Type: multipart/mixed; boundary=b{n}\nContent-Type: multipart/mixed; boundary=c{n}\n\n--c{n}\n\nx\n",
]  # fmt: skip
BODIES: list[tuple[bytes, list[bytes]]] = [
    (b"Subject: x\n\n", [b"word word\n", b"word", b"\n", b"\r", b"\r\r\n", b"> quoted\n", b">", b" ", b"\0", b"\xff", b"\xc3\xa9", b"http://x/{n}\n", b"http://", b"<http://x/>", b"begin 644 x\n", b"From x\n", b"www."]),
    (FLOWED, [b"a \n", b"> a \n", b">", b"> ", b"-- \n", b" \n", b">\n", b" "]),
    (BASE64, [b"QUJD" * 19 + b"\n", b"QUJD!", b"=", b"AA==", b"AA=", b"A", b"\n", b"!", b"QUJD\n\n", b"A=\n", b"QUJD-- \n", b"\xff"]),
    (QUOTED, [b"word word=20\n", b"=", b"=\n", b"= ", b"= \n", b"=41", b"=4", b"==", b"=3D=", b"=C3", b"=\r", b"=ff", b"\t", b" \n"]),
    (UU + b"begin 644 x\n", [b"M" + b"0" * 60 + b"\n", b"#86)C\n", b"#86)C'\n", b"#\n", b"M\n", b"`\n", b"\n", b"#86)C", b"M" + b"0" * 61 + b"\n", b"end\n", b"\xff\n", b" "]),
    (UU.replace(b"application/x", b"text/plain"), [b"begin 644 x\n#86)C\n`\nend\n", b"begin 644 x\n", b"begin 644 x\n#86)C\nend\ntext\n"]),
    (UU, [b"begin 644 x\n", b"begin ", b"\nbegin", b"begin 644 x\n#86)C\n`\nend\n"]),
    (MIXED, PARTS),
    (MIXED + b"--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\n", [*PARTS, b"--c--\n", b"--d\n"]),
    (b"Content-Type: multipart/mixed; boundary=b\nContent-Type: multipart/mixed; boundary=c\n\n", [b"--d\n", b"--\n", b"--c\n", b"--bc\n", b"a\n"]),
    (b"Content-Type: multipart/mixed; boundary=" + b"b" * 60 + b"\n\n", [b"--" + b"b" * 59 + b"\n", b"--" + b"b" * 60 + b" \n", b"b", b"\n--b"]),
    (b"".join([b"Content-Type: multipart/mixed; boundary=b%d\n" % n for n in range(9000)]) + b"\n\n", [b"--x\n", b"a\n", b"--b0\n"]),
    (MIXED + b"--b\n" + b"".join([b"Content-Type: multipart/mixed; boundary=c%d\n--c%d\n" % (n, n) for n in range(190)]), [b"A: b\n", b"a\n", b"--x\n"]),
    (MIXED + b"--b\n\nx\n--b--\n", [b"--b\n", b"--b\nContent-Type: text/plain\n", b"--b\n\nx\n", b"--b\nContent-Type: text/plain\n\nx\n--b--\n"]),
    (b"Content-Type: multipart/mixed\n\n", [b"--x\n", b"--x{n}\n", b"--\n"]),
    (b"Content-Type: message/rfc822\n\n", [b"Content-Type: message/rfc822\n\n", b"Subject: x\n\n", b"a\n"]),
    *[(b"Content-Type: text/plain; charset=%s\n\n" % charset, units) for charset, units in {
        b"utf-8": [b"\xff", b"a\xff", b"\xc3\xa9" * 9 + b"\xff"], b"utf-7": [b"+", b"+AOk-", b"+A"], b"iso-2022-jp": [b"\x1b$B", b"\x1b$B\xe9", b"\x1b$B$\"\x1b(B", b"\x0e"],
        b"hz": [b"~{", b"~", b"~}"], b"gb18030": [b"\x81\x30\x81", b"\x81"], b"iso-2022-cn": [b"\x1b$)A\x0e", b"\x1bN", b"\x0e"], b"viscii": [b"\xe9", b"\x02"],
        b"iso-2022-kr": [b"\x1b$)C", b"\x0e!!\x0f"], b"utf-16": [b"\xd8", b"\xff\xfe"], b"big5": [b"\x81", b"\xa4@"], b"x-unknown": [b"\xe9 "],
    }.items()],
]  # fmt: skip


def of_the_header() -> Iterator[Family]:
    """Yield families of long fields and of many short ones."""
    for field, units in LONG_FIELDS.items():
        start = {"Content-Type": b"text/plain", "Content-Disposition": b"attachment; filename=a"}.get(field, b"")
        for unit in units:
            yield Family(field, b"%s: %s" % (field.encode(), start), unit, after=b"\nX: y\n\nhello\n")
    yield Family("To", b"To: ", b"(", b")", b"\n\nx")
    yield Family("To", b"To: ", b"<", b">", b"\n\nx")
    for unit in MANY_FIELDS:
        field = unit.partition(b":")[0].strip().decode("latin-1").replace("{n}", "1")
        yield Family(field, b"X: y\n", unit, after=b"Subject: z\n\nhello\n--b1\n\nx\n")


def of_the_body() -> Iterator[Family]:
    """Yield families of HTML, transfer encodings, charsets and multiparts."""
    for unit in MARKUP:
        yield Family("Content-Type", HTML, unit)
        yield Family(
            "Content-Type",
            HTML + b"<p>x</p><ol start=9999><li><blockquote>" * 9 + b"<a href=http://y/>",
            unit,
            after=b"</ol>",
        )
    for unit, close in NESTED:
        yield Family("Content-Type", HTML, unit, close)
    for unit in ATTRIBUTES:
        yield Family("Content-Type", HTML + b"<p", unit, after=b">x")
        yield Family("Content-Type", HTML + b"<a", unit, after=b" href='http://x/'>x</a>")
    for unit in STYLES:
        yield Family("Content-Type", HTML + b'<p style="', unit, after=b'">x')
    for before, units in BODIES:
        for unit in units:
            yield Family("Content-Type", before, unit)


def readings_of(family: Family) -> Readings:
    """Return the readings that depend on what the family repeats."""
    readings = everything(family.field.encode())
    if family.bound == HEADER:
        return readings
    return {name: readings[name] for name in set(public(Content)) - set(public(Headers)) - {"headers"}}


@pytest.mark.slow
def test_every_reading_of_long_headers() -> None:
    """Each reading takes linear time for long fields and for many fields."""
    for family in of_the_header():
        Growth(thorough=False).judge(family.make, 40_000, readings_of(family), family)


@pytest.mark.slow
def test_every_reading_of_large_bodies() -> None:
    """Each reading takes linear time for large bodies."""
    for family in of_the_body():
        Growth(thorough=False).judge(family.make, 200_000, readings_of(family), family)


@lru_cache(maxsize=6)
def made(family: Family, size: int) -> bytes:
    """Return a message, which is made once for all readings."""
    return family.make(size)


def spent(family: Family, size: int, reading: Reading, tries: int = 3) -> float:
    """Return the least CPU seconds of `tries` readings of a message, of one if it is slow."""
    raw, least = made(family, size), math.inf
    for _ in range(tries):
        content = Content.from_bytes(raw)
        begun = time.thread_time()
        reading(content)
        least = min(least, time.thread_time() - begun)
        if least > 0.2:
            break
    return least


def measure(family: Family, reading: Reading) -> tuple[float, bool, int, float, float]:
    """Return the largest ratio of a doubling, whether a neighbouring one has it too, the size, and both times.

    Starts at the bound and halves it while there is something to measure; seconds for the smallest size are growth.
    """
    size = family.bound >> DOUBLINGS
    least = spent(family, size, reading, tries=1)
    if least > 5:
        return math.inf, True, size, 0.0, least
    taken: list[tuple[int, float]] = []  # the largest first
    size = family.bound
    while size > family.bound >> DOUBLINGS and (not taken or taken[-1][1] > MEASURABLE):
        taken.append((size, spent(family, size, reading, tries=1)))
        size >>= 1
    worst = (0.0, False, family.bound, 0.0, taken[0][1])
    before = 0.0
    for (_, once), (size, twice) in pairwise(reversed(taken)):
        if once < MEASURABLE:
            continue
        if twice >= MOST * once:  # a neighbour on the same core? measure again
            once, twice = min(once, spent(family, size >> 1, reading)), min(twice, spent(family, size, reading))
        ratio = twice / once
        grows = ratio >= MOST and (before >= MOST or spent(family, size << 1, reading) >= MOST * twice)
        worst = max(worst, (ratio, grows, size, once, twice), key=lambda row: (row[1], row[0]))
        before = ratio
    return worst


def test_indents_do_not_multiply_a_body() -> None:
    """Nested lists and quotes add a few characters to each line of a body, however wide their markers are."""
    wide = b"<ol type=i start=3888><li>"
    for start in (
        b"<ol start=999999999><li>" * 10,
        wide * 10,
        b"<blockquote>" * 10,
        b"<ul><li>" * 10,
        b"<ul><ul>" * 10,
        wide * 9 + b"<blockquote>",
        (wide + b"<blockquote>") * 5,
        b"<blockquote>" * 5 + wide * 5,
        wide * 5 + b"<blockquote>" * 5,
    ):
        for line in (
            b"<pre>" + b"x\n" * 50_000,
            b"x<br>" * 20_000,
            b"<pre>" + b"\n" * 50_000 + b"x",
            b"<pre>x" + b"\n" * 50_000 + b"x",
            b"<li>x" * 20_000,
            b"<p>x" * 20_000,
        ):
            html = start + line
            assert len(Content.from_bytes(HTML + html).body) < 20 * len(html), (start, line[:10])


def test_attributes_after_the_last_reference_that_is_resolved() -> None:
    """Attributes with endless numbers do not raise there either."""
    for attribute in (b"<img alt='%s'>", b"<a href='http://x/%s'>x</a>", b"<p style='%s'>x</p>"):
        html = b"&amp;" * 200_001 + attribute % (b"&#" + b"9" * 5_000 + b";")
        for name, reading in readings_of(Family("Content-Type", HTML, b"x")).items():
            assert reading(Content.from_bytes(HTML + html)) is not None or name == "text", (attribute, name)


def test_headers_that_run_into_each_other_are_read_once() -> None:
    """The search for the end of a header stops at the delimiter that it declares, not at the end of the message."""
    for unit in (b"a\n", b"A: b\n", b"--x\n", b"A: b; boundary=c\n"):
        few, many = (
            Family(
                "Content-Type",
                MIXED
                + b"--b\n"
                + b"".join([b"Content-Type: multipart/mixed; boundary=c%d\n--c%d\n" % (n, n) for n in range(count)]),
                unit,
            )
            for count in (2, 199)
        )
        once, often = (spent(family, 1_000_000, lambda content: content.text) for family in (few, many))
        assert often < 5 * once + 0.1, (unit, once, often)


def test_what_grows_is_told_from_what_costs_more_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quadratic reading grows; a step at one size is not growth. By a clock that only readings move."""
    clock = Clock()
    monkeypatch.setattr(time, "thread_time", clock)
    monkeypatch.setattr(f"{__name__}.HEADER", 24_000)
    family = Family("To", b"To: ", b"a@b, ")
    assert measure(family, lambda content: clock.advance((len(content.raw) / 10_000) ** 2))[1]
    assert not measure(family, lambda content: clock.advance(len(content.raw) / 10_000))[1]
    assert not measure(
        family, lambda content: clock.advance(len(content.raw) / 10_000 + 9 * (len(content.raw) > 10_000))
    )[1]


def main(word: str = "") -> int:
    """Measure all families; print slow and growing readings as they are found, then a table; return 1 if any grows."""
    found = []
    for family in [*of_the_header(), *of_the_body()]:
        for name, reading in readings_of(family).items() if word in str(family) else ():
            ratio, grows, size, once, twice = measure(family, reading)
            line = f"{name:22} {size:>10,} bytes {once:7.3f} s -> {twice:7.3f} s, ratio {ratio:5.2f}"
            found.append((ratio, twice, grows, f"{line}{', GROWS' if grows else ''}: {family}"))
            if ratio >= MOST or twice > 5:
                print(found[-1][-1], flush=True)
    for title, column in (("The largest ratios:", 0), ("The most seconds:", 1)):
        rows = sorted(found, key=lambda row, column=column: -row[column])  # type: ignore[misc]
        print(title, *[row[-1] for row in rows[:25]], sep="\n")
    bad = [row for row in found if row[2]]
    print(f"{len(found)} readings, {len(bad)} grow by {MOST} or more for each doubling")
    return len(bad) > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
