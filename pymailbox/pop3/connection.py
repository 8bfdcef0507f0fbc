"""Connection: POP3 over a blocking socket, one method a command.

The driver of the protocol: it connects, reads, writes, starts TLS, closes and keeps deadlines. What to say and what
the answers mean is in `commands`, `flows` and `protocol`, shared with `AsyncConnection`.

A session is for one thread at a time. Any failure but a refusal (`CommandError`) closes it at once: later use raises
`ConnectionLost`, and nothing is committed.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from pymailbox.account import Account, Security, default_port
from pymailbox.errors import CommandError, ConcurrentUse, ConnectionLost, MailboxError
from pymailbox.pop3 import commands, flows, login
from pymailbox.pop3 import proxy as proxies
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Chunk, Command
from pymailbox.pop3.commands import Stat
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.patience import Patience, checked_timeout
from pymailbox.pop3.session import Batch, Session
from pymailbox.pop3.transport import Transport, connect, is_loopback, until
from pymailbox.secrets import secret

if TYPE_CHECKING:
    import socket
    import ssl

    from pymailbox.account import OAuth2
    from pymailbox.pop3.mechanism import Mechanism

__all__ = ["Connection"]

T = TypeVar("T")
V = TypeVar("V")


class Connection:
    """A POP3 connection over a blocking socket.

    Nothing is connected until `with` or `open()`. Leaving the block closes the socket without QUIT, which commits
    nothing; say `quit()` to commit.

    >>> from pymailbox.pop3 import Connection
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: hello\\r\\n\\r\\nworld\\r\\n"]) as server:
    ...     with Connection(server.host, server.port, security="none") as pop:
    ...         text = pop.user("me"), pop.pass_("secret")
    ...         print(pop.stat(), pop.retr(1))
    ...         text = pop.quit()
    Stat(count=1, size=25) b'Subject: hello\\r\\n\\r\\nworld\\r\\n'
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        security: Security = "tls",
        ssl_context: "ssl.SSLContext | None" = None,
        timeout: float | None = 30.0,
        limits: Limits | None = None,
        pipelining: bool | None = None,
        capa: bool = True,
        allow_plaintext: bool = False,
        proxy: str | None = None,
        source_address: tuple[str, int] | None = None,
        sock: "socket.socket | None" = None,
    ) -> None:
        # Checked as an account's are: ValueError or TypeError before anything is connected.
        self.port = Account(host, security=security, port=default_port(security) if port is None else port).port
        self.host = host
        self.security = security
        self.timeout = checked_timeout(timeout)
        self._ssl_context = ssl_context
        self._proxy = None if proxy is None else proxies.checked(proxy, security)
        self._source_address = source_address
        self._sock = sock
        #: What is known of this connection; for the flows of the floor above.
        self.session = Session(
            host,
            limits or Limits(),
            may_pipeline=pipelining,
            may_ask_capa=capa,
            allow_plaintext=allow_plaintext,
            may_reconnect=sock is None,
            security=security,
        )
        self._transport: Transport | None = None
        self._turns: dict[str, object] = {}  # who uses the session now; `setdefault` is atomic

    # --- life ---------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Connect, start TLS where asked for, and await the greeting; returns the connection.

        Raises `ConnectionLost`, `Timeout`, `TLSError`, `ProtocolError`, or a `CommandError` for a greeting of -ERR.
        """
        if self._transport is not None:
            raise ValueError("this connection was opened before; make a new one")
        try:
            self.connect()
            self.run(flows.greet(self.session, self.security))
        except MailboxError as error:
            self.close()
            error.usable = False
            raise
        except BaseException:
            self.close()
            raise
        return self

    def connect(self) -> None:
        """Connect, and start implicit TLS, without awaiting the greeting: what a flow begins with."""
        seconds = self.timeout
        what = f"{self.host}:{self.port} did not take the connection within {seconds} s; check host, port and security"
        left = until(None if seconds is None else time.monotonic() + seconds, what)
        if self._proxy is not None and self._sock is None:
            sock = proxies.connect(self._proxy, self.host, self.port, left, self._source_address)
        else:
            sock = self._sock or connect(self.host, self.port, left, self._source_address)
        loopback = self._proxy is None and is_loopback(sock)
        transport = self._transport = Transport(sock, self.host)
        if self.security == "tls":
            transport.start_tls(self._tls_context(), left)
        self.session.begin(secure=transport.secure, loopback=loopback, tls=transport.tls)

    def _tls_context(self) -> "ssl.SSLContext":
        if self._ssl_context is None:
            from pymailbox.pop3.tls import verified

            self._ssl_context = verified()
        return self._ssl_context

    def close(self) -> None:
        """Close the socket without QUIT: the server commits nothing. May be called again."""
        self.session.protocol.poison("the connection was closed")
        if self._transport is not None:
            self._transport.close()

    def __enter__(self) -> Self:
        return self if self._transport is not None else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "not open" if self._transport is None else (self.session.protocol.failure or "open")
        return f"<Connection to {self.host}:{self.port}, {state}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Connection cannot be pickled or copied: it is one conversation over one socket")

    # --- the driver ---------------------------------------------------------------------------------------

    def run(self, flow: flows.Flow[T]) -> T:
        """Run a flow to its end and return its result (the contract is in `flows`).

        An interruption at any point (Ctrl-C) closes the connection: the flow cannot say how far it came.
        """
        try:
            return self._run(flow)
        except BaseException as error:
            if self.session.protocol.failure is not None or not isinstance(error, Exception):
                self._fail(error)
            raise

    def _run(self, flow: flows.Flow[T]) -> T:
        result: Any = None
        failure: MailboxError | None = None
        while True:
            try:
                step = flow.send(result) if failure is None else flow.throw(failure)
            except StopIteration as end:
                value: T = end.value
                return value
            result = failure = None
            try:
                result = self._perform(step)
            except MailboxError as error:
                failure = error

    def _perform(self, step: flows.Step) -> Any:
        if isinstance(step, Command):
            return self.execute(step)
        if isinstance(step, flows.Pipeline):
            return list(self._results(self.session.batch(step.commands)))
        if isinstance(step, flows.Next):
            return self.next_result(step.batch)
        if isinstance(step, flows.Stream):
            return self.execute(step.command, step.sink)
        if isinstance(step, flows.StartTLS):
            return self._start_tls()
        if isinstance(step, flows.Call):
            return secret(step.function())
        self.close()
        return self.connect()

    def execute(self, command: Command[T], sink: Callable[[bytes], object] | None = None) -> T:
        """Send one command and return its result; a refusal is raised as `CommandError`.

        Replies that earlier commands are still owed are taken in first. The chunks of a streamed body go to `sink`.
        """
        self._transport_in_use()
        try:
            result = self._exclusively(self._ask, command, sink)
            if isinstance(result, CommandError):
                raise result
            value: T = result
            return value
        except Exception:
            raise
        except BaseException as error:  # interrupted, and be it behind the last octet
            self._fail(error)
            raise

    def _ask(self, command: Command[T], sink: Callable[[bytes], object] | None) -> T | CommandError:
        batch = self.session.single(command, sink)
        self._advance(batch)
        return batch.results.popleft()

    def pipeline(self, wanted: Iterable[Command[T]]) -> Iterator[T | CommandError]:
        """Send commands while earlier ones are unanswered, and yield their results in order.

        A refusal is yielded as a `CommandError`, not raised. The window bounds what is in flight; a server that does
        not list PIPELINING (RFC 2449 §6.6) is asked one by one. `wanted` is taken from as there is room, and may use
        this connection itself. Leaving early costs what is in flight: the next command takes it in, or closes the
        session where that is more than `Limits.window`.
        """
        self._transport_in_use()
        if self.session.capabilities is None:
            self.run(flows.known_capabilities(self.session))
        yield from self._results(self.session.batch(wanted))

    def _results(self, batch: Batch[T]) -> Iterator[T | CommandError]:
        try:
            while (result := self.next_result(batch)) is not None:
                yield result
        finally:
            batch.abandoned = True

    def next_result(self, batch: Batch[T]) -> T | CommandError | None:
        """Return the next result of a batch, a refusal as a value; None when there are no more.

        When the session dies, the results that came before are handed out first; then the failure is raised.
        """
        results = batch.results
        if not results:
            if batch.failure is None:
                batch.failure = self._refill(batch)
            if not results:
                if batch.failure is not None:
                    raise batch.failure
                return None
        return results.popleft()

    def _refill(self, batch: Batch[Any]) -> MailboxError | None:
        """Get at least one more result, none if the batch is done; return the failure that comes behind them."""
        self.session.take(batch)  # before the turn: the caller's iterator runs here, and may ask something itself
        return self._exclusively(self._refilled, batch)

    def _refilled(self, batch: Batch[Any]) -> MailboxError | None:
        try:
            self.session.submit(batch)
            if not batch.done:
                self._advance(batch)
        except MailboxError as error:
            self._fail(error)
            return error
        return None

    def _advance(self, batch: Batch[Any]) -> None:
        """Write and read until the batch has a result."""
        session = self.session
        protocol = session.protocol
        transport = self._transport_in_use()
        patience: Patience | None = None
        answered = session.answered
        if transport.foreign:
            raise ConnectionLost("this session belongs to another process; open one in this process")
        if protocol.idle:
            self._receive(transport.waiting())
        while True:
            arrived = session.next_chunk(batch)
            if arrived is not None:
                self._hand_on(*arrived, patience)
                continue
            if batch.results:
                return
            if patience is None or answered != session.answered:
                answered = session.answered
                patience = Patience(self.timeout, session.limits.minimum_rate, time.monotonic())
            data = transport.exchange(protocol.data_to_send(), self._left(patience))
            patience.received(len(data), time.monotonic())
            self._receive(data)

    def _hand_on(self, batch: Batch[Any], chunk: Chunk, patience: Patience | None) -> None:
        """Give a chunk to the sink; the clock stands still meanwhile."""
        if batch.sink is None:
            return
        began = time.monotonic()
        batch.sink(chunk.data)
        if patience is not None:
            patience.pause(time.monotonic() - began)

    def _left(self, patience: Patience) -> Callable[[], float | None]:
        protocol = self.session.protocol
        return lambda: patience.left(time.monotonic(), protocol.asked, midway=protocol.midway)

    def _receive(self, data: bytes | None) -> None:
        if data:
            self.session.protocol.receive_data(data)
        elif data is not None:
            self.session.protocol.receive_eof()

    def _exclusively(self, work: Callable[..., V], *arguments: Any) -> V:
        """Do one piece of work as the only user of the session; whatever it raises ends the session.

        A second thread is refused, not kept waiting, and so is a sink that calls back.
        """
        turns, mine = self._turns, object()
        try:
            try:
                if turns.setdefault("session", mine) is not mine:
                    raise ConcurrentUse(
                        "this session is in use by another thread, or by the sink that it is calling;"
                        " give each its own session"
                    )
                return work(*arguments)
            finally:
                if turns.get("session") is mine:
                    del turns["session"]
                    mine = None
        except BaseException as error:
            if mine is None or not isinstance(error, ConcurrentUse):
                self._fail(error)
                turns.clear()  # an interruption may have come between taking the turn and giving it back
            raise

    def _fail(self, error: BaseException) -> None:
        """Give the session up and close the socket; nothing is sent."""
        self.session.end(error)
        if self._transport is not None:
            self._transport.close()

    def _transport_in_use(self) -> Transport:
        if self._transport is None:
            raise ValueError("the connection is not open; use `with` or call open()")
        return self._transport

    def _start_tls(self) -> None:
        transport = self._transport
        assert transport is not None
        seconds = self.timeout
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            transport.start_tls(
                self._tls_context(), until(deadline, f"the TLS handshake did not end within {seconds} s")
            )
        except BaseException as error:
            self._fail(error)
            raise
        self.session.tls = transport.tls

    # --- facts --------------------------------------------------------------------------------------------

    @property
    def opened(self) -> bool:
        """Whether this connection was opened, be it closed by now or not; it can be opened once."""
        return self._transport is not None

    @property
    def greeting(self) -> str:
        """The text of the greeting."""
        return self.session.greeting

    @property
    def quirks(self) -> frozenset[str]:
        """The names of the quirks that the server has shown so far."""
        return self.session.quirks

    @property
    def limits(self) -> Limits:
        """The bounds of this connection."""
        return self.session.limits

    # --- the commands, in the order of the RFCs -----------------------------------------------------------

    def capa(self) -> Capabilities:
        """CAPA: what the server says it can do now (RFC 2449 §5); `NotSupported` where it does not tell."""
        return self.run(flows.discover(self.session))

    def stls(self, context: "ssl.SSLContext | None" = None) -> None:
        """STLS: start TLS on a connection opened with security="none" (RFC 2595 §4)."""
        if self.session.secure:
            raise ValueError("TLS is on already")
        if context is not None:
            self._ssl_context = context
        self.run(flows.start_tls(self.session))

    def user(self, name: str) -> str:
        """USER: name the mailbox; `pass_` follows (RFC 1939 §7)."""
        return self.execute(commands.user(name))

    def pass_(self, password: str) -> str:
        """PASS: give the password; blanks are part of it (RFC 1939 §7)."""
        return self.run(login.pass_(self.session, secret(password)))

    def apop(self, user: str, password: str) -> str:
        """APOP: log in with a digest of the greeting's timestamp (RFC 1939 §7); `NotSupported` without one."""
        return self.run(login.apop(self.session, user, secret(password)))

    def rpop(self, user: str) -> str:
        """RPOP: log in as a trusted host (RFC 1081)."""
        return self.execute(commands.rpop(user))

    def stat(self) -> Stat:
        """STAT: how many messages, and their octets (RFC 1939 §5)."""
        return self.execute(commands.stat(entries=self.limits.listing_entries))

    @overload
    def list(self, number: None = None) -> dict[int, int | None]: ...
    @overload
    def list(self, number: int) -> int | None: ...
    def list(self, number: int | None = None) -> dict[int, int | None] | int | None:
        """LIST: sizes in octets, by number or of one message; None where the server gave none (RFC 1939 §5)."""
        return self.execute(commands.list(number)) if number is not None else self.execute(commands.list())

    @overload
    def uidl(self, number: None = None) -> dict[int, str | None]: ...
    @overload
    def uidl(self, number: int) -> str | None: ...
    def uidl(self, number: int | None = None) -> dict[int, str | None] | str | None:
        """UIDL: uids by number or of one message; None where the server gave a blank one (RFC 1939 §7)."""
        return self.execute(commands.uidl(number)) if number is not None else self.execute(commands.uidl())

    @overload
    def retr(self, number: int) -> bytes: ...
    @overload
    def retr(self, number: int, sink: Callable[[bytes], object]) -> int: ...
    def retr(self, number: int, sink: Callable[[bytes], object] | None = None) -> bytes | int:
        """RETR: the message, or its octets streamed to `sink` and their count (RFC 1939 §5).

        What `sink` raises passes through and ends the session.
        """
        if sink is None:
            return self.execute(commands.retr(number))
        return self.execute(commands.stream(number), sink)

    def top(self, number: int, lines: int = 0) -> bytes:
        """TOP: the headers and the first `lines` lines of the body (RFC 1939 §7)."""
        return self.execute(commands.top(number, lines))

    def dele(self, number: int) -> str:
        """DELE: mark a message for deletion at QUIT (RFC 1939 §5)."""
        return self.execute(commands.dele(number))

    def rset(self) -> str:
        """RSET: take back all marks (RFC 1939 §5)."""
        return self.execute(commands.rset())

    def noop(self) -> str:
        """NOOP: nothing, but the server's idle clock starts anew (RFC 1939 §5)."""
        return self.execute(commands.noop())

    def utf8(self) -> str:
        """UTF8: let the server send mail with UTF-8 headers; before login (RFC 6856 §2)."""
        return self.execute(commands.utf8())

    @overload
    def lang(self, tag: None = None) -> dict[str, str]: ...
    @overload
    def lang(self, tag: str) -> str: ...
    def lang(self, tag: str | None = None) -> dict[str, str] | str:
        """LANG: the languages of the server's texts by tag, or choose one (RFC 6856 §3)."""
        return self.execute(commands.languages()) if tag is None else self.execute(commands.lang(tag))

    def auth(self, mechanism: "str | Mechanism", user: str | None = None, password: str | None = None) -> None:
        """AUTH: log in with one SASL mechanism, by name or as an object of `pymailbox.pop3.sasl` (RFC 5034).

        For XOAUTH2 and OAUTHBEARER the password is the token. Raises what `login` does; never connects anew.
        """
        if isinstance(mechanism, str):
            mechanism = login.named(mechanism, user, secret(password))
        self.run(login.authenticate(self.session, mechanism))

    def login(
        self,
        user: str | None,
        password: str | Callable[[], str] | None = None,
        auth: "str | Mechanism | OAuth2 | None" = None,
    ) -> None:
        """Log in with the strongest mechanism that the server offers, or as `auth` says (`login.login` has the rules).

        Raises `AuthenticationError` and the other refusals of a login, `NotSupported`, `ProtocolError`.
        """
        self.run(login.login(self.session, user, secret(password), auth))

    def quit(self) -> str:
        """QUIT: commit the deletions and close (RFC 1939 §6); the socket is closed whatever is answered."""
        try:
            return self.execute(commands.quit())
        except CommandError as refused:
            refused.usable = False
            raise
        finally:
            self.close()
