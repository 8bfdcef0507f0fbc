"""A running server as tests see it: its address, its logins, and the messages it must send."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from attrs import field, frozen

from .seed import Mail

__all__ = ["Login", "RealServer", "ServerFailedError", "ServerMissingError"]

PASSWORD = "s3cret"
USER = "tester"


class ServerMissingError(Exception):
    """The server is not installed or cannot run here; the message says what to do."""


class ServerFailedError(Exception):
    """The server is installed but did not start; the message has the end of its log."""


class Login(NamedTuple):
    """A user's name and password, in the order of the arguments of clients."""

    user: str
    password: str


@frozen(kw_only=True)
class RealServer:
    """A POP3 server that runs on loopback while its context manager is open.

    All tests of a session share `user`: they may read its mailbox but must not change it. A test that deletes must use
    a `fresh_user()`.
    """

    name: str
    host: str = "127.0.0.1"
    port: int
    """The plaintext port, which accepts STLS if "stls" is among the features."""
    tls_port: int | None = None
    """The port with TLS from the first byte."""
    ca: Path | None = None
    """PEM file of the authority that signed its certificate; None without TLS."""
    client_certificate: Path | None = None
    """PEM file with key and certificate, with which `user` can log in with EXTERNAL."""
    user: str = USER
    password: str = field(default=PASSWORD, repr=False)
    features: frozenset[str]
    """Of: apop auth-resp-code capa implementation in-use login-delay pipelining resp-codes sasl stls tls top uidl
    unique-uids user utf8."""
    mechanisms: frozenset[str] = frozenset()
    """What CAPA lists as SASL without TLS, before login, for a client on the server's own address."""
    tls_mechanisms: frozenset[str] = frozenset()
    """What CAPA lists as SASL inside TLS, before login."""
    mails: tuple[Mail, ...] = field(repr=False)
    """The delivered messages, in the order of their numbers."""
    stored: tuple[bytes, ...] = field(repr=False)
    """The exact bytes that RETR must return for each of them, with dots unstuffed and line ends as sent."""
    log: Path
    """The server's log, in no fixed format."""
    fresh: Callable[[], Login] = field(repr=False)

    def fresh_user(self) -> Login:
        """Return a user with an unchanged mailbox that no other test has used."""
        return self.fresh()

    @property
    def url(self) -> str:
        """The POP URL of the mailbox of `user` on the plaintext port, without the password."""
        return f"pop://{self.user}@{self.host}:{self.port}"

    @property
    def tls_url(self) -> str:
        """The POP URL of the mailbox of `user` over TLS, without the password; ValueError if there is no TLS port."""
        if self.tls_port is None:
            raise ValueError(f"{self.name} has no TLS port")
        return f"pops://{self.user}@{self.host}:{self.tls_port}"
