"""Violations: errors for data that breaks the protocol, and a guess at which service sent it. Pure."""

from pymailbox.errors import ConnectionLost, LimitExceeded, MailboxError, ProtocolError
from pymailbox.pop3.refusal import response_code

__all__ = [
    "bad_status",
    "data_before_tls",
    "ends_in_lf",
    "guess_service",
    "limit_exceeded",
    "mixed_line_ends",
    "tls_port",
    "truncated",
    "unsolicited",
]

_SHOWN = 500  # bytes of a server's line to show


def limit_exceeded(name: str, what: str, command: str | None) -> LimitExceeded:
    """Return the error for `what` that exceeds the field `name` of `Limits`."""
    problem = f"the server sent {what} beyond Limits.{name}; raise that limit if this server can be trusted"
    return LimitExceeded(problem, field=name, command=command)


def bad_status(what: str, line: bytes, command: str | None) -> ProtocolError:
    """Return the error for a line (without its line end) that does not answer the command."""
    text = line.decode("latin-1")
    return ProtocolError(what, command=command, response=text, code=response_code(text))


def mixed_line_ends(line: bytes, command: str | None) -> ProtocolError:
    """Return the error for a status line that ends in a bare LF although earlier ones ended in CRLF."""
    return bad_status("a status line ends in a bare LF, unlike the ones before it", line[:-1], command)


def unsolicited(left: bytes, command: str | None, *, after: str | None = None) -> MailboxError:
    """Return the error for data that no command asked for: a forged reply or a parting one, never harmless.

    `after` is the command whose reply arrived together with it; that reply cannot be trusted either.
    """
    line = left[:_SHOWN].split(b"\n", 1)[0].rstrip(b"\r").decode("latin-1")
    refused = line[:4].upper() == "-ERR"
    code = response_code(line[4:]) if refused else None
    if refused and after is None:
        return ConnectionLost("the server closed the session", command=command, response=line, code=code)
    return ProtocolError(
        "unsolicited data from the server; the session can no longer be trusted, open a new one",
        command=after,
        response=line,
        code=code,
        retryable=code in ("SYS/TEMP", "IN-USE", "LOGIN-DELAY"),
    )


def out_of_step(text: str, command: str) -> ProtocolError:
    """Return the error for a reply that cannot be matched to its command, by the text of its status line."""
    return ProtocolError(
        "the replies are out of step with the commands, so none can be matched to a message;"
        " no unverified result was returned, open a new session",
        command=command,
        response=text,
    )


def tls_port() -> ProtocolError:
    """Return the error for a server that sends no greeting, but answers TLS."""
    return ProtocolError(
        "the server sent no greeting, and answers TLS: this is a port that expects TLS from the first byte; use"
        ' security="tls", or for security="starttls" another port, usually 110',
        command="greeting",
    )


def data_before_tls() -> ProtocolError:
    """Return the error for unencrypted data after the reply to STLS (RFC 2595 §4)."""
    return ProtocolError("unencrypted data arrived after the reply to STLS; the connection may be intercepted")


def truncated(
    left: bytes, command: str | None, *, midway: bool, greeted: bool, ended_in_lf: bool = False
) -> ConnectionLost:
    """Return the error for the end of the stream while a reply is expected.

    `midway`: inside a body; `ended_in_lf`: after something that looks like its end; `greeted`: after the greeting.
    """
    text = "" if midway else left[:_SHOWN].decode("latin-1")
    if midway:
        what = "the server closed the connection in the middle of a message or listing, which was discarded"
        if ended_in_lf:
            what += f"; {ends_in_lf(command)}"
    elif greeted:
        what = "the server closed the connection instead of answering"
    elif text and not text.upper().startswith(("+", "-")):
        what = guess_service(left)
    else:
        what = "the server closed the connection instead of greeting; check host, port and security"
    return ConnectionLost(what, command=command, response=text or None, code=response_code(text[4:]))


def ends_in_lf(command: str | None) -> str:
    """Explain a body that seems to end, but in a bare LF while status lines end in CRLF, and what to do."""
    what = "the last lines look like its end, but the line before the dot ends in a bare LF, not in CRLF (RFC 1939 §3)"
    if command is None or not command.startswith("TOP "):
        return what
    return f"{what}; the next session will read headers by RETR (to do so from the start, pass top=False)"


def guess_service(line: bytes) -> str:
    """Return a guess at the service, given a line that is not a POP3 status."""
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
    return "the server's line is not a POP3 status (+OK or -ERR)"
