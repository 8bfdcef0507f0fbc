"""The test server really shows each quirk on the wire, seen through a plain socket. `SHOWN` has one check per quirk."""

import base64
import hashlib
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from pymailbox.testing import Quirk, Server, quirky_mail
from tests import case
from tests.testing.by_hand import MAILS, Hand, settle, talk
from tests.timing import GENEROUS

Check = Callable[[Quirk], None]
SHOWN: dict[Quirk, Check] = {}


def shows(quirk: Quirk) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        SHOWN[quirk] = check
        return check

    return register


def test_every_quirk_is_shown() -> None:
    """Every member of Quirk has a check in this module and passes it."""
    for quirk in Quirk:
        with case(quirk.name):
            SHOWN[quirk](quirk)


def test_quirks_combine() -> None:
    """Members combined with | or passed in a set are all shown."""
    for given in (Quirk.BARE_STATUS | Quirk.LOWERCASE_STATUS, {Quirk.BARE_STATUS, Quirk.LOWERCASE_STATUS}):
        with Server(MAILS, quirks=given) as server:
            assert (
                talk(server, b"STAT", b"NOOP", b"LIST 9", b"QUIT")
                == b"+ok\r\n+ok\r\n+ok\r\n+ok 3 105\r\n+ok\r\n-err\r\n+ok\r\n"
            )
    with Server(MAILS, quirks=Quirk(0)) as server:
        assert talk(server, b"QUIT").endswith(b"+OK bye\r\n")


def test_a_quirk_changes_nothing_else() -> None:
    """Misuse and features that are switched off are refused with the same text by a server with unrelated quirks."""
    quirks = Quirk.ROUNDED_SIZES | Quirk.PLUS_ERR_ON_PASS | Quirk.PLAINTEXT_AFTER_STLS
    before = (b"STLS now", b"STLS", b"UTF8 now", b"USER", b"PASS secret", b"LANG xx")
    after = [b"STAT 1", b"TOP 1", b"TOP 1 x", b"TOP 1 -1", b"CAPA x", b"RSET x", b"NOOP x", b"QUIT x"]
    after += [
        verb + number for verb in (b"RETR ", b"DELE ", b"LIST ", b"UIDL ") for number in (b"0", b"4", b"x", b"1 2")
    ]
    after += [b"TOP 4 0", b"DELE 1", b"DELE 1", b"RETR 1", b"TOP 1 0", b"UIDL 1", b"LIST 1", b"QUIT"]
    cases: tuple[dict[str, Any], ...] = ({}, {"top": False, "uidl": False, "utf8": False, "lang": {}})
    for options in cases:
        with case(options):
            answers = []
            for given in (Quirk(0), quirks):
                with Server(MAILS, quirks=given, **options) as server:
                    answers.append(talk(server, *after, login=[*before, b"USER me", b"PASS secret"]))
            assert answers[0] == answers[1]
            # Only the login, one DELE and QUIT are accepted.
            assert answers[0].count(b"-ERR ") == len(before) + len(after) - 2


def replies(quirk: Quirk, *lines: bytes, source: Any = MAILS, **options: Any) -> bytes:
    """Return everything the server sends after login, in reply to these commands, until it closes."""
    with Server(source, quirks=quirk, **options) as server, Hand(server) as hand:
        hand.until(b"\n")
        hand.ask(b"USER me", b"\n")
        hand.ask(b"PASS secret", b"\n")
        hand.send(*lines)
        return hand.rest()


def before_login(quirk: Quirk, *lines: bytes, **options: Any) -> bytes:
    """Return the greeting and the replies to commands before login, until the server closes."""
    with Server(MAILS, quirks=quirk, **options) as server, Hand(server) as hand:
        hand.send(*lines)
        return hand.rest()


SIZES = [len(mail) for mail in MAILS]
GREETING = b"+OK pymailbox test server ready\r\n"


@shows(Quirk.BARE_STATUS)
def _(quirk: Quirk) -> None:
    assert before_login(quirk, b"NOOP", b"QUIT") == b"+OK\r\n-ERR\r\n+OK\r\n"
    got = replies(quirk, b"STAT", b"LIST 1", b"LIST", b"RETR 2", b"DELE 1", b"QUIT")
    assert got.startswith(b"+OK 3 105\r\n+OK 1 %d\r\n+OK\r\n1 %d\r\n" % (SIZES[0], SIZES[0]))
    assert got.endswith(b"+OK\r\n" + MAILS[1] + b".\r\n+OK\r\n+OK\r\n")


@shows(Quirk.GLUED_STATUS)
def _(quirk: Quirk) -> None:
    assert before_login(quirk, b"NOOP", b"QUIT") == b"+OKpymailbox test server ready\r\n-ERRlog in first\r\n+OKbye\r\n"


@shows(Quirk.LOWERCASE_STATUS)
def _(quirk: Quirk) -> None:
    assert (
        before_login(quirk, b"NOOP", b"QUIT") == b"+ok pymailbox test server ready\r\n-err log in first\r\n+ok bye\r\n"
    )
    assert replies(quirk, b"RETR 2", b"QUIT").startswith(b"+ok %d octets\r\nSubject: " % SIZES[1])


@shows(Quirk.PLUS_ERR_ON_PASS)
def _(quirk: Quirk) -> None:
    assert b"\r\n+ERR Server error\r\n" in before_login(quirk, b"USER me", b"PASS wrong", b"QUIT")
    assert b"+ERR" not in before_login(quirk, b"USER me", b"PASS secret", b"QUIT")


@shows(Quirk.EMPTY_LINE_FOR_DELE)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"DELE 1", b"NOOP", b"QUIT") == b"\r\n+OK still here\r\n+OK bye\r\n"


@shows(Quirk.TWO_STATUS_LINES_FOR_TOP)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"TOP 2 0", b"QUIT").startswith(b"+OK\r\n+OK top follows\r\nSubject: second\r\n")


@shows(Quirk.FAKE_TIMESTAMP)
def _(quirk: Quirk) -> None:
    assert b" <12.345.ready>\r\n" in before_login(quirk, b"QUIT")


@shows(Quirk.REFUSES_APOP)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server, Hand(server) as hand:
        stamp = b"<" + hand.until().partition(b"<")[2].strip()
        assert b"@" in stamp
        digest = hashlib.md5(stamp + b"secret").hexdigest().encode()
        assert hand.ask(b"APOP me " + digest).startswith(b"-ERR")


@shows(Quirk.GREETS_AS_IMAP)
def _(quirk: Quirk) -> None:
    assert before_login(quirk, b"QUIT").startswith(b"* OK [CAPABILITY IMAP4rev1]")


@shows(Quirk.GREETS_WITH_TLS)
def _(quirk: Quirk) -> None:
    assert before_login(quirk) == b"\x15\x03\x03\x00\x02\x02\x28"


@shows(Quirk.REFUSES_SERVICE)
def _(quirk: Quirk) -> None:
    assert before_login(quirk).startswith(b"-ERR [SYS/TEMP] ")


@shows(Quirk.NEEDS_WHOLE_COMMANDS)
def _(quirk: Quirk) -> None:
    pause = 0.15
    while True:
        with Server(MAILS, quirks=quirk) as server, Hand(server) as hand:
            hand.login()
            assert hand.ask(b"NOOP").startswith(b"+OK")
            hand.sock.sendall(b"NO")
            assert hand.silent(pause)
            hand.sock.sendall(b"OP\r\n")
            if (got := hand.until()).startswith(b"-ERR"):
                assert hand.rest() == b""
                return
        assert got.startswith(b"+OK")
        pause *= 2  # on a busy machine the server may have received both pieces at once
        assert pause < GENEROUS


@shows(Quirk.REFUSES_TRAILING_SPACE)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"NOOP ", b"NOOP", b"QUIT").startswith(b"-ERR trailing space not allowed\r\n+OK ")


@shows(Quirk.NEEDS_CRLF)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server, Hand(server) as hand:
        hand.until()
        hand.sock.sendall(b"NOOP\n")
        assert hand.silent()


@shows(Quirk.REFUSES_LONG_COMMANDS)
def _(quirk: Quirk) -> None:
    assert (
        replies(quirk, b"NOOP" + b" " * 249, b"NOOP" + b" " * 250, b"NOOP")
        == b"+OK still here\r\n-ERR command line too long\r\n"
    )


@shows(Quirk.NO_CAPA)
def _(quirk: Quirk) -> None:
    assert before_login(quirk, b"CAPA", b"QUIT").endswith(b"-ERR unknown command\r\n+OK bye\r\n")


@shows(Quirk.CLOSES_ON_CAPA)
def _(quirk: Quirk) -> None:
    assert before_login(quirk, b"CAPA", b"QUIT") == GREETING


@shows(Quirk.HANGS_ON_CAPA)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server, Hand(server) as hand:
        hand.until()
        hand.send(b"CAPA", b"NOOP")
        assert hand.silent()
        hand.send(b"QUIT")
        assert hand.silent()


@shows(Quirk.SHORT_CAPA_BEFORE_LOGIN)
def _(quirk: Quirk) -> None:
    for names, got in ((False, before_login(quirk, b"CAPA", b"QUIT")), (True, replies(quirk, b"CAPA", b"QUIT"))):
        assert [line in got for line in (b"\r\nTOP\r\n", b"\r\nUIDL\r\n", b"\r\nSASL ")] == [names] * 3
        assert b"\r\nPIPELINING\r\n" in got


@shows(Quirk.NO_CAPA_AFTER_LOGIN)
def _(quirk: Quirk) -> None:
    assert b"\r\nUIDL\r\n" in before_login(quirk, b"CAPA", b"QUIT")
    assert replies(quirk, b"CAPA", b"QUIT").startswith(b"-ERR")


@shows(Quirk.HANGS_UP_ON_PIPELINE)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"NOOP", b"NOOP", b"QUIT") == b"+OK still here\r\n"


@shows(Quirk.UIDL_UNLISTED)
def _(quirk: Quirk) -> None:
    got = replies(quirk, b"CAPA", b"UIDL 1", b"QUIT")
    assert b"UIDL\r\n" not in got
    assert b"\r\n.\r\n+OK 1 " in got


@shows(Quirk.UIDL_REFUSED)
def _(quirk: Quirk) -> None:
    got = replies(quirk, b"UIDL", b"UIDL 1", b"CAPA", b"QUIT")
    assert got.count(b"-ERR") == 2
    assert b"\r\nUIDL\r\n" in got


@shows(Quirk.TOP_UNLISTED)
def _(quirk: Quirk) -> None:
    got = replies(quirk, b"CAPA", b"TOP 2 0", b"QUIT")
    assert b"TOP\r\n" not in got
    assert b"\r\n+OK\r\nSubject: second\r\n" in got


@shows(Quirk.TOP_REFUSED)
def _(quirk: Quirk) -> None:
    got = replies(quirk, b"TOP 1 0", b"CAPA", b"QUIT")
    assert got.startswith(b"-ERR")
    assert b"\r\nTOP\r\n" in got


@shows(Quirk.MALFORMED_CAPA)
def _(quirk: Quirk) -> None:
    got = before_login(quirk, b"CAPA", b"QUIT")
    for line in (b"", b"RESP-CODE", b"LAST", b"UTF8=USER", b"x-\xfcmlaut"):
        assert b"\r\n" + line + b"\r\n" in got


@shows(Quirk.ENDLESS_CAPA)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server, Hand(server) as hand:
        hand.send(b"CAPA")
        assert hand.until().startswith(b"+OK")
        data = b""
        while len(data) < 150_000:
            data += hand.some()
        assert b"\r\n.\r\n" not in data


@shows(Quirk.STLS_REFUSED)
def _(quirk: Quirk) -> None:
    got = before_login(quirk, b"CAPA", b"STLS", b"NOOP", b"QUIT", security="starttls")
    assert b"\r\nSTLS\r\n" in got
    assert b"\r\n.\r\n-ERR TLS is not available\r\n-ERR log in first\r\n" in got


@shows(Quirk.STLS_HANDSHAKE_FAILS)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk, security="starttls") as server, Hand(server) as hand:
        hand.until()
        assert hand.ask(b"STLS").startswith(b"+OK")
        assert hand.rest() == b"-ERR TLS is not available\r\n"


@shows(Quirk.PLAINTEXT_AFTER_STLS)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk, security="starttls") as server, Hand(server) as hand:
        hand.until()
        assert hand.ask(b"STLS") == b"+OK begin TLS\r\n"
        assert hand.until() == b"+OK injected\r\n"
        hand.start_tls(server.client_context())
        assert hand.ask(b"QUIT") == b"+OK bye\r\n"


@shows(Quirk.ANSWERS_PLAINTEXT_IN_TLS)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk, security="starttls") as server, Hand(server) as hand:
        hand.until()
        assert hand.ask(b"STLS\r\nUSER injected") == b"+OK begin TLS\r\n"
        hand.start_tls(server.client_context())
        assert hand.until() == b"+OK send the password\r\n"


@shows(Quirk.AUTH_NEEDS_TWO_LINES)
def _(quirk: Quirk) -> None:
    assert (
        before_login(quirk, b"AUTH PLAIN AG1lAHNlY3JldA==")
        == GREETING + b"-ERR Protocol error. Connection is closed. 10\r\n"
    )
    assert b"+OK 3 messages" in before_login(quirk, b"AUTH PLAIN", b"AG1lAHNlY3JldA==", b"QUIT")


@shows(Quirk.AUTH_NEEDS_INITIAL_RESPONSE)
def _(quirk: Quirk) -> None:
    got = before_login(quirk, b"AUTH PLAIN", b"AUTH PLAIN AG1lAHNlY3JldA==", b"QUIT")
    assert got.endswith(b"-ERR initial response required\r\n+OK 3 messages\r\n+OK bye\r\n")


@shows(Quirk.OK_AS_CONTINUATION)
def _(quirk: Quirk) -> None:
    got = before_login(quirk, b"AUTH PLAIN", b"AG1lAHNlY3JldA==", b"QUIT")
    assert got == GREETING + b"+OK\r\n+OK 3 messages\r\n+OK bye\r\n"
    challenge = base64.b64encode(b"Username:")
    assert b"\r\n+OK " + challenge + b"\r\n" in before_login(quirk, b"AUTH LOGIN", b"*", b"QUIT", sasl=["LOGIN"])


@shows(Quirk.TEXT_AS_CHALLENGE)
def _(quirk: Quirk) -> None:
    got = before_login(quirk, b"AUTH PLAIN", b"AG1lAHNlY3JldA==", b"QUIT")
    assert got == GREETING + b"+ go ahead\r\n+OK 3 messages\r\n+OK bye\r\n"


@shows(Quirk.ENDLESS_CHALLENGES)
def _(quirk: Quirk) -> None:
    got = before_login(quirk, b"AUTH PLAIN", *[b"eA=="] * 50, b"*", b"QUIT")
    assert got.count(b"+ ") == 51
    assert got.endswith(b"-ERR cancelled\r\n+OK bye\r\n")


@shows(Quirk.STAT_REFUSED)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"STAT", b"QUIT").startswith(b"-ERR login allowed only every 15 minutes\r\n")


@shows(Quirk.LOCK_WITHOUT_CODE)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk, lock_wait=0.01) as server, Hand(server) as first:
        first.login()
        got = talk(server, b"QUIT")
        assert b"-ERR Unable to lock" in got
        assert b"[" not in got


@shows(Quirk.EXCEEDS_LOGIN_LIMIT)
def _(quirk: Quirk) -> None:
    got = replies(quirk, b"RETR 1", b"RETR 2", b"RETR 3", b"RETR 1", b"QUIT")
    assert got.endswith(b".\r\n-ERR Exceeded the login limit\r\n-ERR Exceeded the login limit\r\n+OK bye\r\n")


@shows(Quirk.CLOSES_AFTER_BAD_LOGIN)
def _(quirk: Quirk) -> None:
    assert before_login(quirk, b"USER me", b"PASS x", b"QUIT").endswith(b"-ERR [AUTH] wrong user or password\r\n")


@shows(Quirk.LOSES_WHAT_FOLLOWS_PASS)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server, Hand(server) as hand:
        hand.until()
        hand.ask(b"USER me")
        assert hand.ask(b"PASS secret\r\nNOOP") == b"+OK 3 messages\r\n"
        assert hand.silent()
        assert hand.ask(b"NOOP") == b"+OK still here\r\n"


@shows(Quirk.NEGATIVE_STAT_SIZE)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"STAT", b"QUIT").startswith(b"+OK 3 -%d\r\n" % (2**32 - sum(SIZES)))


@shows(Quirk.STAT_WITHOUT_SIZE)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"STAT", b"QUIT").startswith(b"+OK 3\r\n")


@shows(Quirk.STAT_SIZE_IN_WORDS)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"STAT", b"QUIT").startswith(b"+OK 3 octets\r\n")


@shows(Quirk.STAT_COUNTS_LESS)
def _(quirk: Quirk) -> None:
    got = replies(quirk, b"STAT", b"LIST", b"QUIT")
    assert got.startswith(b"+OK 2 ")
    assert b"\r\n3 " in got


@shows(Quirk.EMPTY_LIST_REFUSED)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"STAT", b"LIST", b"UIDL", b"QUIT", source=()).count(b"-ERR there is nothing to list") == 2
    assert b"-ERR" not in replies(quirk, b"LIST", b"QUIT")


def lines(quirk: Quirk, command: bytes, source: Any = MAILS) -> list[bytes]:
    """Return the lines of a listing between its status line and the final dot."""
    whole = replies(quirk, command, b"QUIT", source=source)
    assert whole.endswith(b"\r\n.\r\n+OK bye\r\n")
    return whole.split(b"\r\n")[1:-3]


@shows(Quirk.LIST_WITHOUT_SIZE)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"LIST") == [b"1", b"2 %d" % SIZES[1], b"3"]


@shows(Quirk.LIST_JUNK_SIZE)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"LIST")[:2] == [b"1 %%!d(float64=%d)" % SIZES[0], b"2 %d" % SIZES[1]]


@shows(Quirk.LIST_EXTRA_FIELDS)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"LIST")[1] == b"2 %d seen 0" % SIZES[1]


@shows(Quirk.LIST_EXTRA_SPACES)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"LIST")[1] == b"2  \t %d" % SIZES[1]


@shows(Quirk.ROUNDED_SIZES)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"LIST") == [b"1 1024", b"2 1024", b"3 1024"]


@shows(Quirk.SINGLE_LISTING_MULTILINE)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"LIST 2") == [b"2 %d" % SIZES[1]]
    assert lines(quirk, b"UIDL 2")[0].startswith(b"2 ")


@shows(Quirk.SINGLE_LISTING_WITHOUT_NUMBER)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"LIST 2", b"QUIT").startswith(b"+OK %d\r\n" % SIZES[1])


UIDS = [line.split(b" ")[1] for line in lines(Quirk(0), b"UIDL")]


@shows(Quirk.SPACES_BEFORE_UID)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"UIDL") == [b"%d   %s" % (n, uid) for n, uid in enumerate(UIDS, 1)]


@shows(Quirk.OK_PREFIX_ON_UIDL)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"UIDL") == [b"+OK %d %s" % (n, uid) for n, uid in enumerate(UIDS, 1)]


@shows(Quirk.BLANK_UID)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"UIDL") == [b"1 ", b"2 " + UIDS[1], b"3 "]


@shows(Quirk.DUPLICATE_UIDS)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"UIDL") == [b"%d %s" % (n, UIDS[0]) for n in (1, 2, 3)]


@shows(Quirk.INVALID_UIDS)
def _(quirk: Quirk) -> None:
    got = [line.partition(b" ")[2] for line in lines(quirk, b"UIDL", source=[b"%d\r\n" % n for n in range(4)])]
    assert b" " in got[0]
    assert got[1].startswith(b"\xfc")
    assert got[2].startswith(b"\xc3\xbc")
    assert len(got[3]) == 200
    assert len(set(got)) == 4


@shows(Quirk.UIDS_AS_PATHS)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"UIDL")[1] == b"2 ../../2/etc"


@shows(Quirk.MERGED_UIDL_LINES)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"UIDL") == [b"1 %s2 %s" % (UIDS[0], UIDS[1]), b"3 " + UIDS[2]]


@shows(Quirk.BLANK_LINE_IN_LISTING)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"UIDL")[:2] == [b"", b"1 " + UIDS[0]]
    assert lines(quirk, b"LIST")[0] == b""


@shows(Quirk.UNORDERED_UIDL)
def _(quirk: Quirk) -> None:
    assert lines(quirk, b"UIDL") == [b"%d %s" % (n, UIDS[n - 1]) for n in (3, 2, 1)]


@shows(Quirk.UNKNOWN_NUMBER_IN_UIDL)
def _(quirk: Quirk) -> None:
    got = lines(quirk, b"UIDL")
    assert (got[0], len(got), got[-1]) == (b"0 stranger", 5, b"10 stranger")


@shows(Quirk.NEW_UIDS_EACH_SESSION)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server:
        seen = {talk_uids(server) for _ in range(3)}
    assert len(seen) == 3


def talk_uids(server: Server) -> bytes:
    with Hand(server) as hand:
        listing = hand.login().listing(b"UIDL")
        hand.ask(b"QUIT")
    return listing


@shows(Quirk.LF_LINES)
def _(quirk: Quirk) -> None:
    got = before_login(quirk, b"CAPA", b"USER me", b"PASS secret", b"RETR 1", b"TOP 2 0", b"LIST", b"QUIT")
    assert b"\r" not in got
    assert b"\n\n..dotted\nline 2\nline 3\n.\n+OK" in got


@shows(Quirk.LF_END)
def _(quirk: Quirk) -> None:
    assert b"line 3\r\n.\n+OK bye\r\n" in replies(quirk, b"RETR 1", b"QUIT")


@shows(Quirk.NO_NEWLINE_BEFORE_END)
def _(quirk: Quirk) -> None:
    assert b"line 3.\r\n+OK bye\r\n" in replies(quirk, b"RETR 1", b"QUIT")


@shows(Quirk.UNSTUFFED_DOTS)
def _(quirk: Quirk) -> None:
    assert b"\r\n\r\n.dotted\r\n" in replies(quirk, b"RETR 1", b"QUIT")


@shows(Quirk.TOP_TRUNCATED)
def _(quirk: Quirk) -> None:
    got = replies(
        quirk, b"TOP 1 9999", b"QUIT", source=[b"A: 1\r\n\r\n" + b"x" * 98 + b"\r\n" + (b"y" * 98 + b"\r\n") * 999]
    )
    assert 65_400 < len(got) < 65_600


LONG = b"A: 1\r\nB: 2\r\n\r\n" + b"".join(b"line %d\r\n" % n for n in range(1, 50))


@shows(Quirk.TOP_TEN_LINES)
def _(quirk: Quirk) -> None:
    for count in (b"0", b"30"):
        assert replies(quirk, b"TOP 1 " + count, b"QUIT", source=[LONG]).endswith(b"line 10\r\n.\r\n+OK bye\r\n")


@shows(Quirk.TOP_ONE_LINE)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"TOP 1 5", b"QUIT", source=[LONG]) == b"+OK\r\nA: 1\r\n.\r\n+OK bye\r\n"


@shows(Quirk.TOP_IGNORES_COUNT)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"TOP 1 0", b"QUIT", source=[LONG]) == b"+OK\r\n" + LONG + b".\r\n+OK bye\r\n"


@shows(Quirk.TOP_OTHER_HEADERS)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"TOP 1 0", b"QUIT") == b"+OK\r\nX-Top: yes\r\nSubject: first\r\n\r\n.\r\n+OK bye\r\n"


@shows(Quirk.TOP_COUNTS_AS_READ)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk | Quirk.HIDES_READ) as server:
        talk(server, b"TOP 1 0", b"QUIT")
        assert b"+OK 2 messages" in talk(server, b"QUIT")
    with Server(MAILS, quirks=Quirk.HIDES_READ) as server:
        talk(server, b"TOP 1 0", b"QUIT")
        assert b"+OK 3 messages" in talk(server, b"QUIT")


@shows(Quirk.DELETES_READ)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server:
        talk(server, b"RETR 2", b"TOP 1 0", b"QUIT")
        assert server.messages == (MAILS[0], MAILS[2])


@shows(Quirk.ONE_UNREADABLE)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"RETR 1", b"RETR 2", b"QUIT").startswith(b"-ERR Can't get the letter\r\n+OK ")


@shows(Quirk.WRONG_MESSAGE)
def _(quirk: Quirk) -> None:
    got = replies(quirk, b"RETR 1", b"RETR 3", b"QUIT")
    assert got.index(b"Subject: second") < got.index(b"Subject: first")


@shows(Quirk.EXTRA_BLANK_LINE)
def _(quirk: Quirk) -> None:
    assert b"line 3\r\n\r\n.\r\n" in replies(quirk, b"RETR 1", b"QUIT")


@shows(Quirk.WRAPS_UTF8)
def _(quirk: Quirk) -> None:
    mail = "Subject: Grüße\r\n\r\nx\r\n".encode()
    with Server([mail, MAILS[1]], quirks=quirk) as server:
        assert b"\r\nContent-Type: message/rfc822\r\n" in talk(server, b"RETR 1", b"QUIT")
        assert b"message/rfc822" not in talk(server, b"RETR 2", b"QUIT")
        got = talk(server, b"RETR 1", b"QUIT", login=(b"UTF8", b"USER me", b"PASS secret"))
        assert b" octets\r\n" + mail + b".\r\n" in got


@shows(Quirk.HIDES_READ)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk, lock_wait=GENEROUS) as server:
        with Hand(server) as hand:
            hand.login().listing(b"RETR 2")
        assert b"+OK 3 messages" in talk(server, b"RETR 2", b"QUIT")
        assert b"+OK 2 messages" in talk(server, b"QUIT")
        assert b"+OK 3 messages" in talk(server, b"QUIT", login=(b"USER recent:me", b"PASS secret"))
        plain = base64.b64encode(b"\0recent:me\0secret")
        assert b"+OK 3 messages" in talk(server, b"QUIT", login=(b"AUTH PLAIN " + plain,))
        assert server.messages == MAILS


@shows(Quirk.OLDEST_250)
def _(quirk: Quirk) -> None:
    assert replies(quirk, b"STAT", b"QUIT", source=[b"%03d\r\n" % n for n in range(300)]).startswith(
        b"+OK 250 1250\r\n"
    )


@shows(Quirk.CLOSES_ON_DELE_AFTER_LARGE_RETR)
def _(quirk: Quirk) -> None:
    large = [b"x" * 1_048_576 + b"\r\n", b"small\r\n"]
    assert replies(quirk, b"RETR 2", b"DELE 2", b"QUIT", source=large).endswith(b"+OK marked\r\n+OK bye\r\n")
    assert replies(quirk, b"RETR 1", b"DELE 1", b"QUIT", source=large).endswith(b"x\r\n.\r\n")


@shows(Quirk.QUIT_WITHOUT_REPLY)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server:
        assert talk(server, b"DELE 1", b"QUIT").endswith(b"+OK marked\r\n")
        assert server.messages == MAILS[1:]


@shows(Quirk.QUIT_WITHOUT_CLOSE_NOTIFY)
def _(quirk: Quirk) -> None:
    for quirks, ragged in ((Quirk(0), False), (quirk, True)):
        with Server(MAILS, quirks=quirks, security="tls") as server, Hand(server) as hand:
            context = server.client_context()
            hand.sock = context.wrap_socket(hand.sock, server_hostname="localhost", suppress_ragged_eofs=False)
            hand.until()
            assert hand.ask(b"QUIT") == b"+OK bye\r\n"
            if ragged:
                with pytest.raises(ssl.SSLEOFError):
                    hand.rest()
            else:
                assert hand.rest() == b""


@shows(Quirk.LOCK_LINGERS)
def _(quirk: Quirk) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quirky_mail, "_LINGERS", 3600.0)
        with Server(MAILS, quirks=quirk, lock_wait=0.1) as server:
            with Hand(server) as hand:
                hand.login()
            assert b"[IN-USE]" in talk(server, b"QUIT")
    with Server(MAILS, quirks=quirk, lock_wait=GENEROUS) as server:  # a second is not too long for this
        with Hand(server) as hand:
            hand.login()
        assert b"+OK 3 messages" in talk(server, b"QUIT")
        assert b"+OK 3 messages" in talk(server, b"QUIT")


@shows(Quirk.FORGETS_DELETIONS)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server:
        assert talk(server, b"DELE 1", b"QUIT").endswith(b"+OK marked\r\n+OK bye\r\n")
        assert server.messages == MAILS


@shows(Quirk.FLAPPING_COUNT)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server:
        counts = [talk(server, b"QUIT").split(b"\r\n")[2] for _ in range(4)]
    assert counts == [b"+OK 3 messages", b"+OK 2 messages"] * 2


@shows(Quirk.COMMITS_ON_DROP)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server:
        with Hand(server) as hand:
            hand.login().ask(b"DELE 1")
        settle(server)
        assert server.messages == MAILS[1:]


@shows(Quirk.DROPS_PIPELINED)
def _(quirk: Quirk) -> None:
    with Server(MAILS, quirks=quirk) as server, Hand(server) as hand:
        hand.login()
        hand.send(b"NOOP", b"NOOP", b"NOOP")
        assert hand.until() == b"+OK still here\r\n"
        assert hand.silent()
        assert hand.ask(b"STAT").startswith(b"+OK 3 ")


@shows(Quirk.STOPS_READING)
def _(quirk: Quirk) -> None:
    with Server([b"x" * 1000 + b"\r\n"], quirks=quirk) as server, Hand(server) as hand:
        hand.login()
        hand.sock.settimeout(0.3)
        taken = 0  # by the system's buffers; a server that reads meanwhile takes 16 MB
        with pytest.raises(TimeoutError):
            while taken < 12_000_000:
                taken += hand.sock.send(b"RETR 1\r\n" * 10_000)
