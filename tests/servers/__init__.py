"""Real POP3 servers for the tests, each a context manager that yields a `RealServer`.

>>> from tests.servers import MASTER, dovecot
>>> with dovecot(lock_session=True) as server:  # doctest: +SKIP
...     print(server.url, len(server.stored))

They listen on loopback, on ports that the system chooses, keep everything in a temporary directory, and are ended by
process id. A server that is not installed raises `ServerMissingError`, which says how to install it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from .certificates import trusting
from .courier import courier
from .cyrus import cyrus
from .dovecot import MASTER, dovecot
from .packages import program
from .popa3d import popa3d
from .seed import Mail, mails
from .server import Login, RealServer, ServerFailedError, ServerMissingError
from .tokens import jwt

__all__ = [
    "MASTER",
    "SERVERS",
    "Login",
    "Mail",
    "RealServer",
    "ServerFailedError",
    "ServerMissingError",
    "courier",
    "cyrus",
    "dovecot",
    "jwt",
    "mails",
    "popa3d",
    "program",
    "trusting",
]

SERVERS: dict[str, Callable[..., AbstractContextManager[RealServer]]] = {
    "courier": courier,
    "cyrus": cyrus,
    "dovecot": dovecot,
    "popa3d": popa3d,
}
"""Every server by name."""
