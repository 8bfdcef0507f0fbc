"""A sample mailbox: small messages, written for pymailbox, that show the variety of real mail.

They include plain text, HTML with an inline picture, attachments, several charsets, encoded words, lines that begin
with a dot, flowed text, a message without a body, and an empty one. `SAMPLES` holds them with CRLF line ends.
"""

import base64

__all__ = ["SAMPLES"]

_DOT = base64.b64decode("R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs=")  # a GIF of one red pixel


def _mail(number: int, sender: str, subject: str, *fields: str, body: bytes = b"") -> bytes:
    head = [
        f"From: {sender}",
        "To: Robin Reader <robin@example.org>",
        f"Subject: {subject}",
        f"Date: Mon, {number + 1:02} Jun 2026 {7 + number:02}:30:00 +0200",
        f"Message-ID: <sample-{number}@example.org>",
        "MIME-Version: 1.0",
        *fields,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body.replace(b"\n", b"\r\n")


def _part(payload: bytes, *fields: str) -> bytes:
    return "\n".join(fields).encode() + b"\n\n" + payload + b"\n"


def _parts(boundary: str, *parts: bytes) -> bytes:
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\n" + part for part in parts) + mark + b"--\n"


_PLAIN = _mail(
    0,
    "Ada Archer <ada@example.org>",
    "Lunch on Thursday?",
    "Content-Type: text/plain; charset=us-ascii",
    body=b"Hello Robin,\n\nshall we have lunch on Thursday, at noon, in the usual place?\n\nAda\n",
)

_HTML = _mail(
    1,
    "=?utf-8?q?Caf=C3=A9_Lumi=C3=A8re?= <news@cafe.example>",
    "=?utf-8?b?VGhlIHN1bW1lciBtZW51IOKYgA==?=",
    'Content-Type: multipart/related; boundary="menu"',
    body=_parts(
        "menu",
        _part(
            "<h1>Summer menu</h1><p>Gazpacho, <b>crêpes</b> and <i>sorbet</i>.</p>"
            '<ul><li>Mondays: closed</li><li>Tuesdays: <a href="https://cafe.example/">pancakes</a></li></ul>'
            '<img src="cid:dot" alt="a red dot">'.encode(),
            "Content-Type: text/html; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
        ),
        _part(
            base64.encodebytes(_DOT),
            "Content-Type: image/gif",
            "Content-ID: <dot>",
            "Content-Disposition: inline; filename=dot.gif",
            "Content-Transfer-Encoding: base64",
        ),
    ),
)

_ATTACHMENT = _mail(
    2,
    "Bookkeeping <books@example.com>",
    "Invoice 2026-117, with the figures",
    'Content-Type: multipart/mixed; boundary="invoice"',
    body=_parts(
        "invoice",
        _part(b"Please find the invoice and the figures attached.", "Content-Type: text/plain; charset=utf-8"),
        _part(
            base64.encodebytes(b"month;euro\nMay;1 204,50\nJune;998,00\n"),
            "Content-Type: text/csv; charset=utf-8",
            "Content-Disposition: attachment; filename*=utf-8''figures%20%E2%82%AC.csv",
            "Content-Transfer-Encoding: base64",
        ),
        _part(
            base64.encodebytes(b"%PDF-1.1\n%%EOF\n"),
            'Content-Type: application/pdf; name="invoice.pdf"',
            'Content-Disposition: attachment; filename="invoice.pdf"',
            "Content-Transfer-Encoding: base64",
        ),
    ),
)

_LATIN = _mail(
    3,
    "=?iso-8859-1?q?J=FCrgen_Sch=E4fer?= <juergen@example.de>",
    "=?iso-8859-1?q?Gr=FC=DFe_aus_M=FCnchen?=",
    "Content-Type: text/plain; charset=iso-8859-1",
    "Content-Transfer-Encoding: quoted-printable",
    body=b"Sch=F6ne Gr=FC=DFe aus M=FCnchen!\n",
)

_CYRILLIC = _mail(
    4,
    "=?koi8-r?b?4c7OwQ==?= <anna@example.net>",
    "=?koi8-r?b?8NLJ18XU?=",
    "Content-Type: text/plain; charset=koi8-r",
    "Content-Transfer-Encoding: 8bit",
    body="Привет из Казани.\n".encode("koi8-r"),
)

_JAPANESE = _mail(
    5,
    "=?iso-2022-jp?b?GyRCOzNFRBsoQg==?= <yamada@example.jp>",
    "=?iso-2022-jp?b?GyRCJCo4NTUkJEckOSQrGyhC?=",
    "Content-Type: text/plain; charset=iso-2022-jp",
    "Content-Transfer-Encoding: 7bit",
    body="お元気ですか。\n".encode("iso-2022-jp"),
)

_DOTS = _mail(
    6,
    "Configuration <root@server.example>",
    "Lines that begin with a dot",
    "Content-Type: text/plain; charset=us-ascii",
    body=b".profile\n..\n.\n...and a line that is just one dot stands above.\n",
)

_FLOWED = _mail(
    7,
    "Wanda Writer <wanda@example.org>",
    "A flowed letter",
    "Content-Type: text/plain; charset=utf-8; format=flowed",
    body=b"This paragraph was typed as one line and broken \nby the sender's program, with a blank at the end of \n"
    b"each line that goes on.\n\n> It quotes you \n> the same way.\n",
)

_NO_BODY = _mail(8, "Quiet <quiet@example.org>", "(everything is in the subject)")

_EMPTY = b""

#: The sample messages, byte for byte as a server must send them (apart from dot-stuffing).
SAMPLES: tuple[bytes, ...] = (
    _PLAIN,
    _HTML,
    _ATTACHMENT,
    _LATIN,
    _CYRILLIC,
    _JAPANESE,
    _DOTS,
    _FLOWED,
    _NO_BODY,
    _EMPTY,
)
