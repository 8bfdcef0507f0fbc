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
        """A module that is imported when `typing.get_type_hints` reads one of its names."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> object:
            return getattr(import_module(self._name), name)

    socket, ssl = _Later("socket"), _Later("ssl")

__all__ = ["MailboxOptions"]


class MailboxOptions(TypedDict, total=False):
    """The keyword options of `Mailbox` and `AsyncMailbox`, as a TypedDict; all are optional.

    `from_url`, `from_account`, `diagnose`, `gather_accounts` and `collect_all` take them, too. Use it as below in a
    function of yours that passes options on; a type checker then finds misspelled ones.

    >>> from typing import Unpack
    >>> from pymailbox import Mailbox, MailboxOptions
    >>> def work_account(**options: Unpack[MailboxOptions]) -> Mailbox:
    ...     return Mailbox.from_url("pops://me@pop.example.com", **options)
    >>> work_account(timeout=10, read_only=True)
    <Mailbox 'pops://me@pop.example.com:995', not open>
    """

    #: The server's port. Default None: 995 with `security="tls"`, otherwise 110.
    port: int | None
    #: Default "tls": TLS from the first byte. "starttls": the connection starts unencrypted and must switch to TLS
    #: (STLS) before the login, or `open()` fails. "none": no TLS; a password is sent only if the server is on this
    #: machine (see `allow_plaintext`).
    security: Security
    #: How to log in. Default None: the strongest mechanism that the server advertises, or USER and PASS if it
    #: advertises none. Otherwise `OAuth2(token)`, the name of a mechanism such as "SCRAM-SHA-256" or "APOP", or a
    #: mechanism object, from `pymailbox.pop3.sasl` or your own.
    auth: Auth
    #: The TLS settings. Default None: TLS 1.2 or newer, and a certificate that is valid for `host` and signed by an
    #: authority that the system trusts. `pymailbox.pop3.tls` makes contexts for a private authority, a pinned
    #: certificate or a client certificate.
    ssl_context: "ssl.SSLContext | None"
    #: Seconds of silence after which the session ends with `Timeout`; also the time limit for connecting, including the
    #: proxy and the TLS handshake. Default 60; None waits forever. Time spent in your own code does not count.
    timeout: float | None
    #: Bounds on what the server may send and on what is kept in memory. Default None: `Limits()`.
    limits: Limits | None
    #: Whether to leave the mailbox unchanged. Default False. True: deleting raises ValueError, and QUIT is not sent
    #: once a message has been downloaded, because after QUIT some servers (Gmail) hide or delete such messages.
    read_only: bool
    #: Whether a password may be sent unencrypted to another machine, where it can be intercepted. Default False: such a
    #: login raises `NotSupported` before the password is sent.
    allow_plaintext: bool
    #: Whether to switch to UTF8 (RFC 6856) if the server advertises it. Default True; with False such a server may send
    #: a substitute for a message that has internationalized headers.
    utf8: bool
    #: Whether to ask for the server's capabilities (CAPA). Default True; if the server closes the connection on CAPA,
    #: `open()` connects again and does not ask. False: never ask, and assume that nothing is advertised.
    capa: bool
    #: Whether to read headers with TOP. Default True; if the server refuses TOP, RETR is used. False: always use RETR,
    #: for a server whose TOP is broken; reading headers then downloads whole messages.
    top: bool
    #: Whether to pipeline: to send commands before the replies to earlier ones have arrived. Default None: pipeline if
    #: the server advertises PIPELINING, until it loses a reply. False: never. True is the same as None.
    pipelining: bool | None
    #: A proxy to connect through: `socks5://user:password@host:port`, `socks4://host:port` or `http://host:port`; needs
    #: `pip install 'pymailbox[proxy]'`. Default None: connect directly. The proxy resolves the server's host name.
    proxy: str | None
    #: The local address and port to connect from; port 0 means any free port. Default None: the system chooses.
    source_address: tuple[str, int] | None
    #: A socket that is already connected to the server, or to a tunnel to it. It serves one session, so `reopen()`
    #: raises ValueError. Default None: connect to `host` and `port`.
    sock: "socket.socket | None"
