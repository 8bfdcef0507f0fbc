"""The transaction agrees with its model over asyncio, too."""

from tests.mailbox import test_transaction as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
