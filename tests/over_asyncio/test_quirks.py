"""The quirks of servers, over asyncio."""

from tests.mailbox import test_quirks as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
