"""The messages on the real servers, and the exact bytes a correct client reads from them.

Every message is computed, so its bytes are the same on each run and each machine. `mails()` is in the order of message
numbers. The other functions say how each kind of store sends a message; `tests/servers/test_servers.py` verifies these
rules with the servers themselves.
"""

import base64
import hashlib
import re
from functools import cache

from attrs import frozen

__all__ = ["Mail", "crlf", "crlf_always", "from_quoted", "mails"]

ENVELOPE = b"From alice@example.org Mon Jan  2 00:00:00 2023\n"


@frozen
class Mail:
    """One message as stored, named after what is awkward about it."""

    name: str
    raw: bytes

    def __repr__(self) -> str:
        return f"<Mail {self.name}: {len(self.raw)} bytes>"


def crlf(raw: bytes) -> bytes:
    """Return what a server must send for a message in a Maildir: CRLF for each lone LF, and CRLF at the end.

    An existing CRLF and a lone CR stay unchanged.
    """
    text = re.sub(rb"(?<!\r)\n", b"\r\n", raw)
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def crlf_always(raw: bytes) -> bytes:
    """Return what courier and popa3d send, which put a CR before every LF, even after another CR."""
    text = raw.replace(b"\n", b"\r\n")
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def from_quoted(raw: bytes) -> bytes:
    """Return a message as stored in an mbox: ``>`` before each line that begins with any ``>`` and ``From ``."""
    return re.sub(rb"(?m)^(>*From )", rb">\1", raw)


def header(number: int, subject: bytes, *fields: bytes, sender: bytes = b"Alice <alice@example.org>") -> bytes:
    """Return the header of a message, with LF line ends, without the empty line after it."""
    date = b"Mon, 02 Jan 2023 %02d:%02d:00 +0000" % (number % 24, number % 60)
    lines = (
        b"Return-Path: <alice@example.org>",
        b"From: " + sender,
        b"To: Tester <tester@example.org>",
        b"Subject: " + subject,
        b"Date: " + date,
        b"Message-ID: <seed-%04d@example.org>" % number,
        b"MIME-Version: 1.0",
        *fields,
    )
    return b"\n".join(lines) + b"\n"


def noise(seed: str, size: int) -> bytes:
    """Return `size` incompressible bytes, always the same for the same seed."""
    blocks = (hashlib.sha256(b"%s %d" % (seed.encode(), block)).digest() for block in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def attachment(number: int, subject: bytes, filename: bytes, payload: bytes) -> bytes:
    """Return a message with one line of text and one attachment in base64."""
    return (
        header(number, subject, b'Content-Type: multipart/mixed; boundary="edge"')
        + b"\n--edge\nContent-Type: text/plain\n\nsee the attachment\n--edge\n"
        + b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
        + b'Content-Disposition: attachment; filename="' + filename + b'"\n\n'
        + base64.encodebytes(payload)
        + b"--edge--\n"
    )  # fmt: skip


@cache
def mails() -> tuple[Mail, ...]:
    """Return the messages in the order of their numbers; about 6 MB in all, computed once."""
    plain = header(1, b"plain") + b"\nHello, world.\nSecond line.\n"
    html = b'<html><body><p>Dear <b>tester</b>,</p><p>caf&eacute; &amp; more</p><img src="cid:dot@example.org"></body></html>\n'
    pixel = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    found = [
        Mail("plain", plain),
        Mail("dots", header(2, b"dots") + b"\n.\n..\n...\n.hidden\n. space\nplain\n.\n"),
        Mail("no final newline", header(3, b"no final newline") + b"\nline one\nlast line without newline"),
        Mail("empty body", header(4, b"empty body") + b"\n"),
        Mail("no blank line", header(5, b"no blank line at all")),
        Mail(
            "8-bit",
            header(6, b"8bit", b"Content-Type: text/plain; charset=iso-8859-1", b"Content-Transfer-Encoding: 8bit")
            + b"\ncaf\xe9 na\xefve \xff\xfe \x80\n"
            + "UTF-8: žluťoučký кот 猫\n".encode(),
        ),
        Mail("5 MB", attachment(7, b"5 MB attachment", b"big.bin", noise("big", 5_000_000))),
        Mail("line of 20,000", header(8, b"20000 character line") + b"\n" + b"x" * 20000 + b"\nafter\n"),
        Mail("stored with CRLF", (header(9, b"CRLF") + b"\nbody\n.dot\nend\n").replace(b"\n", b"\r\n")),
        Mail(
            "CRLF and LF",
            header(10, b"mixed").replace(b"\n", b"\r\n")
            + b"\r\nCRLF line\r\nLF line\n.dot after LF\nCRLF again\r\n",
        ),
        Mail("bare CR", header(11, b"bare CR") + b"\nbefore\rafter\n\r.\rx\n\r\r\nend\n"),
        Mail(
            "UTF-8 header",
            header(
                12, "přílišně žluťoučký кот 猫 🐈".encode(), sender="Jiří <jiří@example.org>".encode()
            )
            + "\nbody ž\n".encode(),
        ),
        Mail("encoded words", header(13, b"=?utf-8?B?xb5sdcWlb3XEjWvDvQ==?= =?utf-8?Q?_k=C5=AF=C5=88?=") + b"\nbody\n"),
        Mail("NUL", header(14, b"NUL octet") + b"\nbefore\x00after\n\x00\nend\n"),
        Mail(
            "From lines",
            header(15, b"From lines")
            + b"\nFrom here to there\n>From quoted\n>>From twice\n\n"
            + ENVELOPE
            + b"not a separator?\n",
        ),
        Mail("the same as 1", plain),
        Mail("line of 998", header(17, b"998 character line") + b"\n" + b"y" * 998 + b"\n"),
        Mail("only a dot", header(18, b"only a dot") + b"\n.\n"),
        Mail("no header", b"\nbody without any header\n"),
        Mail("blank lines at the end", header(20, b"trailing blanks") + b"\nx\n\n\n\n"),
        Mail("dots at 4,096", header(21, b"dots at the edges of 4096") + b"\n" + (b"z" * 4095 + b"\n.dot\n") * 3),
        Mail("long header line", header(22, b"long header " + b"h" * 5000) + b"\nbody\n"),
        Mail("500 header fields", header(23, b"many headers", *(b"X-H-%d: v" % n for n in range(500))) + b"\nbody\n"),
        Mail(
            "1,000 lines",
            header(24, b"1000 lines")
            + b"\n"
            + b"".join(b".%d\n" % n if n % 7 == 0 else b"line %d\n" % n for n in range(1000)),
        ),
        Mail(
            "alternative",
            header(25, b"text and html", b'Content-Type: multipart/alternative; boundary="edge"')
            + b"\n--edge\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
            + b"Dear tester,=\n\ncaf=C3=A9 & more\n"
            + b"--edge\nContent-Type: text/html; charset=utf-8\n\n" + html + b"--edge--\n",
        ),
        Mail(
            "related",
            header(26, b"html with a picture", b'Content-Type: multipart/related; boundary="edge"')
            + b"\n--edge\nContent-Type: text/html; charset=utf-8\n\n" + html
            + b"--edge\nContent-Type: image/gif\nContent-ID: <dot@example.org>\nContent-Transfer-Encoding: base64\n\n"
            + base64.encodebytes(pixel) + b"--edge--\n",
        ),
        Mail("folded header", header(27, b"a subject\n that goes on\n\tand on", b"To: a@example.org,\n b@example.org") + b"\nbody\n"),
        Mail(
            "a mail in a mail",
            header(28, b"Fwd: plain", b'Content-Type: multipart/mixed; boundary="edge"')
            + b"\n--edge\nContent-Type: message/rfc822\n\n" + plain + b"\n--edge--\n",
        ),
        Mail("CR before LF of a dot", header(29, b"CR LF edges") + b"\nend\r\n.\r\nafter\r\r\n..\r\n.\n"),
        Mail("quoted dots", header(30, b"dots again") + b"\n" + b"." * 5000 + b"\n" + b".\n" * 500),
        Mail("looks like the end", header(31, b"ends") + b"\n+OK\n-ERR\n.\n+OK 2 octets\n\n.\n\n"),
        Mail("one octet body", header(32, b"one octet") + b"\nx"),
        Mail("dot and no newline", header(33, b"ends with a dot") + b"\nx\n."),
        Mail("CR at the end", header(34, b"ends with CR") + b"\nx\r"),
        Mail("tabs and blanks", header(35, b"  blanks  ") + b"\n \t \n\t.\n . \n.\t\n"),
        Mail("control octets", header(36, b"control") + b"\n" + bytes(n for n in range(1, 32) if n not in (10, 13)) + b"\x7f\n"),
        Mail("all octets above 127", header(37, b"high octets") + b"\n" + bytes(range(128, 256)) * 20 + b"\n"),
        Mail("no subject", header(38, b"gone").replace(b"Subject: gone\n", b"") + b"\nno subject\n"),
        Mail("a broken date", header(39, b"date").replace(b"Mon, 02 Jan 2023", b"Someday") + b"\nbody\n"),
        Mail("file name", attachment(40, b"a file name", b"../../etc/passwd", b"not a password\n")),
        Mail("UTF-7", header(41, b"UTF-7", b"Content-Type: text/plain; charset=utf-7") + b"\nHi +Jjo-!\n"),
        Mail("quoted-printable dots", header(42, b"QP", b"Content-Transfer-Encoding: quoted-printable") + b"\n=2E\n.=\n.\n=\n.\n"),
        Mail("70,000 octets", header(43, b"medium") + b"\n" + base64.encodebytes(noise("medium", 51_000))),
        Mail("300,000 octets", header(44, b"larger") + b"\n" + base64.encodebytes(noise("larger", 220_000))),
        Mail("1,000 blank lines", header(45, b"blank lines") + b"\n" + b"\n" * 1000),
        Mail("line of 200,000", header(46, b"very long line") + b"\n" + b"." + b"w" * 200_000),
        Mail("duplicate fields", header(47, b"first", b"Subject: second", b"From: Bob <bob@example.org>") + b"\nbody\n"),
        Mail("empty fields", header(48, b"", b"X-Empty:", b"Cc: ") + b"\nbody\n"),
    ]  # fmt: skip
    for number in range(len(found) + 1, 61):
        size = 1 << (number - 46)  # 8 bytes to 32 KB, around the buffer sizes of servers and clients
        body = base64.encodebytes(noise(f"generated {number}", size))
        found.append(Mail(f"generated {number}", header(number, b"generated %d" % number) + b"\n" + body))
    return tuple(found)
