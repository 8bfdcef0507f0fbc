"""Connection: POP3 over a blocking socket, one method per command.

All I/O is in `driver`. `commands`, `flows` and `protocol`, which decide what to send and how to read the replies, are
shared with `AsyncConnection`.

Only one thread may use a session at a time. Any failure except a refusal (`CommandError`) closes the connection at
once: later use raises `ConnectionLost`, and nothing is committed.
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

    `with` or `open()` connects. Leaving the block closes the connection without QUIT, which commits nothing; call
    `quit()` to commit. `host` is a host name or an IP address, and `clock` returns the seconds that deadlines are
    measured with. The other arguments are described in `MailboxOptions`.

    >>> from pymailbox.pop3 import Connection
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: hello\\r\\n\\r\\nworld\\r\\n"]) as server:
    ...     with Connection(server.host, server.port, security="none") as pop:
    ...         text = pop.user("me"), pop.pass_("secret")
    ...         print(pop.stat(), pop.retr(1))
    ...         text = pop.quit()
    Stat(count=1, size=25) b'Subject: hello\\r\\n\\r\\nworld\\r\\n'
    """

    # --- opening and closing ------------------------------------------------------------------------------

    def open(self) -> Self:
        """Connect, start TLS according to `security`, wait for the greeting, and return this connection.

        Raises `ConnectionLost`, `Timeout`, `TLSError` or `ProtocolError`, a `CommandError` if the greeting is -ERR, and
        ValueError if this connection was opened before.
        """
        if self._transport is not None:
            raise ValueError("this connection was already opened; make a new one")
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
        """Return the capabilities that the server advertises now (CAPA, RFC 2449 §5).

        Raises `NotSupported` if the server does not support CAPA.
        """
        return self.run(flows.discover(self.session))

    def stls(self, context: "ssl.SSLContext | None" = None) -> None:
        """Start TLS on a connection opened with security="none" (STLS, RFC 2595 §4).

        `context` takes the place of the connection's `ssl_context`. The capabilities are forgotten. Raises
        `CommandError` if the server refuses, `TLSError` if the handshake fails, and ValueError if TLS is already on.
        """
        if self.session.secure:
            raise ValueError("TLS is already on")
        if context is not None:
            self._ssl_context = context
        self.run(flows.start_tls(self.session))

    def user(self, name: str) -> str:
        """Send the user `name`, and return the server's text; follow it with `pass_` (USER, RFC 1939 §7)."""
        return self.execute(commands.user(name))

    def pass_(self, password: str | bytes) -> str:
        """Send the password, and return the server's text (PASS, RFC 1939 §7).

        Spaces are part of the password; bytes are sent unchanged. Raises `AuthenticationError` or another refusal of a
        login, and `NotSupported`, without sending it, if the connection is unencrypted and may not carry a password.
        """
        password = secret(password)
        from pymailbox.pop3 import login

        return self.run(login.pass_(self.session, password))

    def apop(self, user: str, password: str | bytes) -> str:
        """Log in as `user` with a digest of the password and the greeting's timestamp (APOP, RFC 1939 §7).

        Raises `AuthenticationError` or another refusal of a login, and `NotSupported` if the greeting has no timestamp.
        """
        password = secret(password)
        from pymailbox.pop3 import login

        return self.run(login.apop(self.session, user, password))

    def rpop(self, user: str) -> str:
        """Log in as `user` of a trusted host (RPOP, RFC 1081)."""
        return self.execute(commands.rpop(user))

    def stat(self) -> Stat:
        """Return the number of messages and their total size in octets (STAT, RFC 1939 §5)."""
        return self.execute(commands.stat(entries=self.limits.listing_entries))

    @overload
    def list(self, number: None = None) -> dict[int, int | None]: ...
    @overload
    def list(self, number: int) -> int | None: ...
    def list(self, number: int | None = None) -> dict[int, int | None] | int | None:
        """Return sizes in octets by message number, or the size of message `number` (LIST, RFC 1939 §5).

        A size is None if the server sent none. Raises `MessageUnavailable` if the server refuses the number.
        """
        return self.execute(commands.list(number)) if number is not None else self.execute(commands.list())

    @overload
    def uidl(self, number: None = None) -> dict[int, str | None]: ...
    @overload
    def uidl(self, number: int) -> str | None: ...
    def uidl(self, number: int | None = None) -> dict[int, str | None] | str | None:
        """Return uids by message number, or the uid of message `number` (UIDL, RFC 1939 §7).

        A uid is None if the server sent a blank one. Raises `MessageUnavailable` if the server refuses the number.
        """
        return self.execute(commands.uidl(number)) if number is not None else self.execute(commands.uidl())

    @overload
    def retr(self, number: int) -> bytes: ...
    @overload
    def retr(self, number: int, sink: Callable[[bytes], object]) -> int: ...
    def retr(self, number: int, sink: Callable[[bytes], object] | None = None) -> bytes | int:
        """Return message `number`, or stream it to `sink` and return its size in bytes (RETR, RFC 1939 §5).

        `sink` is called with each chunk. Like the `write` of a file, it may return how many bytes it took and is called
        again with the rest; taking none raises OSError. An exception from `sink` ends the session and is passed on.
        Raises `MessageUnavailable` if the server refuses the message.
        """
        if sink is None:
            return self.execute(commands.retr(number))
        return self.execute(commands.stream(number), sink)

    def top(self, number: int, lines: int = 0) -> bytes:
        """Return the header of message `number` and the first `lines` lines of its body (TOP, RFC 1939 §7).

        Raises `MessageUnavailable` if the server refuses the message.
        """
        return self.execute(commands.top(number, lines))

    def dele(self, number: int) -> str:
        """Mark message `number` as deleted, and return the server's text; QUIT commits (DELE, RFC 1939 §5).

        Raises `MessageUnavailable` if the server refuses the message.
        """
        return self.execute(commands.dele(number))

    def rset(self) -> str:
        """Remove all marks that DELE set, and return the server's text (RSET, RFC 1939 §5)."""
        return self.execute(commands.rset())

    def noop(self) -> str:
        """Do nothing except restart the server's idle timer, and return its text (NOOP, RFC 1939 §5)."""
        return self.execute(commands.noop())

    def utf8(self) -> str:
        """Let the server send messages with UTF-8 headers; call before login (UTF8, RFC 6856 §2)."""
        return self.execute(commands.utf8())

    @overload
    def lang(self, tag: None = None) -> dict[str, str]: ...
    @overload
    def lang(self, tag: str) -> str: ...
    def lang(self, tag: str | None = None) -> dict[str, str] | str:
        """Return the languages of the server's texts by tag, or choose the one of `tag` (LANG, RFC 6856 §3)."""
        return self.execute(commands.languages()) if tag is None else self.execute(commands.lang(tag))

    def auth(self, mechanism: str | Mechanism, user: str | None = None, password: str | bytes | None = None) -> None:
        """Log in with one SASL mechanism (AUTH, RFC 5034).

        `mechanism` is an object of `pymailbox.pop3.sasl`, or a name, which takes `user` and `password`; for XOAUTH2 and
        OAUTHBEARER the password is the token. Never reconnects. Raises the same errors as `login`.
        """
        password = secret(password)
        from pymailbox.pop3 import login

        if isinstance(mechanism, str):
            mechanism = login.named(mechanism, user, password)
        self.run(login.authenticate(self.session, mechanism))

    def login(self, user: str | None, password: Password | None = None, auth: Auth = None) -> None:
        """Log in with the strongest mechanism that the server advertises, or with `auth`.

        `user`, `password` and `auth` are those of `Mailbox`.

        Raises `AuthenticationError`, `MailboxLocked`, `LoginDelay`, `TemporaryFailure` or `PermanentFailure` if the
        server refuses the login, `NotSupported` if no mechanism fits, and `ProtocolError`.
        """
        password = secret(password)
        from pymailbox.pop3 import login

        self.run(login.login(self.session, user, password, auth))

    def quit(self) -> str:
        """Commit the deletions, close the connection, and return the server's text (QUIT, RFC 1939 §6).

        The connection is closed even if the server refuses (`CommandError`) or does not answer.
        """
        try:
            return self.execute(commands.quit())
        except CommandError as refused:
            refused.usable = False
            raise
        finally:
            self.close()
