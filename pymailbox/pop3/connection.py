"""Connection: POP3 over a blocking socket, one method a command.

What waits is in `driver`; what to say and what the answers mean is in `commands`, `flows` and `protocol`, shared with
`AsyncConnection`.

A session is for one thread at a time. Any failure but a refusal (`CommandError`) closes it at once: later use raises
`ConnectionLost`, and nothing is committed.
"""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, overload

from pymailbox.account import Auth, Mechanism, Password
from pymailbox.display import secret
from pymailbox.errors import CommandError, MailboxError
from pymailbox.pop3 import commands, flows
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.commands import Stat
from pymailbox.pop3.driver import Driver

if TYPE_CHECKING:
    import ssl

__all__ = ["Connection"]


class Connection(Driver):
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

    def __enter__(self) -> Self:
        return self if self._transport is not None else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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

    def pass_(self, password: str | bytes) -> str:
        """PASS: give the password; spaces are part of it, and bytes are sent as they are (RFC 1939 §7)."""
        password = secret(password)
        from pymailbox.pop3 import login

        return self.run(login.pass_(self.session, password))

    def apop(self, user: str, password: str | bytes) -> str:
        """APOP: log in with a digest of the greeting's timestamp (RFC 1939 §7); `NotSupported` without one."""
        password = secret(password)
        from pymailbox.pop3 import login

        return self.run(login.apop(self.session, user, password))

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

        What `sink` raises passes through and ends the session. Like the `write` of a file it may take less than it is
        given, and is given the rest again; OSError where it takes nothing.
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
        """NOOP: nothing, but the server's idle clock starts again (RFC 1939 §5)."""
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

    def auth(self, mechanism: str | Mechanism, user: str | None = None, password: str | bytes | None = None) -> None:
        """AUTH: log in with one SASL mechanism, by name or as an object of `pymailbox.pop3.sasl` (RFC 5034).

        For XOAUTH2 and OAUTHBEARER the password is the token. Raises what `login` does; never reconnects.
        """
        password = secret(password)
        from pymailbox.pop3 import login

        if isinstance(mechanism, str):
            mechanism = login.named(mechanism, user, password)
        self.run(login.authenticate(self.session, mechanism))

    def login(self, user: str | None, password: Password | None = None, auth: Auth = None) -> None:
        """Log in with the strongest mechanism that the server offers, or as `auth` says (`login.login` has the rules).

        Raises `AuthenticationError` and the other refusals of a login, `NotSupported`, `ProtocolError`.
        """
        password = secret(password)
        from pymailbox.pop3 import login

        self.run(login.login(self.session, user, password, auth))

    def quit(self) -> str:
        """QUIT: commit the deletions and close (RFC 1939 §6); the socket is closed whatever is answered."""
        try:
            return self.execute(commands.quit())
        except CommandError as refused:
            refused.usable = False
            raise
        finally:
            self.close()
