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

    #: The server's port. Default None: 995 with `security="tls"`, else 110.
    port: int | None
    #: Default "tls": TLS from the first byte. "starttls": TLS before anything else is said, as a requirement. "none":
    #: no TLS; then a password goes to this machine only (see `allow_plaintext`).
    security: Security
    #: How to log in. Default None: by the strongest mechanism that the server lists, else by USER and PASS. Or
    #: `OAuth2(token)`, a mechanism's name such as "SCRAM-SHA-256" or "APOP", or a mechanism object of
    #: `pymailbox.pop3.sasl` or of your own.
    auth: Auth
    #: The TLS settings. Default None: TLS 1.2 or newer, the certificate verified for `host` by the system's
    #: authorities. `pymailbox.pop3.tls` makes others: a private authority, a pinned certificate, a client certificate.
    ssl_context: "ssl.SSLContext | None"
    #: Seconds of silence after which the session ends with `Timeout`; for connecting, proxies and the TLS handshake
    #: together as well. Default 60. It does not run while the program works. None waits for ever.
    timeout: float | None
    #: Bounds on what the server may send, and on what is kept in memory. Default None: those of `Limits()`.
    limits: Limits | None
    #: Whether to leave the mailbox as it is. Default False. True: deleting is ValueError, and QUIT is not said after a
    #: message was downloaded, as some servers (Gmail) hide, or delete, what was downloaded once it is.
    read_only: bool
    #: Whether a password may be sent to another machine without TLS, for everybody on the way to read. Default False:
    #: such a login is `NotSupported`, and the password is not sent.
    allow_plaintext: bool
    #: Whether to ask for UTF8 (RFC 6856) where the server lists it. Default True; without it such a server may send a
    #: wrapper in the place of a mail with an internationalised header.
    utf8: bool
    #: Whether to ask the server what it can do. Default True; a server that hangs up on CAPA is asked once, and then
    #: connected to again. False: CAPA is not sent, and nothing is taken to be listed.
    capa: bool
    #: Whether headers come by TOP. Default True; where TOP is refused, by RETR. False: by RETR from the start, for a
    #: server whose TOP is broken. It downloads each message whose headers are read.
    top: bool
    #: Whether to send commands ahead of the replies. Default None: where the server lists PIPELINING, and not again
    #: after it lost a reply. False: never. True is the same as None.
    pipelining: bool | None
    #: Where to connect through: `socks5://user:password@host:port`, `socks4://host:port` or `http://host:port`; needs
    #: the extra `proxy`. Default None: directly. The proxy resolves the host's name.
    proxy: str | None
    #: The local address and port to connect from; port 0 is any. Default None: the system chooses.
    source_address: tuple[str, int] | None
    #: A socket that is connected to the server, or to what leads there; for one session: `reopen()` is ValueError.
    #: Default None: connect to `host` and `port`.
    sock: "socket.socket | None"
