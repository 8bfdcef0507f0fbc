"""What the parts of a conversation share: the server's settings, the session's state, and what follows a reply."""

import ssl
from collections.abc import Mapping
from typing import Literal

from attrs import Factory, define, frozen

from pymailbox.testing.authenticator import Authenticator, SaslExchange
from pymailbox.testing.fault import End
from pymailbox.testing.maildrop import Maildrop, MaildropView
from pymailbox.testing.quirk import Quirk
from pymailbox.testing.reply import ReplyBytes
from pymailbox.testing.session_record import SessionRecord

__all__ = ["FollowUp", "Security", "SessionSettings", "SessionState"]

Security = Literal["none", "starttls", "tls"]


@frozen
class SessionSettings:
    """What a session needs to know about its server, fixed when it begins. `Server` documents each option."""

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
    """What happens after a reply is sent.

    `"close"` ends the connection (`reason` is for the record, `how` for the socket), `"hang"` sends nothing more,
    `"pour"` sends `chunk` endlessly, and `"tls"` starts TLS; with `keeps_lines`, lines that arrived in plaintext are
    answered inside TLS.
    """

    kind: Literal["close", "hang", "pour", "tls"]
    reason: str = "QUIT"
    how: End = "fin"
    chunk: bytes = b""
    keeps_lines: bool = False


@define(eq=False)
class SessionState:
    """The state of one session: login progress, the open mailbox, and the messages marked as deleted.

    `maildrop` is None until a login succeeds; `exchange` is the SASL mechanism that waits for a response.
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
        """Replace the last line of the record, which contains a secret, with this."""
        if not self.settings.log_secrets:
            self.record.raw[-1] = line

    def hang_up(self) -> ReplyBytes:
        """Return no reply, and end the connection once the earlier replies are sent."""
        self.follow_up = FollowUp("close", "closed")
        return ()

    def release(self) -> None:
        """Release the mailbox."""
        if self.maildrop is not None and self.settings.lock:
            self.maildrop.lock.release()
        self.maildrop = None
