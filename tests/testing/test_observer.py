"""Each reply is recorded with its command, in whatever pieces and however early the commands come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.testing.observer import Observer
from pymailbox.testing.recording import Step
from pymailbox.testing.redaction import Redaction

#: Commands and whole replies.
TALK = [
    (b"CAPA", b"+OK\r\nTOP\r\n.\r\n"),
    (b"AUTH", b"-ERR which?\r\n"),
    (b"AUTH", b"+OK\r\nPLAIN\r\n.\r\n"),
    (b"STAT", b"+OK 2 10\r\n"),
    (b"LIST", b"+OK\r\n1 5\r\n2 5\r\n.\r\n"),
    (b"LIST 1", b"+OK 1 5\r\n"),
    (b"uidl", b"+OK\r\n.\r\n"),
    (b"RETR 1", b"+OK\r\nSubject: x\r\n\r\n..\r\n.\n\r\nlone\n.\r\n+OK\r\n.\r\n"),
    (b"RETR 9", b"-ERR no such message\r\n"),
    (b"TOP 1 0", b"+OK\r\n\r\n.\r\n"),
    (b"TOP 1 0", b"+OK\n\n.\n"),
    (b"LANG", b"+OK\r\nen English\r\n.\r\n"),
    (b"LANG en", b"+OK en\r\n"),
    (b"XYZ", b"?what\r\n"),
    (b"NOOP", b"+OK\r\n"),
    (b"QUIT", b"+OK bye\r\n"),
]


@given(
    talk=st.lists(st.sampled_from(TALK)),
    window=st.integers(1, 20),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
)
def test_every_reply_is_with_its_command(talk: list[tuple[bytes, bytes]], window: int, sizes: list[int]) -> None:
    """Also if the client is many commands ahead of the replies, and a body contains what looks like its end."""
    observer = Observer(Redaction())
    observer.server_sent(b"+OK ready\r\n")
    for at in range(0, len(talk), window):
        part = talk[at : at + window]
        observer.client_sent(b"".join(command + b"\r\n" for command, _ in part))
        rest, number = b"".join(reply for _, reply in part), 0
        while rest:
            assert observer.waiting
            size = sizes[number % len(sizes)]
            observer.server_sent(rest[:size])
            rest, number = rest[size:], number + 1
        assert not observer.waiting
    expected = [Step(None, b"+OK ready\r\n")]
    expected += [Step(b"***" if command == b"XYZ" else command, reply) for command, reply in talk]
    assert observer.recorded("keep").steps == tuple(expected)


def test_what_nobody_asked_for_is_kept() -> None:
    """Unsolicited lines, and a last line without an end, belong to what came before."""
    observer = Observer(Redaction())
    observer.server_sent(b"+OK ready\r\n")
    observer.client_sent(b"NOOP\r\n")
    observer.server_sent(b"+OK\r\n-ERR idle for too long\r\nand")
    assert observer.recorded("keep").steps[-1] == Step(b"NOOP", b"+OK\r\n-ERR idle for too long\r\nand")


@pytest.mark.parametrize(("line", "ended"), [(b"QUIT", "server"), (b"NOOP", "client")])
def test_after_quit_the_server_ends_the_session(line: bytes, ended: str) -> None:
    """After the reply to QUIT, it does not matter which side was the first to close."""
    observer = Observer(Redaction(), "client")
    observer.server_sent(b"+OK\r\n")
    observer.client_sent(line + b"\r\n")
    observer.server_sent(b"+OK\r\n")
    assert observer.recorded("keep").ended == ended
