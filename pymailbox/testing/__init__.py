"""A POP3 server for tests, with quirks and faults to order.

```python
from pymailbox.testing import Server

with Server([b"Subject: Hello\\r\\n\\r\\nA mail.\\r\\n"]) as server:
    print(server.host, server.port, server.url)
```

Real sockets, one thread a session, standard library and attrs only; TLS certificates come from `trustme` when they
are needed. It imports nothing else of pymailbox, on purpose: it tests any POP3 client, and shares no framing that
both sides could have wrong alike.
"""

from pymailbox.testing.fault import Fault
from pymailbox.testing.proxy import Proxy
from pymailbox.testing.quirk import Quirk
from pymailbox.testing.record import SessionRecord
from pymailbox.testing.server import Server

__all__ = ["Fault", "Proxy", "Quirk", "Server", "SessionRecord"]
