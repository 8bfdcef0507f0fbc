"""delete, undelete, rollback and commit against a model, over asyncio."""

from tests.mailbox import test_transaction as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
