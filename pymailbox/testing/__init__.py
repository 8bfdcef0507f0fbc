"""A POP3 server for tests, that misbehaves on request.

```python
from pymailbox.testing import Server

with Server([b"Subject: Hello\\r\\n\\r\\nA mail.\\r\\n"]) as server:
    print(server.host, server.port, server.url)
```

Real sockets, one thread a session, standard library and attrs only; TLS certificates come from `trustme` (the extra
`testing`) when they are needed. It imports nothing else of pymailbox, on purpose: it tests any POP3 client, and client
and server cannot share a framing bug.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymailbox.testing.fault import Fault
    from pymailbox.testing.proxy import Proxy
    from pymailbox.testing.quirk import Quirk
    from pymailbox.testing.record import SessionRecord
    from pymailbox.testing.server import Server

__all__ = ["Fault", "Proxy", "Quirk", "Server", "SessionRecord"]

_HOMES = {"Fault": "fault", "Proxy": "proxy", "Quirk": "quirk", "Server": "server", "SessionRecord": "record"}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: the pytest plugin, which lives here, is loaded by every test run."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
