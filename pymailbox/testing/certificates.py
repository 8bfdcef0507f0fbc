"""TLS for tests: a certificate authority of the moment, and a certificate for the server.

Made by `trustme`, which is imported only here and only when a server needs TLS and was given no context.
"""

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

__all__ = ["Certificates"]

_NAMES = ("localhost", "127.0.0.1", "::1")


@frozen
class Certificates:
    """A context for the server, and the CA that clients are to trust: a PEM file that lives until `close`."""

    context: ssl.SSLContext
    ca: Path
    _folder: "TemporaryDirectory[str]"

    @classmethod
    def make(cls, host: str) -> "Certificates":
        """Make a CA and a certificate for that host and for the loopback names. RuntimeError without trustme."""
        try:
            import trustme
        except ImportError as error:
            raise RuntimeError(
                "the test server makes certificates with trustme: pip install 'pymailbox[testing]'"
                " (or pass ssl_context=)"
            ) from error
        authority = trustme.CA()
        names = dict.fromkeys((*_NAMES, *([host] if host not in ("", "0.0.0.0", "::") else [])))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0  # a client that never reads would meet a reset instead of an orderly end
        authority.issue_cert(*names).configure_cert(context)
        folder = TemporaryDirectory(prefix="pymailbox-testing-")
        ca = Path(folder.name) / "ca.pem"
        authority.cert_pem.write_to_path(ca)
        return cls(context, ca, folder)

    def client_context(self) -> ssl.SSLContext:
        """Make a verifying context that trusts this CA and no other."""
        return ssl.create_default_context(cafile=str(self.ca))

    def close(self) -> None:
        """Remove the CA's file."""
        self._folder.cleanup()
