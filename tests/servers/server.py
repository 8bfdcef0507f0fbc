"""A running server as tests see it: where it is, how to get in, and what it must hand out."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from attrs import field, frozen

from .seed import Mail

__all__ = ["Login", "RealServer", "ServerFailedError", "ServerMissingError"]

PASSWORD = "s3cret"
USER = "tester"


class ServerMissingError(Exception):
    """The server is not installed or cannot run here; the text says what to do about it."""


class ServerFailedError(Exception):
    """The server is installed and did not start; the text has the end of its log."""


class Login(NamedTuple):
    """A user's name and password, in the order in which clients want them."""

    user: str
    password: str


@frozen(kw_only=True)
class RealServer:
    """A POP3 server that runs on loopback for as long as its context manager is open.

    `user` is shared by all tests of a session: they may read its mailbox and must leave it as it is. A test that
    deletes takes a `fresh_user()`.
    """

    name: str
    host: str = "127.0.0.1"
    port: int
    """Where it speaks in the clear, and takes STLS if "stls" is among the features."""
    tls_port: int | None = None
    """Where it speaks TLS from the first octet."""
    ca: Path | None = None
    """PEM file of the authority that signed its certificate; None: no TLS at all."""
    client_certificate: Path | None = None
    """PEM file, key and certificate, that lets `user` in by EXTERNAL."""
    user: str = USER
    password: str = field(default=PASSWORD, repr=False)
    features: frozenset[str]
    """Of: apop auth-resp-code capa implementation in-use login-delay pipelining resp-codes sasl stls tls top uidl
    unique-uids user utf8."""
    mechanisms: frozenset[str] = frozenset()
    """What CAPA lists behind SASL in the clear, before login, to a client on the server's own address."""
    tls_mechanisms: frozenset[str] = frozenset()
    """What CAPA lists behind SASL inside TLS, before login."""
    mails: tuple[Mail, ...] = field(repr=False)
    """What was delivered, in the order of message numbers."""
    stored: tuple[bytes, ...] = field(repr=False)
    """What RETR must give for each of them, to the octet: dots unstuffed, lines ended as they arrive."""
    log: Path
    """What the server wrote while running; of no fixed form."""
    fresh: Callable[[], Login] = field(repr=False)

    def fresh_user(self) -> Login:
        """Return a user whose mailbox is as it was delivered, and whom no one else has used."""
        return self.fresh()

    @property
    def url(self) -> str:
        """The mailbox of `user` as a POP URL, in the clear, without the password."""
        return f"pop://{self.user}@{self.host}:{self.port}"

    @property
    def tls_url(self) -> str:
        """The mailbox of `user` as a POP URL over TLS, without the password; ValueError where there is no TLS port."""
        if self.tls_port is None:
            raise ValueError(f"{self.name} has no port for TLS")
        return f"pops://{self.user}@{self.host}:{self.tls_port}"
