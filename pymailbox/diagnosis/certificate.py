"""The facts of a TLS channel and its certificate, even if verification failed.

Python decodes a certificate only after verifying it. For an unverified one, a second connection therefore trusts
exactly this certificate, whatever its dates and names; nothing is sent on it.
"""

import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pymailbox.diagnosis.report import Certificate, Encryption
from pymailbox.display import safe_text
from pymailbox.errors import MailboxError
from pymailbox.pop3.connection import Connection

__all__ = ["examine", "look"]

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h

#: Returns a fresh connection with that context, not connected yet.
Dial = Callable[[ssl.SSLContext], Connection]
#: Connects, up to the point at which TLS is on.
Reach = Callable[[Connection], None]


def look(dial: Dial, reach: Reach) -> Encryption | None:
    """Return what can be seen of a server that failed verification; None if there is no TLS handshake at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = dial(context)
    try:
        reach(connection)
        return examine(connection.session.tls, dial, reach, trusted=False)
    except MailboxError:
        return None
    finally:
        connection.close()


def examine(channel: Any, dial: Dial, reach: Reach, *, trusted: bool) -> Encryption:
    """Return the facts of a TLS channel; `trusted` if the login uses it."""
    der = channel.getpeercert(binary_form=True)
    cipher = channel.cipher()
    decoded = channel.getpeercert() or (_decoded(der, dial, reach) if der else {})
    return Encryption(
        trusted=trusted,
        version=channel.version(),
        cipher=cipher[0] if cipher else None,
        certificate=_read(der, decoded) if der else None,
    )


def _decoded(der: bytes, dial: Dial, reach: Reach) -> dict[str, Any]:
    """Return a certificate as Python decodes it, after a handshake that trusts only it; empty if that fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=der)
    # Accept it as its own authority and at any time; mypy's Flag has no name for the latter.
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
    connection = dial(context)
    try:
        with suppress(MailboxError):  # the fingerprint is known in any case
            reach(connection)
            channel: Any = connection.session.tls
            decoded: dict[str, Any] = channel.getpeercert()
            return decoded
    finally:
        connection.close()
    return {}


def _read(der: bytes, decoded: dict[str, Any]) -> Certificate:
    def moment(name: str) -> datetime | None:
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(decoded[name]), UTC) if name in decoded else None

    issuer = {name: value for part in decoded.get("issuer", ()) for name, value in part}
    words = [issuer[name] for name in ("commonName", "organizationName") if name in issuer]
    return Certificate(
        fingerprint=sha256(der).hexdigest(),
        names=tuple(safe_text(value) for _, value in decoded.get("subjectAltName", ())),
        issuer=safe_text(", ".join(words)),
        valid_from=moment("notBefore"),
        valid_until=moment("notAfter"),
    )
