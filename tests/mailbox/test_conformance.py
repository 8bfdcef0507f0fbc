"""A mailbox keeps its promises with both drivers, on every server, with and without TLS.

Each rule is one test on each server; a failure also names the driver and the kind of security. The usual run tests each
kind of security with one of the drivers, in turn; the slow run tests it with the other.
"""

import ssl
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from attrs import frozen

from pymailbox import CommandError, Mailbox, MailboxLocked, MessageUnavailable
from pymailbox.pop3.protocol import Protocol
from pymailbox.testing import Server
from tests import case
from tests.conftest import Servers
from tests.drivers import DRIVERS, Driver
from tests.servers import Login, mails, trusting
from tests.servers.seed import crlf
from tests.timing import GENEROUS

ALL = ("none", "starttls", "tls")
WAYS = {"embedded": ALL, "dovecot": ALL, "cyrus": ALL, "courier": ALL, "popa3d": ("none",)}
SERVERS = ["embedded", *(pytest.param(name, marks=pytest.mark.real) for name in WAYS if name != "embedded")]
NUMBERS = count()  # for new users of the embedded servers
RULES = count()


@frozen
class Place:
    """A mailbox for one test, and the messages in it."""

    name: str
    host: str
    port: int
    security: str
    login: Login
    stored: tuple[bytes, ...]
    features: frozenset[str]
    context: ssl.SSLContext | None
    driver: Driver
    directory: Path

    def open(self, **options: Any) -> Mailbox:
        """Return a mailbox, not yet open."""
        settings = {"port": self.port, "security": self.security, "ssl_context": self.context, "timeout": GENEROUS}
        return self.driver.Mailbox(self.host, *self.login, **(settings | options))


Embedded = Callable[[str, float], Server]


@pytest.fixture(scope="module")
def embedded() -> Iterator[Embedded]:
    """Embedded servers by security and by how long they wait for a lock; each is started once."""
    running: dict[tuple[str, float], Server] = {}

    def get(security: str, lock_wait: float) -> Server:
        if (security, lock_wait) not in running:
            stored = [crlf(mail.raw) for mail in mails()]
            users = {f"user{number}": "s3cret" for number in range(40)}
            running[security, lock_wait] = Server(stored, users=users, security=security, lock_wait=lock_wait).open()
        return running[security, lock_wait]

    yield get
    for server in running.values():
        server.close()


Rule = Callable[[Place], None]


def everywhere(*, fresh: bool, lock_wait: float = GENEROUS) -> Callable[[Rule], Callable[..., None]]:
    """Make a test from a rule: on each server, with both drivers and every kind of security.

    If `fresh`, the test gets its own mailbox, otherwise one that it may only read. `lock_wait` is an option of the
    embedded server.
    """

    def make(rule: Rule) -> Callable[..., None]:
        first = next(RULES)

        @pytest.mark.parametrize("other", [0, pytest.param(1, marks=pytest.mark.slow)], ids=["one", "other"])
        @pytest.mark.parametrize("name", SERVERS)
        def test(name: str, other: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
            for number, security in enumerate(WAYS[name], first + other):
                driver = sorted(DRIVERS)[number % 2]
                with case(name, security, driver), DRIVERS[driver]() as one:
                    rule(find(name, security, request, one, tmp_path, fresh, lock_wait))

        test.__name__, test.__doc__ = rule.__name__, rule.__doc__
        test.__qualname__ = rule.__qualname__
        return test

    return make


def find(
    name: str,
    security: str,
    request: pytest.FixtureRequest,
    driver: Driver,
    directory: Path,
    fresh: bool,
    lock_wait: float,
) -> Place:
    """Return a mailbox on a server with this security."""
    if name == "embedded":
        server: Server = request.getfixturevalue("embedded")(security, lock_wait)
        login = Login(f"user{next(NUMBERS) % 39 if fresh else 39}", "s3cret")
        features = frozenset({"capa", "pipelining", "top", "uidl", "unique-uids", "in-use", "resp-codes"})
        context = None if security == "none" else server.client_context()
        stored = server.mailbox(login.user)
        return Place(name, server.host, server.port, security, login, stored, features, context, driver, directory)
    servers: Servers = request.getfixturevalue("real_servers")
    real = servers.get(name)
    port = real.tls_port if security == "tls" else real.port
    assert port is not None
    login = real.fresh_user() if fresh else Login(real.user, real.password)
    context = None if security == "none" or real.ca is None else trusting(real.ca)
    return Place(name, real.host, port, security, login, real.stored, real.features, context, driver, directory)


@everywhere(fresh=False)
def test_the_sequence_works_without_downloading(place: Place) -> None:
    """len, list, slices, reversed and `in` need only STAT."""
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


@pytest.mark.threat(92)
@everywhere(fresh=False)
def test_every_message_is_read_byte_for_byte(place: Place) -> None:
    """`raw`, `fetch` and `save` return exactly the stored bytes."""
    with place.open() as inbox:
        assert tuple(message.raw for message in inbox.fetch()) == place.stored
        for number in (1, 2, 3, 7, len(place.stored)):
            message = inbox[number - 1]
            assert message.raw == place.stored[number - 1]
        path = place.directory / "mail.eml"
        assert inbox[6].save(path) == path
        assert path.read_bytes() == place.stored[6]


@everywhere(fresh=False)
def test_headers_are_those_of_the_body(place: Place) -> None:
    """Headers by TOP equal those by RETR, forward, reversed and in strides."""
    with place.open() as inbox:
        by_top = [(message.subject, message.from_, message.date) for message in inbox]
        reverse = [message.subject for message in reversed(inbox)]
        thirds = [message.subject for message in inbox[::3]]
        assert reverse == [subject for subject, _, _ in by_top][::-1]
        assert thirds == [subject for subject, _, _ in by_top][::3]
        by_retr = [(m.content.subject, m.content.from_, m.content.date) for m in inbox.fetch()]
        assert by_top == by_retr


@everywhere(fresh=False)
def test_sizes_are_close_and_uids_are_stable(place: Place) -> None:
    """Uids are unique if the server promises so, and the same in the next session."""
    with place.open() as inbox:
        sizes = [message.size for message in inbox]
        assert all(
            size is not None and abs(size - len(raw)) < 1000 for size, raw in zip(sizes, place.stored, strict=True)
        )
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


@everywhere(fresh=True)
def test_deletions_are_committed_by_a_clean_end(own: Place) -> None:
    """The marked messages are gone, and the others keep their order and bytes."""
    with own.open() as inbox:
        inbox.delete(inbox[2:5])
        assert [message.number for message in inbox.deleted] == [3, 4, 5]
        with pytest.raises(MessageUnavailable):
            _ = inbox[2].raw
        inbox[3].undelete()
        assert [message.number for message in inbox.deleted] == [3, 5]
    left = [raw for number, raw in enumerate(own.stored, 1) if number not in (3, 5)]
    with own.open() as inbox:
        assert [message.raw for message in inbox.fetch()] == left


@everywhere(fresh=True)
def test_an_exception_rolls_deletions_back(own: Place) -> None:
    """Nothing is deleted, and the exception is raised unchanged."""

    def fail() -> None:
        with own.open() as inbox:
            inbox.delete(inbox[:5])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with own.open() as inbox:
        assert len(inbox) == len(own.stored)


@everywhere(fresh=True)
def test_rollback_and_reopen(own: Place) -> None:
    """rollback() removes the marks and ends the session; reopen() commits and opens a new session."""
    inbox = own.open().open()
    inbox[0].delete()
    inbox.rollback()
    inbox.rollback()
    with pytest.raises(ValueError, match="not open"):
        len(inbox)
    inbox.open()
    assert len(inbox) == len(own.stored)
    old = inbox[1]
    assert old.raw == own.stored[1]
    inbox[0].delete()
    inbox.reopen()
    assert len(inbox) == len(own.stored) - 1
    assert old.raw == own.stored[1]
    assert old not in inbox
    with pytest.raises(ValueError, match="another session"):
        inbox.delete(old)
    inbox.close()
    inbox.close()


@everywhere(fresh=False)
def test_refusals_cost_one_message(place: Place) -> None:
    """A number that does not exist is `MessageUnavailable`, and the session stays usable if the server allows it."""
    with place.open() as inbox:
        if place.name == "popa3d":
            return  # it ends the session at the first invalid number
        pop = inbox.connection
        with pytest.raises(MessageUnavailable) as caught:
            pop.retr(len(place.stored) + 1)
        assert caught.value.usable
        assert str(len(place.stored) + 1) in (caught.value.command or "")
        assert pop.stat().count == len(place.stored)
        with pytest.raises(ValueError):
            pop.retr(0)


@everywhere(fresh=False)
def test_streaming_passes_the_bytes_on_in_chunks(place: Place) -> None:
    """`retr` with a sink passes on the same bytes and returns their number."""
    with place.open() as inbox:
        largest = max(range(len(place.stored)), key=lambda index: len(place.stored[index]))
        chunks: list[bytes] = []
        size = inbox.connection.retr(largest + 1, sink=chunks.append)
        assert size == len(place.stored[largest])
        assert b"".join(chunks) == place.stored[largest]


@everywhere(fresh=False)
def test_a_pipeline_keeps_order_and_refusals(place: Place) -> None:
    """Each result belongs to its command, also after a refusal."""
    from pymailbox.pop3 import commands

    with place.open() as inbox:
        numbers = [1, 2, 5, 3, 1] if place.name == "popa3d" else [1, 2, len(place.stored) + 5, 3, 1]
        results = list(inbox.connection.pipeline(commands.retr(number) for number in numbers))
        for number, result in zip(numbers, results, strict=True):
            if number <= len(place.stored):
                assert result == place.stored[number - 1]
            else:
                assert isinstance(result, CommandError)


@everywhere(fresh=False)
def test_read_only_never_deletes(place: Place) -> None:
    """With `read_only=True` no message can be marked."""
    with place.open(read_only=True) as inbox:
        with pytest.raises(ValueError, match="read_only"):
            inbox[0].delete()
        assert inbox.deleted == ()


@everywhere(fresh=False, lock_wait=0.2)
def test_two_sessions_at_once(place: Place) -> None:
    """If the server locks mailboxes, the second session is `MailboxLocked`, which is retryable; otherwise it opens."""
    with place.open() as inbox:
        if "in-use" in place.features:
            with pytest.raises(MailboxLocked) as caught:
                place.open().open()
            assert caught.value.retryable
            assert not caught.value.usable
        else:
            with place.open() as second:
                assert len(second) == len(inbox)


@everywhere(fresh=False)
def test_without_pipelining_the_results_are_the_same(place: Place) -> None:
    """`pipelining=False` and `capa=False` change the speed, not the result."""
    with place.open(pipelining=False) as inbox:
        assert tuple(message.raw for message in inbox.fetch(inbox[:6])) == place.stored[:6]
    with place.open(capa=False, auth=None) as inbox:
        assert [message.number for message in inbox] == list(range(1, len(place.stored) + 1))
        assert inbox[1].raw == place.stored[1]


@everywhere(fresh=True)
def test_an_advertised_pipeline_is_used(place: Place) -> None:
    """With PIPELINING many commands are in flight, also with deletions pending, and every result is correct."""
    sent: list[int] = []

    def counted(protocol: Protocol) -> bytes:
        data = data_to_send(protocol)
        sent.append(data.count(b"\r\n"))
        return data

    data_to_send = Protocol.data_to_send
    with patch.object(Protocol, "data_to_send", counted), place.open() as inbox:
        inbox.delete(inbox[1:4])
        sent.clear()
        fetched = [(message.number, message.raw) for message in inbox.fetch()]
        most = max(sent)
        sent.clear()
        subjects = [message.subject for message in inbox if not message.deleted]
        assert len(subjects) == len(fetched)
        inbox.rollback()
    assert fetched == [(n, raw) for n, raw in enumerate(place.stored, 1) if n not in (2, 3, 4)]
    piped = "pipelining" in place.features
    assert (most > 8) == piped, most
