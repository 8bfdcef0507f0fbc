"""What the parts of a conversation share: the server's settings, the state of the session, what follows a reply."""

import ssl
from collections.abc import Mapping
from typing import Literal

from attrs import Factory, define, frozen

from pymailbox.testing.authenticator import Authenticator, SaslExchange
from pymailbox.testing.fault import End
from pymailbox.testing.maildrop import Maildrop, MaildropView
from pymailbox.testing.quirk import Quirk
from pymailbox.testing.record import SessionRecord
from pymailbox.testing.reply import ReplyBytes

__all__ = ["FollowUp", "Security", "SessionSettings", "SessionState"]

Security = Literal["none", "starttls", "tls"]


@frozen
class SessionSettings:
    """What a session needs to know of its server, fixed when it begins. `Server` says what each one means."""

    authenticator: Authenticator
    maildrops: Mapping[str, Maildrop]
    tls_context: ssl.SSLContext | None
    quirks: frozenset[Quirk]
    security: Security
    greeting: str
    capabilities: tuple[str, ...] | None
    pipelining: bool
    uidl: bool
    top: bool
    utf8: bool
    lang: Mapping[str, str]
    expire: str
    login_delay: int
    sasl: tuple[str, ...]
    apop: bool
    plaintext: bool
    lock: bool
    lock_wait: float
    log_secrets: bool


@frozen
class FollowUp:
    """What happens after a reply was sent.

    `"close"` ends the connection (`reason` for the record, `how` for the socket), `"hang"` says nothing more, `"pour"`
    sends `chunk` without end, `"tls"` starts TLS; with `keeps_lines` the lines that came in plaintext are answered
    inside it.
    """

    kind: Literal["close", "hang", "pour", "tls"]
    reason: str = "QUIT"
    how: End = "fin"
    chunk: bytes = b""
    keeps_lines: bool = False


@define(eq=False)
class SessionState:
    """One session: how far the login is, which mailbox is open, and what is marked.

    `maildrop` is None until a login succeeded, `exchange` is the SASL mechanism that waits for a response.
    """

    settings: SessionSettings
    record: SessionRecord
    timestamp: str = ""
    user: str | None = None
    exchange: SaslExchange | None = None
    utf8: bool = False
    maildrop: Maildrop | None = None
    view: MaildropView = Factory(lambda: MaildropView([]))
    deleted: set[int] = Factory(set)
    follow_up: FollowUp | None = None

    def hide(self, line: bytes) -> None:
        """Put this in place of the last line of the record, which holds a secret."""
        if not self.settings.log_secrets:
            self.record.raw[-1] = line

    def hang_up(self) -> ReplyBytes:
        """End the connection after what has been answered so far, and answer nothing."""
        self.follow_up = FollowUp("close", "closed")
        return ()

    def release(self) -> None:
        """Let go of the mailbox."""
        if self.maildrop is not None and self.settings.lock:
            self.maildrop.lock.release()
        self.maildrop = None
