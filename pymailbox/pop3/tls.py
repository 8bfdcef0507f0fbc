"""TLS: contexts to pass as `ssl_context`, and errors that say what to do.

By default the certificate is verified against the system's authorities and the host name, with TLS 1.2 or newer
(RFC 8314, RFC 8996). A context from the caller is used unchanged.
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
    """The warning for a connection that can be intercepted."""


# --- contexts -------------------------------------------------------------------------------------------------


class _Context(ssl.SSLContext):
    """A context whose error on pickling says what to do instead."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an ssl_context cannot be pickled; send the path or fingerprint to the other process and create the context"
            " there, with tls.private_ca(path), tls.pinned(fingerprint) or tls.client_certificate(path)"
        )


def _default_context(**authorities: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(**authorities)  # type: ignore[arg-type] # cafile and capath
    context.__class__ = _Context  # create_default_context() cannot create a subclass
    return context


def verified() -> ssl.SSLContext:
    """Return a context that verifies the certificate and its host name (never the CN), with TLS 1.2 or newer."""
    return _strict(_default_context())


def private_ca(path: str | PathLike[str]) -> ssl.SSLContext:
    """Return a context that trusts only the authorities of `path`.

    That is a PEM file, or a directory prepared by `openssl rehash`.
    A self-signed certificate is its own authority: save it as that file. Raises OSError if the file cannot be read,
    ValueError if it contains no certificate.
    """
    folder = Path(path).is_dir()
    where = fspath(path) if folder else _readable(path)
    try:
        context = _default_context(cafile=None if folder else where, capath=where if folder else None)
    except ssl.SSLError as error:
        raise ValueError(f"{where!r} contains no PEM certificate") from error
    _strict(context)
    # Python 3.13 also requires extensions that private authorities often lack (RFC 5280 §4.2.1.1). Passing this file
    # means trusting it without them.
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def client_certificate(
    certificate: str | PathLike[str],
    key: str | PathLike[str] | None = None,
    *,
    password: "str | Callable[[], str] | None" = None,
    context: ssl.SSLContext | None = None,
) -> ssl.SSLContext:
    """Return a context that presents a client certificate to servers that ask for one (SASL EXTERNAL).

    The files are PEM; the key may be in the certificate's file, `password` decrypts it. The certificate is added to
    `context`, or to a new `verified()`. Raises OSError if a file cannot be read, ValueError if certificate, key and
    password do not match.
    """
    context = verified() if context is None else context
    files = _readable(certificate), None if key is None else _readable(key)
    # Without a callable, OpenSSL prompts at the terminal for the password of an encrypted key.
    asked = secret(password) or (lambda: "")
    del password
    try:
        context.load_cert_chain(*files, asked)
    except ssl.SSLError as error:
        raise ValueError(f"{files[0]!r} contains no PEM certificate with its key, or the password is wrong") from error
    return context


def _readable(path: str | PathLike[str]) -> str:
    with Path(path).open("rb"):  # OpenSSL's error would not name the file
        return fspath(path)


def pinned(*fingerprints: str) -> ssl.SSLContext:
    """Return a context that accepts only the certificates with these SHA-256 fingerprints, whoever signed them.

    Fingerprints are hexadecimal, with or without colons, as `openssl x509 -fingerprint -sha256` prints them. They
    replace the checks of authority, host name and dates. Pass several while a certificate is being replaced. Raises
    ValueError if one is invalid.
    """
    wanted = frozenset(_fingerprint(one) for one in fingerprints)
    if not wanted:
        raise ValueError("pinned() needs at least one fingerprint")

    def check(certificate: bytes | None) -> None:
        found = hashlib.sha256(certificate or b"").digest()
        if not any(hmac.compare_digest(found, one) for one in wanted):
            raise _OtherFingerprintError(
                1, f"the certificate's SHA-256 fingerprint is {found.hex(':')}, which differs from the pinned one"
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
    """The certificate is not one of the pinned ones."""


def unverified() -> ssl.SSLContext:
    """Return a context that verifies nothing, and issue an `UnverifiedWarning`: the connection can be intercepted.

    For a self-signed certificate, `private_ca` and `pinned` are as easy and safe.
    """
    warnings.warn(
        "certificate verification is off: this connection can be intercepted, and the password and mail stolen; verify"
        " a self-signed certificate with tls.private_ca() or tls.pinned()",
        UnverifiedWarning,
        stacklevel=2,
    )
    context = _at_least_1_2(_Context(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    # By default Python still takes the host name from the subject if there is no other (RFC 9525 §2 forbids it).
    context.hostname_checks_common_name = False
    return _at_least_1_2(context)


def _at_least_1_2(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _fingerprint(given: str) -> bytes:
    digits = given.strip().replace(":", "").replace(" ", "")
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise ValueError(f"invalid SHA-256 fingerprint: {given!r} (64 hexadecimal digits, colons allowed)")
    return digest


# --- probing ---


def client_hello() -> bytes:
    """Return the first message of a TLS handshake, which a TLS server answers at once (RFC 8446 §4.1.2)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing but this message is ever sent
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def is_tls(data: bytes) -> bool:
    """Whether `data` starts a TLS handshake or alert record (RFC 8446 §5.1)."""
    return data[:2] in (b"\x16\x03", b"\x15\x03")


# --- facts of a channel ---------------------------------------------------------------------------------------


def channel_binding(channel: "Channel") -> tuple[str, bytes] | None:
    """Return the type and the value of the binding of a login to this TLS channel, or None if there is none.

    The type is `tls-unique` up to TLS 1.2 (TLS 1.3 does not define it), `tls-exporter` above it if Python supports it,
    and otherwise `tls-server-end-point`, the hash of the server's certificate (RFC 5929, RFC 9266). The last needs
    asn1crypto, which the extra `scram` installs.
    """
    unique = unique_binding(channel)
    if unique is not None:
        return unique
    certificate = channel.getpeercert(binary_form=True)
    binding = _end_point(certificate) if certificate else None
    return ("tls-server-end-point", binding) if binding else None


def unique_binding(channel: "Channel") -> tuple[str, bytes] | None:
    """Return what `channel_binding` does, but not for `tls-server-end-point`, which other channels have, too."""
    kind = "tls-exporter" if channel.version() == "TLSv1.3" else "tls-unique"
    binding = channel.get_channel_binding(kind) if kind in ssl.CHANNEL_BINDING_TYPES else None
    return (kind, binding) if binding else None


def _end_point(certificate: bytes) -> bytes | None:
    """Return the hash of a certificate (RFC 5929 §4.1), or None if it is undefined or asn1crypto is missing."""
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
    "WRONG_VERSION_NUMBER": 'the server does not speak TLS on this port; port 110 needs security="starttls"',
    "UNSUPPORTED_PROTOCOL": "the server offers only TLS versions older than 1.2, which are broken (RFC 8996)",
    "CERTIFICATE_REQUIRED": "the server requires a client certificate; use tls.client_certificate(path)",
    "NO_SHARED_CIPHER": "server and client have no cipher in common; the server may be very old",
    "DH_KEY_TOO_SMALL": "the server's Diffie-Hellman key is too short to be safe; the server may be very old",
    "EE_KEY_TOO_SMALL": "the server's key is too short to be safe; its certificate must be replaced",
    "CA_MD_TOO_WEAK": "the certificate is signed with a broken hash; it must be replaced",
    "UNEXPECTED_EOF_WHILE_READING": "the server closed the connection inside TLS; check port and security",
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
_PRIVATE = "if it is private or self-signed, trust it with tls.private_ca(path) or tls.pinned(fingerprint)"
#: By the error numbers in OpenSSL's x509_vfy.h.
_BY_VERIFICATION = {
    9: "the certificate is not valid yet; check the clock of this machine",
    10: "the certificate has expired; the server's operator must renew it (or the clock of this machine is wrong)",
    18: f"the certificate is self-signed; {_PRIVATE}",
    19: f"the certificate comes from an unknown authority; {_PRIVATE}",
    20: f"the certificate comes from an unknown authority; {_PRIVATE}",
    21: f"the certificate comes from an unknown authority; {_PRIVATE}",
    23: "the certificate has been revoked",
    62: "the certificate is for another host name; connect to the name in the certificate",
    64: "the certificate is for another address; connect to the host name in the certificate",
}
#: Errors raised only under `ssl.VERIFY_X509_STRICT`, Python's default since 3.13.
_STRICT = range(80, 94)


def explain(error: OSError, host: str) -> TLSError:
    """Return the `TLSError` for an `error` of the `ssl` module while connecting to `host`, naming the likely cause."""
    if isinstance(error, _OtherFingerprintError):
        return TLSError(
            f"certificate verification failed for {host}: {error.strerror}; pin the new one if the operator has"
            " replaced the certificate, otherwise the connection may be intercepted"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        code = getattr(error, "verify_code", 0)
        cause = _BY_VERIFICATION.get(code) or _said(error)
        if code in _STRICT:
            cause += f"; Python 3.13 and newer require this (RFC 5280); {_PRIVATE}"
        return TLSError(f"certificate verification failed for {host}: {cause}")
    reason = getattr(error, "reason", None) or ""
    known = _BY_REASON.get(_SAME.get(reason, reason))
    if known is None and isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        known = _BY_REASON["UNEXPECTED_EOF_WHILE_READING"]
    return TLSError(f"TLS with {host} failed: {known or _said(error)}")


def _said(error: OSError) -> str:
    return getattr(error, "verify_message", None) or error.strerror or str(error)
