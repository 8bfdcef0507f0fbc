"""The POP3 protocol, usable alone: commands, framing, flows and connections.

`Connection` speaks it over a blocking socket, `AsyncConnection` over asyncio. `commands` has one function per command,
`sasl` the login mechanisms, `tls` the TLS contexts. Each name is imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymailbox.pop3 import commands, sasl, tls
    from pymailbox.pop3.async_connection import AsyncConnection
    from pymailbox.pop3.capabilities import Capabilities
    from pymailbox.pop3.commands import Stat
    from pymailbox.pop3.connection import Connection

__all__ = ["AsyncConnection", "Capabilities", "Connection", "Stat", "commands", "sasl", "tls"]

_HOMES = {
    "AsyncConnection": "async_connection",
    "Capabilities": "capabilities",
    "Connection": "connection",
    "Stat": "commands",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
