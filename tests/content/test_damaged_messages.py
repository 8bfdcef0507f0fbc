"""A hundred damaged or unusual messages, five of each kind, are read as an RFC requires or as two other parsers agree.

Each has its reason: an RFC paragraph, or the parsers that agree (G: GMime 3.2, P: postal-mime 2, M: mailparser 3,
R: Ruby mail 2).
"""

import base64
from collections.abc import Callable
from datetime import datetime

from pymailbox.content import Address, Content

Case = tuple[
    str, dict[str, object], str
]  # a message (each character is one byte), what should be read from it, and why


def multipart(*parts: str, head: str = "Content-Type: multipart/mixed; boundary=b\n", boundary: str = "b") -> str:
    """Return a multipart message; each part includes its header, or an empty line instead."""
    return head + "\n" + "".join([f"--{boundary}\n{part}\n" for part in parts]) + f"--{boundary}--\n"


def plain(value: object) -> object:
    """Convert a value to the form used in the tables: addresses to pairs, dates to text."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Address):
        return value.name, value.email
    return value.isoformat() if isinstance(value, datetime) else value


OTHERS: dict[str, Callable[[Content], object]] = {
    "files": lambda content: [(a.filename, a.content_type, a.payload) for a in content.attachments],
    "named": lambda content: [a.filename for a in content.attachments],
    "types": lambda content: [a.content_type for a in content.attachments],
    "payloads": lambda content: [a.payload for a in content.attachments],
    "inner": lambda content: [Content.from_bytes(a.payload).subject for a in content.attachments],
    "identifier": lambda content: (content.message_id or "").strip("<>"),
    "hi shown": lambda content: "hi" in content.body.split("\n"),
    "damaged": lambda content: bool(content.defects),
    "quotes": lambda content: [  # the quote depth and the words of each line
        (line.count(">"), line.lstrip("> ")) for line in content.body.split("\n") if line.strip("> ")
    ],
    "stripped": lambda content: [line.strip() for line in content.body.split("\n") if line.strip()],
    "lines": lambda content: [line for line in content.body.split("\n") if line],
}


def encode(message: str) -> bytes:
    """Return the bytes of a message, with CRLF line ends unless it contains a CR."""
    return (message if "\r" in message else message.replace("\n", "\r\n")).encode("latin-1")


def wrong(cases: list[Case]) -> list[str]:
    """Read each message and return what differs from the expected values."""
    found = []
    for number, (message, expected, reason) in enumerate(cases, 1):
        content = Content.from_bytes(encode(message))
        for name, value in expected.items():
            read = plain(OTHERS[name](content) if name in OTHERS else getattr(content, name))
            if read != value:
                found.append(f"message {number}: {name} is {read!r}, not {value!r} ({reason})")
    assert len(cases) == 5
    return found


PDF = "Content-Type: application/pdf; name=a.pdf\n\nPDF"
A_PDF = ("a.pdf", "application/pdf", b"PDF")
UU = "Content-Type: application/x; name=a\nContent-Transfer-Encoding: x-uuencode\n\n"

UUENCODED: list[Case] = [
    (UU + "begin 644 a\n#86)CX\n#9&5FX\n`\nend\n", {"payloads": [b"abcdef"]}, "a check character after each line: the first one counts the bytes (POSIX uuencode); R"),
    (UU + "begin 644 a\n&86)C\n`\nend\n", {"payloads": [b"abc\0\0\0"]}, "blanks at the end of a line were cut; a blank is 0 (POSIX uuencode); R"),
    (UU + "The file is below.\n\nbegin 0755 a file.txt\n!80''\n`\nend\n-- \nAnn\n", {"payloads": [b"a"]}, "text around it, a mode of four digits, junk after one byte; POSIX uuencode, G"),
    (UU + "begin 644 a\n#86)C\n\"9&4Z\n", {"payloads": [b"abcde"]}, "cut off, junk in the last group; G, R"),
    (multipart("\nhi", UU.replace("x-uu", "UU") + "begin 644 a\n$86)C9'''\n`\nend"), {"text": "hi", "payloads": [b"abcd"]}, "junk after one byte of the last group; G, R"),
]  # fmt: skip

NAMED_TEXT: list[Case] = [
    ('Content-Type: text/plain; name="a.txt"\nContent-Disposition: inline\n\nhi\n', {"text": "hi\n", "files": []}, "RFC 2183 §2.1: inline is shown; P, M"),
    (multipart('Content-Type: text/plain; name="a.txt"\n\nhi', 'Content-Type: text/html; name="a.html"\n\n<p>hi</p>', head="Content-Type: multipart/alternative; boundary=b\n"), {"text": "hi", "html": "<p>hi</p>", "body": "hi"}, "P, M: alternatives are the text"),
    (multipart('Content-Type: text/plain; name="body.txt"\n\nhi', PDF), {"text": "hi", "files": [A_PDF]}, "P, M: without a disposition the first text is shown"),
    ("Content-Type: text/html; name=mail.html\nContent-Transfer-Encoding: base64\n\nPHA+aGk8L3A+\n", {"html": "<p>hi</p>", "body": "hi", "files": []}, "P, M"),
    ("Content-Type: text/plain; charset=utf-8; format=flowed; name*=utf-8''m%C3%A9.txt\n\none \ntwo\n", {"body": "one two", "files": []}, "RFC 3676 §4.2; P, M"),
]  # fmt: skip

MIXED_HEAD = "Content-Type: multipart/mixed; boundary=b\r\r\nSubject: s\r\r\n"
CR_CR_LF: list[Case] = [
    ("Subject: s\r\r\nFrom: a@example.org\r\r\n\r\r\none\r\ntwo\r\n", {"subject": "s", "from_": ("", "a@example.org"), "text": "one\ntwo\n"}, "P; nothing may be lost"),
    ("Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nUE\r\r\nRG\r\r\n", {"files": [A_PDF]}, "RFC 2045 §6.8: other characters are ignored"),
    ("Subject: =?utf-8?q?caf=C3?=\r\r\n =?utf-8?q?=A9?=\r\r\nTo: a@example.org,\r\r\n\tb@example.org\r\r\n\r\r\nx\r\r\n", {"subject": "café", "to": [("", "a@example.org"), ("", "b@example.org")]}, "G, P, M"),
    ("Content-Type: text/plain\r\r\nContent-Transfer-Encoding: quoted-printable\r\r\n\r\r\none=\r\r\n two=20\r\r\n", {"text": "one two \n"}, "P; nothing may be lost"),
    (MIXED_HEAD + "\r\r\n--b\r\r\nContent-Type: multipart/alternative; boundary=c\r\r\n\r\r\n--c\r\r\n\r\r\nhi\r\r\n--c\r\r\nContent-Type: text/html\r\r\n\r\r\n<p>hi\r\r\n--c--\r\r\n--b\r\r\n" + PDF.replace("\n", "\r\r\n") + "\r\r\n--b--\r\r\n", {"text": "hi", "html": "<p>hi", "files": [A_PDF]}, "P; nothing may be lost"),
]  # fmt: skip

ALTERNATIVE = "Content-Type: multipart/alternative; boundary=b\n\n"
SAME_BOUNDARY: list[Case] = [
    (multipart(ALTERNATIVE + "--b\n\none\n--b\nContent-Type: text/html\n\n<p>one", PDF), {"text": "one", "html": "<p>one", "files": [A_PDF]}, "the inner one never closed; G, P, M, R"),
    (multipart("Content-Type: multipart/alternative; boundary=bb\n\n--bb\n\none\n--bb--", PDF), {"text": "one", "files": [A_PDF], "damaged": False}, "RFC 2046 §5.1.1: a whole line is compared; G, P, M, R"),
    (multipart(ALTERNATIVE + multipart("\none", head="Content-Type: multipart/related; boundary=b\n").join(["--b\n", "--b--\n"]), PDF), {"text": "one", "files": [A_PDF]}, "three of one boundary; G, P, M"),
    (multipart("\none", "Content-Type: multipart/mixed; boundary=B\n\n--B\n" + PDF + "\n--B--", "\ntwo"), {"text": "one\n\ntwo", "files": [A_PDF], "damaged": False}, "RFC 2045 §5.1: boundaries are case-sensitive; G, P, M"),
    (multipart("\none", "Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntwo\n--b--", PDF), {"text": "one\n\ntwo", "damaged": True}, "RFC 2046 §5.1.2; P, M, R: the outer boundary ends the attached message"),
]  # fmt: skip

BLANK_BEFORE_COLON: list[Case] = [
    ("Subject : x\nFrom : Ann <a@example.org>\nTo\t: b@example.org\n\nhi\n", {"subject": "x", "from_": ("Ann", "a@example.org"), "to": [("", "b@example.org")], "text": "hi\n"}, "RFC 5322 §4.5"),
    (">From a@example.org Mon Jun  2 10:00:00 2025\nFrom : Ann <a@example.org>\nSubject: x\n\nhi\n", {"from_": ("Ann", "a@example.org"), "subject": "x", "text": "hi\n"}, "RFC 5322 §4.5.2 after an mbox line; G, P, M, R"),
    ("From a@example.org Mon Jun  2 10:00:00 2025\nFrom : Ann <a@example.org>\n\nhi\n", {"from_": ("Ann", "a@example.org"), "text": "hi\n"}, "RFC 4155, RFC 5322 §4.5.2; G, P, M, R"),
    ("FROM \t : =?utf-8?q?Zo=C3=AB?= <z@example.org>\nDate : Mon, 2 Jun 2025 10:00:00 +0000\n\nhi\n", {"from_": ("Zo\xeb", "z@example.org"), "date": "2025-06-02T10:00:00+00:00"}, "RFC 5322 §4.5, §1.2.2: names in any case"),
    ("From :a@example.org\nContent-Type : text/html\nContent-Transfer-Encoding : base64\n\nPHA+aGk8L3A+\n", {"from_": ("", "a@example.org"), "html": "<p>hi</p>", "text": None}, "RFC 5322 §4.5.8; G, P"),
]  # fmt: skip

INNER = "\n--used\nContent-Type: text/plain\n\nhi\n--used\n" + PDF + "\n--used--\n"
TWO_FIELDS: list[Case] = [
    ("Content-Type: multipart/mixed; boundary=used\nContent-Type: multipart/mixed\n" + INNER, {"text": "hi", "files": [A_PDF]}, "the field whose boundary occurs; P, M"),
    ("Content-Type: multipart/mixed; boundary=one\nContent-Type: multipart/mixed; boundary=used\nContent-Type: multipart/mixed; boundary=two\n" + INNER, {"text": "hi", "files": [A_PDF]}, "the field whose boundary occurs; nothing may be lost"),
    (multipart("\none", "Content-Type: multipart/mixed; boundary=used\nContent-Type: multipart/mixed; boundary=two\n" + INNER), {"text": "one\n\nhi", "files": [A_PDF]}, "the same in a part; P, M"),
    ("Content-Type: text/plain; charset=koi8-r\nContent-Type: text/plain; charset=windows-1251\n\n\xcf\xf0\xe8\xe2\xe5\xf2\n", {"text": "Привет\n"}, "G, R: the last one"),
    ("Content-Type: application/pdf\nContent-Disposition: attachment; filename=a.pdf\nContent-Disposition: inline\nContent-Transfer-Encoding: base64\n\nUERG\n", {"files": [A_PDF]}, "the file name is not lost; P, M"),
]  # fmt: skip

COMMENTS: list[Case] = [
    ("Content-Type: text/plain; charset=koi8-r (Russian)\n\n\xf0\xd2\xc9\xd7\xc5\xd4\n", {"text": "Привет\n"}, "RFC 2045 §5.1; P, M, R"),
    ("Content-Type: text/html(a (nested) one); (b) charset (c) = (d) utf-8\n\n<p>\xc3\xa9\n", {"html": "<p>é\n", "files": []}, "RFC 2045 §5.1, RFC 5322 §3.2.2"),
    ("Content-Type: text/plain\nContent-Transfer-Encoding: (really) base64 (yes)\n\naGk=\n", {"text": "hi"}, "RFC 2045 §6.1, RFC 5322 §3.2.2"),
    ('Content-Type: application/pdf\nContent-Disposition: (x) attachment (y); filename="a.pdf" (z; filename=b.pdf)\n\nPDF', {"files": [A_PDF]}, "RFC 2183 §2, RFC 5322 §3.2.2"),
    (multipart("\nhi", PDF, head='Content-Type: multipart/mixed (a; boundary=c); boundary="b" (not; boundary=d)\n'), {"text": "hi", "files": [A_PDF]}, "RFC 2045 §5.1, RFC 5322 §3.2.2"),
]  # fmt: skip

WITHOUT_HEADER: list[Case] = [
    (multipart("Here it is: the text\n\nmore"), {"text": "Here it is: the text\n\nmore"}, "RFC 5322 §2.2: a name of a field has no blanks; R"),
    (multipart("Content-Type: text/html\n<p>hi</p>"), {"files": [], "damaged": True}, "all four lose the text: at least nothing is dropped without a defect"),
    ("Subject: x\nFrom: a@example.org\nHello there,\nhow are you?\n", {"subject": "x", "from_": ("", "a@example.org"), "damaged": True}, "all four lose the text: at least nothing is dropped without a defect"),
    (multipart("one", PDF, "two"), {"text": "one\n\ntwo", "files": [A_PDF]}, "two of three parts without an empty line; R"),
    (multipart(ALTERNATIVE.replace("=b", "=c") + "--c\nplain\n--c\nContent-Type: text/html\n\n<p>rich\n--c--"), {"text": "plain", "html": "<p>rich"}, "the same, deeper; R"),
]  # fmt: skip

OBSOLETE_ADDRESSES: list[Case] = [
    ("From: Joe Q. Public <john.q.public@example.com>\nTo: Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example\n\n", {"from_": ("Joe Q. Public", "john.q.public@example.com"), "to": [("Mary Smith", "mary@example.net"), ("", "jdoe@test.example")]}, "RFC 5322 A.6.1"),
    ("From: Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>\nTo:A Group(Some people)\n     :Chris Jones <c@(Chris's host.)public.example>,\n         joe@example.org,\n  John <jdoe@one.test> (my dear friend); (the end of the group)\nCc:(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;\n\n", {"from_": ("Pete", "pete@silly.test"), "to": [("Chris Jones", "c@public.example"), ("", "joe@example.org"), ("John", "jdoe@one.test")], "cc": []}, "RFC 5322 A.5"),
    ("To: ann @ example . org, <bob @ example.org>, Eve <eve (at) @ example. (dot) org>\n\n", {"to": [("", "ann@example.org"), ("", "bob@example.org"), ("Eve", "eve@example.org")]}, "RFC 5322 §4.4"),
    ("To: <a@[192.0.2.1] (x)>, b@ [IPv6:2001:db8::1], c . d@example.org\n\n", {"to": [("", "a@[192.0.2.1]"), ("", "b@[IPv6:2001:db8::1]"), ("", "c.d@example.org")]}, "RFC 5322 §3.4.1, §4.4"),
    ('From: John <"john doe" @ example.org>\nTo: mary\n .smith@example.org, (x) "a (b)"@example.org\n\n', {"from_": ("John", '"john doe"@example.org'), "to": [("", "mary.smith@example.org"), ("x", '"a (b)"@example.org')]}, "RFC 5322 §3.2.4, §4.4; a comment as the name: M"),
]  # fmt: skip

HTML = "Content-Type: text/html; charset=utf-8\n\n"
HTML_LISTS: list[Case] = [
    (HTML + '<ol start="3"><li>c<li><p>d</p></ol><ol><li>a</ol>', {"lines": ["3. c", "4. d", "1. a"]}, "HTML §4.4.5"),
    (HTML + '<p>a<span style="color:red; DISPLAY : None !important">b</span>c</p><p style="visibility:hidden">d</p><input type=hidden value=e><p HIDDEN>f</p>', {"body": "ac"}, "CSS 2.2 §9.2.4, §11.2: not shown"),
    (HTML + "<p>new</p><blockquote>one<blockquote>two<br>three</blockquote>four</blockquote><p>end</p>", {"quotes": [(0, "new"), (1, "one"), (2, "two"), (2, "three"), (1, "four"), (0, "end")]}, "RFC 3676 §4.5: one > for each depth"),
    (HTML + '<a href="https://example.org/x">https://example.org/x</a> <a href="mailto:a@example.org">a@example.org</a> <a href=\'https://example.org/y?a=1&amp;b=2\'>more</a>', {"body": "https://example.org/x a@example.org more <https://example.org/y?a=1&b=2>"}, "targets where the text does not show them"),
    (HTML + "<ul><li><p>one</p><p>two</p></li><li><div hidden>no</div>three</li></ul>", {"stripped": ["- one", "two", "- three"]}, "an item's first words are beside its mark"),
]  # fmt: skip

MESSAGE = "From: in@example.org\nSubject: inner\n\na=3D=\nb\n"
LABELLED: list[Case] = [
    (multipart("Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n" + MESSAGE), {"payloads": [b"From: in@example.org\r\nSubject: inner\r\n\r\na=b\r\n"]}, "G, P, M, R: encoded in spite of RFC 2046 §5.2.1"),
    (multipart("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(MESSAGE.encode()).decode()), {"payloads": [MESSAGE.encode()], "inner": ["inner"]}, "G, P, M, R: the same"),
    (multipart("\nhi", PDF, head="Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n"), {"text": "hi", "files": [A_PDF]}, "RFC 2045 §6.4: a multipart is not encoded"),
    (multipart("Content-Type: multipart/alternative; boundary=c\nContent-Transfer-Encoding: quoted-printable\n\n--c\n\na=3D\n--c\nContent-Type: text/html\n\n<p>=\nb\n--c--"), {"text": "a=3D", "html": "<p>=\nb"}, "RFC 2045 §6.4: nor are its parts by its label"),
    ("Content-Type: message/global\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode("Subject: é\n\nhi\n".encode()).decode() + "\n", {"types": ["message/global"], "inner": ["é"]}, "RFC 6532 §3.7: this one may be encoded"),
]  # fmt: skip

IDENTIFIERS: list[Case] = [
    ("Message-ID: (made (by) hand <0@x>)\n <1@example.com> (added)\nIn-Reply-To:\n\t<2@example.com>\n\n", {"message_id": "<1@example.com>", "in_reply_to": ["<2@example.com>"]}, "RFC 5322 §3.6.4, §3.2.2"),
    ("In-Reply-To: Your message of \"Mon, 2 Jun <not@this>\" <2@example.com>\nReferences: <a@example.com><b@example.com>,\n\t<c@example.com>\n\n", {"in_reply_to": ["<2@example.com>"], "references": ["<a@example.com>", "<b@example.com>", "<c@example.com>"]}, "RFC 5322 §4.5.4: words and quoted strings are ignored"),
    ("Message-ID: =?utf-8?q?=3C1=40example=2Ecom=3E?=\nReferences: <a@example.com>\n <b@exam.\n ple.com>\n\n", {"message_id": "<1@example.com>", "references": ["<a@example.com>", "<b@exam.ple.com>"]}, "G, P, M, R: decoded; RFC 5322 §4.5.4: blanks round a dot"),
    ("Message-ID: 1@example.com\nReferences: <a@b> <c@d\n\n", {"identifier": "1@example.com", "references": ["<a@b>", "<c@d>"]}, "brackets missing; G, M"),
    ("Message-ID: <\"a b\"@example.com>\nIn-Reply-To: <a@[192.0.2.1]> <b%c/d=e@f>\nReferences:\n\n", {"message_id": '<"a b"@example.com>', "in_reply_to": ["<a@[192.0.2.1]>", "<b%c/d=e@f>"], "references": []}, "RFC 5322 §3.6.4, §4.5.4: quoted, literal"),
]  # fmt: skip

ALTERNATIVE_PARTS = "--b\nContent-Type: text/plain\n\nplain\n--b\nContent-Type: text/html\n\n<p>rich\n--b--\n"
RUNS_ON: list[Case] = [
    ("Subject: s\nContent-Type: multipart/alternative; boundary=b\n" + ALTERNATIVE_PARTS, {"subject": "s", "text": "plain", "html": "<p>rich"}, "the delimiter ends the header; P, M for the html"),
    (multipart("Content-Type: multipart/alternative; boundary=c\n" + ALTERNATIVE_PARTS.replace("--b", "--c").rstrip("\n"), PDF), {"text": "plain", "html": "<p>rich", "files": [A_PDF]}, "the same inside; P, M for the html"),
    ('Subject: s\nContent-Type: multipart/alternative;\n\tboundary="b"\n' + ALTERNATIVE_PARTS, {"text": "plain", "html": "<p>rich"}, "after a folded field; P, M for the html"),
    ("Content-Type: multipart/alternative; boundary=b\n \t\n" + ALTERNATIVE_PARTS, {"text": "plain", "html": "<p>rich"}, "a line of blanks as the empty one; P, M for the html"),
    ("Content-Type: multipart/mixed; boundary=b\n--c\nX-A: b\n--b\n\nhi\n--b\n" + PDF + "\n--b--\n", {"text": "hi", "files": [A_PDF]}, "a line like a delimiter before the first; nothing may be lost"),
]  # fmt: skip

ENCODED_WORDS: list[Case] = [
    ("Subject: =?US-ASCII*EN?Q?Keith_Moore?= =?UTF-8?b?w6k=?=\n\n", {"subject": "Keith Mooreé"}, "RFC 2231 §5, RFC 2047 §6.2"),
    ("Subject: =?utf-8?b?4oI=?= =?utf-8?q?=AC_5?= =?iso-8859-1?q?_=E9?=\n\n", {"subject": "€ 5 é"}, "a character cut in two against RFC 2047 §5: nothing may be lost"),
    ("Subject: a =?utf-8?q?b c?= d\nFrom: \"=?utf-8?b?Wm/Dqw?=\" <z@example.org>\n\n", {"subject": "a b c d", "from_": ("Zoë", "z@example.org")}, "blanks inside, in quotes, without padding; P, M, R"),
    ("Subject: =?x-unknown?q?caf=E9?= =?iso-8859-1?Q?=80?= =?gb2312?b?6Uc=?=\n\n", {"subject": "café€镚"}, "unknown: P; the superset of a label, as in WHATWG Encoding: M; G, P, M, R"),
    ("Subject: =?utf-8?q?a=?= =?utf-8?q?=ZZ=4?= =?utf-8?x?b?= =?utf-8?q?\n\n", {"subject": "a==ZZ=4 =?utf-8?x?b?= =?utf-8?q?"}, "RFC 2047 §6.3: what is not an encoded word stays; P, M"),
]  # fmt: skip

FILE = "Content-Type: application/x\nContent-Disposition: attachment; "
PARAMETERS: list[Case] = [
    (FILE + "filename*0*=utf-8''%e2%82; filename*1*=%ac%20; filename*2=\"50%25.txt\"\n\nx", {"named": ["€ 50%25.txt"]}, "RFC 2231 §4.1: not percent-decoded without its *"),
    (FILE + "\n filename*1=\"c.txt\";\n filename*0=\"a b\"\n\nx", {"named": ["a bc.txt"]}, "RFC 2231 §3: by number"),
    (FILE + "filename*=utf-8''%c3%a9.txt; filename=\"e.txt\"\n\nx", {"named": ["é.txt"]}, "RFC 6266 §4.3: the extended one; G, P, M, R"),
    (FILE + "filename*=\"utf-8'fr'a%20b.txt\"\n\nx", {"named": ["a b.txt"]}, "quoted against RFC 2231 §4; G, P, M, R"),
    (FILE + "filename*=iso-8859-1''caf%e9%zz%.txt; size*=x\n\nx", {"named": ["café%zz%.txt"]}, "a % without two digits stays; G, P, R"),
]  # fmt: skip

DATES: list[Case] = [
    ("Date: Thu,\n      13\n        Feb\n          1969\n      23:32\n               -0330 (Newfoundland Time)\n\n", {"date": "1969-02-13T23:32:00-03:30"}, "RFC 5322 A.5"),
    ("Date: 21 Nov 97 09(comment):   55  :  06 EST\n\n", {"date": "1997-11-21T09:55:06-05:00"}, "RFC 5322 §4.3, A.6.3"),
    ("Date: Fri, 2 jun 125 10:00 K\n\n", {"date": "2025-06-02T10:00:00+00:00"}, "RFC 5322 §4.3: three digits count from 1900, a military zone is ignored"),
    ("Date: Wed, 31 Dec 2008 23:59:60 -0000\n\n", {"date": "2008-12-31T23:59:59+00:00"}, "RFC 5322 §3.3: a leap second, the nearest moment there is"),
    ("Date: Sun, 30 Feb 2025 10:00:00 +0000\n\n", {"date": None, "date_str": "Sun, 30 Feb 2025 10:00:00 +0000"}, "RFC 5322 §3.3: the day must exist"),
]  # fmt: skip

ADDRESSES: list[Case] = [
    ("To: =?utf-8?q?Lee=2C_Ann?= <a@example.org>, =?utf-8?q?b=40example=2Eorg?= <c@example.org>\n\n", {"to": [("Lee, Ann", "a@example.org"), ("b@example.org", "c@example.org")]}, "RFC 2047 §5: parsed first, decoded then; G, P, M"),
    ("To: Friends: Ann <a@example.org>, \"Lee; B: (c)\" <b@example.org>;, d@example.org\nCc: undisclosed-recipients:;\n\n", {"to": [("Ann", "a@example.org"), ("Lee; B: (c)", "b@example.org"), ("", "d@example.org")], "cc": []}, "RFC 5322 §3.4"),
    ('From: "Ann \\"The\\" Lee \\\\" <a@example.org>\nTo: a@example.org (Ann (the) Lee)\n\n', {"from_": ('Ann "The" Lee \\', "a@example.org"), "to": [("Ann (the) Lee", "a@example.org")]}, "RFC 5322 §3.2.4, §3.2.2; G, M"),
    ("To: \"unclosed <a@example.org>, b@example.org\nCc: a@example.org b@example.org; c@example.org,\n\n", {"to": [("unclosed", "a@example.org"), ("", "b@example.org")], "cc": [("", "a@example.org"), ("", "b@example.org"), ("", "c@example.org")]}, "quotes unclosed, separators odd; G, and no address may be lost"),
    ("From: \"a@example.org\" <b@example.org>\nSender: =?utf-8?q?A?= =?utf-8?q?B?= <\"x>y\"@example.org>\n\n", {"from_": ("a@example.org", "b@example.org"), "sender": ("AB", '"x>y"@example.org')}, "RFC 5322 §3.4, RFC 2047 §6.2; G, R"),
]  # fmt: skip

TRANSFER: list[Case] = [
    ("Content-Type: application/x\nContent-Transfer-Encoding: BASE64\n\nQUJ\n D!R\nEVG\n\nRw\n", {"payloads": [b"ABCDEFG"]}, "RFC 2045 §6.8: others are ignored; P, M, R"),
    ("Content-Transfer-Encoding: quoted-printable\n\na=e9=\nb= \t\nc =\nd=XYz=", {"text": "a\xe9bc d=XYz"}, "RFC 2045 §6.7 (3) and notes: blanks after a soft line break, lower case, stray =; M"),
    ("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable\n\n=C3=\n=a9 =3d=3D\nend=\n", {"text": "é ==\nend"}, "RFC 2045 §6.7; a character cut by a soft line break"),
    ("Content-Transfer-Encoding: base64\n\naGVsbG8=\nIHdvcmxk\n", {"text": "hello world"}, "padding in the middle; P, M"),
    ("Content-Transfer-Encoding: base64\n\nhello there, this was never encoded!\n", {"damaged": True}, "not encoded as labelled: all four decode it; a defect says so"),
]  # fmt: skip

STRUCTURE: list[Case] = [
    ("Content-Type: multipart/mixed; boundary=\"b c\"\n\npreamble\n--b c  \n\nhi\n\n--b c\t\n" + PDF + "\n--b c--  \nepilogue\n--b c\n\nno\n", {"text": "hi\n", "files": [A_PDF]}, "RFC 2046 §5.1.1: padding after a boundary, epilogue ignored"),
    (multipart("Content-Type: multipart/mixed; boundary=c\n\n--c\n\none", PDF, "\ntwo"), {"text": "one\n\ntwo", "files": [A_PDF], "damaged": True}, "RFC 2046 §5.1.2: the outer boundary ends the inner multipart"),
    (multipart("\nFrom: a@example.org\nSubject: one\n\nx", "Content-Type: text/plain\n\ntwo", head="Content-Type: multipart/digest; boundary=b\n"), {"inner": ["one"], "types": ["message/rfc822"], "text": "two"}, "RFC 2046 §5.1.5"),
    ("Content-Type: multipart/mixed\n\n--b\n\nhi\n--b\n" + PDF + "\n--b--\n", {"hi shown": True, "damaged": True}, "no boundary: nothing may be lost"),
    ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhi\n--b--\n--b\n" + PDF + "\n--b--\n", {"text": "hi", "damaged": True}, "RFC 2046 §5.1.1: an epilogue; nothing is dropped without a defect"),
]  # fmt: skip

HTML_ONLY: list[Case] = [
    ("Content-Type: text/html\n\n<meta http-equiv=Content-Type content='text/html; charset=koi8-r'><p>\xf0\xd2\xc9\xd7\xc5\xd4</p>", {"text": None, "body": "Привет"}, "HTML §13.2.3.2: the meta element"),
    (HTML + "<html><head><title>t</title><style>p{}</style></head><body><!--[if mso]><p>no</p><![endif]--><P>a<P>b&#x20AC;&copy c&AMP;d&#150;e</body>", {"body": "a\n\nb€© c&d–e"}, "HTML §13.2.5: references, unclosed paragraphs"),
    (HTML + "<p title=\"a > b\" alt='<i>'>one</p><img alt='a &lt; b' src=x><p>1 < 2 && 3 > 2</p>", {"lines": ["one", "a < b", "1 < 2 && 3 > 2"]}, "HTML §13.2.5.38: > in a quoted attribute"),
    (multipart("Content-Type: text/html\n\n<p>one", "Content-Type: image/png\nContent-ID: <i@x>\nContent-Disposition: inline\n\nPNG", "Content-Type: text/html\n\n<p>two", head="Content-Type: multipart/related; boundary=b; type=\"text/html\"\n"), {"text": None, "body": "one\n\ntwo", "types": ["image/png"]}, "RFC 2387 §3.2; P, M"),
    (HTML + "<table><tr><td>a</td><td>b</td></tr><tr><th>c<td>d</table><pre>x  y\n  z</pre><script>no()</script><p>e\xc2\xadf\xe2\x80\x8bg&zwnj;h", {"lines": ["a b", "c d", "x  y", "  z", "e\xadf\u200bg\u200ch"]}, "HTML §15.3: rows are lines, preformatted as it is"),
]  # fmt: skip


def test_uuencoded_parts() -> None:
    """Junk in rows, truncated rows and text around them lose no byte."""
    assert wrong(UUENCODED) == []


def test_text_with_a_name() -> None:
    """A name alone does not turn the text of a message into an attachment."""
    assert wrong(NAMED_TEXT) == []


def test_line_ends_of_cr_cr_lf() -> None:
    """CR CR LF ends a line."""
    assert wrong(CR_CR_LF) == []


def test_a_boundary_used_twice() -> None:
    """Boundaries that are the same, or nearly, lose no part."""
    assert wrong(SAME_BOUNDARY) == []


def test_blanks_before_the_colon() -> None:
    """A field may have blanks before its colon."""
    assert wrong(BLANK_BEFORE_COLON) == []


def test_mime_fields_given_twice() -> None:
    """Of two MIME fields the one that fits is used."""
    assert wrong(TWO_FIELDS) == []


def test_comments_in_mime_fields() -> None:
    """Comments in MIME fields are ignored."""
    assert wrong(COMMENTS) == []


def test_text_without_an_empty_line_before_it() -> None:
    """Text without an empty line before it is read as text."""
    assert wrong(WITHOUT_HEADER) == []


def test_blanks_and_comments_in_addresses() -> None:
    """Blanks and comments are not part of an address."""
    assert wrong(OBSOLETE_ADDRESSES) == []


def test_lists_quotes_links_and_hidden_text() -> None:
    """HTML is read as a person sees it."""
    assert wrong(HTML_LISTS) == []


def test_labels_on_what_is_not_encoded() -> None:
    """A transfer encoding on a message or multipart is ignored unless it is really encoded."""
    assert wrong(LABELLED) == []


def test_identifiers() -> None:
    """Identifiers are read without the text around them."""
    assert wrong(IDENTIFIERS) == []


def test_headers_that_run_into_a_delimiter() -> None:
    """A delimiter ends a header."""
    assert wrong(RUNS_ON) == []


def test_encoded_words() -> None:
    """Encoded words are decoded, whole and damaged, in many charsets."""
    assert wrong(ENCODED_WORDS) == []


def test_file_names_in_sections() -> None:
    """RFC 2231 file names are read, whole and damaged."""
    assert wrong(PARAMETERS) == []


def test_dates() -> None:
    """Obsolete and irregular dates are read; impossible ones are None."""
    assert wrong(DATES) == []


def test_addresses() -> None:
    """Groups, quotes, comments and encoded words are read."""
    assert wrong(ADDRESSES) == []


def test_damaged_transfer_encodings() -> None:
    """Damaged transfer encodings are decoded as far as possible."""
    assert wrong(TRANSFER) == []


def test_damaged_multiparts() -> None:
    """Multiparts that lack an end, a boundary or a type are read."""
    assert wrong(STRUCTURE) == []


def test_html_alone() -> None:
    """A message that is only HTML has a body."""
    assert wrong(HTML_ONLY) == []
