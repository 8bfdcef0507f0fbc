"""JSON Web Tokens that dovecot validates locally (RFC 7519, HS256), created with only the standard library."""

import base64
import hashlib
import hmac
import json
import time

__all__ = ["KEY", "jwt"]

KEY = b"a-key-for-tests-only-0123456789abcdef"


def jwt(user: str, *, lifetime: float = 3600.0, key: bytes = KEY, **claims: object) -> str:
    """Return a token that logs this user in for `lifetime` seconds (negative: expired), with additional claims."""
    now = int(time.time())
    body = {"sub": user, "iat": now - 60, "nbf": now - 60, "exp": int(now + lifetime), **claims}
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, body))
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
