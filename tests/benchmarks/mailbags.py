"""The messages that the benchmarks read: the same bytes on every run and every machine.

Headers are like those of mailing lists and people today (1.4 KB): two Received, a DKIM signature, every fourth subject
and every eighth sender in encoded words. About 2 % of the lines of text begin with a dot; the large bodies are base64.

Messages of less than 2 KB have a header of four fields. Every message has a different header; bodies are taken in turn from a small pool, which saves 600 MB.
"""

import base64
import random
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

COMMON = (
    "the of and to in a is that for it was on with as be by at this from are or an have not which one you were her all "
    "their there been has when who will more no if out so said what up its about into than them can only other new some "
    "could time these two may then do first any my now such like our over man me even most made after also did many"
)
WORDS = COMMON.split()
PEOPLE = ("Ana Ruiz", "Bram de Vries", "Chidi Okafor", "Dana Levy", "Eun-ji Park", "Farah Aziz", "Greta Holm")
PEOPLE_ENCODED = ("Jürgen Groß", "Łukasz Żak", "Анна Петрова", "山田太郎")
SUBJECTS_ENCODED = ("Grüße aus München: Protokoll der Sitzung", "Счёт за октябрь", "請求書のご案内", "Réunion à jeudi")


#: The number of messages, their size in bytes, and the number of different bodies.
SHAPES = {
    "small": (10_000, 2_200, 61),
    "medium": (1_000, 75_000, 13),
    "large": (20, 25_000_000, 1),
    "far-small": (400, 2_200, 61),
    "far-medium": (400, 75_000, 13),
    "archive-small": (2_000, 4_096, 61),
    "archive-large": (50, 2_000_000, 1),
    "many": (100_000, 1_024, 61),
    "10,000": (10_000, 300, 61),
    "100,000": (100_000, 300, 61),
    "500,000": (500_000, 300, 61),
}


def shape(name: str, *, quick: bool = False) -> tuple[int, int, int]:
    """Return the shape of the mailbag with this name; `quick` means scaled down."""
    count, size, pool = SHAPES[name]
    return (max(2, count // 50), min(size, 500_000), pool) if quick else (count, size, pool)


class Mailbag(NamedTuple):
    """The messages of one mailbox: `headers` end with the empty line, and `bodies` are used in turn."""

    headers: list[bytes]
    bodies: list[bytes]

    def messages(self) -> list[bytes]:
        """Return every message as a client must return it."""
        return [header + self.bodies[index % len(self.bodies)] for index, header in enumerate(self.headers)]


def fill(name: str, *, quick: bool = False) -> Mailbag:
    """Create the mailbag with this name."""
    count, size, pool = shape(name, quick=quick)
    rng = random.Random(f"pymailbox {name}")
    signature = base64.b64encode(rng.randbytes(258)).decode()
    folded = "\r\n\t".join(signature[i : i + 72] for i in range(0, len(signature), 72))
    encoding, make = ("base64", base64_body) if name.endswith("large") else ("8bit", text_body)
    template = HEADER.replace("SIGNATURE", folded).replace("ENCODING", encoding) if size >= 2_000 else SHORT_HEADER
    headers = [(template % fields(number)).encode("ascii") for number in range(1, count + 1)]
    return Mailbag(headers, [make(rng, size - len(headers[0])) for _ in range(pool)])


def fields(number: int) -> dict[str, str]:
    """Return the parts of a header that differ from message to message."""
    moment = datetime(2024, 1, 1, 8, tzinfo=timezone(timedelta(hours=1))) + timedelta(minutes=7 * number)
    subject = f"Re: [list] {' '.join(WORDS[(number + i * 7) % len(WORDS)] for i in range(6))} #{number}"
    name, email = PEOPLE[number % len(PEOPLE)], f"person{number % 97}@example.com"
    if number % 4 == 0:
        subject = encoded(f"{SUBJECTS_ENCODED[number // 4 % len(SUBJECTS_ENCODED)]} {number}")
    if number % 8 == 0:
        name = encoded(PEOPLE_ENCODED[number // 8 % len(PEOPLE_ENCODED)])
    date = moment.strftime("%a, %d %b %Y %H:%M:%S +0100")
    return {"id": f"{number:08x}", "moment": date, "name": name, "email": email, "subject": subject}


def encoded(text: str) -> str:
    """Return `text` as one encoded word (RFC 2047)."""
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def text_body(rng: random.Random, room: int) -> bytes:
    """Return lines of words, one in fifty of which begins with a dot."""
    lines: list[str] = []
    while room > 0:
        lines.append("." * (len(lines) % 50 == 7) + " ".join(rng.choices(WORDS, k=12)) + "\r\n")
        room -= len(lines[-1])
    return "".join(lines).encode("ascii")


def base64_body(rng: random.Random, room: int) -> bytes:
    """Return lines of base64 with 76 characters each, as in an attachment."""
    unit = base64.encodebytes(rng.randbytes(57 * 10_000)).replace(b"\n", b"\r\n")
    whole, rest = divmod(room, len(unit))
    return unit * whole + unit[: rest // 78 * 78]


HEADER = """\
Return-Path: <bounce-%(id)s@lists.example.com>
Delivered-To: reader@example.net
Received: from mx1.example.net (mx1.example.net [192.0.2.25])
\tby store7.example.net with LMTP id %(id)s
\tfor <reader@example.net>; %(moment)s
Received: from out4.lists.example.com (out4.lists.example.com [198.51.100.7])
\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))
\tby mx1.example.net (Postfix) with ESMTPS id 4T%(id)s
\tfor <reader@example.net>; %(moment)s
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s2024;
\th=from:to:subject:date:message-id:mime-version:content-type;
\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;
\tb=SIGNATURE
Message-ID: <%(id)s.20240101@lists.example.com>
Date: %(moment)s
From: %(name)s <%(email)s>
To: "Reader, The" <reader@example.net>, Others <others@lists.example.com>
Subject: %(subject)s
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: ENCODING
List-Id: <list.lists.example.com>

""".replace("\n", "\r\n")
SHORT_HEADER = """\
Message-ID: <%(id)s.20240101@lists.example.com>
Date: %(moment)s
From: %(name)s <%(email)s>
Subject: %(subject)s

""".replace("\n", "\r\n")
