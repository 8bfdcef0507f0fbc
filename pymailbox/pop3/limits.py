"""Limits: how much a server may send before it is cut off.

Each limit is documented with its arithmetic. `LimitExceeded.field` names the field to raise.
"""

from typing import Any

from attrs import Attribute, field, frozen

__all__ = ["Limits"]

MEBI = 1024 * 1024


def _positive(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Limits.{attribute.name} must be a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"Limits.{attribute.name} must be 1 or more, not {value}")


def _positive_or_none(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None:
        _positive(instance, attribute, value)


@frozen(kw_only=True)
class Limits:
    """Limits on everything that a server can send, and on what is kept in memory.

    >>> from pymailbox import Limits
    >>> Limits(message=1_000_000_000).message
    1000000000
    """

    #: Bytes in one status line, or in one line of a listing. RFC 2449 §4 allows 512; some servers send several
    #: thousand.
    status_line: int = field(default=8192, validator=_positive)
    #: Lines in a LIST or UIDL listing, and messages in a STAT. The largest account reported so far held 14.6 million.
    #: A Mailbox also limits both listings by the count from STAT. An entry of LIST takes some 150 bytes of memory, an
    #: entry of UIDL 100 plus twice its uid: 20 million take 3 GB.
    listing_entries: int = field(default=20_000_000, validator=_positive)
    #: Bytes in one message, or one listing, kept in memory. At its end it briefly exists twice (the pieces and the
    #: whole), whatever the sizes of packets, TLS records and lines; including allocator overhead, a process needs at
    #: most three times this. The values parsed from a listing are limited by `listing_entries`. A message that is
    #: larger according to LIST is refused before its RETR, and the session stays usable.
    message: int = field(default=256 * MEBI, validator=_positive)
    #: Bytes in one message streamed to a sink; None for no limit. Streaming needs memory for one chunk only.
    stream: int | None = field(default=None, validator=_positive_or_none)
    #: Bytes in one header, and in one CAPA or LANG listing; each takes up to three times this in memory. The largest
    #: honest header seen is some 100 KiB.
    header: int = field(default=MEBI, validator=_positive)
    #: Challenges in one SASL exchange. The longest honest mechanism (GSSAPI) needs four.
    sasl_rounds: int = field(default=10, validator=_positive)
    #: Hash iterations that a server may ask for in SCRAM. One of SHA-512 takes about 1 µs, so a million take a second;
    #: servers ask for 4,096 to a few hundred thousand. More than 10 million are always refused.
    scram_iterations: int = field(default=1_000_000, validator=_positive)
    #: Bytes a second, averaged over one `timeout`; a slower reply is `Timeout`. 100 is a tenth of the slowest modem
    #: that ever carried POP3.
    minimum_rate: int = field(default=100, validator=_positive)
    #: Bytes in flight while pipelining: commands sent plus replies expected. Replies held until they are verified may
    #: take as many again. With a round trip of 50 ms, 4 MiB sustain 80 MB/s. If an iteration ends early, up to this
    #: much is still received and dropped.
    window: int = field(default=4 * MEBI, validator=_positive)
    #: Bytes of message bodies that a mailbox caches for reading again; the latest one is always kept. To read messages
    #: after the session, all their bodies must fit.
    cache: int = field(default=64 * MEBI, validator=_positive)
