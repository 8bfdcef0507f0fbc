"""Flows: greeting, TLS, capabilities and login as straight-line code, once for every driver.

The contract. A `Flow[T]` is a generator that ends with a `T`. It yields what it waits for and is sent the result:

======================  ===================================================================================
it yields               it is sent
======================  ===================================================================================
`Command[T]`            the `T`; a refusal is thrown in as `CommandError`
`Pipeline(commands)`    a list with a `T` or a `CommandError` for each command, once all replies are in
`Next(batch)`           the next result of a batch that stays open, a refusal as a value; None at its end
`Stream(command, sink)` the octets; the chunks of the body go to `sink`
`StartTLS()`            None, when the handshake is done; nothing may be buffered before it
`Reconnect()`           None, on a fresh connection; asked for once at most, never with the caller's own socket
`Callback(function)`    what the caller's function returned (a driver may await it), through `display.secret`
======================  ===================================================================================

Every other `MailboxError` is thrown in too, so that a flow can react; the session has failed by then. A flow does
no I/O, knows no clock and keeps no state but what it notes in the `Session`.
"""

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from attrs import frozen

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


@frozen(eq=False)
class Pipeline:
    """Several commands whose replies are awaited together."""

    commands: tuple[Command[Any], ...]


@frozen(eq=False)
class Next:
    """The next result of a batch of `Session.batch`."""

    batch: Batch[Any]


@frozen(eq=False)
class Stream:
    """One command whose body is handed on in chunks."""

    command: Command[int]
    sink: Callable[[bytes], object]


@frozen
class StartTLS:
    """Start TLS on the connection as it is."""


@frozen
class Reconnect:
    """Close the connection and make a fresh one to the same place."""


@frozen(eq=False)
class Callback:
    """Call a function of the caller's: a password prompt, a token refresh; or one that reads where a secret is."""

    function: Callable[[], Any]
    #: Whether it may take long and is fit for any thread, so that a driver need not let its event loop wait.
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
    """Call a function of the caller's and return what it returned."""
    result: Any = yield Callback(function, in_thread)
    return result


# --- from the first octet to the first command ----------------------------------------------------------------


def greet(session: Session, security: Security) -> Flow[None]:
    """Await the greeting; then start TLS where `security` is "starttls", before anything else is said."""
    session.greeting = yield from ask(commands.greeting())
    if security == "starttls":
        try:
            yield from start_tls(session)
        except CommandError as refused:
            raise NotSupported(
                'the server refused to start TLS (security="starttls" makes it a requirement);'
                ' try security="tls", usually on port 995',
                command=refused.command,
                response=refused.response,
                code=refused.code,
                usable=False,
            ) from refused


def start_tls(session: Session) -> Flow[None]:
    """STLS: ask, start TLS on an empty buffer, and forget what was said in clear text (RFC 2595 §4)."""
    yield from ask(commands.stls())
    session.protocol.reset_for_tls()
    yield StartTLS()
    session.secure = True
    session.security = "starttls"  # what was secure stays so on a fresh connection
    session.learn(None)


def discover(session: Session) -> Flow[Capabilities]:
    """Ask CAPA and note the answer; a server without it has no capabilities, and says so (`NotSupported`)."""
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
    """Return the capabilities, asking only when they are not known; none for a server that does not tell."""
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
    """Greeting, TLS, capabilities; on a server that hangs up on CAPA, once more without it."""
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
    """Continue on a fresh connection, once at most."""
    session.may_reconnect = False
    yield Reconnect()
    yield from greet(session, security)
    yield from known_capabilities(session)


def ask_utf8(session: Session) -> Flow[None]:
    """UTF8, where it is listed: without it some servers send a wrapper in place of the mail (RFC 6856)."""
    if "UTF8" in (yield from known_capabilities(session)):
        try:
            yield from ask(commands.utf8())
            session.utf8 = True
        except CommandError as refused:
            session.protocol.note("UTF8_REFUSED", str(refused))
