"""TLS: contexts to pass as `ssl_context`, and errors that say what to do.

The default verifies: the system's authorities, the host name, TLS 1.2 or newer (RFC 8314, RFC 8996). A context of
the caller's own is used as it is.
"""

import contextlib
import hashlib
import hmac
import ssl
import warnings
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pymailbox.display import secret
from pymailbox.errors import TLSError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymailbox.account import Channel

__all__ = [
    "UnverifiedWarning",
    "channel_binding",
    "client_certificate",
    "client_hello",
    "explain",
    "is_tls",
    "pinned",
    "private_ca",
    "unverified",
    "verified",
]


class UnverifiedWarning(UserWarning):
    """A connection was asked for that anybody on the way can read and change."""


# --- contexts -------------------------------------------------------------------------------------------------


class _Context(ssl.SSLContext):
    """A context that says what to do where it is to be sent to another process."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an ssl_context cannot be pickled: send the path or fingerprint to the other process, and make the context"
            " there, with tls.private_ca(path), tls.pinned(fingerprint) or tls.client_certificate(path)"
        )


def _default_context(**authorities: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(**authorities)  # type: ignore[arg-type] # cafile and capath
    context.__class__ = _Context  # it makes none of another class
    return context


def verified() -> ssl.SSLContext:
    """Return a context that verifies certificate and host name (never its CN), TLS 1.2 or newer."""
    return _strict(_default_context())


def private_ca(path: str | PathLike[str]) -> ssl.SSLContext:
    """Return a context that trusts only the authorities in a PEM file, or a directory as OpenSSL wants it.

    A self-signed certificate is its own authority: save it as that file. OSError for a file that cannot be read,
    ValueError for one without a certificate.
    """
    folder = Path(path).is_dir()
    where = fspath(path) if folder else _readable(path)
    try:
        context = _default_context(cafile=None if folder else where, capath=where if folder else None)
    except ssl.SSLError as error:
        raise ValueError(f"{where!r} contains no PEM certificate") from error
    _strict(context)
    # Python 3.13 also wants extensions that private authorities often lack (RFC 5280 §4.2.1.1); who trusts this file
    # trusts it without them.
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def client_certificate(
    certificate: str | PathLike[str],
    key: str | PathLike[str] | None = None,
    *,
    password: "str | Callable[[], str] | None" = None,
    context: ssl.SSLContext | None = None,
) -> ssl.SSLContext:
    """Return a context that shows a client certificate to servers that ask for one (SASL EXTERNAL).

    PEM files; `key` may be in the same file, `password` opens it. It is added to `context`, or to a new `verified()`.
    OSError for a file that cannot be read, ValueError where certificate, key and password do not fit.
    """
    context = verified() if context is None else context
    files = _readable(certificate), None if key is None else _readable(key)
    # Without a callable OpenSSL asks at the terminal for the password of an encrypted key.
    asked = secret(password) or (lambda: "")
    del password
    try:
        context.load_cert_chain(*files, asked)
    except ssl.SSLError as error:
        raise ValueError(f"{files[0]!r} contains no PEM certificate with its key, or the password is wrong") from error
    return context


def _readable(path: str | PathLike[str]) -> str:
    with Path(path).open("rb"):  # OpenSSL would not say which file it is that cannot be read
        return fspath(path)


def pinned(*fingerprints: str) -> ssl.SSLContext:
    """Return a context that takes exactly the certificates with these SHA-256 fingerprints, whoever signed them.

    Hexadecimal, with or without colons, as `openssl x509 -fingerprint -sha256` shows it. The fingerprint takes the
    place of authorities, host name and dates; several are for the change from one certificate to the next.
    """
    wanted = frozenset(_fingerprint(one) for one in fingerprints)
    if not wanted:
        raise ValueError("pinned() wants at least one fingerprint")

    def check(certificate: bytes | None) -> None:
        found = hashlib.sha256(certificate or b"").digest()
        if not any(hmac.compare_digest(found, one) for one in wanted):
            raise _OtherFingerprintError(
                1, f"its certificate's SHA-256 fingerprint is {found.hex(':')}, which differs from the pinned one"
            )

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            check(self.getpeercert(binary_form=True))

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            check(self.getpeercert(binary_form=True))

    context = _at_least_1_2(_Context(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = PinnedSocket
    context.sslobject_class = PinnedObject
    return context


class _OtherFingerprintError(ssl.SSLCertVerificationError):
    """The certificate is not one of those that are pinned."""


def unverified() -> ssl.SSLContext:
    """Return a context that verifies nothing, and warn: anybody on the way can read and change everything.

    The warning is an `UnverifiedWarning`. For a self-signed certificate `private_ca` or `pinned` are as easy.
    """
    warnings.warn(
        "this TLS connection verifies nothing: anybody on the way can take the password and the mail;"
        " tls.private_ca() or tls.pinned() would verify a self-signed certificate",
        UnverifiedWarning,
        stacklevel=2,
    )
    context = _at_least_1_2(_Context(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    # Python still takes a host name from the subject where there is no other (RFC 9525 §2 forbids it).
    context.hostname_checks_common_name = False
    return _at_least_1_2(context)


def _at_least_1_2(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _fingerprint(given: str) -> bytes:
    digits = given.strip().replace(":", "").replace(" ", "")
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        octets = b""
    if len(octets) != 32:
        raise ValueError(f"{given!r} is no SHA-256 fingerprint: 64 hexadecimal digits, colons allowed")
    return octets


# --- probing ---


def client_hello() -> bytes:
    """Return the first octets of a TLS handshake, which a server that expects TLS answers at once (RFC 8446 §4.1.2)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing but this greeting is ever sent
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def is_tls(octets: bytes) -> bool:
    """Whether a TLS record begins here: of a handshake, or an alert (RFC 8446 §5.1)."""
    return octets[:2] in (b"\x16\x03", b"\x15\x03")


# --- facts of a channel ---------------------------------------------------------------------------------------


def channel_binding(channel: "Channel") -> tuple[str, bytes] | None:
    """Return the type and the octets that bind a login to this TLS channel, or None where there are none.

    `tls-unique` up to TLS 1.2 (it is not defined above), else `tls-exporter` where Python has it, else
    `tls-server-end-point`: the hash of the server's certificate (RFC 5929, RFC 9266). The last wants asn1crypto,
    which comes with the extra `scram`.
    """
    kind = "tls-exporter" if channel.version() == "TLSv1.3" else "tls-unique"
    if kind in ssl.CHANNEL_BINDING_TYPES:
        octets = channel.get_channel_binding(kind)
        if octets:
            return kind, octets
    certificate = channel.getpeercert(binary_form=True)
    octets = _end_point(certificate) if certificate else None
    return ("tls-server-end-point", octets) if octets else None


def _end_point(certificate: bytes) -> bytes | None:
    """Hash a certificate as RFC 5929 §4.1 says; None where that is not defined, or for want of asn1crypto."""
    try:
        from asn1crypto.x509 import Certificate
    except ImportError:
        return None
    try:
        name = Certificate.load(certificate).hash_algo
    except ValueError:  # Ed25519: the RFC leaves it undefined
        return None
    return hashlib.new("sha256" if name in ("md5", "sha1") else name, certificate).digest()


# --- errors ---------------------------------------------------------------------------------------------------

_BY_REASON = {
    "WRONG_VERSION_NUMBER": 'the server does not speak TLS here: a port without TLS (110) wants security="starttls"',
    "UNSUPPORTED_PROTOCOL": "the server offers only TLS versions older than 1.2, which are broken (RFC 8996)",
    "CERTIFICATE_REQUIRED": "the server wants a client certificate (pymailbox.pop3.tls.client_certificate)",
    "NO_SHARED_CIPHER": "server and client have no cipher in common; the server may be very old",
    "DH_KEY_TOO_SMALL": "the server's Diffie-Hellman key is too short to be safe; the server may be very old",
    "EE_KEY_TOO_SMALL": "the server's key is too short to be safe; its certificate must be replaced",
    "CA_MD_TOO_WEAK": "the certificate is signed with a broken hash; it must be replaced",
    "UNEXPECTED_EOF_WHILE_READING": "the server closed the connection in the middle of TLS; check port and security",
}
_SAME = {
    "PACKET_LENGTH_TOO_LONG": "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE": "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST": "WRONG_VERSION_NUMBER",
    "TLSV1_ALERT_PROTOCOL_VERSION": "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": "NO_SHARED_CIPHER",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "CERTIFICATE_REQUIRED",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "NO_SHARED_CIPHER",
}
_PRIVATE = "if it is a private or self-signed one, trust it with tls.private_ca(path) or tls.pinned(fingerprint)"
#: By the numbers of OpenSSL's x509_vfy.h.
_BY_VERIFICATION = {
    9: "its certificate is not valid yet; check the clock of this machine",
    10: "its certificate has expired; its operator must renew it (or the clock of this machine is wrong)",
    18: f"its certificate is self-signed; {_PRIVATE}",
    19: f"its certificate comes from an authority that is not known here; {_PRIVATE}",
    20: f"its certificate comes from an authority that is not known here; {_PRIVATE}",
    21: f"its certificate comes from an authority that is not known here; {_PRIVATE}",
    23: "its certificate has been revoked",
    62: "its certificate is for another host name; use the name that the certificate has",
    64: "its certificate is for another address; use the host name that the certificate has",
}
#: What is only looked at with `ssl.VERIFY_X509_STRICT`, which is Python's default from 3.13 on.
_STRICT = range(80, 94)


def explain(error: OSError, host: str) -> TLSError:
    """Return the `TLSError` for what the `ssl` module raised, naming the likely cause."""
    if isinstance(error, _OtherFingerprintError):
        return TLSError(
            f"the TLS server at {host} is not trusted: {error.strerror}; pin it if the operator has changed the"
            " certificate, else somebody may be in between"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        code = getattr(error, "verify_code", 0)
        cause = _BY_VERIFICATION.get(code) or f"its certificate cannot be verified: {_said(error)}"
        if code in _STRICT:
            cause += f"; Python 3.13 and newer insist on that (RFC 5280); {_PRIVATE}"
        return TLSError(f"the TLS server at {host} is not trusted: {cause}")
    reason = getattr(error, "reason", None) or ""
    known = _BY_REASON.get(_SAME.get(reason, reason))
    if known is None and isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        known = _BY_REASON["UNEXPECTED_EOF_WHILE_READING"]
    return TLSError(f"TLS with {host} failed: {known or _said(error)}")


def _said(error: OSError) -> str:
    return getattr(error, "verify_message", None) or error.strerror or str(error)
