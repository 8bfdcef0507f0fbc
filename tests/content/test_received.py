"""Received fields: who sent a message where, and when."""

import pytest

from pymailbox.content import Headers
from pymailbox.content.received import parse_hop

HOPS = [
    ("from mx.a (mx.a [192.0.2.1]) by mx.b (Postfix) with ESMTPS id 1 for <c@b>; Mon, 2 Jun 2025 10:00:00 +0200 (CEST)",
     "mx.a (mx.a [192.0.2.1])", "mx.b (Postfix)", "2025-06-02T10:00:00+02:00"),
    ("by mx.b with LMTP; 2 Jun 2025 08:00:00 GMT", "", "mx.b", "2025-06-02T08:00:00+00:00"),
    ("(qmail 7 invoked by uid 89; from network); 2 Jun 2025 08:00:00 -0000", "", "", "2025-06-02T08:00:00+00:00"),
    ("FROM a BY b; Mon,  2 Jun 2025 08:00:00", "a", "b", "2025-06-02T08:00:00+00:00"),
    ("from a by b with HTTP 2 Jun 2025 08:00:00 +0000", "a", "b", "2025-06-02T08:00:00+00:00"),
    ("from a (HELO by) (by (by) by) by b; 2 Jun 2025 08:00", "a (HELO by) (by (by) by)", "b", "2025-06-02T08:00:00+00:00"),
    ("from market.example by mar.example", "market.example", "mar.example", None),
    ("from a by b; no date", "a", "b", None),
    ("from a; by b", "a", "b", None),
    ("from (", "(", "", None),
    ("", "", "", None),
]  # fmt: skip


def test_each_part_is_read() -> None:
    """From, by and date in every form; words in comments are not clauses."""
    for text, from_, by, date in HOPS:
        hop = parse_hop(text)
        assert (hop.from_, hop.by, hop.date and hop.date.isoformat()) == (from_, by, date), text


def test_hops_are_in_order_and_the_topmost_is_the_last_server() -> None:
    """`hops` has one value for each field, `received` is the date of the topmost."""
    headers = Headers.from_bytes(
        b"Received: by c; 2 Jun 2025 10:02:00 +0000\r\nReceived: from a\r\n by b; 2 Jun 2025 10:01:00 +0000\r\n\r\n"
    )
    assert [hop.by for hop in headers.hops] == ["c", "b"]
    assert headers.received == headers.hops[0].date


@pytest.mark.parametrize("field", [b"", b"Received: by c\nReceived: by b; 2 Jun 2025 10:01:00 +0000\n"])
def test_none_without_a_date(field: bytes) -> None:
    """A lower field does not tell when the last server received the message."""
    assert Headers.from_bytes(field + b"X: y\n\n").received is None
