"""Impostors: who may be at the other end when its first words are no POP3."""

__all__ = ["guess"]


def guess(line: bytes) -> str:
    """Say what seems to be at the other end, from octets that are no POP3 status."""
    if b"\x15\x03" in line[:8] or line[:2] == b"\x16\x03":
        return 'this looks like a TLS server; use security="tls" (usually port 995)'
    if line.startswith(b"* "):
        return "this looks like an IMAP server; POP3 is usually on port 995 (TLS) or 110"
    if line.startswith(b"HTTP/") or line[:1] == b"<":
        return "this looks like an HTTP server; check host and port"
    if line[:3].isdigit():
        return "this looks like an SMTP or FTP server; POP3 is usually on port 995 (TLS) or 110"
    if line.startswith(b"SSH-"):
        return "this looks like an SSH server; POP3 is usually on port 995 (TLS) or 110"
    return "the server's line is no POP3 status (+OK or -ERR)"
