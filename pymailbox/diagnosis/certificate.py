"""Certificates: what is known of a TLS channel, and of one that did not convince.

Python tells what a certificate says only when it was verified. So one that was not is asked for again, on a
connection of its own that trusts exactly this certificate whatever its dates and names, and on which nothing is said.
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

#: Returns a fresh connection, not connected yet, with that context.
Dial = Callable[[ssl.SSLContext], Connection]
#: Takes a connection to where its TLS is on.
Reach = Callable[[Connection], None]


def look(dial: Dial, reach: Reach) -> Encryption | None:
    """Return what can be seen of a server that did not convince; None where there is no handshake at all."""
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
    """Return the facts of a TLS channel; `trusted` where the login is done on it."""
    octets = channel.getpeercert(binary_form=True)
    cipher = channel.cipher()
    told = channel.getpeercert() or (_ask_again(octets, dial, reach) if octets else {})
    return Encryption(
        trusted=trusted,
        version=channel.version(),
        cipher=cipher[0] if cipher else None,
        certificate=_read(octets, told) if octets else None,
    )


def _ask_again(octets: bytes, dial: Dial, reach: Reach) -> dict[str, Any]:
    """Return what a certificate says, from a handshake that trusts it and no other; empty where there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=octets)
    # Its own authority, and in any year: mypy's Flag has no name for the second.
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
    connection = dial(context)
    try:
        with suppress(MailboxError):  # then there is the fingerprint at least
            reach(connection)
            channel: Any = connection.session.tls
            told: dict[str, Any] = channel.getpeercert()
            return told
    finally:
        connection.close()
    return {}


def _read(octets: bytes, told: dict[str, Any]) -> Certificate:
    def moment(name: str) -> datetime | None:
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(told[name]), UTC) if name in told else None

    issuer = {name: value for part in told.get("issuer", ()) for name, value in part}
    words = [issuer[name] for name in ("commonName", "organizationName") if name in issuer]
    return Certificate(
        fingerprint=sha256(octets).hexdigest(),
        names=tuple(safe_text(value) for _, value in told.get("subjectAltName", ())),
        issuer=safe_text(", ".join(words)),
        valid_from=moment("notBefore"),
        valid_until=moment("notAfter"),
    )
