"""The mail the benchmarks read: the same octets on every run and every machine.

Headers are what a mailing list or a person sends today (1.4 KB): two Received, a DKIM signature, every fourth subject
and every eighth sender in encoded words. About 2 % of the lines of text begin with a dot; the large bodies are base64.

Every message has a header of its own; bodies are taken in turn from a small pool, so that a process that only wants to
know what is right need not hold 600 MB.
"""

import base64
import random
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

__all__ = ["Mailbag", "fill", "shape"]

COMMON = (
    "the of and to in a is that for it was on with as be by at this from are or an have not which one you were her all "
    "their there been has when who will more no if out so said what up its about into than them can only other new some "
    "could time these two may then do first any my now such like our over man me even most made after also did many"
)
WORDS = COMMON.split()
PEOPLE = ("Ana Ruiz", "Bram de Vries", "Chidi Okafor", "Dana Levy", "Eun-ji Park", "Farah Aziz", "Greta Holm")
PEOPLE_ENCODED = ("Jürgen Groß", "Łukasz Żak", "Анна Петрова", "山田太郎")
SUBJECTS_ENCODED = (
    "Grüße aus München: Protokoll der Sitzung",
    "Счёт за октябрь",
    "請求書のご案内",
    "Réunion déplacée à jeudi",
)


class Shape(NamedTuple):
    """How many messages a mailbag has, of how many octets, and how many different bodies."""

    count: int
    size: int
    pool: int


SHAPES = {
    "small": Shape(10_000, 2_200, 61),
    "medium": Shape(1_000, 75_000, 13),
    "large": Shape(20, 25_000_000, 1),
    "far-small": Shape(400, 2_200, 61),
    "far-medium": Shape(400, 75_000, 13),
}


def shape(name: str, *, quick: bool = False) -> Shape:
    """Say what the mailbag of this name is made of; `quick` is the scaled-down one."""
    count, size, pool = SHAPES[name]
    return Shape(max(2, count // 50), min(size, 500_000), pool) if quick else SHAPES[name]


class Mailbag(NamedTuple):
    """The messages of one mailbox: `headers` end with the empty line, bodies repeat in turn."""

    headers: list[bytes]
    bodies: list[bytes]

    def __len__(self) -> int:
        return len(self.headers)

    def raw(self, number: int) -> bytes:
        """Give message `number`, counted from 1, as the client has to return it."""
        return self.headers[number - 1] + self.bodies[(number - 1) % len(self.bodies)]

    def size(self, number: int) -> int:
        """Give the octets of message `number`."""
        return len(self.headers[number - 1]) + len(self.bodies[(number - 1) % len(self.bodies)])


def fill(name: str, *, quick: bool = False) -> Mailbag:
    """Make the mailbag of this name."""
    plan = shape(name, quick=quick)
    rng = random.Random(f"pymailbox {name}")
    signature = base64.b64encode(rng.randbytes(258)).decode()
    folded = "\r\n\t".join(signature[i : i + 72] for i in range(0, len(signature), 72))
    encoding, make = ("base64", base64_body) if name == "large" else ("8bit", text_body)
    template = HEADER.replace("SIGNATURE", folded).replace("ENCODING", encoding)
    start = datetime(2024, 1, 1, 8, tzinfo=timezone(timedelta(hours=1)))
    headers = []
    for number in range(1, plan.count + 1):
        moment = (start + timedelta(minutes=7 * number)).strftime("%a, %d %b %Y %H:%M:%S +0100")
        sender_name, email = sender(number)
        fields = {"id": f"{number:08x}", "moment": moment, "name": sender_name, "email": email}
        headers.append((template % {**fields, "subject": subject(number)}).encode("ascii"))
    room = plan.size - len(headers[0])
    return Mailbag(headers, [make(rng, room) for _ in range(plan.pool)])


def subject(number: int) -> str:
    """Give the Subject of message `number`, in encoded words every fourth time."""
    if number % 4 == 0:
        return encoded(f"{SUBJECTS_ENCODED[number // 4 % len(SUBJECTS_ENCODED)]} {number}")
    return f"Re: [list] {' '.join(WORDS[(number + i * 7) % len(WORDS)] for i in range(6))} #{number}"


def sender(number: int) -> tuple[str, str]:
    """Give name and address of the sender of message `number`, the name in encoded words every eighth time."""
    if number % 8 == 0:
        return encoded(PEOPLE_ENCODED[number // 8 % len(PEOPLE_ENCODED)]), f"person{number % 97}@example.org"
    return PEOPLE[number % len(PEOPLE)], f"person{number % 97}@example.com"


def encoded(text: str) -> str:
    """Write `text` as one encoded word of RFC 2047."""
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def text_body(rng: random.Random, room: int) -> bytes:
    """Make lines of words, one in fifty beginning with a dot."""
    lines: list[str] = []
    left = room
    while left > 0:
        line = " ".join(rng.choices(WORDS, k=12))
        if len(lines) % 50 == 7:
            line = "." + line
        lines.append(line)
        left -= len(line) + 2
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def base64_body(rng: random.Random, room: int) -> bytes:
    """Make lines of base64, 76 characters each, as an attachment has them."""
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
List-Unsubscribe: <https://lists.example.com/u/%(id)s>

""".replace("\n", "\r\n")
