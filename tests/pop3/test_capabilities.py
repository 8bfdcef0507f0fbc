"""Any CAPA listing is parsed, however odd (RFC 2449 §5)."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.pop3 import Capabilities, commands
from tests.conversations import ready, results, stuffed
from tests.timing import assert_linear


def read(*lines: bytes) -> Capabilities:
    body = b"".join(line + b"\r\n" for line in lines)
    found: Capabilities = results(ready([commands.capa()]), [b"+OK\r\n" + stuffed(body)])[0]
    return found


@pytest.mark.threat(83)
def test_a_usual_listing_is_parsed() -> None:
    """Names are case-insensitive; parameters are a tuple in the server's order."""
    caps = read(
        b"TOP",
        b"SASL PLAIN xoauth2",
        b"EXPIRE 60",
        b"LOGIN-DELAY 900 USER",
        b"IMPLEMENTATION A Server 1.0",
        b"PIPELINING",
    )
    assert "top" in caps
    assert "Top" in caps
    assert caps["sasl"] == ("PLAIN", "xoauth2")
    assert caps.sasl == ("PLAIN", "XOAUTH2")
    assert caps.expire == 60
    assert caps.login_delay == 900
    assert caps.implementation == "A Server 1.0"
    assert list(caps) == ["TOP", "SASL", "EXPIRE", "LOGIN-DELAY", "IMPLEMENTATION", "PIPELINING"]
    assert len(caps) == 6
    assert "UIDL" not in caps
    assert 7 not in caps


def test_an_empty_listing_has_no_capabilities() -> None:
    """Every property has a value for it."""
    caps = read()
    assert not caps
    assert caps.sasl == ()
    assert caps.expire is None
    assert caps.login_delay is None
    assert caps.implementation is None


def test_days_are_ascii_digits() -> None:
    """An EXPIRE that is not a number of days is None."""
    for value in (b"NEVER", b"-1", b"", b"\xb2", b"9" * 50):
        assert read(b"EXPIRE " + value).expire is None, value


@pytest.mark.threat(83)
def test_an_odd_listing_is_parsed() -> None:
    """Blank lines, bytes beyond ASCII, unknown names, `NAME=value` and repeated names are accepted (Q17)."""
    caps = read(
        b"", b"  ", b"RESP-CODE", b"x-\xfcmlaut \xff", b"UTF8=USER", b"SASL PLAIN", b"sasl LOGIN PLAIN", b"=", b"=x"
    )
    assert "RESP-CODE" in caps
    assert caps["UTF8"] == ("USER",)
    assert caps.sasl == ("PLAIN", "LOGIN")


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line and b"\r" not in line), max_size=10))
def test_any_listing_is_parsed(lines: list[bytes]) -> None:
    """No listing makes the parser raise."""
    caps = read(*lines)
    repr(caps)
    assert all(caps[name] is not None for name in caps)
    assert (caps.expire, caps.login_delay, caps.implementation, caps.sasl) is not None


def test_the_largest_listing_is_parsed_in_linear_time() -> None:
    """This includes a listing that fills `Limits.header` with parameters of one name."""

    def listing(n: int) -> Callable[[], object]:
        lines = [b"SASL X%d" % k for k in range(n)]
        return lambda: read(*lines)

    assert_linear(listing, 5_000)
    assert len(read(*(b"SASL X%d" % n for n in range(75_000))).sasl) == 75_000
