"""POP URLs (RFC 2384): reading and writing them, and the ports that belong to each kind of security.

`pop://` is without TLS, `pops://` is TLS from the first byte, and `pop+starttls://` switches to TLS before the login.

Pure. A URL may contain a password, so no error shows any part of it but the scheme, and all of it that is kept is a
`Secret`.
"""

import re
from typing import Any, Literal

from pymailbox.display import Secret, secret, type_name

__all__ = [
    "Security",
    "bad_escapes",
    "default_port",
    "fields_of_url",
    "host_and_port",
    "is_ipv6",
    "port_for",
    "url_of",
]

Security = Literal["tls", "starttls", "none"]

_SCHEMES: dict[str, Security] = {"pop": "none", "pops": "tls", "pop+starttls": "starttls"}


def default_port(security: Security) -> int:
    """Return 995 for implicit TLS (RFC 8314 §3.2), otherwise 110 (RFC 1939 §3)."""
    return 995 if security == "tls" else 110


def port_for(security: Security, before: Security, port: int) -> int:
    """Return the port after a change of `security`: a default port changes with it, any other port stays."""
    return default_port(security) if port == default_port(before) else port


def url_of(host: str, port: int, user: str | None, security: Security) -> str:
    """Return the POP URL of an account, without a password."""
    from urllib.parse import quote

    scheme = next(name for name, kind in _SCHEMES.items() if kind == security)
    shown = f"[{host.replace('%', '%25')}]" if ":" in host else host
    login = quote(user, safe="") + "@" if user else ""
    return f"{scheme}://{login}{shown}:{port}"


def fields_of_url(url: str, password: Any, refuse_password: bool) -> dict[str, Any]:
    """Return the contents of a POP URL as the fields of an `Account`; `password` overrides one in the URL."""
    if not isinstance(url, str):
        raise TypeError(f"a POP URL must be a str, not {type_name(url)}")
    parts = _split(url)
    if parts is None:
        raise ValueError("not a valid POP URL; expected pops://user@host:port")
    scheme, host, port, login, written, more = parts
    if scheme not in _SCHEMES:
        raise ValueError(f"a POP URL must begin with pops://, pop+starttls:// or pop://, not {scheme!r}")
    if not host:
        raise ValueError("the POP URL has no host; expected pops://user@host:port")
    if more:
        raise ValueError(
            "unexpected text after the port; percent-encode / ? # as %2F %3F %23 in the user name or password"
        )
    if written is not None and refuse_password:
        raise ValueError("other users can read a password in a URL; remove it and pass the password separately")
    if written is not None and "@" in login + written:
        raise ValueError("percent-encode @ as %40 in the user name or password, and : as %3A in the user name")
    name, semicolon, option = login.partition(";")
    auth = str(_unquoted(option[5:])).removeprefix("+")
    if semicolon and not (option[:5].upper() == "AUTH=" and ";" not in option and re.fullmatch(_AUTH, auth)):
        raise ValueError("only one ;AUTH=mechanism may follow the user name; percent-encode ; as %3B in the user name")
    security = _SCHEMES[scheme]
    return {
        "host": host,
        "user": str(_unquoted(name)) or None,
        "password": secret(_unquoted(written) if password is None and written is not None else password),
        "port": default_port(security) if port is None else port,
        "security": security,
        "auth": None if auth in ("", "*") else auth,
    }


def _split(url: str) -> tuple[str, str | None, int | None, str, Secret | None, bool] | None:
    """Return scheme, host, port, user with options, password, and whether more follows; None for an invalid URL.

    urllib's own errors are not passed on, as they would show the password.
    """
    if any(c <= " " or c == "\x7f" for c in url):  # urllib silently drops some of these
        return None
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    found = host_and_port(parts.netloc.rpartition("@")[2])
    if found is None:
        return None
    more = parts.path not in ("", "/") or bool(parts.query or parts.fragment)
    return parts.scheme, *found, parts.username or "", secret(parts.password), more


# These are compiled when they are first used.

#: A mechanism's name (RFC 4422 §3.1), in upper or lower case, or * for any (RFC 2384).
_AUTH = r"[A-Za-z0-9_-]{1,20}|\*"

_BAD_ESCAPE = r"%(?![0-9A-Fa-f]{2})"

_HOST_AND_PORT = (
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+)(?:%25(?P<zone>[A-Za-z0-9._~-]+))?\]|(?P<name>[^:\[\]%]*))"
    r"(?::(?P<port>[0-9]{0,5}))?"
)


def host_and_port(text: str) -> tuple[str, int | None] | None:
    """Return host and port from the end of a URL's authority (RFC 3986 §3.2); None if it is invalid.

    An IPv6 address is in brackets and may have a zone (RFC 6874). A host name is returned in lower case; it must not
    contain a percent sign.
    """
    match = re.fullmatch(_HOST_AND_PORT, text)
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        return None
    if match["address"] is None:
        return match["name"].lower(), port
    host = match["address"].lower() + ("%" + match["zone"] if match["zone"] else "")
    return (host, port) if is_ipv6(host) else None


def bad_escapes(text: str) -> bool:
    """Whether a percent sign in a text is not followed by two hexadecimal digits (RFC 3986 §2.1)."""
    return re.search(_BAD_ESCAPE, text) is not None


def _unquoted(text: str) -> Secret:
    """Percent-decode a text; ValueError for an invalid escape or invalid UTF-8, without showing the text."""
    from urllib.parse import unquote

    text = secret(text)
    if bad_escapes(text):
        raise ValueError("invalid % in the URL; percent-encode % as %25 in the user name or password")
    try:
        return secret(unquote(text, errors="strict"))
    except UnicodeDecodeError:
        pass
    raise ValueError("invalid UTF-8 in a percent-encoded part of the URL")


def is_ipv6(host: str) -> bool:
    """Whether a host is an IPv6 address."""
    import ipaddress

    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
