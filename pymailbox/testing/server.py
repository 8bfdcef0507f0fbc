"""The test server: its options, its life cycle, the mail it serves, and a record of each session."""

import os
import socket
import ssl
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from attrs import Attribute, Factory, define, field, fields

from pymailbox.testing.authenticator import Authenticator
from pymailbox.testing.certificates import Certificates
from pymailbox.testing.client_socket import ClientSocket
from pymailbox.testing.conversation import Conversation
from pymailbox.testing.fault import Fault, FaultPlan, several
from pymailbox.testing.listener import Listener
from pymailbox.testing.maildrop import Maildrop
from pymailbox.testing.quirk import Quirk
from pymailbox.testing.recording import Recording
from pymailbox.testing.replayed_session import Replay
from pymailbox.testing.session import Security, SessionSettings
from pymailbox.testing.session_record import SessionRecord
from pymailbox.testing.stores import Source, open_store

__all__ = ["Server"]

_SCHEMES = {"none": "pop", "starttls": "pop+starttls", "tls": "pops"}


def _upper(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.upper() for name in names)


def _apart(quirks: Quirk | Iterable[Quirk]) -> frozenset[Quirk]:
    return Quirk.together(quirks)


def _check_security(_: object, __: "Attribute[Security]", value: object) -> None:
    if value not in _SCHEMES:
        raise ValueError(f"security must be one of {', '.join(_SCHEMES)}, not {value!r}")


def _check_flag(_: object, attribute: "Attribute[bool]", value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be True or False, not {value!r}")


def _check_source(_: object, __: "Attribute[Any]", value: object) -> None:
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("source must be a list of messages or a path; pass a single message as [message]")
    if not isinstance(value, (str, os.PathLike, Iterable)):
        raise TypeError(f"source must be a list of messages or a path, not {type(value).__name__}")


@define(eq=False)
class Server:
    """A POP3 server for tests, with real sockets, a port that the system chooses, and one thread per session.

    >>> from pymailbox import Mailbox
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: Hello\\r\\n\\r\\nHello, world.\\r\\n"]) as server:
    ...     with Mailbox.from_url(server.url, "secret") as inbox:
    ...         inbox[0].subject
    ...         inbox[0].delete()
    ...     server.wait()
    ...     server.messages, server.sessions[0].ended
    'Hello'
    ((), 'QUIT')

    `source` is either messages as bytes, served byte for byte (a final CRLF is added if it is missing), or the path of
    a Maildir, an mbox file or a folder of .eml files, which are served with CRLF line ends. What QUIT deletes is gone
    for later sessions of this server, but the files stay unchanged. With `commit=True` it is deleted from the files
    too, and delivered messages are written to them. If there are several `users`, each has the same mail in a separate
    mailbox (files then cannot be served with `commit=True`).

    - `user` and `password`: who may log in. `host` and `port`: where to listen; by default a free port of this machine.
    - `security`: `"none"`, `"starttls"` (STLS on a plaintext port) or `"tls"`. `ssl_context` is your context for the
      server's side; without it, trustme creates a CA and a certificate for localhost.
    - `sasl`: the mechanisms to offer: PLAIN, LOGIN, CRAM-MD5, XOAUTH2, OAUTHBEARER, and with scramp installed
      SCRAM-SHA-256 and other SCRAM variants. `token` is what XOAUTH2 and OAUTHBEARER accept: a string, or a callable
      `(user, token) -> bool`. `apop=True` puts a timestamp into the greeting. `plaintext=False` refuses passwords
      without TLS, as careful servers do.
    - `capabilities`: lines for CAPA to list instead of the real ones. `pipelining`, `uidl`, `top`, `utf8`, `lang`:
      False (or an empty mapping) removes the capability from CAPA; all but pipelining also stop working. `expire` is
      the EXPIRE value in CAPA; `login_delay`, in seconds, is listed and enforced.
    - `lock`: allow one session at a time in a mailbox; the next one waits `lock_wait` seconds, then gets
      `-ERR [IN-USE]`.
    - `latency`: delay in seconds each way; a round trip takes twice that, however many commands are in flight.
      Connecting and the TLS handshake are not delayed (see `Proxy`).
    - `quirks`: members of `Quirk`, combined or in a set. `faults`: what goes wrong, and when (see `Fault`).
    - `autologout`: seconds of silence after which the server logs the client out.
    - `log_secrets`: keep passwords in `sessions` and `log` instead of replacing them with `***`.
    """

    source: Source = field(default=(), repr=False, validator=_check_source)
    user: str = field(default="me", kw_only=True)
    password: str = field(default="secret", kw_only=True, repr=False)
    users: Mapping[str, str] | None = field(default=None, kw_only=True, repr=False)
    security: Security = field(default="none", kw_only=True, validator=_check_security)
    host: str = field(default="127.0.0.1", kw_only=True)
    port: int = field(default=0, kw_only=True)
    ssl_context: ssl.SSLContext | None = field(default=None, kw_only=True)
    commit: bool = field(default=False, kw_only=True, validator=_check_flag)
    greeting: str = field(default="pymailbox test server ready", kw_only=True)
    capabilities: Iterable[str] | None = field(default=None, kw_only=True)
    pipelining: bool = field(default=True, kw_only=True, validator=_check_flag)
    uidl: bool = field(default=True, kw_only=True, validator=_check_flag)
    top: bool = field(default=True, kw_only=True, validator=_check_flag)
    utf8: bool = field(default=True, kw_only=True, validator=_check_flag)
    lang: Mapping[str, str] = field(factory=lambda: {"en": "English", "de": "Deutsch"}, kw_only=True)
    expire: str = field(default="NEVER", kw_only=True)
    login_delay: int = field(default=0, kw_only=True)
    sasl: Iterable[str] = field(default=("PLAIN",), kw_only=True, converter=_upper)
    token: str | Callable[[str, str], bool] | None = field(default=None, kw_only=True, repr=False)
    apop: bool = field(default=False, kw_only=True, validator=_check_flag)
    plaintext: bool = field(default=True, kw_only=True, validator=_check_flag)
    lock: bool = field(default=True, kw_only=True, validator=_check_flag)
    lock_wait: float = field(default=0.25, kw_only=True)
    latency: float = field(default=0.0, kw_only=True)
    autologout: float | None = field(default=None, kw_only=True)
    quirks: frozenset[Quirk] = field(default=frozenset(), kw_only=True, converter=_apart)
    faults: tuple[Fault, ...] = field(default=(), kw_only=True, converter=several)
    log_secrets: bool = field(default=False, kw_only=True, validator=_check_flag)
    maildrops: dict[str, Maildrop] = field(factory=dict, init=False, repr=False)
    _certificates: Certificates | None = field(default=None, init=False, repr=False)
    _listener: Listener = field(
        default=Factory(lambda self: Listener("server", self._begin), takes_self=True), init=False, repr=False
    )
    _replay: Replay | None = field(default=None, init=False, repr=False)
    _records: list[SessionRecord] = field(factory=list, init=False, repr=False)
    authenticator: Authenticator = field(factory=lambda: Authenticator({}), init=False, repr=False)

    @classmethod
    def replay(
        cls,
        path: str | os.PathLike[str],
        *,
        strict: bool = True,
        user: str = "me",
        password: str = "secret",  # noqa: S107 # of nobody
        security: Literal["none", "tls"] = "none",
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        faults: Iterable[Fault] = (),
    ) -> Self:
        """Return a server that answers as a file of `Recorder` says; it has no mailbox.

        Each connection plays the next session of the file. A client must send the recorded commands in the recorded
        order, pipelined or not; with `strict=False`, each recorded command may come at any time and again. Any user and
        password may log in, except that SCRAM needs `password`. If a command differs, the client gets an error that
        says what was expected and the connection ends; when the `with` block ends, AssertionError says so again. A
        client may end its session early. `user` is for `url`; `faults` and `latency` work as for any server.

        Raises ValueError if the file is not a recording.
        """
        if security not in ("none", "tls"):
            raise ValueError(f"security of a replay must be none or tls, not {security!r}")
        server = cls(
            user=user,
            password=password,
            security=security,
            ssl_context=ssl_context,
            host=host,
            port=port,
            latency=latency,
            faults=faults,
        )
        server._replay = Replay(os.fspath(path), Recording.load(path), strict)
        return server

    # --- life ---

    def open(self) -> Self:
        """Start listening and serving, and return the server.

        Raises ValueError for an invalid source or an unknown mechanism, OSError if the port is taken, and RuntimeError
        if trustme or scramp is needed but missing.
        """
        self._listener.check_closed()
        users = dict(self.users) if self.users is not None else {self.user: self.password}
        source = self.source if isinstance(self.source, (str, os.PathLike)) else tuple(self.source)
        in_memory = isinstance(source, tuple)
        if self.commit and len(users) > 1 and not in_memory:
            raise ValueError("several users cannot delete from the same files; omit commit=True")
        if self._replay is None:
            self.maildrops = {user: Maildrop(open_store(source), self.commit or in_memory) for user in users}
        else:
            users = defaultdict(lambda: self.password, users)  # everybody may log in
        if Quirk.HIDES_READ in self.quirks:
            users |= {f"recent:{user}": password for user, password in users.items()}
            self.maildrops |= {f"recent:{user}": maildrop for user, maildrop in self.maildrops.items()}
        self.authenticator = Authenticator(users, self.token)
        self.authenticator.check(self.sasl)
        if self.security != "none" and self.ssl_context is None:
            self._certificates = Certificates.make(self.host)
        self._listener.open(self.host, self.port)
        self.port = self._listener.port
        return self

    def close(self) -> None:
        """End every session, even a stuck one, and free the port. May be called again."""
        self._listener.close()
        if self._certificates is not None:
            self._certificates.close()
            self._certificates = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if self._replay is not None and self._replay.differences and kind is None:
            raise AssertionError("\n".join(self._replay.differences))

    def _begin(self, sock: socket.socket, stop: socket.socket) -> Callable[[], None]:
        record = SessionRecord(len(self._records) + 1)
        self._records.append(record)
        plan = FaultPlan.for_session(self.faults, record.number)
        client = ClientSocket.over(sock, stop, latency=self.latency, faults=plan.from_start, autologout=self.autologout)
        settings = SessionSettings(**{option.name: getattr(self, option.name) for option in fields(SessionSettings)})
        return Conversation.of(settings, record, client, plan, self._replay).run

    # --- where it is ---

    @property
    def url(self) -> str:
        """The POP URL of the (first) user's mailbox, without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = next(iter(self.users)) if self.users else self.user
        return f"{_SCHEMES[self.security]}://{quote(user, safe='')}@{host}:{self.port}"

    @property
    def ca(self) -> Path:
        """The PEM file of the CA that signed the server's certificate; deleted when the server closes.

        Raises ValueError if there is none, because the server is not open, has no TLS, or was given an `ssl_context`.
        """
        return self._made().ca

    def client_context(self) -> ssl.SSLContext:
        """Return a verifying context that trusts this server. Raises ValueError like `ca`."""
        return self._made().client_context()

    def _made(self) -> Certificates:
        if self._certificates is None:
            raise ValueError("there is no CA; the server is not open, has no TLS, or was given ssl_context=")
        return self._certificates

    # --- what it has and what it saw ---

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS context of the server's side; None without TLS."""
        return None if self.security == "none" else self.ssl_context or self._made().context

    def maildrop(self, user: str | None = None) -> Maildrop:
        """Return a user's mailbox, by default the first user's. Raises KeyError for an unknown user."""
        if self._replay is not None:
            raise ValueError("a replayed session has no mailbox")
        if not self.maildrops:
            raise ValueError("this server was never opened; use it in a with block, or call open()")
        return self.maildrops[user if user is not None else next(iter(self.maildrops))]

    @property
    def messages(self) -> tuple[bytes, ...]:
        """The first user's messages, as a client that connects now would read them."""
        return self.mailbox()

    def mailbox(self, user: str | None = None) -> tuple[bytes, ...]:
        """Return a user's messages, by default the first user's, as a client that connects now would read them."""
        return tuple(mail.content for mail in self.maildrop(user).view().mails)

    def deliver(self, raw: bytes, user: str | None = None) -> None:
        """Deliver the message `raw`, by default to the first user. Sessions that begin after this see it."""
        self.maildrop(user).deliver(raw)

    @property
    def sessions(self) -> tuple[SessionRecord, ...]:
        """The records of all sessions so far, in the order of connecting."""
        return tuple(self._records)

    @property
    def log(self) -> tuple[str, ...]:
        """The command lines of all sessions, one session after the other, with secrets as `***`."""
        return tuple(line for record in self._records for line in record.commands)

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until no session is running, so that all have `ended`. Raises TimeoutError if one still is."""
        self._listener.wait(timeout)
