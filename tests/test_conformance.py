"""One suite over every server and every way in: what a mailbox owes its user wherever it is."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from pymailbox import CommandError, Mailbox, MailboxLocked, MessageUnavailable, NotSupported
from pymailbox.testing import Server
from tests.conftest import Servers
from tests.servers import Login, mails, trusting
from tests.servers.seed import crlf

WAYS = [
    *(("embedded", security) for security in ("none", "starttls", "tls")),
    *(("dovecot", security) for security in ("none", "starttls", "tls")),
    *(("cyrus", security) for security in ("none", "starttls", "tls")),
    *(("courier", security) for security in ("none", "starttls", "tls")),
    ("popa3d", "none"),
]


@frozen
class Place:
    """A mailbox that is the test's own, and what it holds."""

    name: str
    host: str
    port: int
    security: str
    login: Login
    stored: tuple[bytes, ...]
    features: frozenset[str]
    context: ssl.SSLContext | None

    def open(self, **options: Any) -> Mailbox:
        """Return a mailbox, not yet open."""
        settings = {"port": self.port, "security": self.security, "ssl_context": self.context, "timeout": 10.0}
        return Mailbox(self.host, *self.login, **(settings | options))


@pytest.fixture(scope="module")
def embedded() -> Iterator[Callable[[str], Server]]:
    """The embedded server by security, each started once."""
    running: dict[str, Server] = {}

    def get(security: str) -> Server:
        if security not in running:
            users = {f"user{number}": "s3cret" for number in range(40)}
            running[security] = Server([crlf(mail.raw) for mail in mails()], users=users, security=security).open()
        return running[security]

    yield get
    for server in running.values():
        server.close()


@pytest.fixture(params=WAYS, ids=lambda way: "-".join(way))
def place(request: pytest.FixtureRequest, embedded: Callable[[str], Server]) -> Place:
    """A fresh mailbox on each server by each way in."""
    name, security = request.param
    if name == "embedded":
        server = embedded(security)
        context = None if security == "none" else server.client_context()
        used = len(server.sessions)
        login = Login(f"user{used % 40}", "s3cret")
        stored = server.mailbox(login.user)
        features = frozenset({"capa", "pipelining", "top", "uidl", "unique-uids", "in-use", "resp-codes"})
        return Place(name, server.host, server.port, security, login, stored, features, context)
    servers: Servers = request.getfixturevalue("real_servers")
    real = servers.get(name)
    port = real.tls_port if security == "tls" else real.port
    assert port is not None
    context = None if security == "none" or real.ca is None else trusting(real.ca)
    return Place(name, real.host, port, security, real.fresh_user(), real.stored, real.features, context)


def test_counts_and_lists_without_downloading(place: Place) -> None:
    """len, list, slices, reversed and `in` ask nothing of the server but STAT."""
    with place.open() as inbox:
        assert len(inbox) == len(place.stored)
        messages = list(inbox)
        assert [message.number for message in messages] == list(range(1, len(messages) + 1))
        assert inbox[-1] is messages[-1]
        assert inbox[1:4] == tuple(messages[1:4])
        assert list(reversed(inbox)) == messages[::-1]
        assert messages[2] in inbox
        assert 3 not in inbox
        with pytest.raises(IndexError):
            inbox[len(messages)]


def test_every_message_octet_for_octet(place: Place, tmp_path: Path) -> None:
    """RETR, fetch, and save give the same octets as are stored."""
    with place.open() as inbox:
        assert tuple(message.raw for message in inbox.fetch()) == place.stored
        for number in (1, 2, 3, 7, len(place.stored)):
            message = inbox[number - 1]
            assert message.raw == place.stored[number - 1]
        path = tmp_path / "mail.eml"
        assert inbox[6].save(path) == len(place.stored[6])
        assert path.read_bytes() == place.stored[6]


def test_headers_are_those_of_the_body(place: Place) -> None:
    """What TOP gives reads like what RETR gives, forward, reversed and in strides."""
    with place.open() as inbox:
        by_top = [(message.subject, message.from_, message.date) for message in inbox]
        reverse = [message.subject for message in reversed(inbox)]
        thirds = [message.subject for message in inbox[::3]]
        assert reverse == [subject for subject, _, _ in by_top][::-1]
        assert thirds == [subject for subject, _, _ in by_top][::3]
        by_retr = [(m.content.subject, m.content.from_, m.content.date) for m in inbox.fetch()]
        assert by_top == by_retr


def test_sizes_and_uids(place: Place) -> None:
    """Sizes are hints close to the truth; uids are unique where the server gives them so, and the same next time."""
    with place.open() as inbox:
        sizes = [message.size for message in inbox]
        assert all(size is not None and abs(size - len(raw)) < 1000 for size, raw in zip(sizes, place.stored))
        uids = inbox.uids
        assert len(uids) == len(inbox)
        if "unique-uids" in place.features:
            assert len(set(uids)) == len(uids)
        assert inbox.by_uid(str(uids[4])).raw == place.stored[4]
        with pytest.raises(KeyError):
            inbox.by_uid("no such uid")
        assert inbox.new(uids) == ()
        assert [message.number for message in inbox.new(set(uids) - {uids[7]})] == [8]
    with place.open() as inbox:
        assert inbox.uids == uids


def test_deletions_are_committed_by_a_clean_end(place: Place) -> None:
    """Three go, the others keep their order and octets."""
    with place.open() as inbox:
        inbox.delete(inbox[2:5])
        assert [message.number for message in inbox.deleted] == [3, 4, 5]
        with pytest.raises(MessageUnavailable):
            _ = inbox[2].raw
        inbox[3].undelete()
        assert [message.number for message in inbox.deleted] == [3, 5]
    left = [raw for number, raw in enumerate(place.stored, 1) if number not in (3, 5)]
    with place.open() as inbox:
        assert [message.raw for message in inbox.fetch()] == left


def test_an_exception_takes_deletions_back(place: Place) -> None:
    """Nothing is deleted, and the exception is the one that was raised."""
    with pytest.raises(ZeroDivisionError), place.open() as inbox:
        inbox.delete(inbox[:5])
        _ = 1 / 0
    with place.open() as inbox:
        assert len(inbox) == len(place.stored)


def test_rollback_and_reopen(place: Place) -> None:
    """rollback() takes back and leaves; reopen() commits and starts anew."""
    inbox = place.open().open()
    inbox[0].delete()
    inbox.rollback()
    inbox.rollback()
    with pytest.raises(ValueError, match="not open"):
        len(inbox)
    inbox.open()
    assert len(inbox) == len(place.stored)
    old = inbox[1]
    assert old.raw == place.stored[1]
    inbox[0].delete()
    inbox.reopen()
    assert len(inbox) == len(place.stored) - 1
    assert old.raw == place.stored[1]
    assert old not in inbox
    with pytest.raises(ValueError, match="another session"):
        inbox.delete(old)
    inbox.close()
    inbox.close()


def test_refusals_cost_one_message(place: Place) -> None:
    """A number that does not exist is a refusal by type, and the session goes on where the server lets it."""
    with place.open() as inbox:
        if place.name == "popa3d":
            return  # it ends the session at the first bad number
        pop = inbox.connection
        with pytest.raises(MessageUnavailable) as caught:
            pop.retr(len(place.stored) + 1)
        assert caught.value.usable
        assert str(len(place.stored) + 1) in (caught.value.command or "")
        assert pop.stat().count == len(place.stored)
        with pytest.raises(ValueError):
            pop.retr(0)


def test_streaming_gives_the_octets_in_chunks(place: Place) -> None:
    """retr with a sink hands on the same octets and counts them."""
    with place.open() as inbox:
        largest = max(range(len(place.stored)), key=lambda index: len(place.stored[index]))
        chunks: list[bytes] = []
        octets = inbox.connection.retr(largest + 1, sink=chunks.append)
        assert octets == len(place.stored[largest])
        assert b"".join(chunks) == place.stored[largest]


def test_pipeline_keeps_order_and_refusals(place: Place) -> None:
    """Each result belongs to its command, refusals among them."""
    from pymailbox.pop3 import commands

    with place.open() as inbox:
        numbers = [1, 2, 5, 3, 1] if place.name == "popa3d" else [1, 2, len(place.stored) + 5, 3, 1]
        results = list(inbox.connection.pipeline(commands.retr(number) for number in numbers))
        for number, result in zip(numbers, results, strict=True):
            if number <= len(place.stored):
                assert result == place.stored[number - 1]
            else:
                assert isinstance(result, CommandError)


def test_read_only_never_deletes(place: Place) -> None:
    """With read_only=True nothing can be marked."""
    with place.open(read_only=True) as inbox:
        with pytest.raises(ValueError, match="read_only"):
            inbox[0].delete()
        assert inbox.deleted == ()


def test_a_locked_mailbox_says_so(place: Place) -> None:
    """Where the server locks, the second session is MailboxLocked, which may be tried again."""
    if "in-use" not in place.features:
        pytest.skip(f"{place.name} lets two sessions in")
    with place.open():
        with pytest.raises(MailboxLocked) as caught, place.open(timeout=20.0):
            pass
        assert caught.value.retryable
        assert not caught.value.usable


def test_one_by_one_gives_the_same(place: Place) -> None:
    """pipelining=False and capa=False change the pace, not the result."""
    with place.open(pipelining=False) as inbox:
        assert tuple(message.raw for message in inbox.fetch(inbox[:6])) == place.stored[:6]
    with place.open(capa=False, auth=None) as inbox:
        assert [message.number for message in inbox] == list(range(1, len(place.stored) + 1))
        assert inbox[1].raw == place.stored[1]


def test_no_uidl_is_not_supported(place: Place) -> None:
    """uids are either there or NotSupported; a delete works all the same."""
    with place.open() as inbox:
        try:
            assert len(inbox.uids) == len(inbox)
        except NotSupported:
            inbox[0].delete()
            assert inbox[0].deleted
