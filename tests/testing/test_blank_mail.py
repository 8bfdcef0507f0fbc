"""A blanked mail has the size, the lines and the parts of the original, and none of its words."""

import email
import email.policy
import re

from hypothesis import given
from hypothesis import strategies as st

from pymailbox.testing.blank_mail import blank_mail
from pymailbox.testing.samples import SAMPLES


def blanked(mail: bytes) -> bytes:
    return b"".join(blank_mail(mail.splitlines(keepends=True)))


MAILS = st.lists(
    st.one_of(
        st.sampled_from([b"--b", b"--b--", b"", b"Content-Type: multipart/mixed; boundary=b", b'\tname="secret.txt"']),
        st.binary(max_size=40),
    )
).map(b"\r\n".join)


@given(MAILS)
def test_any_mail_keeps_its_layout(mail: bytes) -> None:
    """Every byte that is not a letter, a digit or 8-bit stays where it is, so sizes, lines and dots do, too."""
    blank = blanked(mail)
    assert len(blank) == len(mail)
    kept = re.compile(rb"[^A-Za-z0-9\x80-\xff]")
    assert [(found.start(), found[0]) for found in kept.finditer(mail)] == [
        (found.start(), found[0]) for found in kept.finditer(blank)
    ]
    assert blanked(blank) == blank


def test_the_samples_keep_their_parts() -> None:
    """A parser finds the same parts with the same types and encodings, and no word of the original."""
    for mail in SAMPLES:
        before, after = (email.message_from_bytes(one, policy=email.policy.compat32) for one in (mail, blanked(mail)))
        shapes = [
            [
                (p.get_content_type(), p.get_content_charset(), p["Content-Transfer-Encoding"], p.keys())
                for p in m.walk()
            ]
            for m in (before, after)
        ]
        assert shapes[0] == shapes[1]
    everything = b"".join(map(blanked, SAMPLES))
    for word in (b"Lunch", b"ada", b"robin", b"invoice.pdf", b"figures", b"2026", b"Thursday", b"root"):
        assert word not in everything.replace(b'"invoice"', b"").replace(b"--invoice", b"")


def test_fields() -> None:
    """Of the fields, names stay; of values, only what tells how to read a part, also on folded lines."""
    mail = (
        b"Subject: Hello world\r\n and more: 7\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed;\r\n boundary="b1"; secret=x1;\r\n name*0=secret.txt; charset=utf-8\r\n\r\n'
        b"preamble\r\n--b1\r\nContent-Type: text/plain; format=flowed\r\nX-Me: you\r\n\r\nText: body\r\n--b2\r\n--b1--\r\nend"
    )
    assert blanked(mail) == (
        b"Subject: Xxxxx xxxxx\r\n xxx xxxx: 0\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed;\r\n boundary="b1"; xxxxxx=x0;\r\n name*0=xxxxxx.xxx; charset=utf-8\r\n\r\n'
        b"xxxxxxxx\r\n--b1\r\nContent-Type: text/plain; format=flowed\r\nX-Me: xxx\r\n\r\nXxxx: xxxx\r\n--x0\r\n--b1--\r\nxxx"
    )
