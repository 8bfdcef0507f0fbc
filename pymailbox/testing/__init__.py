"""A POP3 server for tests that misbehaves on request, and a recorder of sessions with other servers.

```python
from pymailbox.testing import Server

with Server([b"Subject: Hello\\r\\n\\r\\nHello, world.\\r\\n"]) as server:
    print(server.host, server.port, server.url)
```

It uses real sockets, one thread per session, and only attrs and the standard library; TLS certificates come from
`trustme` (the extra `testing`) when they are needed. It works with any POP3 client. It deliberately imports nothing
else from pymailbox, so that client and server cannot share a framing bug.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymailbox.testing.fault import Fault
    from pymailbox.testing.proxy import Proxy
    from pymailbox.testing.quirk import Quirk
    from pymailbox.testing.recorder import Recorder
    from pymailbox.testing.server import Server
    from pymailbox.testing.session_record import SessionRecord

__all__ = ["Fault", "Proxy", "Quirk", "Recorder", "Server", "SessionRecord"]

_HOMES = {
    "Fault": "fault",
    "Proxy": "proxy",
    "Quirk": "quirk",
    "Recorder": "recorder",
    "Server": "server",
    "SessionRecord": "session_record",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use, because the pytest plugin in this package is loaded by every test run."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
