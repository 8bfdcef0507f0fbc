"""The drop-in and the standard library give the same results for the same transcripts of honest servers.

For dishonest servers they differ exactly as listed in docs/poplib.md.
"""

import poplib as standard
import random
import re
from typing import Any

import pytest

from pymailbox import poplib as drop_in
from tests import ROOT, case
from tests.poplib.script import outcomes

PAGE = ROOT / "docs" / "poplib.md"


# --- honest ---------------------------------------------------------------------------------------------------


class Honest:
    """One generated session, with the server's replies and the client's calls. Everything follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.newline = b"\n" if self.random.random() < 0.15 else b"\r\n"
        self.replies = [
            self.status(b"+OK") if seed % 3 else b"+OK ready <1896.697170952@pop.example.com>" + self.newline
        ]
        self.calls: list[tuple[Any, ...]] = []
        for _ in range(self.random.randrange(1, 12)):
            self.ask(self.random.choice(KINDS))
        if self.random.random() < 0.8:
            self.short("quit")
        self.sizes = [self.random.choice((1, 2, 3, 7, 60, 1000, 70_000)) for _ in range(5)]

    def text(self) -> bytes:
        words = (b"ready", b"[SYS/TEMP] later", "grüße".encode(), b"octets", b"1 2 3", b"\xff", b"<a@b>")
        return b" ".join(self.random.choices(words, k=self.random.randrange(4)))

    def status(self, token: bytes) -> bytes:
        if self.random.random() < 0.1:
            token = token.lower()
        text = self.text()
        return token + (b" " + text if text else b"") + self.newline

    def line(self) -> bytes:
        """Return a line of a message: any bytes except LF, no CR at its end and, with bare LFs, none at its start."""
        kind = self.random.random()
        if kind < 0.2:
            return self.random.choice((b"", b".", b"..", b".x", b"...", b". ", b"From x"))
        if kind < 0.3:
            return bytes(self.random.randrange(256) for _ in range(self.random.randrange(80))).translate(None, b"\r\n")
        if kind < 0.33:
            return b"z" * self.random.randrange(1900, 2040)
        if kind < 0.36:
            return b"a\rb"
        return b"Subject: " + self.text()

    def body(self, lines: list[bytes]) -> bytes:
        stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
        return b"".join(line + self.newline for line in (*stuffed, b"."))

    def short(self, *call: Any) -> None:
        self.calls.append(call)
        self.replies.append(self.status(b"-ERR" if self.random.random() < 0.2 else b"+OK"))

    def long(self, call: tuple[Any, ...], lines: list[bytes]) -> None:
        self.calls.append(call)
        if self.random.random() < 0.1:
            self.replies.append(self.status(b"-ERR"))
        else:
            self.replies.append(self.status(b"+OK") + self.body(lines))

    def ask(self, kind: str) -> None:
        number = self.random.choice((1, 2, "3", 99))
        if kind in ("retr", "top"):
            lines = [self.line() for _ in range(self.random.choice((0, 1, 2, 10, 60)))]
            self.long((kind, number) if kind == "retr" else (kind, number, 0), lines)
        elif kind in ("list", "uidl"):
            if self.random.random() < 0.3:
                self.short(kind, number)
            else:
                listing = [b"%d %d" % (n, self.random.randrange(10**6)) for n in range(self.random.randrange(30))]
                self.long((kind,), listing)
        elif kind == "capa":
            lines = [b"TOP", b"UIDL", b"SASL PLAIN LOGIN", b"EXPIRE 60 USER", b"IMPLEMENTATION Shlemazle v302"]
            self.long((kind,), lines[: self.random.randrange(6)])
        elif kind == "stat":
            self.calls.append((kind,))
            self.replies.append(self.random.choice((b"+OK 3 320", b"+OK 0 0 extra words", b"-ERR no")) + self.newline)
        elif kind == "apop":
            if b"<1896." in self.replies[0]:
                self.short(kind, "me", "secret")
        else:
            self.short(kind, *ARGUMENTS.get(kind, ()))


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "user": ("jürgen",),
    "pass_": ("se cret",),
    "rpop": ("me",),
    "dele": (7,),
    "_shortcmd": ("XTND XLST",),
}
KINDS = ["retr", "retr", "retr", "top", "list", "uidl", "capa", "stat", "apop", "noop", "rset", "utf8", *ARGUMENTS]


@pytest.mark.parametrize(
    "seeds", [range(500), pytest.param(range(500, 2000), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_honest_transcripts_have_equal_results(seeds: range) -> None:
    """Any honest conversation gives equal results, with CRLF or LF and split anywhere."""
    for seed in seeds:
        honest = Honest(seed)
        found = [outcomes(module, honest.replies, honest.calls, honest.sizes) for module in (standard, drop_in)]
        assert found[0] == found[1], f"seed {seed}"


def test_the_transcripts_cover_every_method() -> None:
    """The generator uses every method and both line ends."""
    sessions = [Honest(seed) for seed in range(300)]
    asked = {call[0] for honest in sessions for call in honest.calls}
    assert asked == {*KINDS, "quit"}
    assert {honest.newline for honest in sessions} == {b"\n", b"\r\n"}


# --- dishonest ------------------------------------------------------------------------------------------------

HELLO = b"+OK hello\r\n"
EOF = ("error_proto", ("-ERR EOF",))

#: By the name of the row in docs/poplib.md: replies, calls, the standard library's results, ours.
DISHONEST: dict[str, tuple[list[bytes], list[tuple[Any, ...]], list[Any], list[Any]]] = {
    "long lines": (
        [HELLO, b"+OK\r\n" + b"x" * 5000 + b"\r\n.\r\n"],
        [("retr", 1)],
        [("error_proto", ("line too long",))],
        [("value", (b"+OK", [b"x" * 5000], 5002))],
    ),
    "truncated message": (
        [HELLO, b"+OK\r\nSubject: x\r\n.h"],
        [("retr", 1), ("noop",)],
        [("value", (b"+OK", [b"Subject: x"], 12)), EOF],
        [EOF, EOF],
    ),
    "truncated line": (
        [HELLO, b"+OK do"],
        [("noop",)],
        [("value", b"+OK d")],
        [EOF],
    ),
    "CR at the start of a line": (
        [HELLO, b"+OK\r\n\rx\ny\r\n.\r\n"],
        [("retr", 1)],
        [("value", (b"+OK", [b"x", b"y"], 6))],
        [("value", (b"+OK", [b"\rx", b"y"], 6))],
    ),
    "bare LF before a dot": (
        [HELLO, b"+OK\r\nx\n.\r\n+OK 7 7\r\n..z\n..y\r\n.\r\n"],
        [("retr", 1), ("stat",)],
        [("value", (b"+OK", [b"x"], 2)), ("value", (7, 7))],
        [("value", (b"+OK", [b"x", b".", b"+OK 7 7", b".z", b"..y"], 22)), EOF],
    ),
    "one leading dot": (
        [HELLO, b"+OK\r\n.x\r\n.\r\n"],
        [("retr", 1)],
        [("value", (b"+OK", [b".x"], 4))],
        [("value", (b"+OK", [b"x"], 3))],
    ),
    "positive status": (
        [HELLO, b"+ERR Server error\r\n", b"+OKLAHOMA\r\n", b"+OK\r\n"],
        [("pass_", "secret"), ("noop",), ("noop",)],
        [("value", b"+ERR Server error"), ("value", b"+OKLAHOMA"), ("value", b"+OK")],
        [("error_proto", (b"+ERR Server error",)), ("error_proto", (b"+OKLAHOMA",)), ("value", b"+OK")],
    ),
    "no status": (
        [HELLO, b"\r\n", b"+OK\r\n"],
        [("dele", 1), ("quit",)],
        [("error_proto", (b"",)), ("value", b"+OK")],
        [("error_proto", (b"",)), ("error_proto", ("-ERR the server's line is not a POP3 status",))],
    ),
    "bare LF in a status": (
        [HELLO, b"+OK\n"],
        [("noop",)],
        [("value", b"+OK")],
        [("error_proto", ("-ERR a status line ends in a bare LF, unlike the ones before it",))],
    ),
    "stray replies": (
        [HELLO, b"+OK 1 1\r\n+OK 7 7\r\n", b"+OK 2 2\r\n"],
        [("stat",), ("stat",)],
        [("value", (1, 1)), ("value", (7, 7))],
        [
            ("value", (1, 1)),
            (
                "error_proto",
                ("-ERR unsolicited data from the server; the session can no longer be trusted, open a new one",),
            ),
        ],
    ),
    "stray bytes after a message": (
        [HELLO, b"+OK\r\nx\r\n.\r\nrest of it\r\n.\r\n"],
        [("retr", 1)],
        [("value", (b"+OK", [b"x"], 3))],
        [
            (
                "error_proto",
                ("-ERR unsolicited data from the server; the session can no longer be trusted, open a new one",),
            )
        ],
    ),
    "CAPA": (
        [HELLO, b"+OK\r\nSASL PLAIN\r\n\r\nSASL PLAIN LOGIN\r\nIMPLEMENTATION \xff\r\n.\r\n"],
        [("capa",)],
        [("IndexError", ("list index out of range",))],
        [("value", {"SASL": ["PLAIN", "LOGIN"], "IMPLEMENTATION": ["\\xff"]})],
    ),
    "CAPA at the end": (
        [HELLO],
        [("capa",)],
        [("error_proto", ("-ERR CAPA not supported by server",))],
        [EOF],
    ),
    "over": (
        [HELLO, b"+OK " + b"x" * 3000 + b"\r\n", b"+OK\r\n"],
        [("noop",), ("dele", 1)],
        [("error_proto", ("line too long",)), ("error_proto", (b"x" * 955,))],
        [("error_proto", ("line too long",)), ("error_proto", ("-ERR line too long",))],
    ),
}


def test_dishonest_transcripts_differ_as_listed() -> None:
    """With a dishonest server, the standard library and the drop-in do what the page says."""
    for name, (replies, calls, theirs, ours) in DISHONEST.items():
        with case(name):
            assert outcomes(standard, replies, calls)[1:] == theirs
            for size in (1, 2, 1 << 20):
                if name not in ("stray replies", "stray bytes after a message") or size > 2:
                    assert outcomes(drop_in, replies, calls, [size])[1:] == ours, size


def test_an_invalid_stat_is_error_proto() -> None:
    """STAT without two numbers is `error_proto`, as in newer versions of the standard library; a size may be negative."""
    for stat in (b"+OK\r\n", b"+OK 3\r\n", b"+OK x 1\r\n", b"+OK 1 x\r\n", b"+OK -1 3\r\n", "+OK ١ 3\r\n".encode()):
        assert outcomes(drop_in, [HELLO, stat], [("stat",)])[1] == (
            "error_proto",
            ("-ERR STAT returned no count and size",),
        )
    for module in (standard, drop_in):
        assert outcomes(module, [HELLO, b"+OK 3 -2147483648\r\n"], [("stat",)])[1] == ("value", (3, -2147483648))


def test_a_session_cut_anywhere_never_gives_a_wrong_value() -> None:
    """Results before the cut are the same; that reply and all later ones are errors, never a part of a message."""
    for seed in range(5000, 5200):
        honest = Honest(seed)
        full = outcomes(drop_in, honest.replies, honest.calls)
        at = honest.random.randrange(len(honest.replies))
        cut = honest.random.randrange(len(honest.replies[at]))
        found = outcomes(drop_in, [*honest.replies[:at], honest.replies[at][:cut]], honest.calls)
        if at == 0:
            assert found == [EOF], f"seed {seed}"
            continue
        assert found[:at] == full[:at], f"seed {seed}"
        assert found[at] == EOF, f"seed {seed}"
        assert all(kind == "error_proto" for kind, _ in found[at:]), f"seed {seed}"


def test_every_difference_has_its_row() -> None:
    """docs/poplib.md has a row of the same name for each difference in this module."""
    rows = set(re.findall(r"^\| \*\*(.+?)\*\*", PAGE.read_text("utf-8"), re.MULTILINE))
    assert set(DISHONEST) <= rows
