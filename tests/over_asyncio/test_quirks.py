"""The quirks of servers are handled over asyncio, too."""

from tests.mailbox import test_quirks as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
