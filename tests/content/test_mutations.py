"""Damaged messages: nothing raises, whatever is cut, flipped, shuffled or relabelled.

Set `PYMAILBOX_MUTATIONS=20000` in the environment to try more than the 300 of an ordinary run.
"""

import os
import pickle
from datetime import UTC

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymailbox.content import Content
from pymailbox.content.filenames import safe_name
from tests import SHARED

CORPUS = SHARED / "corpus"
MUTATIONS = int(os.environ.get("PYMAILBOX_MUTATIONS", "300"))
NAMES = [
    "subject",
    "from_",
    "to",
    "cc",
    "bcc",
    "reply_to",
    "date",
    "date_str",
    "message_id",
    "sender",
    "received",
    "in_reply_to",
    "references",
    "links",
    "text",
    "html",
    "body",
    "attachments",
    "defects",
    "email",
]
LABELS = [
    b"utf-8",
    b"us-ascii",
    b"iso-8859-1",
    b"iso-2022-jp",
    b"gb2312",
    b"utf-7",
    b"utf-16",
    b"iso-2022-cn",
    b"viscii",
    b"hz",
    b"zlib",
    b"big5",
    b"euc-kr",
    b"",
    b"\xff",
    b"idna",
    b"x" * 99,
]
OWN = [
    b"From: =?utf-8?q?Caf=C3=A9?= <a@b>, c@d (e)\r\nTo: x:;\r\nSubject: =?iso-2022-jp?b?GyRCRnxLXBsoQg==?=\r\nDate: Mon, 2 Jun 25 "
    b"10:00 PM (EDT) -0400\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=koi8-r; "
    b"format=flowed\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=F0 \r\n=D2\r\n--b\r\nContent-Type: multipart/alternative; "
    b"boundary=c\r\n\r\n--c\r\n\r\nplain\r\n--c\r\nContent-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"PHA+SGVsbG88L3A+\r\n--c--\r\n--b\r\nContent-Disposition: attachment; filename*0*=utf-8''a%C3; filename*1*=%A9.txt\r\n"
    b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n#86)C\r\n`\r\nend\r\n--b--\r\n",
    b"Subject: &#"
    + b"9" * 5000
    + b"\r\nDate: Fri, 31 Dec 9999 23:59:59 -1200\r\nMessage-ID: 1@x (c)\r\nFrom : a@b@c\r\n"
    b'Content-Type: multipart/mixed (c); boundary="b "\r\n--b\r\ntext\r\n--b\r\nContent-Type: text/html\r\n\r\n&#'
    + b"9"
    * 5000
    + b';\r\n--b\r\nContent-Type: multipart/mixed; boundary=""\r\n\r\n--\r\nContent-Type: message/rfc822\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\nA: b\r\n----\r\n--b--\r\n",
]


def mails() -> list[bytes]:
    """Return the messages to damage: those written here, and the corpus if it exists."""
    return OWN + [path.read_bytes()[:100_000] for path in sorted(CORPUS.glob("*.eml"))]


MAILS = mails()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a message and cut, flip, shuffle, repeat, relabel or splice it, one to six times."""
    raw = draw(st.sampled_from(MAILS))
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.integers(0, 8))
        at = draw(st.integers(0, len(raw)))
        to = min(len(raw), at + draw(st.integers(0, 400)))
        if kind == 0:
            raw = raw[:at]
        elif kind == 1:
            raw = raw[:at] + raw[to:]
        elif kind == 2:
            raw = raw[:at] + draw(st.binary(max_size=20)) + raw[to:]
        elif kind == 3:
            raw = raw[:at] + bytes(byte ^ (1 << draw(st.integers(0, 7))) for byte in raw[at : at + 3]) + raw[at + 3 :]
        elif kind == 4:
            lines = raw.split(b"\n")
            raw = b"\n".join(draw(st.permutations(lines[:30])) + lines[30:])
        elif kind == 5:
            raw = raw[:at] + raw[at:to] * draw(st.integers(2, 40)) + raw[to:]
        elif kind == 6:
            label = draw(st.sampled_from(LABELS))
            for known in (
                b"utf-8",
                b"UTF-8",
                b"us-ascii",
                b"iso-8859-1",
                b"ISO-8859-1",
                b"base64",
                b"quoted-printable",
                b"7bit",
            ):
                raw = raw.replace(known, label, draw(st.integers(0, 2)))
        elif kind == 7:
            raw = (
                raw.replace(b"\r\n", b"\n")
                if b"\r\n" in raw
                else raw.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\r\r\n"])))
            )
        else:
            other = draw(st.sampled_from(MAILS))
            raw = raw[:at] + other[draw(st.integers(0, len(other))) :][:2000] + raw[to:]
    return raw


@settings(max_examples=MUTATIONS, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged())
def test_damaged_messages_read(raw: bytes) -> None:
    """Every name of every damaged message reads, and every text that is shown can be encoded."""
    content = Content.from_bytes(raw)
    for name in NAMES:
        value = getattr(content, name)
        if isinstance(value, str):
            value.encode()
    if (date := content.date) is not None:
        assert date.astimezone(UTC) == date.astimezone() == date
    headers = content.headers
    assert len(headers) == len(headers.items()) == len(list(headers))
    headers.lasting_fields()
    for name, value in headers.items():
        value.encode()
        headers.parameters(name)
        assert value in headers.get_all(name)
        assert len(headers.raw(name)) == len(headers.get_all(name))
        for address in headers.addresses(name):
            str(address).encode()
    assert repr(content).isprintable()
    assert pickle.loads(pickle.dumps(content)) == content
    for attachment in content.attachments:
        assert attachment.size == len(attachment.payload)
        attachment.filename.encode()
        (attachment.text or "").encode()
        assert attachment.content is None or attachment.content.subject is not None
        safe_name(attachment.filename, attachment.content_type).encode()
