"""TLS for tests: a throwaway certificate authority, and a certificate for the server.

`trustme` creates both. It is imported only here, and only if a server needs TLS and was given no context.
"""

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

__all__ = ["Certificates"]

_NAMES = ("localhost", "127.0.0.1", "::1")


@frozen
class Certificates:
    """A context for the server, and the CA for clients to trust: a PEM file that exists until `close`."""

    context: ssl.SSLContext
    ca: Path
    _folder: "TemporaryDirectory[str]"

    @classmethod
    def make(cls, host: str) -> "Certificates":
        """Create a CA and a certificate for that host and the loopback names. RuntimeError if trustme is missing."""
        try:
            import trustme
        except ImportError as error:
            raise RuntimeError(
                "TLS in the test server requires trustme: pip install 'pymailbox[testing]' (or pass ssl_context=)"
            ) from error
        authority = trustme.CA()
        names = dict.fromkeys((*_NAMES, *([host] if host not in ("", "0.0.0.0", "::") else [])))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0  # a client that never reads would get a reset instead of an orderly close
        authority.issue_cert(*names).configure_cert(context)
        folder = TemporaryDirectory(prefix="pymailbox-testing-")
        ca = Path(folder.name) / "ca.pem"
        authority.cert_pem.write_to_path(ca)
        return cls(context, ca, folder)

    def client_context(self) -> ssl.SSLContext:
        """Return a verifying context that trusts only this CA."""
        return ssl.create_default_context(cafile=str(self.ca))

    def close(self) -> None:
        """Delete the CA's file."""
        self._folder.cleanup()
