"""MailboxOptions: the keyword options of a mailbox, for signatures that pass them on."""

from importlib import import_module
from typing import TYPE_CHECKING, TypedDict

from pymailbox.account import Auth, Security
from pymailbox.pop3.limits import Limits

if TYPE_CHECKING:
    import socket
    import ssl
else:

    class _Later:
        """A module that is imported when `typing.get_type_hints` asks for one of its names."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> object:
            return getattr(import_module(self._name), name)

    socket, ssl = _Later("socket"), _Later("ssl")

__all__ = ["MailboxOptions"]


class MailboxOptions(TypedDict, total=False):
    """The keyword options of `Mailbox` and `AsyncMailbox`, each optional; a misspelt one is a type error.

    `from_url`, `from_account`, `diagnose` and `gather_accounts` take them too, and a function of your own can pass
    them on in the same way.

    >>> from typing import Unpack
    >>> from pymailbox import Mailbox, MailboxOptions
    >>> def work_account(**options: Unpack[MailboxOptions]) -> Mailbox:
    ...     return Mailbox.from_url("pops://me@pop.example.com", **options)
    >>> work_account(timeout=10, read_only=True)
    <Mailbox 'pops://me@pop.example.com:995', not open>
    """

    #: None: 995 for "tls", else 110.
    port: int | None
    #: "tls" (from the first byte), "starttls" (required) or "none".
    security: Security
    #: A mechanism, `OAuth2(...)` or a mechanism's name; None picks the strongest.
    auth: Auth
    #: None: TLS 1.2 or newer, verified by the system's authorities.
    ssl_context: "ssl.SSLContext | None"
    #: Seconds of silence; None waits for ever.
    timeout: float | None
    #: None: the defaults of `Limits`.
    limits: Limits | None
    #: Refuse to delete, and never say QUIT after a message was retrieved.
    read_only: bool
    #: Let a password be sent without TLS to another machine.
    allow_plaintext: bool
    #: Ask for UTF8 (RFC 6856) where the server lists it.
    utf8: bool
    #: False: never send CAPA.
    capa: bool
    #: False: read headers by RETR, on a server whose TOP is broken.
    top: bool
    #: None: where the server lists PIPELINING. False: never.
    pipelining: bool | None
    #: `socks5://user:password@host:port`, or socks4, or http.
    proxy: str | None
    #: The local address and port to connect from.
    source_address: tuple[str, int] | None
    #: A socket that is connected already; for one session.
    sock: "socket.socket | None"
