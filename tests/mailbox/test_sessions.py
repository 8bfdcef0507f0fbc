"""How a session ends, and what the next one is: a server's goodbye before QUIT, reopen(), another event loop."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from pymailbox import CommitError, ConnectionLost
from pymailbox.testing import Server
from pymailbox.testing.certificates import Certificates
from tests.conversations import case
from tests.drivers import Driver
from tests.replay import Replay, Step, reset
from tests.timing import GENEROUS

MAILS = [b"Subject: %d\r\n\r\nbody %d\r\n" % (number, number) for number in range(3)]


def over(driver: Driver, server: Server, **options: Any) -> Any:
    """Return the mailbox of that server."""
    return driver.Mailbox.from_url(server.url, "secret", **{"timeout": GENEROUS, **options})


# --- a server's goodbye ---------------------------------------------------------------------------------------


def close_notify(sock: socket.socket) -> None:
    """End TLS in order without waiting for the client, or the stream where there is none."""
    if isinstance(sock, ssl.SSLSocket):
        sock.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            sock.unwrap()
        sock.setblocking(True)
    sock.shutdown(socket.SHUT_WR)


GOODBYES: dict[str, Callable[[socket.socket], object]] = {
    "words": lambda sock: sock.sendall(b"-ERR idle for too long\r\n"),
    "words and the end": lambda sock: (sock.sendall(b"-ERR idle for too long\r\n"), close_notify(sock)),
    "kind words": lambda sock: (sock.sendall(b"+OK bye\r\n"), close_notify(sock)),
    "half a line": lambda sock: (sock.sendall(b"-ER"), close_notify(sock)),
    "the end": close_notify,
    "a ragged end": lambda sock: sock.shutdown(socket.SHUT_RDWR),
    "a reset": reset,
}


@contextmanager
def idle(
    driver: Driver,
    goodbye: Callable[[socket.socket], object],
    *,
    marks: Sequence[int] = (1, 3),
    after: Sequence[Step] = (),
    **options: Any,
) -> Iterator[tuple[Any, Replay]]:
    """Open a mailbox with deletions pending; then the server says goodbye, and the caller goes on."""
    marked, gone = threading.Event(), threading.Event()

    def leave(sock: socket.socket) -> None:
        assert marked.wait(GENEROUS)
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # at once: the reply before has not been acknowledged
        goodbye(sock)
        gone.set()

    steps = [
        (None, b"+OK ready\r\n"),
        (b"USER me\r\n", b"+OK\r\n"),
        (b"PASS secret\r\n", b"+OK\r\n"),
        (b"STAT\r\n", b"+OK 3 300\r\n"),
        (b"UIDL\r\n", b"+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n"),
        *((b"DELE %d\r\n" % number, b"+OK\r\n") for number in marks),
        (None, leave),
        *after,
    ]
    with Replay(steps, ending="stay", tcp=True, context=options.pop("server", None)) as replay:
        options = {"security": "none", "capa": False, "timeout": GENEROUS, "sock": replay.client} | options
        inbox = driver.Mailbox("localhost", "me", "secret", **options).open()
        assert inbox.uids == ("a", "b", "c")
        inbox.delete([inbox[number - 1] for number in marks])
        marked.set()
        assert gone.wait(GENEROUS)
        yield inbox, replay


def versions() -> Iterator[tuple[str, dict[str, Any]]]:
    """The ways in, each with the options of both ends."""
    yield "none", {}
    with closing(Certificates.make("localhost")) as certificates:
        certificates.context.num_tickets = 2  # under TLS 1.3 a readable socket may hold no data
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server = certificates.context
            server.minimum_version = server.maximum_version = version
            yield version.name, {"security": "tls", "server": server, "ssl_context": certificates.client_context()}


def test_a_goodbye_before_quit_means_that_nothing_happened(driver: Driver) -> None:
    """QUIT is not sent, so nothing is in doubt: `ConnectionLost`, which names what was not deleted (decision 5)."""
    for name, options in versions():
        for kind, goodbye in GOODBYES.items():
            with case(name, kind), idle(driver, goodbye, **options) as (inbox, replay):
                with pytest.raises(ConnectionLost, match="none of its 2 deletions was committed") as caught:
                    inbox.close()
                assert "message 1, uid a; message 3, uid c" in str(caught.value)
                if kind.startswith("words"):
                    assert caught.value.response == "-ERR idle for too long"
            assert b"QUIT" not in replay.received
            assert not replay.problem


def test_a_server_that_is_gone_before_quit_committed_nothing(driver: Driver) -> None:
    """On every way in, and with the replies of an iteration that was left early still in flight."""
    mails = MAILS * 200
    for security in ("none", "starttls", "tls"):
        for left_early in (False, True):
            with case(security, left_early), Server(mails, security=security) as server:
                context = None if security == "none" else server.client_context()
                inbox = over(driver, server, ssl_context=context).open()
                inbox[0].delete()
                if left_early:
                    next(iter(inbox.fetch(inbox[1:])))
                server.close()
                with pytest.raises(ConnectionLost, match="none of its 1 deletions was committed"):
                    inbox.close()
                assert "QUIT" not in server.log


def test_a_quit_that_went_out_and_was_not_answered_is_in_doubt(driver: Driver) -> None:
    """Whatever ends the session after QUIT, and however: `CommitError` names what is in doubt."""
    for kind, goodbye in GOODBYES.items():
        if kind == "kind words":
            continue  # that is the answer
        replies = [(b"QUIT\r\n", goodbye)]
        with case(kind), idle(driver, lambda _: None, after=replies) as (inbox, replay):
            with pytest.raises(CommitError) as caught:
                inbox.close()
            assert caught.value.unconfirmed == ("a", "c")
            assert caught.value.unconfirmed_numbers == (1, 3)
        assert replay.received.endswith(b"QUIT\r\n")


def test_without_deletions_a_goodbye_is_no_error(driver: Driver) -> None:
    """Nothing was pending, so nothing is lost."""
    for kind, goodbye in GOODBYES.items():
        with case(kind), idle(driver, goodbye, marks=()) as (inbox, replay):
            inbox.close()
        assert b"QUIT" not in replay.received
