"""Hostile listings are read strictly, or end the session (docs/threats.md).

A mark names the threat. The parsers are tested in `test_listings`, `test_commands` and `test_capabilities`, the quirks
of real servers in `test_quirks`.
"""

from typing import Any

import pytest

from pymailbox.errors import LimitExceeded, MailboxError, ProtocolError
from pymailbox.pop3 import Stat, commands
from pymailbox.pop3.limits import Limits
from tests import case
from tests.replay import connected


def listed(verb: bytes, body: bytes, *, limits: Limits | None = None) -> Any:
    """Return the result of LIST or UIDL with `body` as its listing; the session must stay usable."""
    script = [(verb + b"\r\n", b"+OK\r\n" + body + b".\r\n"), (b"NOOP\r\n", b"+OK\r\n")]
    with connected(*script, limits=limits) as (pop, _):
        found = pop.list() if verb == b"LIST" else pop.uidl()
        pop.noop()
        return found


@pytest.mark.threat(67)
def test_the_count_of_stat_is_a_number_or_the_session_ends() -> None:
    """A count is ASCII digits within the limit, or the session ends; a size that is not a number is unknown."""
    answers: list[tuple[bytes, Stat | type[MailboxError]]] = [
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
    ]
    for text, result in answers:
        with case(text[:30]), connected((b"STAT\r\n", b"+OK " + text + b"\r\n")) as (pop, _):
            if isinstance(result, Stat):
                assert pop.stat() == result
            else:
                with pytest.raises(result):
                    pop.stat()


@pytest.mark.threat(68)
def test_a_junk_line_is_skipped() -> None:
    """The others are read, and the session stays usable."""
    for junk in (b"junk", b"", b"\xff\xfe", b"1e9 5", b"- -", b"%d %d", b"\0", b"+OK", b"-ERR"):
        with case(junk):
            assert listed(b"LIST", b"1 120\r\n" + junk + b"\r\n2 200\r\n") == {1: 120, 2: 200}
            assert listed(b"UIDL", b"1 a\r\n" + junk + b"\r\n2 b\r\n") == {1: "a", 2: "b"}


@pytest.mark.threat(69)
def test_invalid_numbers_in_a_listing_are_skipped() -> None:
    """0 and negative numbers are skipped; a number with two different values is unknown."""
    sizes = b"0 5\r\n-1 5\r\n1 120\r\n2 200\r\n2 201\r\n3 300\r\n3 300\r\n"
    assert listed(b"LIST", sizes) == {1: 120, 2: None, 3: 300}
    assert listed(b"UIDL", b"0 x\r\n-1 x\r\n1 a\r\n2 b\r\n2 c\r\n") == {1: "a", 2: None}


@pytest.mark.threat(70)
def test_a_listing_with_too_many_lines_is_refused() -> None:
    """More lines than the command allows, or than `Limits.listing_entries`, is `LimitExceeded`."""
    body = b"".join(b"%d 1\r\n" % number for number in range(1, 1200))
    for verb, command in ((b"LIST", commands.list(entries=1100)), (b"UIDL", commands.uidl(entries=1100))):
        with case(verb):
            with connected((verb + b"\r\n", b"+OK\r\n" + body + b".\r\n")) as (pop, _):
                with pytest.raises(LimitExceeded) as caught:
                    pop.execute(command)
                assert caught.value.field == "listing_entries"
            with pytest.raises(LimitExceeded):
                listed(verb, body, limits=Limits(listing_entries=100))


@pytest.mark.threat(74)
def test_a_long_uid_is_whole_or_refused() -> None:
    """A uid is kept whole up to the limit of a line; beyond it the listing is refused, and the uid is never cut."""
    uid = "x" * 8000
    assert listed(b"UIDL", b"1 " + uid.encode() + b"\r\n") == {1: uid}
    with pytest.raises(LimitExceeded):
        listed(b"UIDL", b"1 " + b"x" * 9000 + b"\r\n")


@pytest.mark.threat(84)
def test_expire_and_login_delay_are_numbers() -> None:
    """EXPIRE 0, with which the server deletes what was read, is 0 and not None."""
    with connected((b"CAPA\r\n", b"+OK\r\nEXPIRE 0\r\nLOGIN-DELAY 900\r\n.\r\n")) as (pop, _):
        caps = pop.capa()
    assert (caps.expire, caps.login_delay) == (0, 900)
