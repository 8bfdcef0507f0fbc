"""Scripts of what a flow must send and of the replies that it gets: a whole login without a socket."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pymailbox.display import secret
from pymailbox.errors import CommandError, MailboxError
from pymailbox.pop3.command import Command
from pymailbox.pop3.flows import Callback, Flow, Pipeline, Reconnect, StartTLS
from pymailbox.pop3.session import Session

__all__ = ["Turn", "play", "session"]

T = TypeVar("T")

#: What is sent, and the reply; None if the server closes the connection.
Turn = tuple[bytes, bytes | None]


def session(**options: Any) -> Session:
    """Return a session, by default inside TLS and with a server on another machine."""
    secure, loopback = options.pop("secure", True), options.pop("loopback", False)
    made = Session("pop.example.com", **options)
    made.begin(secure=secure, loopback=loopback)
    return made


def play(made: Session, flow: Flow[T], *connections: Sequence[Turn]) -> T:
    """Run a flow over the scripted connections, the first one and for each `Reconnect` the next one.

    The flow must send exactly what the script says, to its end.
    """
    left = [list(turns) for turns in connections] or [[]]
    now = left.pop(0)
    result: Any = None
    failure: MailboxError | None = None
    while True:
        try:
            step = flow.send(result) if failure is None else flow.throw(failure)
        except StopIteration as end:
            assert not now
            assert not any(left)
            value: T = end.value
            return value
        except BaseException:
            assert not now, f"not sent: {now}"
            raise
        result = failure = None
        try:
            if isinstance(step, Command):
                result = _answer(made, step, now)
            elif isinstance(step, Pipeline):
                result = [_value(made, command, now) for command in step.commands]
            elif isinstance(step, Callback):
                result = secret(step.function())
            elif isinstance(step, Reconnect):
                assert not now
                now = left.pop(0)
                made.begin(secure=made.security == "tls", loopback=made.loopback)
            else:
                assert isinstance(step, StartTLS)
        except MailboxError as error:
            failure = error


def _answer(made: Session, command: Command[Any], now: list[Turn]) -> Any:
    result = _value(made, command, now)
    if isinstance(result, CommandError):
        raise result
    return result


def _value(made: Session, command: Command[Any], now: list[Turn]) -> Any:
    batch = made.dispatcher.single(command)
    sent = made.protocol.data_to_send()
    assert now, f"sent beyond the script: {sent!r}"
    expected, reply = now.pop(0)
    assert sent == expected
    if reply is None:
        made.protocol.receive_eof()
    else:
        made.protocol.receive_data(reply)
    made.dispatcher.next_chunk(batch)
    return batch.results.popleft()
