"""Limits: how much a server may send before it is cut off.

Every bound has its arithmetic beside it. `LimitExceeded.field` names the field to raise.
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
    """Bounds on everything that a server can send, and on what is kept.

    >>> from pymailbox import Limits
    >>> Limits(message=1_000_000_000).message
    1000000000
    """

    #: Octets of one status line, or of one line of a listing. RFC 2449 §4 allows 512; some servers send several
    #: thousand.
    status_line: int = field(default=8192, validator=_positive)
    #: Lines of a LIST or UIDL, and messages of a STAT. The largest account reported so far held 14.6 million.
    #: A Mailbox also bounds both listings by the count that STAT gave. An entry of LIST costs some 150 octets of
    #: memory, one of UIDL 100 beside twice its uid: 20 million take 3 GB.
    listing_entries: int = field(default=20_000_000, validator=_positive)
    #: Octets of one message, or one listing, kept in memory. At its end it is there twice for a moment (the pieces
    #: and the whole), whatever the sizes of packets, TLS records and lines: with what the allocator loses between
    #: them a process needs three times this at most. What a listing is read into is bounded by `listing_entries`.
    #: A message that LIST says is larger is refused before its RETR, and the session goes on.
    message: int = field(default=256 * MEBI, validator=_positive)
    #: Octets of one message streamed to a sink; None for no bound. Memory is one chunk whatever it is.
    stream: int | None = field(default=None, validator=_positive_or_none)
    #: Octets of a header block read for its fields, and of one CAPA or LANG listing; three times this in memory.
    #: The largest honest header block seen is some 100 KiB.
    header: int = field(default=MEBI, validator=_positive)
    #: Challenges of one SASL exchange. The longest honest mechanism (GSSAPI) needs four.
    sasl_rounds: int = field(default=10, validator=_positive)
    #: Iterations of the hash that a server asks for in SCRAM. Each of SHA-512 takes about 1 µs, so a million are a
    #: second; servers ask for 4,096 to some hundred thousand. More than 10 million are refused whatever this says.
    scram_iterations: int = field(default=1_000_000, validator=_positive)
    #: Octets a second, averaged over one `timeout`, below which a reply that does not end is given up.
    #: 100 is a tenth of the slowest modem that ever carried POP3.
    minimum_rate: int = field(default=100, validator=_positive)
    #: Octets in flight while pipelining: commands sent plus replies expected; replies that are held until they are
    #: proven may have as many. At 50 ms of round trip 4 MiB sustain 80 MB/s. What is left in flight by an iteration
    #: that ends early is taken in and dropped up to this.
    window: int = field(default=4 * MEBI, validator=_positive)
    #: Octets of message bodies that a mailbox keeps for reading again; the last one is always kept. To read messages
    #: after the session, all their bodies have to fit.
    cache: int = field(default=64 * MEBI, validator=_positive)
