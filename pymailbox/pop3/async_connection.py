"""AsyncConnection: POP3 over asyncio, one coroutine a command.

The same names as `Connection`, whose twin it is; commands, protocol, flows and errors are the same. What waits is in
`async_driver`. A session is for one task at a time: a second one gets `ConcurrentUse`. A cancellation while a reply is
due closes the connection at once, and nothing is committed.
"""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, overload

from pymailbox.account import AsyncPassword, Auth, Mechanism
from pymailbox.display import secret
from pymailbox.errors import CommandError, MailboxError
from pymailbox.pop3 import commands, flows
from pymailbox.pop3.async_driver import AsyncDriver
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.commands import Stat

if TYPE_CHECKING:
    import ssl

__all__ = ["AsyncConnection"]


class AsyncConnection(AsyncDriver):
    """A POP3 connection over asyncio.

    Nothing is connected until `async with` or `open()`. Leaving the block closes the connection without QUIT, which
    commits nothing; say `await quit()` to commit.

    >>> import asyncio
    >>> from pymailbox.pop3 import AsyncConnection
    >>> from pymailbox.testing import Server
    >>> async def main():
    ...     with Server([b"Subject: hello\\r\\n\\r\\nworld\\r\\n"]) as server:
    ...         async with AsyncConnection(server.host, server.port, security="none") as pop:
    ...             await pop.login("me", "secret")
    ...             print(await pop.stat(), await pop.retr(1))
    ...             await pop.quit()
    >>> asyncio.run(main())
    Stat(count=1, size=25) b'Subject: hello\\r\\n\\r\\nworld\\r\\n'
    """

    # --- life ---------------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Connect, start TLS where asked for, and await the greeting; returns the connection.

        Raises `ConnectionLost`, `Timeout`, `TLSError`, `ProtocolError`, or a `CommandError` for a greeting of -ERR.
        """
        if self._transport is not None:
            raise ValueError("this connection was opened before; make a new one")
        try:
            await self.connect()
            await self.run(flows.greet(self.session, self.security))
        except MailboxError as error:
            await self.close()
            error.usable = False
            raise
        except BaseException:
            self.abort()
            raise
        return self

    async def __aenter__(self) -> Self:
        return self if self._transport is not None else await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Exception):
            await self.close()
        else:
            self.abort()  # cancelled: nothing is waited for any more

    # --- the commands, in the order of the RFCs -----------------------------------------------------------

    async def capa(self) -> Capabilities:
        """CAPA: what the server says it can do now (RFC 2449 §5); `NotSupported` where it does not tell."""
        return await self.run(flows.discover(self.session))

    async def stls(self, context: "ssl.SSLContext | None" = None) -> None:
        """STLS: start TLS on a connection opened with security="none" (RFC 2595 §4)."""
        if self.session.secure:
            raise ValueError("TLS is on already")
        if context is not None:
            self._ssl_context = context
        await self.run(flows.start_tls(self.session))

    async def user(self, name: str) -> str:
        """USER: name the mailbox; `pass_` follows (RFC 1939 §7)."""
        return await self.execute(commands.user(name))

    async def pass_(self, password: str | bytes) -> str:
        """PASS: give the password; spaces are part of it, and bytes are sent as they are (RFC 1939 §7)."""
        password = secret(password)
        from pymailbox.pop3 import login

        return await self.run(login.pass_(self.session, password))

    async def apop(self, user: str, password: str | bytes) -> str:
        """APOP: log in with a digest of the greeting's timestamp (RFC 1939 §7); `NotSupported` without one."""
        password = secret(password)
        from pymailbox.pop3 import login

        return await self.run(login.apop(self.session, user, password))

    async def rpop(self, user: str) -> str:
        """RPOP: log in as a trusted host (RFC 1081)."""
        return await self.execute(commands.rpop(user))

    async def stat(self) -> Stat:
        """STAT: how many messages, and their octets (RFC 1939 §5)."""
        return await self.execute(commands.stat(entries=self.limits.listing_entries))

    @overload
    async def list(self, number: None = None) -> dict[int, int | None]: ...
    @overload
    async def list(self, number: int) -> int | None: ...
    async def list(self, number: int | None = None) -> dict[int, int | None] | int | None:
        """LIST: sizes in octets, by number or of one message; None where the server gave none (RFC 1939 §5)."""
        if number is not None:
            return await self.execute(commands.list(number))
        return await self.execute(commands.list())

    @overload
    async def uidl(self, number: None = None) -> dict[int, str | None]: ...
    @overload
    async def uidl(self, number: int) -> str | None: ...
    async def uidl(self, number: int | None = None) -> dict[int, str | None] | str | None:
        """UIDL: uids by number or of one message; None where the server gave a blank one (RFC 1939 §7)."""
        if number is not None:
            return await self.execute(commands.uidl(number))
        return await self.execute(commands.uidl())

    @overload
    async def retr(self, number: int) -> bytes: ...
    @overload
    async def retr(self, number: int, sink: Callable[[bytes], object]) -> int: ...
    async def retr(self, number: int, sink: Callable[[bytes], object] | None = None) -> bytes | int:
        """RETR: the message, or its octets streamed to `sink` and their count (RFC 1939 §5).

        What `sink` raises passes through and ends the session; what it returns is awaited where that can be. Like the
        `write` of a file it may take less than it is given, and is given the rest again; OSError where it takes
        nothing.
        """
        if sink is None:
            return await self.execute(commands.retr(number))
        return await self.execute(commands.stream(number), sink)

    async def top(self, number: int, lines: int = 0) -> bytes:
        """TOP: the headers and the first `lines` lines of the body (RFC 1939 §7)."""
        return await self.execute(commands.top(number, lines))

    async def dele(self, number: int) -> str:
        """DELE: mark a message for deletion at QUIT (RFC 1939 §5)."""
        return await self.execute(commands.dele(number))

    async def rset(self) -> str:
        """RSET: take back all marks (RFC 1939 §5)."""
        return await self.execute(commands.rset())

    async def noop(self) -> str:
        """NOOP: nothing, but the server's idle clock starts again (RFC 1939 §5)."""
        return await self.execute(commands.noop())

    async def utf8(self) -> str:
        """UTF8: let the server send mail with UTF-8 headers; before login (RFC 6856 §2)."""
        return await self.execute(commands.utf8())

    @overload
    async def lang(self, tag: None = None) -> dict[str, str]: ...
    @overload
    async def lang(self, tag: str) -> str: ...
    async def lang(self, tag: str | None = None) -> dict[str, str] | str:
        """LANG: the languages of the server's texts by tag, or choose one (RFC 6856 §3)."""
        if tag is not None:
            return await self.execute(commands.lang(tag))
        return await self.execute(commands.languages())

    async def auth(
        self, mechanism: str | Mechanism, user: str | None = None, password: str | bytes | None = None
    ) -> None:
        """AUTH: log in with one SASL mechanism, by name or as an object of `pymailbox.pop3.sasl` (RFC 5034).

        For XOAUTH2 and OAUTHBEARER the password is the token. Raises what `login` does; never reconnects.
        """
        password = secret(password)
        from pymailbox.pop3 import login

        if isinstance(mechanism, str):
            mechanism = login.named(mechanism, user, password)
        await self.run(login.authenticate(self.session, mechanism))

    async def login(self, user: str | None, password: AsyncPassword | None = None, auth: Auth = None) -> None:
        """Log in with the strongest mechanism that the server offers, or as `auth` says (`login.login` has the rules).

        Raises `AuthenticationError` and the other refusals of a login, `NotSupported`, `ProtocolError`.
        """
        password = secret(password)
        from pymailbox.pop3 import login

        await self.run(login.login(self.session, user, password, auth))

    async def quit(self) -> str:
        """QUIT: commit the deletions and close (RFC 1939 §6); the socket is closed whatever is answered."""
        try:
            return await self.execute(commands.quit())
        except CommandError as refused:
            refused.usable = False
            raise
        finally:
            await self.close()
