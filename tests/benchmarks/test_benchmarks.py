"""The benchmarks measure right answers: every client returns the octets the mailbags hold. Nothing here is timed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import datetime
from itertools import product
from pathlib import Path

import pytest

from pymailbox.testing import Server
from tests.benchmarks import crowd, floor
from tests.benchmarks.limits import LIMITS, judge
from tests.benchmarks.mailbags import Mailbag, fill
from tests.benchmarks.rounds import Measurement, Stage, Summary
from tests.benchmarks.service import Service
from tests.benchmarks.works import MEMORY, TLS, WORKS, Work
from tests.testing.by_hand import case

CLIENTS = ["floor", "standard", "ours_connection", "ours"]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    wanted = [work for work in WORKS if work.wire in (MEMORY, TLS)]
    with Stage(wanted, quick=True) as stage:
        yield stage


@pytest.fixture(scope="module")
def mailbags() -> dict[str, Mailbag]:
    return {name: fill(name, quick=True) for name in "abcd"}


def work(mailbag: str, wire: str) -> Work:
    return Work("", "", mailbag, wire, None, {})


def results(client: str, case: str, service: Service) -> list[object]:
    """Run a case to its end: None when it is logged in, then what it read."""
    first, *rest = getattr(importlib.import_module(f"tests.benchmarks.{client}"), case)(service)
    assert first is None
    return rest


def everything(mailbag: Mailbag) -> list[bytes]:
    return [mailbag.raw(number) for number in range(1, len(mailbag) + 1)]


@pytest.mark.parametrize("client", CLIENTS)
def test_bodies_are_exact(stage: Stage, mailbags: dict[str, Mailbag], client: str) -> None:
    """Every message arrives to the octet and in order, dots unstuffed, plain and over TLS."""
    for name, wire in product("abc", (MEMORY, TLS)):
        with case("mailbag", name, "over", wire):
            assert results(client, "bodies", stage.service(work(name, wire))) == everything(mailbags[name])


@pytest.mark.parametrize("case", ["retr_standard", "retr"])
def test_the_drop_in_counts_every_octet(stage: Stage, mailbags: dict[str, Mailbag], case: str) -> None:
    """`poplib.retr` gives the octets of each message, in the standard library and in the drop-in."""
    for name in "ac":
        expected = [mailbags[name].size(number) for number in range(1, len(mailbags[name]) + 1)]
        assert results("drop_in", case, stage.service(work(name, MEMORY))) == expected


@pytest.mark.parametrize("wire", [MEMORY, TLS])
@pytest.mark.parametrize("client", CLIENTS)
def test_streams_are_exact(stage: Stage, mailbags: dict[str, Mailbag], tmp_path: Path, client: str, wire: str) -> None:
    """What is streamed to a file is the mail, and the numbers returned are its octets."""
    target = tmp_path / "stream"
    service = stage.service(work("c", wire))._replace(sink_path=str(target))
    expected = everything(mailbags["c"])
    assert results(client, "stream", service) == [len(raw) for raw in expected]
    assert target.read_bytes() == b"".join(expected)


@pytest.mark.parametrize("client", ["floor", "standard", "ours_connection"])
def test_headers_are_exact(stage: Stage, mailbags: dict[str, Mailbag], client: str) -> None:
    """TOP n 0 gives the header and the empty line of every message."""
    assert results(client, "headers", stage.service(work("a", MEMORY))) == mailbags["a"].headers


def test_mailbox_headers_are_exact(stage: Stage, mailbags: dict[str, Mailbag]) -> None:
    """The mailbox's headers, read ahead, are those of their message."""
    expected = [
        (next(line[12:] for line in header.split(b"\r\n") if line.startswith(b"Message-ID: ")),)
        for header in mailbags["a"].headers
    ]
    found = results("ours", "headers", stage.service(work("a", MEMORY)))
    assert [tuple(value.strip() for value in values) for values in found] == expected


@pytest.mark.parametrize("case", ["uids", "sizes"])
def test_mailbox_listings_are_exact(stage: Stage, mailbags: dict[str, Mailbag], case: str) -> None:
    """`inbox.uids` and the sizes of messages are what UIDL and LIST say."""
    mailbag = mailbags["d"]
    numbers = range(1, len(mailbag) + 1)
    uids, sizes = results("ours", case, stage.service(work("d", MEMORY)))
    assert uids == tuple(mailbag.uid(number) for number in numbers)
    assert sizes == [mailbag.size(number) for number in numbers][: len(sizes)]


@pytest.mark.parametrize("client", ["floor", "standard", "ours_connection"])
def test_listings_are_exact(stage: Stage, mailbags: dict[str, Mailbag], client: str) -> None:
    """LIST and UIDL become dictionaries of sizes and of uids."""
    mailbag = mailbags["d"]
    numbers = range(1, len(mailbag) + 1)
    expected = [
        {number: mailbag.size(number) for number in numbers},
        {number: mailbag.uid(number) for number in numbers},
    ]
    assert results(client, "listings", stage.service(work("d", MEMORY))) == expected


@pytest.mark.parametrize("client", CLIENTS)
def test_deletions_are_answered(stage: Stage, mailbags: dict[str, Mailbag], client: str) -> None:
    """Every DELE is answered."""
    assert results(client, "deletions", stage.service(work("a", MEMORY))) == [list(range(1, len(mailbags["a"]) + 1))]


def triples(client: str, case: str, service: Service) -> list[tuple[str, str, datetime]]:
    """Run a case of subject, sender and date; a sender that is a value becomes its address."""
    (found,) = results(client, case, service)
    return [(str(subject), getattr(sender, "email", sender), date) for subject, sender, date in found]


@pytest.mark.parametrize(
    ("client", "case"),
    [("floor", "triples"), ("standard", "triples_modern"), ("ours", "triples")],
)
def test_triples_agree(stage: Stage, client: str, case: str) -> None:
    """Subject, sender and date are what the standard library's old policy reads, encoded words and all."""
    service = stage.service(work("a", MEMORY))
    assert triples(client, case, service) == triples("standard", "triples_compat32", service)


@pytest.mark.parametrize("size", [67, 1009, 4096])
def test_floor_does_not_depend_on_its_buffer(
    stage: Stage, mailbags: dict[str, Mailbag], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """However a reply is cut, the floor reads the same octets: in memory and streamed."""
    monkeypatch.setattr(floor, "BUFFER", size)
    target = tmp_path / "stream"
    service = stage.service(work("a", MEMORY), 100)._replace(sink_path=str(target))
    expected = everything(mailbags["a"])[:100]
    assert results("floor", "bodies", service) == expected
    assert results("floor", "stream", service) == [len(raw) for raw in expected]
    assert target.read_bytes() == b"".join(expected)


def test_mailbags_are_what_they_say(mailbags: dict[str, Mailbag]) -> None:
    """Headers of 1.4 KB, and about one line in fifty begins with a dot."""
    assert 1300 < len(mailbags["a"].headers[0]) < 1600
    lines = b"".join(everything(mailbags["b"])).split(b"\r\n")
    assert 0.015 < sum(line.startswith(b".") for line in lines) / len(lines) < 0.025


def test_every_limit_has_a_figure() -> None:
    """Each limit finds its work and clients in the table of works: with all measured, all have a figure."""
    measurement = Measurement(1.0, 1.0, 1.0, 1.0, 1, 1, 1, 1)
    one = Summary(measurement, (measurement,))
    verdicts = judge({(work.key, client): one for work in WORKS for client in work.runs})
    assert len(verdicts) == len(LIMITS)
    assert all(verdict.value is not None for verdict in verdicts)


def test_async_cases_read_the_same(stage: Stage, mailbags: dict[str, Mailbag], tmp_path: Path) -> None:
    """Over asyncio the same octets and fields are read; bodies come as their sum."""
    for name in "abc":
        expected = sum(map(len, everything(mailbags[name])))
        assert results("ours_async", "bodies", stage.service(work(name, MEMORY))) == [expected]
    target = tmp_path / "stream"
    service = stage.service(work("c", TLS))._replace(sink_path=str(target))
    assert results("ours_async", "stream", service) == [len(raw) for raw in everything(mailbags["c"])]
    assert target.read_bytes() == b"".join(everything(mailbags["c"]))
    service = stage.service(work("a", MEMORY))
    assert results("ours_async", "triples", service) == results("ours", "triples", service)


@pytest.mark.parametrize("case", ["threads", "gathered"])
def test_the_crowd_is_read(case: str) -> None:
    """Every account is read, by threads and by tasks."""
    users = {f"{crowd.USER}{number}": "secret" for number in range(1, 8)}
    with Server(crowd.MAILS, users=users) as server:
        service = Service(server.host, server.port, crowd.USER, "secret", len(users))
        assert results("crowd", case, service) == [len(crowd.MAILS)] * len(users)
