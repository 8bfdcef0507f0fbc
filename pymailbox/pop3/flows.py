"""Flows: greeting, TLS, capabilities and login as straight-line code, written once for both drivers.

The contract: a `Flow[T]` is a generator that returns a `T`. It yields a step, and the driver sends it the result:

======================  ===================================================================================
the flow yields         the driver sends
======================  ===================================================================================
`Command[T]`            the `T`; a refusal is thrown in as `CommandError`
`Pipeline(commands)`    a list with a `T` or a `CommandError` for each command, once all replies are in
`Next(batch)`           the next result of a batch that stays open, a refusal as a value; None at its end
`Stream(command, sink)` the size of the body, after its chunks were passed to `sink`
`StartTLS()`            None after the handshake; the receive buffer must be empty before it
`Reconnect()`           None, on a fresh connection; at most once, and never with the caller's own socket
`Callback(function)`    what the caller's function returned (awaited if need be), wrapped by `display.secret`
======================  ===================================================================================

Every other `MailboxError` is thrown in too, so that the flow can react; the session has failed by then. A flow does
no I/O and has no clock; its only state is the `Session`.
"""

from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple, TypeVar

from pymailbox.account import Security
from pymailbox.errors import CommandError, ConnectionLost, NotSupported
from pymailbox.pop3 import commands
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Command
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.session import Session

__all__ = [
    "Callback",
    "Flow",
    "Next",
    "Pipeline",
    "Reconnect",
    "StartTLS",
    "Step",
    "Stream",
    "ask",
    "ask_all",
    "callback",
    "discover",
]

T = TypeVar("T")


class Pipeline(NamedTuple):
    """Send several commands and wait for all replies."""

    commands: tuple[Command[Any], ...]


class Next(NamedTuple):
    """Wait for the next result of a batch."""

    batch: Batch[Any]


class Stream(NamedTuple):
    """Send one command, and pass the body of its reply on in chunks."""

    command: Command[int]
    sink: Callable[[bytes], object]


class StartTLS:
    """Start TLS on the current connection."""


class Reconnect:
    """Close the connection and make a fresh one to the same server."""


class Callback(NamedTuple):
    """Call the caller's function, such as a password prompt or a token refresh, or read a reference to a secret."""

    function: Callable[[], Any]
    #: Whether it is slow and safe in any thread, so that the event loop need not wait for it.
    in_thread: bool = False


Step = Command[Any] | Pipeline | Next | Stream | StartTLS | Reconnect | Callback
Flow = Generator[Step, Any, T]


def ask(command: Command[T]) -> Flow[T]:
    """Send one command and return its result."""
    result: T = yield command
    return result


def ask_all(wanted: Iterable[Command[T]]) -> Flow[list[T | CommandError]]:
    """Send several commands together and return their results in order; a refusal is a value."""
    results: list[T | CommandError] = yield Pipeline(tuple(wanted))
    return results


def callback(function: Callable[[], Any], *, in_thread: bool = False) -> Flow[Any]:
    """Call the caller's function and return its result."""
    result: Any = yield Callback(function, in_thread)
    return result


# --- from the greeting to the first command -------------------------------------------------------------------


def greet(session: Session, security: Security) -> Flow[None]:
    """Wait for the greeting; if `security` is "starttls", then start TLS before any other command."""
    session.greeting = yield from ask(commands.greeting())
    if security == "starttls":
        try:
            yield from start_tls(session)
        except CommandError as refused:
            raise NotSupported(
                'the server refused to start TLS, which security="starttls" requires;'
                ' try security="tls" (usually port 995)',
                command=refused.command,
                response=refused.response,
                code=refused.code,
                usable=False,
            ) from refused


def start_tls(session: Session) -> Flow[None]:
    """Send STLS, start TLS with an empty buffer, and forget the capabilities advertised before it (RFC 2595 §4)."""
    yield from ask(commands.stls())
    session.protocol.reset_for_tls()
    yield StartTLS()
    session.secure = True
    session.security = "starttls"  # a fresh connection must be secured as well
    session.learn(None)


def discover(session: Session) -> Flow[Capabilities]:
    """Send CAPA and store the reply; if the server refuses, store no capabilities and raise `NotSupported`."""
    try:
        capabilities = yield from ask(commands.capa())
    except CommandError as refused:
        session.learn(Capabilities())
        raise NotSupported(
            "the server does not support CAPA", command=refused.command, response=refused.response
        ) from refused
    session.learn(capabilities)
    return capabilities


def known_capabilities(session: Session) -> Flow[Capabilities]:
    """Return the capabilities, sending CAPA only if they are unknown; none if the server does not support CAPA."""
    if session.capabilities is None:
        if not session.may_ask_capa:
            session.learn(Capabilities())
        else:
            try:
                yield from discover(session)
            except NotSupported:
                session.protocol.note("NO_CAPA", "CAPA is refused")
    return session.capabilities if session.capabilities is not None else Capabilities()


def establish(session: Session, security: Security) -> Flow[None]:
    """Greeting, TLS, capabilities; if the server closes the connection on CAPA, once more without CAPA."""
    # Q12
    yield from greet(session, security)
    try:
        yield from known_capabilities(session)
    except ConnectionLost:
        if not session.may_reconnect:
            raise
        session.protocol.note("CLOSES_ON_CAPA", "the connection ended after CAPA")
        session.may_ask_capa = False
        yield from start_over(session, security)


def start_over(session: Session, security: Security) -> Flow[None]:
    """Continue on a fresh connection, at most once."""
    session.may_reconnect = False
    yield Reconnect()
    yield from greet(session, security)
    yield from known_capabilities(session)


def ask_utf8(session: Session) -> Flow[None]:
    """Send UTF8 if it is advertised: without it some servers send a wrapper in place of the message (RFC 6856)."""
    if "UTF8" in (yield from known_capabilities(session)):
        try:
            yield from ask(commands.utf8())
            session.utf8 = True
        except CommandError as refused:
            session.protocol.note("UTF8_REFUSED", str(refused))
