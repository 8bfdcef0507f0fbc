"""THREATS, section E: listings and identity, as far as the protocol goes. One test for each row, by its number."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from pymailbox.errors import (
    CommandError,
    LimitExceeded,
    MailboxError,
    MailboxLocked,
    MessageUnavailable,
    ProtocolError,
)
from pymailbox.pop3 import Connection, Stat, commands
from pymailbox.pop3.limits import Limits
from pymailbox.testing import Fault, Quirk, Server
from tests.replay import connected

MAILS = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(1, 6)]


@contextlib.contextmanager
def logged_in(server: Server) -> Iterator[Connection]:
    """Open a connection to the embedded server and log in."""
    with Connection(server.host, server.port, security="none", timeout=5.0) as pop:
        pop.user("me")
        pop.pass_("secret")
        yield pop


def listed(verb: bytes, body: bytes, *, limits: Limits | None = None) -> Any:
    """Return what LIST or UIDL gives when `body` is its listing; the session has to go on after it."""
    script = [(verb + b"\r\n", b"+OK\r\n" + body + b".\r\n"), (b"NOOP\r\n", b"+OK\r\n")]
    with connected(*script, limits=limits) as (pop, _):
        found = pop.list() if verb == b"LIST" else pop.uidl()
        pop.noop()
        return found


@pytest.mark.parametrize(
    ("said", "result"),
    [
        (b"2 -2147483648", Stat(2, None)),
        (b"2 1_0", Stat(2, None)),
        (b"2", Stat(2, None)),
        (b"2 words", Stat(2, None)),
        (b"2 " + b"9" * 5000, Stat(2, None)),
        (b"1000000000000000000000000 1", ProtocolError),
        (b"9" * 5000 + b" 1", ProtocolError),
        (b"-1 1", ProtocolError),
        (b"1_0 1", ProtocolError),
        (b"", ProtocolError),
        (b"two messages", ProtocolError),
        (b"20000001 1", LimitExceeded),
        (b"999999999999999999 1", LimitExceeded),
    ],
)
def test_threat_67_stat(said: bytes, result: Stat | type[MailboxError]) -> None:
    """A count is ASCII digits within the limit, or the session is over; a size that is no number is unknown."""
    with connected((b"STAT\r\n", b"+OK " + said + b"\r\n")) as (pop, _):
        if isinstance(result, Stat):
            assert pop.stat() == result
        else:
            with pytest.raises(result):
                pop.stat()


@pytest.mark.parametrize("junk", [b"junk", b"", b"\xff\xfe", b"1e9 5", b"- -", b"%d %d", b"\0", b"+OK", b"-ERR"])
def test_threat_68_junk_lines(junk: bytes) -> None:
    """A junk line costs itself; the others are read, and the session goes on."""
    assert listed(b"LIST", b"1 120\r\n" + junk + b"\r\n2 200\r\n") == {1: 120, 2: 200}
    assert listed(b"UIDL", b"1 a\r\n" + junk + b"\r\n2 b\r\n") == {1: "a", 2: "b"}


def test_threat_69_odd_numbers() -> None:
    """0 and negative numbers are skipped; a number given twice with different values is unknown."""
    assert listed(b"LIST", b"0 5\r\n-1 5\r\n1 120\r\n2 200\r\n2 201\r\n3 300\r\n3 300\r\n") == {1: 120, 2: None, 3: 300}
    assert listed(b"UIDL", b"0 x\r\n-1 x\r\n1 a\r\n2 b\r\n2 c\r\n") == {1: "a", 2: None}


@pytest.mark.parametrize(("verb", "make"), [(b"LIST", commands.list), (b"UIDL", commands.uidl)])
def test_threat_70_more_lines_than_messages(verb: bytes, make: Any) -> None:
    """A listing with more lines than were allowed for is `LimitExceeded`; in any case it ends at the limits."""
    body = b"".join(b"%d 1\r\n" % number for number in range(1, 1200))
    with connected((verb + b"\r\n", b"+OK\r\n" + body + b".\r\n")) as (pop, _), pytest.raises(LimitExceeded) as caught:
        pop.execute(make(entries=1100))
    assert caught.value.field == "listing_entries"
    with pytest.raises(LimitExceeded):
        listed(verb, body, limits=Limits(listing_entries=100))


def test_threat_71_listings_that_disagree() -> None:
    """LIST and UIDL are joined by number and by nothing else: neither order nor count pairs them."""
    assert listed(b"UIDL", b"3 c\r\n1 a\r\n7 g\r\n") == {1: "a", 3: "c", 7: "g"}
    quirks = Quirk.STAT_COUNTS_LESS | Quirk.UNORDERED_UIDL | Quirk.STRANGER_IN_UIDL
    with Server(MAILS, quirks=quirks) as server, logged_in(server) as pop:
        uids, sizes = pop.uidl(), pop.list()
    assert set(sizes) == {1, 2, 3, 4, 5}
    assert set(uids) == {1, 2, 3, 4, 5, 12}
    assert uids[12] == "stranger"


def test_threat_73_blank_uid() -> None:
    """A blank uid is None, for that message alone."""
    assert listed(b"UIDL", b"1 \r\n2 b\r\n3\r\n") == {1: None, 2: "b", 3: None}


def test_threat_74_long_uid() -> None:
    """A uid of any length up to the line's limit is kept whole; beyond, the listing is refused: never cut."""
    uid = "x" * 8000
    assert listed(b"UIDL", b"1 " + uid.encode() + b"\r\n") == {1: uid}
    with pytest.raises(LimitExceeded):
        listed(b"UIDL", b"1 " + b"x" * 9000 + b"\r\n")


def test_threat_75_equal_uids() -> None:
    """Two messages may have one uid: both are there (RFC 1939 §7)."""
    with Server(MAILS, quirks=Quirk.DUPLICATE_UIDS) as server, logged_in(server) as pop:
        uids = pop.uidl()
    assert len(uids) == 5
    assert len(set(uids.values())) == 1


def test_threat_76_octets_of_uids() -> None:
    """Blanks, 8-bit octets, NUL and ESC are part of a uid, and what is logged of it is printable."""
    octets = [b"a b", b"\xff\xfe", b"a\0b", b"\x1b]0;x\x07", "ü".encode()]
    found = listed(b"UIDL", b"".join(b"%d %s\r\n" % pair for pair in enumerate(octets, 1)))
    assert [uid.encode("utf-8", "surrogateescape") for uid in found.values()] == octets


def test_threat_80_a_message_that_vanishes() -> None:
    """A message that is gone fails alone; the session and the others go on."""
    refusal = Fault.refuse("RETR", 3, "Can't get the letter")
    with Server(MAILS, faults=[refusal]) as server, logged_in(server) as pop:
        results = list(pop.pipeline(map(commands.retr, range(1, 6))))
        assert isinstance(results[2], MessageUnavailable)
        assert [body for body in results if isinstance(body, bytes)] == [*MAILS[:2], *MAILS[3:]]
        assert pop.quit()


def test_threat_81_no_uidl() -> None:
    """UIDL that is refused is a `CommandError`, and the session goes on (`NotSupported` is the mailbox's word for it)."""
    with Server(MAILS, quirks=Quirk.UIDL_REFUSED) as server, logged_in(server) as pop:
        with pytest.raises(CommandError) as caught:
            pop.uidl()
        assert caught.value.usable
        assert pop.list()


def test_threat_82_locked() -> None:
    """[IN-USE] is `MailboxLocked`, worth trying again."""
    with Server(MAILS) as server, logged_in(server), Connection(server.host, server.port, security="none") as second:
        second.user("me")
        with pytest.raises(MailboxLocked) as caught:
            second.pass_("secret")
    assert caught.value.code == "IN-USE"
    assert caught.value.retryable


def test_threat_83_junk_in_capa() -> None:
    """CAPA with blank lines, octets that are no ASCII and names in any case is read."""
    body = b"\r\n \r\nuidl\r\n\xff\xfe \x80\r\nSasl plain\r\n=\r\n\0\r\nTOP\r\n"
    with connected((b"CAPA\r\n", b"+OK\r\n" + body + b".\r\n")) as (pop, _):
        caps = pop.capa()
    assert "UIDL" in caps
    assert "top" in caps
    assert caps.sasl == ("PLAIN",)


def test_threat_84_expire_and_delay() -> None:
    """EXPIRE 0, which deletes what was read, and LOGIN-DELAY are numbers to look at."""
    with connected((b"CAPA\r\n", b"+OK\r\nEXPIRE 0\r\nLOGIN-DELAY 900\r\n.\r\n")) as (pop, _):
        caps = pop.capa()
    assert (caps.expire, caps.login_delay) == (0, 900)
