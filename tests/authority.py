"""A certificate authority for tests, for valid certificates and for invalid ones."""

import datetime
import ssl
from pathlib import Path

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["Authority", "server_context"]

DAY = datetime.timedelta(days=1)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@define(eq=False)
class Authority:
    """An authority that signs anything."""

    folder: Path
    common: str = "an authority for tests"
    key: ec.EllipticCurvePrivateKey = field(init=False)
    certificate: x509.Certificate = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(
            self._builder(self.common, self.key.public_key(), _now() - DAY, _now() + DAY)
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        )
        self.pem.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def pem(self) -> Path:
        """The authority's own certificate."""
        return self.folder / "ca.pem"

    def _builder(
        self,
        common: str,
        key: ec.EllipticCurvePublicKey,
        since: datetime.datetime,
        until: datetime.datetime,
        issuer: str | None = None,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(_name(issuer or self.common))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
        )

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self.key, hashes.SHA256())

    def issue(
        self,
        *names: str,
        common: str = "localhost",
        since: datetime.timedelta = -DAY,
        until: datetime.timedelta = DAY,
        own: bool = False,
    ) -> Path:
        """Write key and certificate for these DNS names; return the path.

        `since` and `until` are relative to now. With `own` the certificate is self-signed.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(common, key.public_key(), _now() + since, _now() + until, common if own else None)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
        certificate = builder.sign(key if own else self.key, hashes.SHA256())
        path = self.folder / f"{certificate.serial_number:x}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path

    def revoke(self, *issued: Path) -> Path:
        """Write a file with the authority's certificate and its revocation list; return the path."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(_name(self.common))
        builder = builder.last_update(_now() - DAY).next_update(_now() + DAY)
        for path in issued:
            serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_now() - DAY).build()
            builder = builder.add_revoked_certificate(entry)
        file = self.folder / "revoked.pem"
        listed = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        file.write_bytes(self.pem.read_bytes() + listed)
        return file


def server_context(certificate: Path, *, most: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return the TLS context of a server; `most` is the newest version of TLS that it supports."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.load_cert_chain(certificate)
    if most is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = most
    return context
