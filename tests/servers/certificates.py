"""A certificate authority for one test session, with certificates for its server and its client.

The keys exist only in the directory of the session.
"""

import ssl
from pathlib import Path

import trustme
from attrs import frozen

__all__ = ["Certificates", "make"]


@frozen
class Certificates:
    """The PEM files of an authority: its certificate, and two that it signed, each with its key."""

    ca: Path
    server: Path
    client: Path


def make(directory: Path, user: str) -> Certificates:
    """Write the files of an authority, of a server on localhost, and of a client with the user as common name."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    made = Certificates(directory / "ca.pem", directory / "server.pem", directory / "client.pem")
    authority.cert_pem.write_to_path(str(made.ca))
    server = authority.issue_cert("localhost", "127.0.0.1", "127.0.0.2", "::1")
    server.private_key_and_cert_chain_pem.write_to_path(str(made.server))
    client = authority.issue_cert(f"{user}@example.org", common_name=user)
    client.private_key_and_cert_chain_pem.write_to_path(str(made.client))
    made.server.chmod(0o600)
    made.client.chmod(0o600)
    return made


def trusting(ca: Path, client: Path | None = None) -> ssl.SSLContext:
    """Return a context that trusts only this authority, and presents the client's certificate if there is one."""
    context = ssl.create_default_context(cafile=str(ca))
    if client is not None:
        context.load_cert_chain(client)
    return context
