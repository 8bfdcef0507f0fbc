"""The fixtures and servers of `pymailbox.testing` have types; a misspelt option is a type error."""

from pathlib import Path
from typing import assert_type

from pymailbox import Mailbox, Message
from pymailbox.testing import Fault, Proxy, Quirk, Recorder, Server, SessionRecord


def uses_the_fixtures(mailbox: Mailbox, pop3_server: Server) -> None:
    """As a test does that annotates them."""
    assert_type(mailbox[0], Message)
    assert_type(pop3_server.messages, tuple[bytes, ...])
    assert_type(pop3_server.sessions, tuple[SessionRecord, ...])
    pop3_server.deliver("text")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def records_and_replays(path: Path) -> None:
    """Constructors have the types of what they take."""
    with Server([b""], quirks=Quirk.LF_LINES, faults=[Fault.cut(10)], security="tls") as server:
        assert_type(server, Server)
        with Recorder(path, server.host, server.port, bodies="keep", redact=["host"]) as recorder:
            assert_type(recorder.port, int)
        Proxy(server.host, server.port, faults=[Fault.cut(10)])
        Recorder("session.pop3", server.host, bodies="none")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with Server.replay(path, strict=False, faults=[Fault.drop("QUIT")]) as replay:
        assert_type(replay, Server)
    Server.replay(path, security="starttls")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Server(securty="tls")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
